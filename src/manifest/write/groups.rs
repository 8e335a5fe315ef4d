//! The process groups of a live app: the machines of each, and what all of them have in common.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, json};

use super::document::Entry;
use crate::{
    kinds::fly::workload::{
        WorkloadLive,
        config::{MachineConfig, MachineGuest},
    },
    manifest::schema::{PERFORMANCE_CPU_COUNTS, SHARED_CPU_COUNTS},
};

/// A process group with its machines.
pub(super) struct LiveGroup<'a> {
    pub(super) name: String,
    pub(super) machines: Vec<&'a WorkloadLive>,
    /// Whether Fly starts another machine when a host fails.
    pub(super) has_standby: bool,
}

impl<'a> LiveGroup<'a> {
    /// The groups of machines that do not run on a schedule.
    pub(super) fn of(machines: &'a [WorkloadLive]) -> Vec<Self> {
        let mut groups: BTreeMap<&str, Vec<&WorkloadLive>> = BTreeMap::new();
        for machine in machines
            .iter()
            .filter(|machine| machine.config.schedule.is_none())
        {
            groups
                .entry(machine.process_group())
                .or_default()
                .push(machine);
        }
        let groups = groups.into_iter().map(|(name, mut machines)| {
            machines.sort_by(|a, b| (&a.created, &a.id).cmp(&(&b.created, &b.id)));
            let (standbys, machines): (Vec<_>, Vec<_>) = machines
                .into_iter()
                .partition(|machine| !machine.config.standbys.is_empty());
            Self {
                name: name.to_owned(),
                has_standby: !standbys.is_empty(),
                machines,
            }
        });
        groups.filter(|group| !group.machines.is_empty()).collect()
    }

    /// The configuration that is written for the group: that of its oldest machine.
    pub(super) fn config(&self) -> &'a MachineConfig {
        &self.machines[0].config
    }

    /// The group's own table.
    pub(super) fn entry(&self) -> Entry {
        let config = self.config();
        let mut counts: BTreeMap<String, u32> = BTreeMap::new();
        for machine in &self.machines {
            *counts.entry(machine.region.to_string()).or_default() += 1;
        }
        let mut entries = vec![Entry::value("count", json!(counts))];
        entries.extend(config.guest.iter().flat_map(guest_entries));
        if !config.init.cmd.is_empty() {
            entries.push(Entry::value("command", json!(config.init.cmd)));
        }
        if self.has_standby {
            entries.push(Entry::value("standby", json!(true)));
        }
        Entry::table(&self.name, entries)
    }
}

/// CPUs and memory: a preset where there is one.
pub(super) fn guest_entries(guest: &MachineGuest) -> Vec<Entry> {
    let preset = match guest.cpu_kind.as_str() {
        "shared" if SHARED_CPU_COUNTS.contains(&guest.cpus) => {
            Some(format!("shared-cpu-{}x", guest.cpus))
        }
        "performance" if PERFORMANCE_CPU_COUNTS.contains(&guest.cpus) => {
            Some(format!("performance-{}x", guest.cpus))
        }
        _ => None,
    };
    let mut entries = match preset {
        Some(preset) => vec![Entry::value("size", json!(preset))],
        None => vec![
            Entry::value("cpu_kind", json!(guest.cpu_kind)),
            Entry::value("cpus", json!(guest.cpus)),
        ],
    };
    entries.push(Entry::value("memory", json!(guest.memory_mb.to_string())));
    entries
}

/// The parts of all groups, each once, with the groups that have it. The names are left out where there is one group.
pub(super) fn merge_parts<'a, T: PartialEq>(
    groups: &[LiveGroup<'a>],
    parts: impl Fn(&'a MachineConfig) -> &'a [T],
) -> Vec<(&'a T, Vec<String>)> {
    let mut merged: Vec<(&T, Vec<String>)> = Vec::new();
    for group in groups {
        // A group may have the same part twice, which stands for two of them.
        let mut own: BTreeSet<usize> = BTreeSet::new();
        for part in parts(group.config()) {
            let known = merged.iter().enumerate();
            let known = known
                .filter(|(index, (other, _))| *other == part && !own.contains(index))
                .map(|(index, _)| index)
                .next();
            let index = known.unwrap_or(merged.len());
            if known.is_none() {
                merged.push((part, Vec::new()));
            }
            own.insert(index);
            if groups.len() > 1 {
                merged[index].1.push(group.name.clone());
            }
        }
    }
    merged
}

/// The value that all groups have; `None`, with a note, when they differ.
pub(super) fn common<'a, T: PartialEq>(
    groups: &[LiveGroup<'a>],
    what: &str,
    notes: &mut Vec<String>,
    value: impl Fn(&'a MachineConfig) -> T,
) -> Option<T> {
    let mut values = groups.iter().map(|group| value(group.config()));
    let first = values.next()?;
    if values.all(|other| other == first) {
        return Some(first);
    }
    notes.push(format!(
        "process groups differ in {what}, which a manifest says once for the app: those of `{}` are written",
        groups[0].name
    ));
    Some(first)
}

/// The keys of two objects that differ, for notes.
pub(super) fn differing_keys(one: &MachineConfig, other: &MachineConfig) -> Vec<String> {
    let object = |config: &MachineConfig| match json!(config) {
        serde_json::Value::Object(object) => object,
        _ => Map::new(),
    };
    let (one, other) = (object(one), object(other));
    let keys: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
    keys.into_iter()
        // Machines of one group have volumes of their own, and pick up images at different times.
        .filter(|key| !matches!(key.as_str(), "mounts" | "image" | "standbys"))
        .filter(|key| one.get(*key) != other.get(*key))
        .cloned()
        .collect()
}
