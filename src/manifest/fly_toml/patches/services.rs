//! The old spellings of `[[services]]`.

use super::{checks, replace_value, section_tables, table_array};
use crate::manifest::{
    fly_toml::{diagnostics::FlyTomlDiagnostics, go_format},
    syntax::node::{SourceLocation, TomlEntry, TomlNode, TomlTable, TomlValue},
};

/// Every service of a list, or the only one; empty ones do not count.
pub(super) fn patch_services(node: TomlNode, report: &mut FlyTomlDiagnostics) -> Option<TomlNode> {
    let at = node.location.clone();
    let mut found = section_tables(node, "services", report);
    for (_, table) in &mut found {
        patch_service(table, report);
    }
    Some(table_array(
        at,
        found.into_iter().filter(|(_, table)| !table.0.is_empty()),
    ))
}

fn patch_service(table: &mut TomlTable, report: &mut FlyTomlDiagnostics) {
    replace_value(table, "concurrency", report, patch_concurrency);
    replace_value(table, "ports", report, patch_ports);
    replace_value(table, "tcp_checks", report, |node, report| {
        checks::patch_service_checks(node, "services.tcp_checks", report)
    });
    replace_value(table, "http_checks", report, |node, report| {
        checks::patch_service_checks(node, "services.http_checks", report)
    });
    replace_value(table, "internal_port", report, |node, report| {
        integer_node(node, "`internal_port` in `services`", report)
    });
}

fn patch_ports(node: TomlNode, report: &mut FlyTomlDiagnostics) -> Option<TomlNode> {
    let at = node.location.clone();
    let mut found = section_tables(node, "services.ports", report);
    for (_, port) in &mut found {
        replace_value(port, "port", report, |node, report| {
            integer_node(node, "`port` in `services.ports`", report)
        });
    }
    Some(table_array(at, found))
}

/// A whole number that may be written as a text, or with a fraction that is cut off.
fn integer_node(node: TomlNode, name: &str, report: &mut FlyTomlDiagnostics) -> Option<TomlNode> {
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
            let message = format!("{name} must be a whole number");
            report.error(
                &node.location,
                message,
                go_format::describe_type(&node.value),
                None,
            );
            None
        }
    }
}

/// The form of the first years: `"20,25"`, soft before hard.
fn patch_concurrency(node: TomlNode, report: &mut FlyTomlDiagnostics) -> Option<TomlNode> {
    const HELP: &str = "write `[services.concurrency]` with `type`, `soft_limit` and `hard_limit`";
    let limits = match &node.value {
        TomlValue::Table(_) => return Some(node),
        TomlValue::String(limits) => limits.split_once(','),
        _ => None,
    };
    let limits = limits.and_then(|(soft, hard)| Some((soft.parse().ok()?, hard.parse().ok()?)));
    let Some((soft, hard)) = limits else {
        let message = "`concurrency` in `services` must be one table";
        report.error(
            &node.location,
            message,
            go_format::describe_type(&node.value),
            Some(HELP.to_owned()),
        );
        return None;
    };
    let entry = |key: &str, value: TomlValue| new_entry(&node.location, key, value);
    let table = TomlTable(vec![
        // Not flyctl's default, `connections`: this form predates it.
        entry("type", TomlValue::String("requests".to_owned())),
        entry("soft_limit", TomlValue::Integer(soft)),
        entry("hard_limit", TomlValue::Integer(hard)),
    ]);
    Some(TomlNode {
        value: TomlValue::Table(table),
        location: node.location,
    })
}

fn new_entry(at: &SourceLocation, key: &str, value: TomlValue) -> TomlEntry {
    TomlEntry {
        key: key.to_owned(),
        key_location: at.clone(),
        node: TomlNode {
            location: at.clone(),
            value,
        },
    }
}
