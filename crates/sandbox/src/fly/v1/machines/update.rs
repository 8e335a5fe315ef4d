//! Replaces the whole configuration of a machine.

use serde_json::Value;

use super::create::{LaunchRequest, insufficient_capacity};
use super::view;
use crate::api::{ApiCall, ApiError, ApiResponse, ApiResult};
use crate::fly::config;
use crate::fly::console;
use crate::fly::images;
use crate::fly::machine::{ConfigVersion, Machine, MachineState, MachineTransition};
use crate::fly::transitions;
use crate::fly::v1::{lease, secrets};
use crate::ids;
use crate::world::{JsonObject, SimulatedWorld};

pub(super) fn update(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    let request: LaunchRequest = call.body()?;
    let now = world.now_ms;
    let full_regions = world.global.full_regions.clone();
    let machine = super::find_machine_with_lease(world, call)?;
    if machine.is_gone() {
        return Err(ApiError::failed_precondition("machine is being destroyed"));
    }
    let lease_ttl = lease::checked_ttl(request.lease_ttl)?;
    let mut config = config::normalize(&request.config)?;
    check_unchanged(machine, &request)?;
    preserve_mount(machine, &mut config)?;
    // In a full region the machine keeps its place, but cannot take more memory.
    if full_regions.contains(&machine.region) && needs_more_memory(&machine.config, &config) {
        return Err(insufficient_capacity(None));
    }
    secrets::check_version_available(world.app(call)?, request.min_secrets_version.unwrap_or(0))?;
    let image_digest = images::resolve_config_image(&world.global.images, &config)?;
    let app = world.app_mut(call)?;
    let (version_bytes, lease_bytes, secrets_version) = (
        app.next_id_bytes("version"),
        app.next_id_bytes("lease"),
        app.secrets_version,
    );
    let machine = super::find_machine_mut(world, call)?;
    let was_running = machine.is_running();
    if was_running {
        console::log_stop_signal(machine, now);
    }
    // A lease that the caller already holds stays as it is.
    let lease_ttl = lease_ttl.filter(|_| lease::active_lease(machine, now).is_none());
    if let Some(ttl) = lease_ttl {
        machine.lease = Some(lease::new_lease(
            &lease_bytes,
            call,
            String::new(),
            ttl,
            now,
        ));
    }
    replace_config(machine, config, ids::ulid(now, &version_bytes), now);
    machine.image_digest = image_digest;
    machine.secrets_version = secrets_version;
    // An update can cordon a machine, but only `uncordon` lifts that.
    machine.cordoned |= request.skip_service_registration.unwrap_or(false);
    let launch = !request.skip_launch.unwrap_or(false);
    let (takes_ms, step) = if was_running {
        (
            transitions::STOP_MS,
            MachineTransition::OldVersionStopped { launch },
        )
    } else {
        (
            transitions::REPLACE_MS,
            MachineTransition::Replaced { launch },
        )
    };
    machine.schedule_transition(now + takes_ms, step);
    let machine = super::find_machine(world, call)?;
    Ok(ApiResponse::ok(view::launch_view(
        world,
        world.app(call)?,
        machine,
        lease_ttl.is_some(),
    )))
}

/// Checks that an update keeps the region, and that `current_version`, if set, is the machine's. A
/// new name is ignored: a machine keeps its own.
fn check_unchanged(machine: &Machine, request: &LaunchRequest) -> Result<(), ApiError> {
    let differs = |requested: &Option<String>, current: &str| {
        requested
            .as_deref()
            .is_some_and(|requested| !requested.is_empty() && requested != current)
    };
    if differs(&request.current_version, &machine.instance_id) {
        let current = &machine.instance_id;
        return Err(ApiError::failed_precondition(format!(
            "machine version mismatch, current version is {current}"
        )));
    }
    if differs(&request.region, &machine.region) {
        return Err(ApiError::bad_request(
            "the region of a machine cannot be changed",
        ));
    }
    Ok(())
}

/// Checks that the update keeps the mounted volume, and copies the volume's properties into the new
/// mount.
fn preserve_mount(machine: &Machine, config: &mut JsonObject) -> Result<(), ApiError> {
    let requested = config
        .get("mounts")
        .and_then(|mounts| mounts.get(0)?.get("volume")?.as_str());
    let has_mount = config.get("mounts").is_some();
    let same = match (requested, machine.mounted_volume()) {
        (Some(requested), Some(current)) => requested == current,
        // A mount by name refers to the volume that the machine already has.
        (None, current) => has_mount == current.is_some(),
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
    // Whatever the old version was about to do (exit, restart, scheduled run) no longer happens.
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
