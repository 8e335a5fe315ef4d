//! Who may assume a role: machines of Fly and jobs of GitHub by what their tokens say of them.
//!
//! The forms of `sub` are from Fly's "OpenID Connect" and from GitHub's "OpenID Connect reference".

use super::{
    super::{Effect, Statement, policy_string::PolicyString, statement::Conditions},
    conditions, join_list, principals, resources, single_principal, single_value,
};

/// What a statement that lets somebody assume a role says; nothing for any other statement.
pub(super) fn describe_assume_role(statement: &Statement) -> Option<String> {
    let Statement {
        sid: _,
        effect,
        principals: principal,
        actions: action,
        resources: resource,
        conditions: condition,
        other_elements: _,
    } = statement;
    let principal = principal.as_ref()?;
    let assumes = |name: &str| name.starts_with("sts:assumerole") && resources::is_literal(name);
    if resource.is_some()
        || action.negated
        || !action.values.iter().any(|word| assumes(word.normalized()))
    {
        return None;
    }
    let mut open = condition.clone();
    let token = single_principal(principal, "Federated").and_then(principals::oidc_issuer);
    let whom = token
        .and_then(|issuer| take_token_subject(issuer, &mut open))
        .unwrap_or_else(|| {
            if principal.negated {
                principals::describe_subject(principal, *effect == Effect::Deny)
            } else {
                principals::describe_principals(principal, "or")
            }
        });
    let whom = if whom == "everyone" && *effect == Effect::Allow {
        "EVERYONE".to_owned()
    } else {
        whom
    };
    // With which call is said unless it is the one that goes with the principal.
    let natural = match (
        token,
        principal.by_type.keys().all(|kind| kind != "Federated"),
    ) {
        (Some(_), _) => "sts:assumerolewithwebidentity",
        (None, true) => "sts:assumerole",
        (None, false) => "sts:assumerolewithsaml",
    };
    let calls = match single_value(action) {
        Some(action) if action.normalized() == natural => String::new(),
        _ => {
            let names: Vec<&str> = action.values.iter().map(PolicyString::original).collect();
            format!(" (by {})", join_list(&names, "and"))
        }
    };
    let denies = *effect == Effect::Deny;
    let may = if denies { "may never" } else { "may" };
    let audience = token
        .and_then(|issuer| take_audience(issuer, &mut open))
        .unwrap_or_default();
    Some(format!(
        "{may} be assumed by {whom}{calls}{audience}{}",
        conditions::describe_conditions(open, denies)
    ))
}

/// `, with a token for sts.amazonaws.com`.
fn take_audience(issuer: &str, open: &mut Conditions) -> Option<String> {
    let key = format!("{issuer}:aud");
    let audiences =
        conditions::find_values(open, "StringEquals", &key).filter(|all| !all.is_empty())?;
    let text = format!(", with a token for {}", join_list(&audiences, "or"));
    conditions::take_values(open, "StringEquals", &key).map(|_| text)
}

/// The issuers whose tokens are understood.
#[derive(Clone, Copy)]
enum TokenIssuer<'a> {
    /// Fly has one for each organisation.
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

    /// Whose tokens have this `sub`; `like` when stars stand for anything.
    fn describe_subject(self, sub: &str, like: bool) -> Option<String> {
        match self {
            Self::Fly(org) => describe_fly_subject(org, sub, like),
            Self::GitHub => describe_github_subject(sub, like),
        }
    }

    /// Whose tokens they are when nothing is said of their `sub`.
    fn describe_any_subject(self) -> String {
        match self {
            Self::Fly(org) => format!("EVERY machine of the Fly org {org}"),
            Self::GitHub => "GitHub Actions of ANY repository on GitHub".to_owned(),
        }
    }
}

/// Whose tokens they are, when the issuer is known and every `sub` is understood.
fn take_token_subject(issuer: &str, open: &mut Conditions) -> Option<String> {
    let known = TokenIssuer::from_host(issuer)?;
    let key = format!("{issuer}:sub");
    let (operator, like) = match (
        conditions::find_values(open, "StringLike", &key),
        conditions::find_values(open, "StringEquals", &key),
    ) {
        (None, None) => {
            let is_open = !open
                .values()
                .any(|keys| keys.contains_key(&PolicyString::case_insensitive(&key)));
            return is_open.then(|| known.describe_any_subject());
        }
        (Some(_), None) => ("StringLike", true),
        (None, Some(_)) => ("StringEquals", false),
        (Some(_), Some(_)) => return None,
    };
    let subs = conditions::find_values(open, operator, &key).filter(|subs| !subs.is_empty())?;
    let holders: Vec<String> = subs
        .into_iter()
        .map(|sub| known.describe_subject(sub, like))
        .collect::<Option<_>>()?;
    conditions::take_values(open, operator, &key)?;
    Some(join_list(&holders, "or"))
}

/// `org:app:machine`. Without `StringLike` a star is a star.
fn describe_fly_subject(org: &str, sub: &str, like: bool) -> Option<String> {
    let rest = sub.strip_prefix(org)?.strip_prefix(':')?;
    match rest.split_once(':') {
        None if rest == "*" && like => Some(format!("EVERY machine of the Fly org {org}")),
        Some((app, "*")) if like && resources::is_literal(app) => {
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

/// `repo:owner/name:` and what the job runs for.
fn describe_github_subject(sub: &str, like: bool) -> Option<String> {
    let (repository, what) = sub.strip_prefix("repo:")?.split_once(':')?;
    let actions = format!("GitHub Actions of {repository}");
    if !resources::is_literal(repository) || !repository.contains('/') {
        return None;
    }
    let pattern = !resources::is_literal(what);
    match (what.split_once(':'), pattern) {
        (None, true) if what == "*" && like => Some(format!(
            "{actions} on ANY branch, tag, pull request and environment"
        )),
        (_, true) if !like => None,
        (Some(("ref", name)), false) => Some(format!("{actions} on {name}")),
        (Some(("ref", name)), true) => Some(format!("{actions} on every ref like {name}")),
        (Some(("environment", name)), false) => {
            Some(format!("{actions} in the environment {name}"))
        }
        (Some(("environment", name)), true) => {
            Some(format!("{actions} in every environment like {name}"))
        }
        (None, false) if what == "pull_request" => Some(format!("{actions} on ANY pull request")),
        _ => None,
    }
}
