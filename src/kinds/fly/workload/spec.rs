//! What a manifest says of one machine.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::MachineConfig;
use crate::{
    kinds::fly::{App, Secrets},
    model::{Address, Image, Mark, Ref, Region},
};

/// One machine, of a process group or with a schedule.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Workload {
    /// The app it belongs to.
    pub app: Ref<App>,
    /// Where it runs; fixed when it is made.
    pub region: Region,
    /// Its configuration.
    pub config: MachineConfig,
    /// The app's secrets, when it has any: they are set before the machine starts.
    pub secrets: Option<Ref<Secrets>>,
    /// What else must be there first: references in values, and `depends_on`.
    pub needs: BTreeSet<Address>,
    /// Metadata that the manifest or the ecosystem asks for, such as `fly_process_group`.
    pub labels: BTreeMap<String, String>,
    /// Whose it is.
    pub mark: Mark,
    /// How long a start may take, in seconds, before it counts as failed (`deploy.wait_timeout`).
    pub wait_secs: u64,
}

impl Workload {
    /// flyctl's own default for `deploy.wait_timeout`: five minutes.
    pub const DEFAULT_WAIT_SECS: u64 = 300;

    /// A hash of what is asked for. It is written beside the mark, so that a later look can tell a changed manifest
    /// from a change made outside.
    #[must_use]
    pub fn applied(&self) -> String {
        let Self { app: _, region, config, secrets: _, needs: _, labels, mark: _, wait_secs: _ } = self;
        // What a tag means today is not asked for by the manifest.
        let image = config.image.as_ref().map(Image::as_asked);
        let config = MachineConfig { image, ..config.clone() };
        let text = serde_json::to_vec(&(region, config, labels)).unwrap_or_default();
        let hash = Sha256::digest(text);
        hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }

    /// Every address it points at.
    pub(crate) fn refs(&self) -> Vec<Address> {
        let Self { app, region: _, config: _, secrets, needs, labels: _, mark: _, wait_secs: _ } = self;
        let secrets = secrets.iter().map(Ref::address);
        [app.address()].into_iter().chain(secrets).chain(needs.iter().cloned()).collect()
    }
}
