//! `/v1/apps/{app}/volumes`: volumes, each stored on one host in one region, and their snapshots.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Route, platform, route};
use crate::api::{ApiCall, ApiError, ApiResponse, ApiResult, non_empty};
use crate::clock;
use crate::ids;
use crate::postgres::PgServer;
use crate::world::{App, SimulatedWorld, Volume, VolumeSnapshot};

/// The size of a new volume when the request names none (REST documentation).
const DEFAULT_SIZE_GB: u64 = 3;
const MAX_SIZE_GB: u64 = 500;
/// How long snapshots are kept when the request names no retention.
const DEFAULT_RETENTION_DAYS: u64 = 5;
const MAX_RETENTION_DAYS: u64 = 60;
/// How long a deleted volume can be restored: one day.
const RESTORE_WINDOW_MS: i64 = 24 * 3_600_000;
/// How long it takes to copy the blocks of a volume or snapshot into a new volume.
const HYDRATION_MS: i64 = 2_000;
/// The block size: 4 KiB.
const BLOCK_BYTES: u64 = 4_096;
const GIB: u64 = 1 << 30;

pub(super) fn routes() -> [Route; 8] {
    [
        route("GET", "/v1/apps/{app}/volumes", list),
        route("POST", "/v1/apps/{app}/volumes", create),
        route("GET", "/v1/apps/{app}/volumes/{volume}", show),
        route("PUT", "/v1/apps/{app}/volumes/{volume}", update),
        route("DELETE", "/v1/apps/{app}/volumes/{volume}", delete),
        route("PUT", "/v1/apps/{app}/volumes/{volume}/extend", extend),
        route(
            "GET",
            "/v1/apps/{app}/volumes/{volume}/snapshots",
            list_snapshots,
        ),
        route(
            "POST",
            "/v1/apps/{app}/volumes/{volume}/snapshots",
            create_snapshot,
        ),
    ]
}

/// A volume as the API returns it.
pub(crate) fn volume_view(volume: &Volume) -> Value {
    let blocks = volume.size_gb * GIB / BLOCK_BYTES;
    // A new ext4 file system reserves about five percent for the superuser and uses almost nothing.
    let reserved = blocks / 20;
    let used = blocks * volume.fill_percent.unwrap_or(1) / 100;
    json!({
        "id": volume.id,
        "name": volume.name,
        "state": volume.state,
        "size_gb": volume.size_gb,
        "region": volume.region,
        "zone": volume.zone,
        "encrypted": volume.encrypted,
        "attached_machine_id": volume.attached,
        "attached_alloc_id": null,
        "created_at": clock::format_millis(volume.created_ms),
        "blocks": blocks,
        "block_size": BLOCK_BYTES,
        "blocks_free": blocks - used,
        "blocks_avail": (blocks - used).saturating_sub(reserved),
        "bytes_used": used * BLOCK_BYTES,
        "bytes_total": blocks * BLOCK_BYTES,
        "fstype": volume.fstype,
        "snapshot_retention": volume.snapshot_retention,
        "auto_backup_enabled": volume.auto_backup_enabled,
        "host_dedication_key": "",
        "host_status": volume.host_status,
        "type": "local",
    })
}

fn list(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    let app = world.app(call)?;
    let volumes = app
        .volumes
        .values()
        .filter(|v| v.state != "destroyed" && world.is_listed(v.created_ms));
    Ok(ApiResponse::ok(
        volumes.map(volume_view).collect::<Vec<_>>().into(),
    ))
}

/// Go's client sends every key; unset ones are null.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct NewVolumeRequest {
    name: Option<String>,
    region: Option<String>,
    size_gb: Option<u64>,
    encrypted: Option<bool>,
    snapshot_retention: Option<u64>,
    auto_backup_enabled: Option<bool>,
    fstype: Option<String>,
    snapshot_id: Option<String>,
    source_volume_id: Option<String>,
}

