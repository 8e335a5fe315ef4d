//! The public side of applications: what Fly's proxy does with a request for `{app}.fly.dev`, or for a host name that has
//! a certificate. Programs do not run here, so the answer names the machine that would have given it.
//!
//! From Fly's documentation of the proxy: it knows machines by their services, leaves out those that are cordoned or fail
//! a check of a service, and starts a stopped or suspended one when no other can answer (`autostart`). A name resolves
//! once the application has a public address.

use serde_json::{Value, json};

use super::api::{ApiResponse, ResponseBody};
use super::behaviour::ProgramBehaviour;
use super::machine::{Machine, MachineState};
use super::transitions;
use super::v1::machines;
use super::world::{App, SimulatedWorld};

/// The domain under which every application has its name.
const APP_DOMAIN_SUFFIX: &str = ".fly.dev";
/// How long a request waits for a machine that boots. The documentation names no number; the proxy cuts every request
/// after a minute.
const START_TIMEOUT_MS: i64 = 60_000;

/// A request from outside.
#[derive(Clone, Debug)]
pub(crate) struct PublicRequest {
    /// The host that it asks for, in lower case and without a port.
    pub(crate) host: String,
    /// Which visit this is: they go around among the machines.
    pub(crate) sequence: usize,
    /// When it came.
    pub(crate) received_ms: i64,
}

/// The host of a request to the public side; nothing for one to the APIs.
pub(crate) fn public_host(world: &SimulatedWorld, header: Option<&str>) -> Option<String> {
    let host = header?
        .rsplit_once(':')
        .map_or(header?, |(host, _)| host)
        .to_ascii_lowercase();
    let certified = || {
        world
            .apps
            .values()
            .any(|app| app.certificates.contains_key(&host))
    };
    (host.ends_with(APP_DOMAIN_SUFFIX) || certified()).then_some(host)
}

/// The application that a name leads to. Without a public address it resolves to nothing, and without a valid
/// certificate nobody gets through to it.
fn app_for_host<'a>(world: &'a SimulatedWorld, host: &str) -> Option<&'a App> {
    let app = match host.strip_suffix(APP_DOMAIN_SUFFIX) {
        Some(name) => world.apps.get(name),
        None => world.apps.values().find(|app| {
            let valid = app
                .certificates
                .get(host)
                .and_then(|certificate| certificate.valid_from_ms);
            valid.is_some_and(|from| from <= world.now_ms)
        }),
    };
    app.filter(|app| {
        app.ips
            .iter()
            .any(|ip| matches!(ip.kind.as_str(), "v4" | "shared_v4" | "v6"))
    })
}

/// Answers a visit: nothing when its name leads nowhere, or until when it would wait.
pub(crate) fn respond(
    world: &mut SimulatedWorld,
    visit: &PublicRequest,
) -> Result<Option<ApiResponse>, i64> {
    let Some(app) = app_for_host(world, &visit.host) else {
        return Ok(None);
    };
    let known: Vec<&Machine> = app
        .machines
        .values()
        .filter(|machine| is_routable(machine))
        .collect();
    let healthy: Vec<&&Machine> = known
        .iter()
        .filter(|machine| is_healthy(world, app, machine))
        .collect();
    if let Some(machine) = healthy.get(visit.sequence % healthy.len().max(1)) {
        return Ok(Some(machine_response(world, app, machine)));
    }
    let deadline = visit.received_ms + START_TIMEOUT_MS;
    let soon = known
        .iter()
        .filter_map(|machine| next_change_ms(world, machine))
        .min();
    if let Some(soon) = soon.filter(|_| world.now_ms < deadline) {
        return Err(soon.min(deadline));
    }
    let asleep = known
        .iter()
        .find(|machine| can_autostart(machine))
        .map(|machine| machine.id.clone());
    match asleep.filter(|_| world.now_ms < deadline) {
        Some(id) => {
            let app = app.name.clone();
            autostart(world, &app, &id);
            Err(deadline)
        }
        None => Ok(Some(ApiResponse {
            status: 503,
            body: ResponseBody::Empty,
            headers: Vec::new(),
        })),
    }
}

