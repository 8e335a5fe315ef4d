//! Policy evaluation: combines all policies that apply to a request into one decision.
//!
//! It follows the "policy evaluation logic" of the IAM user guide, without service control policies.

use std::collections::BTreeSet;

use super::condition::RequestContext;
use super::document::{PatternSet, PolicyDocument, PolicyStatement, Principals};
use super::pattern::{matches_wildcard, matches_wildcard_ignore_case};
use super::{find_aws_managed_policy, parse_identity_policy};
use crate::aws::caller::Caller;
use crate::aws::iam::AccountState;
use crate::aws::response::AwsError;
use crate::world::SimulatedWorld;

/// The request to authorize.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AuthorizationRequest<'a> {
    pub(crate) caller: &'a Caller,
    /// The action, for example `s3:GetObject`.
    pub(crate) action: &'a str,
    /// The ARN of the resource.
    pub(crate) resource: &'a str,
    pub(crate) context: &'a RequestContext,
}

/// The owner of the resource, and its resource-based policy if it has one.
#[derive(Clone, Debug, Default)]
pub(crate) struct ResourcePolicy {
    pub(crate) owner_account: String,
    pub(crate) document: Option<PolicyDocument>,
    /// Whether `RestrictPublicBuckets` confines a public policy to callers of the owner's account.
    pub(crate) restrict_public_buckets: bool,
}

/// Whether any statement of a set of policies allows or denies the request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct PolicyVerdict {
    allows: bool,
    denies: bool,
}

impl PolicyVerdict {
    fn evaluate<'a>(
        documents: impl IntoIterator<Item = &'a PolicyDocument>,
        applies: impl Fn(&PolicyStatement) -> bool,
    ) -> Self {
        let mut verdict = Self::default();
        for statement in documents
            .into_iter()
            .flat_map(|document| &document.statements)
        {
            if applies(statement) {
                verdict.allows |= statement.allow;
                verdict.denies |= !statement.allow;
            }
        }
        verdict
    }
}

/// The policies that are attached to the caller.
#[derive(Debug, Default)]
struct CallerPolicies {
    identity_policies: Vec<PolicyDocument>,
    permissions_boundary: Option<PolicyDocument>,
    session_policy: Option<PolicyDocument>,
}

