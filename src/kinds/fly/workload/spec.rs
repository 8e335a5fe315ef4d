//! What a manifest says of one machine.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::{MachineConfig, config::MachineCheck};
use crate::{
    kinds::{
        DiffContext,
        fly::{App, Machine, Secrets},
    },
    model::{Address, Image, OwnershipMark, Region, ResourceRef, fly_limits::SMOKE_CHECK_SECS},
};

/// A Firecracker machine boots in about a second, and the image is on its host or is fetched within a few.
const BOOT_SECS: u64 = 3;
/// How often a check is made that does not say so (Machines API: 10 seconds).
const DEFAULT_CHECK_INTERVAL_SECS: u64 = 10;

/// One machine, of a process group or with a schedule.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Workload {
    /// The app it belongs to.
    pub app: ResourceRef<App>,
    /// Where it runs; fixed when it is made.
    pub region: Region,
    /// Its configuration.
    pub config: MachineConfig,
    /// The app's secrets, when it has any: they are set before the machine starts.
    pub secrets: Option<ResourceRef<Secrets>>,
    /// What else must be there first: references in values, and `depends_on`.
    pub needs: BTreeSet<Address>,
    /// Metadata that the manifest or the ecosystem asks for, such as `fly_process_group`.
    pub labels: BTreeMap<String, String>,
    /// Whose it is.
    pub mark: OwnershipMark,
    /// How long a start may take, in seconds, before it counts as failed (`deploy.wait_timeout`).
    pub wait_secs: u64,
    /// The machine in whose stead Fly starts this one when its host fails. Until then it sleeps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub standby_for: Option<ResourceRef<Machine>>,
    /// The release it belongs to; known once the whole manifest is.
    #[serde(skip)]
    pub release: Option<String>,
}

impl Workload {
    /// flyctl's own default for `deploy.wait_timeout`: five minutes.
    pub const DEFAULT_WAIT_SECS: u64 = 300;

    /// A hash of what is asked for. It is written beside the mark, so that a later look can tell a changed manifest
    /// from a change made outside.
    #[must_use]
    pub fn applied_hash(&self) -> String {
        let Self {
            app: _,
            region,
            config,
            secrets: _,
            needs: _,
            labels,
            mark: _,
            wait_secs: _,
            standby_for: _,
            release: _,
        } = self;
        // What a tag means today is not asked for by the manifest.
        let image = config.image.as_ref().map(Image::unpinned);
        let config = MachineConfig {
            image,
            ..config.clone()
        };
        let text = serde_json::to_vec(&(region, config, labels)).unwrap_or_default();
        let hash = Sha256::digest(text);
        hash.iter()
            .take(8)
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    /// How long a start takes until it counts as healthy, in seconds, by experience: the boot, and the first round of the
    /// slowest check, or the time for which a machine without checks must stay up.
    #[must_use]
    pub fn estimated_start_secs(&self) -> u64 {
        let config = &self.config;
        let checks = config
            .checks
            .values()
            .chain(config.services.iter().flat_map(|service| &service.checks));
        let first = |check: &MachineCheck| {
            check.interval.map_or(DEFAULT_CHECK_INTERVAL_SECS, |span| {
                span.as_millis().div_ceil(1000)
            })
        };
        BOOT_SECS + checks.map(first).max().unwrap_or(SMOKE_CHECK_SECS)
    }

    /// The same, as a part of the release that the manifest asks for.
    #[must_use]
    pub fn with_release(mut self, around: &DiffContext<'_>) -> Self {
        self.release = around
            .releases
            .get(self.app.name())
            .map(ToString::to_string);
        self
    }

    /// Every address it points at.
    pub(crate) fn references(&self) -> Vec<Address> {
        let Self {
            app,
            region: _,
            config: _,
            secrets,
            needs,
            labels: _,
            mark: _,
            wait_secs: _,
            standby_for,
            release: _,
        } = self;
        let secrets = secrets.iter().map(ResourceRef::address);
        let standby_for = standby_for.iter().map(ResourceRef::address);
        [app.address()]
            .into_iter()
            .chain(secrets)
            .chain(standby_for)
            .chain(needs.iter().cloned())
            .collect()
    }
}
