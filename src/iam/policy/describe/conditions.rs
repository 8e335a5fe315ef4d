//! Describes conditions. Known operators become a comparison, including what they say about a key
//! that is missing from the request; unknown operators are named.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    super::{policy_string::PolicyString, statement::Conditions},
    join_list, resources,
};

/// Operators as comparisons, and whether they are negated (IAM User Guide, "Condition operators").
/// A negated operator also matches if the request does not have the key.
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

/// Removes a key of an operator, and returns its values in the author's spelling.
pub(super) fn take_values(
    remaining: &mut Conditions,
    operator: &str,
    key: &str,
) -> Option<Vec<String>> {
    let (operator, key) = (
        PolicyString::case_insensitive(operator),
        PolicyString::case_insensitive(key),
    );
    let keys = remaining.get_mut(&operator)?;
    let values = keys.remove(&key)?;
    if keys.is_empty() {
        remaining.remove(&operator);
    }
    Some(
        values
            .iter()
            .map(|value| value.original().to_owned())
            .collect(),
    )
}

/// The values of a key of an operator.
pub(super) fn find_values<'a>(
    remaining: &'a Conditions,
    operator: &str,
    key: &str,
) -> Option<Vec<&'a str>> {
    let values = remaining
        .get(&PolicyString::case_insensitive(operator))?
        .get(&PolicyString::case_insensitive(key))?;
    Some(values.iter().map(PolicyString::original).collect())
}

/// ` under db/`, if the condition on the prefix of a listing is only that it lies in certain
/// folders.
pub(super) fn take_prefix_phrase(remaining: &mut Conditions) -> Option<String> {
    const KEY: (&str, &str) = ("StringLike", "s3:prefix");
    let folder = |value: &str| {
        let folder = value.strip_suffix('*')?;
        (folder.ends_with('/') && resources::is_literal(folder)).then(|| folder.to_owned())
    };
    let folders: Option<Vec<String>> = find_values(remaining, KEY.0, KEY.1)?
        .into_iter()
        .map(folder)
        .collect();
    let folders = folders.filter(|folders| !folders.is_empty())?;
    take_values(remaining, KEY.0, KEY.1)?;
    Some(format!(" under {}", join_list(&folders, "or")))
}

/// Describes the remaining conditions: `, only when …` for a grant and `, when …` for a denial.
pub(super) fn describe_conditions(mut remaining: Conditions, denies: bool) -> String {
    let tls = take_tls_phrase(&mut remaining, denies).unwrap_or_default();
    let tls = format!(
        "{tls}{}",
        if denies {
            String::new()
        } else {
            take_kms_phrase(&mut remaining)
        }
    );
    let comparisons =
        |(operator, keys): (&PolicyString, &BTreeMap<PolicyString, _>)| -> Vec<String> {
            keys.iter()
                .map(|(key, values)| describe_comparison(operator, key.original(), values))
                .collect()
        };
    let all: Vec<String> = remaining.iter().flat_map(comparisons).collect();
    match (all.is_empty(), denies) {
        (true, _) => tls,
        (false, true) => format!("{tls}, when {}", join_list(&all, "and")),
        (false, false) => format!("{tls}, only when {}", join_list(&all, "and")),
    }
}

/// The KMS key (by its alias) and the service on whose behalf it may be used.
fn take_kms_phrase(remaining: &mut Conditions) -> String {
    let aliases = take_values(remaining, "ForAnyValue:StringEquals", "kms:ResourceAliases");
    let mut out = aliases
        .map(|names| format!(", only with the key {}", join_list(&names, "or")))
        .unwrap_or_default();
    let service = find_values(remaining, "StringEquals", "kms:ViaService").unwrap_or_default();
    let region = match &*service {
        [service] => service
            .strip_prefix("s3.")
            .and_then(|rest| rest.strip_suffix(".amazonaws.com")),
        _ => None,
    };
    if let Some(region) = region.map(str::to_owned) {
        take_values(remaining, "StringEquals", "kms:ViaService");
        out += &format!(", only through S3 in {region}");
    }
    out
}

/// Whether the connection must use TLS.
fn take_tls_phrase(remaining: &mut Conditions, denies: bool) -> Option<&'static str> {
    const KEY: (&str, &str) = ("Bool", "aws:SecureTransport");
    let words = match (&*find_values(remaining, KEY.0, KEY.1)?, denies) {
        (["false"], true) => " without TLS",
        (["true"], true) => " with TLS",
        (["false"], false) => ", only without TLS",
        (["true"], false) => ", only with TLS",
        _ => return None,
    };
    take_values(remaining, KEY.0, KEY.1).map(|_| words)
}

/// One key and its values as a comparison.
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
    let operator_entry = OPERATORS
        .iter()
        .find(|(operator_entry, ..)| *operator_entry == name && !quoted.is_empty());
    match (operator_entry, name, &*quoted) {
        (Some((_, words, false)), ..) => {
            let absent = if if_exists { " (or is absent)" } else { "" };
            format!("{key} {words} {}{absent}", join_list(&quoted, "or"))
        }
        (Some((_, words, true)), ..) => {
            format!("{key} {words} {} (or is absent)", join_list(&quoted, "nor"))
        }
        (None, "null", [comparisons]) if comparisons == "\"true\"" => format!("{key} is absent"),
        (None, "null", [comparisons]) if comparisons == "\"false\"" => format!("{key} is present"),
        (None, _, []) => format!("{key} passes {} of no value", operator.original()),
        (None, ..) => format!(
            "{key} passes {} of {}",
            operator.original(),
            join_list(&quoted, "or")
        ),
    }
}
