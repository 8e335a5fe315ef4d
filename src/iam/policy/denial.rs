//! Whether a statement certainly denies a request. What is not known of the request (its address, its
//! organization) makes the answer "not certainly", so nothing is refused by guess.
//!
//! Sources: IAM User Guide, "IAM JSON policy elements: Condition operators" (a key that is absent makes
//! a condition false, a negated one true) and "AWS JSON policy elements: `NotPrincipal`".

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Statement,
    operators::Operator,
    policy_string::{self, PolicyString},
    statement::{Effect, ElementValues, PrincipalSet},
};

/// A request, as far as it is known.
#[derive(Clone, Debug, Default)]
pub struct KnownRequest<'a> {
    /// The action, such as `s3:PutObject`.
    pub action: &'a str,
    /// The ARN of the resource.
    pub resource: &'a str,
    /// The account of the caller.
    pub account: &'a str,
    /// Who calls, as `sts:GetCallerIdentity` says it, if that is known.
    pub caller: Option<&'a str>,
    /// Condition keys in lower case with their value; `None` for one that the request certainly lacks.
    pub keys: BTreeMap<&'a str, Option<&'a str>>,
}

/// The earliest time at which this program can run, and one at which none of it runs any more. So a condition on the time can be
/// certain, and a plan still does not depend on the clock.
const EARLIEST_RUN: &str = "2026-01-01T00:00:00Z";
const LATEST_RUN: &str = "2100-01-01T00:00:00Z";

impl<'a> KnownRequest<'a> {
    /// A request of a run itself, with the keys that are known of every one: it is sent over TLS, by no service of AWS, to a
    /// bucket of the account, and has no tags.
    #[must_use]
    pub fn of_run(
        action: &'a str,
        resource: &'a str,
        account: &'a str,
        caller: Option<&'a str>,
    ) -> Self {
        let mut keys = BTreeMap::from([
            ("aws:securetransport", Some("true")),
            ("aws:viaawsservice", Some("false")),
            ("aws:principalisawsservice", Some("false")),
            ("aws:calledvia", None),
            ("aws:tagkeys", None),
            ("aws:resourceaccount", Some(account)),
            ("s3:resourceaccount", Some(account)),
        ]);
        let principal_type = caller.and_then(principal_type);
        keys.extend(principal_type.map(|name| ("aws:principaltype", Some(name))));
        Self {
            action,
            resource,
            account,
            caller,
            keys,
        }
    }
}

/// What `aws:PrincipalType` says of a caller (IAM User Guide, "AWS global condition context keys").
fn principal_type(caller: &str) -> Option<&'static str> {
    let (service, name) = policy_string::strip_partition(caller)?.split_once("::")?;
    let name = name.split_once(':')?.1;
    match (service, name.split('/').next()?) {
        ("iam", "user") => Some("User"),
        ("iam", "root") => Some("Account"),
        ("sts", "assumed-role") => Some("AssumedRole"),
        ("sts", "federated-user") => Some("FederatedUser"),
        _ => None,
    }
}

impl Statement {
    /// Whether this statement denies the request, whatever is unknown of it.
    #[must_use]
    pub fn certainly_denies(&self, request: &KnownRequest<'_>) -> bool {
        let matches_element = |element: &ElementValues, text: &str, fold: bool| {
            element.values.iter().any(|value| {
                let pattern = if fold {
                    value.normalized()
                } else {
                    value.original()
                };
                matches_pattern(pattern, text)
            }) != element.negated
        };
        let action = request.action.to_ascii_lowercase();
        self.effect == Effect::Deny
            && matches_element(&self.actions, &action, true)
            && self
                .resources
                .as_ref()
                .is_some_and(|element| matches_element(element, request.resource, false))
            && self
                .principals
                .as_ref()
                .is_some_and(|principals| includes_caller(principals, request))
            && self.conditions.iter().all(|(operator, keys)| {
                keys.iter().all(|(key, values)| {
                    is_met(operator.normalized(), key.normalized(), values, request) == Some(true)
                })
            })
    }
}

/// Whether the principals certainly include the caller.
fn includes_caller(principals: &PrincipalSet, request: &KnownRequest<'_>) -> bool {
    let named = principals.by_type.get(PrincipalSet::AWS).into_iter();
    let mut named = named.flatten().map(PolicyString::normalized);
    if principals.negated {
        // Everyone but these: certain only if the caller is known, and is none of them.
        let Some(caller) = request.caller else {
            return false;
        };
        return named.all(|name| {
            name != "*"
                && name != request.account
                && name != caller
                && principal_arn_matches(name, caller) == Some(false)
        });
    }
    named.any(|name| {
        name == "*"
            || name == request.account
            || request
                .caller
                .is_some_and(|caller| name == caller || is_role_of_session(name, caller))
    })
}

/// Whether a principal is the role of the session. S3 accepts only principals that exist, and the name of a role is unique in its
/// account, so its path does not matter.
fn is_role_of_session(principal: &str, caller: &str) -> bool {
    let role = policy_string::strip_partition(principal)
        .and_then(|name| name.strip_prefix("iam::")?.split_once(":role/"));
    let role = role.and_then(|(account, path)| Some((account, path.rsplit('/').next()?)));
    role.is_some() && role == session_role(caller)
}

