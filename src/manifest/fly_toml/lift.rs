//! Moves to the top level what flyctl nests only by history, and leaves out what says nothing.

use crate::manifest::node::{Entry, Table, Value};

/// Finishes the canonical form.
pub(super) fn lift(root: &mut Table) {
    if let Some(image) = root.remove("build").and_then(|build| take(build, "image")) {
        root.0.push(image);
    }
    let experimental = root.0.iter_mut().find(|entry| entry.key == "experimental");
    let machine_config = experimental.and_then(|entry| match &mut entry.node.value {
        Value::Table(table) => table.remove("machine_config"),
        _ => None,
    });
    // flyctl prefers the nested one when both are there.
    if let Some(entry) = machine_config {
        root.remove("machine_config");
        root.0.push(entry);
    }
    // `flyctl config save` writes `[[metrics]]` without a key for machines that show none, and means just that.
    let metrics = root.0.iter_mut().find(|entry| entry.key == "metrics");
    if let Some(Value::Array(items)) = metrics.map(|entry| &mut entry.node.value) {
        items.retain(|item| !matches!(&item.value, Value::Table(table) if scrapes_nothing(table)));
    }
    // An `[http_service]` without keys is still a service.
    root.0
        .retain(|entry| entry.key == "http_service" || !says_nothing(&entry.node.value));
    root.0.sort_by_key(|entry| entry.key_at.span.start);
}

fn take(entry: Entry, key: &str) -> Option<Entry> {
    match entry.node.value {
        Value::Table(mut table) => table.remove(key),
        _ => None,
    }
}

fn scrapes_nothing(metrics: &Table) -> bool {
    metrics.0.iter().all(|entry| entry.key == "processes")
}

fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.is_empty(),
        Value::Table(Table(entries)) => entries.is_empty(),
        _ => false,
    }
}
