//! Warns of two declarations of which only one counts, and names both places: here two services on
//! one port. Nothing else would tell which of them was ignored.

use std::collections::{BTreeMap, BTreeSet};

use super::process_groups::{GroupScoped, ProcessGroups};
use crate::manifest::lower::{Context, Diagnostics};
use crate::{
    kinds::fly::workload::config::{MachinePort, MachineService},
    manifest::{schema::AppSection, syntax::cursor::Cursor},
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
    collisions.check_sections(app, cursor);
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

pub(super) struct Collisions<'a, 'd> {
    pub(super) groups: &'a ProcessGroups,
    context: &'a Context<'a>,
    diagnostics: &'d mut Diagnostics,
}

impl Collisions<'_, '_> {
    /// Warns at the later of two places, and names the earlier one.
    pub(super) fn warn(&mut self, what: &str, later: Cursor<'_>, earlier: Cursor<'_>, help: &str) {
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
        let mut public: BTreeMap<(&str, &str), Vec<PublicRange>> = BTreeMap::new();
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
                let ranges = ports
                    .iter()
                    .filter_map(|port| PublicRange::new(port, index));
                public.entry((group, protocol)).or_default().extend(ranges);
            }
        }
        for ((_, protocol), mut ranges) in public {
            ranges.sort_unstable();
            // The range so far that reaches furthest.
            let mut widest: Option<PublicRange> = None;
            for range in ranges {
                if let Some(earlier) = widest.filter(|earlier| range.start <= earlier.end) {
                    let first = range.service.min(earlier.service);
                    let second = range.service.max(earlier.service);
                    if reported.insert((first, second)) {
                        self.warn(
                            &format!("port {} ({protocol}) is served twice", range.start),
                            cursor(second),
                            cursor(first),
                            "one of the two services gets all connections",
                        );
                    }
                }
                if widest.is_none_or(|earlier| range.end > earlier.end) {
                    widest = Some(range);
                }
            }
        }
    }
}

/// Public ports of a service, ordered by the first of them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct PublicRange {
    start: u16,
    end: u16,
    /// The index of the service.
    service: usize,
}

impl PublicRange {
    fn new(port: &MachinePort, service: usize) -> Option<Self> {
        let single = port.port.map(|port| (port, port));
        let (start, end) = single.or(port.start_port.zip(port.end_port))?;
        Some(Self {
            start,
            end,
            service,
        })
    }
}
