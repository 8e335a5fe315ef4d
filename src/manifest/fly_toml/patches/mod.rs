//! Rewrites old spellings, as flyctl's `patches.go` does to the raw tree before it checks types.
//! The order is flyctl's too, because some patches depend on earlier ones.

mod aliases;
mod checks;
mod sections;
mod services;

use super::diagnostics::FlyTomlDiagnostics;
use crate::manifest::syntax::node::{SourceLocation, TomlEntry, TomlNode, TomlTable, TomlValue};

/// Rewrites the old spellings in a fly.toml. What cannot be rewritten is reported and removed.
pub(super) fn apply(
    root: &mut TomlTable,
    location: &SourceLocation,
    diagnostics: &mut FlyTomlDiagnostics,
) {
    replace_value(root, "env", diagnostics, sections::patch_env);
    replace_value(root, "services", diagnostics, services::patch_services);
    replace_value(root, "processes", diagnostics, sections::patch_processes);
    sections::patch_experimental(root, diagnostics);
    replace_value(root, "checks", diagnostics, checks::patch_checks);
    aliases::merge_aliases(root, location, &["compute", "computes", "vm"], diagnostics);
    aliases::merge_aliases(root, location, &["mount", "mounts"], diagnostics);
    aliases::merge_aliases(root, location, &["metric", "metrics"], diagnostics);
    aliases::numbers_to_strings(root, "vm", "memory");
    aliases::numbers_to_strings(root, "mounts", "initial_size");
    checks::cast_duration(
        root,
        "kill_timeout",
        checks::BareNumberUnit::Second,
        "",
        diagnostics,
    );
    replace_value(root, "build", diagnostics, sections::patch_build);
}

/// Rewrites the value of a key in place; the key is removed when `patch` returns `None`.
fn replace_value(
    table: &mut TomlTable,
    key: &str,
    diagnostics: &mut FlyTomlDiagnostics,
    patch: impl FnOnce(TomlNode, &mut FlyTomlDiagnostics) -> Option<TomlNode>,
) {
    let Some(index) = table.0.iter().position(|entry| entry.key == key) else {
        return;
    };
    let entry = table.0.remove(index);
    if let Some(node) = patch(entry.node, diagnostics) {
        table.0.insert(index, TomlEntry { node, ..entry });
    }
}

/// The tables of a section that may be written as one table or as a list of tables.
fn section_tables(
    node: TomlNode,
    section: &str,
    diagnostics: &mut FlyTomlDiagnostics,
) -> Vec<(SourceLocation, TomlTable)> {
    match node.value {
        TomlValue::Table(table) => vec![(node.location, table)],
        TomlValue::Array(items) => {
            let item = |item: TomlNode| match item.value {
                TomlValue::Table(table) => Some((item.location, table)),
                other => {
                    let message = format!("an item of `{section}` must be a table");
                    diagnostics.error(
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
            diagnostics.error(
                &node.location,
                message,
                super::go_format::describe_type(&other),
                None,
            );
            Vec::new()
        }
    }
}

/// A list of tables, with the location of the section it was made from.
fn table_array(
    location: SourceLocation,
    tables: impl IntoIterator<Item = (SourceLocation, TomlTable)>,
) -> TomlNode {
    let item = |(location, table)| TomlNode {
        location,
        value: TomlValue::Table(table),
    };
    TomlNode {
        location,
        value: TomlValue::Array(tables.into_iter().map(item).collect()),
    }
}

/// Sets a key; a later value replaces an earlier one, as in flyctl.
fn set_entry(table: &mut TomlTable, entry: TomlEntry) {
    table.remove(&entry.key);
    table.0.push(entry);
}
