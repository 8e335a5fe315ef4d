//! The administration endpoints under `/_sandbox/postgres/`: what clients of a cluster do, and what
//! happens to it behind the back of whoever manages it.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Value, json};

use super::super::machine::{Machine, MachineState};
use super::super::proxy;
use super::program::{ProgramRun, copy_log, run_psql_on_node};
use super::{is_ready, server, server_mut};
use crate::api::{ApiError, ApiResponse, ApiResult};
use crate::json;
use crate::postgres::{ClientSession, PgServer, try_login};
use crate::world::{App, SimulatedWorld};

/// The port of the service through which clients reach the primary.
const SERVICE_PORT: i64 = 5432;

/// Handles a request to `/_sandbox/postgres/…`.
///
/// # Errors
/// `404` for an unknown endpoint or cluster, `400` for an invalid body, `409` when the cluster is in
/// no state for it.
pub(crate) fn handle_request(
    world: &mut SimulatedWorld,
    method: &str,
    path: &str,
    body: &Value,
) -> ApiResult {
    match (method, path) {
        ("POST", "login") => login(world, body),
        ("POST", "session") => open_session(world, body),
        ("POST", "session/close") => close_session(world, body),
        ("POST", "connect") => connect(world, body),
        ("POST", "script") => run_script(world, body),
        ("POST", "disk") => set_disk(world, body),
        ("GET", path) => match path.strip_suffix("/log") {
            Some(app) => show_log(world, app),
            None => show_cluster(world, path),
        },
        _ => Err(ApiError::not_found("endpoint")),
    }
}

fn parse<T: serde::de::DeserializeOwned>(body: &Value) -> Result<T, ApiError> {
    serde_json::from_value(body.clone()).map_err(|error| ApiError::bad_request(error.to_string()))
}

fn find_app<'a>(world: &'a mut SimulatedWorld, name: &str) -> Result<&'a mut App, ApiError> {
    if !world.apps.contains_key(name) {
        return Err(ApiError::not_found("app"));
    }
    world
        .changed_app(name)
        .ok_or_else(|| ApiError::not_found("app"))
}

/// The node that a request is for: the one that it names, else the primary.
fn find_node(app: &App, machine: Option<&str>) -> Result<String, ApiError> {
    if let Some(id) = machine {
        return app.machine(id).map(|machine| machine.id.clone());
    }
    let mut ready = app.machines.values().filter(|machine| is_ready(machine));
    ready
        .find(|machine| server(app, machine).is_some_and(|server| !server.standby))
        .map(|machine| machine.id.clone())
        .ok_or_else(|| ApiError::new(409, "no primary of this app is running"))
}

/// Calls a function with the server of a running node, then copies its log and its data.
fn with_server<T>(
    app: &mut App,
    machine: Option<&str>,
    now: i64,
    call: impl FnOnce(&mut PgServer) -> T,
) -> Result<T, ApiError> {
    let id = find_node(app, machine)?;
    let not_running = || ApiError::new(409, "the server on this machine is not running");
    let mut machine = app.machines.remove(&id).ok_or_else(not_running)?;
    let result = server_mut(app, &machine)
        .filter(|_| is_ready(&machine))
        .map(call);
    copy_log(app, &mut machine, now);
    app.machines.insert(id, machine);
    super::replicate(app);
    result.ok_or_else(not_running)
}

/// Tries a login over the network.
fn login(world: &mut SimulatedWorld, body: &Value) -> ApiResult {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct LoginRequest {
        app: String,
        machine: Option<String>,
        role: String,
        password: String,
        database: String,
    }
    let request: LoginRequest = parse(body)?;
    let now = world.now_ms;
    let app = find_app(world, &request.app)?;
    let (role, password, database) = (&request.role, &request.password, &request.database);
    let result = with_server(app, request.machine.as_deref(), now, |server| {
        try_login(server, role, password, database, now)
    });
    Ok(ApiResponse::ok(match result {
        Ok(Ok(())) => json!({ "ok": true }),
        Ok(Err(error)) => json!({ "ok": false, "sqlstate": error.code, "message": error.message }),
        // What a client gets from a machine on which nothing listens.
        Err(_) => json!({ "ok": false, "sqlstate": "08006", "message": "connection refused" }),
    }))
}

