//! What Fly reports of one machine, read back into the manifest's vocabulary.

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

/// One machine as it is.
#[derive(Clone, Debug, Serialize)]
pub struct WorkloadLive {
    /// The app it belongs to.
    pub app: ResourceRef<App>,
    /// Fly's id of the machine.
    pub id: String,
    /// The machine's name on Fly.
    pub machine: String,
    /// When it was made, as Fly writes it.
    pub created: String,
    /// Where it runs.
    pub region: Region,
    /// Its state, such as `started`.
    pub state: String,
    /// The version of its configuration; an update names the one it was planned against.
    pub version: String,
    /// Its configuration, normalised.
    pub config: MachineConfig,
    /// Its configuration as Fly sent it: what we do not know in it is kept.
    #[serde(skip)]
    pub raw: Value,
    /// What its configuration holds that a manifest cannot say. It is kept when the machine is updated.
    pub unknown: Vec<String>,
    /// Its metadata. The record of its secrets is for us alone.
    #[serde(serialize_with = "without_secrets")]
    pub metadata: BTreeMap<String, String>,
    /// Whose it is.
    pub ownership: Ownership,
    /// The digest of the image it runs.
    pub digest: Option<String>,
    /// Whether its host answers, whether it is cordoned, how its checks are.
    pub health: Health,
    /// How its program ended last, as far as its history reaches.
    #[serde(skip)]
    pub last_run: Option<ProcessExit>,
}

/// How a machine is, as far as the list tells.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Health {
    /// Whether the host answers; otherwise nothing can be said or changed.
    pub host_ok: bool,
    /// Whether the proxy leaves it out.
    pub cordoned: bool,
    /// Checks that pass, and all checks.
    pub checks: (usize, usize),
}

/// The end of a run of a machine's program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProcessExit {
    /// When it ended, in Unix milliseconds.
    pub ended_at_ms: i64,
    /// The code that it exited with.
    pub exit_code: Option<i64>,
    /// Whether it ran out of memory.
    pub oom_killed: bool,
    /// Whether it was asked to end: by a stop, an update, or the proxy.
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
    /// The process group, by flyctl's metadata key or its older alias; `app` when it has none, as flyctl does it.
    #[must_use]
    pub fn process_group(&self) -> &str {
        let named = self
            .metadata
            .get("fly_process_group")
            .or_else(|| self.metadata.get("process_group"));
        named.map_or("app", String::as_str)
    }

    /// The name in its mark.
    #[must_use]
    pub fn marked_name(&self) -> Option<Name> {
        OwnershipMark::resource_name(&self.metadata)
    }

    /// The machine whose place it takes, or took, by id.
    #[must_use]
    pub fn predecessor_id(&self) -> Option<&str> {
        self.metadata
            .get(OwnershipMark::SUCCEEDS_KEY)
            .map(String::as_str)
    }

    /// The release it was started with, ours or flyctl's.
    #[must_use]
    pub fn release(&self) -> Option<&str> {
        OwnershipMark::started_release(|key| self.metadata.get(key).map(String::as_str))
    }

    /// The secrets it was started with.
    #[must_use]
    pub fn secrets_record(&self) -> SecretsRecord {
        self.metadata
            .get(OwnershipMark::SECRET_FINGERPRINTS_KEY)
            .map(|text| SecretsRecord::parse(text))
            .unwrap_or_default()
    }

    /// A machine on a host that does not answer can be neither read in full nor changed.
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

    /// What to lease while it is changed.
    #[must_use]
    pub fn lease_target(&self) -> LeaseTarget {
        LeaseTarget {
            app: self.app.name().clone(),
            id: self.id.clone(),
            version: self.version.clone(),
        }
    }

    /// Whether its last start was never seen to succeed.
    #[must_use]
    pub fn is_start_unconfirmed(&self) -> bool {
        self.metadata.contains_key(OwnershipMark::STARTING_KEY)
    }

    /// Whether it runs and all its checks pass.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        let (passing, all) = self.health.checks;
        self.state == "started" && passing == all
    }

    /// The image it runs, by digest where Fly reports one: its tag may mean another image by now.
    #[must_use]
    pub fn running_image(&self) -> Option<Image> {
        let image = self.config.image.as_ref()?;
        Some(
            self.digest
                .as_ref()
                .map_or_else(|| image.clone(), |digest| image.pinned(digest)),
        )
    }

    /// Whether it runs the image that is asked for. Digests decide where there are any: the live reference may be a
    /// tag, and Fly may report the digest of the one platform that it runs.
    #[must_use]
    pub fn runs_image(&self, wanted: &Image) -> bool {
        let Some(there) = &self.config.image else {
            return false;
        };
        match wanted.digest() {
            Some(digest) => {
                there.digest() == Some(digest) || self.digest.as_deref() == Some(digest)
            }
            None => there == wanted || there.has_same_tag(wanted),
        }
    }

    /// Whether it runs what the very tag that is asked for meant before.
    #[must_use]
    pub fn has_tag_moved(&self, spec: &Workload) -> bool {
        let moved =
            |wanted: &Image, there: &Image| wanted.has_same_tag(there) && !self.runs_image(wanted);
        matches!((&spec.config.image, &self.config.image), (Some(wanted), Some(there)) if moved(wanted, there))
    }

    /// Who made it other than it should be: what was asked for at the last apply is hashed in its mark.
    #[must_use]
    pub fn cause(&self, spec: &Workload) -> Cause {
        match self.metadata.get(OwnershipMark::APPLIED_HASH_KEY) {
            None => Cause::Unknown,
            Some(applied) if *applied == spec.applied_hash() && self.has_tag_moved(spec) => {
                Cause::Moved
            }
            // What an apply could not bring up, nobody has changed.
            Some(applied) if *applied == spec.applied_hash() && self.is_start_unconfirmed() => {
                Cause::Unknown
            }
            Some(applied) if *applied == spec.applied_hash() => Cause::Outside,
            Some(_) => Cause::Manifest,
        }
    }

    /// Whether it runs or is about to, so that an update restarts it.
    #[must_use]
    pub fn is_running(&self) -> bool {
        matches!(
            self.state.as_str(),
            "started" | "starting" | "restarting" | "failed" | "replacing" | "updating"
        )
    }
}
