//! Checks every key and its type as flyctl's JSON decoder does, and keeps the keys of the canonical
//! form.

use std::collections::BTreeSet;

use super::{
    diagnostics::{FlyTomlDiagnostics, qualified_key},
    go_format, key_hints,
    scalars::{self, Decoded, TypeMismatch},
    schema::{KeyHandling, KeySchema, SectionSchema, ValueType},
};
use crate::manifest::syntax::node::{TomlEntry, TomlNode, TomlTable, TomlValue};

/// Decodes a section: checks its keys and values, and keeps those of the canonical form.
pub(super) fn decode_section(
    section: &'static SectionSchema,
    table: TomlTable,
    diagnostics: &mut FlyTomlDiagnostics,
) -> TomlTable {
    let written: BTreeSet<String> = table.0.iter().map(|entry| entry.key.clone()).collect();
    let mut entries = Vec::new();
    for entry in table.0 {
        let Some(key) = find_key(section, &entry, &written, diagnostics) else {
            continue;
        };
        let TomlEntry {
            key_location, node, ..
        } = entry;
        let Some(node) = decode_value(
            key.value_type,
            &qualified_key(key.name, section.name),
            node,
            diagnostics,
        ) else {
            continue;
        };
        match key.handling {
            KeyHandling::Keep => entries.push(TomlEntry {
                key: key.name.to_owned(),
                key_location,
                node,
            }),
            KeyHandling::Ignore => {}
            // Generators of old wrote empty lists.
            KeyHandling::Warn(_) if matches!(&node.value, TomlValue::Array(items) if items.is_empty()) =>
                {}
            KeyHandling::Warn(reason) => {
                let message = format!(
                    "{} has no effect here",
                    qualified_key(key.name, section.name)
                );
                diagnostics.warn(&key_location, message, "left out", Some(reason.to_owned()));
            }
        }
    }
    TomlTable(entries)
}

/// Finds the schema of an entry's key. Unknown keys get a warning, because flyctl ignores them
/// silently.
fn find_key(
    section: &SectionSchema,
    entry: &TomlEntry,
    written: &BTreeSet<String>,
    diagnostics: &mut FlyTomlDiagnostics,
) -> Option<&'static KeySchema> {
    match section.find_key(&entry.key) {
        Some(key) if key.name == entry.key => Some(key),
        // Different capitals only count when the usual spelling is absent.
        Some(key) if !written.contains(key.name) => {
            let help = format!("write `{}`", key.name);
            let message = format!(
                "{} is spelled with other capitals",
                qualified_key(&entry.key, section.name)
            );
            diagnostics.warn(
                &entry.key_location,
                message,
                "flyctl accepts it anyway",
                Some(help),
            );
            Some(key)
        }
        _ => {
            warn_unknown_key(section, entry, diagnostics);
            None
        }
    }
}

fn warn_unknown_key(
    section: &SectionSchema,
    entry: &TomlEntry,
    diagnostics: &mut FlyTomlDiagnostics,
) {
    let nearest = || {
        section
            .nearest_key(&entry.key)
            .map(|name| format!("did you mean `{name}`?"))
    };
    let help = key_hints::key_hint(section.name, &entry.key)
        .map(str::to_owned)
        .or_else(nearest);
    let section_text = if section.name.is_empty() {
        "at the top of a fly.toml".to_owned()
    } else {
        format!("in `{}`", section.name)
    };
    let message = format!("there is no key `{}` {section_text}", entry.key);
    diagnostics.warn(&entry.key_location, message, "flyctl ignores it", help);
}

