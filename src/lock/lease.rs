//! Holding a lock: renewing it in the background, confirming it before each write, and releasing
//! it. A holder notices that its lock is lost before anybody else can have acquired it.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::Mutex as AsyncMutex, task::AbortHandle};
use tokio_util::sync::CancellationToken;

use super::{
    LockError, LockErrorKind, LockLocation, LockLoss, LockTimings,
    acquire::{RetryBudget, StoredRecord, read_record, write_record},
    clock::{ServerClock, TimeSource},
    record::{LockRecord, saturating_add},
    store::{DeleteOutcome, LockStore, PutOutcome, WriteCondition},
};

/// How uncertain the server time may be when a new expiry is computed from it, see
/// [`LeaseShared::write_renewal`].
const MAX_CLOCK_UNCERTAINTY: Duration = Duration::from_secs(10);

/// A lock that this run holds, in any store; see [`super::LockLease`].
pub(super) struct HeldLock<S, P> {
    shared: Arc<LeaseShared<S, P>>,
    renewal_task: AbortHandle,
}

impl<S, P> fmt::Debug for HeldLock<S, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeldLock")
            .field("state", &self.shared.lock_state())
            .finish_non_exhaustive()
    }
}

/// What the lease and its renewal task share.
pub(super) struct LeaseShared<S, P> {
    store: S,
    clock: ServerClock<P>,
    location: LockLocation,
    timings: LockTimings,
    state: Mutex<LeaseState>,
    /// One renewal at a time: a concurrent one would use an `ETag` that the first one has just
    /// replaced.
    renewal_mutex: AsyncMutex<()>,
    cancellation: CancellationToken,
}

#[derive(Debug)]
struct LeaseState {
    stored: StoredRecord,
    loss: Option<LockLoss>,
}

/// The result of a renewal, if the lock is still ours.
enum RenewalOutcome {
    Renewed,
    /// It failed, and another attempt may succeed.
    Failed(String),
}

impl<S: LockStore, P: TimeSource> HeldLock<S, P> {
    pub(super) fn new(shared: Arc<LeaseShared<S, P>>) -> Self {
        let renewal_task = tokio::spawn(run_renewals(shared.clone())).abort_handle();
        Self {
            shared,
            renewal_task,
        }
    }

    pub(super) fn record(&self) -> LockRecord {
        self.shared.lock_state().stored.record.clone()
    }

    pub(super) fn is_held_for(&self, margin: Duration) -> bool {
        self.shared.is_held_for(margin)
    }

    pub(super) fn cancellation_token(&self) -> CancellationToken {
        self.shared.cancellation.clone()
    }

    pub(super) async fn ensure_held_for(&self, margin: Duration) -> Result<(), LockError> {
        let mut renewals = 0_u8;
        loop {
            if self.shared.is_held_for(margin) {
                return Ok(());
            }
            match self.shared.renew().await {
                Ok(_) if self.shared.is_held_for(margin) => return Ok(()),
                // The expiry was computed from the previous response, whose server may have been
                // behind. The response to this renewal corrects the clock, so a second renewal is
                // enough.
                Ok(RenewalOutcome::Renewed) if renewals == 0 => renewals = 1,
                Ok(RenewalOutcome::Renewed) => self
                    .shared
                    .mark_lost(LockLoss::NotRenewed("the store is too slow".to_owned())),
                // Not held for `margin`, but still held: there is time to try again.
                Ok(RenewalOutcome::Failed(_)) if self.shared.is_held_for(Duration::ZERO) => {
                    self.shared
                        .clock
                        .time_source()
                        .sleep(self.shared.timings.retry_delay())
                        .await;
                }
                Ok(RenewalOutcome::Failed(error)) => {
                    self.shared.mark_lost(LockLoss::NotRenewed(error));
                }
                Err(loss) => self.shared.mark_lost(loss),
            }
            if let Some(loss) = self.shared.loss() {
                return Err(self.shared.location.error(LockErrorKind::Lost(loss)));
            }
        }
    }

    pub(super) fn location(&self) -> &LockLocation {
        &self.shared.location
    }

    /// Aborts a renewal that is in progress, as [`Self::release`] does.
    pub(super) async fn delete_object(&self) -> Result<(), LockError> {
        self.renewal_task.abort();
        self.shared
            .delete_object()
            .await
            .map_err(|error| self.shared.location.error(error))
    }

