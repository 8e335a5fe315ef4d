//! The right to change: every machine that a plan changes is leased before its first step, so that two runs at the same
//! time never mix, and a plan that is no longer true is not begun.

use std::{collections::BTreeSet, time::Duration};

use futures_util::future::join_all;

use crate::{
    clouds::{CloudError, Clouds, Trouble},
    kinds::{Leased, World},
    plan::Plan,
};

/// Takes all leases at once; gives those back that were taken when one cannot be had.
///
/// # Errors
/// When another holds one for longer than `patience`, or a machine has changed since the plan was made.
pub(super) async fn take(
    plan: &Plan,
    clouds: &Clouds,
    world: &World,
    patience: Duration,
) -> Result<(), CloudError> {
    let wanted: BTreeSet<&Leased> = plan.steps().filter_map(|step| step.lease.as_ref()).collect();
    let taken = join_all(wanted.into_iter().map(|leased| one(leased, clouds, world, patience))).await;
    let taken: Result<(), CloudError> = taken.into_iter().collect();
    if taken.is_err() {
        clouds.fly.leases().release_all().await;
    }
    taken
}

async fn one(leased: &Leased, clouds: &Clouds, world: &World, patience: Duration) -> Result<(), CloudError> {
    let Leased { app, id, version } = leased;
    let Some(app) = world.fly_app.get(app) else { return Ok(()) };
    match clouds.fly.leases().acquire(&app.name, id, patience).await {
        // One that is gone needs no lease; its step finds out what that means.
        Err(error) if error.is_not_found() => Ok(()),
        Err(error) => Err(error),
        Ok(held) if held.version == *version || held.version.is_empty() => Ok(()),
        Ok(held) => {
            let doing = format!("begin with machine {id} of {}", app.name);
            let waited = if held.waited { ", while somebody else held its lease" } else { "" };
            let what =
                format!("it has changed since the plan was made{waited}: its version is {}", held.version);
            Err(CloudError::new(doing, Trouble::Conflict, what))
        }
    }
}
