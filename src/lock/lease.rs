//! How a lock is kept: renewed in the background, asked for before each write, and given back. Whoever holds a lease finds
//! out that it is lost before anybody else can have taken it.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::Mutex as Turn, task::AbortHandle};
use tokio_util::sync::CancellationToken;

use super::{
    LockError, LockErrorKind, LockLocation, LockLoss, LockTimings,
    acquire::{RetryBudget, StoredRecord, read_record, write_record},
    clock::{ServerClock, TimeSource},
    record::{LockRecord, saturating_add},
    store::{DeleteOutcome, LockStore, PutOutcome, WriteCondition},
};

/// Within how much time the server's clock must be known before a new end is written, see [`Core::renew`].
const MAX_CLOCK_UNCERTAINTY: Duration = Duration::from_secs(10);

/// A lock that is ours, in any store; see [`super::Lease`].
pub(super) struct HeldLock<S, P> {
    shared: Arc<LeaseShared<S, P>>,
    renewal_task: AbortHandle,
}

impl<S, P> fmt::Debug for HeldLock<S, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("state", &self.shared.lock_state())
            .finish_non_exhaustive()
    }
}

/// What the lease and its keeper share.
pub(super) struct LeaseShared<S, P> {
    store: S,
    clock: ServerClock<P>,
    location: LockLocation,
    timings: LockTimings,
    state: Mutex<LockLeaseState>,
    /// One renewal at a time: the second would not know the first one's `ETag`.
    renewal_mutex: Turn<()>,
    cancellation: CancellationToken,
}

#[derive(Debug)]
struct LockLeaseState {
    stored: StoredRecord,
    loss: Option<LockLoss>,
}

/// What a renewal came to when the lock is still ours.
enum RenewalOutcome {
    Renewed,
    /// It failed in a way that may pass.
    Failed(String),
}

