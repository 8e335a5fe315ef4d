//! Checks every key and its type as flyctl's JSON decoder does, and keeps what the canonical form has.

use std::collections::BTreeSet;

use super::{
    diagnostics::{FlyTomlDiagnostics, qualified_key},
    go_format, key_hints,
    scalars::{self, Decoded, TypeMismatch},
    schema::{KeyHandling, KeySchema, SectionSchema, ValueType},
};
use crate::manifest::syntax::node::{TomlEntry, TomlNode, TomlTable, TomlValue};

/// Decodes a section.
pub(super) fn decode_section(
    section: &'static SectionSchema,
    table: TomlTable,
    report: &mut FlyTomlDiagnostics,
) -> TomlTable {
    let written: BTreeSet<String> = table.0.iter().map(|entry| entry.key.clone()).collect();
    let mut kept = Vec::new();
    for entry in table.0 {
        let Some(key) = find_key(section, &entry, &written, report) else {
            continue;
        };
        let TomlEntry {
            key_location: key_at,
            node,
            ..
        } = entry;
        let Some(node) = decode_value(
            key.value_type,
            &qualified_key(key.name, section.name),
            node,
            report,
        ) else {
            continue;
        };
        match key.handling {
            KeyHandling::Keep => kept.push(TomlEntry {
                key: key.name.to_owned(),
                key_location: key_at,
                node,
            }),
            KeyHandling::Ignore => {}
            KeyHandling::Warn(why) => {
                let message = format!(
                    "{} has no effect here",
                    qualified_key(key.name, section.name)
                );
                report.warn(&key_at, message, "left out", Some(why.to_owned()));
            }
        }
    }
    TomlTable(kept)
}

/// The key of the section that an entry means. flyctl passes over what it does not know in silence.
fn find_key(
    section: &SectionSchema,
    entry: &TomlEntry,
    written: &BTreeSet<String>,
    report: &mut FlyTomlDiagnostics,
) -> Option<&'static KeySchema> {
    match section.find_key(&entry.key) {
        Some(key) if key.name == entry.key => Some(key),
        // In other capitals it only counts when the usual spelling is absent.
        Some(key) if !written.contains(key.name) => {
            let help = format!("write `{}`", key.name);
            let message = format!(
                "{} is spelled with other capitals",
                qualified_key(&entry.key, section.name)
            );
            report.warn(
                &entry.key_location,
                message,
                "flyctl takes it all the same",
                Some(help),
            );
            Some(key)
        }
        _ => {
            warn_unknown_key(section, entry, report);
            None
        }
    }
}

fn warn_unknown_key(section: &SectionSchema, entry: &TomlEntry, report: &mut FlyTomlDiagnostics) {
    let nearest = || {
        section
            .nearest_key(&entry.key)
            .map(|name| format!("did you mean `{name}`?"))
    };
    let help = key_hints::key_hint(section.name, &entry.key)
        .map(str::to_owned)
        .or_else(nearest);
    let place = if section.name.is_empty() {
        "at the top of a fly.toml".to_owned()
    } else {
        format!("in `{}`", section.name)
    };
    let message = format!("there is no key `{}` {place}", entry.key);
    report.warn(&entry.key_location, message, "flyctl ignores it", help);
}

/// Decodes a value. `None` when it is wrong, which has been reported, or says nothing.
fn decode_value(
    shape: ValueType,
    name: &str,
    node: TomlNode,
    report: &mut FlyTomlDiagnostics,
) -> Option<TomlNode> {
    let TomlNode {
        location: at,
        value: found,
    } = node;
    let kind = go_format::describe_type(&found);
    let decoded = match shape {
        ValueType::Any => Ok(Some(found)),
        ValueType::String => scalars::string(found),
        ValueType::AnyTable => scalars::any_table(found),
        ValueType::Command => scalars::command(found),
        ValueType::UppercaseString => scalars::uppercase(found),
        ValueType::OneOf(words) => scalars::one_of(words, found),
        ValueType::Integer => scalars::integer_in_range(i64::MIN, i64::MAX, &found),
        ValueType::NonZeroInteger => scalars::nonzero_integer(&found),
        ValueType::IntegerRange(least, most) => scalars::integer_in_range(least, most, &found),
        ValueType::Number => scalars::number(found),
        ValueType::Boolean => scalars::boolean(found),
        ValueType::Autostop => scalars::autostop(found),
        ValueType::PersistRootfs => scalars::persist_rootfs(found),
        ValueType::Duration => scalars::duration(name, &at, found, report),
        ValueType::StringList => decode_string_list(name, found, report),
        ValueType::StringMap => decode_string_map(name, found, report),
        ValueType::Table(section) => decode_table(section, found, report),
        ValueType::TableList(section) => decode_table_list(section, found, report),
        ValueType::TableMap(section) => decode_table_map(section, found, report),
    };
    match decoded {
        Ok(value) => value.map(|value| TomlNode {
            location: at,
            value,
        }),
        Err(TypeMismatch {
            expected: wanted,
            help,
        }) => {
            report.error(&at, format!("{name} must be {wanted}"), kind, help);
            None
        }
    }
}

