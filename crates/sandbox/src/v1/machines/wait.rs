//! `…/wait`: blocks until a machine is in a state.

use serde_json::json;

use super::find_machine;
use crate::api::{ApiCall, ApiError, ApiResponse, ApiResult};
use crate::machine::{Machine, MachineState};
use crate::world::SimulatedWorld;

/// How long it blocks without `timeout`, and at most: the public proxy cuts every request at a minute.
const MAX_TIMEOUT_S: i64 = 60;
const STATES: [&str; 6] = [
    "started",
    "stopped",
    "suspended",
    "destroyed",
    "failed",
    "settled",
];

/// Answers, or says until when it would wait.
pub(super) fn wait(world: &mut SimulatedWorld, call: &ApiCall) -> Result<ApiResult, i64> {
    let timeout = match parse_timeout(call) {
        Ok(timeout) => timeout,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let machine = match find_machine(world, call) {
        Ok(machine) => machine,
        Err(refusal) if refusal.status == 404 => return Ok(Err(machine_not_found())),
        Err(refusal) => return Ok(Err(refusal)),
    };
    let wanted = requested_states(call);
    if let Some(state) = satisfied_state(machine, &wanted, call) {
        return Ok(Ok(ApiResponse::ok(wait_view(machine, state))));
    }
    if machine.state == MachineState::Destroyed {
        return Ok(Err(machine_not_found()));
    }
    let deadline = call.received_ms + timeout * 1000;
    if world.now_ms < deadline {
        return Err(deadline);
    }
    let (wanted, actual) = (wanted.join(","), machine.state.as_str());
    Ok(Err(ApiError::new(
        408,
        format!(
            "deadline_exceeded: machine failed to reach desired state, {wanted}, currently {actual}"
        ),
    )))
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
    if timeout < 0 {
        Err(ApiError::bad_request("invalid timeout"))
    } else {
        Ok(timeout.min(MAX_TIMEOUT_S))
    }
}

/// The state that satisfies the wait: the present one, or one passed since somebody last asked for a change (and
/// since the event that the caller has seen). An old version only ever ends.
fn satisfied_state(machine: &Machine, wanted: &[&str], call: &ApiCall) -> Option<&'static str> {
    let version = call.query("version").or(call.query("instance_id"));
    if version.is_some_and(|version| version != machine.instance_id) {
        return wanted
            .iter()
            .any(|state| matches!(*state, "stopped" | "destroyed" | "settled"))
            .then_some("stopped");
    }
    let fits = |state: MachineState| {
        wanted.contains(&state.as_str()) || (wanted.contains(&"settled") && state.is_settled())
    };
    if fits(machine.state) {
        return Some(machine.state.as_str());
    }
    let seen = call
        .query("from_event_id")
        .and_then(|id| machine.events.iter().find(|event| event.id == id));
    let since = seen.map_or(i64::MIN, |event| event.timestamp);
    let passed = machine
        .passed
        .iter()
        .find(|(state, at)| *at > since && fits(*state));
    // A machine that is going away answers only for its going.
    passed
        .filter(|_| !machine.is_gone())
        .map(|(state, _)| state.as_str())
}

fn wait_view(machine: &Machine, state: &str) -> serde_json::Value {
    let event = machine.events.front().map_or("", |event| event.id.as_str());
    json!({ "ok": true, "event_id": event, "state": state, "version": machine.instance_id })
}
