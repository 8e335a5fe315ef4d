//! Everything the sandbox knows, in the shape in which it lies in the state folder.
//!
//! Times are milliseconds since 1970 on the sandbox's clock. What the API shows is made from this by the endpoints;
//! nothing here is a wire format.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::access::{ApiCaller, Token, forbidden};
use super::api::{ApiCall, ApiError};
use super::aws::AwsState;
use super::behaviour::Rule;
use super::clock::SavedClock;
use super::ids;
use super::images::ImageOverrides;
use super::machine::Machine;

/// The state, and what this process adds to it.
#[derive(Clone, Debug, Default)]
pub(crate) struct SimulatedWorld {
    pub(crate) global: WorldFile,
    pub(crate) apps: BTreeMap<String, App>,
    /// The moment of the current request.
    pub(crate) now_ms: i64,
    /// Lists leave out what is younger than this, while a fault says so.
    pub(crate) list_lag_ms: i64,
    /// Applications to write (or, when gone, to remove) before the answer is sent.
    pub(crate) dirty_apps: BTreeSet<String>,
    /// Whether `world.json` is to be written as well.
    pub(crate) global_dirty: bool,
    pub(crate) aws: AwsState,
}

/// What belongs to no application: `world.json`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct WorldFile {
    pub(crate) seed: u64,
    /// How many things were named so far; with the seed it makes the next identifier.
    pub(crate) drawn: u64,
    pub(crate) clock: Option<SavedClock>,
    pub(crate) orgs: BTreeMap<String, Org>,
    pub(crate) tokens: BTreeMap<String, Token>,
    pub(crate) rules: Vec<Rule>,
    /// Regions that lists over an organisation report as unanswered.
    pub(crate) error_regions: BTreeSet<String>,
    /// Regions without room for another machine or volume.
    #[serde(default)]
    pub(crate) full_regions: BTreeSet<String>,
    /// Images that are missing, and tags that have moved.
    #[serde(default)]
    pub(crate) images: ImageOverrides,
}

/// An organisation.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Org {
    pub(crate) id: String,
    pub(crate) number: u32,
    /// The slug in use, which for a person's own organisation is the alias `personal`.
    pub(crate) slug: String,
    /// The slug behind the alias.
    pub(crate) raw_slug: String,
    pub(crate) name: String,
    /// Organisations whose requests may be replayed to applications of this one.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) replay_sources: BTreeSet<String>,
    /// Whether requests may be replayed between its networks.
    #[serde(default)]
    pub(crate) cross_network_replays: bool,
}

/// An application and all that is in it: `apps/NAME.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct App {
    pub(crate) id: String,
    pub(crate) number: u32,
    pub(crate) name: String,
    pub(crate) org: String,
    pub(crate) network: String,
    pub(crate) role: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) idempotency_key: Option<String>,
    pub(crate) created_ms: i64,
    /// How many things in it were named so far.
    pub(crate) drawn: u64,
    pub(crate) machines: BTreeMap<String, Machine>,
    pub(crate) volumes: BTreeMap<String, Volume>,
    pub(crate) secrets: BTreeMap<String, Secret>,
    pub(crate) secrets_version: u64,
    pub(crate) ips: Vec<Ip>,
    pub(crate) certificates: BTreeMap<String, Certificate>,
    #[serde(default)]
    pub(crate) releases: Vec<Release>,
}

/// A volume.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Volume {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) state: String,
    pub(crate) size_gb: u64,
    pub(crate) region: String,
    /// The hardware it is pinned to, which is also where its machine must run.
    pub(crate) zone: String,
    pub(crate) encrypted: bool,
    pub(crate) fstype: String,
    pub(crate) snapshot_retention: u64,
    pub(crate) auto_backup_enabled: bool,
    pub(crate) attached: Option<String>,
    pub(crate) host_status: String,
    pub(crate) created_ms: i64,
    pub(crate) updated_ms: i64,
    pub(crate) snapshots: Vec<VolumeSnapshot>,
    /// When its present state ends by itself, and in which one it ends.
    pub(crate) due: Option<(i64, String)>,
}

/// A snapshot of a volume.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct VolumeSnapshot {
    pub(crate) id: String,
    pub(crate) digest: String,
    pub(crate) size: u64,
    pub(crate) volume_size: u64,
    pub(crate) retention_days: u64,
    pub(crate) created_ms: i64,
}

/// A secret of an application.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Secret {
    pub(crate) value: String,
    pub(crate) digest: String,
    pub(crate) created_ms: i64,
    pub(crate) updated_ms: i64,
}

/// An address of an application.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Ip {
    pub(crate) id: String,
    pub(crate) ip: String,
    pub(crate) kind: String,
    pub(crate) region: String,
    pub(crate) service_name: String,
    /// For private addresses: the network's name and organisation.
    pub(crate) network: Option<(String, String)>,
    pub(crate) created_ms: i64,
}

/// A certificate for one host name.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Certificate {
    pub(crate) hostname: String,
    pub(crate) acme: bool,
    pub(crate) custom: bool,
    pub(crate) created_ms: i64,
    pub(crate) updated_ms: i64,
    /// When the simulated world has its DNS in order.
    pub(crate) valid_from_ms: Option<i64>,
}

/// What flyctl records of a deployment.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Release {
    pub(crate) id: String,
    pub(crate) version: u64,
    pub(crate) status: String,
    pub(crate) strategy: String,
    pub(crate) image: String,
    pub(crate) definition: Value,
    pub(crate) metadata: Value,
    pub(crate) user: String,
    pub(crate) created_ms: i64,
}

