//! A machine as the API shows it: in full, in summary, and as organisation-wide lists do.

use serde_json::{Value, json};

use crate::behaviour::{CheckOutcome, ProgramBehaviour, Rule};
use crate::clock;
use crate::config::parse_duration_nanos;
use crate::images::image_ref;
use crate::machine::{Machine, MachineState};
use crate::transitions;
use crate::v1::lease;
use crate::world::{App, JsonObject, SimulatedWorld};

/// A machine in full.
pub(crate) fn machine_view(world: &SimulatedWorld, app: &App, machine: &Machine) -> Value {
    let mut shown = machine_summary(machine);
    let checks = check_results(&world.global.rules, app, machine, world.now_ms);
    shown["image_ref"] = image_ref(machine.image(), machine.image_digest.as_deref());
    shown["host_status"] = machine.host_status.clone().into();
    shown["cordoned"] = machine.cordoned.into();
    shown["events"] = json!(machine.events.iter().take(20).collect::<Vec<_>>());
    if machine.host_status == "ok" {
        shown["config"] = machine.config.clone().into();
    } else {
        shown["incomplete_config"] = incomplete_config(&machine.config).into();
    }
    let containers = container_views(machine);
    if !containers.is_empty() {
        shown["containers"] = containers.into();
    }
    if !checks.is_empty() {
        shown["checks"] = checks.into();
    }
    if let Some(lease) = lease::active_lease(machine, world.now_ms) {
        shown["lease"] = json!({
            "description": lease.description,
            "expires_at": lease.expires_ms.div_euclid(1000),
            "owner": lease.owner,
        });
    }
    shown
}

/// The answer to a launch that asked for a lease: nobody else ever sees the nonce.
pub(super) fn launch_view(
    world: &SimulatedWorld,
    app: &App,
    machine: &Machine,
    leased: bool,
) -> Value {
    let mut shown = machine_view(world, app, machine);
    if let Some(lease) = machine.lease.as_ref().filter(|_| leased) {
        shown["nonce"] = lease.nonce.clone().into();
    }
    shown
}

/// What `?summary=true` leaves.
pub(super) fn machine_summary(machine: &Machine) -> Value {
    json!({
        "id": machine.id,
        "name": machine.name,
        "state": machine.state.as_str(),
        "region": machine.region,
        "instance_id": machine.instance_id,
        "version": machine.instance_id,
        "private_ip": machine.private_ip,
        "created_at": clock::format_seconds(machine.created_ms),
        "updated_at": clock::format_seconds(machine.updated_ms),
        "image_ref": image_ref(machine.image(), machine.image_digest.as_deref()),
    })
}

/// A machine in the list of an organisation: three parts of the configuration and no more.
pub(crate) fn org_list_view(app: &App, machine: &Machine) -> Value {
    let mut shown = machine_summary(machine);
    if let Some(shown) = shown.as_object_mut() {
        shown.remove("image_ref");
        shown.insert("app_name".to_owned(), app.name.clone().into());
        shown.insert(
            "config".to_owned(),
            incomplete_config(&machine.config).into(),
        );
    }
    shown
}

/// What is known about a machine without asking its host.
fn incomplete_config(config: &JsonObject) -> JsonObject {
    let known = config
        .iter()
        .filter(|(key, _)| matches!(key.as_str(), "image" | "guest" | "metadata"));
    known
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

/// The containers of a machine live and die with it.
fn container_views(machine: &Machine) -> Vec<Value> {
    let running = machine.state == MachineState::Started;
    let all = machine
        .config
        .get("containers")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    all.map(|container| {
        json!({ "name": container.get("name"), "state": if running { "started" } else { "stopped" } })
    })
    .collect()
}

/// The outcome of every check: a machine's own by their names, those of services by position, kind and port.
pub(crate) fn check_results(rules: &[Rule], app: &App, machine: &Machine, now: i64) -> Vec<Value> {
    let behave = ProgramBehaviour::for_machine(rules, &app.name, machine);
    let outcome = |name: String, check: &Value| check_result(&behave, machine, &name, check, now);
    let own = machine
        .config
        .get("checks")
        .and_then(Value::as_object)
        .into_iter()
        .flatten();
    let mut all: Vec<Value> = own
        .map(|(name, check)| outcome(name.clone(), check))
        .collect();
    let services = machine
        .config
        .get("services")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let checks = services.flat_map(|service| {
        let checks = service
            .get("checks")
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        checks.map(move |check| (service, check))
    });
    for (at, (service, check)) in checks.enumerate() {
        let kind = check.get("type").and_then(Value::as_str).unwrap_or("tcp");
        let port = check
            .get("port")
            .or(service.get("internal_port"))
            .and_then(Value::as_i64)
            .unwrap_or(0);
        all.push(outcome(
            format!("servicecheck-{at:02}-{kind}-{port}"),
            check,
        ));
    }
    all
}

fn check_result(
    behave: &ProgramBehaviour,
    machine: &Machine,
    name: &str,
    check: &Value,
    now: i64,
) -> Value {
    let (health, output, since) = match machine
        .started_ms
        .filter(|_| machine.state == MachineState::Started)
    {
        None => (
            CheckOutcome::Warning,
            "the machine hasn't started".to_owned(),
            machine.updated_ms,
        ),
        Some(started) => {
            let wanted = behave.checks.unwrap_or(CheckOutcome::Passing);
            // Success counts at once; failure only after the grace period.
            let grace = if wanted == CheckOutcome::Passing {
                0
            } else {
                duration_ms(check, "grace_period")
            };
            let known = started + transitions::FIRST_CHECK_MS.max(grace);
            if now < known {
                (
                    CheckOutcome::Critical,
                    "waiting for the first check".to_owned(),
                    started,
                )
            } else {
                (
                    wanted,
                    behave
                        .check_output
                        .clone()
                        .unwrap_or_else(|| default_output(wanted, check)),
                    known,
                )
            }
        }
    };
    json!({ "name": name, "status": health.as_str(), "output": output, "updated_at": clock::format_millis(since) })
}

fn duration_ms(check: &Value, key: &str) -> i64 {
    check
        .get(key)
        .and_then(parse_duration_nanos)
        .map_or(0, |nanos| (nanos / 1_000_000).cast_signed())
}

fn default_output(health: CheckOutcome, check: &Value) -> String {
    let http = check.get("type").and_then(Value::as_str) == Some("http");
    match (health, http) {
        (CheckOutcome::Passing, true) => "200 OK",
        (CheckOutcome::Passing, false) => "Success",
        (_, true) => "503 Service Unavailable",
        (_, false) => "connection refused",
    }
    .to_owned()
}
