//! The old spellings of checks: bare numbers as durations, headers as lists, checks as a list.

use super::{array, put, tables};
use crate::manifest::{
    fly_toml::{
        report::{Report, within},
        text,
    },
    node::{Entry, Node, Table, Value},
};

/// What a bare number counts where flyctl patches it.
#[derive(Clone, Copy)]
pub(super) enum Unit {
    /// In checks.
    Millisecond,
    /// In `kill_timeout`.
    Second,
}

/// The checks of a service: one, or a list of them. None are as if unsaid.
pub(super) fn list(node: Node, section: &str, report: &mut Report) -> Option<Node> {
    let at = node.at.clone();
    let mut found = tables(node, section, report);
    for (_, table) in &mut found {
        check(table, section, report);
    }
    (!found.is_empty()).then(|| array(at, found))
}

/// `[checks]`: a table of checks, or a list in which each says its `name`.
pub(super) fn top_level(node: Node, report: &mut Report) -> Option<Node> {
    let mut named = match node.value {
        Value::Table(table) => table,
        Value::Array(items) => {
            let mut named = Table::default();
            items
                .into_iter()
                .filter_map(|item| name(item, report))
                .for_each(|entry| put(&mut named, entry));
            named
        }
        other => {
            report.wrong(
                &node.at,
                "`checks` must be a table",
                text::kind(&other),
                None,
            );
            return None;
        }
    };
    for entry in &mut named.0 {
        if let Value::Table(table) = &mut entry.node.value {
            check(table, "checks", report);
        }
    }
    Some(Node {
        at: node.at,
        value: Value::Table(named),
    })
}

fn name(mut item: Node, report: &mut Report) -> Option<Entry> {
    let name = match &mut item.value {
        Value::Table(table) => table.remove("name"),
        _ => None,
    };
    match name {
        Some(Entry {
            node:
                Node {
                    at,
                    value: Value::String(key),
                },
            ..
        }) => Some(Entry {
            key,
            key_at: at,
            node: item,
        }),
        _ => {
            let help = Some("write `[checks.NAME]`".to_owned());
            report.wrong(
                &item.at,
                "a check needs a `name`",
                "this one has none",
                help,
            );
            None
        }
    }
}

fn check(table: &mut Table, section: &str, report: &mut Report) {
    for key in ["interval", "timeout", "grace_period"] {
        cast_duration(table, key, Unit::Millisecond, section, report);
    }
    super::replace(table, "headers", report, headers);
}

/// Gives a bare number its unit. flyctl drops what is neither text nor number without a word.
pub(super) fn cast_duration(
    table: &mut Table,
    key: &str,
    unit: Unit,
    section: &str,
    report: &mut Report,
) {
    super::replace(table, key, report, |node, report| {
        let number = match &node.value {
            Value::String(text) => return (!text.is_empty()).then_some(node),
            Value::Integer(number) => *number,
            #[expect(
                clippy::cast_possible_truncation,
                reason = "flyctl cuts off, and `as` saturates"
            )]
            Value::Float(number) => *number as i64,
            other => {
                let message = format!("{} is not a duration", within(key, section));
                report.odd(
                    &node.at,
                    message,
                    "flyctl ignores it",
                    Some(text::kind(other).to_owned()),
                );
                return None;
            }
        };
        let written = match unit {
            Unit::Second => format!("{number}s"),
            Unit::Millisecond if number % 1000 == 0 => format!("{}s", number / 1000),
            Unit::Millisecond => format!("{number}ms"),
        };
        Some(text::node(&node.at, written))
    });
}

/// A table of texts, which may be a list of names and values.
fn headers(node: Node, report: &mut Report) -> Option<Node> {
    let entries = match node.value {
        Value::Table(Table(entries)) => entries,
        Value::Array(items) => items
            .into_iter()
            .filter_map(|item| header(item, report))
            .collect(),
        other => {
            report.wrong(
                &node.at,
                "`headers` must be a table",
                text::kind(&other),
                None,
            );
            return None;
        }
    };
    let mut table = Table::default();
    for entry in entries {
        let printed = text::printed(&entry.node.value);
        let node = text::node(&entry.node.at, printed);
        put(&mut table, Entry { node, ..entry });
    }
    (!table.0.is_empty()).then_some(Node {
        at: node.at,
        value: Value::Table(table),
    })
}

fn header(item: Node, report: &mut Report) -> Option<Entry> {
    let at = item.at.clone();
    let (name, value) = match item.value {
        Value::Table(mut table) => (table.remove("name"), table.remove("value")),
        _ => (None, None),
    };
    let Some(name) = name else {
        let help = Some("write `headers = { NAME = \"value\" }`".to_owned());
        report.wrong(&at, "a header needs a `name`", "this one has none", help);
        return None;
    };
    let node = value.map_or_else(|| text::node(&at, ""), |entry| entry.node);
    Some(Entry {
        key: text::printed(&name.node.value),
        key_at: name.node.at,
        node,
    })
}
