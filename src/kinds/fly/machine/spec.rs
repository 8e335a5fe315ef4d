//! What a manifest says of one machine of a process group, and what Fly reports.

use serde::Serialize;

use crate::{
    kinds::{
        Refers,
        fly::{
            ReleaseCommand, Volume,
            workload::{Workload, WorkloadLive},
        },
    },
    model::{Address, Ref, Turns},
};

/// What the manifest asks for.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MachineSpec {
    /// The process group.
    pub group: String,
    /// The machine itself.
    pub workload: Workload,
    /// The volume of its slot, when the group mounts one.
    pub volume: Option<Ref<Volume>>,
    /// How the machines of its group take turns.
    #[serde(skip)]
    pub turns: Turns,
    /// The release command that runs before it changes.
    #[serde(skip)]
    pub after: Option<Ref<ReleaseCommand>>,
}

/// What Fly reports.
#[derive(Clone, Debug, Serialize)]
pub struct MachineLive {
    /// The machine itself.
    pub workload: WorkloadLive,
    /// The volume it holds: Fly's id, and what the manifest calls it when it does.
    pub volume: Option<(String, Option<Ref<Volume>>)>,
    /// The machine that is to take its place, and does not serve yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub successor: Option<Box<WorkloadLive>>,
    /// Whether its successor has taken over, and only its end is left to be done.
    #[serde(skip)]
    pub retired: bool,
}

impl Refers for MachineSpec {
    fn refs(&self) -> Vec<Address> {
        let Self {
            group: _,
            workload,
            volume,
            turns: _,
            after,
        } = self;
        let after = after.iter().map(Ref::address);
        let volume = volume.iter().map(Ref::address);
        workload
            .refs()
            .into_iter()
            .chain(volume)
            .chain(after)
            .collect()
    }
}

impl Refers for MachineLive {
    fn refs(&self) -> Vec<Address> {
        let Self {
            workload,
            volume,
            successor: _,
            retired: _,
        } = self;
        let volume = volume
            .iter()
            .filter_map(|(_, volume)| volume.as_ref())
            .map(Ref::address);
        [workload.app.address()].into_iter().chain(volume).collect()
    }
}
