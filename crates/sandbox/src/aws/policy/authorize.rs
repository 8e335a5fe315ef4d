//! The decision: all policies that have a say in one request, added up as AWS adds them up.

use super::condition::RequestContext;
use super::document::{PatternSet, PolicyDocument, PolicyStatement, Principals};
use super::pattern::{matches_wildcard, matches_wildcard_ignore_case};
use super::{find_aws_managed_policy, parse_identity_policy};
use crate::aws::caller::Caller;
use crate::aws::iam::AccountState;
use crate::aws::response::AwsError;
use crate::world::SimulatedWorld;

/// What somebody wants to do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AuthorizationRequest<'a> {
    pub(crate) caller: &'a Caller,
    /// `s3:GetObject`
    pub(crate) action: &'a str,
    /// The ARN of what it is done to.
    pub(crate) resource: &'a str,
    pub(crate) context: &'a RequestContext,
}

/// Whose the resource is, and what it says itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct ResourcePolicy {
    pub(crate) owner_account: String,
    pub(crate) document: Option<PolicyDocument>,
    /// Whether a policy that lets in everybody counts only for the owner's account (`RestrictPublicBuckets`).
    pub(crate) restrict_public_buckets: bool,
}

/// What one set of policies says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct PolicyVerdict {
    allows: bool,
    denies: bool,
}

impl PolicyVerdict {
    fn evaluate<'a>(
        documents: impl IntoIterator<Item = &'a PolicyDocument>,
        holds: impl Fn(&PolicyStatement) -> bool,
    ) -> Self {
        let mut voice = Self::default();
        for statement in documents
            .into_iter()
            .flat_map(|document| &document.statements)
        {
            if holds(statement) {
                voice.allows |= statement.allow;
                voice.denies |= !statement.allow;
            }
        }
        voice
    }
}

/// The policies of the caller itself.
#[derive(Debug, Default)]
struct CallerPolicies {
    identity_policies: Vec<PolicyDocument>,
    permissions_boundary: Option<PolicyDocument>,
    session_policy: Option<PolicyDocument>,
}

fn load_caller_policies(world: &SimulatedWorld, who: &Caller) -> CallerPolicies {
    let account = world.aws.global.accounts.get(who.account());
    match (who, account) {
        (Caller::User { name, .. }, Some(account)) => {
            let Some(user) = account.users.get(name) else {
                return CallerPolicies::default();
            };
            CallerPolicies {
                identity_policies: collect_identity_policies(
                    account,
                    user.inline.values(),
                    &user.attached,
                ),
                ..CallerPolicies::default()
            }
        }
        (Caller::AssumedRole(session), Some(account)) => {
            let role = account
                .find_role(&session.role)
                .filter(|role| role.id == session.role_id);
            let Some(role) = role else {
                return CallerPolicies::default();
            };
            // A boundary that is gone allows nothing.
            let boundary = role
                .boundary
                .as_ref()
                .map(|arn| find_managed_policy(account, arn).unwrap_or_default());
            let session = session
                .policy
                .as_ref()
                .map(|text| parse_identity_policy(text).unwrap_or_default());
            CallerPolicies {
                identity_policies: collect_identity_policies(
                    account,
                    role.inline.values(),
                    &role.attached,
                ),
                permissions_boundary: boundary,
                session_policy: session,
            }
        }
        _ => CallerPolicies::default(),
    }
}

/// A managed policy: AWS's, or the account's own.
fn find_managed_policy(account: &AccountState, arn: &str) -> Option<PolicyDocument> {
    let custom = || parse_identity_policy(&account.policies.get(arn)?.document).ok();
    find_aws_managed_policy(arn)
        .map(|(.., document)| document)
        .or_else(custom)
}

