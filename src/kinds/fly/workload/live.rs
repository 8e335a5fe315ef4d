//! The live state of one machine, in the manifest's vocabulary.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};
use serde_json::Value;

use super::{MachineConfig, Workload};
use crate::{
    kinds::{
        Blocker, Cause, LeaseTarget,
        fly::{App, secrets::SecretsRecord},
    },
    model::{Image, Name, Ownership, OwnershipMark, Region, ResourceRef},
};

/// The live state of a machine.
#[derive(Clone, Debug, Serialize)]
pub struct WorkloadLive {
    /// The app that the machine belongs to.
    pub app: ResourceRef<App>,
    /// Fly's id of the machine.
    pub id: String,
    /// The machine's name on Fly.
    pub machine: String,
    /// The time of creation, in RFC 3339.
    pub created: String,
    /// The region.
    pub region: Region,
    /// The state, such as `started`.
    pub state: String,
    /// The version of the configuration (`instance_id`). An update names the version it was planned
    /// against.
    pub version: String,
    /// The normalized configuration.
    pub config: MachineConfig,
    /// The configuration as Fly sent it. Unknown fields in it are kept by updates.
    #[serde(skip)]
    pub raw: Value,
    /// The paths in the configuration that a manifest cannot express. Updates keep them.
    pub unknown: Vec<String>,
    /// The metadata. The record of secrets is not serialized.
    #[serde(serialize_with = "without_secrets")]
    pub metadata: BTreeMap<String, String>,
    /// Who owns the machine.
    pub ownership: Ownership,
    /// The digest of the running image.
    pub digest: Option<String>,
    /// Reachability, cordon and checks.
    pub health: Health,
    /// The last exit of its program in the events that Fly returned.
    #[serde(skip)]
    pub last_run: Option<ProcessExit>,
}

/// The health of a machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Health {
    /// Whether the host is reachable. Otherwise the machine can be neither read completely nor
    /// changed.
    pub host_ok: bool,
    /// Whether Fly's proxy does not route to the machine.
    pub cordoned: bool,
    /// The number of passing checks, and of all checks.
    pub checks: (usize, usize),
    /// What a node of a Postgres cluster says it is, such as `primary`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub postgres_role: Option<String>,
}

/// An exit of a machine's program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProcessExit {
    /// The time of the exit, in Unix milliseconds.
    pub ended_at_ms: i64,
    /// The exit code.
    pub exit_code: Option<i64>,
    /// Whether it ran out of memory.
    pub oom_killed: bool,
    /// Whether it was stopped on request: by a stop, an update, or the proxy.
    pub requested_stop: bool,
}

fn without_secrets<S: Serializer>(
    metadata: &BTreeMap<String, String>,
    to: S,
) -> Result<S::Ok, S::Error> {
    to.collect_map(
        metadata
            .iter()
            .filter(|(key, _)| *key != OwnershipMark::SECRET_FINGERPRINTS_KEY),
    )
}

impl WorkloadLive {
    /// The process group, from flyctl's metadata key or its older alias. Defaults to `app`, as in
    /// flyctl.
    #[must_use]
    pub fn process_group(&self) -> &str {
        let named = self
            .metadata
            .get("fly_process_group")
            .or_else(|| self.metadata.get("process_group"));
        named.map_or("app", String::as_str)
    }

    /// The resource name in the machine's metadata.
    #[must_use]
    pub fn marked_name(&self) -> Option<Name> {
        OwnershipMark::resource_name(&self.metadata)
    }

    /// The id of the machine that this one replaces or has replaced.
    #[must_use]
    pub fn predecessor_id(&self) -> Option<&str> {
        self.metadata
            .get(OwnershipMark::SUCCEEDS_KEY)
            .map(String::as_str)
    }

    /// The release that the machine was started with, trimtab's or flyctl's.
    #[must_use]
    pub fn release(&self) -> Option<&str> {
        OwnershipMark::started_release(|key| self.metadata.get(key).map(String::as_str))
    }

    /// The record of the secrets that the machine was started with.
    #[must_use]
    pub fn secrets_record(&self) -> SecretsRecord {
        self.metadata
            .get(OwnershipMark::SECRET_FINGERPRINTS_KEY)
            .map(|text| SecretsRecord::parse(text))
            .unwrap_or_default()
    }

    /// Why the machine cannot be changed: its host is unreachable.
    #[must_use]
    pub fn unavailable(&self) -> Option<Blocker> {
        (!self.health.host_ok).then(|| Blocker {
            reason: format!("the host of machine {} in {} cannot be reached", self.id, self.region),
            hint: format!(
                "wait until Fly has repaired it, or give it up with `fly machine destroy --force {}` and apply again",
                self.id
            ),
        })
    }