fn create(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    let request: NewVolumeRequest = call.body()?;
    let now = world.now_ms;
    let app = world.app(call)?;
    let source = find_source(app, &request)?.cloned();
    let name = non_empty(request.name).or(source.as_ref().map(|source| source.name.clone()));
    let name = name.ok_or_else(|| ApiError::bad_request("name is required"))?;
    if !is_volume_name(&name) {
        return Err(ApiError::bad_request(
            "volume names have at most 30 lowercase letters, digits and underscores",
        ));
    }
    let region = non_empty(request.region)
        .or(source.as_ref().map(|source| source.region.clone()))
        .unwrap_or_else(|| platform::NEAREST_REGION.to_owned());
    platform::check_region(&region)?;
    if world.global.full_regions.contains(&region) {
        return Err(ApiError::bad_request("no capacity"));
    }
    // A copy must have room for all blocks of its source.
    let minimum = source.as_ref().map_or(1, |source| source.size_gb);
    // A fork copies its source block by block, and flyctl sends no size: the default is the size of
    // the source, however small.
    let default_size = source
        .as_ref()
        .map_or(DEFAULT_SIZE_GB, |source| source.size_gb);
    let size_gb = request
        .size_gb
        .filter(|size| *size > 0)
        .unwrap_or(default_size);
    check_size(size_gb, minimum)?;
    let app = world.app_mut(call)?;
    let id_bytes = app.next_id_bytes("volume");
    let volume = Volume {
        id: ids::volume_id(&id_bytes),
        name,
        state: if source.is_some() {
            "hydrating"
        } else {
            "created"
        }
        .to_owned(),
        size_gb,
        region,
        zone: ids::hex(&id_bytes[16..18]),
        encrypted: request.encrypted.unwrap_or(true),
        fstype: parse_fstype(request.fstype.as_deref())?,
        snapshot_retention: check_retention(request.snapshot_retention)?
            .unwrap_or(DEFAULT_RETENTION_DAYS),
        auto_backup_enabled: request.auto_backup_enabled.unwrap_or(true),
        attached: None,
        host_status: "ok".to_owned(),
        created_ms: now,
        updated_ms: now,
        snapshots: Vec::new(),
        due: source
            .is_some()
            .then(|| (now + HYDRATION_MS, "created".to_owned())),
        fill_percent: source.as_ref().and_then(|source| source.fill_percent),
        postgres: copied_data(source.as_ref(), request.snapshot_id.as_deref()),
    };
    let body = volume_view(&volume);
    app.volumes.insert(volume.id.clone(), volume);
    Ok(ApiResponse::ok(body))
}

/// The data directory in a copy: that of the source now, or when the snapshot was taken. Nobody has a
/// session in a copy.
fn copied_data(source: Option<&Volume>, snapshot_id: Option<&str>) -> Option<Box<PgServer>> {
    let source = source?;
    let snapshot = source
        .snapshots
        .iter()
        .find(|snapshot| Some(snapshot.id.as_str()) == snapshot_id);
    let mut data = match snapshot {
        Some(snapshot) => snapshot.postgres.clone(),
        None => source.postgres.clone(),
    }?;
    data.close_sessions();
    Some(data)
}

/// The rule is not documented; all names in Fly's examples satisfy it.
fn is_volume_name(name: &str) -> bool {
    name.len() <= 30
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

fn check_size(size_gb: u64, minimum: u64) -> Result<(), ApiError> {
    if (minimum..=MAX_SIZE_GB).contains(&size_gb) {
        return Ok(());
    }
    Err(ApiError::bad_request(format!(
        "invalid size_gb: {size_gb}, must be between {minimum} and {MAX_SIZE_GB}"
    )))
}

fn parse_fstype(wanted: Option<&str>) -> Result<String, ApiError> {
    match wanted {
        None | Some("" | "ext4") => Ok("ext4".to_owned()),
        Some("raw") => Ok("raw".to_owned()),
        Some(other) => Err(ApiError::bad_request(format!("invalid fstype: {other:?}"))),
    }
}

fn check_retention(days: Option<u64>) -> Result<Option<u64>, ApiError> {
    match days.filter(|days| *days != 0) {
        Some(days) if days > MAX_RETENTION_DAYS => Err(ApiError::bad_request(format!(
            "invalid snapshot_retention: {days}, must be between 1 and {MAX_RETENTION_DAYS}"
        ))),
        days => Ok(days),
    }
}

/// The volume to copy: the source of a fork, or the volume that a snapshot was taken of.
fn find_source<'a>(
    app: &'a App,
    request: &NewVolumeRequest,
) -> Result<Option<&'a Volume>, ApiError> {
    match (
        non_empty(request.source_volume_id.clone()),
        non_empty(request.snapshot_id.clone()),
    ) {
        (Some(id), _) => app.volume(&id).map(Some),
        (None, Some(id)) => {
            let has_snapshot =
                |volume: &&Volume| volume.snapshots.iter().any(|snapshot| snapshot.id == id);
            app.volumes
                .values()
                .find(has_snapshot)
                .map(Some)
                .ok_or_else(|| ApiError::not_found("snapshot"))
        }
        (None, None) => Ok(None),
    }
}