fn load_caller_policies(world: &SimulatedWorld, caller: &Caller) -> CallerPolicies {
    let account = world.aws.global.accounts.get(caller.account());
    match (caller, account) {
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
            // The session of a role that was deleted has no permissions, even if a new role has its name.
            let Some(role) = role else {
                return CallerPolicies::default();
            };
            // A boundary whose policy was deleted allows nothing.
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

/// Finds a managed policy, of AWS or of the account.
fn find_managed_policy(account: &AccountState, arn: &str) -> Option<PolicyDocument> {
    let customer_managed = || parse_identity_policy(&account.policies.get(arn)?.document).ok();
    find_aws_managed_policy(arn)
        .map(|(.., document)| document)
        .or_else(customer_managed)
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

/// What each set of policies says about one request.
#[derive(Debug)]
struct Evaluation {
    /// The caller's identity-based policies.
    identity: PolicyVerdict,
    /// The caller's permissions boundary. Without one it allows everything.
    boundary: PolicyVerdict,
    /// The session policy. Without one it allows everything.
    session: PolicyVerdict,
    /// The resource-based policy, however it names the caller.
    resource: PolicyVerdict,
    /// The statements of the resource-based policy that name the caller's role.
    resource_as_role: PolicyVerdict,
    /// The statements of the resource-based policy that name the caller directly.
    resource_direct: PolicyVerdict,
}

impl Evaluation {
    fn new(
        world: &SimulatedWorld,
        request: &AuthorizationRequest<'_>,
        resource_policy: &ResourcePolicy,
    ) -> Self {
        let caller_policies = load_caller_policies(world, request.caller);
        let matches = |statement: &PolicyStatement| statement_matches(statement, request);
        let limit = |document: &Option<PolicyDocument>| match document {
            Some(document) => PolicyVerdict::evaluate([document], matches),
            None => PolicyVerdict {
                allows: true,
                denies: false,
            },
        };
        let names_caller = |statement: &PolicyStatement| {
            matches(statement) && principal_matches(statement, request)
        };
        let names_caller_as = |principal_match: PrincipalMatch| {
            PolicyVerdict::evaluate(&resource_policy.document, |statement| {
                names_caller(statement)
                    && match_principal(statement, request, &resource_policy.owner_account)
                        == principal_match
            })
        };
        Self {
            identity: PolicyVerdict::evaluate(&caller_policies.identity_policies, matches),
            boundary: limit(&caller_policies.permissions_boundary),
            session: limit(&caller_policies.session_policy),
            resource: PolicyVerdict::evaluate(&resource_policy.document, names_caller),
            resource_as_role: names_caller_as(PrincipalMatch::Role),
            resource_direct: names_caller_as(PrincipalMatch::Direct),
        }
    }

    /// The kind of policy that denies the request explicitly, if any does.
    fn explicit_deny(&self) -> Option<&'static str> {
        [
            (self.identity, "an identity-based policy"),
            (self.resource, "a resource-based policy"),
            (self.boundary, "a permissions boundary"),
            (self.session, "a session policy"),
        ]
        .into_iter()
        .find_map(|(verdict, kind)| verdict.denies.then_some(kind))
    }

    fn allows_within_account(&self) -> bool {
        // A grant to the role counts like an identity-based policy of the role: boundary and session
        // policy limit both. A grant to the user or session itself is not limited by them.
        let within_limits = self.boundary.allows && self.session.allows;
        let granted = self.identity.allows || self.resource_as_role.allows;
        (granted && within_limits) || self.resource_direct.allows
    }

    fn allows_across_accounts(&self, caller: &Caller, resource_policy: &ResourcePolicy) -> bool {
        if resource_policy.restrict_public_buckets {
            return false;
        }
        // Anonymous callers have no policies of their own, so the resource-based policy decides alone.
        if *caller == Caller::Anonymous {
            return self.resource_direct.allows;
        }
        // Both accounts have to agree: the caller's by its policies, the owner's by the resource's.
        self.identity.allows && self.boundary.allows && self.session.allows && self.resource.allows
    }

    /// The kind of policy that would have to allow the request, as AWS's message names it.
    fn missing_allow(&self) -> &'static str {
        if !self.identity.allows && !self.resource_as_role.allows {
            "identity-based policy"
        } else if !self.boundary.allows {
            "permissions boundary"
        } else if !self.session.allows {
            "session policy"
        } else {
            "resource-based policy"
        }
    }
}

/// Decides whether a request is allowed.
///
/// # Errors
/// `403 AccessDenied`, with the reason as AWS words it.
pub(crate) fn authorize(
    world: &SimulatedWorld,
    request: &AuthorizationRequest<'_>,
    resource_policy: &ResourcePolicy,
) -> Result<(), AwsError> {
    let evaluation = Evaluation::new(world, request, resource_policy);
    let is_cross_account = request.caller.account() != resource_policy.owner_account;
    // An explicit deny in any policy overrides every allow.
    if let Some(kind) = evaluation.explicit_deny() {
        let reason = format!("with an explicit deny in {kind}");
        return Err(access_denied_error(request, is_cross_account, &reason));
    }
    let allowed = match is_cross_account {
        false => evaluation.allows_within_account(),
        true => evaluation.allows_across_accounts(request.caller, resource_policy),
    };
    if allowed {
        return Ok(());
    }
    let reason = format!(
        "because no {} allows the {} action",
        evaluation.missing_allow(),
        request.action
    );
    Err(access_denied_error(request, is_cross_account, &reason))
}

/// The error for a denied request. Callers of other accounts do not learn the reason.
fn access_denied_error(
    request: &AuthorizationRequest<'_>,
    is_cross_account: bool,
    reason: &str,
) -> AwsError {
    if is_cross_account {
        return AwsError::access_denied("Access Denied");
    }
    let (caller_arn, action) = (request.caller.arn(), request.action);
    let quote = if action.starts_with("s3:") { "\"" } else { "" };
    // IAM's messages show a role by its name instead of its ARN.
    let role = || {
        Some(format!(
            "role {}",
            request
                .resource
                .split_once(":role/")?
                .1
                .rsplit('/')
                .next()?
        ))
    };
    let role = action.starts_with("iam:").then(role).flatten();
    let resource = role.unwrap_or_else(|| request.resource.to_owned());
    AwsError::access_denied(format!(
        "User: {caller_arn} is not authorized to perform: {action} on resource: {quote}{resource}{quote} {reason}"
    ))
}

/// The condition keys of the caller's own policies that the request has no value for, as far as they matter to its action and
/// resource.
pub(crate) fn missing_context_keys(
    world: &SimulatedWorld,
    request: &AuthorizationRequest<'_>,
) -> BTreeSet<String> {
    let policies = load_caller_policies(world, request.caller);
    let documents = policies.identity_policies.iter();
    let statements = documents
        .chain(&policies.permissions_boundary)
        .flat_map(|document| &document.statements);
    statements
        .filter(|statement| elements_match(statement, request))
        .flat_map(|statement| &statement.conditions)
        .map(|condition| condition.key.clone())
        .filter(|key| !request.context.has_key(key))
        .collect()
}

/// Whether action, resource and conditions of a statement match the request. Does not look at principals.
fn statement_matches(statement: &PolicyStatement, request: &AuthorizationRequest<'_>) -> bool {
    let conditions = &statement.conditions;
    elements_match(statement, request)
        && conditions
            .iter()
            .all(|condition| condition.is_met(request.context))
}

/// Whether action and resource of a statement match the request.
fn elements_match(statement: &PolicyStatement, request: &AuthorizationRequest<'_>) -> bool {
    let action = element_matches(&statement.actions, |name| {
        matches_wildcard_ignore_case(name, request.action)
    });
    let resource =
        |name: &str| matches_wildcard(&request.context.expand_variables(name), request.resource);
    let resource = statement
        .resources
        .as_ref()
        .is_none_or(|names| element_matches(names, resource));
    action && resource
}

fn element_matches(names: &PatternSet, matches: impl Fn(&str) -> bool) -> bool {
    names.patterns.iter().any(|name| matches(name)) != names.negated
}

/// Whether the `Principal` element of a statement matches the caller.
fn principal_matches(statement: &PolicyStatement, request: &AuthorizationRequest<'_>) -> bool {
    let Some(principals) = &statement.principals else {
        return false;
    };
    let names = principals
        .by_type
        .get("AWS")
        .map_or(&[] as &[String], Vec::as_slice);
    let named = names.iter().any(|name| is_named_by(request.caller, name));
    named != principals.negated
}

fn is_named_by(caller: &Caller, name: &str) -> bool {
    let account = caller.account();
    let by_account =
        !account.is_empty() && (name == account || name == format!("arn:aws:iam::{account}:root"));
    let role = match caller {
        Caller::AssumedRole(session) => session.role_arn() == name || session.role_id == name,
        Caller::User { .. } | Caller::Anonymous => false,
    };
    name == "*" || by_account || role || (*caller != Caller::Anonymous && name == caller.arn())
}

/// How a resource-based policy names the caller, from the weakest to the strongest form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum PrincipalMatch {
    /// By the account: this only delegates to the account's identity-based policies.
    Account,
    /// By the role: the grant is limited by the role's permissions boundary and the session policy.
    Role,
    /// By the user, the session or `*`: the grant suffices without any identity-based policy, boundary
    /// or session policy.
    Direct,
}

