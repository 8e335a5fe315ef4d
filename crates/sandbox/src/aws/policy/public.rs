//! Whether a bucket's policy lets in everybody, which `BlockPublicPolicy` forbids to write.

use super::document::{PolicyDocument, PolicyStatement};

/// A condition on one of these, with a fixed value, makes a statement about somebody in particular.
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

/// Whether anything is allowed to everybody.
pub(crate) fn is_public(document: &PolicyDocument) -> bool {
    document
        .statements
        .iter()
        .any(|statement| statement.allow && is_open_to_everyone(statement))
}

fn is_open_to_everyone(statement: &PolicyStatement) -> bool {
    let everybody = statement.principals.as_ref().is_some_and(|principals| {
        let star = |names: &Vec<String>| names.iter().any(|name| name == "*");
        principals.negated || principals.by_type.values().any(star)
    });
    let wide = |value: &String| value == "0.0.0.0/0" || value == "::/0";
    let pinned = statement.conditions.iter().any(|condition| {
        let known = RESTRICTING_KEYS.contains(&condition.key.to_ascii_lowercase().as_str());
        known && condition.restricts_to_fixed_value() && !condition.values.iter().any(wide)
    });
    everybody && !pinned
}