/// Opens a session without a password. It stays open and keeps the node awake.
fn open_session(world: &mut SimulatedWorld, body: &Value) -> ApiResult {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct SessionRequest {
        app: String,
        machine: Option<String>,
        role: String,
        database: String,
        #[serde(default)]
        application: String,
        /// Keys of advisory locks that it holds.
        #[serde(default)]
        locks: BTreeSet<i64>,
    }
    let request: SessionRequest = parse(body)?;
    let now = world.now_ms;
    let app = find_app(world, &request.app)?;
    let machine = request.machine.clone();
    let pid = with_server(app, machine.as_deref(), now, |server| {
        let known = server.roles.contains_key(&request.role)
            && server.databases.contains_key(&request.database);
        known.then(|| {
            let pid = server.take_pid();
            server.sessions.push(ClientSession {
                pid,
                role: request.role,
                database: request.database,
                application: request.application,
                locks: request.locks,
                opened_ms: now,
            });
            pid
        })
    })?;
    let pid = pid.ok_or_else(|| ApiError::bad_request("no such role or database"))?;
    Ok(ApiResponse::ok(json!({ "pid": pid })))
}

fn close_session(world: &mut SimulatedWorld, body: &Value) -> ApiResult {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct CloseRequest {
        app: String,
        machine: Option<String>,
        pid: u32,
    }
    let request: CloseRequest = parse(body)?;
    let now = world.now_ms;
    let app = find_app(world, &request.app)?;
    let closed = with_server(app, request.machine.as_deref(), now, |server| {
        let before = server.sessions.len();
        server.sessions.retain(|session| session.pid != request.pid);
        server.sessions.len() < before
    })?;
    if closed {
        Ok(ApiResponse::ok_true())
    } else {
        Err(ApiError::not_found("session"))
    }
}

/// Connects through the private address: the proxy starts a node if none runs.
fn connect(world: &mut SimulatedWorld, body: &Value) -> ApiResult {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct ConnectRequest {
        app: String,
    }
    let request: ConnectRequest = parse(body)?;
    let app = find_app(world, &request.app)?;
    if !app.ips.iter().any(|ip| ip.kind == "private_v6") {
        let message = "the app has no private address, so its name does not resolve";
        return Ok(ApiResponse::ok(json!({ "ok": false, "message": message })));
    }
    let reply = |ok: bool, woke: bool, machine: &Machine| {
        let (id, state) = (&machine.id, machine.state.as_str());
        ApiResponse::ok(json!({ "ok": ok, "woke": woke, "machine": id, "state": state }))
    };
    if let Ok(id) = find_node(app, None) {
        return Ok(reply(true, false, app.machine(&id)?));
    }
    let nodes: Vec<&Machine> = app
        .machines
        .values()
        .filter(|machine| super::major_version(machine).is_some() && !machine.is_gone())
        .collect();
    let booting = nodes.iter().find(|machine| {
        matches!(
            machine.state,
            MachineState::Starting | MachineState::Started | MachineState::Restarting
        )
    });
    if let Some(machine) = booting {
        return Ok(reply(false, false, machine));
    }
    let is_primary = |machine: &Machine| server(app, machine).is_some_and(|server| !server.standby);
    let mut startable: Vec<&&Machine> = nodes.iter().filter(|m| can_wake(m)).collect();
    startable.sort_by_key(|machine| !is_primary(machine));
    let Some(id) = startable.first().map(|machine| machine.id.clone()) else {
        let message = "no machine of the app is running, and the proxy may start none";
        return Ok(ApiResponse::ok(json!({ "ok": false, "message": message })));
    };
    let name = app.name.clone();
    proxy::autostart(world, &name, &id);
    let app = find_app(world, &name)?;
    Ok(reply(true, true, app.machine(&id)?))
}

