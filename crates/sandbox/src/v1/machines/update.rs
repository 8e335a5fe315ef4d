//! Replacing a machine's configuration as a whole.

use serde_json::Value;

use super::create::{Launch, has_secrets};
use super::view;
use crate::answer::{Answer, Call, Refusal, Reply};
use crate::config;
use crate::ids;
use crate::images;
use crate::machine::{Machine, State, Step, Version};
use crate::settle;
use crate::v1::lease;
use crate::world::{Object, World};

pub(super) fn update(world: &mut World, call: &Call) -> Reply {
    let request: Launch = call.body()?;
    let now = world.now;
    let full = world.root.full_regions.clone();
    let machine = super::find_unleased(world, call)?;
    if machine.is_gone() {
        return Err(Refusal::precondition("machine is being destroyed"));
    }
    let mut config = config::accept(&request.config)?;
    allowed(machine, &request)?;
    keep_mount(machine, &mut config)?;
    if full.contains(&machine.region) && grows(&machine.config, &config) {
        let text = "aborted: could not reserve resource for machine: insufficient memory available to fulfill request";
        return Err(Refusal::new(409, text));
    }
    has_secrets(world.app(call)?, request.min_secrets_version)?;
    let image_digest = images::pull(&world.root.images, &config)?;
    let app = world.app_mut(call)?;
    let (draw, lease_draw, secrets_version) =
        (app.draw("version"), app.draw("lease"), app.secrets_version);
    let machine = super::find_mut(world, call)?;
    let lease_ttl = request
        .lease_ttl
        .filter(|ttl| *ttl > 0 && lease::active(machine, now).is_none());
    if let Some(ttl) = lease_ttl {
        machine.lease = Some(lease::grant(&lease_draw, call, String::new(), ttl, now));
    }
    replace(machine, config, ids::ulid(now, &draw), now);
    machine.image_digest = image_digest;
    machine.secrets_version = secrets_version;
    machine.cordoned |= request.skip_service_registration.unwrap_or(false);
    machine.then(
        now + settle::REPLACE_MS,
        Step::Replaced {
            launch: !request.skip_launch.unwrap_or(false),
        },
    );
    let machine = super::find(world, call)?;
    Ok(Answer::ok(view::launched(
        world,
        world.app(call)?,
        machine,
        lease_ttl.is_some(),
    )))
}

/// A machine keeps its name and region, and whoever says which version they mean must mean the present one.
fn allowed(machine: &Machine, request: &Launch) -> Result<(), Refusal> {
    let differs = |wanted: &Option<String>, have: &str| {
        wanted
            .as_deref()
            .is_some_and(|wanted| !wanted.is_empty() && wanted != have)
    };
    if differs(&request.current_version, &machine.instance_id) {
        let have = &machine.instance_id;
        return Err(Refusal::precondition(format!(
            "machine version mismatch, current version is {have}"
        )));
    }
    if differs(&request.region, &machine.region) {
        return Err(Refusal::invalid(
            "the region of a machine cannot be changed",
        ));
    }
    if differs(&request.name, &machine.name) {
        return Err(Refusal::invalid("the name of a machine cannot be changed"));
    }
    Ok(())
}

/// The mounted volume stays; only how it is mounted may change.
fn keep_mount(machine: &Machine, config: &mut Object) -> Result<(), Refusal> {
    let sent = config
        .get("mounts")
        .and_then(|mounts| mounts.get(0)?.get("volume")?.as_str());
    let named = config.get("mounts").is_some();
    let same = match (sent, machine.volume()) {
        (Some(sent), Some(have)) => sent == have,
        (None, have) => named == have.is_some(),
        (Some(_), None) => false,
    };
    if !same {
        return Err(Refusal::invalid(
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

fn grows(old: &Object, new: &Object) -> bool {
    let memory = |config: &Object| {
        config
            .get("guest")
            .and_then(|g| g.get("memory_mb"))
            .and_then(Value::as_i64)
    };
    memory(new) > memory(old)
}

fn replace(machine: &mut Machine, config: Object, version: String, now: i64) {
    machine.forget_past();
    machine.restart_count = 0;
    machine.instance_id.clone_from(&version);
    machine.versions.insert(
        0,
        Version {
            version,
            user_config: config.clone(),
        },
    );
    machine.config = config;
    machine.enter(State::Replacing, now, "update", "user");
}
