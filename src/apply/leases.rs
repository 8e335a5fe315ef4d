//! Leases every machine that a plan changes before the first step runs. Two applies at the same time then never interleave, and
//! a plan that was made against an older version of a machine does not start.

use std::{collections::BTreeMap, time::Duration};

use futures_util::future::join_all;

use super::ApplyEvent;
use crate::{
    clouds::{CloudError, LeaseHolder},
    kinds::{CloudWriters, LeaseTarget, World},
    plan::{Action, Plan},
};

/// Acquires all leases at once, and calls `on_wait` for each that another process holds. Returns whether the plan may be outdated: another
/// process held a lease and may have changed things that the plan does not know of, or a machine was changed or destroyed since the
/// plan was made.
///
/// # Errors
/// When a lease is held for longer than `timeout`. All leases are released in that case.
pub(super) async fn acquire_leases(
    plan: &Plan,
    clouds: &CloudWriters,
    world: &World,
    timeout: Duration,
    on_wait: impl Fn(ApplyEvent),
) -> Result<bool, CloudError> {
    let mut wanted: BTreeMap<&LeaseTarget, bool> = BTreeMap::new();
    // For each machine, whether it must still exist: if the plan only deletes it, it may be gone already.
    for step in plan.steps() {
        if let Some(target) = &step.lease_target {
            *wanted.entry(target).or_default() |= step.action != Action::Delete;
        }
    }
    let acquired = wanted.into_iter().map(|(target, must_exist)| {
        acquire_lease(target, must_exist, clouds, world, timeout, &on_wait)
    });
    let acquired: Result<Vec<bool>, CloudError> = join_all(acquired).await.into_iter().collect();
    if acquired.is_err() {
        clouds.fly.leases().release_all().await;
    }
    Ok(acquired?.contains(&true))
}

/// Acquires one lease; returns whether it had to wait for it, or the machine is no longer what the plan was made for.
async fn acquire_lease(
    target: &LeaseTarget,
    must_exist: bool,
    clouds: &CloudWriters,
    world: &World,
    timeout: Duration,
    on_wait: impl Fn(ApplyEvent),
) -> Result<bool, CloudError> {
    let LeaseTarget { app, id, version } = target;
    let Some(app) = world.fly_app.get(app) else {
        // The app is created by this plan, so the machine cannot exist yet.
        return Ok(false);
    };
    let on_wait = |holder: LeaseHolder| {
        on_wait(ApplyEvent::WaitingForLease {
            app: app.name.clone(),
            machine: id.clone(),
            holder: holder.description,
            expires_at: holder.expires_at,
        });
    };
    let leases = clouds.fly.leases();
    match leases
        .acquire_or_wait(&app.name, id, timeout, on_wait)
        .await
    {
        Err(error) if error.is_not_found() && !must_exist => Ok(false),
        Err(error) if error.is_not_found() => Ok(true),
        Err(error) => Err(error),
        // Not every answer names the version. Then the update itself fails when the version is an old one.
        Ok(lease) if lease.version == *version || lease.version.is_empty() => Ok(lease.had_to_wait),
        Ok(_) => Ok(true),
    }
}
