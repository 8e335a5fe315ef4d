//! Which machines run which version: what counts most after a failed apply.

use std::collections::{BTreeMap, BTreeSet};

use super::{EnvironmentStatus, ImageSummary, MachineSummary};

/// The versions that run in one process group, or on one cron machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupVersions {
    /// App and group, such as `web/app`; for a cron machine its name, such as `web/news`.
    pub group: String,
    /// The running versions, most common first, then those that wait, retired ones last.
    pub versions: Vec<RunningVersion>,
}

/// A version and the machines that run it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunningVersion {
    /// The release, if it is recorded.
    pub release: Option<String>,
    /// The image.
    pub image: Option<ImageSummary>,
    /// The names of the machines that run it.
    pub machines: Vec<String>,
    /// The number of machines that have a problem.
    pub unhealthy: usize,
    /// Whether new machines have taken over from these.
    pub retired: bool,
    /// Whether these wait to take over, hidden, because a rollout stopped.
    pub waiting: bool,
    /// Whether the manifest has any of the machines.
    pub wanted: bool,
}

impl RunningVersion {
    /// Whether these machines get requests: no rollout has hidden them.
    #[must_use]
    pub fn is_in_service(&self) -> bool {
        !self.retired && !self.waiting
    }
}

impl GroupVersions {
    /// Whether more than one version is in service: a rollout is incomplete.
    #[must_use]
    pub fn is_mixed(&self) -> bool {
        self.versions
            .iter()
            .filter(|version| version.is_in_service() && version.wanted)
            .count()
            > 1
    }
}

impl MachineSummary {
    /// The key of the machine's version: the release, and the image by digest if known.
    #[must_use]
    pub fn version_key(&self) -> (Option<String>, Option<String>) {
        let image = self.image.as_ref();
        let image = image.map(|image| image.digest.as_ref().unwrap_or(&image.reference).clone());
        (self.release.clone(), image)
    }
}

impl EnvironmentStatus {
    /// The running versions by app and process group. Machines that the manifest no longer has are
    /// included: they are running.
    #[must_use]
    pub fn versions(&self) -> Vec<GroupVersions> {
        let mut groups_by_version = Vec::new();
        for app in &self.apps {
            let groups: BTreeSet<&str> = app
                .groups
                .iter()
                .map(|group| group.group.as_str())
                .collect();
            for group in groups {
                let regions = app.groups.iter().filter(|entry| entry.group == group);
                let machines = regions.flat_map(|region| &region.machines);
                let name = format!("{}/{group}", app.app);
                let mut versions = group_by_version(machines);
                let waiting = self.waiting.iter();
                let waiting =
                    waiting.filter(|machine| machine.name.starts_with(&format!("{name}/")));
                let waiting = group_by_version(waiting).into_iter();
                versions.extend(waiting.map(|version| RunningVersion {
                    waiting: true,
                    ..version
                }));
                versions.sort_by_key(|version| version.retired);
                groups_by_version.push(GroupVersions {
                    group: name,
                    versions,
                });
            }
            groups_by_version.extend(app.cron.iter().map(|cron| GroupVersions {
                group: cron.machine.name.clone(),
                versions: group_by_version([&cron.machine].into_iter()),
            }));
        }
        groups_by_version.retain(|group| !group.versions.is_empty());
        groups_by_version
    }
}

fn group_by_version<'m>(machines: impl Iterator<Item = &'m MachineSummary>) -> Vec<RunningVersion> {
    let mut by_version: BTreeMap<_, RunningVersion> = BTreeMap::new();
    for machine in machines {
        let empty = || RunningVersion {
            release: machine.release.clone(),
            image: machine.image.clone(),
            machines: Vec::new(),
            unhealthy: 0,
            retired: machine.retired,
            waiting: false,
            wanted: false,
        };
        let version = by_version
            .entry((machine.retired, machine.version_key()))
            .or_insert_with(empty);
        version.machines.push(machine.name.clone());
        version.wanted |= machine.wanted;
        version.unhealthy += usize::from(machine.has_problem());
    }
    let mut versions: Vec<RunningVersion> = by_version.into_values().collect();
    versions.sort_by_key(|version| (version.retired, std::cmp::Reverse(version.machines.len())));
    versions
}
