//! Reads machines: a single one, those of an app, their events and versions.

use serde_json::{Value, json};

use super::{find_machine, view};
use crate::api::{ApiCall, ApiError, ApiResponse, ApiResult};
use crate::fly::machine::{Machine, MachineState};
use crate::world::SimulatedWorld;

const DEFAULT_EVENTS: i64 = 20;
const MAX_EVENTS: i64 = 50;

/// Destroyed machines stay readable: clients that wait for the end of a machine then read its exit
/// code.
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
    let body: Vec<Value> = if call.query_flag("summary") {
        machines.map(view::machine_summary).collect()
    } else {
        machines
            .map(|machine| view::machine_view(world, app, machine))
            .collect()
    };
    Ok(ApiResponse::ok(body.into()))
}

/// The filters of a list, in an app or an organization.
pub(crate) struct MachineFilter<'a> {
    include_deleted: bool,
    region: Option<&'a str>,
    states: Vec<&'a str>,
    metadata: Vec<(&'a str, &'a str)>,
}

impl<'a> MachineFilter<'a> {
    /// Reads the filters from the query parameters.
    ///
    /// # Errors
    /// `400` for a state that cannot be filtered by.
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
            // Asking for destroyed machines by state includes them as well.
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
    let limit = call.query_limit(DEFAULT_EVENTS, MAX_EVENTS)?;
    let machine = find_machine(world, call)?;
    Ok(ApiResponse::ok(json!(
        machine.events.iter().take(limit).collect::<Vec<_>>()
    )))
}

pub(super) fn list_versions(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    Ok(ApiResponse::ok(json!(find_machine(world, call)?.versions)))
}
