//! Reading machines: one, all of an application, events and versions.

use serde_json::{Value, json};

use super::{find_machine, view};
use crate::api::{ApiCall, ApiError, ApiResponse, ApiResult};
use crate::machine::{Machine, MachineState};
use crate::world::SimulatedWorld;

/// How many events are shown without `limit`, and at most.
const EVENT_LIMITS: (i64, i64) = (20, 50);

/// A destroyed machine stays readable: whoever waited for its end reads the exit code here.
pub(super) fn show(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    let app = world.app(call)?;
    Ok(ApiResponse::ok(view::machine_view(
        world,
        app,
        find_machine(world, call)?,
    )))
}

pub(super) fn list(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    let app = world.app(call)?;
    let filter = MachineFilter::from_call(call)?;
    let machines = app
        .machines
        .values()
        .filter(|m| filter.matches(m) && world.is_listed(m.created_ms));
    let shown: Vec<Value> = if call.query_flag("summary") {
        machines.map(view::machine_summary).collect()
    } else {
        machines
            .map(|machine| view::machine_view(world, app, machine))
            .collect()
    };
    Ok(ApiResponse::ok(shown.into()))
}

/// What a list leaves out; organisation-wide lists filter the same way.
pub(crate) struct MachineFilter<'a> {
    include_deleted: bool,
    region: Option<&'a str>,
    states: Vec<&'a str>,
    metadata: Vec<(&'a str, &'a str)>,
}

impl<'a> MachineFilter<'a> {
    /// # Errors
    /// `400` for a state that cannot be asked for.
    pub(crate) fn from_call(call: &'a ApiCall) -> Result<Self, ApiError> {
        const STATES: [&str; 6] = [
            "created",
            "started",
            "stopped",
            "suspended",
            "failed",
            "destroyed",
        ];
        let states = call.query_list("state");
        if let Some(wrong) = states.iter().find(|state| !STATES.contains(state)) {
            return Err(ApiError::bad_request(format!("invalid state: {wrong:?}")));
        }
        let pairs = call.query.iter();
        let metadata =
            pairs.filter_map(|(key, value)| Some((key.strip_prefix("metadata.")?, value.as_str())));
        Ok(Self {
            include_deleted: call.query_flag("include_deleted") || states.contains(&"destroyed"),
            region: call.query("region"),
            states,
            metadata: metadata.collect(),
        })
    }

    pub(crate) fn matches(&self, machine: &Machine) -> bool {
        (self.include_deleted || machine.state != MachineState::Destroyed)
            && self.region.is_none_or(|region| machine.region == region)
            && (self.states.is_empty() || self.states.contains(&machine.state.as_str()))
            && self
                .metadata
                .iter()
                .all(|(key, value)| machine.metadata_value(key) == Some(*value))
    }
}

pub(super) fn list_events(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    let limit = call
        .query_number("limit")?
        .unwrap_or(EVENT_LIMITS.0)
        .clamp(1, EVENT_LIMITS.1);
    let machine = find_machine(world, call)?;
    Ok(ApiResponse::ok(json!(
        machine
            .events
            .iter()
            .take(limit.unsigned_abs() as usize)
            .collect::<Vec<_>>()
    )))
}

pub(super) fn list_versions(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    Ok(ApiResponse::ok(json!(find_machine(world, call)?.versions)))
}
