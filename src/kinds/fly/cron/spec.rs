//! What a manifest says of a cron machine, and what Fly reports.

use serde::Serialize;

use crate::{
    kinds::{
        References,
        fly::workload::{Workload, WorkloadLive},
    },
    model::Address,
};

/// What the manifest asks for.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CronSpec {
    /// The machine's name on Fly, unique within the app.
    pub machine: String,
    /// The machine itself; its configuration holds the schedule.
    pub workload: Workload,
}

/// What Fly reports.
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
