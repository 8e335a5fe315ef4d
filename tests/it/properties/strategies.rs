//! Building blocks of the strategies for parts of a manifest: tables with optional keys, lists,
//! strings.

use std::ops::{Range, RangeInclusive};

use proptest::{collection::vec, option::weighted, prelude::*, sample::select};
use serde_json::{Map, Value, json};

pub(super) type ValueStrategy = BoxedStrategy<Value>;
/// A strategy for a key with its value, or for its absence.
pub(super) type KeyStrategy = BoxedStrategy<Option<(&'static str, Value)>>;

pub(super) fn required_key(key: &'static str, part: ValueStrategy) -> KeyStrategy {
    part.prop_map(move |value| Some((key, value))).boxed()
}

/// A key that is present in three of ten cases.
pub(super) fn optional_key(key: &'static str, part: ValueStrategy) -> KeyStrategy {
    key_with_probability(key, 0.3, part)
}

pub(super) fn key_with_probability(
    key: &'static str,
    likelihood: f64,
    part: ValueStrategy,
) -> KeyStrategy {
    weighted(likelihood, part)
        .prop_map(move |value| Some((key, value?)))
        .boxed()
}

pub(super) fn table(keys: Vec<KeyStrategy>) -> ValueStrategy {
    let whole = |keys: Vec<Option<(&str, Value)>>| -> Value {
        keys.into_iter()
            .flatten()
            .map(|(key, value)| (key.to_owned(), value))
            .collect::<Map<_, _>>()
            .into()
    };
    keys.prop_map(whole).boxed()
}

/// A table whose keys are taken from these names.
pub(super) fn table_of(
    names: &'static [&'static str],
    size: RangeInclusive<usize>,
    part: ValueStrategy,
) -> ValueStrategy {
    let entries = prop::collection::btree_map(select(names), part, size);
    entries
        .prop_map(|all| {
            all.into_iter()
                .map(|(name, part)| (name.to_owned(), part))
                .collect::<Map<_, _>>()
                .into()
        })
        .boxed()
}

/// A list of some of these words, each once, in any order.
pub(super) fn subset_of(
    words: &'static [&'static str],
    size: RangeInclusive<usize>,
) -> ValueStrategy {
    prop::sample::subsequence(words, size)
        .prop_shuffle()
        .prop_map(|words| json!(words))
        .boxed()
}

pub(super) fn one_string_of(words: &'static [&'static str]) -> ValueStrategy {
    select(words).prop_map(Value::from).boxed()
}

pub(super) fn one_value_of(values: Value) -> ValueStrategy {
    let Value::Array(values) = values else {
        panic!("a list of values")
    };
    select(values).boxed()
}

pub(super) fn list(part: ValueStrategy, size: RangeInclusive<usize>) -> ValueStrategy {
    vec(part, size).prop_map(Value::from).boxed()
}

/// A value, or a list of values.
pub(super) fn one_or_list(part: ValueStrategy) -> ValueStrategy {
    prop_oneof![part.clone(), list(part, 1..=2)].boxed()
}

pub(super) fn number(range: Range<u32>) -> ValueStrategy {
    range.prop_map(Value::from).boxed()
}

pub(super) fn boolean() -> ValueStrategy {
    any::<bool>().prop_map(Value::from).boxed()
}

/// Any string, including those that need escapes or quotes somewhere.
pub(super) fn any_string() -> ValueStrategy {
    let odd = select(vec![
        "",
        " ",
        "a\nb",
        "\"q\"",
        "tr\\ail\\",
        "ünï",
        "it's",
        "#",
        "'''",
        "<b>|`",
        "\u{1b}[31m",
        "👍",
        "%s",
    ]);
    prop_oneof![3 => "[a-z]{1,6}".prop_map(Value::from), 1 => odd.prop_map(Value::from)].boxed()
}

/// The value of an environment variable: a string, number or boolean.
pub(super) fn scalar() -> ValueStrategy {
    prop_oneof![3 => any_string(), 1 => boolean(), 1 => (-5..99i64).prop_map(Value::from), 1 => one_value_of(json!([0.5, -1.25, 1e3]))].boxed()
}

/// A command, as a string or as a list.
pub(super) fn command() -> ValueStrategy {
    one_value_of(json!([
        "run",
        "run --fast 'a b'",
        ["run"],
        ["run", "", "two words", "--x=1"],
        ["sh", "-c", "exec \"$0\""]
    ]))
}
