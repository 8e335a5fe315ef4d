//! The simulated world: all state of the sandbox, in the structure in which the state folder stores
//! it.
//!
//! Times are milliseconds since 1970 on the sandbox's clock. The endpoints build their responses
//! from these types; nothing here is a wire format.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::api::{ApiCall, ApiError};
use crate::aws::AwsState;
use crate::clock::SavedClock;
use crate::fly::access::{ApiCaller, Token, forbidden};
use crate::fly::behaviour::Rule;
use crate::fly::images::ImageOverrides;
use crate::fly::machine::Machine;
use crate::fly::v1::NetworkPolicy;
use crate::fly::v1::managed::ManagedPostgres;
use crate::github::GithubState;
use crate::ids;
use crate::postgres::PgServer;

/// The name of the private network that apps are in unless they are created in another.
pub(crate) const DEFAULT_NETWORK: &str = "default";

/// The stored state, and what only this process needs while it serves requests.
#[derive(Clone, Debug, Default)]
pub(crate) struct SimulatedWorld {
    pub(crate) global: WorldFile,
    pub(crate) apps: BTreeMap<String, App>,
    /// The time of the current request.
    pub(crate) now_ms: i64,
    /// Minimum age of what lists show; above 0 only while a `stale-list` fault is active.
    pub(crate) list_lag_ms: i64,
    /// Apps whose files must be written, or removed if the app is gone, before the response is
    /// sent.
    pub(crate) dirty_apps: BTreeSet<String>,
    /// Whether `world.json` must be written as well.
    pub(crate) global_dirty: bool,
    pub(crate) aws: AwsState,
    pub(crate) github: GithubState,
    /// Every `exec` that was answered.
    pub(crate) execs: Vec<ExecRecord>,
    /// The address of a PostgreSQL server that runs the scripts in place of the model.
    pub(crate) postgres_url: Option<String>,
}

/// An `exec` request with its response, as `GET /_sandbox/execs` shows it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ExecRecord {
    /// The name of the app.
    pub app: String,
    /// The id of the machine.
    pub machine: String,
    /// The body of the request.
    pub request: Value,
    /// The status of the response.
    pub status: u16,
    /// The body of the response.
    pub response: Value,
    /// When it was answered, in milliseconds since 1970 on the sandbox's clock.
    pub at_ms: i64,
}

/// What `exec` does, where Fly's own behaviour is not known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ExecSettings {
    /// Whether programs get the standard input of the request; otherwise it is empty.
    pub(crate) stdin: bool,
    /// The longest body of a request, in bytes.
    pub(crate) max_body_bytes: Option<usize>,
}

impl Default for ExecSettings {
    fn default() -> Self {
        Self {
            stdin: true,
            max_body_bytes: None,
        }
    }
}

/// The contents of `world.json`: everything that does not belong to one app.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct WorldFile {
    pub(crate) seed: u64,
    /// How many ids were generated outside apps; together with the seed it determines the next id.
    pub(crate) drawn: u64,
    pub(crate) clock: Option<SavedClock>,
    pub(crate) orgs: BTreeMap<String, Org>,
    pub(crate) tokens: BTreeMap<String, Token>,
    pub(crate) rules: Vec<Rule>,
    /// Regions that organization-wide lists leave out and report in `error_regions`.
    pub(crate) error_regions: BTreeSet<String>,
    /// Regions without capacity for another machine or volume.
    #[serde(default)]
    pub(crate) full_regions: BTreeSet<String>,
    /// Images declared missing, and tags declared to point to another digest.
    #[serde(default)]
    pub(crate) images: ImageOverrides,
    /// What `exec` does.
    #[serde(default)]
    pub(crate) exec: ExecSettings,
    #[serde(default)]
    pub(crate) managed_postgres: ManagedPostgres,
}

/// An organization.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Org {
    pub(crate) id: String,
    pub(crate) number: u32,
    /// The slug in use; for a personal organization this is the alias `personal`.
    pub(crate) slug: String,
    /// The slug behind the alias.
    pub(crate) raw_slug: String,
    pub(crate) name: String,
    /// Slugs of organizations whose apps may replay requests to the apps of this one.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) replay_sources: BTreeSet<String>,
    /// Whether requests may be replayed between the networks of this organization.
    #[serde(default)]
    pub(crate) cross_network_replays: bool,
}