/// Whether the proxy knows the machine: it has a service for HTTP, and is not cordoned.
fn is_routable(machine: &Machine) -> bool {
    !machine.cordoned && machine.host_status == "ok" && http_service(machine).is_some()
}

/// A service that speaks HTTP on some port.
fn http_service(machine: &Machine) -> Option<&Value> {
    let handles = |port: &Value| {
        let handlers = port.get("handlers").and_then(Value::as_array);
        handlers.is_some_and(|handlers| handlers.iter().any(|handler| handler == "http"))
    };
    let serves = |service: &&Value| {
        let ports = service.get("ports").and_then(Value::as_array);
        ports.is_some_and(|ports| ports.iter().any(handles))
    };
    machine
        .config
        .get("services")?
        .as_array()?
        .iter()
        .find(serves)
}

/// Whether it runs and the checks of its services pass; a machine's own checks do not concern the proxy.
fn is_healthy(world: &SimulatedWorld, app: &App, machine: &Machine) -> bool {
    let checks = machines::check_results(&world.global.rules, app, machine, world.now_ms);
    let of_service = |check: &&Value| {
        let name = check
            .get("name")
            .and_then(Value::as_str)
            .unwrap_or_default();
        name.starts_with("servicecheck-")
    };
    machine.state == MachineState::Started
        && checks
            .iter()
            .filter(of_service)
            .all(|check| check.get("status") == Some(&json!("passing")))
}

/// When something about a machine may become better: it is on its way up, or its checks have not been made yet.
fn next_change_ms(world: &SimulatedWorld, machine: &Machine) -> Option<i64> {
    match machine.state {
        MachineState::Started => {
            let known = machine.started_ms? + transitions::FIRST_CHECK_MS;
            (world.now_ms < known).then_some(known)
        }
        MachineState::Starting | MachineState::Restarting | MachineState::Replacing => {
            machine.due.map(|due| due.at_ms)
        }
        _ => None,
    }
}

/// Whether the proxy may start it. The documentation of the Machines API says that `autostart` is false unless set, that
/// of fly.toml says true; flyctl sends nothing when fly.toml says nothing, so the proxy must take nothing for true.
fn can_autostart(machine: &Machine) -> bool {
    let set = http_service(machine).and_then(|service| service.get("autostart")?.as_bool());
    matches!(
        machine.state,
        MachineState::Stopped | MachineState::Suspended
    ) && set.unwrap_or(true)
}

fn autostart(world: &mut SimulatedWorld, app: &str, id: &str) {
    let now = world.now_ms;
    let Some(app) = world.apps.get_mut(app) else {
        return;
    };
    let secrets = app.secrets_version;
    let Some(machine) = app.machines.get_mut(id) else {
        return;
    };
    let behave = ProgramBehaviour::for_machine(&world.global.rules, &app.name, machine);
    machine.reset_transitions();
    machine.restart_count = 0;
    machine.secrets_version = secrets;
    transitions::begin_boot(machine, &behave, now, "proxy");
    world.dirty_apps.insert(app.name.clone());
}

/// What the machine's program says.
fn machine_response(world: &SimulatedWorld, app: &App, machine: &Machine) -> ApiResponse {
    let said = ProgramBehaviour::for_machine(&world.global.rules, &app.name, machine)
        .http
        .unwrap_or_default();
    let body = said.body.map_or_else(
        || {
            ResponseBody::Json(json!({
                "app": app.name,
                "machine": machine.id,
                "group": machine.process_group(),
                "region": machine.region,
                "image": machine.image(),
                "version": machine.instance_id,
            }))
        },
        ResponseBody::Text,
    );
    ApiResponse {
        status: said.status.unwrap_or(200),
        body,
        headers: Vec::new(),
    }
}
