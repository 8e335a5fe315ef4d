//! Whether a bucket policy is public. `BlockPublicPolicy` rejects such policies.

use super::document::{PolicyDocument, PolicyStatement};

/// A statement for all principals is not public if a condition restricts one of these keys to fixed values.
const RESTRICTING_KEYS: [&str; 11] = [
    "aws:principalarn",
    "aws:principalaccount",
    "aws:principalorgid",
    "aws:principalorgpaths",
    "aws:sourcearn",
    "aws:sourceaccount",
    "aws:sourceip",
    "aws:sourcevpc",
    "aws:sourcevpce",
    "aws:userid",
    "s3:dataaccesspointarn",
];

/// Whether the policy allows anything to everyone.
pub(crate) fn is_public(document: &PolicyDocument) -> bool {
    document
        .statements
        .iter()
        .any(|statement| statement.allow && is_open_to_everyone(statement))
}

fn is_open_to_everyone(statement: &PolicyStatement) -> bool {
    let for_everyone = statement.principals.as_ref().is_some_and(|principals| {
        let has_wildcard = |names: &Vec<String>| names.iter().any(|name| name == "*");
        principals.negated || principals.by_type.values().any(has_wildcard)
    });
    let is_any_address = |value: &String| value == "0.0.0.0/0" || value == "::/0";
    let restricted = statement.conditions.iter().any(|condition| {
        let key = condition.key.to_ascii_lowercase();
        // A range of all addresses restricts nothing. As the value of another key it is only a text.
        let admits_any_address =
            key == "aws:sourceip" && condition.values.iter().any(is_any_address);
        RESTRICTING_KEYS.contains(&key.as_str())
            && condition.restricts_to_fixed_value()
            && !admits_any_address
    });
    for_everyone && !restricted
}
