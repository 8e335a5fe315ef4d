//! Machines as the API returns them: in full, as a summary, and in organization-wide lists.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::clock;
use crate::fly::behaviour::{CheckOutcome, ProgramBehaviour, Rule};
use crate::fly::config::parse_duration_ms;
use crate::fly::images::image_ref;
use crate::fly::machine::{Machine, MachineState};
use crate::fly::postgres;
use crate::fly::transitions;
use crate::fly::v1::lease;
use crate::json;
use crate::world::{App, JsonObject, SimulatedWorld};

/// A machine in full.
pub(crate) fn machine_view(world: &SimulatedWorld, app: &App, machine: &Machine) -> Value {
    let mut body = machine_summary(machine);
    let checks = check_results(&world.global.rules, app, machine, world.now_ms);
    body["image_ref"] = image_ref(machine.image(), machine.image_digest.as_deref());
    body["host_status"] = machine.host_status.clone().into();
    body["cordoned"] = machine.cordoned.into();
    body["events"] = json!(machine.events.iter().take(20).collect::<Vec<_>>());
    // Without an answer from the host, Fly returns only what its central database knows.
    if machine.host_status == "ok" {
        body["config"] = machine.config.clone().into();
    } else {
        body["incomplete_config"] = incomplete_config(&machine.config).into();
    }
    let containers = container_views(machine);
    if !containers.is_empty() {
        body["containers"] = containers.into();
    }
    if !checks.is_empty() {
        body["checks"] = checks.into();
    }
    if let Some(lease) = lease::active_lease(machine, world.now_ms) {
        body["lease"] = json!({
            "description": lease.description,
            "expires_at": lease.expires_ms.div_euclid(1000),
            "owner": lease.owner,
        });
    }
    body
}

/// The response to a create or update request. If it acquired a lease, this is the only response
/// besides the lease endpoints that contains the nonce.
pub(super) fn launch_view(
    world: &SimulatedWorld,
    app: &App,
    machine: &Machine,
    leased: bool,
) -> Value {
    let mut body = machine_view(world, app, machine);
    if let Some(lease) = machine.lease.as_ref().filter(|_| leased) {
        body["nonce"] = lease.nonce.clone().into();
    }
    body
}

/// A machine as `?summary=true` returns it.
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

/// A machine in an organization-wide list, with only the part of the configuration that Fly
/// includes.
pub(crate) fn org_list_view(app: &App, machine: &Machine) -> Value {
    let mut body = machine_summary(machine);
    if let Some(body) = body.as_object_mut() {
        body.remove("image_ref");
        body.insert("app_name".to_owned(), app.name.clone().into());
        body.insert(
            "config".to_owned(),
            incomplete_config(&machine.config).into(),
        );
    }
    body
}

/// The part of the configuration that Fly knows without asking the host.
fn incomplete_config(config: &JsonObject) -> JsonObject {
    let known = config
        .iter()
        .filter(|(key, _)| matches!(key.as_str(), "image" | "guest" | "metadata"));
    known
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

/// The containers; they start and stop with the machine.
fn container_views(machine: &Machine) -> Vec<Value> {
    let running = machine.state == MachineState::Started;
    let results = json::items(machine.config.get("containers")).iter();
    results.map(|container| {
        json!({ "name": container.get("name"), "state": if running { "started" } else { "stopped" } })
    })
    .collect()
}

/// The result of every check: a machine's own checks by name, service checks by index, type and
/// port.
pub(crate) fn check_results(rules: &[Rule], app: &App, machine: &Machine, now: i64) -> Vec<Value> {
    let behaviour = ProgramBehaviour::for_machine(rules, &app.name, machine);
    let result = |name: String, check: &Value| {
        // What a rule says about checks holds for every program.
        let own = postgres::check_result(app, machine, check)
            .filter(|_| behaviour.checks.is_none() && machine.state == MachineState::Started);
        match own {
            Some((outcome, output, since_ms)) => check_view(&name, outcome, &output, since_ms),
            None => check_result(&behaviour, machine, &name, check, now),
        }
    };
    let machine_checks = json::members(machine.config.get("checks"));
    let mut results: Vec<Value> = machine_checks
        .map(|(name, check)| result(name.clone(), check))
        .collect();
    let services = json::items(machine.config.get("services")).iter();
    let checks = services.flat_map(|service| {
        let checks = json::items(service.get("checks")).iter();
        checks.map(move |check| (service, check))
    });
    for (index, (service, check)) in checks.enumerate() {
        let kind = check.get("type").and_then(Value::as_str).unwrap_or("tcp");
        let port = check
            .get("port")
            .or(service.get("internal_port"))
            .and_then(Value::as_i64)
            .unwrap_or(0);
        results.push(result(
            format!("servicecheck-{index:02}-{kind}-{port}"),
            check,
        ));
    }
    results
}

fn check_result(
    behaviour: &ProgramBehaviour,
    machine: &Machine,
    name: &str,
    check: &Value,
    now: i64,
) -> Value {
    let (outcome, output, since_ms) = match machine
        .started_ms
        .filter(|_| machine.state == MachineState::Started)
    {
        None => (
            CheckOutcome::Warning,
            "the machine hasn't started".to_owned(),
            machine.updated_ms,
        ),
        Some(started) => {
            let bad_status = bad_http_status(behaviour, check);
            let answered = match bad_status {
                Some(_) => CheckOutcome::Critical,
                None => CheckOutcome::Passing,
            };
            let final_outcome = behaviour.checks.unwrap_or(answered);
            // A success counts at once, a failure only after the grace period.
            let grace_ms = if final_outcome == CheckOutcome::Passing {
                0
            } else {
                duration_ms(check, "grace_period")
            };
            let known_ms = started + transitions::FIRST_CHECK_MS.max(grace_ms);
            if now < known_ms {
                (
                    CheckOutcome::Critical,
                    "waiting for the first check".to_owned(),
                    started,
                )
            } else {
                (
                    final_outcome,
                    behaviour
                        .check_output
                        .clone()
                        .or(bad_status.filter(|_| behaviour.checks.is_none()))
                        .unwrap_or_else(|| default_output(final_outcome, check)),
                    known_ms,
                )
            }
        }
    };
    check_view(name, outcome, &output, since_ms)
}

fn check_view(name: &str, outcome: CheckOutcome, output: &str, since_ms: i64) -> Value {
    json!({ "name": name, "status": outcome.as_str(), "output": output, "updated_at": clock::format_millis(since_ms) })
}

fn duration_ms(check: &Value, key: &str) -> i64 {
    check.get(key).and_then(parse_duration_ms).unwrap_or(0)
}

/// The status with which a program answers an HTTP check, where that fails the check: whatever is not 2xx.
fn bad_http_status(behaviour: &ProgramBehaviour, check: &Value) -> Option<String> {
    let status = StatusCode::from_u16(behaviour.http.as_ref()?.status?).ok()?;
    let is_http = check.get("type").and_then(Value::as_str) == Some("http");
    (is_http && !status.is_success()).then(|| status.to_string())
}

fn default_output(outcome: CheckOutcome, check: &Value) -> String {
    let is_http = check.get("type").and_then(Value::as_str) == Some("http");
    match (outcome, is_http) {
        (CheckOutcome::Passing, true) => "200 OK",
        (CheckOutcome::Passing, false) => "Success",
        (_, true) => "503 Service Unavailable",
        (_, false) => "connection refused",
    }
    .to_owned()
}
