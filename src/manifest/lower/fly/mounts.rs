//! Lowers mounts: what a group mounts, and the volume that each of its machines gets.

use std::collections::BTreeMap;

use super::{
    process_groups::{GroupScoped, ProcessGroups},
    scalars,
};
use crate::manifest::lower::Diagnostics;
use crate::{
    kinds::fly::{App, volume::VolumeSpec, workload::config::MachineMount},
    manifest::{
        schema::{self, Size, slice_or_empty},
        syntax::{cursor::Cursor, node::SourceLocation},
    },
    model::{Gib, Region, ResourceRef},
};

/// A mount, and the settings of its volumes.
pub(crate) struct LoweredMount {
    /// The mount in the machine's configuration.
    pub(crate) mount: MachineMount,
    /// Where the manifest defines it.
    pub(crate) location: Option<SourceLocation>,
    size: Option<Gib>,
    size_key: &'static str,
    snapshot_retention: Option<u32>,
    scheduled_snapshots: Option<bool>,
    encrypted: Option<bool>,
}

impl LoweredMount {
    /// The volume of one machine.
    pub(crate) fn volume_spec(&self, app: ResourceRef<App>, region: Region) -> VolumeSpec {
        VolumeSpec {
            app,
            volume: self.mount.name.clone(),
            region,
            size: self.size,
            size_key: self.size_key,
            snapshot_retention: self.snapshot_retention,
            scheduled_snapshots: self.scheduled_snapshots,
            encrypted: self.encrypted,
            auto_extends: self.mount.extend_threshold_percent.is_some(),
        }
    }
}

/// Lowers the mounts of an app.
pub(crate) fn lower_mounts(
    app: &schema::AppSection,
    groups: &ProcessGroups,
    cursor: Cursor<'_>,
    diagnostics: &mut Diagnostics,
) -> Vec<GroupScoped<LoweredMount>> {
    let mut out = Vec::new();
    let mut by_group: BTreeMap<String, String> = BTreeMap::new();
    for (index, mount) in slice_or_empty(app.mounts.as_ref()).iter().enumerate() {
        let field = cursor.key("mounts").item(index);
        groups.check_processes(&mount.processes, field, diagnostics);
        let source = mount.source.clone().unwrap_or_default();
        for group in groups.groups_for(&mount.processes) {
            if let Some(other) = by_group.insert(group.to_owned(), source.clone()) {
                let diagnostic = field.diagnostic(format!(
                    "group `{group}` mounts two volumes: `{other}` and `{source}`"
                ));
                diagnostics
                    .error(diagnostic.with_help(
                        "a Fly machine has one volume; give each its own process group",
                    ));
            }
        }
        out.push(GroupScoped {
            processes: mount.processes.clone(),
            value: lower_mount(mount, field, diagnostics),
        });
    }
    out
}

fn lower_mount(
    mount: &schema::MountSection,
    cursor: Cursor<'_>,
    diagnostics: &mut Diagnostics,
) -> LoweredMount {
    if let Some(source) = &mount.source {
        check_source(source, cursor.key("source"), diagnostics);
    }
    if let Some(path) = &mount.destination {
        check_destination(path, cursor.key("destination"), diagnostics);
    }
    let size = volume_size(mount, cursor, diagnostics);
    let (threshold, increment, limit) = lower_auto_extend(mount, size, cursor, diagnostics);
    LoweredMount {
        mount: MachineMount {
            volume: String::new(),
            name: mount.source.clone().unwrap_or_default(),
            path: mount.destination.clone().unwrap_or_default(),
            extend_threshold_percent: threshold,
            add_size_gb: increment,
            size_gb_limit: limit,
        },
        location: cursor.location().cloned(),
        size,
        size_key: match mount.initial_size {
            Some(_) => "initial_size",
            None => "size",
        },
        snapshot_retention: mount.snapshot_retention,
        scheduled_snapshots: mount.scheduled_snapshots,
        encrypted: mount.encrypted,
    }
}

