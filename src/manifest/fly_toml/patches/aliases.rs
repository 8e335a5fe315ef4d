//! Sections that were written under several names, or once instead of as a list.

use super::{section_tables, table_array};
use crate::manifest::{
    fly_toml::{diagnostics::FlyTomlDiagnostics, go_format},
    syntax::node::{SourceLocation, TomlEntry, TomlTable, TomlValue},
};

/// Gathers the tables of all names into a list under the last one.
///
/// The list is there even when nothing was written, as in flyctl, which is why `[[VM]]` in capitals counts for nothing.
pub(super) fn merge_aliases(
    root: &mut TomlTable,
    at: &SourceLocation,
    names: &[&str],
    report: &mut FlyTomlDiagnostics,
) {
    let mut first = None;
    let mut found = Vec::new();
    for name in names {
        if let Some(entry) = root.remove(name) {
            first.get_or_insert((entry.key_location, entry.node.location.clone()));
            found.extend(section_tables(entry.node, name, report));
        }
    }
    let (key_at, at) = first.unwrap_or((at.clone(), at.clone()));
    let Some(name) = names.last() else { return };
    root.0.push(TomlEntry {
        key: (*name).to_owned(),
        key_location: key_at,
        node: table_array(at, found),
    });
}

/// Turns a size that was written as a number into a text.
pub(super) fn numbers_to_strings(root: &mut TomlTable, section: &str, key: &str) {
    let section = root.0.iter_mut().find(|entry| entry.key == section);
    let Some(TomlValue::Array(items)) = section.map(|entry| &mut entry.node.value) else {
        return;
    };
    for item in items {
        if let TomlValue::Table(TomlTable(entries)) = &mut item.value
            && let Some(entry) = entries.iter_mut().find(|entry| entry.key == key)
        {
            entry.node.value = TomlValue::String(go_format::format_value(&entry.node.value));
        }
    }
}