    /// Aborts a renewal that is in progress. Its request may still arrive: before the release,
    /// which then finds another `ETag` and reads again, or after it, when its own condition no
    /// longer holds.
    pub(super) async fn release(&self) -> Result<(), LockError> {
        let shared = &self.shared;
        self.renewal_task.abort();
        shared.mark_lost(LockLoss::Released);
        let timeout = shared
            .clock
            .time_source()
            .sleep(shared.timings.renew_interval());
        tokio::select! {
            result = shared.write_release() => result.map_err(|error| shared.location.error(error)),
            () = timeout => Err(shared.location.error(LockErrorKind::ReleaseTimedOut)),
        }
    }
}

impl<S, P> Drop for HeldLock<S, P> {
    fn drop(&mut self) {
        self.renewal_task.abort();
    }
}

impl<S, P> LeaseShared<S, P> {
    fn lock_state(&self) -> MutexGuard<'_, LeaseState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stored(&self) -> StoredRecord {
        self.lock_state().stored.clone()
    }

    /// Ends the lease. Only the first reason is kept.
    fn mark_lost(&self, loss: LockLoss) {
        self.lock_state().loss.get_or_insert(loss);
        self.cancellation.cancel();
    }

    fn loss(&self) -> Option<LockLoss> {
        self.lock_state().loss.clone()
    }
}

impl<S: LockStore, P: TimeSource> LeaseShared<S, P> {
    pub(super) fn new(
        store: S,
        clock: ServerClock<P>,
        location: LockLocation,
        timings: LockTimings,
        stored: StoredRecord,
    ) -> Self {
        let state = Mutex::new(LeaseState { stored, loss: None });
        Self {
            store,
            clock,
            location,
            timings,
            state,
            renewal_mutex: AsyncMutex::default(),
            cancellation: CancellationToken::new(),
        }
    }

    fn is_held_for(&self, margin: Duration) -> bool {
        let state = self.lock_state();
        let expires_at = state.stored.record.expires_at;
        let latest = self
            .clock
            .latest_now()
            .map(|now| saturating_add(now, margin));
        state.loss.is_none() && latest.is_some_and(|now| now < expires_at)
    }

    /// Writes a new expiry, on the condition that nobody has written since. Even a lock that has
    /// expired is renewed, as long as nobody else has acquired it.
    ///
    /// # Errors
    /// When the lock is no longer ours.
    async fn renew(&self) -> Result<RenewalOutcome, LockLoss> {
        let _guard = self.renewal_mutex.lock().await;
        if let Some(loss) = self.loss() {
            return Err(loss);
        }
        let timeout = self.clock.time_source().sleep(self.timings.renew_timeout());
        tokio::select! {
            renewal = self.write_renewal() => renewal,
            () = timeout => Ok(RenewalOutcome::Failed("the store does not answer".to_owned())),
        }
    }

    async fn write_renewal(&self) -> Result<RenewalOutcome, LockLoss> {
        // If the machine slept or there was no response for long, the new expiry would be computed
        // from a clock that stood still. Reading the object sets the clock first.
        if self.is_server_time_stale() && !self.reload().await? {
            return Ok(RenewalOutcome::Failed(
                "the store does not answer".to_owned(),
            ));
        }
        let StoredRecord { record, etag } = self.stored();
        let Some(now) = self.clock.latest_now() else {
            return Ok(RenewalOutcome::Failed(
                LockErrorKind::MissingDateHeader.to_string(),
            ));
        };
        let record = record.to_renewed(now, self.timings.ttl);
        let failure = match write_record(
            &self.store,
            &self.clock,
            &record,
            WriteCondition::IfMatch(etag),
        )
        .await
        {
            Ok(PutOutcome::Written { etag }) => {
                self.lock_state().stored = StoredRecord { record, etag };
                return Ok(RenewalOutcome::Renewed);
            }
            Ok(PutOutcome::BucketNotFound) => return Err(LockLoss::Deleted),
            Ok(PutOutcome::PreconditionFailed) => "its condition did not hold".to_owned(),
            Ok(PutOutcome::Conflict) => "another write was under way".to_owned(),
            Err(error) => error.to_string(),
        };
        // The write may have been carried out all the same: its response was lost, or the SDK sent
        // it twice and the second attempt was rejected. Reading the object tells, and also whether
        // the lock belongs to somebody else now.
        let previous_expiry = self.stored().record.expires_at;
        self.reload().await?;
        let was_renewed = self.stored().record.expires_at > previous_expiry;
        Ok(if was_renewed {
            RenewalOutcome::Renewed
        } else {
            RenewalOutcome::Failed(failure)
        })
    }

    /// Whether the possible range of the server time is too wide to compute an expiry from it.
    fn is_server_time_stale(&self) -> bool {
        let (Some(earliest), Some(latest)) = (self.clock.earliest_now(), self.clock.latest_now())
        else {
            return true;
        };
        latest > saturating_add(earliest, MAX_CLOCK_UNCERTAINTY)
    }