fn check_source(source: &str, cursor: Cursor<'_>, diagnostics: &mut Diagnostics) {
    let is_allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if source.is_empty() || source.len() > 30 || !source.chars().all(is_allowed) {
        let diagnostic = cursor.diagnostic(format!("`{source}` cannot be a volume's name"));
        diagnostics.error(
            diagnostic.with_help("use at most 30 lower-case letters, digits and underscores"),
        );
    }
}

fn check_destination(path: &str, cursor: Cursor<'_>, diagnostics: &mut Diagnostics) {
    if !path.starts_with('/') || path == "/" {
        let diagnostic = cursor.diagnostic(format!("a volume cannot be mounted at `{path}`"));
        diagnostics
            .error(diagnostic.with_help("use an absolute path other than `/`, such as `/data`"));
    }
}

/// The largest volume that Fly offers.
const MAX_VOLUME_SIZE: Gib = Gib(500);

fn volume_size(
    mount: &schema::MountSection,
    cursor: Cursor<'_>,
    diagnostics: &mut Diagnostics,
) -> Option<Gib> {
    let (key, size) = match (&mount.initial_size, &mount.size) {
        (Some(_), Some(_)) => {
            diagnostics.error(
                cursor
                    .key("size")
                    .diagnostic("`size` and `initial_size` are the same setting")
                    .with_help("leave one of them out"),
            );
            return None;
        }
        (Some(size), None) => ("initial_size", size),
        (None, Some(size)) => ("size", size),
        (None, None) => return None,
    };
    parse_size_in_range(size, Gib(1), MAX_VOLUME_SIZE, cursor.key(key), diagnostics)
}

/// Parses a size, and checks that it is within two bounds.
fn parse_size_in_range(
    size: &Size,
    min: Gib,
    max: Gib,
    cursor: Cursor<'_>,
    diagnostics: &mut Diagnostics,
) -> Option<Gib> {
    let parsed = scalars::parse_volume_size(size, cursor, diagnostics)?;
    if (min..=max).contains(&parsed) {
        return Some(parsed);
    }
    diagnostics.error(
        cursor
            .diagnostic(format!("{parsed} is out of range"))
            .with_label(format!("must be from {min} to {max}")),
    );
    None
}

/// The settings of automatic extension: threshold in percent, increment and limit in gigabytes.
fn lower_auto_extend(
    mount: &schema::MountSection,
    size: Option<Gib>,
    cursor: Cursor<'_>,
    diagnostics: &mut Diagnostics,
) -> (Option<u32>, Option<u32>, Option<u32>) {
    let mut number = |key: &str, value: Option<&Size>, max| {
        value
            .and_then(|value| parse_size_in_range(value, Gib(1), max, cursor.key(key), diagnostics))
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
        MAX_VOLUME_SIZE,
    );
    let threshold = mount.auto_extend_size_threshold;
    if threshold.is_none() && (step.is_some() || limit.is_some()) {
        let diagnostic = cursor.diagnostic("this volume has no threshold for automatic extension");
        diagnostics
            .error(diagnostic.with_help("set `auto_extend_size_threshold = 80`, in percent"));
    }
    if threshold.is_some() && mount.auto_extend_size_increment.is_none() {
        let diagnostic = cursor
            .key("auto_extend_size_threshold")
            .diagnostic("this volume has no increment for automatic extension");
        diagnostics.error(diagnostic.with_help("set `auto_extend_size_increment = \"1gb\"`"));
    }
    if threshold.is_some()
        && mount.auto_extend_size_increment.is_some()
        && mount.auto_extend_size_limit.is_none()
    {
        // Fly's documentation requires it; flyctl and the API let it pass.
        let diagnostic = cursor.key("auto_extend_size_threshold").diagnostic(
            "this volume has no limit for automatic extension, so Fly never extends it",
        );
        diagnostics.warn(diagnostic.with_help("set `auto_extend_size_limit = \"20gb\"`"));
    }
    if let (Some(limit), Some(Gib(size))) = (limit, size)
        && limit < size
    {
        let diagnostic = cursor.key("auto_extend_size_limit").diagnostic(format!(
            "the limit of {limit} GB is below the size of {size} GB"
        ));
        diagnostics.error(diagnostic);
    }
    (threshold, step, limit)
}
