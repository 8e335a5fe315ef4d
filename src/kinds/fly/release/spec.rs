//! The desired state of a release command, and what the app's machines record of earlier ones.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::{
    kinds::{
        References,
        fly::{App, workload::Workload},
    },
    model::{Address, ResourceRef},
};

/// The desired state, from the manifest.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ReleaseSpec {
    /// The machine that runs the command.
    pub workload: Workload,
    /// The timeout of the command in seconds; `None` for no limit.
    pub limit_secs: Option<u64>,
    /// The id of the release; only known once the whole manifest is loaded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
}

impl ReleaseSpec {
    /// flyctl's default of `deploy.release_command_timeout`: five minutes.
    pub const DEFAULT_LIMIT_SECS: u64 = 300;
}

/// The live state, from the metadata of the app's machines.
#[derive(Clone, Debug, Serialize)]
pub struct ReleaseLive {
    /// The app that it belongs to.
    pub app: ResourceRef<App>,
    /// The releases whose command has succeeded, or whose machines run, which implies it.
    pub done: BTreeSet<String>,
    /// Fly's id of a machine on which a success can be recorded before any machine changes.
    pub witness: Option<String>,
    /// Machines of earlier release commands that still exist.
    pub leftovers: Vec<LeftoverMachine>,
}

/// A machine that an earlier run left behind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LeftoverMachine {
    /// Fly's id.
    pub id: String,
    /// Its state.
    pub state: String,
}

impl References for ReleaseSpec {
    fn references(&self) -> Vec<Address> {
        let Self {
            workload,
            limit_secs: _,
            release: _,
        } = self;
        workload.references()
    }
}

impl References for ReleaseLive {
    fn references(&self) -> Vec<Address> {
        let Self {
            app,
            done: _,
            witness: _,
            leftovers: _,
        } = self;
        vec![app.address()]
    }
}
