//! `/v1/postgres`: Managed Postgres. Clusters are created and deleted asynchronously; what is in them
//! is managed by a service of its own, which can be unavailable. There is no request that changes a
//! cluster's plan, region, disk or version.

mod backups;
mod clusters;
mod databases;
mod users;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Route;
use crate::api::{ApiCall, ApiError, ApiResponse, ApiResult};
use crate::world::{JsonObject, SimulatedWorld};

/// From the creation of a cluster until its nodes are there.
const CREATING_MS: i64 = 10_000;
/// From the creation of a cluster until it is ready.
const READY_MS: i64 = 120_000;
/// From the deletion of a cluster until it is gone.
const DELETING_MS: i64 = 30_000;
/// What `Retry-After` says while the service inside of clusters is unavailable, in seconds.
const RETRY_AFTER_S: &str = "2";

/// A cluster.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ManagedCluster {
    id: String,
    name: String,
    org: String,
    region: String,
    plan: String,
    disk_size_gb: u64,
    pg_major_version: String,
    pool_mode: String,
    postgis_enabled: bool,
    created_ms: i64,
    deleted_ms: Option<i64>,
    /// Whether its creation fails in place of becoming ready.
    fails: bool,
    /// Apps, and when they were attached.
    attached_apps: BTreeMap<String, i64>,
    databases: BTreeMap<String, databases::ManagedDatabase>,
    users: BTreeMap<String, users::ManagedUser>,
    backups: Vec<backups::ManagedBackup>,
    /// `None` for that of a cluster that is almost empty.
    storage_used_bytes: Option<u64>,
    /// How many passwords and backups were made, from which the next one is derived.
    drawn: u64,
}

/// What is stored of Managed Postgres.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct ManagedPostgres {
    clusters: BTreeMap<String, ManagedCluster>,
    /// How many requests the service inside of clusters rejects.
    unavailable_requests: u64,
    /// How many clusters fail from now on.
    failing_creations: u64,
}

pub(super) fn routes() -> Vec<Route> {
    let mut all = clusters::routes();
    all.extend(databases::routes());
    all.extend(users::routes());
    all.extend(backups::routes());
    all
}

/// An error in the format of these endpoints.
fn error(status: u16, message: impl Into<String>) -> ApiError {
    let message: String = message.into();
    ApiError {
        status,
        body: json!({ "error": message }),
    }
}

/// A response with its content in `data`.
fn data(status: u16, content: Value) -> ApiResponse {
    let body = JsonObject::from_iter([("data".to_owned(), content)]);
    ApiResponse::json(status, body.into())
}

impl ManagedCluster {
    fn status(&self, now: i64) -> &'static str {
        match self.deleted_ms {
            Some(at) if now >= at + DELETING_MS => return "deleted",
            Some(_) => return "deleting",
            None => {}
        }
        match now - self.created_ms {
            age if age < CREATING_MS => "creating",
            age if age < READY_MS => "initializing",
            _ if self.fails => "failed",
            _ => "ready",
        }
    }

    fn next_bytes(&mut self, kind: &str) -> [u8; 32] {
        self.drawn += 1;
        crate::ids::derive_bytes(&[&self.id, kind, &self.drawn.to_string()])
    }

    /// The error about a cluster that was deleted.
    fn require_existing(&self, now: i64) -> Result<(), ApiError> {
        match self.status(now) {
            "deleted" => Err(error(410, "This cluster has been deleted")),
            "deleting" => Err(error(410, "This cluster is being deleted")),
            _ => Ok(()),
        }
    }
}

/// The cluster that a call names. Which tokens may do this is not documented: one for the whole
/// organization is needed here.
fn find_cluster<'a>(
    world: &'a SimulatedWorld,
    call: &ApiCall,
) -> Result<&'a ManagedCluster, ApiError> {
    let cluster = world
        .global
        .managed_postgres
        .clusters
        .get(call.path_param("cluster"));
    cluster
        .filter(|cluster| call.caller.can_see_org(&cluster.org))
        .ok_or_else(|| error(404, "Cluster not found"))
}

/// Like [`find_cluster`], for changing it.
fn find_cluster_mut<'a>(
    world: &'a mut SimulatedWorld,
    call: &ApiCall,
) -> Result<&'a mut ManagedCluster, ApiError> {
    let id = find_cluster(world, call)?.id.clone();
    world.global_dirty = true;
    world
        .global
        .managed_postgres
        .clusters
        .get_mut(&id)
        .ok_or_else(|| error(404, "Cluster not found"))
}

/// Calls a function with a cluster whose inside can be managed: it is ready, and the service for that
/// is available.
fn manage(
    world: &mut SimulatedWorld,
    call: &ApiCall,
    run: impl FnOnce(&mut ManagedCluster) -> ApiResult,
) -> ApiResult {
    let now = world.now_ms;
    find_cluster(world, call)?.require_existing(now)?;
    let is_ready = find_cluster(world, call)?.status(now) == "ready";
    let rejected = &mut world.global.managed_postgres.unavailable_requests;
    if *rejected > 0 || !is_ready {
        *rejected = rejected.saturating_sub(u64::from(is_ready));
        world.global_dirty = true;
        let body = json!({ "error": "pg-admin is unavailable" });
        return Ok(ApiResponse::json(503, body).with_header("retry-after", RETRY_AFTER_S));
    }
    run(find_cluster_mut(world, call)?)
}

/// Handles `POST /_sandbox/managed-postgres`: the next requests about databases and users fail, the
/// next clusters fail, or a cluster has used this much storage.
///
/// # Errors
/// `400` for an invalid body, `404` for an unknown cluster.
pub(crate) fn change_behaviour(world: &mut SimulatedWorld, body: &Value) -> ApiResult {
    #[derive(Default, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct BehaviourRequest {
        unavailable_requests: Option<u64>,
        failing_creations: Option<u64>,
        cluster: Option<String>,
        storage_used_bytes: Option<u64>,
    }
    let request: BehaviourRequest = serde_json::from_value(body.clone())
        .map_err(|error| ApiError::bad_request(error.to_string()))?;
    let managed = &mut world.global.managed_postgres;
    world.global_dirty = true;
    managed.unavailable_requests = request
        .unavailable_requests
        .unwrap_or(managed.unavailable_requests);
    managed.failing_creations = request
        .failing_creations
        .unwrap_or(managed.failing_creations);
    if let Some(id) = request.cluster {
        let cluster = managed
            .clusters
            .get_mut(&id)
            .ok_or_else(|| ApiError::not_found("cluster"))?;
        cluster.storage_used_bytes = request.storage_used_bytes;
    }
    Ok(ApiResponse::ok_true())
}

/// Whether this is a name as the endpoints accept it: letters and digits at both ends, hyphens and
/// underscores inside, at most 63 characters.
fn is_name(name: &str, allows_upper_case: bool) -> bool {
    let is_plain = |c: char| {
        c.is_ascii_digit()
            || c.is_ascii_lowercase()
            || (allows_upper_case && c.is_ascii_uppercase())
    };
    (1..=63).contains(&name.len())
        && name.chars().all(|c| is_plain(c) || c == '-' || c == '_')
        && name.starts_with(is_plain)
        && name.ends_with(is_plain)
}
