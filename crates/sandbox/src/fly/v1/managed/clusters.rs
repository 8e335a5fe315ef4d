//! Clusters, and the apps that are attached to them.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::super::{Route, platform, route};
use super::users::ManagedUser;
use super::{ManagedCluster, data, error, find_cluster, find_cluster_mut};
use crate::api::{ApiCall, ApiError, ApiResponse, ApiResult, non_empty};
use crate::clock;
use crate::ids;
use crate::world::SimulatedWorld;

/// Plans: slug, kind and number of CPUs, memory in MB.
const PLANS: [(&str, &str, u64, u64); 5] = [
    ("basic", "shared", 2, 1_024),
    ("starter", "shared", 2, 2_048),
    ("launch", "performance", 2, 8_192),
    ("scale", "performance", 4, 33_792),
    ("Performance", "performance", 8, 65_536),
];
const DEFAULT_DISK_GB: u64 = 10;
const MAX_DISK_GB: u64 = 500;
const DEFAULT_VERSION: &str = "17";
const GIB: u64 = 1 << 30;
/// What an empty cluster uses of its storage.
const EMPTY_BYTES: u64 = 64 << 20;
/// How often storage is measured, and so until when it is unknown.
const MEASURE_MS: i64 = 3_600_000;
/// The user and the database that a new cluster has.
const DEFAULT_USER: &str = "fly-user";
const DEFAULT_DATABASE: &str = "fly-db";

pub(super) fn routes() -> Vec<Route> {
    vec![
        route("GET", "/v1/postgres", list),
        route("POST", "/v1/postgres", create),
        route("GET", "/v1/postgres/{cluster}", show),
        route("DELETE", "/v1/postgres/{cluster}", delete),
        route("POST", "/v1/postgres/{cluster}/attachments", attach),
        route("DELETE", "/v1/postgres/{cluster}/attachments/{app}", detach),
        route("POST", "/v1/postgres/{cluster}/fork", fork),
    ]
}

fn apps_view(cluster: &ManagedCluster) -> Value {
    let names = cluster.attached_apps.keys();
    names.map(|name| json!({ "name": name })).collect()
}

/// A cluster in a list.
fn summary_view(cluster: &ManagedCluster, now: i64) -> Value {
    let mut body = json!({
        "id": cluster.id,
        "name": cluster.name,
        "status": cluster.status(now),
        "region": cluster.region,
        "plan": cluster.plan,
        "created_at": clock::format_seconds(cluster.created_ms),
        "attached_apps": apps_view(cluster),
    });
    if let Some(at) = cluster.deleted_ms {
        body["deleted_at"] = clock::format_seconds(at).into();
    }
    body
}

/// A cluster in full. It has no endpoints until it is ready, and its storage is measured hourly.
pub(super) fn cluster_view(world: &SimulatedWorld, cluster: &ManagedCluster) -> Value {
    let now = world.now_ms;
    let org = world.global.orgs.get(&cluster.org);
    let plan = PLANS.iter().find(|(slug, ..)| *slug == cluster.plan);
    let (_, cpu_kind, cpus, memory_mb) = plan.copied().unwrap_or(PLANS[0]);
    let endpoints = (cluster.status(now) == "ready").then(|| {
        let endpoint = |kind: &str| {
            json!({ "host": format!("{kind}.{}.flympg.net", cluster.id), "port": 5432 })
        };
        json!({ "primary": { "direct": endpoint("direct"), "pooler": endpoint("pgbouncer") } })
    });
    let is_measured =
        cluster.storage_used_bytes.is_some() || now >= cluster.created_ms + MEASURE_MS;
    let used = is_measured.then(|| cluster.storage_used_bytes.unwrap_or(EMPTY_BYTES));
    let mut body = summary_view(cluster, now);
    let more = json!({
        "disk_size_gb": cluster.disk_size_gb,
        "cpus": cpus,
        "cpu_kind": cpu_kind,
        "memory_mb": memory_mb,
        "replicas": if cluster.plan == "basic" { 1 } else { 2 },
        "pg_major_version": cluster.pg_major_version,
        "postgis_enabled": cluster.postgis_enabled,
        "endpoints": endpoints,
        "organization": {
            "name": org.map_or(cluster.org.as_str(), |org| org.name.as_str()),
            "slug": cluster.org,
        },
        "storage_used_bytes": used,
        "storage_provisioned_bytes": is_measured.then_some(cluster.disk_size_gb * GIB),
    });
    if let (Some(body), Some(more)) = (body.as_object_mut(), more.as_object()) {
        body.extend(more.clone());
        body.remove("deleted_at");
    }
    body
}

