//! The desired and the live state of a cron machine.

use serde::Serialize;

use crate::{
    kinds::{
        References,
        fly::workload::{Workload, WorkloadLive},
    },
    model::Address,
};

/// The desired state, from the manifest.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CronSpec {
    /// The machine's name on Fly, unique within the app.
    pub machine: String,
    /// The machine; its configuration contains the schedule.
    pub workload: Workload,
}

/// The live state, as reported by Fly.
#[derive(Clone, Debug, Serialize)]
pub struct CronLive {
    /// The machine itself.
    pub workload: WorkloadLive,
}

impl References for CronSpec {
    fn references(&self) -> Vec<Address> {
        let Self {
            machine: _,
            workload,
        } = self;
        workload.references()
    }
}

impl References for CronLive {
    fn references(&self) -> Vec<Address> {
        let Self { workload } = self;
        vec![workload.app.address()]
    }
}
