//! The lock of an environment: taken once a plan is agreed to, and before anything is written.

use std::{sync::Arc, time::Instant};

use super::{Context, Failure, clock, holder, progress::Show, session::Session};
use crate::{
    apply::Conduct,
    clouds::aws::{
        Writer,
        lock::{self, Place, Record, Terms},
    },
    kinds::{Meta, World},
};

/// Where an environment's lock is; nothing when it has none.
pub(super) fn place(meta: &Meta) -> Option<Place> {
    let (bucket, region) = meta.aws.as_ref()?.lock.clone()?;
    Some(Place {
        bucket,
        region,
        mark: meta.mark.clone(),
    })
}

/// What became of the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// There is none.
    None,
    /// It was free.
    Free,
    /// Somebody else had it first.
    Waited,
}

/// Takes the lock, if there is one, and says for whom it waits. The session gives it back. Where the bucket is not there yet
/// there is none, and a bucket that somebody else owns is not written to.
pub(super) async fn take(
    context: &Context<'_>,
    session: &Session,
    world: &World,
    show: &Show,
    command: &str,
) -> Result<Taken, Failure> {
    let (desired, Some(aws)) = (&session.loaded.desired, &session.readers.aws) else {
        return Ok(Taken::None);
    };
    let Some(place) = place(&desired.meta) else {
        return Ok(Taken::None);
    };
    if let Some((key, _)) = desired
        .aws_bucket
        .iter()
        .find(|(_, spec)| spec.name == place.bucket)
    {
        let claimed = world
            .found
            .claims
            .iter()
            .any(|claim| claim.address.name() == key);
        if claimed || !world.aws_bucket.contains_key(key) {
            return Ok(Taken::None);
        }
    }
    let who = holder::locker(command, &place.mark.environment, &context.environment)?;
    let terms = Terms::at_speed(session.speed);
    // A time that the user gave counts as it is; the default must outlast a run that died.
    let patience = if show.patience() == Conduct::PATIENCE {
        terms.patience
    } else {
        show.patience()
    };
    // Whoever has a deadline does not wait beyond it.
    let left = show
        .until(session.begun)
        .map(|until| until.saturating_duration_since(Instant::now()));
    let patience = left.map_or(patience, |left| patience.min(left.mul_f64(session.speed)));
    let mut waited = false;
    let waiting = |record: &Record, until: jiff::Timestamp| {
        waited = true;
        let text = match record.unlocked {
            false => format!(
                "Waiting for the lock: {record} has it, until {until:.0} unless it is renewed."
            ),
            true => {
                format!(
                    "Waiting for the lock: that of {record} was ended, and is free after {until:.0}."
                )
            }
        };
        show.say_aside(context, "waiting", &text);
    };
    let terms = Terms { patience, ..terms };
    let lease = lock::take(
        &Writer::new(aws.clone()),
        &place,
        &who,
        terms,
        clock::wall,
        waiting,
    )
    .await?;
    session.keep(Arc::new(lease));
    Ok(if waited { Taken::Waited } else { Taken::Free })
}
