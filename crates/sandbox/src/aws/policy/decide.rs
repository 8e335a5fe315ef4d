//! The decision: all policies that have a say in one request, added up as AWS adds them up.

use super::condition::Context;
use super::document::{Document, Names, Principals, Statement};
use super::pattern::{like, like_any_case};
use super::{identity, managed};
use crate::aws::answer::Problem;
use crate::aws::iam::Account;
use crate::aws::who::Who;
use crate::world::World;

/// What somebody wants to do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask<'a> {
    pub(crate) who: &'a Who,
    /// `s3:GetObject`
    pub(crate) action: &'a str,
    /// The ARN of what it is done to.
    pub(crate) resource: &'a str,
    pub(crate) context: &'a Context,
}

/// Whose the resource is, and what it says itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct Guard {
    pub(crate) account: String,
    pub(crate) policy: Option<Document>,
    /// Whether a policy that lets in everybody counts only for the owner's account (`RestrictPublicBuckets`).
    pub(crate) restricted: bool,
}

/// What one set of policies says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Voice {
    allows: bool,
    denies: bool,
}

impl Voice {
    fn of<'a>(
        documents: impl IntoIterator<Item = &'a Document>,
        holds: impl Fn(&Statement) -> bool,
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
struct Own {
    policies: Vec<Document>,
    boundary: Option<Document>,
    session: Option<Document>,
}

fn own(world: &World, who: &Who) -> Own {
    let account = world.aws.root.accounts.get(who.account());
    match (who, account) {
        (Who::User { name, .. }, Some(account)) => {
            let Some(user) = account.users.get(name) else {
                return Own::default();
            };
            Own {
                policies: gather(account, user.inline.values(), &user.attached),
                ..Own::default()
            }
        }
        (Who::Session(session), Some(account)) => {
            let role = account
                .role(&session.role)
                .filter(|role| role.id == session.role_id);
            let Some(role) = role else {
                return Own::default();
            };
            // A boundary that is gone allows nothing.
            let boundary = role
                .boundary
                .as_ref()
                .map(|arn| known(account, arn).unwrap_or_default());
            let session = session
                .policy
                .as_ref()
                .map(|text| identity(text).unwrap_or_default());
            Own {
                policies: gather(account, role.inline.values(), &role.attached),
                boundary,
                session,
            }
        }
        _ => Own::default(),
    }
}

/// A managed policy: AWS's, or the account's own.
fn known(account: &Account, arn: &str) -> Option<Document> {
    let custom = || identity(&account.policies.get(arn)?.document).ok();
    managed(arn).map(|(.., document)| document).or_else(custom)
}

fn gather<'a>(
    account: &Account,
    inline: impl Iterator<Item = &'a String>,
    attached: impl IntoIterator<Item = &'a String>,
) -> Vec<Document> {
    let attached = attached.into_iter().filter_map(|arn| known(account, arn));
    inline
        .filter_map(|text| identity(text).ok())
        .chain(attached)
        .collect()
}

