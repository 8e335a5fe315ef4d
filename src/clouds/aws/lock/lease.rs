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
    LockError, Loss, Place, Terms, Why,
    clock::{Clock, Pulse},
    record::{Record, later},
    store::{Only, Put, Removed, Store},
    take::{Found, Tries, look, put},
};

/// Within how much time the server's clock must be known before a new end is written, see [`Core::renew`].
const VAGUE: Duration = Duration::from_secs(10);

/// A lock that is ours, in any store; see [`super::Lease`].
pub(super) struct Kept<S, P> {
    core: Arc<Core<S, P>>,
    keeper: AbortHandle,
}

impl<S, P> fmt::Debug for Kept<S, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("state", &self.core.state())
            .finish_non_exhaustive()
    }
}

/// What the lease and its keeper share.
pub(super) struct Core<S, P> {
    store: S,
    clock: Clock<P>,
    place: Place,
    terms: Terms,
    state: Mutex<State>,
    /// One renewal at a time: the second would not know the first one's `ETag`.
    turn: Turn<()>,
    over: CancellationToken,
}

#[derive(Debug)]
struct State {
    found: Found,
    lost: Option<Loss>,
}

/// What a renewal came to when the lock is still ours.
enum Renewal {
    Done,
    /// It failed in a way that may pass.
    Failed(String),
}

impl<S: Store, P: Pulse> Kept<S, P> {
    pub(super) fn new(core: Arc<Core<S, P>>) -> Self {
        let keeper = tokio::spawn(keep(core.clone())).abort_handle();
        Self { core, keeper }
    }

    pub(super) fn record(&self) -> Record {
        self.core.state().found.record.clone()
    }

    pub(super) fn is_mine(&self, margin: Duration) -> bool {
        self.core.is_mine(margin)
    }

    pub(super) fn over(&self) -> CancellationToken {
        self.core.over.clone()
    }

    pub(super) async fn confirm(&self, margin: Duration) -> Result<(), LockError> {
        let mut renewed = 0_u8;
        loop {
            if self.core.is_mine(margin) {
                return Ok(());
            }
            match self.core.renew().await {
                Ok(_) if self.core.is_mine(margin) => return Ok(()),
                // The first one's answer sets the clock right; one more is enough.
                Ok(Renewal::Done) if renewed == 0 => renewed = 1,
                Ok(Renewal::Done) => self
                    .core
                    .lose(Loss::NotRenewed("the store is too slow".to_owned())),
                Ok(Renewal::Failed(_)) if self.core.is_mine(Duration::ZERO) => {
                    self.core.clock.pulse().sleep(self.core.terms.retry()).await;
                }
                Ok(Renewal::Failed(why)) => self.core.lose(Loss::NotRenewed(why)),
                Err(loss) => self.core.lose(loss),
            }
            if let Some(loss) = self.core.lost() {
                return Err(self.core.place.error(Why::Lost(loss)));
            }
        }
    }

    pub(super) fn place(&self) -> &Place {
        &self.core.place
    }

    /// A renewal that is under way is dropped, as when the lock is given back.
    pub(super) async fn retire(&self) -> Result<(), LockError> {
        self.keeper.abort();
        self.core
            .remove()
            .await
            .map_err(|why| self.core.place.error(why))
    }

    /// A renewal that is under way is dropped. It may arrive all the same: before this write, which then finds another
    /// `ETag` and looks again, or after it, when its own condition does not hold any more.
    pub(super) async fn release(&self) -> Result<(), LockError> {
        let core = &self.core;
        self.keeper.abort();
        core.lose(Loss::GivenBack);
        let late = core.clock.pulse().sleep(core.terms.renewal());
        tokio::select! {
            given_back = core.give_back() => given_back.map_err(|why| core.place.error(why)),
            () = late => Err(core.place.error(Why::SlowRelease)),
        }
    }
}

impl<S, P> Drop for Kept<S, P> {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

impl<S, P> Core<S, P> {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn found(&self) -> Found {
        self.state().found.clone()
    }

    /// Ends the lease. The first reason stays.
    fn lose(&self, loss: Loss) {
        self.state().lost.get_or_insert(loss);
        self.over.cancel();
    }

    fn lost(&self) -> Option<Loss> {
        self.state().lost.clone()
    }
}

impl<S: Store, P: Pulse> Core<S, P> {
    pub(super) fn new(store: S, clock: Clock<P>, place: Place, terms: Terms, found: Found) -> Self {
        let state = Mutex::new(State { found, lost: None });
        Self {
            store,
            clock,
            place,
            terms,
            state,
            turn: Turn::default(),
            over: CancellationToken::new(),
        }
    }

    fn is_mine(&self, margin: Duration) -> bool {
        let state = self.state();
        let ends = state.found.record.expires_at;
        let latest = self.clock.latest().map(|now| later(now, margin));
        state.lost.is_none() && latest.is_some_and(|now| now < ends)
    }

    /// Writes a new end, on the condition that nobody has written since. A lock that has run out is renewed all the same
    /// while nobody has taken it.
    ///
    /// # Errors
    /// When the lock is not ours any more.
    async fn renew(&self) -> Result<Renewal, Loss> {
        let _turn = self.turn.lock().await;
        if let Some(loss) = self.lost() {
            return Err(loss);
        }
        let hangs = self.clock.pulse().sleep(self.terms.attempt());
        tokio::select! {
            renewal = self.renew_now() => renewal,
            () = hangs => Ok(Renewal::Failed("the store does not answer".to_owned())),
        }
    }

