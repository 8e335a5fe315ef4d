//! Old spellings, rewritten: what flyctl's `patches.go` does to the raw tree before it looks at types. The order is
//! flyctl's too, since some patches look at what others made.

mod aliases;
mod checks;
mod sections;
mod services;

use super::diagnostics::FlyTomlDiagnostics;
use crate::manifest::syntax::node::{SourceLocation, TomlEntry, TomlNode, TomlTable, TomlValue};

/// Rewrites what is old in a fly.toml. What cannot be rewritten is reported and taken out.
pub(super) fn apply(root: &mut TomlTable, at: &SourceLocation, report: &mut FlyTomlDiagnostics) {
    replace_value(root, "env", report, sections::patch_env);
    replace_value(root, "services", report, services::patch_services);
    replace_value(root, "processes", report, sections::patch_processes);
    sections::patch_experimental(root, report);
    replace_value(root, "checks", report, checks::patch_checks);
    aliases::merge_aliases(root, at, &["compute", "computes", "vm"], report);
    aliases::merge_aliases(root, at, &["mount", "mounts"], report);
    aliases::merge_aliases(root, at, &["metric", "metrics"], report);
    aliases::numbers_to_strings(root, "vm", "memory");
    aliases::numbers_to_strings(root, "mounts", "initial_size");
    checks::cast_duration(
        root,
        "kill_timeout",
        checks::BareNumberUnit::Second,
        "",
        report,
    );
    replace_value(root, "build", report, sections::patch_build);
}

/// Rewrites the value of a key in its place; `None` takes the key out.
fn replace_value(
    table: &mut TomlTable,
    key: &str,
    report: &mut FlyTomlDiagnostics,
    patch: impl FnOnce(TomlNode, &mut FlyTomlDiagnostics) -> Option<TomlNode>,
) {
    let Some(index) = table.0.iter().position(|entry| entry.key == key) else {
        return;
    };
    let entry = table.0.remove(index);
    if let Some(node) = patch(entry.node, report) {
        table.0.insert(index, TomlEntry { node, ..entry });
    }
}

/// The tables of a section that may be written as one table or as a list of them.
fn section_tables(
    node: TomlNode,
    section: &str,
    report: &mut FlyTomlDiagnostics,
) -> Vec<(SourceLocation, TomlTable)> {
    match node.value {
        TomlValue::Table(table) => vec![(node.location, table)],
        TomlValue::Array(items) => {
            let item = |item: TomlNode| match item.value {
                TomlValue::Table(table) => Some((item.location, table)),
                other => {
                    let message = format!("an item of `{section}` must be a table");
                    report.error(
                        &item.location,
                        message,
                        super::go_format::describe_type(&other),
                        None,
                    );
                    None
                }
            };
            items.into_iter().filter_map(item).collect()
        }
        other => {
            let message = format!("`{section}` must be a table or a list of tables");
            report.error(
                &node.location,
                message,
                super::go_format::describe_type(&other),
                None,
            );
            Vec::new()
        }
    }
}

/// A list of tables, at the place of what it was made from.
fn table_array(
    at: SourceLocation,
    tables: impl IntoIterator<Item = (SourceLocation, TomlTable)>,
) -> TomlNode {
    let item = |(at, table)| TomlNode {
        location: at,
        value: TomlValue::Table(table),
    };
    TomlNode {
        location: at,
        value: TomlValue::Array(tables.into_iter().map(item).collect()),
    }
}

/// Sets a key; a later value wins over an earlier one, as in flyctl.
fn set_entry(table: &mut TomlTable, entry: TomlEntry) {
    table.remove(&entry.key);
    table.0.push(entry);
}
