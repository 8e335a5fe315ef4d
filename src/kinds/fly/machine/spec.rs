//! What a manifest says of one machine of a process group, and what Fly reports.

use serde::Serialize;

use crate::{
    kinds::{
        Refers,
        fly::{
            Volume,
            workload::{Workload, WorkloadLive},
        },
    },
    model::{Address, Ref},
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
}

/// What Fly reports.
#[derive(Clone, Debug, Serialize)]
pub struct MachineLive {
    /// The machine itself.
    pub workload: WorkloadLive,
    /// The volume it holds: Fly's id, and what the manifest calls it when it does.
    pub volume: Option<(String, Option<Ref<Volume>>)>,
}

impl Refers for MachineSpec {
    fn refs(&self) -> Vec<Address> {
        let Self { group: _, workload, volume } = self;
        workload.refs().into_iter().chain(volume.iter().map(Ref::address)).collect()
    }
}

impl Refers for MachineLive {
    fn refs(&self) -> Vec<Address> {
        let Self { workload, volume } = self;
        let volume = volume.iter().filter_map(|(_, volume)| volume.as_ref()).map(Ref::address);
        [workload.app.address()].into_iter().chain(volume).collect()
    }
}
