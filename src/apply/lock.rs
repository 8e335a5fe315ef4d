//! The lock of an environment: where it has a bucket, two runs never carry anything out at the same time, machines or not.
//! Leases on machines are taken as well, since other tools know those.

use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc::UnboundedSender;

use super::{Conduct, Event, Failure};
use crate::clouds::{
    CloudError, Clouds,
    aws::lock::{self, Lease, LockError, Place, Terms, Who},
};

/// How much time must be left on the lock when a step begins, by the server's clock: a request and its retries.
const MARGIN: Duration = Duration::from_secs(20);

/// Which lock a run takes, and as whom.
#[derive(Clone, Debug)]
pub struct Lock {
    /// Where it is.
    pub place: Place,
    /// Who takes it.
    pub who: Who,
    /// The local clock, which is only asked whether the machine was asleep.
    pub wall: fn() -> Timestamp,
}

/// A lock that was taken.
#[derive(Debug)]
pub(super) struct Held {
    lease: Lease,
    /// Whether somebody else had it first: what that run did is not in the plan.
    pub(super) waited: bool,
}

impl Held {
    /// Makes sure that it is still ours.
    ///
    /// # Errors
    /// When it is lost.
    pub(super) async fn confirm(&self) -> Result<(), CloudError> {
        Ok(self.lease.confirm(MARGIN).await?)
    }

    /// Ends when the lock is lost.
    pub(super) async fn lost(&self) {
        self.lease.over().cancelled().await;
    }

    /// Gives it back. What is not given back runs out by itself.
    pub(super) async fn release(&self) {
        if let Err(error) = self.lease.release().await {
            tracing::warn!(%error, "the lock was not given back");
        }
    }
}

/// Takes the lock, if the environment has one.
///
/// # Errors
/// When somebody else does not let go in time, or the store is unfit.
pub(super) async fn take(
    clouds: &Clouds,
    conduct: &Conduct,
    events: &UnboundedSender<Event>,
) -> Result<Option<Held>, Failure> {
    let Some(Lock { place, who, wall }) = &conduct.lock else { return Ok(None) };
    let terms = Terms { patience: conduct.patience, ..Terms::at_speed(conduct.speed) };
    let mut waited = false;
    let waiting = |record: &lock::Record, until: Timestamp| {
        waited = true;
        // Nobody listening is no reason to stop waiting.
        drop(events.send(Event::Waiting { holder: record.to_string(), until: until.to_string() }));
    };
    let writer = clouds.aws().map_err(|error| Failure::from(&error))?;
    let taken = lock::take(writer, place, who, terms, *wall, waiting).await;
    match taken {
        Ok(lease) => Ok(Some(Held { lease, waited })),
        Err(error) => Err(failure(&error)),
    }
}

fn failure(error: &LockError) -> Failure {
    Failure { reason: error.to_string(), request_id: None, hint: error.hint() }
}