/// An app and everything in it: `apps/NAME.json`.
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
    /// How many ids were generated in this app.
    pub(crate) drawn: u64,
    pub(crate) machines: BTreeMap<String, Machine>,
    pub(crate) volumes: BTreeMap<String, Volume>,
    pub(crate) secrets: BTreeMap<String, Secret>,
    pub(crate) secrets_version: u64,
    pub(crate) ips: Vec<Ip>,
    pub(crate) certificates: BTreeMap<String, Certificate>,
    #[serde(default)]
    pub(crate) releases: Vec<Release>,
    #[serde(default)]
    pub(crate) network_policies: BTreeMap<String, NetworkPolicy>,
    /// The places in consul where a Postgres cluster has left that it exists.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) initialized_consul_urls: BTreeSet<String>,
}

/// A volume.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Volume {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) state: String,
    pub(crate) size_gb: u64,
    pub(crate) region: String,
    /// The host it is stored on; its machine must run on the same host.
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
    /// When the current state ends, and the state that follows.
    pub(crate) due: Option<(i64, String)>,
    /// How full its file system is, in percent; `None` for that of an almost empty one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) fill_percent: Option<u64>,
    /// The data directory of PostgreSQL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) postgres: Option<Box<PgServer>>,
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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) postgres: Option<Box<PgServer>>,
}

/// A secret of an app.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Secret {
    pub(crate) value: String,
    pub(crate) digest: String,
    pub(crate) created_ms: i64,
    pub(crate) updated_ms: i64,
}

/// An IP address of an app.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Ip {
    pub(crate) id: String,
    pub(crate) ip: String,
    pub(crate) kind: String,
    pub(crate) region: String,
    pub(crate) service_name: String,
    /// For private addresses: the network's name and the organization's slug.
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
    /// When DNS validation succeeds in the simulation.
    pub(crate) valid_from_ms: Option<i64>,
}

/// A release: what flyctl records of a deployment.
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

/// A JSON object. Machine configurations are stored in this form.
pub(crate) type JsonObject = Map<String, Value>;

impl SimulatedWorld {
    /// Generates the bytes for a new id of something outside apps, such as an app or a token.
    pub(crate) fn next_id_bytes(&mut self, kind: &str) -> [u8; 32] {
        self.global.drawn += 1;
        self.global_dirty = true;
        ids::derive_bytes(&[
            &self.global.seed.to_string(),
            kind,
            &self.global.drawn.to_string(),
        ])
    }

    /// The app that a call names, if the caller may see it.
    ///
    /// # Errors
    /// `404` when there is no such app, `403` when the caller may not see it.
    pub(crate) fn app(&self, call: &ApiCall) -> Result<&App, ApiError> {
        self.app_named(call.path_param("app"), &call.caller)
    }

    /// The app with this name, if the caller may see it.
    ///
    /// # Errors
    /// As [`SimulatedWorld::app`].
    pub(crate) fn app_named(&self, name: &str, caller: &ApiCaller) -> Result<&App, ApiError> {
        let app = self
            .apps
            .get(name)
            .ok_or_else(|| ApiError::not_found("app"))?;
        if caller.can_see_app(app) {
            Ok(app)
        } else {
            Err(forbidden())
        }
    }

    /// Like [`SimulatedWorld::app`], for changing the app: marks it to be written before the
    /// response is sent.
    ///
    /// # Errors
    /// As [`SimulatedWorld::app`].
    pub(crate) fn app_mut(&mut self, call: &ApiCall) -> Result<&mut App, ApiError> {
        let name = self.app(call)?.name.clone();
        self.changed_app(&name)
            .ok_or_else(|| ApiError::not_found("app"))
    }

    /// An app by name, for changing it without a check of the caller: marks it to be written before
    /// the response is sent.
    pub(crate) fn changed_app(&mut self, name: &str) -> Option<&mut App> {
        self.dirty_apps.insert(name.to_owned());
        self.apps.get_mut(name)
    }

    /// The apps that the caller may see.
    pub(crate) fn visible_apps(&self, caller: &ApiCaller) -> impl Iterator<Item = &App> {
        self.apps
            .values()
            .filter(move |app| caller.can_see_app(app))
    }

