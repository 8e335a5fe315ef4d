//! What a manifest says of one machine of a process group, and what Fly reports.

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

/// What the manifest asks for.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MachineSpec {
    /// The process group.
    pub group: String,
    /// The machine itself.
    pub workload: Workload,
    /// The volume of its slot, when the group mounts one.
    pub volume: Option<ResourceRef<Volume>>,
    /// How the machines of its group take turns.
    #[serde(skip)]
    pub turns: RolloutPolicy,
    /// The release command that runs before it changes.
    #[serde(skip)]
    pub after: Option<ResourceRef<ReleaseCommand>>,
}

/// What Fly reports.
#[derive(Clone, Debug, Serialize)]
pub struct MachineLive {
    /// The machine itself.
    pub workload: WorkloadLive,
    /// The volume it holds: Fly's id, and what the manifest calls it when it does.
    pub volume: Option<(String, Option<ResourceRef<Volume>>)>,
    /// The machine that is to take its place, and does not serve yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub successor: Option<Box<WorkloadLive>>,
    /// Whether its successor has taken over, and only its end is left to be done.
    #[serde(skip)]
    pub retired: bool,
}

impl References for MachineSpec {
    fn references(&self) -> Vec<Address> {
        let Self {
            group: _,
            workload,
            volume,
            turns: _,
            after,
        } = self;
        let after = after.iter().map(ResourceRef::address);
        let volume = volume.iter().map(ResourceRef::address);
        workload
            .references()
            .into_iter()
            .chain(volume)
            .chain(after)
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
