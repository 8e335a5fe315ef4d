//! Creates machines.

use std::collections::VecDeque;

use serde::Deserialize;
use serde_json::{Value, json};

use super::view;
use crate::api::{ApiCall, ApiError, ApiResponse, ApiResult, non_empty};
use crate::fly::config;
use crate::fly::images;
use crate::fly::machine::{ConfigVersion, Machine, MachineState, MachineTransition};
use crate::fly::transitions;
use crate::fly::v1::{lease, platform, secrets};
use crate::ids;
use crate::json;
use crate::world::{App, JsonObject, SimulatedWorld, Volume};

/// The body of create and update requests. Fly's Go client sends zero values for unset fields.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct LaunchRequest {
    pub(super) config: Value,
    pub(super) name: Option<String>,
    pub(super) region: Option<String>,
    pub(super) skip_launch: Option<bool>,
    pub(super) skip_service_registration: Option<bool>,
    pub(super) min_secrets_version: Option<u64>,
    pub(super) lease_ttl: Option<i64>,
    pub(super) current_version: Option<String>,
}

pub(super) fn create(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    let mut request: LaunchRequest = call.body()?;
    request.lease_ttl = lease::checked_ttl(request.lease_ttl)?;
    let app = world.app(call)?;
    let mut config = config::normalize(&request.config)?;
    check_unique_name(app, request.name.as_deref().unwrap_or_default())?;
    secrets::check_version_available(app, request.min_secrets_version.unwrap_or(0))?;
    let image_digest = images::resolve_config_image(&world.global.images, &config)?;
    let requested_region = non_empty(request.region.clone())
        .map(|region| platform::choose_region(world, &region))
        .transpose()?;
    let volume = resolve_mount(app, &config, requested_region)?.cloned();
    // A volume exists on one host only, so without a region in the request it decides the region.
    let region = requested_region
        .or(volume.as_ref().map(|volume| volume.region.as_str()))
        .unwrap_or(platform::NEAREST_REGION);
    if world.global.full_regions.contains(region) {
        return Err(insufficient_capacity(volume.as_ref()));
    }
    // All checks have passed; from here on the world changes.
    if let Some(volume) = &volume {
        fill_mount(&mut config, volume);
    }
    let network_number = world.network_number(&app.org, &app.network);
    let (region, now) = (region.to_owned(), world.now_ms);
    let mut machine = new_machine(
        world.app_mut(call)?,
        call,
        network_number,
        &request,
        region,
        config,
        now,
    );
    machine.image_digest = image_digest;
    let app = world.app_mut(call)?;
    if let Some(volume) = volume.and_then(|volume| app.volumes.get_mut(&volume.id)) {
        volume.attached = Some(machine.id.clone());
        volume.updated_ms = now;
    }
    app.machines.insert(machine.id.clone(), machine.clone());
    let leased = machine.lease.is_some();
    Ok(ApiResponse::ok(view::launch_view(
        world,
        world.app(call)?,
        &machine,
        leased,
    )))
}

fn new_machine(
    app: &mut App,
    call: &ApiCall,
    network_number: u32,
    request: &LaunchRequest,
    region: String,
    config: JsonObject,
    now: i64,
) -> Machine {
    let id_bytes = app.next_id_bytes("machine");
    let instance_id = ids::ulid(now, &id_bytes);
    let mut machine = Machine {
        id: ids::machine_id(&id_bytes),
        name: non_empty(request.name.clone()).unwrap_or_else(|| ids::generated_name(&id_bytes)),
        state: MachineState::Created,
        region,
        private_ip: ids::private_ip(network_number, &id_bytes),
        // The first version of the configuration shares its id with the machine's instance.
        versions: vec![ConfigVersion {
            version: instance_id.clone(),
            user_config: config.clone(),
        }],
        instance_id,
        config,
        image_digest: None,
        events: VecDeque::new(),
        passed: Vec::new(),
        lease: request.lease_ttl.map(|ttl| {
            lease::new_lease(&app.next_id_bytes("lease"), call, String::new(), ttl, now)
        }),
        cordoned: request.skip_service_registration.unwrap_or(false),
        host_status: "ok".to_owned(),
        secrets_version: app.secrets_version,
        restart_count: 0,
        started_ms: None,
        first_run_ms: None,
        memory_limit_mb: None,
        created_ms: now,
        updated_ms: now,
        due: None,
        logs: VecDeque::new(),
        postgres: None,
    };
    machine.record_event("launch", "pending", "user", now, None);
    machine.enter_state(MachineState::Created, now, "launch", "user");
    if request.skip_launch.unwrap_or(false) {
        machine.schedule_transition(now + transitions::PREPARE_MS, MachineTransition::Prepared);
    } else {
        machine.schedule_transition(now + transitions::BOOT_DELAY_MS, MachineTransition::Boot);
    }
    machine
}

