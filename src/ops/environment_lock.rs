//! The environment lock in an operation: taken after the plan was confirmed, and before anything is written.

use std::time::{Duration, Instant};

use super::{Event, Frontend, OperationError, Workspace, error::RUN_AGAIN};
use crate::{
    clouds::aws::AwsWriter,
    kinds::{EnvironmentMeta, World},
    lock::{self, LockError, LockErrorKind, LockLocation, LockRecord, LockTimings},
    plan::Refusal,
};

/// How long an operation that the user has stopped may take to release the lock. It is not scaled by the sandbox's speed, since
/// network latency is not.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(2);

/// Releases the lock, if this run holds it. After a signal that takes two seconds at most; the lock then expires by itself.
pub(super) async fn release<F: Frontend>(workspace: &Workspace, frontend: &F) {
    let is_late = async {
        frontend.interrupted().await;
        tokio::time::sleep(RELEASE_TIMEOUT).await;
    };
    tokio::select! {
        () = workspace.release_lock() => {}
        () = is_late => tracing::warn!("the lock was not released in time and expires by itself"),
    }
}

/// Where the lock of an environment is; nothing when the environment has no bucket for it.
#[must_use]
pub fn lock_location(meta: &EnvironmentMeta) -> Option<LockLocation> {
    let (bucket, region) = meta.aws.as_ref()?.lock_bucket.clone()?;
    Some(LockLocation {
        bucket,
        region,
        mark: meta.mark.clone(),
    })
}

/// How the lock was acquired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LockOutcome {
    /// The environment has no lock, or its bucket does not exist yet.
    NoLock,
    /// It was free.
    Acquired,
    /// Another run held it first.
    AcquiredAfterWait,
    /// Its bucket was there at the first look, and another run has deleted it since.
    BucketGone,
}

/// Acquires the environment lock, if there is one. The workspace keeps it until
/// [`release_lock`](Workspace::release_lock).
pub(super) async fn acquire<F: Frontend>(
    workspace: &Workspace,
    world: &World,
    command: &str,
    wait_timeout: Duration,
    deadline: Option<Instant>,
    frontend: &F,
) -> Result<LockOutcome, OperationError> {
    let (Some(location), Some(aws)) = (
        lock_location(&workspace.desired().meta),
        &workspace.readers.aws,
    ) else {
        return Ok(LockOutcome::NoLock);
    };
    if world.findings.unreadable_buckets.contains(&location.bucket) {
        return Err(OperationError::Refused(vec![unreadable_lock(&location)]));
    }
    if !is_usable(workspace, world, &location) {
        return Ok(LockOutcome::NoLock);
    }
    let holder = workspace
        .options
        .identity
        .lock_holder(command, &location.mark.environment)?;
    let timings = timings(workspace.speed(), wait_timeout, deadline);
    let mut waited = false;
    let on_wait = |record: &LockRecord, available_at: jiff::Timestamp| {
        waited = true;
        frontend.notify(Event::WaitingForLock {
            record,
            available_at,
        });
    };
    let writer = AwsWriter::new(aws.clone());
    let clock = workspace.options.wall_clock;
    let acquiring = lock::acquire(&writer, &location, &holder, timings, clock, on_wait);
    let acquired = tokio::select! {
        acquired = acquiring => acquired,
        () = frontend.interrupted() => {
            // The dropped acquisition may have written the lock.
            let releasing = lock::release_abandoned(&writer, &location, &holder.nonce, clock);
            match tokio::time::timeout(RELEASE_TIMEOUT, releasing).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!(%error, "the lock may be held until it expires"),
                Err(_) => tracing::warn!("the lock may be held until it expires"),
            }
            return Err(OperationError::incomplete(
                "stopped by a signal before the lock was there, and nothing was begun under it",
                RUN_AGAIN,
            ));
        }
    };
    let lease = match acquired {
        Err(error) if is_bucket_gone(workspace, &error) => return Ok(LockOutcome::BucketGone),
        acquired => acquired?,
    };
    workspace.store_lock(lease);
    Ok(if waited {
        LockOutcome::AcquiredAfterWait
    } else {
        LockOutcome::Acquired
    })
}

/// The refusal of a run that may not look at the bucket of its lock: another run may hold it.
fn unreadable_lock(location: &LockLocation) -> Refusal {
    let bucket = &location.bucket;
    Refusal {
        address: None,
        reason: format!(
            "the lock of this environment is in bucket {bucket}, which these credentials may not see; nothing was changed"
        ),
        hint: format!(
            "use credentials that may; if the bucket's own policy denies them, the account's administrator can take it off: \
             `aws s3api delete-bucket-policy --bucket {bucket}`"
        ),
    }
}

/// Whether the lock's bucket does not exist although the first look saw it. Only a run that destroys the environment deletes
/// it, after everything else. A bucket that is managed elsewhere must exist.
fn is_bucket_gone(workspace: &Workspace, error: &LockError) -> bool {
    let LockErrorKind::BucketNotFound(bucket) = &error.kind else {
        return false;
    };
    let mut buckets = workspace.desired().aws_bucket.values();
    buckets.any(|spec| spec.name == *bucket)
}

/// Whether the lock's bucket can hold the lock now. A bucket of the manifest that does not exist yet has no lock, and one
/// that somebody else owns is not written to.
fn is_usable(workspace: &Workspace, world: &World, location: &LockLocation) -> bool {
    let mut buckets = workspace.desired().aws_bucket.iter();
    let Some((key, _)) = buckets.find(|(_, spec)| spec.name == location.bucket) else {
        return true;
    };
    let mut conflicts = world.findings.ownership_conflicts.iter();
    world.aws_bucket.contains_key(key) && !conflicts.any(|conflict| conflict.address.name() == key)
}

/// How long to wait for the lock. A timeout that the user gave counts as it is; the default must outlast the lock of a run
/// that was killed. Nobody waits beyond the deadline.
fn timings(speed: f64, wait_timeout: Duration, deadline: Option<Instant>) -> LockTimings {
    let defaults = LockTimings::at_speed(speed);
    let timeout = if wait_timeout == LockTimings::DEFAULT_ACQUIRE_TIMEOUT {
        defaults.acquire_timeout
    } else {
        wait_timeout
    };
    let remaining = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
    LockTimings {
        acquire_timeout: remaining.map_or(timeout, |left| timeout.min(left.mul_f64(speed))),
        ..defaults
    }
}