fn match_principal(
    statement: &PolicyStatement,
    request: &AuthorizationRequest<'_>,
    owner: &str,
) -> PrincipalMatch {
    let account = request.caller.account();
    let Some(Principals {
        negated: false,
        by_type,
    }) = &statement.principals
    else {
        return PrincipalMatch::Direct;
    };
    // The form matters only for grants to callers of the owner's account: a deny always applies, and
    // other accounts have to agree in any case.
    if !statement.allow || account != owner {
        return PrincipalMatch::Direct;
    }
    let root = format!("arn:aws:iam::{account}:root");
    let names = by_type
        .get("AWS")
        .into_iter()
        .flatten()
        .filter(|name| is_named_by(request.caller, name));
    let by = |name: &String| match request.caller {
        _ if *name == root || name == account => PrincipalMatch::Account,
        Caller::AssumedRole(session) if session.role_arn() == *name || session.role_id == *name => {
            PrincipalMatch::Role
        }
        _ => PrincipalMatch::Direct,
    };
    // A statement that names the caller in several forms grants the strongest of them.
    names.map(by).max().unwrap_or(PrincipalMatch::Account)
}

/// Whether a role's trust policy allows the request: for an AWS caller, or with `federated` (the ARN of
/// an OIDC provider) for the holder of a token. An AWS caller also needs [`authorize`], which takes its
/// own policies into account.
pub(crate) fn trust_policy_allows(
    document: &PolicyDocument,
    request: &AuthorizationRequest<'_>,
    federated: Option<&str>,
) -> bool {
    let names_caller = |statement: &PolicyStatement| {
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
            None => by("AWS")
                .iter()
                .any(|name| is_named_by(request.caller, name)),
        };
        statement_matches(statement, request) && named != principals.negated
    };
    let verdict = PolicyVerdict::evaluate([document], names_caller);
    verdict.allows && !verdict.denies
}