/// The name must not be that of another machine in the app, unless that one is destroyed.
fn check_unique_name(app: &App, name: &str) -> Result<(), ApiError> {
    let taken = app
        .machines
        .values()
        .find(|machine| machine.name == name && machine.state != MachineState::Destroyed);
    let Some(other) = taken.filter(|_| !name.is_empty()) else {
        return Ok(());
    };
    let id = &other.id;
    Err(ApiError::new(
        409,
        format!(
            "already_exists: unique machine name violation, machine ID {id} already exists with name \"{name}\""
        ),
    ))
}

/// Fly's error for a region or host without room: a volume ties the machine to one host, so Fly
/// reports that as another condition than a full region.
pub(super) fn insufficient_capacity(volume: Option<&Volume>) -> ApiError {
    match volume {
        Some(volume) => ApiError::failed_precondition(format!(
            "insufficient resources to create new machine with existing volume '{}'",
            volume.id
        )),
        None => ApiError::new(
            409,
            "aborted: could not reserve resource for machine: insufficient memory available to fulfill request",
        ),
    }
}

/// The volume that the configuration mounts: by id, or by name and region as in flyctl's manifests.
fn resolve_mount<'a>(
    app: &'a App,
    config: &JsonObject,
    region: Option<&str>,
) -> Result<Option<&'a Volume>, ApiError> {
    let Some(mount) = config.get("mounts").and_then(|mounts| mounts.get(0)) else {
        return Ok(None);
    };
    let text = |key: &str| json::string(mount.get(key));
    let volume = if text("volume").is_empty() {
        // Volumes of one name are interchangeable: any free one in the region serves.
        app.volumes
            .values()
            .filter(|volume| volume.name == text("name"))
            .filter(|volume| region.is_none_or(|region| volume.region == region))
            .find(|volume| volume.attached.is_none() && !volume.is_deleted())
            .ok_or_else(|| ApiError::not_found("volume"))?
    } else {
        app.volume(text("volume"))
            .ok()
            .filter(|v| !v.is_deleted())
            .ok_or_else(|| ApiError::not_found("volume"))?
    };
    // A volume that the request names by id gets the precise reason why it cannot be mounted.
    let id = &volume.id;
    if let Some(machine) = &volume.attached {
        return Err(ApiError::failed_precondition(format!(
            "volume {id} is currently bound to machine: {machine}"
        )));
    }
    if region.is_some_and(|region| region != volume.region) {
        return Err(ApiError::bad_request(format!(
            "volume {id} is in region {}",
            volume.region
        )));
    }
    if volume.host_status != "ok" {
        return Err(insufficient_capacity(Some(volume)));
    }
    Ok(Some(volume))
}

/// Completes a mount with the properties of its volume.
fn fill_mount(config: &mut JsonObject, volume: &Volume) {
    if let Some(mount) = config
        .get_mut("mounts")
        .and_then(|mounts| mounts.get_mut(0))
    {
        mount["volume"] = json!(volume.id);
        mount["name"] = json!(volume.name);
        mount["size_gb"] = json!(volume.size_gb);
        mount["encrypted"] = json!(volume.encrypted);
    }
}