impl<S: LockStore, P: TimeSource> HeldLock<S, P> {
    pub(super) fn new(core: Arc<LeaseShared<S, P>>) -> Self {
        let keeper = tokio::spawn(run_renewals(core.clone())).abort_handle();
        Self {
            shared: core,
            renewal_task: keeper,
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
        let mut renewed = 0_u8;
        loop {
            if self.shared.is_held_for(margin) {
                return Ok(());
            }
            match self.shared.renew().await {
                Ok(_) if self.shared.is_held_for(margin) => return Ok(()),
                // The first one's answer sets the clock right; one more is enough.
                Ok(RenewalOutcome::Renewed) if renewed == 0 => renewed = 1,
                Ok(RenewalOutcome::Renewed) => self
                    .shared
                    .mark_lost(LockLoss::NotRenewed("the store is too slow".to_owned())),
                Ok(RenewalOutcome::Failed(_)) if self.shared.is_held_for(Duration::ZERO) => {
                    self.shared
                        .clock
                        .time_source()
                        .sleep(self.shared.timings.retry_delay())
                        .await;
                }
                Ok(RenewalOutcome::Failed(why)) => self.shared.mark_lost(LockLoss::NotRenewed(why)),
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

    /// A renewal that is under way is dropped, as when the lock is given back.
    pub(super) async fn delete_object(&self) -> Result<(), LockError> {
        self.renewal_task.abort();
        self.shared
            .delete_object()
            .await
            .map_err(|why| self.shared.location.error(why))
    }

    /// A renewal that is under way is dropped. It may arrive all the same: before this write, which then finds another
    /// `ETag` and looks again, or after it, when its own condition does not hold any more.
    pub(super) async fn release(&self) -> Result<(), LockError> {
        let core = &self.shared;
        self.renewal_task.abort();
        core.mark_lost(LockLoss::Released);
        let late = core
            .clock
            .time_source()
            .sleep(core.timings.renew_interval());
        tokio::select! {
            given_back = core.write_release() => given_back.map_err(|why| core.location.error(why)),
            () = late => Err(core.location.error(LockErrorKind::ReleaseTimedOut)),
        }
    }
}

impl<S, P> Drop for HeldLock<S, P> {
    fn drop(&mut self) {
        self.renewal_task.abort();
    }
}

impl<S, P> LeaseShared<S, P> {
    fn lock_state(&self) -> MutexGuard<'_, LockLeaseState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stored(&self) -> StoredRecord {
        self.lock_state().stored.clone()
    }

    /// Ends the lease. The first reason stays.
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
        place: LockLocation,
        terms: LockTimings,
        found: StoredRecord,
    ) -> Self {
        let state = Mutex::new(LockLeaseState {
            stored: found,
            loss: None,
        });
        Self {
            store,
            clock,
            location: place,
            timings: terms,
            state,
            renewal_mutex: Turn::default(),
            cancellation: CancellationToken::new(),
        }
    }

    fn is_held_for(&self, margin: Duration) -> bool {
        let state = self.lock_state();
        let ends = state.stored.record.expires_at;
        let latest = self
            .clock
            .latest_now()
            .map(|now| saturating_add(now, margin));
        state.loss.is_none() && latest.is_some_and(|now| now < ends)
    }

    /// Writes a new end, on the condition that nobody has written since. A lock that has run out is renewed all the same
    /// while nobody has taken it.
    ///
    /// # Errors
    /// When the lock is not ours any more.
    async fn renew(&self) -> Result<RenewalOutcome, LockLoss> {
        let _turn = self.renewal_mutex.lock().await;
        if let Some(loss) = self.loss() {
            return Err(loss);
        }
        let hangs = self.clock.time_source().sleep(self.timings.renew_timeout());
        tokio::select! {
            renewal = self.write_renewal() => renewal,
            () = hangs => Ok(RenewalOutcome::Failed("the store does not answer".to_owned())),
        }
    }

    async fn write_renewal(&self) -> Result<RenewalOutcome, LockLoss> {
        // After a sleep the end would be written by a clock that stood still.
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
        let failed = match write_record(
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
        // It may have been done: an answer that was lost, a request that was sent twice. The look tells it, and whether
        // the lock is somebody else's.
        let before = self.stored().record.expires_at;
        self.reload().await?;
        let is_done = self.stored().record.expires_at > before;
        Ok(if is_done {
            RenewalOutcome::Renewed
        } else {
            RenewalOutcome::Failed(failed)
        })
    }

    /// Whether the server's time is known only roughly.
    fn is_server_time_stale(&self) -> bool {
        let (Some(earliest), Some(latest)) = (self.clock.earliest_now(), self.clock.latest_now())
        else {
            return true;
        };
        latest > saturating_add(earliest, MAX_CLOCK_UNCERTAINTY)
    }

    /// Reads what stands there and takes it over if it is ours. Says whether there was an answer.
    async fn reload(&self) -> Result<bool, LockLoss> {
        let found = match read_record(&self.store, &self.clock, &self.location).await {
            Ok(Some(found)) => found,
            Ok(None) | Err(LockErrorKind::BucketNotFound(_)) => return Err(LockLoss::Deleted),
            Err(LockErrorKind::Cloud(_)) => return Ok(false),
            Err(other) => return Err(LockLoss::Overwritten(other.to_string())),
        };
        if !found.record.is_same_acquisition(&self.stored().record) {
            return Err(LockLoss::TakenOver(Box::new(found.record)));
        }
        let is_over = found.record.released || found.record.unlocked;
        self.lock_state().stored = found;
        if is_over {
            Err(LockLoss::Unlocked)
        } else {
            Ok(true)
        }
    }

    /// Removes the object while what stands there is ours, until there is none: a renewal may have arrived late, and where
    /// there are versions the one before comes to light.
    async fn delete_object(&self) -> Result<(), LockErrorKind> {
        let mut tries = RetryBudget::default();
        loop {
            match self.reload().await {
                Ok(true) => {}
                Ok(false) => {
                    tries.wait_or_give_up(&self.clock, None).await?;
                    continue;
                }
                Err(LockLoss::Deleted) => return Ok(()),
                Err(loss) => return Err(LockErrorKind::Lost(loss)),
            }
            match self.store.delete(&self.stored().etag).await {
                Ok(DeleteOutcome::Deleted) => {}
                // A renewal has arrived after the look.
                Ok(DeleteOutcome::PreconditionFailed) => {
                    tries.wait_or_give_up(&self.clock, None).await?;
                }
                Err(error) => {
                    tries
                        .retry_if_transient(&self.clock, LockErrorKind::from_cloud_error(error))
                        .await?;
                }
            }
        }
    }

    async fn write_release(&self) -> Result<(), LockErrorKind> {
        let mut tries = RetryBudget::default();
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
                    tries
                        .retry_if_transient(&self.clock, LockErrorKind::from_cloud_error(error))
                        .await?;
                }
            }
            match self.reload().await {
                // Still ours: a renewal's answer was lost, or another write was under way.
                Ok(true) => tries.wait_or_give_up(&self.clock, None).await?,
                Ok(false) => {}
                // Whoever waits for it need not wait for its end.
                Err(LockLoss::Unlocked) if !self.stored().record.released => {
                    tries.wait_or_give_up(&self.clock, None).await?;
                }
                // Given back already, by a write whose answer was lost or by somebody else; or gone.
                Err(LockLoss::Unlocked | LockLoss::Deleted) => return Ok(()),
                Err(loss) => {
                    tracing::warn!(%loss, "there was no lock to give back");
                    return Ok(());
                }
            }
        }
    }
}

/// Renews until the lease is given back, dropped or lost.
async fn run_renewals<S: LockStore, P: TimeSource>(core: Arc<LeaseShared<S, P>>) {
    let mut pause = core.timings.renew_interval();
    loop {
        core.clock.time_source().sleep(pause).await;
        pause = match core.renew().await {
            Ok(RenewalOutcome::Renewed) => core.timings.renew_interval(),
            Ok(RenewalOutcome::Failed(why)) if core.is_held_for(Duration::ZERO) => {
                tracing::warn!(%why, "the lock was not renewed, trying again");
                core.timings.retry_delay()
            }
            Ok(RenewalOutcome::Failed(why)) => return core.mark_lost(LockLoss::NotRenewed(why)),
            Err(loss) => return core.mark_lost(loss),
        };
    }
}
