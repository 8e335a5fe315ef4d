//! The right to change: every machine that a plan changes is leased before its first step, so that two runs at the same
//! time never mix, and a plan that is no longer true is not begun.

use std::{collections::BTreeMap, time::Duration};

use futures_util::future::join_all;

use crate::{
    clouds::{CloudError, ErrorKind},
    kinds::{CloudWriters, LeaseTarget, World},
    plan::{Action, Plan},
};

/// Takes all leases at once; gives those back that were taken when one cannot be had. Says whether somebody else held one
/// first: what that run did is not in the plan.
///
/// # Errors
/// When another holds one for longer than `patience`, or a machine has changed, or gone, since the plan was made.
pub(super) async fn acquire_leases(
    plan: &Plan,
    clouds: &CloudWriters,
    world: &World,
    patience: Duration,
) -> Result<bool, CloudError> {
    let mut wanted: BTreeMap<&LeaseTarget, bool> = BTreeMap::new();
    for step in plan.steps() {
        if let Some(leased) = &step.lease_target {
            *wanted.entry(leased).or_default() |= step.action != Action::Delete;
        }
    }
    let taken = wanted
        .into_iter()
        .map(|(leased, stays)| acquire_lease(leased, stays, clouds, world, patience));
    let taken: Result<Vec<bool>, CloudError> = join_all(taken).await.into_iter().collect();
    if taken.is_err() {
        clouds.fly.leases().release_all().await;
    }
    Ok(taken?.contains(&true))
}

async fn acquire_lease(
    leased: &LeaseTarget,
    stays: bool,
    clouds: &CloudWriters,
    world: &World,
    patience: Duration,
) -> Result<bool, CloudError> {
    let LeaseTarget { app, id, version } = leased;
    let Some(app) = world.fly_app.get(app) else {
        return Ok(false);
    };
    let stale = |what: String| {
        let doing = format!("begin with machine {id} of {}", app.name);
        CloudError::new(
            doing,
            ErrorKind::Conflict,
            format!("since the plan was made {what}"),
        )
    };
    match clouds.fly.leases().acquire(&app.name, id, patience).await {
        Err(error) if error.is_not_found() && !stays => Ok(false),
        Err(error) if error.is_not_found() => Err(stale("it was destroyed".to_owned())),
        Err(error) => Err(error),
        Ok(held) if held.version == *version || held.version.is_empty() => Ok(held.had_to_wait),
        Ok(held) => Err(stale(format!(
            "it was changed: its version is {}",
            held.version
        ))),
    }
}
