//! Who may assume a role: machines of Fly and jobs of GitHub by what their tokens say of them.
//!
//! The forms of `sub` are from Fly's "OpenID Connect" and from GitHub's "OpenID Connect reference".

use super::{
    super::{Effect, Statement, statement::Condition, word::Word},
    joined, only, only_principal, places, when, who,
};

/// What a statement that lets somebody assume a role says; nothing for any other statement.
pub(super) fn assumed(statement: &Statement) -> Option<String> {
    let Statement {
        sid: _,
        effect,
        principal,
        action,
        resource,
        condition,
        rest: _,
    } = statement;
    let principal = principal.as_ref()?;
    let assumes = |name: &str| name.starts_with("sts:assumerole") && places::is_plain(name);
    if resource.is_some() || action.but || !action.members.iter().any(|word| assumes(word.key())) {
        return None;
    }
    let mut open = condition.clone();
    let token = only_principal(principal, "Federated").and_then(who::issuer);
    let whom = token
        .and_then(|issuer| holder(issuer, &mut open))
        .unwrap_or_else(|| {
            if principal.but {
                who::subject(principal, *effect == Effect::Deny)
            } else {
                who::named(principal, "or")
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
        principal.kinds.keys().all(|kind| kind != "Federated"),
    ) {
        (Some(_), _) => "sts:assumerolewithwebidentity",
        (None, true) => "sts:assumerole",
        (None, false) => "sts:assumerolewithsaml",
    };
    let calls = match only(action) {
        Some(action) if action.key() == natural => String::new(),
        _ => {
            let names: Vec<&str> = action.members.iter().map(Word::text).collect();
            format!(" (by {})", joined(&names, "and"))
        }
    };
    let denies = *effect == Effect::Deny;
    let may = if denies { "may never" } else { "may" };
    let audience = token
        .and_then(|issuer| audience(issuer, &mut open))
        .unwrap_or_default();
    Some(format!(
        "{may} be assumed by {whom}{calls}{audience}{}",
        when::clauses(open, denies)
    ))
}

/// `, with a token for sts.amazonaws.com`.
fn audience(issuer: &str, open: &mut Condition) -> Option<String> {
    let key = format!("{issuer}:aud");
    let audiences = when::look(open, "StringEquals", &key).filter(|all| !all.is_empty())?;
    let text = format!(", with a token for {}", joined(&audiences, "or"));
    when::take(open, "StringEquals", &key).map(|_| text)
}

/// The issuers whose tokens are understood.
#[derive(Clone, Copy)]
enum Issuer<'a> {
    /// Fly has one for each organisation.
    Fly(&'a str),
    GitHub,
}

impl<'a> Issuer<'a> {
    fn of(issuer: &'a str) -> Option<Self> {
        match issuer.strip_prefix("oidc.fly.io/") {
            Some(org) => places::is_plain(org).then_some(Self::Fly(org)),
            None => (issuer == "token.actions.githubusercontent.com").then_some(Self::GitHub),
        }
    }

    /// Whose tokens have this `sub`; `like` when stars stand for anything.
    fn holder(self, sub: &str, like: bool) -> Option<String> {
        match self {
            Self::Fly(org) => fly(org, sub, like),
            Self::GitHub => github(sub, like),
        }
    }

    /// Whose tokens they are when nothing is said of their `sub`.
    fn anybody(self) -> String {
        match self {
            Self::Fly(org) => format!("EVERY machine of the Fly org {org}"),
            Self::GitHub => "GitHub Actions of ANY repository on GitHub".to_owned(),
        }
    }
}

/// Whose tokens they are, when the issuer is known and every `sub` is understood.
fn holder(issuer: &str, open: &mut Condition) -> Option<String> {
    let known = Issuer::of(issuer)?;
    let key = format!("{issuer}:sub");
    let (operator, like) = match (
        when::look(open, "StringLike", &key),
        when::look(open, "StringEquals", &key),
    ) {
        (None, None) => {
            let is_open = !open
                .values()
                .any(|keys| keys.contains_key(&Word::caseless(&key)));
            return is_open.then(|| known.anybody());
        }
        (Some(_), None) => ("StringLike", true),
        (None, Some(_)) => ("StringEquals", false),
        (Some(_), Some(_)) => return None,
    };
    let subs = when::look(open, operator, &key).filter(|subs| !subs.is_empty())?;
    let holders: Vec<String> = subs
        .into_iter()
        .map(|sub| known.holder(sub, like))
        .collect::<Option<_>>()?;
    when::take(open, operator, &key)?;
    Some(joined(&holders, "or"))
}

/// `org:app:machine`. Without `StringLike` a star is a star.
fn fly(org: &str, sub: &str, like: bool) -> Option<String> {
    let rest = sub.strip_prefix(org)?.strip_prefix(':')?;
    match rest.split_once(':') {
        None if rest == "*" && like => Some(format!("EVERY machine of the Fly org {org}")),
        Some((app, "*")) if like && places::is_plain(app) => {
            Some(format!("machines of the Fly app {app} (org {org})"))
        }
        Some((app, machine)) if places::is_plain(app) && places::is_plain(machine) => Some(
            format!("the machine {machine} of the Fly app {app} (org {org})"),
        ),
        _ => None,
    }
}

/// `repo:owner/name:` and what the job runs for.
fn github(sub: &str, like: bool) -> Option<String> {
    let (repository, what) = sub.strip_prefix("repo:")?.split_once(':')?;
    let actions = format!("GitHub Actions of {repository}");
    if !places::is_plain(repository) || !repository.contains('/') {
        return None;
    }
    let pattern = !places::is_plain(what);
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