/// Decodes a value. `None` when it is invalid, which has been reported, or empty.
fn decode_value(
    shape: ValueType,
    name: &str,
    node: TomlNode,
    diagnostics: &mut FlyTomlDiagnostics,
) -> Option<TomlNode> {
    let TomlNode {
        location,
        value: actual,
    } = node;
    let kind = go_format::describe_type(&actual);
    let decoded = match shape {
        ValueType::Any => Ok(Some(actual)),
        ValueType::String => scalars::string(actual),
        ValueType::AnyTable => scalars::any_table(actual),
        ValueType::Command => scalars::command(actual),
        ValueType::UppercaseString => scalars::uppercase(actual),
        ValueType::OneOf(words) => scalars::one_of(words, actual),
        ValueType::Integer => scalars::integer_in_range(i64::MIN, i64::MAX, &actual),
        ValueType::NonZeroInteger => scalars::nonzero_integer(&actual),
        ValueType::IntegerRange(min, max) => scalars::integer_in_range(min, max, &actual),
        ValueType::Number => scalars::number(actual),
        ValueType::Boolean => scalars::boolean(actual),
        ValueType::Autostop => scalars::autostop(actual),
        ValueType::PersistRootfs => scalars::persist_rootfs(actual),
        ValueType::Duration => scalars::duration(name, &location, actual, diagnostics),
        ValueType::StringList => decode_string_list(name, actual, diagnostics),
        ValueType::StringMap => decode_string_map(name, actual, diagnostics),
        ValueType::Table(section) => decode_table(section, actual, diagnostics),
        ValueType::TableList(section) => decode_table_list(section, actual, diagnostics),
        ValueType::TableMap(section) => decode_table_map(section, actual, diagnostics),
    };
    match decoded {
        Ok(value) => value.map(|value| TomlNode { location, value }),
        Err(TypeMismatch { expected, help }) => {
            diagnostics.error(&location, format!("{name} must be {expected}"), kind, help);
            None
        }
    }
}

/// An empty list is the same as an absent one.
fn list_or_none(items: Vec<TomlNode>) -> Decoded {
    Ok((!items.is_empty()).then_some(TomlValue::Array(items)))
}

fn decode_string_list(
    name: &str,
    actual: TomlValue,
    diagnostics: &mut FlyTomlDiagnostics,
) -> Decoded {
    let items = match actual {
        TomlValue::Array(items) => items,
        TomlValue::String(text) => {
            return Err(TypeMismatch::with_help(
                "a list of strings",
                format!("write [{text:?}]"),
            ));
        }
        _ => return Err(TypeMismatch::new("a list of strings")),
    };
    let name = format!("an item of {name}");
    list_or_none(
        items
            .into_iter()
            .filter_map(|item| decode_string_item(&name, item, diagnostics))
            .collect(),
    )
}

fn decode_string_map(
    name: &str,
    actual: TomlValue,
    diagnostics: &mut FlyTomlDiagnostics,
) -> Decoded {
    let TomlValue::Table(TomlTable(entries)) = actual else {
        return Err(TypeMismatch::new("a table of strings"));
    };
    let mut entry = |entry: TomlEntry| {
        let node = decode_string_item(
            &format!("`{}` of {name}", entry.key),
            entry.node,
            diagnostics,
        )?;
        Some(TomlEntry { node, ..entry })
    };
    let entries: Vec<TomlEntry> = entries.into_iter().filter_map(&mut entry).collect();
    Ok((!entries.is_empty()).then_some(TomlValue::Table(TomlTable(entries))))
}

/// Decodes an item of a list or map, where an empty string is kept.
fn decode_string_item(
    name: &str,
    node: TomlNode,
    diagnostics: &mut FlyTomlDiagnostics,
) -> Option<TomlNode> {
    if node.as_str().is_some_and(str::is_empty) {
        return Some(node);
    }
    decode_value(ValueType::String, name, node, diagnostics)
}

fn decode_table(
    section: &'static SectionSchema,
    actual: TomlValue,
    diagnostics: &mut FlyTomlDiagnostics,
) -> Decoded {
    match actual {
        TomlValue::Table(actual) => Ok(Some(TomlValue::Table(decode_section(
            section,
            actual,
            diagnostics,
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
    actual: TomlValue,
    diagnostics: &mut FlyTomlDiagnostics,
) -> Decoded {
    let items = match actual {
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
            .filter_map(|item| decode_value(ValueType::Table(section), &name, item, diagnostics))
            .collect(),
    )
}

fn decode_table_map(
    section: &'static SectionSchema,
    actual: TomlValue,
    diagnostics: &mut FlyTomlDiagnostics,
) -> Decoded {
    let TomlValue::Table(TomlTable(entries)) = actual else {
        return Err(TypeMismatch::new("a table of tables"));
    };
    let mut entry = |entry: TomlEntry| {
        let name = qualified_key(&entry.key, section.name);
        let node = decode_value(ValueType::Table(section), &name, entry.node, diagnostics)?;
        Some(TomlEntry { node, ..entry })
    };
    Ok(Some(TomlValue::Table(TomlTable(
        entries.into_iter().filter_map(&mut entry).collect(),
    ))))
}
