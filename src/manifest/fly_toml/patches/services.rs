//! Rewrites old spellings of `[[services]]`.

use super::{checks, replace_value, section_tables, table_array};
use crate::manifest::{
    fly_toml::{diagnostics::FlyTomlDiagnostics, go_format},
    syntax::node::{SourceLocation, TomlEntry, TomlNode, TomlTable, TomlValue},
};

/// Patches one service or a list of them; empty ones are removed.
pub(super) fn patch_services(
    node: TomlNode,
    diagnostics: &mut FlyTomlDiagnostics,
) -> Option<TomlNode> {
    let location = node.location.clone();
    let mut tables = section_tables(node, "services", diagnostics);
    for (_, table) in &mut tables {
        patch_service(table, diagnostics);
    }
    Some(table_array(
        location,
        tables.into_iter().filter(|(_, table)| !table.0.is_empty()),
    ))
}

fn patch_service(table: &mut TomlTable, diagnostics: &mut FlyTomlDiagnostics) {
    replace_value(table, "concurrency", diagnostics, patch_concurrency);
    replace_value(table, "ports", diagnostics, patch_ports);
    replace_value(table, "tcp_checks", diagnostics, |node, diagnostics| {
        checks::patch_service_checks(node, "services.tcp_checks", diagnostics)
    });
    replace_value(table, "http_checks", diagnostics, |node, diagnostics| {
        checks::patch_service_checks(node, "services.http_checks", diagnostics)
    });
    replace_value(table, "internal_port", diagnostics, |node, diagnostics| {
        integer_node(node, "`internal_port` in `services`", diagnostics)
    });
}

fn patch_ports(node: TomlNode, diagnostics: &mut FlyTomlDiagnostics) -> Option<TomlNode> {
    let location = node.location.clone();
    let mut tables = section_tables(node, "services.ports", diagnostics);
    for (_, port) in &mut tables {
        replace_value(port, "port", diagnostics, |node, diagnostics| {
            integer_node(node, "`port` in `services.ports`", diagnostics)
        });
    }
    Some(table_array(location, tables))
}

/// An integer that may be written as a string, or as a float whose fraction is cut off.
fn integer_node(
    node: TomlNode,
    name: &str,
    diagnostics: &mut FlyTomlDiagnostics,
) -> Option<TomlNode> {
    let number = match &node.value {
        TomlValue::String(digits) => digits.parse().ok(),
        TomlValue::Integer(number) => Some(*number),
        TomlValue::Float(number) => go_format::exact_integer(number.trunc()),
        _ => None,
    };
    match number {
        Some(number) => Some(TomlNode {
            location: node.location,
            value: TomlValue::Integer(number),
        }),
        None => {
            let message = format!("{name} must be an integer");
            diagnostics.error(
                &node.location,
                message,
                go_format::describe_type(&node.value),
                None,
            );
            None
        }
    }
}

/// Converts the oldest form of `concurrency`: `"20,25"`, the soft limit before the hard one.
fn patch_concurrency(node: TomlNode, diagnostics: &mut FlyTomlDiagnostics) -> Option<TomlNode> {
    const HELP: &str = "write `[services.concurrency]` with `type`, `soft_limit` and `hard_limit`";
    let limits = match &node.value {
        TomlValue::Table(_) => return Some(node),
        TomlValue::String(limits) => limits.split_once(','),
        _ => None,
    };
    let limits = limits.and_then(|(soft, hard)| Some((soft.parse().ok()?, hard.parse().ok()?)));
    let Some((soft, hard)) = limits else {
        let message = "`concurrency` in `services` must be one table";
        diagnostics.error(
            &node.location,
            message,
            go_format::describe_type(&node.value),
            Some(HELP.to_owned()),
        );
        return None;
    };
    let entry = |key: &str, value: TomlValue| new_entry(&node.location, key, value);
    let table = TomlTable(vec![
        // Not flyctl's current default, `connections`: this form is older than that default.
        entry("type", TomlValue::String("requests".to_owned())),
        entry("soft_limit", TomlValue::Integer(soft)),
        entry("hard_limit", TomlValue::Integer(hard)),
    ]);
    Some(TomlNode {
        value: TomlValue::Table(table),
        location: node.location,
    })
}

fn new_entry(location: &SourceLocation, key: &str, value: TomlValue) -> TomlEntry {
    TomlEntry {
        key: key.to_owned(),
        key_location: location.clone(),
        node: TomlNode {
            location: location.clone(),
            value,
        },
    }
}
