//! `…/wait`: blocks until a machine is in a given state.

use serde_json::json;

use super::find_machine;
use crate::api::{ApiCall, ApiError, ApiResponse, ApiResult};
use crate::fly::machine::{Machine, MachineState};
use crate::world::SimulatedWorld;

/// The default and maximum timeout, in seconds: Fly's public proxy ends every request after a
/// minute.
const MAX_TIMEOUT_S: i64 = 60;
const STATES: [&str; 6] = [
    "started",
    "stopped",
    "suspended",
    "destroyed",
    "failed",
    "settled",
];

/// Responds once the machine is in the state; `Err` is the time until which the call has to wait.
pub(super) fn wait(world: &mut SimulatedWorld, call: &ApiCall) -> Result<ApiResult, i64> {
    let timeout = match parse_timeout(call) {
        Ok(timeout) => timeout,
        Err(error) => return Ok(Err(error)),
    };
    let machine = match find_machine(world, call) {
        Ok(machine) => machine,
        Err(error) if error.status == 404 => return Ok(Err(machine_not_found())),
        Err(error) => return Ok(Err(error)),
    };
    let wanted = requested_states(call);
    if let Some(state) = satisfied_state(machine, &wanted, call) {
        return Ok(Ok(ApiResponse::ok(wait_view(machine, state))));
    }
    if machine.state == MachineState::Destroyed {
        return Ok(Err(machine_not_found()));
    }
    if let Some(actual) = final_state(machine, call) {
        return Ok(Err(not_reached(409, "aborted", &wanted, actual)));
    }
    let deadline = call.received_ms + timeout * 1000;
    if world.now_ms < deadline {
        return Err(deadline);
    }
    let actual = machine.state.as_str();
    Ok(Err(not_reached(408, "deadline_exceeded", &wanted, actual)))
}

/// The state of a machine or version that will never enter a wanted one, so that waiting longer is
/// pointless; `None` while it still may. A stopped machine may be started at any time.
fn final_state(machine: &Machine, call: &ApiCall) -> Option<&'static str> {
    if requested_version(call).is_some_and(|version| version != machine.instance_id) {
        return Some("replaced");
    }
    let waits_for_end = requested_states(call)
        .iter()
        .any(|state| matches!(*state, "destroyed" | "settled"));
    (machine.state == MachineState::Destroying && !waits_for_end).then_some("destroying")
}

fn not_reached(status: u16, kind: &str, wanted: &[&str], actual: &str) -> ApiError {
    let wanted = wanted.join(",");
    ApiError::new(
        status,
        format!("{kind}: machine failed to reach desired state, {wanted}, currently {actual}"),
    )
}

/// The version to wait for; `instance_id` is its older name.
fn requested_version(call: &ApiCall) -> Option<&str> {
    call.query("version").or(call.query("instance_id"))
}

fn machine_not_found() -> ApiError {
    ApiError::new(404, "not_found: machine not found")
}

fn requested_states(call: &ApiCall) -> Vec<&str> {
    let states = call.query_list("state");
    if states.is_empty() {
        vec!["started"]
    } else {
        states
    }
}

fn parse_timeout(call: &ApiCall) -> Result<i64, ApiError> {
    if let Some(wrong) = requested_states(call)
        .iter()
        .find(|state| !STATES.contains(state))
    {
        return Err(ApiError::bad_request(format!("invalid state: {wrong:?}")));
    }
    let timeout = call.query_number("timeout")?.unwrap_or(MAX_TIMEOUT_S);
    // Fly does not shorten a longer wait, it refuses it.
    if (1..=MAX_TIMEOUT_S).contains(&timeout) {
        Ok(timeout)
    } else {
        Err(ApiError::bad_request(
            "invalid_argument: invalid WaitMachineRequest.Timeout: value must be inside range [1s, 1m0s]",
        ))
    }
}

/// The state that satisfies the wait: the current one, or one that was entered since the last
/// requested change (and after `from_event_id`). For an old version, only states that end it match.
fn satisfied_state(machine: &Machine, wanted: &[&str], call: &ApiCall) -> Option<&'static str> {
    if requested_version(call).is_some_and(|version| version != machine.instance_id) {
        // The version has been replaced: it has stopped, and will never start again.
        return wanted
            .iter()
            .any(|state| matches!(*state, "stopped" | "destroyed" | "settled"))
            .then_some("stopped");
    }
    let is_wanted = |state: MachineState| {
        wanted.contains(&state.as_str()) || (wanted.contains(&"settled") && state.is_settled())
    };
    if is_wanted(machine.state) {
        return Some(machine.state.as_str());
    }
    // The caller already knows everything up to this event; an unknown id counts as none.
    let known_event = call
        .query("from_event_id")
        .and_then(|id| machine.events.iter().find(|event| event.id == id));
    let since = known_event.map_or(i64::MIN, |event| event.timestamp);
    let passed = machine
        .passed
        .iter()
        .find(|(state, at)| *at > since && is_wanted(*state));
    // A machine that is being destroyed no longer matches earlier states.
    passed
        .filter(|_| !machine.is_gone())
        .map(|(state, _)| state.as_str())
}

fn wait_view(machine: &Machine, state: &str) -> serde_json::Value {
    let event = machine.events.front().map_or("", |event| event.id.as_str());
    json!({ "ok": true, "event_id": event, "state": state, "version": machine.instance_id })
}