/// Whether a condition is met; `None` if it is unknown.
fn is_met(
    operator: &str,
    key: &str,
    values: &BTreeSet<PolicyString>,
    request: &KnownRequest<'_>,
) -> Option<bool> {
    let operator = Operator::parse(operator)?;
    let (name, negated) = (operator.name.replacen("not", "", 1), operator.is_negated());
    if key == "aws:principalarn" {
        let caller = request.caller?;
        let matches = values
            .iter()
            .map(|value| principal_arn_matches(value.original(), caller));
        let compares = name.starts_with("arn") || name.starts_with("string");
        return compares
            .then(|| any_known(matches))
            .flatten()
            .map(|met| met != negated);
    }
    if key == "aws:currenttime" || key == "aws:epochtime" {
        let compares = values
            .iter()
            .map(|value| compare_time(operator.name, value));
        return any_known(compares);
    }
    let value = if key == "aws:principalaccount" {
        Some(request.account)
    } else {
        *request.keys.get(key)?
    };
    if name == "null" {
        let asks_absent = values
            .iter()
            .any(|value| value.original().eq_ignore_ascii_case("true"));
        return Some(asks_absent == value.is_none());
    }
    let Some(value) = value else {
        // Of no values, all are anything, and none is.
        return Some(match operator.set_operator {
            Some(set_operator) => set_operator == "forallvalues",
            None => negated || operator.if_exists,
        });
    };
    let compare = |pattern: &PolicyString| {
        let pattern = pattern.original();
        // A policy variable stands for something that only AWS knows.
        if pattern.contains("${") {
            return None;
        }
        match name.as_str() {
            "stringequals" => Some(pattern == value),
            "stringequalsignorecase" | "bool" => Some(pattern.eq_ignore_ascii_case(value)),
            "stringlike" => Some(matches_pattern(pattern, value)),
            _ => None,
        }
    };
    Some(any_known(values.iter().map(compare))? != negated)
}

/// Whether the time of a run certainly compares so to a value of a condition.
fn compare_time(operator: &str, value: &PolicyString) -> Option<bool> {
    let parse = |text: &str| match text.parse::<i64>() {
        Ok(seconds) => jiff::Timestamp::from_second(seconds).ok(),
        Err(_) => text.parse().ok(),
    };
    let (earliest, latest) = (parse(EARLIEST_RUN)?, parse(LATEST_RUN)?);
    let limit = parse(value.original())?;
    let comparison = operator
        .strip_prefix("date")
        .or_else(|| operator.strip_prefix("numeric"))?;
    let (is_past, is_far) = (limit < earliest, limit > latest);
    let known = is_past || is_far;
    match comparison.trim_end_matches("equals") {
        "greaterthan" => known.then_some(is_past),
        "lessthan" => known.then_some(is_far),
        "not" => known.then_some(true),
        "" => known.then_some(false),
        _ => None,
    }
}

/// Whether any is true; `None` if that depends on one that is unknown.
fn any_known(mut answers: impl Iterator<Item = Option<bool>> + Clone) -> Option<bool> {
    if answers.clone().any(|answer| answer == Some(true)) {
        return Some(true);
    }
    answers.all(|answer| answer.is_some()).then_some(false)
}

/// Whether a pattern for `aws:PrincipalArn` matches the caller. The ARN of a session of a role lacks
/// the role's path, so the answer may be unknown.
fn principal_arn_matches(pattern: &str, caller: &str) -> Option<bool> {
    if pattern.contains("${") {
        return None;
    }
    let Some((account, role)) = session_role(caller) else {
        return Some(matches_pattern(pattern, caller));
    };
    let variants = [
        format!("arn:aws:iam::{account}:role/{role}"),
        format!("arn:aws:iam::{account}:role/any/path/{role}"),
    ];
    let matching = variants
        .iter()
        .filter(|arn| matches_pattern(pattern, arn))
        .count();
    if pattern.contains(['*', '?']) {
        let tail = pattern.rsplit(['*', '?']).next().unwrap_or_default();
        let ending = format!("/{role}");
        return match matching {
            2 => Some(true),
            0 if !ending.ends_with(tail) && !tail.ends_with(&ending) => Some(false),
            _ => None,
        };
    }
    let is_same_account = pattern.starts_with(&format!("arn:aws:iam::{account}:role/"));
    let may_match = is_same_account && pattern.ends_with(&format!("/{role}"));
    if may_match { None } else { Some(false) }
}

/// The account and the role of a session: `arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION`.
#[must_use]
pub fn session_role(caller: &str) -> Option<(&str, &str)> {
    let (account, session) = policy_string::strip_partition(caller)?
        .strip_prefix("sts::")?
        .split_once(":assumed-role/")?;
    Some((account, session.split('/').next()?))
}

