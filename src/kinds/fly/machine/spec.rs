//! The desired and the live state of one machine of a process group.

use serde::Serialize;

use crate::{
    kinds::{
        References,
        fly::{
            ReleaseCommand, Volume,
            workload::{Workload, WorkloadLive},
        },
    },
    model::{Address, ResourceRef, RolloutPolicy},
};

/// The desired state, from the manifest.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MachineSpec {
    /// The process group.
    pub group: String,
    /// The machine itself.
    pub workload: Workload,
    /// The volume of the slot, if the group mounts one.
    pub volume: Option<ResourceRef<Volume>>,
    /// The rollout policy of the group.
    #[serde(skip)]
    pub rollout_policy: RolloutPolicy,
    /// The release command that must succeed before the machine changes.
    #[serde(skip)]
    pub release_command: Option<ResourceRef<ReleaseCommand>>,
}

/// The live state, as reported by Fly.
#[derive(Clone, Debug, Serialize)]
pub struct MachineLive {
    /// The machine itself.
    pub workload: WorkloadLive,
    /// The attached volume: Fly's id, and the reference to the manifest's volume if it has one.
    pub volume: Option<(String, Option<ResourceRef<Volume>>)>,
    /// The successor that has not taken over yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub successor: Option<Box<WorkloadLive>>,
    /// Whether the successor has taken over, so that this machine only remains to be deleted.
    #[serde(skip)]
    pub retired: bool,
}

impl References for MachineSpec {
    fn references(&self) -> Vec<Address> {
        let Self {
            group: _,
            workload,
            volume,
            rollout_policy: _,
            release_command,
        } = self;
        let release_command = release_command.iter().map(ResourceRef::address);
        let volume = volume.iter().map(ResourceRef::address);
        workload
            .references()
            .into_iter()
            .chain(volume)
            .chain(release_command)
            .collect()
    }
}

impl References for MachineLive {
    fn references(&self) -> Vec<Address> {
        let Self {
            workload,
            volume,
            successor: _,
            retired: _,
        } = self;
        let volume = volume
            .iter()
            .filter_map(|(_, volume)| volume.as_ref())
            .map(ResourceRef::address);
        [workload.app.address()].into_iter().chain(volume).collect()
    }
}
