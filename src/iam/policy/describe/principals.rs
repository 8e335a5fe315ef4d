//! Principals in words.

use super::{
    super::{
        policy_string::{is_account_id, principal_account, strip_partition},
        statement::PrincipalSet,
    },
    join_list,
};

/// Who a statement speaks of, as the subject of a sentence.
pub(super) fn describe_subject(who: &PrincipalSet, denies: bool) -> String {
    let everyone = if denies { "everyone" } else { "EVERYONE" };
    match (who.negated, who.is_everyone()) {
        (false, true) => everyone.to_owned(),
        (false, false) => describe_principals(who, "and"),
        (true, _) => format!("{everyone} except {}", describe_principals(who, "and")),
    }
}

/// Everyone who is named.
pub(super) fn describe_principals(who: &PrincipalSet, and: &str) -> String {
    let all = who
        .by_type
        .iter()
        .flat_map(|(kind, members)| members.iter().map(move |one| (kind, one)));
    let all: Vec<String> = all
        .map(|(kind, one)| describe_principal(kind, one.original()))
        .collect();
    if all.is_empty() {
        "nobody".to_owned()
    } else {
        join_list(&all, and)
    }
}

fn describe_principal(kind: &str, name: &str) -> String {
    let known = match kind {
        _ if kind == PrincipalSet::AWS => describe_aws_principal(name),
        "Service" => Some(format!("the AWS service {name}")),
        "Federated" => oidc_issuer(name).map(|issuer| format!("whoever has a token of {issuer}")),
        _ => None,
    };
    known.unwrap_or_else(|| format!("{kind} {name}"))
}

fn describe_aws_principal(name: &str) -> Option<String> {
    if name == "*" {
        return Some("everyone".to_owned());
    }
    if let Some(account) = principal_account(name) {
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
    let (account, path) = strip_partition(name)?
        .strip_prefix("iam::")?
        .split_once(':')?;
    let (sort, path) = path.split_once('/')?;
    let known = is_account_id(account) && ["role", "user"].contains(&sort);
    known.then(|| format!("{sort} {path} of account {account}"))
}

/// The issuer of tokens that a provider's ARN names, without its scheme.
pub(super) fn oidc_issuer(arn: &str) -> Option<&str> {
    let (account, issuer) = strip_partition(arn)?
        .strip_prefix("iam::")?
        .split_once(":oidc-provider/")?;
    (is_account_id(account) && !issuer.is_empty()).then_some(issuer)
}
