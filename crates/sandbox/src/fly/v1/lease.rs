//! `…/lease`: leases, which give one client the exclusive right to change a machine for a limited
//! time.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Route, machines, route};
use crate::api::{ApiCall, ApiError, ApiResponse, ApiResult};
use crate::clock;
use crate::fly::machine::{Lease, Machine};
use crate::ids;
use crate::world::SimulatedWorld;

/// The lifetime of a lease when the request names none, in seconds.
const DEFAULT_TTL_S: i64 = 60;
/// The longest lifetime, in seconds. Fly's limit is not documented; a lease of more than a day would
/// outlive every client, and its end must fit into a date.
const MAX_TTL_S: i64 = 86_400;

pub(super) fn routes() -> [Route; 3] {
    [
        route("GET", "/v1/apps/{app}/machines/{machine}/lease", show),
        route("POST", "/v1/apps/{app}/machines/{machine}/lease", acquire),
        route("DELETE", "/v1/apps/{app}/machines/{machine}/lease", release),
    ]
}

/// Checks that no other client holds a lease on the machine.
///
/// # Errors
/// `409` when the nonce is not that of the active lease, even if the lease has expired: a client
/// that sends a nonce relies on being the only one. Only `destroy` tolerates an expired one.
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

/// The lease, unless it has expired.
pub(super) fn active_lease(machine: &Machine, now: i64) -> Option<&Lease> {
    machine
        .lease
        .as_ref()
        .filter(|lease| lease.expires_ms > now)
}

/// The lifetime that a request names; zero counts as none.
///
/// # Errors
/// `400` when it is negative or too long.
pub(super) fn checked_ttl(ttl_s: Option<i64>) -> Result<Option<i64>, ApiError> {
    match ttl_s.filter(|ttl| *ttl != 0) {
        Some(ttl) if !(1..=MAX_TTL_S).contains(&ttl) => Err(ApiError::bad_request("invalid ttl")),
        ttl => Ok(ttl),
    }
}

/// A new lease.
pub(super) fn new_lease(
    bytes: &[u8; 32],
    call: &ApiCall,
    description: String,
    ttl_s: i64,
    now: i64,
) -> Lease {
    Lease {
        nonce: ids::hex(&bytes[..6]),
        owner: call.caller.email(),
        description,
        expires_ms: now + ttl_s * 1000,
    }
}

/// Errors of leases have their own format: `message` in place of `error`.
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

/// Acquires a lease, or extends the one whose nonce the call carries; the nonce stays the same.
fn acquire(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    let request: AcquireLeaseRequest = call.body()?;
    let ttl = checked_ttl(call.query_number("ttl")?.or(request.ttl))?.unwrap_or(DEFAULT_TTL_S);
    let now = world.now_ms;
    // Checked before an id is generated, so that a failed call changes nothing.
    machines::find_machine_mut(world, call)?;
    let bytes = world.app_mut(call)?.next_id_bytes("lease");
    let machine = machines::find_machine_mut(world, call)?;
    let active = active_lease(machine, now).cloned();
    let lease = match (active, &call.lease_nonce) {
        (Some(lease), Some(nonce)) if lease.nonce == *nonce => Lease {
            expires_ms: now + ttl * 1000,
            ..lease
        },
        (Some(lease), _) => return Err(lease_conflict(machine, &lease)),
        (None, Some(_)) => return Err(lease_not_found()),
        (None, None) => new_lease(
            &bytes,
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
