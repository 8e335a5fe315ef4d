//! Whether a bucket's policy lets in everybody, which `BlockPublicPolicy` forbids to write.

use super::document::{Document, Statement};

/// A condition on one of these, with a fixed value, makes a statement about somebody in particular.
const PINS: [&str; 11] = [
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
pub(crate) fn is_public(document: &Document) -> bool {
    document
        .statements
        .iter()
        .any(|statement| statement.allow && open(statement))
}

fn open(statement: &Statement) -> bool {
    let everybody = statement.principals.as_ref().is_some_and(|principals| {
        let star = |names: &Vec<String>| names.iter().any(|name| name == "*");
        principals.not || principals.by_kind.values().any(star)
    });
    let wide = |value: &String| value == "0.0.0.0/0" || value == "::/0";
    let pinned = statement.conditions.iter().any(|condition| {
        let known = PINS.contains(&condition.key.to_ascii_lowercase().as_str());
        known && condition.pins() && !condition.values.iter().any(wide)
    });
    everybody && !pinned
}
