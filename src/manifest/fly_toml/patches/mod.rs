//! Old spellings, rewritten: what flyctl's `patches.go` does to the raw tree before it looks at types. The order is
//! flyctl's too, since some patches look at what others made.

mod checks;
mod gather;
mod sections;
mod services;

use super::report::Report;
use crate::manifest::node::{Entry, Node, Place, Table, Value};

/// Rewrites what is old in a fly.toml. What cannot be rewritten is reported and taken out.
pub(super) fn apply(root: &mut Table, at: &Place, report: &mut Report) {
    replace(root, "env", report, sections::env);
    replace(root, "services", report, services::services);
    replace(root, "processes", report, sections::processes);
    sections::experimental(root, report);
    replace(root, "checks", report, checks::top_level);
    gather::gather(root, at, &["compute", "computes", "vm"], report);
    gather::gather(root, at, &["mount", "mounts"], report);
    gather::gather(root, at, &["metric", "metrics"], report);
    gather::stringify(root, "vm", "memory");
    gather::stringify(root, "mounts", "initial_size");
    checks::cast_duration(root, "kill_timeout", checks::Unit::Second, "", report);
    replace(root, "build", report, sections::build);
}

/// Rewrites the value of a key in its place; `None` takes the key out.
fn replace(
    table: &mut Table,
    key: &str,
    report: &mut Report,
    patch: impl FnOnce(Node, &mut Report) -> Option<Node>,
) {
    let Some(index) = table.0.iter().position(|entry| entry.key == key) else {
        return;
    };
    let entry = table.0.remove(index);
    if let Some(node) = patch(entry.node, report) {
        table.0.insert(index, Entry { node, ..entry });
    }
}

/// The tables of a section that may be written as one table or as a list of them.
fn tables(node: Node, section: &str, report: &mut Report) -> Vec<(Place, Table)> {
    match node.value {
        Value::Table(table) => vec![(node.at, table)],
        Value::Array(items) => {
            let item = |item: Node| match item.value {
                Value::Table(table) => Some((item.at, table)),
                other => {
                    let message = format!("an item of `{section}` must be a table");
                    report.wrong(&item.at, message, super::text::kind(&other), None);
                    None
                }
            };
            items.into_iter().filter_map(item).collect()
        }
        other => {
            let message = format!("`{section}` must be a table or a list of tables");
            report.wrong(&node.at, message, super::text::kind(&other), None);
            Vec::new()
        }
    }
}

/// A list of tables, at the place of what it was made from.
fn array(at: Place, tables: impl IntoIterator<Item = (Place, Table)>) -> Node {
    let item = |(at, table)| Node {
        at,
        value: Value::Table(table),
    };
    Node {
        at,
        value: Value::Array(tables.into_iter().map(item).collect()),
    }
}

/// Sets a key; a later value wins over an earlier one, as in flyctl.
fn put(table: &mut Table, entry: Entry) {
    table.remove(&entry.key);
    table.0.push(entry);
}