/// Whether a request may be done.
///
/// # Errors
/// `403 AccessDenied`, with AWS's words for why not.
pub(crate) fn decide(world: &World, ask: &Ask<'_>, guard: &Guard) -> Result<(), Problem> {
    let own = own(world, ask.who);
    let mine = Voice::of(&own.policies, |statement| applies(statement, ask));
    let limit = |document: &Option<Document>| match document {
        Some(document) => Voice::of([document], |statement| applies(statement, ask)),
        None => Voice {
            allows: true,
            denies: false,
        },
    };
    let (boundary, session) = (limit(&own.boundary), limit(&own.session));
    let named = |statement: &Statement| applies(statement, ask) && addresses(statement, ask);
    let direct = Voice::of(&guard.policy, |statement| {
        named(statement) && standing(statement, ask, &guard.account) == Standing::Itself
    });
    let as_role = Voice::of(&guard.policy, |statement| {
        named(statement) && standing(statement, ask, &guard.account) == Standing::Role
    });
    let delegated = Voice::of(&guard.policy, named);
    let foreign = ask.who.account() != guard.account;
    let refuse = |why: &str| Err(refusal(ask, foreign, why));
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
        true if guard.restricted => false,
        true if *ask.who == Who::Anonymous => direct.allows,
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
fn refusal(ask: &Ask<'_>, foreign: bool, why: &str) -> Problem {
    if foreign {
        return Problem::denied("Access Denied");
    }
    let (who, action) = (ask.who.arn(), ask.action);
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
    Problem::denied(format!(
        "User: {who} is not authorized to perform: {action} on resource: {quote}{resource}{quote} {why}"
    ))
}

/// Whether a statement is about an action on a resource under these circumstances.
fn applies(statement: &Statement, ask: &Ask<'_>) -> bool {
    let action = one_of(&statement.actions, |name| like_any_case(name, ask.action));
    let resource = |name: &str| like(&ask.context.fill(name), ask.resource);
    let resource = statement
        .resources
        .as_ref()
        .is_none_or(|names| one_of(names, resource));
    action
        && resource
        && statement
            .conditions
            .iter()
            .all(|condition| condition.holds(ask.context))
}

fn one_of(names: &Names, is: impl Fn(&str) -> bool) -> bool {
    names.list.iter().any(|name| is(name)) != names.not
}

/// Whether a resource's statement is about the caller.
fn addresses(statement: &Statement, ask: &Ask<'_>) -> bool {
    let Some(principals) = &statement.principals else {
        return false;
    };
    let names = principals
        .by_kind
        .get("AWS")
        .map_or(&[] as &[String], Vec::as_slice);
    let named = names.iter().any(|name| is_called(ask.who, name));
    named != principals.not
}

fn is_called(who: &Who, name: &str) -> bool {
    let account = who.account();
    let by_account =
        !account.is_empty() && (name == account || name == format!("arn:aws:iam::{account}:root"));
    let role = match who {
        Who::Session(session) => session.role_arn() == name || session.role_id == name,
        Who::User { .. } | Who::Anonymous => false,
    };
    name == "*" || by_account || role || (*who != Who::Anonymous && name == who.arn())
}

/// As what a statement of a resource names the caller, from the weakest to the strongest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    /// As somebody of the account that owns the resource: that lets the account decide, and no more.
    Account,
    /// As whoever holds a role: what is granted to a role stays within its boundary and the session's policy.
    Role,
    /// As the user or session that it is, or as anybody: what is missing in its own policies does not matter.
    Itself,
}

fn standing(statement: &Statement, ask: &Ask<'_>, owner: &str) -> Standing {
    let account = ask.who.account();
    let Some(Principals {
        not: false,
        by_kind,
    }) = &statement.principals
    else {
        return Standing::Itself;
    };
    if !statement.allow || account != owner {
        return Standing::Itself;
    }
    let root = format!("arn:aws:iam::{account}:root");
    let names = by_kind
        .get("AWS")
        .into_iter()
        .flatten()
        .filter(|name| is_called(ask.who, name));
    let by = |name: &String| match ask.who {
        _ if *name == root || name == account => Standing::Account,
        Who::Session(session) if session.role_arn() == *name || session.role_id == *name => {
            Standing::Role
        }
        _ => Standing::Itself,
    };
    names.map(by).max().unwrap_or(Standing::Account)
}

/// Whether a role's trust policy lets somebody in: a caller of AWS, or with `federated` the holder of a token. A caller
/// of AWS has policies of its own, which [`decide`] adds.
pub(crate) fn trusts(document: &Document, ask: &Ask<'_>, federated: Option<&str>) -> bool {
    let named = |statement: &Statement| {
        let Some(principals) = &statement.principals else {
            return false;
        };
        let by = |kind: &str| {
            principals
                .by_kind
                .get(kind)
                .map_or(&[] as &[String], Vec::as_slice)
        };
        let named = match federated {
            Some(provider) => by("Federated").iter().any(|name| name == provider),
            None => by("AWS").iter().any(|name| is_called(ask.who, name)),
        };
        applies(statement, ask) && named != principals.not
    };
    let all = Voice::of([document], named);
    all.allows && !all.denies
}
