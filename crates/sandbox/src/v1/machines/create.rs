//! Creating a machine.

use std::collections::VecDeque;

use serde::Deserialize;
use serde_json::{Value, json};

use super::view;
use crate::api::{ApiCall, ApiError, ApiResponse, ApiResult};
use crate::config;
use crate::ids;
use crate::images;
use crate::machine::{ConfigVersion, Machine, MachineState, MachineTransition};
use crate::transitions;
use crate::v1::{lease, platform};
use crate::world::{App, JsonObject, SimulatedWorld, Volume};

/// The body of create and update; Go's client sends zero values for what it does not mean.
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
    let request: LaunchRequest = call.body()?;
    let app = world.app(call)?;
    let mut config = config::normalize(&request.config)?;
    check_unique_name(app, request.name.as_deref().unwrap_or_default())?;
    check_secrets_version(app, request.min_secrets_version)?;
    let image_digest = images::resolve_config_image(&world.global.images, &config)?;
    let wanted = request
        .region
        .as_deref()
        .filter(|region| !region.is_empty());
    let wanted = wanted
        .map(|region| platform::choose_region(world, region))
        .transpose()?;
    let volume = resolve_mount(app, &config, wanted)?.cloned();
    let region = wanted
        .or(volume.as_ref().map(|volume| volume.region.as_str()))
        .unwrap_or(platform::NEAREST_REGION);
    if world.global.full_regions.contains(region) {
        return Err(insufficient_capacity(volume.as_ref()));
    }
    if let Some(volume) = &volume {
        fill_mount(&mut config, volume);
    }
    let org = world.global.orgs.get(&app.org).map_or(0, |org| org.number);
    let (region, now) = (region.to_owned(), world.now_ms);
    let mut machine = new_machine(
        world.app_mut(call)?,
        call,
        org,
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
    org: u32,
    request: &LaunchRequest,
    region: String,
    config: JsonObject,
    now: i64,
) -> Machine {
    let draw = app.next_id_bytes("machine");
    let instance_id = ids::ulid(now, &draw);
    let named = request.name.clone().filter(|name| !name.is_empty());
    let lease_ttl = request.lease_ttl.filter(|ttl| *ttl > 0);
    let mut machine = Machine {
        id: ids::machine_id(&draw),
        name: named.unwrap_or_else(|| ids::generated_name(&draw)),
        state: MachineState::Created,
        region,
        private_ip: ids::private_ip(org, &draw),
        versions: vec![ConfigVersion {
            version: instance_id.clone(),
            user_config: config.clone(),
        }],
        instance_id,
        config,
        image_digest: None,
        events: VecDeque::new(),
        passed: Vec::new(),
        lease: lease_ttl.map(|ttl| {
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
    };
    machine.enter_state(MachineState::Created, now, "launch", "user");
    if request.skip_launch.unwrap_or(false) {
        machine.schedule_transition(now + transitions::PREPARE_MS, MachineTransition::Prepared);
    } else {
        machine.schedule_transition(now + transitions::BOOT_DELAY_MS, MachineTransition::Boot);
    }
    machine
}

/// A name belongs to one machine of an application, until that one is gone.
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

/// A host boots a machine only once it knows secrets at least as new as asked for.
pub(super) fn check_secrets_version(app: &App, wanted: Option<u64>) -> Result<(), ApiError> {
    let have = app.secrets_version;
    match wanted.filter(|wanted| *wanted > have) {
        Some(wanted) => Err(ApiError::failed_precondition(format!(
            "secrets version {wanted} is not available, the newest is {have}"
        ))),
        None => Ok(()),
    }
}

fn insufficient_capacity(volume: Option<&Volume>) -> ApiError {
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

/// The volume that the configuration mounts, by identifier or, as flyctl's manifests do, by name and region.
fn resolve_mount<'a>(
    app: &'a App,
    config: &JsonObject,
    region: Option<&str>,
) -> Result<Option<&'a Volume>, ApiError> {
    let Some(mount) = config.get("mounts").and_then(|mounts| mounts.get(0)) else {
        return Ok(None);
    };
    let text = |key: &str| mount.get(key).and_then(Value::as_str).unwrap_or_default();
    let volume = if text("volume").is_empty() {
        let free = |volume: &&Volume| volume.attached.is_none() && !volume.is_deleted();
        let named = app
            .volumes
            .values()
            .filter(|volume| volume.name == text("name"));
        let mut near = named.filter(|volume| region.is_none_or(|region| volume.region == region));
        near.find(free)
            .ok_or_else(|| ApiError::not_found("volume"))?
    } else {
        app.volume(text("volume"))
            .ok()
            .filter(|v| !v.is_deleted())
            .ok_or_else(|| ApiError::not_found("volume"))?
    };
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

/// Shows with a mount what only its volume knows.
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
