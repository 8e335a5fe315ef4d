//! Rewrites old spellings of checks: bare numbers as durations, headers as lists, checks as a list.

use super::{section_tables, set_entry, table_array};
use crate::manifest::{
    fly_toml::{
        diagnostics::{FlyTomlDiagnostics, qualified_key},
        go_format,
    },
    syntax::node::{TomlEntry, TomlNode, TomlTable, TomlValue},
};

/// The unit of a bare number in a field that flyctl patches.
#[derive(Clone, Copy)]
pub(super) enum BareNumberUnit {
    /// Used in checks.
    Millisecond,
    /// Used for `kill_timeout`.
    Second,
}

/// Patches the checks of a service: one table or a list. An empty list is removed.
pub(super) fn patch_service_checks(
    node: TomlNode,
    section: &str,
    diagnostics: &mut FlyTomlDiagnostics,
) -> Option<TomlNode> {
    let location = node.location.clone();
    let mut tables = section_tables(node, section, diagnostics);
    for (_, table) in &mut tables {
        patch_check(table, section, diagnostics);
    }
    (!tables.is_empty()).then(|| table_array(location, tables))
}

/// Patches `[checks]`: a table of checks, or a list in which each check has a `name`.
pub(super) fn patch_checks(
    node: TomlNode,
    diagnostics: &mut FlyTomlDiagnostics,
) -> Option<TomlNode> {
    let mut named = match node.value {
        TomlValue::Table(table) => table,
        TomlValue::Array(items) => {
            let mut named = TomlTable::default();
            items
                .into_iter()
                .filter_map(|item| named_check(item, diagnostics))
                .for_each(|entry| set_entry(&mut named, entry));
            named
        }
        other => {
            diagnostics.error(
                &node.location,
                "`checks` must be a table",
                go_format::describe_type(&other),
                None,
            );
            return None;
        }
    };
    for entry in &mut named.0 {
        if let TomlValue::Table(table) = &mut entry.node.value {
            patch_check(table, "checks", diagnostics);
        }
    }
    Some(TomlNode {
        location: node.location,
        value: TomlValue::Table(named),
    })
}

fn named_check(mut item: TomlNode, diagnostics: &mut FlyTomlDiagnostics) -> Option<TomlEntry> {
    let name = match &mut item.value {
        TomlValue::Table(table) => table.remove("name"),
        _ => None,
    };
    match name {
        Some(TomlEntry {
            node:
                TomlNode {
                    location,
                    value: TomlValue::String(key),
                },
            ..
        }) => Some(TomlEntry {
            key,
            key_location: location,
            node: item,
        }),
        _ => {
            let help = Some("write `[checks.NAME]`".to_owned());
            diagnostics.error(
                &item.location,
                "a check needs a `name`",
                "this one has none",
                help,
            );
            None
        }
    }
}

fn patch_check(table: &mut TomlTable, section: &str, diagnostics: &mut FlyTomlDiagnostics) {
    for key in ["interval", "timeout", "grace_period"] {
        cast_duration(
            table,
            key,
            BareNumberUnit::Millisecond,
            section,
            diagnostics,
        );
    }
    super::replace_value(table, "headers", diagnostics, patch_headers);
}

/// Adds the unit to a bare number. flyctl silently drops values that are neither string nor number.
pub(super) fn cast_duration(
    table: &mut TomlTable,
    key: &str,
    unit: BareNumberUnit,
    section: &str,
    diagnostics: &mut FlyTomlDiagnostics,
) {
    super::replace_value(table, key, diagnostics, |node, diagnostics| {
        let number = match &node.value {
            TomlValue::String(text) => return (!text.is_empty()).then_some(node),
            TomlValue::Integer(number) => *number,
            #[expect(
                clippy::cast_possible_truncation,
                reason = "flyctl cuts off, and `as` saturates"
            )]
            TomlValue::Float(number) => *number as i64,
            other => {
                let message = format!("{} is not a duration", qualified_key(key, section));
                diagnostics.warn(
                    &node.location,
                    message,
                    "flyctl ignores it",
                    Some(go_format::describe_type(other).to_owned()),
                );
                return None;
            }
        };
        let written = match unit {
            BareNumberUnit::Second => format!("{number}s"),
            BareNumberUnit::Millisecond if number % 1000 == 0 => format!("{}s", number / 1000),
            BareNumberUnit::Millisecond => format!("{number}ms"),
        };
        Some(go_format::string_node(&node.location, written))
    });
}

/// Patches headers: a table of strings, or a list of names and values.
fn patch_headers(node: TomlNode, diagnostics: &mut FlyTomlDiagnostics) -> Option<TomlNode> {
    let entries = match node.value {
        TomlValue::Table(TomlTable(entries)) => entries,
        TomlValue::Array(items) => items
            .into_iter()
            .filter_map(|item| header_entry(item, diagnostics))
            .collect(),
        other => {
            diagnostics.error(
                &node.location,
                "`headers` must be a table",
                go_format::describe_type(&other),
                None,
            );
            return None;
        }
    };
    let mut table = TomlTable::default();
    for entry in entries {
        let printed = go_format::format_value(&entry.node.value);
        let node = go_format::string_node(&entry.node.location, printed);
        set_entry(&mut table, TomlEntry { node, ..entry });
    }
    (!table.0.is_empty()).then_some(TomlNode {
        location: node.location,
        value: TomlValue::Table(table),
    })
}

fn header_entry(item: TomlNode, diagnostics: &mut FlyTomlDiagnostics) -> Option<TomlEntry> {
    let location = item.location.clone();
    let (name, value) = match item.value {
        TomlValue::Table(mut table) => (table.remove("name"), table.remove("value")),
        _ => (None, None),
    };
    let Some(name) = name else {
        let help = Some("write `headers = { NAME = \"value\" }`".to_owned());
        diagnostics.error(
            &location,
            "a header needs a `name`",
            "this one has none",
            help,
        );
        return None;
    };
    let node = value.map_or_else(|| go_format::string_node(&location, ""), |entry| entry.node);
    Some(TomlEntry {
        key: go_format::format_value(&name.node.value),
        key_location: name.node.location,
        node,
    })
}
