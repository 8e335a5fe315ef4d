//! The old spellings of `[[services]]`.

use super::{array, checks, replace, tables};
use crate::manifest::{
    fly_toml::{report::Report, text},
    node::{Entry, Node, Place, Table, Value},
};

/// Every service of a list, or the only one; empty ones do not count.
pub(super) fn services(node: Node, report: &mut Report) -> Option<Node> {
    let at = node.at.clone();
    let mut found = tables(node, "services", report);
    for (_, table) in &mut found {
        service(table, report);
    }
    Some(array(
        at,
        found.into_iter().filter(|(_, table)| !table.0.is_empty()),
    ))
}

fn service(table: &mut Table, report: &mut Report) {
    replace(table, "concurrency", report, concurrency);
    replace(table, "ports", report, ports);
    replace(table, "tcp_checks", report, |node, report| {
        checks::list(node, "services.tcp_checks", report)
    });
    replace(table, "http_checks", report, |node, report| {
        checks::list(node, "services.http_checks", report)
    });
    replace(table, "internal_port", report, |node, report| {
        number(node, "`internal_port` in `services`", report)
    });
}

fn ports(node: Node, report: &mut Report) -> Option<Node> {
    let at = node.at.clone();
    let mut found = tables(node, "services.ports", report);
    for (_, port) in &mut found {
        replace(port, "port", report, |node, report| {
            number(node, "`port` in `services.ports`", report)
        });
    }
    Some(array(at, found))
}

/// A whole number that may be written as a text, or with a fraction that is cut off.
fn number(node: Node, name: &str, report: &mut Report) -> Option<Node> {
    let number = match &node.value {
        Value::String(digits) => digits.parse().ok(),
        Value::Integer(number) => Some(*number),
        Value::Float(number) => text::whole(number.trunc()),
        _ => None,
    };
    match number {
        Some(number) => Some(Node {
            at: node.at,
            value: Value::Integer(number),
        }),
        None => {
            let message = format!("{name} must be a whole number");
            report.wrong(&node.at, message, text::kind(&node.value), None);
            None
        }
    }
}

/// The form of the first years: `"20,25"`, soft before hard.
fn concurrency(node: Node, report: &mut Report) -> Option<Node> {
    const HELP: &str = "write `[services.concurrency]` with `type`, `soft_limit` and `hard_limit`";
    let limits = match &node.value {
        Value::Table(_) => return Some(node),
        Value::String(limits) => limits.split_once(','),
        _ => None,
    };
    let limits = limits.and_then(|(soft, hard)| Some((soft.parse().ok()?, hard.parse().ok()?)));
    let Some((soft, hard)) = limits else {
        let message = "`concurrency` in `services` must be one table";
        report.wrong(
            &node.at,
            message,
            text::kind(&node.value),
            Some(HELP.to_owned()),
        );
        return None;
    };
    let entry = |key: &str, value: Value| entry(&node.at, key, value);
    let table = Table(vec![
        // Not flyctl's default, `connections`: this form predates it.
        entry("type", Value::String("requests".to_owned())),
        entry("soft_limit", Value::Integer(soft)),
        entry("hard_limit", Value::Integer(hard)),
    ]);
    Some(Node {
        value: Value::Table(table),
        at: node.at,
    })
}

fn entry(at: &Place, key: &str, value: Value) -> Entry {
    Entry {
        key: key.to_owned(),
        key_at: at.clone(),
        node: Node {
            at: at.clone(),
            value,
        },
    }
}
