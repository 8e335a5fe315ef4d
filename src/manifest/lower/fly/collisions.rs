//! Warns of two declarations of which only one counts, and names both places: two services on one
//! port, two sections of a kind for one process group. Nothing else would tell which of them was
//! ignored.

use std::collections::{BTreeMap, BTreeSet};

use super::process_groups::{GroupScoped, ProcessGroups};
use crate::manifest::lower::{Context, Diagnostics};
use crate::{
    kinds::fly::workload::config::{MachinePort, MachineService},
    manifest::{
        schema::{AppSection, slice_or_empty},
        syntax::cursor::Cursor,
    },
};

/// Warns of all collisions in an app.
pub(crate) fn warn_of_collisions(
    app: &AppSection,
    groups: &ProcessGroups,
    services: &[GroupScoped<MachineService>],
    context: &Context<'_>,
    cursor: Cursor<'_>,
    diagnostics: &mut Diagnostics,
) {
    let mut collisions = Collisions {
        groups,
        context,
        diagnostics,
    };
    let has_http_service = app.http_service.is_some();
    collisions.check_services(services, &|index| {
        service_cursor(cursor, has_http_service, index)
    });
    let restarts = slice_or_empty(app.restart.as_ref()).iter();
    let restarts: Vec<&[String]> = restarts.map(|restart| &*restart.processes).collect();
    collisions.check_sections("restart", &restarts, "the last one counts", cursor);
    let metrics = slice_or_empty(app.metrics.as_ref()).iter();
    let metrics: Vec<&[String]> = metrics.map(|metrics| &*metrics.processes).collect();
    collisions.check_sections("metrics", &metrics, "the first one counts", cursor);
    collisions.check_vms(app, cursor);
    collisions.check_statics(app, cursor);
}

/// The service at an index of the lowered list, in which the HTTP service comes first.
pub(crate) fn service_cursor(
    cursor: Cursor<'_>,
    has_http_service: bool,
    index: usize,
) -> Cursor<'_> {
    match index.checked_sub(usize::from(has_http_service)) {
        Some(index) => cursor.key("services").item(index),
        None => cursor.key("http_service"),
    }
}

struct Collisions<'a, 'd> {
    groups: &'a ProcessGroups,
    context: &'a Context<'a>,
    diagnostics: &'d mut Diagnostics,
}

impl Collisions<'_, '_> {
    /// Warns at the later of two places, and names the earlier one.
    fn warn(&mut self, what: &str, later: Cursor<'_>, earlier: Cursor<'_>, help: &str) {
        let place = match (later.location(), earlier.location()) {
            (Some(here), Some(there)) if here != there => {
                let (line, _) = self.context.files.line_column(there);
                if here.file == there.file {
                    format!(", here and in line {line}")
                } else {
                    let path = &self.context.files.get(there.file).path;
                    format!(", here and in {}:{line}", path.display())
                }
            }
            _ => String::new(),
        };
        let diagnostic = later.diagnostic(format!("{what}{place}"));
        self.diagnostics.warn(diagnostic.with_help(help));
    }

    /// Fly knows a service by its protocol and internal port, and a public port by its number, so
    /// of two with the same one only one gets connections and is checked.
    fn check_services<'c>(
        &mut self,
        services: &[GroupScoped<MachineService>],
        cursor: &dyn Fn(usize) -> Cursor<'c>,
    ) {
        let mut listeners: BTreeMap<(&str, &str, u16), usize> = BTreeMap::new();
        let mut public: BTreeMap<(&str, &str), Vec<(u16, u16, usize)>> = BTreeMap::new();
        let mut reported = BTreeSet::new();
        for (index, service) in services.iter().enumerate() {
            let MachineService {
                protocol,
                internal_port,
                ports,
                ..
            } = &service.value;
            for group in self.groups.groups_for(&service.processes) {
                let first = *listeners
                    .entry((group, protocol, *internal_port))
                    .or_insert(index);
                if first != index && reported.insert((first, index)) {
                    self.warn(
                        &format!("port {internal_port} ({protocol}) of a machine has two services"),
                        cursor(index).key("internal_port"),
                        cursor(first).key("internal_port"),
                        "Fly takes one of them; write one service with all its `ports` and checks",
                    );
                }
                public.entry((group, protocol)).or_default().extend(
                    ports
                        .iter()
                        .filter_map(port_range)
                        .map(|(start, end)| (start, end, index)),
                );
            }
        }
        for ((_, protocol), mut ranges) in public {
            ranges.sort_unstable();
            // The range so far that reaches furthest.
            let mut widest: Option<(u16, u16, usize)> = None;
            for (start, end, index) in ranges {
                if let Some((_, reached, other)) = widest
                    && start <= reached
                    && reported.insert((other.min(index), other.max(index)))
                {
                    self.warn(
                        &format!("port {start} ({protocol}) is served twice"),
                        cursor(index.max(other)),
                        cursor(index.min(other)),
                        "one of the two services gets all connections",
                    );
                }
                if widest.is_none_or(|(_, reached, _)| end > reached) {
                    widest = Some((start, end, index));
                }
            }
        }
    }

    /// Warns of two sections for one group.
    fn check_sections(
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

/// The first and the last of the public ports.
fn port_range(port: &MachinePort) -> Option<(u16, u16)> {
    let single = port.port.map(|port| (port, port));
    single.or(port.start_port.zip(port.end_port))
}