/// Whether the proxy may start the machine for a connection to the database.
fn can_wake(machine: &Machine) -> bool {
    let has_port = |service: &Value| {
        json::items(service.get("ports"))
            .iter()
            .any(|port| port.get("port").and_then(Value::as_i64) == Some(SERVICE_PORT))
    };
    let mut services = json::items(machine.config.get("services")).iter();
    let service = services.find(|service| has_port(service));
    let autostart = service.map(|s| s.get("autostart").and_then(Value::as_bool));
    let is_stopped = matches!(
        machine.state,
        MachineState::Stopped | MachineState::Suspended
    );
    // As for web services, an absent value counts as true.
    is_stopped && !machine.cordoned && autostart.is_some_and(|set| set.unwrap_or(true))
}

/// Runs a script as the superuser `postgres`.
fn run_script(world: &mut SimulatedWorld, body: &Value) -> ApiResult {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct ScriptRequest {
        app: String,
        machine: Option<String>,
        script: String,
    }
    let request: ScriptRequest = parse(body)?;
    let now = world.now_ms;
    let app = find_app(world, &request.app)?;
    let id = find_node(app, request.machine.as_deref())?;
    let arguments = [
        "-XqAt",
        "-v",
        "ON_ERROR_STOP=1",
        "-U",
        "postgres",
        "-p",
        "5433",
        "-d",
        "postgres",
        "-f",
        "-",
    ];
    let arguments = arguments.map(str::to_owned);
    match run_psql_on_node(app, &id, &arguments, &request.script, now) {
        ProgramRun::Ended(output) => Ok(ApiResponse::ok(json!({
            "exit_code": output.exit_code,
            "stdout": output.stdout,
            "stderr": output.stderr,
        }))),
        ProgramRun::Blocked => Err(ApiError::new(
            409,
            "the script waits for a lock of another session",
        )),
    }
}

/// Sets how full the disk of a node is, or of the primary.
fn set_disk(world: &mut SimulatedWorld, body: &Value) -> ApiResult {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct DiskRequest {
        app: String,
        volume: Option<String>,
        percent: u64,
    }
    let request: DiskRequest = parse(body)?;
    if request.percent > 100 {
        return Err(ApiError::bad_request("percent must be at most 100"));
    }
    let app = find_app(world, &request.app)?;
    let id = match request.volume {
        Some(volume) => volume,
        None => {
            let machine = app.machine(&find_node(app, None)?)?;
            machine.mounted_volume().unwrap_or_default().to_owned()
        }
    };
    app.volume_mut(&id)?.fill_percent = Some(request.percent);
    super::checks::apply_disk_limit(app, &id);
    super::replicate(app);
    Ok(ApiResponse::ok_true())
}

fn show_log(world: &mut SimulatedWorld, name: &str) -> ApiResult {
    let app = find_app(world, name)?;
    let servers = app
        .volumes
        .values()
        .filter_map(|volume| volume.postgres.as_deref());
    let mut lines: Vec<&String> = servers.flat_map(|server| &server.log).collect();
    // Each line begins with its time.
    lines.sort();
    Ok(ApiResponse::ok(json!({ "lines": lines })))
}

/// The nodes of a cluster, each with its server.
fn show_cluster(world: &mut SimulatedWorld, name: &str) -> ApiResult {
    let app = find_app(world, name)?;
    let nodes = app
        .machines
        .values()
        .filter(|machine| super::major_version(machine).is_some() && !machine.is_gone());
    let nodes: Vec<Value> = nodes
        .map(|machine| {
            let server = server(app, machine);
            json!({
                "machine": machine.id,
                "state": machine.state.as_str(),
                "ready": is_ready(machine),
                "volume": machine.mounted_volume(),
                "role": server.map(|server| if server.standby { "replica" } else { "primary" }),
                "server": server,
            })
        })
        .collect();
    Ok(ApiResponse::ok(json!({ "nodes": nodes })))
}
