//! The desired state of one machine.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::{MachineConfig, replace_container_images};
use crate::{
    kinds::{
        DiffContext,
        fly::{App, Machine, Secrets},
    },
    model::{Address, Image, OwnershipMark, Region, ResourceRef, fly_limits::SMOKE_CHECK_SECS},
};

/// Estimated boot time of a machine, in seconds. Firecracker boots in about a second; a small image
/// that is not on the host takes about as long again.
const BOOT_SECS: u64 = 2;
/// How many seconds after the boot a program that is ready has passed its checks. The first round
/// comes soon after the start rather than after a whole interval.
const FIRST_CHECKS_SECS: u64 = 2;

/// A machine of a process group, a cron machine, or a release command machine.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Workload {
    /// The app that the machine belongs to.
    pub app: ResourceRef<App>,
    /// The region; it cannot be changed after creation.
    pub region: Region,
    /// The machine configuration.
    pub config: MachineConfig,
    /// Whether the manifest says anything about CPUs and memory. Otherwise `config.guest` is Fly's
    /// smallest machine, and a running machine's size is nobody's mistake.
    #[serde(skip)]
    pub guest_stated: bool,
    /// The app's secrets, if any. They must be set before the machine starts.
    pub secrets: Option<ResourceRef<Secrets>>,
    /// Other dependencies: references in values, and `depends_on`.
    pub needs: BTreeSet<Address>,
    /// Metadata from the manifest, and what flyctl expects, such as `fly_process_group`.
    pub labels: BTreeMap<String, String>,
    /// The owner.
    pub mark: OwnershipMark,
    /// The timeout of a start in seconds (`deploy.wait_timeout`).
    pub wait_secs: u64,
    /// The machine that this standby replaces when its host fails. Until then the standby is
    /// stopped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub standby_for: Option<ResourceRef<Machine>>,
    /// The release of this version; only known once the whole manifest is loaded.
    #[serde(skip)]
    pub release: Option<String>,
}

impl Workload {
    /// flyctl's default of `deploy.wait_timeout`: five minutes.
    pub const DEFAULT_WAIT_SECS: u64 = 300;

    /// A hash of the desired configuration. It is stored in the machine's metadata, so that a later
    /// run can distinguish a changed manifest from a change made outside trimtab.
    #[must_use]
    pub fn applied_hash(&self) -> String {
        let Self {
            app: _,
            region,
            config,
            guest_stated: _,
            secrets: _,
            needs: _,
            labels,
            mark: _,
            wait_secs: _,
            standby_for: _,
            release: _,
        } = self;
        // Leave out resolved digests: the manifest only names the tag.
        let image = config.image.as_ref().map(Image::unpinned);
        let mut config = MachineConfig {
            image,
            ..config.clone()
        };
        replace_container_images(&mut config, |image| {
            image.tag().map(|_| image.without_digest())
        });
        let text = serde_json::to_vec(&(region, config, labels)).unwrap_or_default();
        let hash = Sha256::digest(text);
        hash.iter()
            .take(8)
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    /// The estimated duration of a start until the machine is healthy, in seconds: booting, and
    /// then the first round of checks, or the smoke check of a machine without checks.
    #[must_use]
    pub fn estimated_start_secs(&self) -> u64 {
        let checks_secs = match self.config.has_checks() {
            true => FIRST_CHECKS_SECS,
            false => SMOKE_CHECK_SECS,
        };
        BOOT_SECS + checks_secs
    }

    /// The same workload, marked with its app's release.
    #[must_use]
    pub fn with_release(mut self, context: &DiffContext<'_>) -> Self {
        self.release = context
            .releases
            .get(self.app.name())
            .map(ToString::to_string);
        self
    }

    /// All addresses that this workload references.
    pub(crate) fn references(&self) -> Vec<Address> {
        let Self {
            app,
            region: _,
            config: _,
            guest_stated: _,
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