fn list(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    let slug = call
        .query("org_slug")
        .ok_or_else(|| error(400, "org_slug is required"))?;
    let includes_deleted = match call.query("include_deleted") {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => return Err(error(422, "include_deleted must be a boolean")),
    };
    let org = world.org(slug, &call.caller)?.slug.clone();
    let clusters = world.global.managed_postgres.clusters.values();
    let now = world.now_ms;
    let clusters: Vec<Value> = clusters
        .filter(|cluster| cluster.org == org && world.is_listed(cluster.created_ms))
        .filter(|cluster| includes_deleted || cluster.status(now) != "deleted")
        .map(|cluster| summary_view(cluster, now))
        .collect();
    Ok(data(200, clusters.into()))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct NewClusterRequest {
    org_slug: Option<String>,
    name: Option<String>,
    region: Option<String>,
    plan: Option<String>,
    disk_size_gb: Option<u64>,
    pg_major_version: Option<String>,
    pool_mode: Option<String>,
    postgis_enabled: Option<bool>,
}

fn create(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    let request: NewClusterRequest = call.body()?;
    let required = |value: Option<String>, name: &str| {
        non_empty(value).ok_or_else(|| error(422, format!("{name} is required")))
    };
    let org = required(request.org_slug, "org_slug")?;
    let org = world.org(&org, &call.caller)?.slug.clone();
    let region = required(request.region, "region")?;
    let is_available = platform::REGIONS
        .iter()
        .any(|known| known.code == region && known.managed_postgres);
    if !is_available {
        let message = format!("Managed Postgres is not available in region {region}");
        return Err(error(422, message));
    }
    let plan = required(request.plan, "plan")?;
    let (plan, ..) = PLANS
        .iter()
        .find(|(slug, ..)| slug.eq_ignore_ascii_case(&plan))
        .ok_or_else(|| error(422, format!("unknown plan: {plan}")))?;
    let disk_size_gb = request.disk_size_gb.filter(|size| *size > 0);
    let disk_size_gb = disk_size_gb.unwrap_or(DEFAULT_DISK_GB);
    if !(DEFAULT_DISK_GB..=MAX_DISK_GB).contains(&disk_size_gb) {
        return Err(error(422, "disk_size_gb must be between 10 and 500"));
    }
    let version = non_empty(request.pg_major_version).unwrap_or_else(|| DEFAULT_VERSION.to_owned());
    if !matches!(version.as_str(), "16" | "17") {
        return Err(error(422, "pg_major_version must be 16 or 17"));
    }
    let pool_mode = non_empty(request.pool_mode).unwrap_or_else(|| "session".to_owned());
    if !matches!(pool_mode.as_str(), "session" | "transaction") {
        return Err(error(422, "pool_mode must be session or transaction"));
    }
    let bytes = world.next_id_bytes("managed postgres");
    let cluster = ManagedCluster {
        id: ids::base32_id(&bytes),
        name: non_empty(request.name).unwrap_or_else(|| ids::generated_name(&bytes)),
        org,
        region,
        plan: (*plan).to_owned(),
        disk_size_gb,
        pg_major_version: version,
        pool_mode,
        postgis_enabled: request.postgis_enabled.unwrap_or(false),
        created_ms: world.now_ms,
        deleted_ms: None,
        fails: false,
        attached_apps: BTreeMap::new(),
        databases: BTreeMap::from([(DEFAULT_DATABASE.to_owned(), Default::default())]),
        users: BTreeMap::new(),
        backups: Vec::new(),
        storage_used_bytes: None,
        drawn: 0,
    };
    Ok(add(world, cluster))
}

/// Stores a new cluster with its first user.
fn add(world: &mut SimulatedWorld, mut cluster: ManagedCluster) -> ApiResponse {
    if cluster.users.is_empty() {
        let user = ManagedUser::new(&mut cluster, "schema_admin");
        cluster.users.insert(DEFAULT_USER.to_owned(), user);
    }
    let managed = &mut world.global.managed_postgres;
    cluster.fails = managed.failing_creations > 0;
    managed.failing_creations = managed.failing_creations.saturating_sub(1);
    managed.clusters.insert(cluster.id.clone(), cluster.clone());
    world.global_dirty = true;
    data(201, cluster_view(world, &cluster))
}

fn show(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    let cluster = find_cluster(world, call)?;
    // A deleted cluster is still in lists, but cannot be read.
    if cluster.status(world.now_ms) == "deleted" {
        return Err(error(404, "Cluster not found"));
    }
    Ok(data(200, cluster_view(world, cluster)))
}

fn delete(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    let now = world.now_ms;
    let cluster = find_cluster_mut(world, call)?;
    cluster.require_existing(now)?;
    cluster.deleted_ms = Some(now);
    Ok(ApiResponse::empty(202))
}

/// The app of an attachment.
fn require_app(world: &SimulatedWorld, call: &ApiCall, name: &str) -> Result<(), ApiError> {
    let app = world.app_named(name, &call.caller);
    app.map(|_| ()).map_err(|_| error(404, "App not found"))
}

/// Records that an app uses the cluster; nothing else happens.
fn attach(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct AttachRequest {
        app_name: Option<String>,
    }
    let request: AttachRequest = call.body()?;
    let now = world.now_ms;
    find_cluster(world, call)?.require_existing(now)?;
    let app = request.app_name.unwrap_or_default();
    require_app(world, call, &app)?;
    let cluster = find_cluster_mut(world, call)?;
    let was_attached = cluster.attached_apps.contains_key(&app);
    let attached_ms = *cluster.attached_apps.entry(app.clone()).or_insert(now);
    let body = json!({
        "app_name": app,
        "attached_at": clock::format_seconds(attached_ms),
        "postgres_cluster_id": cluster.id,
    });
    Ok(data(if was_attached { 200 } else { 201 }, body))
}

fn detach(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    let now = world.now_ms;
    find_cluster(world, call)?.require_existing(now)?;
    let app = call.path_param("app").to_owned();
    require_app(world, call, &app)?;
    let cluster = find_cluster_mut(world, call)?;
    match cluster.attached_apps.remove(&app) {
        Some(_) => Ok(ApiResponse::empty(204)),
        None => Err(error(404, "Attachment not found")),
    }
}

/// Copies a cluster into a new one.
pub(super) fn copy(
    world: &mut SimulatedWorld,
    call: &ApiCall,
    name: Option<String>,
) -> Result<ApiResponse, ApiError> {
    let source = find_cluster(world, call)?.clone();
    let bytes = world.next_id_bytes("managed postgres");
    let cluster = ManagedCluster {
        id: ids::base32_id(&bytes),
        name: non_empty(name).unwrap_or_else(|| ids::generated_name(&bytes)),
        created_ms: world.now_ms,
        deleted_ms: None,
        attached_apps: BTreeMap::new(),
        backups: Vec::new(),
        ..source
    };
    Ok(add(world, cluster))
}

fn fork(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct ForkRequest {
        name: Option<String>,
    }
    let request: ForkRequest = call.body()?;
    let now = world.now_ms;
    let source = find_cluster(world, call)?;
    source.require_existing(now)?;
    if source.status(now) != "ready" {
        let message = "The source cluster is not ready to be forked yet";
        return Err(error(409, message));
    }
    copy(world, call, request.name)
}
