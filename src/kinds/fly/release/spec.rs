//! What a manifest says of a release command, and what the app's machines remember of it.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::{
    kinds::{
        References,
        fly::{App, workload::Workload},
    },
    model::{Address, ResourceRef},
};

/// What the manifest asks for.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ReleaseSpec {
    /// The machine that runs the command: its image, variables, CPUs and memory.
    pub workload: Workload,
    /// How long the command may take, in seconds; `None` sets no limit.
    pub limit_secs: Option<u64>,
    /// The id of the release; known once the whole manifest is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
}

impl ReleaseSpec {
    /// flyctl's own default for `deploy.release_command_timeout`: five minutes.
    pub const DEFAULT_LIMIT_SECS: u64 = 300;
}

/// What is there.
#[derive(Clone, Debug, Serialize)]
pub struct ReleaseLive {
    /// The app it belongs to.
    pub app: ResourceRef<App>,
    /// The releases whose command has succeeded, or whose machines run, so that it must have.
    pub done: BTreeSet<String>,
    /// A machine that can remember a success before any machine changes: Fly's id.
    pub witness: Option<String>,
    /// Machines of release commands that are still there.
    pub leftovers: Vec<LeftoverMachine>,
}

/// A machine that an earlier run left.
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
