//! What runs which version: the one question that counts after an apply that failed.

use std::collections::{BTreeMap, BTreeSet};

use super::{EnvironmentStatus, ImageSummary, MachineSummary};

/// The versions of one process group, or of one cron machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupVersions {
    /// The app and the group: `web/app`; of a cron machine its own name: `web/news`.
    pub group: String,
    /// What its machines run, the version of most machines first, and what others have taken over from last.
    pub versions: Vec<RunningVersion>,
}

/// One version and the machines that run it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunningVersion {
    /// The release, where machines know it.
    pub release: Option<String>,
    /// The image.
    pub image: Option<ImageSummary>,
    /// The names of the machines that run it.
    pub machines: Vec<String>,
    /// How many of them do not run as they should.
    pub unhealthy: usize,
    /// Whether new machines have taken over from them.
    pub retired: bool,
}

impl GroupVersions {
    /// Whether more than one version is there: a rollout is half done.
    #[must_use]
    pub fn is_mixed(&self) -> bool {
        self.versions
            .iter()
            .filter(|version| !version.retired)
            .count()
            > 1
    }
}

impl MachineSummary {
    /// What makes two machines run the same version: the release, and the image by its digest where it has one.
    #[must_use]
    pub fn version_key(&self) -> (Option<String>, Option<String>) {
        let image = self.image.as_ref();
        let image = image.map(|image| image.digest.as_ref().unwrap_or(&image.reference).clone());
        (self.release.clone(), image)
    }
}

impl EnvironmentStatus {
    /// What runs which version, by app and process group. Machines whose manifest entry is gone count as well: they run.
    #[must_use]
    pub fn versions(&self) -> Vec<GroupVersions> {
        let mut all = Vec::new();
        for app in &self.apps {
            let groups: BTreeSet<&str> = app
                .groups
                .iter()
                .map(|group| group.group.as_str())
                .collect();
            for group in groups {
                let regions = app.groups.iter().filter(|one| one.group == group);
                let machines = regions.flat_map(|region| &region.machines);
                all.push(GroupVersions {
                    group: format!("{}/{group}", app.app),
                    versions: group_by_version(machines),
                });
            }
            all.extend(app.cron.iter().map(|cron| GroupVersions {
                group: cron.machine.name.clone(),
                versions: group_by_version([&cron.machine].into_iter()),
            }));
        }
        all.retain(|group| !group.versions.is_empty());
        all
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
        };
        let version = by_version
            .entry((machine.retired, machine.version_key()))
            .or_insert_with(empty);
        version.machines.push(machine.name.clone());
        version.unhealthy += usize::from(machine.has_problem());
    }
    let mut versions: Vec<RunningVersion> = by_version.into_values().collect();
    versions.sort_by_key(|version| (version.retired, std::cmp::Reverse(version.machines.len())));
    versions
}