/// An empty list says nothing.
fn list_or_none(items: Vec<TomlNode>) -> Decoded {
    Ok((!items.is_empty()).then_some(TomlValue::Array(items)))
}

fn decode_string_list(name: &str, found: TomlValue, report: &mut FlyTomlDiagnostics) -> Decoded {
    let items = match found {
        TomlValue::Array(items) => items,
        TomlValue::String(text) => {
            return Err(TypeMismatch::with_help(
                "a list of texts",
                format!("write [{text:?}]"),
            ));
        }
        _ => return Err(TypeMismatch::new("a list of texts")),
    };
    let name = format!("an item of {name}");
    list_or_none(
        items
            .into_iter()
            .filter_map(|item| decode_string_item(&name, item, report))
            .collect(),
    )
}

fn decode_string_map(name: &str, found: TomlValue, report: &mut FlyTomlDiagnostics) -> Decoded {
    let TomlValue::Table(TomlTable(entries)) = found else {
        return Err(TypeMismatch::new("a table of texts"));
    };
    let mut entry = |entry: TomlEntry| {
        let node = decode_string_item(&format!("`{}` of {name}", entry.key), entry.node, report)?;
        Some(TomlEntry { node, ..entry })
    };
    let entries: Vec<TomlEntry> = entries.into_iter().filter_map(&mut entry).collect();
    Ok((!entries.is_empty()).then_some(TomlValue::Table(TomlTable(entries))))
}

/// A text that stays although it may be empty, as a part of something.
fn decode_string_item(
    name: &str,
    node: TomlNode,
    report: &mut FlyTomlDiagnostics,
) -> Option<TomlNode> {
    if node.as_str().is_some_and(str::is_empty) {
        return Some(node);
    }
    decode_value(ValueType::String, name, node, report)
}

fn decode_table(
    section: &'static SectionSchema,
    found: TomlValue,
    report: &mut FlyTomlDiagnostics,
) -> Decoded {
    match found {
        TomlValue::Table(found) => Ok(Some(TomlValue::Table(decode_section(
            section, found, report,
        )))),
        TomlValue::Array(_) => Err(TypeMismatch::with_help(
            "one table",
            "write it once, with single brackets".to_owned(),
        )),
        _ => Err(TypeMismatch::new("a table")),
    }
}

fn decode_table_list(
    section: &'static SectionSchema,
    found: TomlValue,
    report: &mut FlyTomlDiagnostics,
) -> Decoded {
    let items = match found {
        TomlValue::Array(items) => items,
        TomlValue::Table(_) => {
            let help = format!("write double brackets: `[[{}]]`", section.name);
            return Err(TypeMismatch::with_help("a list of tables", help));
        }
        _ => return Err(TypeMismatch::new("a list of tables")),
    };
    let name = format!("an item of `{}`", section.name);
    list_or_none(
        items
            .into_iter()
            .filter_map(|item| decode_value(ValueType::Table(section), &name, item, report))
            .collect(),
    )
}

fn decode_table_map(
    section: &'static SectionSchema,
    found: TomlValue,
    report: &mut FlyTomlDiagnostics,
) -> Decoded {
    let TomlValue::Table(TomlTable(entries)) = found else {
        return Err(TypeMismatch::new("a table of tables"));
    };
    let mut entry = |entry: TomlEntry| {
        let name = qualified_key(&entry.key, section.name);
        let node = decode_value(ValueType::Table(section), &name, entry.node, report)?;
        Some(TomlEntry { node, ..entry })
    };
    Ok(Some(TomlValue::Table(TomlTable(
        entries.into_iter().filter_map(&mut entry).collect(),
    ))))
}
