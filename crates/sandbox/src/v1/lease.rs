//! `…/lease`: the right to change a machine, for a while.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Route, machines, route};
use crate::api::{ApiCall, ApiError, ApiResponse, ApiResult};
use crate::clock;
use crate::ids;
use crate::machine::{Lease, Machine};
use crate::world::SimulatedWorld;

/// How long a lease lasts that asks for nothing.
const DEFAULT_TTL_S: i64 = 60;

pub(super) fn routes() -> [Route; 3] {
    [
        route("GET", "/v1/apps/{app}/machines/{machine}/lease", show),
        route("POST", "/v1/apps/{app}/machines/{machine}/lease", acquire),
        route("DELETE", "/v1/apps/{app}/machines/{machine}/lease", release),
    ]
}

/// Lets a call pass that holds the lease, or when there is none.
///
/// # Errors
/// `409` otherwise, also for the nonce of a lease that has run out: whoever sends one believes to be alone. Only a
/// destruction asks for less.
pub(super) fn check_lease(machine: &Machine, call: &ApiCall, now: i64) -> Result<(), ApiError> {
    match (active_lease(machine, now), &call.lease_nonce) {
        (Some(lease), Some(nonce)) if lease.nonce == *nonce => Ok(()),
        (Some(lease), _) => Err(lease_conflict(machine, lease)),
        (None, Some(_)) => Err(lease_error(
            409,
            &format!("machine ID {} lease not found", machine.id),
        )),
        (None, None) => Ok(()),
    }
}

/// The lease in force.
pub(super) fn active_lease(machine: &Machine, now: i64) -> Option<&Lease> {
    machine
        .lease
        .as_ref()
        .filter(|lease| lease.expires_ms > now)
}

/// A new lease.
pub(super) fn new_lease(
    draw: &[u8; 32],
    call: &ApiCall,
    description: String,
    ttl_s: i64,
    now: i64,
) -> Lease {
    Lease {
        nonce: ids::hex(&draw[..6]),
        owner: call.caller.email(),
        description,
        expires_ms: now.saturating_add(ttl_s.saturating_mul(1000)),
    }
}

/// Leases have an error shape of their own: `message`, not `error`.
fn lease_error(status: u16, message: &str) -> ApiError {
    ApiError {
        status,
        body: json!({ "status": "error", "message": message, "code": "invalid" }),
    }
}

fn lease_conflict(machine: &Machine, lease: &Lease) -> ApiError {
    let expires = clock::format_seconds(lease.expires_ms)
        .replace('T', " ")
        .replace('Z', " +0000 UTC");
    let (id, owner) = (&machine.id, &lease.owner);
    lease_error(
        409,
        &format!("machine ID {id} lease currently held by {owner}, expires at {expires}"),
    )
}

fn lease_not_found() -> ApiError {
    lease_error(404, "lease not found")
}

fn lease_view(machine: &Machine, lease: &Lease) -> Value {
    json!({
        "status": "success",
        "data": {
            "nonce": lease.nonce,
            "expires_at": lease.expires_ms.div_euclid(1000),
            "owner": lease.owner,
            "description": lease.description,
            "version": machine.instance_id,
        },
    })
}

fn show(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    let machine = machines::find_machine(world, call)?;
    let lease = active_lease(machine, world.now_ms).ok_or_else(lease_not_found)?;
    Ok(ApiResponse::ok(lease_view(machine, lease)))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct AcquireLeaseRequest {
    ttl: Option<i64>,
    description: Option<String>,
}

/// Takes a lease, or with its nonce extends it; the nonce stays the same then.
fn acquire(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    let request: AcquireLeaseRequest = call.body()?;
    let ttl = call
        .query_number("ttl")?
        .or(request.ttl)
        .filter(|ttl| *ttl != 0)
        .unwrap_or(DEFAULT_TTL_S);
    if ttl < 0 {
        return Err(ApiError::bad_request("invalid ttl"));
    }
    let now = world.now_ms;
    machines::find_machine_mut(world, call)?;
    let draw = world.app_mut(call)?.next_id_bytes("lease");
    let machine = machines::find_machine_mut(world, call)?;
    let held = active_lease(machine, now).cloned();
    let lease = match (held, &call.lease_nonce) {
        (Some(lease), Some(nonce)) if lease.nonce == *nonce => Lease {
            expires_ms: now.saturating_add(ttl.saturating_mul(1000)),
            ..lease
        },
        (Some(lease), _) => return Err(lease_conflict(machine, &lease)),
        (None, Some(_)) => return Err(lease_not_found()),
        (None, None) => new_lease(
            &draw,
            call,
            request.description.unwrap_or_default(),
            ttl,
            now,
        ),
    };
    machine.lease = Some(lease.clone());
    Ok(ApiResponse::json(201, lease_view(machine, &lease)))
}

fn release(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    let now = world.now_ms;
    let machine = machines::find_machine_mut(world, call)?;
    let lease = active_lease(machine, now).ok_or_else(lease_not_found)?;
    if call.lease_nonce.as_ref() != Some(&lease.nonce) {
        return Err(lease_conflict(machine, lease));
    }
    machine.lease = None;
    Ok(ApiResponse::ok(
        json!({ "status": "success", "data": { "ok": true } }),
    ))
}
