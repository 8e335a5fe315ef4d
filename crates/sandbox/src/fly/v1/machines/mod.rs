//! `/v1/apps/{app}/machines`: machines, their lifecycle and their history.

mod create;
mod exec;
mod inside;
mod lifecycle;
mod metadata;
mod read;
mod update;
mod view;
mod wait;

pub(crate) use exec::{output_view, timed_out};
pub(crate) use read::MachineFilter;
pub(crate) use view::{check_results, org_list_view};

use super::{Route, RouteHandler, lease, route};
use crate::api::{ApiCall, ApiError};
use crate::fly::machine::{Machine, MachineState};
use crate::world::{App, SimulatedWorld};

pub(super) fn routes() -> Vec<Route> {
    let waits = RouteHandler::LongPoll(wait::wait);
    let mut all = vec![
        route("GET", "/v1/apps/{app}/machines", read::list),
        route("POST", "/v1/apps/{app}/machines", create::create),
        route("GET", "/v1/apps/{app}/machines/{machine}", read::show),
        route("POST", "/v1/apps/{app}/machines/{machine}", update::update),
        route(
            "DELETE",
            "/v1/apps/{app}/machines/{machine}",
            lifecycle::destroy,
        ),
        route(
            "POST",
            "/v1/apps/{app}/machines/{machine}/start",
            lifecycle::start,
        ),
        route(
            "POST",
            "/v1/apps/{app}/machines/{machine}/stop",
            lifecycle::stop,
        ),
        route(
            "POST",
            "/v1/apps/{app}/machines/{machine}/restart",
            lifecycle::restart,
        ),
        route(
            "POST",
            "/v1/apps/{app}/machines/{machine}/suspend",
            lifecycle::suspend,
        ),
        route(
            "POST",
            "/v1/apps/{app}/machines/{machine}/signal",
            lifecycle::signal,
        ),
        route(
            "POST",
            "/v1/apps/{app}/machines/{machine}/cordon",
            lifecycle::cordon,
        ),
        route(
            "POST",
            "/v1/apps/{app}/machines/{machine}/uncordon",
            lifecycle::uncordon,
        ),
        Route {
            handler: waits,
            ..route("GET", "/v1/apps/{app}/machines/{machine}/wait", read::show)
        },
        route(
            "GET",
            "/v1/apps/{app}/machines/{machine}/events",
            read::list_events,
        ),
        route(
            "GET",
            "/v1/apps/{app}/machines/{machine}/versions",
            read::list_versions,
        ),
    ];
    all.extend(metadata::routes());
    all.push(Route {
        handler: RouteHandler::LongPoll(exec::exec),
        ..route("POST", "/v1/apps/{app}/machines/{machine}/exec", read::show)
    });
    all.extend(inside::routes());
    all
}

/// The machine that a call names.
///
/// # Errors
/// As [`SimulatedWorld::app`]; `404` when there is no such machine.
pub(super) fn find_machine<'a>(
    world: &'a SimulatedWorld,
    call: &ApiCall,
) -> Result<&'a Machine, ApiError> {
    world.app(call)?.machine(call.path_param("machine"))
}

/// The machine that a call names, for changing it: it must not be destroyed, and its host must be
/// reachable.
///
/// # Errors
/// As [`find_machine`]; `503` when its host is unreachable.
pub(super) fn find_machine_mut<'a>(
    world: &'a mut SimulatedWorld,
    call: &ApiCall,
) -> Result<&'a mut Machine, ApiError> {
    let machine = find_machine(world, call)?;
    if machine.state == MachineState::Destroyed {
        return Err(ApiError::not_found("machine"));
    }
    if machine.host_status != "ok" {
        return Err(ApiError::new(
            503,
            "unavailable: the host of this machine is unreachable",
        ));
    }
    machine_in_app(world.app_mut(call)?, call.path_param("machine"))
}

/// Like [`find_machine_mut`], if no other client holds a lease on it.
///
/// # Errors
/// As [`find_machine_mut`]; `409` when another client holds the lease.
pub(super) fn find_machine_with_lease<'a>(
    world: &'a mut SimulatedWorld,
    call: &ApiCall,
) -> Result<&'a mut Machine, ApiError> {
    let now = world.now_ms;
    let machine = find_machine_mut(world, call)?;
    lease::check_lease(machine, call, now)?;
    Ok(machine)
}

fn machine_in_app<'a>(app: &'a mut App, id: &str) -> Result<&'a mut Machine, ApiError> {
    app.machines
        .get_mut(id)
        .ok_or_else(|| ApiError::not_found("machine"))
}