    /// The difference of a machine that somebody has stopped and that nothing will start: no request reaches a machine without
    /// services. It is left to the user, because whoever stopped it had a reason. A program that ended by itself is none.
    #[must_use]
    pub fn stopped_by_hand(&self, spec: &Workload) -> Option<Blocker> {
        let is_stopped = match self.state.as_str() {
            "stopped" => self.last_run.as_ref().is_some_and(|run| run.requested_stop),
            "suspended" => true,
            _ => false,
        };
        let is_started_by_fly = spec.standby_for.is_some()
            || !self.config.standbys.is_empty()
            || !spec.config.services.is_empty()
            || !self.config.services.is_empty();
        let is_expected = is_started_by_fly || self.is_start_unconfirmed();
        (is_stopped && !is_expected).then(|| Blocker {
            reason: format!(
                "machine {} is {} and was stopped by hand",
                self.id, self.state
            ),
            hint: format!("start it again with `fly machine start {}`", self.id),
        })
    }

    /// The machine to lease during a change.
    #[must_use]
    pub fn lease_target(&self) -> LeaseTarget {
        LeaseTarget {
            app: self.app.name().clone(),
            id: self.id.clone(),
            version: self.version.clone(),
        }
    }

    /// Whether its last start is not known to have succeeded.
    #[must_use]
    pub fn is_start_unconfirmed(&self) -> bool {
        self.metadata.contains_key(OwnershipMark::STARTING_KEY)
    }

    /// Whether a rollback has started it last, and did not see it start.
    #[must_use]
    pub fn is_rollback_unconfirmed(&self) -> bool {
        let started_by = self.metadata.get(OwnershipMark::STARTING_KEY);
        started_by.is_some_and(|by| by == OwnershipMark::STARTING_BY_ROLLBACK)
    }

    /// Whether the verification of its app has begun and has not succeeded.
    #[must_use]
    pub fn is_unverified(&self) -> bool {
        self.metadata.contains_key(OwnershipMark::UNVERIFIED_KEY)
    }

    /// Whether it is running and all its checks pass.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        let (passing, all) = self.health.checks;
        self.state == "started" && passing == all
    }

    /// The running image, pinned to the digest if Fly reports one: its tag may point to another
    /// image by now.
    #[must_use]
    pub fn running_image(&self) -> Option<Image> {
        let image = self.config.image.as_ref()?;
        Some(
            self.digest
                .as_ref()
                .map_or_else(|| image.clone(), |digest| image.pinned(digest)),
        )
    }

    /// Whether it runs the desired image. Digests decide if there are any: the live reference may
    /// be a tag, and Fly may report the digest of the image for one platform.
    #[must_use]
    pub fn runs_image(&self, desired: &Image) -> bool {
        let Some(live) = &self.config.image else {
            return false;
        };
        match desired.digest() {
            Some(digest) => live.digest() == Some(digest) || self.digest.as_deref() == Some(digest),
            None => live == desired || live.has_same_tag(desired),
        }
    }

    /// Whether it runs an image that the desired tag pointed to earlier.
    #[must_use]
    pub fn has_tag_moved(&self, spec: &Workload) -> bool {
        let moved =
            |desired: &Image, live: &Image| desired.has_same_tag(live) && !self.runs_image(desired);
        matches!((&spec.config.image, &self.config.image), (Some(desired), Some(live)) if moved(desired, live))
    }

    /// Who caused the difference to `spec`, judging by the hash of the last applied configuration
    /// in the metadata.
    #[must_use]
    pub fn cause(&self, spec: &Workload) -> Cause {
        let Some(applied) = self.metadata.get(OwnershipMark::APPLIED_HASH_KEY) else {
            return Cause::Unknown;
        };
        if !self.was_applied_from(spec, applied) {
            return Cause::Manifest;
        }
        match () {
            () if self.has_tag_moved(spec) => Cause::Moved,
            // The machine is unchanged since an apply whose start failed, so nobody caused the difference.
            () if self.is_start_unconfirmed() => Cause::Unknown,
            () => Cause::Outside,
        }
    }

    /// Whether the last apply had the same manifest. It may have got its image from the command line, where the manifest names none.
    fn was_applied_from(&self, spec: &Workload, applied: &str) -> bool {
        if spec.applied_hash() == applied {
            return true;
        }
        let (None, Some(running)) = (&spec.config.image, &self.config.image) else {
            return false;
        };
        // The digest, and the tag of a reference without one, were added when the image was looked up.
        let tagged = running.without_digest();
        let untagged = tagged.as_str().strip_suffix(":latest").map(Image::new);
        let mut given = [Some(running.clone()), Some(tagged), untagged]
            .into_iter()
            .flatten();
        given.any(|image| {
            let mut spec = spec.clone();
            spec.config.image = Some(image);
            spec.applied_hash() == applied
        })
    }

    /// Whether it is running or about to run, so that an update restarts it.
    #[must_use]
    pub fn is_running(&self) -> bool {
        matches!(
            self.state.as_str(),
            "started" | "starting" | "restarting" | "failed" | "replacing" | "updating"
        )
    }
}
