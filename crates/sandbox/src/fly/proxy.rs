//! Public HTTP traffic of apps: what Fly's proxy does with a request for `{app}.fly.dev`, or for a
//! host name with a certificate. Programs do not run in the sandbox, so the response names the
//! machine that would have responded.
//!
//! From Fly's documentation of the proxy: it routes to machines by their services, leaves out
//! machines that are cordoned or fail a service check, and starts a stopped or suspended machine
//! when no other can respond (`autostart`). The name of an app resolves once the app has a public
//! IP address.

use serde_json::{Value, json};

use super::behaviour::ProgramBehaviour;
use super::machine::{Machine, MachineState};
use super::transitions;
use super::v1::machines;
use crate::api::{ApiResponse, ResponseBody};
use crate::json;
use crate::world::{App, SimulatedWorld};

/// The domain of all app host names.
const APP_DOMAIN_SUFFIX: &str = ".fly.dev";
/// How long a request waits for a machine to start. The documentation names no number, but the
/// proxy ends every request after a minute.
const START_TIMEOUT_MS: i64 = 60_000;

/// A public HTTP request.
#[derive(Clone, Debug)]
pub(crate) struct PublicRequest {
    /// The requested host, in lower case and without a port.
    pub(crate) host: String,
    /// A running number; requests rotate among the machines by it.
    pub(crate) sequence: usize,
    /// When it arrived.
    pub(crate) received_ms: i64,
}

/// The host of a public HTTP request; `None` when the request is for the APIs.
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

/// The app that a host name leads to. Without a public IP address the name does not resolve; a
/// custom host name also needs a valid certificate.
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

/// Responds to a public HTTP request; `None` when the host name leads to no app. `Err` is the time
/// until which the request has to wait.
pub(crate) fn respond(
    world: &mut SimulatedWorld,
    request: &PublicRequest,
) -> Result<Option<ApiResponse>, i64> {
    let Some(app) = app_for_host(world, &request.host) else {
        return Ok(None);
    };
    let routable: Vec<&Machine> = app
        .machines
        .values()
        .filter(|machine| is_routable(machine))
        .collect();
    let healthy: Vec<&&Machine> = routable
        .iter()
        .filter(|machine| is_healthy(world, app, machine))
        .collect();
    if let Some(machine) = healthy.get(request.sequence % healthy.len().max(1)) {
        return Ok(Some(machine_response(world, app, machine)));
    }
    // No machine is healthy. First wait for those that may become healthy without help, because
    // starting another one would be wrong while one is already booting.
    let deadline = request.received_ms + START_TIMEOUT_MS;
    let next_change = routable
        .iter()
        .filter_map(|machine| next_change_ms(world, machine))
        .min();
    if let Some(next_change) = next_change.filter(|_| world.now_ms < deadline) {
        return Err(next_change.min(deadline));
    }
    let startable = routable
        .iter()
        .find(|machine| can_autostart(machine))
        .map(|machine| machine.id.clone());
    match startable.filter(|_| world.now_ms < deadline) {
        Some(id) => {
            let app = app.name.clone();
            autostart(world, &app, &id);
            // The server calls this function again when the boot makes progress.
            Err(deadline)
        }
        None => Ok(Some(ApiResponse {
            status: 503,
            body: ResponseBody::Empty,
            headers: Vec::new(),
        })),
    }
}

/// Whether the proxy routes to the machine: it has an HTTP service and is not cordoned.
fn is_routable(machine: &Machine) -> bool {
    !machine.cordoned && machine.host_status == "ok" && http_service(machine).is_some()
}

/// The first service with an `http` handler on a port.
fn http_service(machine: &Machine) -> Option<&Value> {
    let speaks_http = |port: &Value| {
        json::items(port.get("handlers"))
            .iter()
            .any(|handler| handler == "http")
    };
    json::items(machine.config.get("services"))
        .iter()
        .find(|service| json::items(service.get("ports")).iter().any(speaks_http))
}

/// Whether it is started and its service checks pass; the proxy ignores a machine's own checks.
fn is_healthy(world: &SimulatedWorld, app: &App, machine: &Machine) -> bool {
    let checks = machines::check_results(&world.global.rules, app, machine, world.now_ms);
    let is_service_check = |check: &&Value| {
        let name = json::string(check.get("name"));
        name.starts_with("servicecheck-")
    };
    machine.state == MachineState::Started
        && checks
            .iter()
            .filter(is_service_check)
            .all(|check| check.get("status") == Some(&json!("passing")))
}

/// When the machine may become healthy: at its next transition, or at its first check.
fn next_change_ms(world: &SimulatedWorld, machine: &Machine) -> Option<i64> {
    match machine.state {
        MachineState::Started => {
            let first_check_ms = machine.started_ms? + transitions::FIRST_CHECK_MS;
            (world.now_ms < first_check_ms).then_some(first_check_ms)
        }
        MachineState::Starting | MachineState::Restarting | MachineState::Replacing => {
            machine.due.map(|due| due.at_ms)
        }
        _ => None,
    }
}

/// Whether the proxy may start it. The Machines API documentation says that `autostart` defaults to
/// false, the fly.toml documentation says true; flyctl omits it when fly.toml does, so the proxy
/// must treat an absent value as true.
fn can_autostart(machine: &Machine) -> bool {
    let configured = http_service(machine).and_then(|service| service.get("autostart")?.as_bool());
    matches!(
        machine.state,
        MachineState::Stopped | MachineState::Suspended
    ) && configured.unwrap_or(true)
}

/// Starts a machine for a request or connection to its app.
pub(crate) fn autostart(world: &mut SimulatedWorld, app: &str, id: &str) {
    let now = world.now_ms;
    let Some(app) = world.apps.get_mut(app) else {
        return;
    };
    let secrets_version = app.secrets_version;
    let Some(machine) = app.machines.get_mut(id) else {
        return;
    };
    let behaviour = ProgramBehaviour::for_machine(&world.global.rules, &app.name, machine);
    machine.reset_transitions();
    machine.restart_count = 0;
    machine.secrets_version = secrets_version;
    transitions::begin_boot(machine, &behaviour, now, "proxy");
    world.dirty_apps.insert(app.name.clone());
}

/// The response of the machine's program.
fn machine_response(world: &SimulatedWorld, app: &App, machine: &Machine) -> ApiResponse {
    let response = ProgramBehaviour::for_machine(&world.global.rules, &app.name, machine)
        .http
        .unwrap_or_default();
    let body = response.body.map_or_else(
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
        status: response.status.unwrap_or(200),
        body,
        headers: Vec::new(),
    }
}