    /// An organization by slug, raw slug or id, if the caller may see it.
    ///
    /// # Errors
    /// `403` when the caller may not see it, `404` when the caller may see all organizations and
    /// there is none.
    pub(crate) fn org(&self, slug: &str, caller: &ApiCaller) -> Result<&Org, ApiError> {
        match self.find_org(slug) {
            Some(org) if caller.can_see_org(&org.slug) => Ok(org),
            // Only a caller who may see every organization may learn that one does not exist.
            None if caller.can_see_org(slug) => Err(ApiError::not_found("organization")),
            _ => Err(forbidden()),
        }
    }

    /// An organization by slug, raw slug or id.
    pub(crate) fn find_org(&self, slug: &str) -> Option<&Org> {
        self.global
            .orgs
            .values()
            .find(|org| org.slug == slug || org.raw_slug == slug || org.id == slug)
    }

    /// The number of an organization's private network, which is part of its addresses. Every network
    /// has its own, so that apps in different ones cannot reach each other.
    pub(crate) fn network_number(&self, org_slug: &str, network: &str) -> u32 {
        let org_number = self.global.orgs.get(org_slug).map_or(0, |org| org.number);
        match network {
            "" | DEFAULT_NETWORK => org_number,
            name => ids::to_u31(&ids::derive_bytes(&[
                "network",
                &org_number.to_string(),
                name,
            ])),
        }
    }

    /// Whether an organization has a network: its default one, or one that an app was created in.
    pub(crate) fn network_exists(&self, org_slug: &str, network: &str) -> bool {
        let is_in = |app: &App| app.org == org_slug && app.network == network;
        matches!(network, "" | DEFAULT_NETWORK) || self.apps.values().any(is_in)
    }

    /// The organization with this slug, created if it does not exist.
    pub(crate) fn ensure_org(&mut self, slug: &str) -> Org {
        if let Some(org) = self.find_org(slug) {
            return org.clone();
        }
        let id_bytes = self.next_id_bytes("org");
        let personal = slug == "personal";
        let org = Org {
            id: ids::base32_id(&id_bytes),
            number: ids::to_u31(&id_bytes),
            slug: slug.to_owned(),
            raw_slug: if personal {
                format!("personal-{}", ids::hex(&id_bytes[..3]))
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

    /// Whether lists show something created at this time; a `stale-list` fault hides what is too
    /// new.
    pub(crate) fn is_listed(&self, created_ms: i64) -> bool {
        self.list_lag_ms == 0 || created_ms <= self.now_ms - self.list_lag_ms
    }
}

impl App {
    /// Generates the bytes for a new id of something in this app.
    pub(crate) fn next_id_bytes(&mut self, kind: &str) -> [u8; 32] {
        self.drawn += 1;
        ids::derive_bytes(&[&self.id, kind, &self.drawn.to_string()])
    }

    /// A machine by id, even if it is destroyed.
    ///
    /// # Errors
    /// `404`.
    pub(crate) fn machine(&self, id: &str) -> Result<&Machine, ApiError> {
        self.machines
            .get(id)
            .ok_or_else(|| ApiError::not_found("machine"))
    }

    /// A volume by id, unless it is destroyed.
    ///
    /// # Errors
    /// `404`.
    pub(crate) fn volume(&self, id: &str) -> Result<&Volume, ApiError> {
        self.volumes
            .get(id)
            .filter(|v| v.state != "destroyed")
            .ok_or_else(|| ApiError::not_found("volume"))
    }

    /// A volume by id, unless its deletion has begun.
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

    /// The name that a CNAME record of a custom domain must point to.
    pub(crate) fn cname_target(&self) -> String {
        format!("{}.{}.fly.dev", self.short_id(), self.name)
    }

    /// The beginning of the id, which is part of host names that only this app uses.
    pub(crate) fn short_id(&self) -> &str {
        &self.id[..7.min(self.id.len())]
    }

    /// `pending` before the first machine, `deployed` while there are machines, `suspended` after
    /// the last one is gone. Clients treat the last two alike.
    pub(crate) fn status(&self) -> &'static str {
        match self.machines.values().any(|machine| !machine.is_gone()) {
            true => "deployed",
            false if self.machines.is_empty() => "pending",
            false => "suspended",
        }
    }
}

impl Volume {
    /// Whether it was deleted; it is still stored, and can be restored for a day.
    pub(crate) fn is_deleted(&self) -> bool {
        matches!(
            self.state.as_str(),
            "scheduling_destroy" | "pending_destroy" | "destroying" | "destroyed"
        )
    }
}