    async fn renew_now(&self) -> Result<Renewal, Loss> {
        // After a sleep the end would be written by a clock that stood still.
        if self.is_vague() && !self.look_again().await? {
            return Ok(Renewal::Failed("the store does not answer".to_owned()));
        }
        let Found { record, etag } = self.found();
        let Some(now) = self.clock.latest() else {
            return Ok(Renewal::Failed(Why::NoDate.to_string()));
        };
        let record = record.renewed(now, self.terms.ttl);
        let failed = match put(&self.store, &self.clock, &record, Only::IfStill(etag)).await {
            Ok(Put::Written { etag }) => {
                self.state().found = Found { record, etag };
                return Ok(Renewal::Done);
            }
            Ok(Put::NoBucket) => return Err(Loss::Deleted),
            Ok(Put::Refused) => "its condition did not hold".to_owned(),
            Ok(Put::Busy) => "another write was under way".to_owned(),
            Err(error) => error.to_string(),
        };
        // It may have been done: an answer that was lost, a request that was sent twice. The look tells it, and whether
        // the lock is somebody else's.
        let before = self.found().record.expires_at;
        self.look_again().await?;
        let is_done = self.found().record.expires_at > before;
        Ok(if is_done {
            Renewal::Done
        } else {
            Renewal::Failed(failed)
        })
    }

    /// Whether the server's time is known only roughly.
    fn is_vague(&self) -> bool {
        let (Some(earliest), Some(latest)) = (self.clock.earliest(), self.clock.latest()) else {
            return true;
        };
        latest > later(earliest, VAGUE)
    }

    /// Reads what stands there and takes it over if it is ours. Says whether there was an answer.
    async fn look_again(&self) -> Result<bool, Loss> {
        let found = match look(&self.store, &self.clock, &self.place).await {
            Ok(Some(found)) => found,
            Ok(None) | Err(Why::NoBucket(_)) => return Err(Loss::Deleted),
            Err(Why::Cloud(_)) => return Ok(false),
            Err(other) => return Err(Loss::Overwritten(other.to_string())),
        };
        if !found.record.is_same(&self.found().record) {
            return Err(Loss::Taken(Box::new(found.record)));
        }
        let is_over = found.record.released || found.record.unlocked;
        self.state().found = found;
        if is_over {
            Err(Loss::Unlocked)
        } else {
            Ok(true)
        }
    }

    /// Removes the object while what stands there is ours, until there is none: a renewal may have arrived late, and where
    /// there are versions the one before comes to light.
    async fn remove(&self) -> Result<(), Why> {
        let mut tries = Tries::default();
        loop {
            match self.look_again().await {
                Ok(true) => {}
                Ok(false) => {
                    tries.pause(&self.clock, None).await?;
                    continue;
                }
                Err(Loss::Deleted) => return Ok(()),
                Err(loss) => return Err(Why::Lost(loss)),
            }
            match self.store.remove(&self.found().etag).await {
                Ok(Removed::Gone) => {}
                // A renewal has arrived after the look.
                Ok(Removed::Refused) => tries.pause(&self.clock, None).await?,
                Err(error) => tries.bear(&self.clock, Why::of(error)).await?,
            }
        }
    }

    async fn give_back(&self) -> Result<(), Why> {
        let mut tries = Tries::default();
        loop {
            let Found { record, etag } = self.found();
            match put(
                &self.store,
                &self.clock,
                &record.released(),
                Only::IfStill(etag),
            )
            .await
            {
                Ok(Put::Written { .. } | Put::NoBucket) => return Ok(()),
                Ok(Put::Refused | Put::Busy) => {}
                Err(error) => tries.bear(&self.clock, Why::of(error)).await?,
            }
            match self.look_again().await {
                // Still ours: a renewal's answer was lost, or another write was under way.
                Ok(true) => tries.pause(&self.clock, None).await?,
                Ok(false) => {}
                // Whoever waits for it need not wait for its end.
                Err(Loss::Unlocked) if !self.found().record.released => {
                    tries.pause(&self.clock, None).await?;
                }
                // Given back already, by a write whose answer was lost or by somebody else; or gone.
                Err(Loss::Unlocked | Loss::Deleted) => return Ok(()),
                Err(loss) => {
                    tracing::warn!(%loss, "there was no lock to give back");
                    return Ok(());
                }
            }
        }
    }
}

/// Renews until the lease is given back, dropped or lost.
async fn keep<S: Store, P: Pulse>(core: Arc<Core<S, P>>) {
    let mut pause = core.terms.renewal();
    loop {
        core.clock.pulse().sleep(pause).await;
        pause = match core.renew().await {
            Ok(Renewal::Done) => core.terms.renewal(),
            Ok(Renewal::Failed(why)) if core.is_mine(Duration::ZERO) => {
                tracing::warn!(%why, "the lock was not renewed, trying again");
                core.terms.retry()
            }
            Ok(Renewal::Failed(why)) => return core.lose(Loss::NotRenewed(why)),
            Err(loss) => return core.lose(loss),
        };
    }
}
