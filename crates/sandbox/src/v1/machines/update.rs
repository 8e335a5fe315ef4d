//! Replacing a machine's configuration as a whole.

use serde_json::Value;

use super::create::{LaunchRequest, check_secrets_version};
use super::view;
use crate::api::{ApiCall, ApiError, ApiResponse, ApiResult};
use crate::config;
use crate::ids;
use crate::images;
use crate::machine::{ConfigVersion, Machine, MachineState, MachineTransition};
use crate::transitions;
use crate::v1::lease;
use crate::world::{JsonObject, SimulatedWorld};

pub(super) fn update(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    let request: LaunchRequest = call.body()?;
    let now = world.now_ms;
    let full = world.global.full_regions.clone();
    let machine = super::find_machine_with_lease(world, call)?;
    if machine.is_gone() {
        return Err(ApiError::failed_precondition("machine is being destroyed"));
    }
    let mut config = config::normalize(&request.config)?;
    check_unchanged(machine, &request)?;
    preserve_mount(machine, &mut config)?;
    if full.contains(&machine.region) && needs_more_memory(&machine.config, &config) {
        let text = "aborted: could not reserve resource for machine: insufficient memory available to fulfill request";
        return Err(ApiError::new(409, text));
    }
    check_secrets_version(world.app(call)?, request.min_secrets_version)?;
    let image_digest = images::resolve_config_image(&world.global.images, &config)?;
    let app = world.app_mut(call)?;
    let (draw, lease_draw, secrets_version) = (
        app.next_id_bytes("version"),
        app.next_id_bytes("lease"),
        app.secrets_version,
    );
    let machine = super::find_machine_mut(world, call)?;
    let lease_ttl = request
        .lease_ttl
        .filter(|ttl| *ttl > 0 && lease::active_lease(machine, now).is_none());
    if let Some(ttl) = lease_ttl {
        machine.lease = Some(lease::new_lease(&lease_draw, call, String::new(), ttl, now));
    }
    replace_config(machine, config, ids::ulid(now, &draw), now);
    machine.image_digest = image_digest;
    machine.secrets_version = secrets_version;
    machine.cordoned |= request.skip_service_registration.unwrap_or(false);
    machine.schedule_transition(
        now + transitions::REPLACE_MS,
        MachineTransition::Replaced {
            launch: !request.skip_launch.unwrap_or(false),
        },
    );
    let machine = super::find_machine(world, call)?;
    Ok(ApiResponse::ok(view::launch_view(
        world,
        world.app(call)?,
        machine,
        lease_ttl.is_some(),
    )))
}

/// A machine keeps its name and region, and whoever says which version they mean must mean the present one.
fn check_unchanged(machine: &Machine, request: &LaunchRequest) -> Result<(), ApiError> {
    let differs = |wanted: &Option<String>, have: &str| {
        wanted
            .as_deref()
            .is_some_and(|wanted| !wanted.is_empty() && wanted != have)
    };
    if differs(&request.current_version, &machine.instance_id) {
        let have = &machine.instance_id;
        return Err(ApiError::failed_precondition(format!(
            "machine version mismatch, current version is {have}"
        )));
    }
    if differs(&request.region, &machine.region) {
        return Err(ApiError::bad_request(
            "the region of a machine cannot be changed",
        ));
    }
    if differs(&request.name, &machine.name) {
        return Err(ApiError::bad_request(
            "the name of a machine cannot be changed",
        ));
    }
    Ok(())
}

/// The mounted volume stays; only how it is mounted may change.
fn preserve_mount(machine: &Machine, config: &mut JsonObject) -> Result<(), ApiError> {
    let sent = config
        .get("mounts")
        .and_then(|mounts| mounts.get(0)?.get("volume")?.as_str());
    let named = config.get("mounts").is_some();
    let same = match (sent, machine.mounted_volume()) {
        (Some(sent), Some(have)) => sent == have,
        (None, have) => named == have.is_some(),
        (Some(_), None) => false,
    };
    if !same {
        return Err(ApiError::bad_request(
            "the volume of a machine cannot be changed, added or removed",
        ));
    }
    let old = machine
        .config
        .get("mounts")
        .and_then(|mounts| mounts.get(0));
    if let (Some(old), Some(new)) = (
        old,
        config
            .get_mut("mounts")
            .and_then(|mounts| mounts.get_mut(0)),
    ) {
        for key in ["volume", "name", "size_gb", "encrypted"] {
            new[key] = old.get(key).cloned().unwrap_or_default();
        }
    }
    Ok(())
}

fn needs_more_memory(old: &JsonObject, new: &JsonObject) -> bool {
    let memory = |config: &JsonObject| {
        config
            .get("guest")
            .and_then(|g| g.get("memory_mb"))
            .and_then(Value::as_i64)
    };
    memory(new) > memory(old)
}

fn replace_config(machine: &mut Machine, config: JsonObject, version: String, now: i64) {
    machine.reset_transitions();
    machine.restart_count = 0;
    machine.instance_id.clone_from(&version);
    machine.versions.insert(
        0,
        ConfigVersion {
            version,
            user_config: config.clone(),
        },
    );
    machine.config = config;
    machine.enter_state(MachineState::Replacing, now, "update", "user");
}
