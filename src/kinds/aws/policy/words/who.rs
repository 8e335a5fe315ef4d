//! Principals in words.

use super::{
    super::{
        statement::Who,
        word::{account, is_account, within_partition},
    },
    joined,
};

/// Who a statement speaks of, as the subject of a sentence.
pub(super) fn subject(who: &Who, denies: bool) -> String {
    let everyone = if denies { "everyone" } else { "EVERYONE" };
    match (who.but, who.is_everyone()) {
        (false, true) => everyone.to_owned(),
        (false, false) => named(who, "and"),
        (true, _) => format!("{everyone} except {}", named(who, "and")),
    }
}

/// Everyone who is named.
pub(super) fn named(who: &Who, and: &str) -> String {
    let all = who
        .kinds
        .iter()
        .flat_map(|(kind, members)| members.iter().map(move |one| (kind, one)));
    let all: Vec<String> = all.map(|(kind, one)| principal(kind, one.text())).collect();
    if all.is_empty() {
        "nobody".to_owned()
    } else {
        joined(&all, and)
    }
}

fn principal(kind: &str, name: &str) -> String {
    let known = match kind {
        _ if kind == Who::AWS => in_aws(name),
        "Service" => Some(format!("the AWS service {name}")),
        "Federated" => issuer(name).map(|issuer| format!("whoever has a token of {issuer}")),
        _ => None,
    };
    known.unwrap_or_else(|| format!("{kind} {name}"))
}

fn in_aws(name: &str) -> Option<String> {
    if name == "*" {
        return Some("everyone".to_owned());
    }
    if let Some(account) = account(name) {
        return Some(format!("whoever account {account} lets"));
    }
    // IAM puts a unique id in the place of an ARN when whom it names was deleted ("IAM identifiers", unique ids).
    let gone = |sort: &str| format!("a deleted {sort} that had the id {name}");
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric());
    match name.get(..4) {
        Some("AROA") if plain => return Some(gone("role")),
        Some("AIDA") if plain => return Some(gone("user")),
        _ => {}
    }
    let (account, path) = within_partition(name)?
        .strip_prefix("iam::")?
        .split_once(':')?;
    let (sort, path) = path.split_once('/')?;
    let known = is_account(account) && ["role", "user"].contains(&sort);
    known.then(|| format!("{sort} {path} of account {account}"))
}

/// The issuer of tokens that a provider's ARN names, without its scheme.
pub(super) fn issuer(arn: &str) -> Option<&str> {
    let (account, issuer) = within_partition(arn)?
        .strip_prefix("iam::")?
        .split_once(":oidc-provider/")?;
    (is_account(account) && !issuer.is_empty()).then_some(issuer)
}
