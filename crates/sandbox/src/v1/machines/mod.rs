//! `/v1/apps/{app}/machines`: virtual machines, their life and their history.

mod create;
mod exec;
mod life;
mod metadata;
mod read;
mod update;
mod view;
mod wait;

pub(crate) use read::Filter;
pub(crate) use view::{checks, overview};

use super::{Handler, Identifier, Rate, Route, lease, route};
use crate::answer::{Call, Refusal};
use crate::machine::{Machine, State};
use crate::world::{App, World};

pub(super) fn routes() -> Vec<Route> {
    let waits = Handler::Waits(wait::wait);
    let mut all = vec![
        route("GET", "/v1/apps/{app}/machines", read::list),
        route("POST", "/v1/apps/{app}/machines", create::create),
        route("GET", "/v1/apps/{app}/machines/{machine}", read::show)
            .rated(Rate::GET_MACHINE, Identifier::Path),
        route("POST", "/v1/apps/{app}/machines/{machine}", update::update),
        route("DELETE", "/v1/apps/{app}/machines/{machine}", life::destroy),
        route(
            "POST",
            "/v1/apps/{app}/machines/{machine}/start",
            life::start,
        ),
        route("POST", "/v1/apps/{app}/machines/{machine}/stop", life::stop),
        route(
            "POST",
            "/v1/apps/{app}/machines/{machine}/restart",
            life::restart,
        ),
        route(
            "POST",
            "/v1/apps/{app}/machines/{machine}/suspend",
            life::suspend,
        ),
        route(
            "POST",
            "/v1/apps/{app}/machines/{machine}/signal",
            life::signal,
        ),
        route(
            "POST",
            "/v1/apps/{app}/machines/{machine}/cordon",
            life::cordon,
        ),
        route(
            "POST",
            "/v1/apps/{app}/machines/{machine}/uncordon",
            life::uncordon,
        ),
        Route {
            handler: waits,
            ..route("GET", "/v1/apps/{app}/machines/{machine}/wait", read::show)
        },
        route(
            "GET",
            "/v1/apps/{app}/machines/{machine}/events",
            read::events,
        ),
        route(
            "GET",
            "/v1/apps/{app}/machines/{machine}/versions",
            read::versions,
        ),
    ];
    all.extend(metadata::routes());
    all.extend(exec::routes());
    all
}

/// The machine a call names.
///
/// # Errors
/// As [`World::app`], and `404`.
pub(super) fn find<'a>(world: &'a World, call: &Call) -> Result<&'a Machine, Refusal> {
    world.app(call)?.machine(call.param("machine"))
}

/// The machine a call wants to change, which must still be there, on a host that answers.
///
/// # Errors
/// As [`find`]; `503` when its host is unreachable.
pub(super) fn find_mut<'a>(world: &'a mut World, call: &Call) -> Result<&'a mut Machine, Refusal> {
    let machine = find(world, call)?;
    if machine.state == State::Destroyed {
        return Err(Refusal::not_found("machine"));
    }
    if machine.host_status != "ok" {
        return Err(Refusal::new(
            503,
            "unavailable: the host of this machine is unreachable",
        ));
    }
    in_app(world.app_mut(call)?, call.param("machine"))
}

/// The same, if nobody else holds a lease on it.
///
/// # Errors
/// As [`find_mut`]; `409` when the lease is another's.
pub(super) fn find_unleased<'a>(
    world: &'a mut World,
    call: &Call,
) -> Result<&'a mut Machine, Refusal> {
    let now = world.now;
    let machine = find_mut(world, call)?;
    lease::guard(machine, call, now)?;
    Ok(machine)
}

fn in_app<'a>(app: &'a mut App, id: &str) -> Result<&'a mut Machine, Refusal> {
    app.machines
        .get_mut(id)
        .ok_or_else(|| Refusal::not_found("machine"))
}
