//! Volumes: what a group mounts, and the disk that each of its machines gets.

use std::collections::BTreeMap;

use super::{
    Sink,
    groups::{Groups, Scoped},
    scalars,
};
use crate::{
    kinds::fly::{App, volume::VolumeSpec, workload::config::Mount},
    manifest::{
        node::Place,
        shape::{self, Size, all},
        spot::Spot,
    },
    model::{Gib, Ref, Region},
};

/// A mount, and the volume behind it.
pub(super) struct Mounted {
    /// What the machine is told.
    pub(super) mount: Mount,
    /// Where the manifest says so.
    pub(super) place: Option<Place>,
    size: Option<Gib>,
    snapshot_retention: Option<u32>,
    scheduled_snapshots: Option<bool>,
    encrypted: Option<bool>,
}

impl Mounted {
    /// The disk of one machine.
    pub(super) fn volume(&self, app: Ref<App>, region: Region) -> VolumeSpec {
        VolumeSpec {
            app,
            volume: self.mount.name.clone(),
            region,
            size: self.size,
            snapshot_retention: self.snapshot_retention,
            scheduled_snapshots: self.scheduled_snapshots,
            encrypted: self.encrypted,
            grows: self.mount.extend_threshold_percent.is_some(),
        }
    }
}

/// The mounts of an app.
pub(super) fn mounts(
    app: &shape::App,
    groups: &Groups,
    at: Spot<'_>,
    sink: &mut Sink,
) -> Vec<Scoped<Mounted>> {
    let mut out = Vec::new();
    let mut by_group: BTreeMap<String, String> = BTreeMap::new();
    for (index, mount) in all(app.mounts.as_ref()).iter().enumerate() {
        let spot = at.key("mounts").item(index);
        groups.check(&mount.processes, spot, sink);
        let source = mount.source.clone().unwrap_or_default();
        for group in groups.members(&mount.processes) {
            if let Some(other) = by_group.insert(group.to_owned(), source.clone()) {
                let problem = spot.problem(format!(
                    "group `{group}` mounts two volumes: `{other}` and `{source}`"
                ));
                sink.error(
                    problem.help("a Fly machine has one volume; give each its own process group"),
                );
            }
        }
        out.push(Scoped {
            processes: mount.processes.clone(),
            value: mounted(mount, spot, sink),
        });
    }
    out
}

fn mounted(mount: &shape::Mount, at: Spot<'_>, sink: &mut Sink) -> Mounted {
    if let Some(source) = &mount.source {
        check_source(source, at.key("source"), sink);
    }
    if let Some(path) = &mount.destination {
        check_destination(path, at.key("destination"), sink);
    }
    let size = size(mount, at, sink);
    let (threshold, increment, limit) = growth(mount, size, at, sink);
    Mounted {
        mount: Mount {
            volume: String::new(),
            name: mount.source.clone().unwrap_or_default(),
            path: mount.destination.clone().unwrap_or_default(),
            extend_threshold_percent: threshold,
            add_size_gb: increment,
            size_gb_limit: limit,
        },
        place: at.place().cloned(),
        size,
        snapshot_retention: mount.snapshot_retention,
        scheduled_snapshots: mount.scheduled_snapshots,
        encrypted: mount.encrypted,
    }
}

fn check_source(source: &str, at: Spot<'_>, sink: &mut Sink) {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if source.is_empty() || source.len() > 30 || !source.chars().all(fits) {
        let problem = at.problem(format!("`{source}` cannot be a volume's name"));
        sink.error(problem.help("use at most 30 lower-case letters, digits and underscores"));
    }
}

fn check_destination(path: &str, at: Spot<'_>, sink: &mut Sink) {
    if !path.starts_with('/') || path == "/" {
        let problem = at.problem(format!("a volume cannot be mounted at `{path}`"));
        sink.error(problem.help("use an absolute path other than `/`, such as `/data`"));
    }
}

/// The largest volume that Fly makes.
const LARGEST: Gib = Gib(500);

fn size(mount: &shape::Mount, at: Spot<'_>, sink: &mut Sink) -> Option<Gib> {
    let (key, size) = match (&mount.initial_size, &mount.size) {
        (Some(_), Some(_)) => {
            sink.error(
                at.key("size")
                    .problem("`size` and `initial_size` say the same")
                    .help("leave one of them out"),
            );
            return None;
        }
        (Some(size), None) => ("initial_size", size),
        (None, Some(size)) => ("size", size),
        (None, None) => return None,
    };
    disk(size, Gib(1), LARGEST, at.key(key), sink)
}

/// A size between two bounds.
fn disk(size: &Size, least: Gib, most: Gib, at: Spot<'_>, sink: &mut Sink) -> Option<Gib> {
    let parsed = scalars::disk(size, at, sink)?;
    if (least..=most).contains(&parsed) {
        return Some(parsed);
    }
    sink.error(
        at.problem(format!("{parsed} is out of range"))
            .label(format!("must be from {least} to {most}")),
    );
    None
}

/// How the volume grows by itself: threshold in percent, step and limit in gigabytes.
fn growth(
    mount: &shape::Mount,
    size: Option<Gib>,
    at: Spot<'_>,
    sink: &mut Sink,
) -> (Option<u32>, Option<u32>, Option<u32>) {
    let mut number = |key: &str, value: Option<&Size>, most| {
        value
            .and_then(|value| disk(value, Gib(1), most, at.key(key), sink))
            .map(|Gib(gigabytes)| gigabytes)
    };
    let step = number(
        "auto_extend_size_increment",
        mount.auto_extend_size_increment.as_ref(),
        Gib(100),
    );
    let limit = number(
        "auto_extend_size_limit",
        mount.auto_extend_size_limit.as_ref(),
        LARGEST,
    );
    let threshold = mount.auto_extend_size_threshold;
    if threshold.is_none() && (step.is_some() || limit.is_some()) {
        let problem = at.problem("this volume does not say when it grows");
        sink.error(problem.help("say `auto_extend_size_threshold = 80`, in percent"));
    }
    if threshold.is_some() && mount.auto_extend_size_increment.is_none() {
        let problem = at
            .key("auto_extend_size_threshold")
            .problem("this volume does not say by how much it grows");
        sink.error(problem.help("say `auto_extend_size_increment = \"1gb\"`"));
    }
    if let (Some(limit), Some(Gib(size))) = (limit, size)
        && limit < size
    {
        let problem = at.key("auto_extend_size_limit").problem(format!(
            "the limit of {limit} GB is below the size of {size} GB"
        ));
        sink.error(problem);
    }
    (threshold, step, limit)
}
