//! Describes principals.

use super::{
    super::{
        policy_string::{is_account_id, principal_account, strip_partition},
        statement::PrincipalSet,
    },
    join_list,
};

/// Whom a statement is about, as the subject of a sentence.
pub(super) fn describe_subject(principals: &PrincipalSet, denies: bool) -> String {
    let everyone = if denies { "everyone" } else { "EVERYONE" };
    match (principals.negated, principals.is_everyone()) {
        (false, true) => everyone.to_owned(),
        (false, false) => describe_principals(principals, "and"),
        (true, _) => format!(
            "{everyone} except {}",
            describe_principals(principals, "and")
        ),
    }
}

/// All principals that are named.
pub(super) fn describe_principals(principals: &PrincipalSet, conjunction: &str) -> String {
    let entries = principals
        .by_type
        .iter()
        .flat_map(|(kind, members)| members.iter().map(move |principal| (kind, principal)));
    let entries: Vec<String> = entries
        .map(|(kind, principal)| describe_principal(kind, principal.original()))
        .collect();
    if entries.is_empty() {
        "nobody".to_owned()
    } else {
        join_list(&entries, conjunction)
    }
}

fn describe_principal(kind: &str, name: &str) -> String {
    let description = match kind {
        _ if kind == PrincipalSet::AWS => describe_aws_principal(name),
        "Service" => Some(format!("the AWS service {name}")),
        "Federated" => oidc_issuer(name).map(|issuer| format!("whoever has a token of {issuer}")),
        _ => None,
    };
    description.unwrap_or_else(|| format!("{kind} {name}"))
}

fn describe_aws_principal(name: &str) -> Option<String> {
    if name == "*" {
        return Some("everyone".to_owned());
    }
    if let Some(account) = principal_account(name) {
        return Some(format!("whoever account {account} lets"));
    }
    // When a principal is deleted, IAM puts its unique ID in place of its ARN (IAM User Guide, "IAM
    // identifiers").
    let deleted = |entity: &str| format!("a deleted {entity} that had the id {name}");
    let is_plain_id = name.bytes().all(|byte| byte.is_ascii_alphanumeric());
    match name.get(..4) {
        Some("AROA") if is_plain_id => return Some(deleted("role")),
        Some("AIDA") if is_plain_id => return Some(deleted("user")),
        _ => {}
    }
    let (account, path) = strip_partition(name)?
        .strip_prefix("iam::")?
        .split_once(':')?;
    let (entity, path) = path.split_once('/')?;
    let description = is_account_id(account) && ["role", "user"].contains(&entity);
    description.then(|| format!("{entity} {path} of account {account}"))
}

/// The token issuer in the ARN of an OIDC provider, without `https://`.
pub(super) fn oidc_issuer(arn: &str) -> Option<&str> {
    let (account, issuer) = strip_partition(arn)?
        .strip_prefix("iam::")?
        .split_once(":oidc-provider/")?;
    (is_account_id(account) && !issuer.is_empty()).then_some(issuer)
}
