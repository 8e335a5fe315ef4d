//! The lock of an environment: taken once a plan is agreed to, and before anything is written.

use std::{sync::Arc, time::Instant};

use super::{
    CommandContext, CommandError, clock, progress::ProgressArgs, run_identity, session::Session,
};
use crate::{
    apply::ApplyOptions,
    clouds::aws::AwsWriter,
    kinds::{EnvironmentMeta, World},
    lock::{self, LockLocation, LockRecord, LockTimings},
};

/// Where an environment's lock is; nothing when it has none.
pub(super) fn lock_place(meta: &EnvironmentMeta) -> Option<LockLocation> {
    let (bucket, region) = meta.aws.as_ref()?.lock_bucket.clone()?;
    Some(LockLocation {
        bucket,
        region,
        mark: meta.mark.clone(),
    })
}

/// What became of the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LockOutcome {
    /// There is none.
    NoLock,
    /// It was free.
    Acquired,
    /// Somebody else had it first.
    AcquiredAfterWait,
}

/// Takes the lock, if there is one, and says for whom it waits. The session gives it back. Where the bucket is not there yet
/// there is none, and a bucket that somebody else owns is not written to.
pub(super) async fn acquire_lock(
    context: &CommandContext<'_>,
    session: &Session,
    world: &World,
    show: &ProgressArgs,
    command: &str,
) -> Result<LockOutcome, CommandError> {
    let (desired, Some(aws)) = (&session.loaded.desired, &session.readers.aws) else {
        return Ok(LockOutcome::NoLock);
    };
    let Some(place) = lock_place(&desired.meta) else {
        return Ok(LockOutcome::NoLock);
    };
    if let Some((key, _)) = desired
        .aws_bucket
        .iter()
        .find(|(_, spec)| spec.name == place.bucket)
    {
        let claimed = world
            .findings
            .ownership_conflicts
            .iter()
            .any(|claim| claim.address.name() == key);
        if claimed || !world.aws_bucket.contains_key(key) {
            return Ok(LockOutcome::NoLock);
        }
    }
    let who = run_identity::lock_holder(command, &place.mark.environment, &context.environment)?;
    let terms = LockTimings::at_speed(session.speed);
    // A time that the user gave counts as it is; the default must outlast a run that died.
    let patience = if show.wait_timeout() == ApplyOptions::DEFAULT_LOCK_TIMEOUT {
        terms.acquire_timeout
    } else {
        show.wait_timeout()
    };
    // Whoever has a deadline does not wait beyond it.
    let left = show
        .deadline_at(session.started_at)
        .map(|until| until.saturating_duration_since(Instant::now()));
    let patience = left.map_or(patience, |left| patience.min(left.mul_f64(session.speed)));
    let mut waited = false;
    let waiting = |record: &LockRecord, until: jiff::Timestamp| {
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
        show.print_notice(context, "waiting", &text);
    };
    let terms = LockTimings {
        acquire_timeout: patience,
        ..terms
    };
    let lease = lock::acquire(
        &AwsWriter::new(aws.clone()),
        &place,
        &who,
        terms,
        clock::current_time,
        waiting,
    )
    .await?;
    session.store_lock(Arc::new(lease));
    Ok(if waited {
        LockOutcome::AcquiredAfterWait
    } else {
        LockOutcome::Acquired
    })
}
