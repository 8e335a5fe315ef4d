//! Describes who may assume a role. Fly machines and GitHub Actions jobs are recognized by the
//! claims of their tokens.
//!
//! Sources of the forms of `sub`: Fly, "OpenID Connect"; GitHub, "OpenID Connect reference".

use super::{
    super::{Effect, Statement, policy_string::PolicyString, statement::Conditions},
    conditions, join_list, principals, resources, single_principal, single_value,
};

/// Describes a statement about assuming a role; `None` for any other statement.
pub(super) fn describe_assume_role(statement: &Statement) -> Option<String> {
    let Statement {
        sid: _,
        effect,
        principals,
        actions,
        resources,
        conditions,
        other_elements: _,
    } = statement;
    let principals = principals.as_ref()?;
    let assumes = |name: &str| name.starts_with("sts:assumerole") && resources::is_literal(name);
    if resources.is_some()
        || actions.negated
        || !actions
            .values
            .iter()
            .any(|value| assumes(value.normalized()))
    {
        return None;
    }
    let mut remaining = conditions.clone();
    let issuer = single_principal(principals, "Federated").and_then(principals::oidc_issuer);
    let subject = issuer
        .and_then(|issuer| take_token_subject(issuer, &mut remaining))
        .unwrap_or_else(|| {
            if principals.negated {
                principals::describe_subject(principals, *effect == Effect::Deny)
            } else {
                principals::describe_principals(principals, "or")
            }
        });
    let subject = if subject == "everyone" && *effect == Effect::Allow {
        "EVERYONE".to_owned()
    } else {
        subject
    };
    // The action is mentioned only if it is not the usual one for this kind of principal.
    let usual_action = match (
        issuer,
        principals.by_type.keys().all(|kind| kind != "Federated"),
    ) {
        (Some(_), _) => "sts:assumerolewithwebidentity",
        (None, true) => "sts:assumerole",
        (None, false) => "sts:assumerolewithsaml",
    };
    let other_actions = match single_value(actions) {
        Some(action) if action.normalized() == usual_action => String::new(),
        _ => {
            let names: Vec<&str> = actions.values.iter().map(PolicyString::original).collect();
            format!(" (by {})", join_list(&names, "and"))
        }
    };
    let denies = *effect == Effect::Deny;
    let may = if denies { "may never" } else { "may" };
    let audience = issuer
        .and_then(|issuer| take_audience(issuer, &mut remaining))
        .unwrap_or_default();
    Some(format!(
        "{may} be assumed by {subject}{other_actions}{audience}{}",
        conditions::describe_conditions(remaining, denies)
    ))
}

/// `, with a token for sts.amazonaws.com`.
fn take_audience(issuer: &str, remaining: &mut Conditions) -> Option<String> {
    let key = format!("{issuer}:aud");
    let audiences =
        conditions::find_values(remaining, "StringEquals", &key).filter(|all| !all.is_empty())?;
    let text = format!(", with a token for {}", join_list(&audiences, "or"));
    conditions::take_values(remaining, "StringEquals", &key).map(|_| text)
}

/// The issuers whose tokens are understood.
#[derive(Clone, Copy)]
enum TokenIssuer<'a> {
    /// Fly has one issuer for each organization.
    Fly(&'a str),
    GitHub,
}

impl<'a> TokenIssuer<'a> {
    fn from_host(issuer: &'a str) -> Option<Self> {
        match issuer.strip_prefix("oidc.fly.io/") {
            Some(org) => resources::is_literal(org).then_some(Self::Fly(org)),
            None => (issuer == "token.actions.githubusercontent.com").then_some(Self::GitHub),
        }
    }

    /// Whose tokens have this `sub`; `is_pattern` when stars stand for anything.
    fn describe_subject(self, sub: &str, is_pattern: bool) -> Option<String> {
        match self {
            Self::Fly(org) => describe_fly_subject(org, sub, is_pattern),
            Self::GitHub => describe_github_subject(sub, is_pattern),
        }
    }

    /// Whose tokens are accepted without a condition on `sub`.
    fn describe_any_subject(self) -> String {
        match self {
            Self::Fly(org) => format!("EVERY machine of the Fly org {org}"),
            Self::GitHub => "GitHub Actions of ANY repository on GitHub".to_owned(),
        }
    }
}

/// Describes whose tokens are accepted and removes the condition on `sub`, if the issuer is known
/// and every `sub` is understood.
fn take_token_subject(issuer: &str, remaining: &mut Conditions) -> Option<String> {
    let token_issuer = TokenIssuer::from_host(issuer)?;
    let key = format!("{issuer}:sub");
    let (operator, is_pattern) = match (
        conditions::find_values(remaining, "StringLike", &key),
        conditions::find_values(remaining, "StringEquals", &key),
    ) {
        (None, None) => {
            let is_open = !remaining
                .values()
                .any(|keys| keys.contains_key(&PolicyString::case_insensitive(&key)));
            return is_open.then(|| token_issuer.describe_any_subject());
        }
        (Some(_), None) => ("StringLike", true),
        (None, Some(_)) => ("StringEquals", false),
        (Some(_), Some(_)) => return None,
    };
    let subs =
        conditions::find_values(remaining, operator, &key).filter(|subs| !subs.is_empty())?;
    let subjects: Vec<String> = subs
        .into_iter()
        .map(|sub| token_issuer.describe_subject(sub, is_pattern))
        .collect::<Option<_>>()?;
    conditions::take_values(remaining, operator, &key)?;
    Some(join_list(&subjects, "or"))
}

/// `org:app:machine`. Without `StringLike`, a `*` is just a character.
fn describe_fly_subject(org: &str, sub: &str, is_pattern: bool) -> Option<String> {
    let rest = sub.strip_prefix(org)?.strip_prefix(':')?;
    match rest.split_once(':') {
        None if rest == "*" && is_pattern => Some(format!("EVERY machine of the Fly org {org}")),
        Some((app, "*")) if is_pattern && resources::is_literal(app) => {
            Some(format!("machines of the Fly app {app} (org {org})"))
        }
        Some((app, machine)) if resources::is_literal(app) && resources::is_literal(machine) => {
            Some(format!(
                "the machine {machine} of the Fly app {app} (org {org})"
            ))
        }
        _ => None,
    }
}

/// `repo:owner/name:` and the ref, environment or event of the job.
fn describe_github_subject(sub: &str, is_pattern: bool) -> Option<String> {
    let (repository, context) = sub.strip_prefix("repo:")?.split_once(':')?;
    let actions = format!("GitHub Actions of {repository}");
    if !resources::is_literal(repository) || !repository.contains('/') {
        return None;
    }
    let has_wildcard = !resources::is_literal(context);
    match (context.split_once(':'), has_wildcard) {
        (None, true) if context == "*" && is_pattern => Some(format!(
            "{actions} on ANY branch, tag, pull request and environment"
        )),
        (_, true) if !is_pattern => None,
        (Some(("ref", name)), false) => Some(format!("{actions} on {name}")),
        (Some(("ref", name)), true) => Some(format!("{actions} on every ref like {name}")),
        (Some(("environment", name)), false) => {
            Some(format!("{actions} in the environment {name}"))
        }
        (Some(("environment", name)), true) => {
            Some(format!("{actions} in every environment like {name}"))
        }
        (None, false) if context == "pull_request" => {
            Some(format!("{actions} on ANY pull request"))
        }
        _ => None,
    }
}