fn show(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    Ok(ApiResponse::ok(volume_view(
        world.app(call)?.volume(call.path_param("volume"))?,
    )))
}

fn update(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Request {
        snapshot_retention: Option<u64>,
        auto_backup_enabled: Option<bool>,
    }
    let request: Request = call.body()?;
    let days = check_retention(request.snapshot_retention)?;
    let now = world.now_ms;
    let volume = world.app_mut(call)?.volume_mut(call.path_param("volume"))?;
    volume.snapshot_retention = days.unwrap_or(volume.snapshot_retention);
    volume.auto_backup_enabled = request
        .auto_backup_enabled
        .unwrap_or(volume.auto_backup_enabled);
    volume.updated_ms = now;
    Ok(ApiResponse::ok(volume_view(volume)))
}

fn extend(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Request {
        size_gb: Option<u64>,
    }
    let request: Request = call.body()?;
    let now = world.now_ms;
    let app = world.app_mut(call)?;
    let volume = app.volume_mut(call.path_param("volume"))?;
    let size = request
        .size_gb
        .ok_or_else(|| ApiError::bad_request("size_gb is required"))?;
    check_size(size, volume.size_gb)?;
    let grown = size > volume.size_gb;
    volume.size_gb = size;
    volume.updated_ms = now;
    let (body, attached, id) = (
        volume_view(volume),
        volume.attached.clone(),
        volume.id.clone(),
    );
    let machine = attached.and_then(|id| app.machines.get_mut(&id));
    // A running machine sees the new size only after a restart.
    let needs_restart = grown && machine.is_some();
    // The mount in the machine's configuration shows the size as well.
    if let Some(mounts) =
        machine.and_then(|machine| machine.config.get_mut("mounts")?.as_array_mut())
    {
        for mount in mounts
            .iter_mut()
            .filter(|mount| mount["volume"] == id.as_str())
        {
            mount["size_gb"] = size.into();
        }
    }
    Ok(ApiResponse::ok(
        json!({ "volume": body, "needs_restart": needs_restart }),
    ))
}

fn delete(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    let now = world.now_ms;
    let volume = world.app_mut(call)?.volume_mut(call.path_param("volume"))?;
    if let Some(machine) = &volume.attached {
        return Err(ApiError::failed_precondition(format!(
            "volume is currently bound to machine: {machine}"
        )));
    }
    // The volume stays visible until it can no longer be restored.
    volume.state = "pending_destroy".to_owned();
    volume.postgres = None;
    volume.updated_ms = now;
    volume.due = Some((now + RESTORE_WINDOW_MS, "destroyed".to_owned()));
    Ok(ApiResponse::ok(volume_view(volume)))
}

fn snapshot_view(snapshot: &VolumeSnapshot) -> Value {
    json!({
        "id": snapshot.id,
        "size": snapshot.size,
        "volume_size": snapshot.volume_size,
        "digest": snapshot.digest,
        "created_at": clock::format_millis(snapshot.created_ms),
        "status": "created",
        "retention_days": snapshot.retention_days,
    })
}

fn list_snapshots(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    let volume = world.app(call)?.volume(call.path_param("volume"))?;
    Ok(ApiResponse::ok(
        volume
            .snapshots
            .iter()
            .map(snapshot_view)
            .collect::<Vec<_>>()
            .into(),
    ))
}

fn create_snapshot(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    let now = world.now_ms;
    let app = world.app_mut(call)?;
    let id_bytes = app.next_id_bytes("snapshot");
    let volume = app.volume_mut(call.path_param("volume"))?;
    let snapshot = VolumeSnapshot {
        id: ids::snapshot_id(&id_bytes),
        digest: ids::hex(&id_bytes[16..]),
        size: volume.size_gb * GIB / 100,
        volume_size: volume.size_gb * GIB,
        retention_days: volume.snapshot_retention,
        created_ms: now,
        postgres: volume.postgres.clone(),
    };
    let body = snapshot_view(&snapshot);
    volume.snapshots.insert(0, snapshot);
    Ok(ApiResponse::ok(body))
}
