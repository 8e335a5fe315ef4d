//! Sections that were written under several names, or once instead of as a list.

use super::{array, tables};
use crate::manifest::{
    fly_toml::{report::Report, text},
    node::{Entry, Place, Table, Value},
};

/// Gathers the tables of all names into a list under the last one.
///
/// The list is there even when nothing was written, as in flyctl, which is why `[[VM]]` in capitals counts for nothing.
pub(super) fn gather(root: &mut Table, at: &Place, names: &[&str], report: &mut Report) {
    let mut first = None;
    let mut found = Vec::new();
    for name in names {
        if let Some(entry) = root.remove(name) {
            first.get_or_insert((entry.key_at, entry.node.at.clone()));
            found.extend(tables(entry.node, name, report));
        }
    }
    let (key_at, at) = first.unwrap_or((at.clone(), at.clone()));
    let Some(name) = names.last() else { return };
    root.0.push(Entry {
        key: (*name).to_owned(),
        key_at,
        node: array(at, found),
    });
}

/// Turns a size that was written as a number into a text.
pub(super) fn stringify(root: &mut Table, section: &str, key: &str) {
    let section = root.0.iter_mut().find(|entry| entry.key == section);
    let Some(Value::Array(items)) = section.map(|entry| &mut entry.node.value) else {
        return;
    };
    for item in items {
        if let Value::Table(Table(entries)) = &mut item.value
            && let Some(entry) = entries.iter_mut().find(|entry| entry.key == key)
        {
            entry.node.value = Value::String(text::printed(&entry.node.value));
        }
    }
}