/// A JSON object, which machine configurations are kept as.
pub(crate) type JsonObject = Map<String, Value>;

impl SimulatedWorld {
    /// Draws the bytes of a new identifier for something outside the applications.
    pub(crate) fn next_id_bytes(&mut self, what: &str) -> [u8; 32] {
        self.global.drawn += 1;
        self.global_dirty = true;
        ids::derive_bytes(&[
            &self.global.seed.to_string(),
            what,
            &self.global.drawn.to_string(),
        ])
    }

    /// The application a call names, if the caller may see it.
    ///
    /// # Errors
    /// `404` when there is none, `403` when it is another organisation's.
    pub(crate) fn app(&self, call: &ApiCall) -> Result<&App, ApiError> {
        self.app_named(call.path_param("app"), &call.caller)
    }

    /// The same by name.
    ///
    /// # Errors
    /// As [`World::app`].
    pub(crate) fn app_named(&self, name: &str, who: &ApiCaller) -> Result<&App, ApiError> {
        let app = self
            .apps
            .get(name)
            .ok_or_else(|| ApiError::not_found("app"))?;
        if who.can_see_app(app) {
            Ok(app)
        } else {
            Err(forbidden())
        }
    }

    /// The same, to change it; it will be written before the answer goes out.
    ///
    /// # Errors
    /// As [`World::app`].
    pub(crate) fn app_mut(&mut self, call: &ApiCall) -> Result<&mut App, ApiError> {
        let name = self.app(call)?.name.clone();
        self.dirty_apps.insert(name.clone());
        self.apps
            .get_mut(&name)
            .ok_or_else(|| ApiError::not_found("app"))
    }

    /// An organisation by slug, by the slug behind an alias, or by identifier, if the caller may see it.
    ///
    /// # Errors
    /// `403` when the caller may not, `404` when it may see everything and there is none.
    pub(crate) fn org(&self, slug: &str, who: &ApiCaller) -> Result<&Org, ApiError> {
        match self.find_org(slug) {
            Some(org) if who.can_see_org(&org.slug) => Ok(org),
            // Only somebody who sees every organisation may learn that one does not exist.
            None if who.can_see_org(slug) => Err(ApiError::not_found("organization")),
            _ => Err(forbidden()),
        }
    }

    /// An organisation by any of its names.
    pub(crate) fn find_org(&self, slug: &str) -> Option<&Org> {
        self.global
            .orgs
            .values()
            .find(|org| org.slug == slug || org.raw_slug == slug || org.id == slug)
    }

    /// The organisation with this slug, made if it is missing.
    pub(crate) fn ensure_org(&mut self, slug: &str) -> Org {
        if let Some(org) = self.find_org(slug) {
            return org.clone();
        }
        let draw = self.next_id_bytes("org");
        let personal = slug == "personal";
        let org = Org {
            id: ids::base32_id(&draw),
            number: ids::to_u31(&draw),
            slug: slug.to_owned(),
            raw_slug: if personal {
                format!("personal-{}", ids::hex(&draw[..3]))
            } else {
                slug.to_owned()
            },
            name: if personal {
                "Personal".to_owned()
            } else {
                slug.to_owned()
            },
            replay_sources: BTreeSet::new(),
            cross_network_replays: false,
        };
        self.global.orgs.insert(slug.to_owned(), org.clone());
        org
    }

    /// Whether a list shows a thing, or a fault makes it lag behind.
    pub(crate) fn is_listed(&self, created_ms: i64) -> bool {
        self.list_lag_ms == 0 || created_ms <= self.now_ms - self.list_lag_ms
    }
}

impl App {
    /// Draws the bytes of a new identifier for something in this application.
    pub(crate) fn next_id_bytes(&mut self, what: &str) -> [u8; 32] {
        self.drawn += 1;
        ids::derive_bytes(&[&self.id, what, &self.drawn.to_string()])
    }

    /// A machine, destroyed ones included.
    ///
    /// # Errors
    /// `404`.
    pub(crate) fn machine(&self, id: &str) -> Result<&Machine, ApiError> {
        self.machines
            .get(id)
            .ok_or_else(|| ApiError::not_found("machine"))
    }

    /// A volume that is not gone.
    ///
    /// # Errors
    /// `404`.
    pub(crate) fn volume(&self, id: &str) -> Result<&Volume, ApiError> {
        self.volumes
            .get(id)
            .filter(|v| v.state != "destroyed")
            .ok_or_else(|| ApiError::not_found("volume"))
    }

    /// A volume that can still be changed.
    ///
    /// # Errors
    /// `404`.
    pub(crate) fn volume_mut(&mut self, id: &str) -> Result<&mut Volume, ApiError> {
        let volume = self
            .volumes
            .get_mut(id)
            .filter(|volume| !volume.is_deleted());
        volume.ok_or_else(|| ApiError::not_found("volume"))
    }

    /// `pending` before the first deployment, then `deployed`, or `suspended` when nothing is left in it. Clients
    /// treat the last two alike.
    pub(crate) fn status(&self) -> &'static str {
        match self.machines.values().any(|machine| !machine.is_gone()) {
            true => "deployed",
            false if self.machines.is_empty() => "pending",
            false => "suspended",
        }
    }
}

impl Volume {
    /// Whether it was deleted, even if it lingers.
    pub(crate) fn is_deleted(&self) -> bool {
        matches!(
            self.state.as_str(),
            "scheduling_destroy" | "pending_destroy" | "destroying" | "destroyed"
        )
    }
}