fn collect_identity_policies<'a>(
    account: &AccountState,
    inline: impl Iterator<Item = &'a String>,
    attached: impl IntoIterator<Item = &'a String>,
) -> Vec<PolicyDocument> {
    let attached = attached
        .into_iter()
        .filter_map(|arn| find_managed_policy(account, arn));
    inline
        .filter_map(|text| parse_identity_policy(text).ok())
        .chain(attached)
        .collect()
}

/// Whether a request may be done.
///
/// # Errors
/// `403 AccessDenied`, with AWS's words for why not.
pub(crate) fn authorize(
    world: &SimulatedWorld,
    ask: &AuthorizationRequest<'_>,
    guard: &ResourcePolicy,
) -> Result<(), AwsError> {
    let own = load_caller_policies(world, ask.caller);
    let mine = PolicyVerdict::evaluate(&own.identity_policies, |statement| {
        statement_matches(statement, ask)
    });
    let limit = |document: &Option<PolicyDocument>| match document {
        Some(document) => {
            PolicyVerdict::evaluate([document], |statement| statement_matches(statement, ask))
        }
        None => PolicyVerdict {
            allows: true,
            denies: false,
        },
    };
    let (boundary, session) = (limit(&own.permissions_boundary), limit(&own.session_policy));
    let named = |statement: &PolicyStatement| {
        statement_matches(statement, ask) && principal_matches(statement, ask)
    };
    let direct = PolicyVerdict::evaluate(&guard.document, |statement| {
        named(statement)
            && match_principal(statement, ask, &guard.owner_account) == PrincipalMatch::Direct
    });
    let as_role = PolicyVerdict::evaluate(&guard.document, |statement| {
        named(statement)
            && match_principal(statement, ask, &guard.owner_account) == PrincipalMatch::Role
    });
    let delegated = PolicyVerdict::evaluate(&guard.document, named);
    let foreign = ask.caller.account() != guard.owner_account;
    let refuse = |why: &str| Err(access_denied_error(ask, foreign, why));
    for (voice, kind) in [
        (mine, "an identity-based policy"),
        (delegated, "a resource-based policy"),
        (boundary, "a permissions boundary"),
        (session, "a session policy"),
    ] {
        if voice.denies {
            return refuse(&format!("with an explicit deny in {kind}"));
        }
    }
    let inside = boundary.allows && session.allows;
    let allowed = match foreign {
        false => ((mine.allows || as_role.allows) && inside) || direct.allows,
        true if guard.restrict_public_buckets => false,
        true if *ask.caller == Caller::Anonymous => direct.allows,
        true => mine.allows && inside && delegated.allows,
    };
    if allowed {
        return Ok(());
    }
    let none = |kind: &str| {
        refuse(&format!(
            "because no {kind} allows the {} action",
            ask.action
        ))
    };
    match (
        mine.allows || as_role.allows,
        boundary.allows,
        session.allows,
    ) {
        (true, false, _) => none("permissions boundary"),
        (true, true, false) => none("session policy"),
        (true, true, true) => none("resource-based policy"),
        (false, ..) => none("identity-based policy"),
    }
}

/// Only those of the same account learn why.
fn access_denied_error(ask: &AuthorizationRequest<'_>, foreign: bool, why: &str) -> AwsError {
    if foreign {
        return AwsError::access_denied("Access Denied");
    }
    let (who, action) = (ask.caller.arn(), ask.action);
    let quote = if action.starts_with("s3:") { "\"" } else { "" };
    // IAM calls a role by its name alone.
    let role = || {
        Some(format!(
            "role {}",
            ask.resource.split_once(":role/")?.1.rsplit('/').next()?
        ))
    };
    let role = action.starts_with("iam:").then(role).flatten();
    let resource = role.unwrap_or_else(|| ask.resource.to_owned());
    AwsError::access_denied(format!(
        "User: {who} is not authorized to perform: {action} on resource: {quote}{resource}{quote} {why}"
    ))
}

