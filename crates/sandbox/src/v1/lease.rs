//! `…/lease`: the right to change a machine, for a while.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Route, machines, route};
use crate::answer::{Answer, Call, Refusal, Reply};
use crate::clock;
use crate::ids;
use crate::machine::{Lease, Machine};
use crate::world::World;

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
pub(super) fn guard(machine: &Machine, call: &Call, now: i64) -> Result<(), Refusal> {
    match (active(machine, now), &call.nonce) {
        (Some(lease), Some(nonce)) if lease.nonce == *nonce => Ok(()),
        (Some(lease), _) => Err(conflict(machine, lease)),
        (None, Some(_)) => Err(lease_error(
            409,
            &format!("machine ID {} lease not found", machine.id),
        )),
        (None, None) => Ok(()),
    }
}

/// The lease in force.
pub(super) fn active(machine: &Machine, now: i64) -> Option<&Lease> {
    machine
        .lease
        .as_ref()
        .filter(|lease| lease.expires_ms > now)
}

/// A new lease.
pub(super) fn grant(
    draw: &[u8; 32],
    call: &Call,
    description: String,
    ttl_s: i64,
    now: i64,
) -> Lease {
    Lease {
        nonce: ids::hex(&draw[..6]),
        owner: call.who.email(),
        description,
        expires_ms: now.saturating_add(ttl_s.saturating_mul(1000)),
    }
}

/// Leases have an error shape of their own: `message`, not `error`.
fn lease_error(status: u16, message: &str) -> Refusal {
    Refusal {
        status,
        body: json!({ "status": "error", "message": message, "code": "invalid" }),
    }
}

fn conflict(machine: &Machine, lease: &Lease) -> Refusal {
    let expires = clock::seconds(lease.expires_ms)
        .replace('T', " ")
        .replace('Z', " +0000 UTC");
    let (id, owner) = (&machine.id, &lease.owner);
    lease_error(
        409,
        &format!("machine ID {id} lease currently held by {owner}, expires at {expires}"),
    )
}

fn missing() -> Refusal {
    lease_error(404, "lease not found")
}

fn envelope(machine: &Machine, lease: &Lease) -> Value {
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

fn show(world: &mut World, call: &Call) -> Reply {
    let machine = machines::find(world, call)?;
    let lease = active(machine, world.now).ok_or_else(missing)?;
    Ok(Answer::ok(envelope(machine, lease)))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Acquire {
    ttl: Option<i64>,
    description: Option<String>,
}

/// Takes a lease, or with its nonce extends it; the nonce stays the same then.
fn acquire(world: &mut World, call: &Call) -> Reply {
    let request: Acquire = call.body()?;
    let ttl = call
        .number("ttl")?
        .or(request.ttl)
        .filter(|ttl| *ttl != 0)
        .unwrap_or(DEFAULT_TTL_S);
    if ttl < 0 {
        return Err(Refusal::invalid("invalid ttl"));
    }
    let now = world.now;
    machines::find_mut(world, call)?;
    let draw = world.app_mut(call)?.draw("lease");
    let machine = machines::find_mut(world, call)?;
    let held = active(machine, now).cloned();
    let lease = match (held, &call.nonce) {
        (Some(lease), Some(nonce)) if lease.nonce == *nonce => Lease {
            expires_ms: now.saturating_add(ttl.saturating_mul(1000)),
            ..lease
        },
        (Some(lease), _) => return Err(conflict(machine, &lease)),
        (None, Some(_)) => return Err(missing()),
        (None, None) => grant(
            &draw,
            call,
            request.description.unwrap_or_default(),
            ttl,
            now,
        ),
    };
    machine.lease = Some(lease.clone());
    Ok(Answer::json(201, envelope(machine, &lease)))
}

fn release(world: &mut World, call: &Call) -> Reply {
    let now = world.now;
    let machine = machines::find_mut(world, call)?;
    let lease = active(machine, now).ok_or_else(missing)?;
    if call.nonce.as_ref() != Some(&lease.nonce) {
        return Err(conflict(machine, lease));
    }
    machine.lease = None;
    Ok(Answer::ok(
        json!({ "status": "success", "data": { "ok": true } }),
    ))
}
