//! Conditions in words. Operators that are known are said as a comparison, with what they make of a key that the request
//! does not have; any other is named.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    super::{policy_string::PolicyString, statement::Conditions},
    join_list, resources,
};

/// Operators as comparisons, and whether they are negations (IAM User Guide, "Condition operators"). A negation also
/// holds when the request does not have the key.
const OPERATORS: [(&str, &str, bool); 25] = [
    ("stringequals", "is", false),
    ("stringnotequals", "is not", true),
    (
        "stringequalsignorecase",
        "is, in upper or lower case,",
        false,
    ),
    (
        "stringnotequalsignorecase",
        "is not, in upper or lower case,",
        true,
    ),
    ("stringlike", "is like", false),
    ("stringnotlike", "is not like", true),
    ("numericequals", "equals", false),
    ("numericnotequals", "does not equal", true),
    ("numericlessthan", "is less than", false),
    ("numericlessthanequals", "is at most", false),
    ("numericgreaterthan", "is more than", false),
    ("numericgreaterthanequals", "is at least", false),
    ("dateequals", "is at", false),
    ("datenotequals", "is not at", true),
    ("datelessthan", "is before", false),
    ("datelessthanequals", "is not after", false),
    ("dategreaterthan", "is after", false),
    ("dategreaterthanequals", "is not before", false),
    ("bool", "is", false),
    ("ipaddress", "is in", false),
    ("notipaddress", "is not in", true),
    ("arnequals", "is like", false),
    ("arnlike", "is like", false),
    ("arnnotequals", "is not like", true),
    ("arnnotlike", "is not like", true),
];

/// Takes one key of one operator out, and gives its values as the author spelt them.
pub(super) fn take_values(open: &mut Conditions, operator: &str, key: &str) -> Option<Vec<String>> {
    let (operator, key) = (
        PolicyString::case_insensitive(operator),
        PolicyString::case_insensitive(key),
    );
    let keys = open.get_mut(&operator)?;
    let values = keys.remove(&key)?;
    if keys.is_empty() {
        open.remove(&operator);
    }
    Some(
        values
            .iter()
            .map(|value| value.original().to_owned())
            .collect(),
    )
}

/// The values of one key, left where they are.
pub(super) fn find_values<'a>(
    open: &'a Conditions,
    operator: &str,
    key: &str,
) -> Option<Vec<&'a str>> {
    let values = open
        .get(&PolicyString::case_insensitive(operator))?
        .get(&PolicyString::case_insensitive(key))?;
    Some(values.iter().map(PolicyString::original).collect())
}

/// ` under db/`, when the only thing said of the prefix of a listing is that it lies in folders.
pub(super) fn take_prefix_phrase(open: &mut Conditions) -> Option<String> {
    const KEY: (&str, &str) = ("StringLike", "s3:prefix");
    let folder = |value: &str| {
        let folder = value.strip_suffix('*')?;
        (folder.ends_with('/') && resources::is_literal(folder)).then(|| folder.to_owned())
    };
    let folders: Option<Vec<String>> = find_values(open, KEY.0, KEY.1)?
        .into_iter()
        .map(folder)
        .collect();
    let folders = folders.filter(|folders| !folders.is_empty())?;
    take_values(open, KEY.0, KEY.1)?;
    Some(format!(" under {}", join_list(&folders, "or")))
}

/// What is left of a condition: `, only when …` for what is granted and `, when …` for what is denied.
pub(super) fn describe_conditions(mut open: Conditions, denies: bool) -> String {
    let tls = take_tls_phrase(&mut open, denies).unwrap_or_default();
    let tls = format!(
        "{tls}{}",
        if denies {
            String::new()
        } else {
            take_kms_phrase(&mut open)
        }
    );
    let one = |(operator, keys): (&PolicyString, &BTreeMap<PolicyString, _>)| -> Vec<String> {
        keys.iter()
            .map(|(key, values)| describe_comparison(operator, key.original(), values))
            .collect()
    };
    let all: Vec<String> = open.iter().flat_map(one).collect();
    match (all.is_empty(), denies) {
        (true, _) => tls,
        (false, true) => format!("{tls}, when {}", join_list(&all, "and")),
        (false, false) => format!("{tls}, only when {}", join_list(&all, "and")),
    }
}

/// With which key of KMS, by its alias, and on whose behalf.
fn take_kms_phrase(open: &mut Conditions) -> String {
    let aliases = take_values(open, "ForAnyValue:StringEquals", "kms:ResourceAliases");
    let mut out = aliases
        .map(|names| format!(", only with the key {}", join_list(&names, "or")))
        .unwrap_or_default();
    let service = find_values(open, "StringEquals", "kms:ViaService").unwrap_or_default();
    let region = match &*service {
        [service] => service
            .strip_prefix("s3.")
            .and_then(|rest| rest.strip_suffix(".amazonaws.com")),
        _ => None,
    };
    if let Some(region) = region.map(str::to_owned) {
        take_values(open, "StringEquals", "kms:ViaService");
        out += &format!(", only through S3 in {region}");
    }
    out
}

/// Whether the connection is encrypted.
fn take_tls_phrase(open: &mut Conditions, denies: bool) -> Option<&'static str> {
    const KEY: (&str, &str) = ("Bool", "aws:SecureTransport");
    let words = match (&*find_values(open, KEY.0, KEY.1)?, denies) {
        (["false"], true) => " without TLS",
        (["true"], true) => " with TLS",
        (["false"], false) => ", only without TLS",
        (["true"], false) => ", only with TLS",
        _ => return None,
    };
    take_values(open, KEY.0, KEY.1).map(|_| words)
}

/// One key and what it is compared with.
fn describe_comparison(
    operator: &PolicyString,
    key: &str,
    values: &BTreeSet<PolicyString>,
) -> String {
    let quoted: Vec<String> = values
        .iter()
        .map(|value| format!("{:?}", value.original()))
        .collect();
    let (name, if_exists) = match operator.normalized().strip_suffix("ifexists") {
        Some(name) => (name, true),
        None => (operator.normalized(), false),
    };
    let known = OPERATORS
        .iter()
        .find(|(known, ..)| *known == name && !quoted.is_empty());
    match (known, name, &*quoted) {
        (Some((_, words, false)), ..) => {
            let absent = if if_exists { " (or is absent)" } else { "" };
            format!("{key} {words} {}{absent}", join_list(&quoted, "or"))
        }
        (Some((_, words, true)), ..) => {
            format!("{key} {words} {} (or is absent)", join_list(&quoted, "nor"))
        }
        (None, "null", [one]) if one == "\"true\"" => format!("{key} is absent"),
        (None, "null", [one]) if one == "\"false\"" => format!("{key} is present"),
        (None, _, []) => format!("{key} passes {} of no value", operator.original()),
        (None, ..) => format!(
            "{key} passes {} of {}",
            operator.original(),
            join_list(&quoted, "or")
        ),
    }
}