    /// Reads the object and remembers it if it is ours. Returns false if the store did not respond.
    async fn reload(&self) -> Result<bool, LockLoss> {
        let stored = match read_record(&self.store, &self.clock, &self.location).await {
            Ok(Some(stored)) => stored,
            Ok(None) | Err(LockErrorKind::BucketNotFound(_)) => return Err(LockLoss::Deleted),
            Err(LockErrorKind::Cloud(_)) => return Ok(false),
            Err(other) => return Err(LockLoss::Overwritten(other.to_string())),
        };
        if !stored.record.is_same_acquisition(&self.stored().record) {
            return Err(LockLoss::TakenOver(Box::new(stored.record)));
        }
        // Remember the record even if it has ended: `write_release` needs its `ETag`.
        let has_ended = stored.record.released || stored.record.unlocked;
        self.lock_state().stored = stored;
        if has_ended {
            Err(LockLoss::Unlocked)
        } else {
            Ok(true)
        }
    }

    /// Deletes the object until there is none, as long as it is ours. Once is not enough: a renewal
    /// may arrive late, and in a bucket with versioning, deleting a version makes the one before it
    /// current.
    async fn delete_object(&self) -> Result<(), LockErrorKind> {
        let mut retries = RetryBudget::default();
        loop {
            match self.reload().await {
                Ok(true) => {}
                Ok(false) => {
                    retries.wait_or_give_up(&self.clock, None).await?;
                    continue;
                }
                Err(LockLoss::Deleted) => return Ok(()),
                Err(loss) => return Err(LockErrorKind::Lost(loss)),
            }
            match self.store.delete(&self.stored().etag).await {
                Ok(DeleteOutcome::Deleted) => {}
                // A renewal arrived after the read.
                Ok(DeleteOutcome::PreconditionFailed) => {
                    retries.wait_or_give_up(&self.clock, None).await?;
                }
                Err(error) => {
                    retries
                        .retry_if_transient(&self.clock, LockErrorKind::from_cloud_error(error))
                        .await?;
                }
            }
        }
    }

    async fn write_release(&self) -> Result<(), LockErrorKind> {
        let mut retries = RetryBudget::default();
        loop {
            let StoredRecord { record, etag } = self.stored();
            match write_record(
                &self.store,
                &self.clock,
                &record.to_released(),
                WriteCondition::IfMatch(etag),
            )
            .await
            {
                Ok(PutOutcome::Written { .. } | PutOutcome::BucketNotFound) => return Ok(()),
                Ok(PutOutcome::PreconditionFailed | PutOutcome::Conflict) => {}
                Err(error) => {
                    retries
                        .retry_if_transient(&self.clock, LockErrorKind::from_cloud_error(error))
                        .await?;
                }
            }
            match self.reload().await {
                // Still ours: the response to a renewal was lost, or another write was in progress.
                // Try again with the `ETag` that was just read.
                Ok(true) => retries.wait_or_give_up(&self.clock, None).await?,
                // No response: `retry_if_transient` has already waited, so try again at once.
                Ok(false) => {}
                // Ended with `trimtab unlock`, but not released: releasing it lets the next run
                // start at once.
                Err(LockLoss::Unlocked) if !self.stored().record.released => {
                    retries.wait_or_give_up(&self.clock, None).await?;
                }
                // Already released, by our own write whose response was lost or by somebody else;
                // or deleted.
                Err(LockLoss::Unlocked | LockLoss::Deleted) => return Ok(()),
                Err(loss) => {
                    tracing::warn!(%loss, "there was no lock to release");
                    return Ok(());
                }
            }
        }
    }
}

/// Renews until the lease is released, dropped or lost.
async fn run_renewals<S: LockStore, P: TimeSource>(shared: Arc<LeaseShared<S, P>>) {
    let mut delay = shared.timings.renew_interval();
    loop {
        shared.clock.time_source().sleep(delay).await;
        delay = match shared.renew().await {
            Ok(RenewalOutcome::Renewed) => shared.timings.renew_interval(),
            Ok(RenewalOutcome::Failed(error)) if shared.is_held_for(Duration::ZERO) => {
                tracing::warn!(%error, "the lock was not renewed, trying again");
                shared.timings.retry_delay()
            }
            Ok(RenewalOutcome::Failed(error)) => {
                return shared.mark_lost(LockLoss::NotRenewed(error));
            }
            Err(loss) => return shared.mark_lost(loss),
        };
    }
}