/// Whether a statement is about an action on a resource under these circumstances.
fn statement_matches(statement: &PolicyStatement, ask: &AuthorizationRequest<'_>) -> bool {
    let action = element_matches(&statement.actions, |name| {
        matches_wildcard_ignore_case(name, ask.action)
    });
    let resource = |name: &str| matches_wildcard(&ask.context.expand_variables(name), ask.resource);
    let resource = statement
        .resources
        .as_ref()
        .is_none_or(|names| element_matches(names, resource));
    action
        && resource
        && statement
            .conditions
            .iter()
            .all(|condition| condition.is_met(ask.context))
}

fn element_matches(names: &PatternSet, is: impl Fn(&str) -> bool) -> bool {
    names.patterns.iter().any(|name| is(name)) != names.negated
}

/// Whether a resource's statement is about the caller.
fn principal_matches(statement: &PolicyStatement, ask: &AuthorizationRequest<'_>) -> bool {
    let Some(principals) = &statement.principals else {
        return false;
    };
    let names = principals
        .by_type
        .get("AWS")
        .map_or(&[] as &[String], Vec::as_slice);
    let named = names.iter().any(|name| is_named_by(ask.caller, name));
    named != principals.negated
}

fn is_named_by(who: &Caller, name: &str) -> bool {
    let account = who.account();
    let by_account =
        !account.is_empty() && (name == account || name == format!("arn:aws:iam::{account}:root"));
    let role = match who {
        Caller::AssumedRole(session) => session.role_arn() == name || session.role_id == name,
        Caller::User { .. } | Caller::Anonymous => false,
    };
    name == "*" || by_account || role || (*who != Caller::Anonymous && name == who.arn())
}

/// As what a statement of a resource names the caller, from the weakest to the strongest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum PrincipalMatch {
    /// As somebody of the account that owns the resource: that lets the account decide, and no more.
    Account,
    /// As whoever holds a role: what is granted to a role stays within its boundary and the session's policy.
    Role,
    /// As the user or session that it is, or as anybody: what is missing in its own policies does not matter.
    Direct,
}

fn match_principal(
    statement: &PolicyStatement,
    ask: &AuthorizationRequest<'_>,
    owner: &str,
) -> PrincipalMatch {
    let account = ask.caller.account();
    let Some(Principals {
        negated: false,
        by_type: by_kind,
    }) = &statement.principals
    else {
        return PrincipalMatch::Direct;
    };
    if !statement.allow || account != owner {
        return PrincipalMatch::Direct;
    }
    let root = format!("arn:aws:iam::{account}:root");
    let names = by_kind
        .get("AWS")
        .into_iter()
        .flatten()
        .filter(|name| is_named_by(ask.caller, name));
    let by = |name: &String| match ask.caller {
        _ if *name == root || name == account => PrincipalMatch::Account,
        Caller::AssumedRole(session) if session.role_arn() == *name || session.role_id == *name => {
            PrincipalMatch::Role
        }
        _ => PrincipalMatch::Direct,
    };
    names.map(by).max().unwrap_or(PrincipalMatch::Account)
}

/// Whether a role's trust policy lets somebody in: a caller of AWS, or with `federated` the holder of a token. A caller
/// of AWS has policies of its own, which [`decide`] adds.
pub(crate) fn trust_policy_allows(
    document: &PolicyDocument,
    ask: &AuthorizationRequest<'_>,
    federated: Option<&str>,
) -> bool {
    let named = |statement: &PolicyStatement| {
        let Some(principals) = &statement.principals else {
            return false;
        };
        let by = |kind: &str| {
            principals
                .by_type
                .get(kind)
                .map_or(&[] as &[String], Vec::as_slice)
        };
        let named = match federated {
            Some(provider) => by("Federated").iter().any(|name| name == provider),
            None => by("AWS").iter().any(|name| is_named_by(ask.caller, name)),
        };
        statement_matches(statement, ask) && named != principals.negated
    };
    let all = PolicyVerdict::evaluate([document], named);
    all.allows && !all.denies
}