/// Whether a text matches a pattern with `*` for any characters and `?` for one.
fn matches_pattern(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), text.chars().collect());
    let (mut at, mut read) = (0, 0);
    // Where to continue when the last star takes one more character.
    let mut retry: Option<(usize, usize)> = None;
    while read < text.len() {
        match pattern.get(at) {
            Some('*') => {
                retry = Some((at + 1, read));
                at += 1;
            }
            Some(c) if *c == '?' || *c == text[read] => {
                at += 1;
                read += 1;
            }
            _ => {
                let Some((after_star, taken)) = retry else {
                    return false;
                };
                retry = Some((after_star, taken + 1));
                at = after_star;
                read = taken + 1;
            }
        }
    }
    pattern[at..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::iam::policy::PolicyDocument;

    fn denies(mut statement: Value, caller: Option<&str>) -> bool {
        for (key, value) in [
            ("Effect", json!("Deny")),
            ("Action", json!("s3:PutObject")),
            ("Resource", json!("arn:aws:s3:::b/*")),
        ] {
            if statement.get(key).is_none() && statement.get(format!("Not{key}")).is_none() {
                statement[key] = value;
            }
        }
        let document =
            PolicyDocument::from_json(&json!({ "Version": "2012-10-17", "Statement": statement }))
                .unwrap();
        let object = "arn:aws:s3:::b/.trimtab/locks/p/e.json";
        let mut request = KnownRequest::of_run("s3:PutObject", object, "123456789012", caller);
        request.keys.extend([
            ("s3:x-amz-server-side-encryption", Some("AES256")),
            ("s3:x-amz-server-side-encryption-aws-kms-key-id", None),
        ]);
        document.statements[0].certainly_denies(&request)
    }

    const CI: &str = "arn:aws:sts::123456789012:assumed-role/ci/run";

    #[test]
    fn certain_denials() {
        let everyone = json!("*");
        assert!(denies(json!({ "Principal": everyone }), None));
        assert!(denies(
            json!({ "Principal": { "AWS": "123456789012" } }),
            None
        ));
        assert!(denies(
            json!({ "Principal": everyone, "Condition": { "StringNotEquals": { "s3:x-amz-server-side-encryption": "aws:kms" } } }),
            None
        ));
        assert!(denies(
            json!({ "Principal": everyone, "Condition": { "Null": { "s3:x-amz-server-side-encryption-aws-kms-key-id": "true" } } }),
            None
        ));
        assert!(denies(
            json!({ "Principal": everyone, "Condition": { "ArnNotEquals": { "aws:PrincipalArn": "arn:aws:iam::123456789012:role/admin" } } }),
            Some(CI)
        ));
        assert!(denies(
            json!({ "NotPrincipal": { "AWS": "arn:aws:iam::123456789012:role/admin" } }),
            Some(CI)
        ));
        assert!(denies(
            json!({ "Principal": everyone, "NotAction": "s3:GetObject" }),
            None
        ));
        for role in ["ci", "deploy/ci"] {
            let principal = json!({ "AWS": format!("arn:aws:iam::123456789012:role/{role}") });
            assert!(denies(json!({ "Principal": principal }), Some(CI)));
        }
        let of_type = |name: &str| json!({ "Principal": "*", "Condition": { "StringEquals": { "aws:PrincipalType": name } } });
        assert!(denies(of_type("AssumedRole"), Some(CI)));
        let user = "arn:aws:iam::123456789012:user/staff/ada";
        assert!(denies(of_type("User"), Some(user)));
        assert!(!denies(of_type("User"), Some(CI)));
        assert!(!denies(of_type("User"), None));
    }

    #[test]
    fn possible_denials_are_not_certain() {
        let everyone = json!("*");
        let condition = |condition: Value| json!({ "Principal": everyone, "Condition": condition });
        for (statement, caller) in [
            (
                condition(json!({ "Bool": { "aws:SecureTransport": "false" } })),
                None,
            ),
            (
                condition(json!({ "Null": { "s3:x-amz-server-side-encryption": "true" } })),
                None,
            ),
            (
                condition(json!({ "NotIpAddress": { "aws:SourceIp": "10.0.0.0/8" } })),
                None,
            ),
            (
                condition(json!({ "StringNotEquals": { "aws:PrincipalOrgID": "o-1" } })),
                Some(CI),
            ),
            (
                condition(
                    json!({ "ArnNotEquals": { "aws:PrincipalArn": "arn:aws:iam::123456789012:role/admin" } }),
                ),
                None,
            ),
            (
                condition(
                    json!({ "ArnNotLike": { "aws:PrincipalArn": "arn:aws:iam::123456789012:role/*/ci" } }),
                ),
                Some(CI),
            ),
            (
                json!({ "NotPrincipal": { "AWS": "arn:aws:iam::123456789012:role/ci" } }),
                Some(CI),
            ),
            (
                json!({ "Principal": everyone, "Resource": "arn:aws:s3:::b" }),
                None,
            ),
            (json!({ "Principal": { "AWS": "210987654321" } }), Some(CI)),
            (
                json!({ "Principal": { "AWS": "arn:aws:iam::210987654321:role/ci" } }),
                Some(CI),
            ),
            (json!({ "Principal": everyone, "Effect": "Allow" }), None),
        ] {
            assert!(!denies(statement.clone(), caller), "{statement}");
        }
    }
}
