//! Sections that may have several names, or be written as one table instead of a list.

use super::{section_tables, table_array};
use crate::manifest::{
    fly_toml::{diagnostics::FlyTomlDiagnostics, go_format},
    syntax::node::{SourceLocation, TomlEntry, TomlTable, TomlValue},
};

/// Collects the tables of all names into one list under the last name.
///
/// As in flyctl the list is added even when no name occurs. This is why `[[VM]]` in capitals has no
/// effect.
pub(super) fn merge_aliases(
    root: &mut TomlTable,
    location: &SourceLocation,
    names: &[&str],
    diagnostics: &mut FlyTomlDiagnostics,
) {
    let mut first = None;
    let mut tables = Vec::new();
    for name in names {
        if let Some(entry) = root.remove(name) {
            first.get_or_insert((entry.key_location, entry.node.location.clone()));
            tables.extend(section_tables(entry.node, name, diagnostics));
        }
    }
    let (key_location, location) = first.unwrap_or((location.clone(), location.clone()));
    let Some(name) = names.last() else { return };
    root.0.push(TomlEntry {
        key: (*name).to_owned(),
        key_location,
        node: table_array(location, tables),
    });
}

/// Converts a size that was written as a number to a string.
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
