//! Warns of two sections of a kind for one process group, of which only one counts.

use std::collections::BTreeMap;

use super::collisions::Collisions;
use crate::manifest::{
    schema::{AppSection, slice_or_empty},
    syntax::cursor::Cursor,
};

impl Collisions<'_, '_> {
    /// Warns of all repeated sections of an app.
    pub(super) fn check_sections(&mut self, app: &AppSection, cursor: Cursor<'_>) {
        let restarts = slice_or_empty(app.restart.as_ref()).iter();
        let restarts: Vec<&[String]> = restarts.map(|restart| &*restart.processes).collect();
        self.check_section_groups("restart", &restarts, "the last one counts", cursor);
        let metrics = slice_or_empty(app.metrics.as_ref()).iter();
        let metrics: Vec<&[String]> = metrics.map(|metrics| &*metrics.processes).collect();
        self.check_section_groups("metrics", &metrics, "the first one counts", cursor);
        self.check_vms(app, cursor);
        self.check_statics(app, cursor);
    }

    /// Warns of two sections for one group.
    fn check_section_groups(
        &mut self,
        key: &str,
        processes: &[&[String]],
        which_counts: &str,
        cursor: Cursor<'_>,
    ) {
        let mut taken: BTreeMap<&str, usize> = BTreeMap::new();
        for (index, processes) in processes.iter().enumerate() {
            for group in self.groups.groups_for(processes) {
                if let Some(other) = taken.insert(group, index) {
                    let section = cursor.key(key);
                    self.warn(
                        &format!("group `{group}` has two `{key}` sections"),
                        section.item(index),
                        section.item(other),
                        which_counts,
                    );
                }
            }
        }
    }

    /// Warns of two `[[vm]]` for one group. One for all groups and one for a group of its own is
    /// the usual way to write an exception.
    fn check_vms(&mut self, app: &AppSection, cursor: Cursor<'_>) {
        let cursor = cursor.key("vm");
        let mut taken: BTreeMap<Option<&str>, usize> = BTreeMap::new();
        for (index, vm) in slice_or_empty(app.vm.as_ref()).iter().enumerate() {
            let named = vm.processes.iter().map(|name| Some(name.as_str()));
            let all = vm.processes.is_empty().then_some(None);
            for group in named.chain(all) {
                let Some(other) = taken.insert(group, index) else {
                    continue;
                };
                let (what, which_counts) = match group {
                    Some(name) => (
                        format!("group `{name}` has two `vm` sections"),
                        "the last one counts",
                    ),
                    None => (
                        "two `vm` sections are for all groups".to_owned(),
                        "the first one counts",
                    ),
                };
                self.warn(&what, cursor.item(index), cursor.item(other), which_counts);
            }
        }
    }

    /// Warns of two `statics` under one prefix.
    fn check_statics(&mut self, app: &AppSection, cursor: Cursor<'_>) {
        let cursor = cursor.key("statics");
        let mut taken: BTreeMap<&str, usize> = BTreeMap::new();
        for (index, item) in slice_or_empty(app.statics.as_ref()).iter().enumerate() {
            let Some(prefix) = item.url_prefix.as_deref() else {
                continue;
            };
            if let Some(other) = taken.insert(prefix.trim_end_matches('/'), index) {
                self.warn(
                    &format!("`{prefix}` is served from two places"),
                    cursor.item(index).key("url_prefix"),
                    cursor.item(other).key("url_prefix"),
                    "Fly's proxy serves one of them; give each its own `url_prefix`",
                );
            }
        }
    }
}
