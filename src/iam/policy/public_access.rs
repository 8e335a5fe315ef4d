//! Whether a statement of a bucket policy is public, so that `BlockPublicPolicy` refuses it.
//!
//! Source: S3 User Guide, "Blocking public access to your Amazon S3 storage", section "The meaning of
//! public": a statement for everyone is not public only if a condition restricts one of certain keys
//! to fixed values, without wildcards and policy variables; a range of addresses must not be broader
//! than /8 (IPv4) or /32 (IPv6), private ranges excepted.

use std::{collections::BTreeSet, net::IpAddr};

use super::{Statement, operators::Operator, policy_string::PolicyString, statement::Effect};

/// Condition keys that restrict a statement to somebody.
const RESTRICTING_KEYS: [&str; 15] = [
    "aws:principalaccount",
    "aws:principalarn",
    "aws:principalorgid",
    "aws:principalorgpaths",
    "aws:sourceaccount",
    "aws:sourcearn",
    SOURCE_IP,
    "aws:sourceowner",
    "aws:sourcevpc",
    "aws:sourcevpce",
    USER_ID,
    "aws:vpcsourceip",
    "s3:dataaccesspointaccount",
    ACCESS_POINT_ARN,
    "s3:x-amz-server-side-encryption-aws-kms-key-id",
];
const SOURCE_IP: &str = "aws:sourceip";
const USER_ID: &str = "aws:userid";
const ACCESS_POINT_ARN: &str = "s3:dataaccesspointarn";

impl Statement {
    /// Whether it allows something to everyone.
    pub(super) fn is_public(&self) -> bool {
        let mut conditions = self
            .conditions
            .iter()
            .flat_map(|(operator, keys)| keys.iter().map(move |entry| (operator, entry)));
        let is_restricted = conditions.any(|(operator, (key, values))| {
            Operator::parse(operator.normalized())
                .is_some_and(|operator| restricts(operator, key.normalized(), values))
        });
        self.effect == Effect::Allow && self.names_everyone() && !is_restricted
    }

    /// Whether its principals are everyone, or everyone but some.
    pub(super) fn names_everyone(&self) -> bool {
        self.principals.as_ref().is_some_and(|principals| {
            principals.negated
                || principals
                    .by_type
                    .values()
                    .flatten()
                    .any(|value| value.normalized() == "*")
        })
    }
}

/// Whether a condition restricts the statement to fixed values.
fn restricts(operator: Operator<'_>, key: &str, values: &BTreeSet<PolicyString>) -> bool {
    let compares = ["stringequals", "stringequalsignorecase", "stringlike"]
        .contains(&operator.name)
        || ["arnequals", "arnlike", "ipaddress"].contains(&operator.name);
    // A key that is absent meets these, so they keep nobody out.
    let may_be_absent = operator.if_exists || operator.set_operator == Some("forallvalues");
    compares
        && !may_be_absent
        && RESTRICTING_KEYS.contains(&key)
        && !values.is_empty()
        && values.iter().all(|value| is_fixed(key, value.original()))
}

fn is_fixed(key: &str, value: &str) -> bool {
    match key {
        SOURCE_IP => is_narrow_range(value),
        // The user id of a session of a role is `ROLEID:SESSION`.
        USER_ID => has_no_wildcard(value.strip_suffix(":*").unwrap_or(value)),
        // The name of the access point may be a pattern, its account may not.
        ACCESS_POINT_ARN => value
            .split_once(":accesspoint/")
            .is_some_and(|(owner, _)| has_no_wildcard(owner)),
        _ => has_no_wildcard(value),
    }
}

fn has_no_wildcard(value: &str) -> bool {
    !value.is_empty() && !value.contains(['*', '?']) && !value.contains("${")
}

fn is_narrow_range(range: &str) -> bool {
    let (address, bits) = range
        .split_once('/')
        .map_or((range, None), |(address, bits)| (address, Some(bits)));
    let bits: Option<u8> = match bits.map(str::parse) {
        None => None,
        Some(Ok(bits)) => Some(bits),
        Some(Err(_)) => return false,
    };
    match address.parse() {
        Ok(IpAddr::V4(_)) => bits.is_none_or(|bits| bits >= 8),
        Ok(IpAddr::V6(address)) => {
            bits.is_none_or(|bits| bits >= 32 || (bits >= 7 && address.is_unique_local()))
        }
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::iam::policy::PolicyDocument;

    fn is_public(condition: &Value) -> bool {
        let document = PolicyDocument::from_json(&json!({
            "Version": "2012-10-17",
            "Statement": { "Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/*",
                "Condition": condition },
        }));
        document.unwrap().statements[0].is_public()
    }

    #[test]
    fn fixed_values_keep_a_statement_from_being_public() {
        for condition in [
            json!({ "StringEquals": { "aws:PrincipalOrgID": "o-abc" } }),
            json!({ "StringEqualsIgnoreCase": { "aws:SourceAccount": "123456789012" } }),
            json!({ "ArnLike": { "aws:SourceArn": "arn:aws:cloudfront::123456789012:distribution/E1" } }),
            json!({ "IpAddress": { "aws:SourceIp": ["203.0.113.0/24", "10.0.0.0/8", "198.51.100.7", "2001:db8::/32"] } }),
            json!({ "StringLike": { "aws:userid": "AROAEXAMPLE:*" } }),
            json!({ "ArnLike": { "s3:DataAccessPointArn": "arn:aws:s3:eu-west-1:123456789012:accesspoint/*" } }),
        ] {
            assert!(!is_public(&condition), "{condition}");
        }
    }

    #[test]
    fn open_conditions_leave_a_statement_public() {
        for condition in [
            json!({}),
            json!({ "StringNotEquals": { "aws:PrincipalAccount": "999999999999" } }),
            json!({ "StringEqualsIfExists": { "aws:PrincipalAccount": "999999999999" } }),
            json!({ "ForAllValues:StringEquals": { "aws:PrincipalOrgPaths": "o-abc/r-x/" } }),
            json!({ "StringLike": { "aws:PrincipalArn": "*" } }),
            json!({ "StringLike": { "aws:PrincipalArn": "arn:aws:iam::*:role/x" } }),
            json!({ "StringEquals": { "aws:SourceVpc": "${aws:PrincipalTag/vpc}" } }),
            json!({ "IpAddress": { "aws:SourceIp": "0.0.0.0/0" } }),
            json!({ "IpAddress": { "aws:SourceIp": ["203.0.113.0/24", "0.0.0.0/1"] } }),
            json!({ "IpAddress": { "aws:SourceIp": "::/0" } }),
            json!({ "NotIpAddress": { "aws:SourceIp": "203.0.113.0/24" } }),
            json!({ "Null": { "aws:SourceVpc": "false" } }),
            json!({ "StringLike": { "aws:userid": "*" } }),
            json!({ "StringEquals": { "s3:prefix": "db/" } }),
        ] {
            assert!(is_public(&condition), "{condition}");
        }
    }
}
