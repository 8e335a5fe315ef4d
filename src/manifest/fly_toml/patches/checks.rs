//! The old spellings of checks: bare numbers as durations, headers as lists, checks as a list.

use super::{section_tables, set_entry, table_array};
use crate::manifest::{
    fly_toml::{
        diagnostics::{FlyTomlDiagnostics, qualified_key},
        go_format,
    },
    syntax::node::{TomlEntry, TomlNode, TomlTable, TomlValue},
};

/// What a bare number counts where flyctl patches it.
#[derive(Clone, Copy)]
pub(super) enum BareNumberUnit {
    /// In checks.
    Millisecond,
    /// In `kill_timeout`.
    Second,
}

/// The checks of a service: one, or a list of them. None are as if unsaid.
pub(super) fn patch_service_checks(
    node: TomlNode,
    section: &str,
    report: &mut FlyTomlDiagnostics,
) -> Option<TomlNode> {
    let at = node.location.clone();
    let mut found = section_tables(node, section, report);
    for (_, table) in &mut found {
        patch_check(table, section, report);
    }
    (!found.is_empty()).then(|| table_array(at, found))
}

/// `[checks]`: a table of checks, or a list in which each says its `name`.
pub(super) fn patch_checks(node: TomlNode, report: &mut FlyTomlDiagnostics) -> Option<TomlNode> {
    let mut named = match node.value {
        TomlValue::Table(table) => table,
        TomlValue::Array(items) => {
            let mut named = TomlTable::default();
            items
                .into_iter()
                .filter_map(|item| named_check(item, report))
                .for_each(|entry| set_entry(&mut named, entry));
            named
        }
        other => {
            report.error(
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
            patch_check(table, "checks", report);
        }
    }
    Some(TomlNode {
        location: node.location,
        value: TomlValue::Table(named),
    })
}

fn named_check(mut item: TomlNode, report: &mut FlyTomlDiagnostics) -> Option<TomlEntry> {
    let name = match &mut item.value {
        TomlValue::Table(table) => table.remove("name"),
        _ => None,
    };
    match name {
        Some(TomlEntry {
            node:
                TomlNode {
                    location: at,
                    value: TomlValue::String(key),
                },
            ..
        }) => Some(TomlEntry {
            key,
            key_location: at,
            node: item,
        }),
        _ => {
            let help = Some("write `[checks.NAME]`".to_owned());
            report.error(
                &item.location,
                "a check needs a `name`",
                "this one has none",
                help,
            );
            None
        }
    }
}

fn patch_check(table: &mut TomlTable, section: &str, report: &mut FlyTomlDiagnostics) {
    for key in ["interval", "timeout", "grace_period"] {
        cast_duration(table, key, BareNumberUnit::Millisecond, section, report);
    }
    super::replace_value(table, "headers", report, patch_headers);
}

/// Gives a bare number its unit. flyctl drops what is neither text nor number without a word.
pub(super) fn cast_duration(
    table: &mut TomlTable,
    key: &str,
    unit: BareNumberUnit,
    section: &str,
    report: &mut FlyTomlDiagnostics,
) {
    super::replace_value(table, key, report, |node, report| {
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
                report.warn(
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

/// A table of texts, which may be a list of names and values.
fn patch_headers(node: TomlNode, report: &mut FlyTomlDiagnostics) -> Option<TomlNode> {
    let entries = match node.value {
        TomlValue::Table(TomlTable(entries)) => entries,
        TomlValue::Array(items) => items
            .into_iter()
            .filter_map(|item| header_entry(item, report))
            .collect(),
        other => {
            report.error(
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

fn header_entry(item: TomlNode, report: &mut FlyTomlDiagnostics) -> Option<TomlEntry> {
    let at = item.location.clone();
    let (name, value) = match item.value {
        TomlValue::Table(mut table) => (table.remove("name"), table.remove("value")),
        _ => (None, None),
    };
    let Some(name) = name else {
        let help = Some("write `headers = { NAME = \"value\" }`".to_owned());
        report.error(&at, "a header needs a `name`", "this one has none", help);
        return None;
    };
    let node = value.map_or_else(|| go_format::string_node(&at, ""), |entry| entry.node);
    Some(TomlEntry {
        key: go_format::format_value(&name.node.value),
        key_location: name.node.location,
        node,
    })
}
