//! Endpoints that look inside a running machine: processes and memory.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Route, find_machine, find_machine_mut, route};
use crate::api::{ApiCall, ApiError, ApiResponse, ApiResult};
use crate::fly::machine::{Machine, MachineState};
use crate::json;
use crate::world::SimulatedWorld;

pub(super) fn routes() -> [Route; 4] {
    [
        route(
            "GET",
            "/v1/apps/{app}/machines/{machine}/ps",
            list_processes,
        ),
        route(
            "GET",
            "/v1/apps/{app}/machines/{machine}/memory",
            show_memory,
        ),
        route(
            "PUT",
            "/v1/apps/{app}/machines/{machine}/memory",
            set_memory,
        ),
        route(
            "POST",
            "/v1/apps/{app}/machines/{machine}/memory/reclaim",
            reclaim_memory,
        ),
    ]
}

/// Checks that the machine runs.
///
/// # Errors
/// `412` otherwise.
pub(super) fn require_started(machine: &Machine) -> Result<(), ApiError> {
    if machine.state == MachineState::Started {
        Ok(())
    } else {
        Err(ApiError::failed_precondition("machine not running"))
    }
}

/// A single process that listens on the ports of the machine's services.
fn list_processes(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    if let Some(order) = call
        .query("order")
        .filter(|order| !matches!(*order, "asc" | "desc"))
    {
        return Err(ApiError::bad_request(format!("invalid order: {order:?}")));
    }
    let machine = find_machine(world, call)?;
    require_started(machine)?;
    let services = json::items(machine.config.get("services")).iter();
    let sockets = services.filter_map(|service| {
        let port = service.get("internal_port")?.as_i64()?;
        Some(json!({ "proto": service.get("protocol")?, "address": format!("0.0.0.0:{port}") }))
    });
    let words = machine
        .config
        .get("init")
        .and_then(|init| init.get("cmd"))
        .and_then(Value::as_array);
    let command: Vec<&str> = words
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    Ok(ApiResponse::ok(json!([{
        "pid": 1,
        "stime": 1,
        "rtime": (world.now_ms - machine.started_ms.unwrap_or(world.now_ms)) / 1000,
        "command": if command.is_empty() { "/init".to_owned() } else { command.join(" ") },
        "directory": "/",
        "cpu": 0,
        "rss": 16 * 1024 * 1024,
        "listen_sockets": sockets.collect::<Vec<_>>(),
    }])))
}

fn memory_size_mb(machine: &Machine) -> u64 {
    let guest = machine.config.get("guest");
    let number = |key: &str| guest.and_then(|guest| guest.get(key)?.as_u64());
    number("max_memory_mb")
        .or(number("memory_mb"))
        .unwrap_or(256)
}

fn memory_view(machine: &Machine) -> Value {
    let limit = machine
        .memory_limit_mb
        .unwrap_or_else(|| memory_size_mb(machine));
    // A quarter of the memory is reported as used; any fixed share would do.
    json!({ "limit_mb": limit, "available_mb": limit - limit / 4 })
}

fn show_memory(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    let machine = find_machine(world, call)?;
    require_started(machine)?;
    Ok(ApiResponse::ok(memory_view(machine)))
}

fn set_memory(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Request {
        limit_mb: Option<u64>,
    }
    let request: Request = call.body()?;
    let machine = find_machine_mut(world, call)?;
    require_started(machine)?;
    let limit = request
        .limit_mb
        .filter(|limit| (1..=memory_size_mb(machine)).contains(limit));
    machine.memory_limit_mb = Some(limit.ok_or_else(|| ApiError::bad_request("invalid limit_mb"))?);
    Ok(ApiResponse::ok(memory_view(machine)))
}

fn reclaim_memory(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Request {
        amount_mb: Option<u64>,
    }
    let request: Request = call.body()?;
    let machine = find_machine(world, call)?;
    require_started(machine)?;
    let free = memory_view(machine)["available_mb"].as_u64().unwrap_or(0);
    Ok(ApiResponse::ok(
        json!({ "actual_mb": request.amount_mb.unwrap_or(0).min(free) }),
    ))
}
