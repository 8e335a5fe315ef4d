//! How a lock is taken: look, write under the condition that nothing has changed since, and never believe an answer that
//! was lost.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;

use super::{
    LockError, LockErrorKind, LockHolder, LockLocation, LockTimings,
    clock::{ServerClock, TimeSource},
    lease::{HeldLock, LeaseShared},
    record::{LockRecord, LockStatus, determine_status},
    store::{GetOutcome, LockStore, PutOutcome, StoreResponse, WriteCondition, is_transient},
};
use crate::clouds::CloudError;

/// How many requests in a row may fail, or meet another's write, before that is an error; and the pauses between them.
const MAX_ATTEMPTS: u32 = 8;
const FIRST_DELAY: Duration = Duration::from_millis(250);
const MAX_DELAY: Duration = Duration::from_secs(4);

/// An `ETag` that no object has: those of S3 are hexadecimal.
const NONEXISTENT_ETAG: &str = "\"trimtab-has-never-written-this\"";

/// An object's record, and the `ETag` that it has now.
#[derive(Clone, Debug)]
pub(super) struct StoredRecord {
    pub(super) record: LockRecord,
    pub(super) etag: String,
}

/// Reads the lock, and tells the clock what time it is.
pub(super) async fn read_record<S: LockStore, P: TimeSource>(
    store: &S,
    clock: &ServerClock<P>,
    place: &LockLocation,
) -> Result<Option<StoredRecord>, LockErrorKind> {
    let sent = clock.local_now();
    let StoreResponse {
        value,
        server_date: date,
    } = store.get().await.map_err(LockErrorKind::from_cloud_error)?;
    clock.record_server_date(sent, date);
    match value {
        GetOutcome::ObjectNotFound => Ok(None),
        GetOutcome::BucketNotFound => Err(LockErrorKind::BucketNotFound(place.bucket.clone())),
        GetOutcome::Found { body, etag } => match LockRecord::parse(&body) {
            Ok(record) => Ok(Some(StoredRecord { record, etag })),
            Err(what) => Err(LockErrorKind::NotALock {
                object: place.s3_url(),
                what,
            }),
        },
    }
}

/// Writes the lock, and tells the clock what time it is.
pub(super) async fn write_record<S: LockStore, P: TimeSource>(
    store: &S,
    clock: &ServerClock<P>,
    record: &LockRecord,
    only: WriteCondition,
) -> Result<PutOutcome, CloudError> {
    let sent = clock.local_now();
    let StoreResponse {
        value,
        server_date: date,
    } = store.put(record.to_json(), only).await?;
    clock.record_server_date(sent, date);
    Ok(value)
}

/// Tries in a row that came to nothing.
#[derive(Debug, Default)]
pub(super) struct RetryBudget(u32);

impl RetryBudget {
    /// Waits for the next; `Err` when there were too many, with the last error or a word for it.
    pub(super) async fn wait_or_give_up<P: TimeSource>(
        &mut self,
        clock: &ServerClock<P>,
        error: Option<CloudError>,
    ) -> Result<(), LockErrorKind> {
        self.0 += 1;
        if self.0 >= MAX_ATTEMPTS {
            return Err(error.map_or(
                LockErrorKind::Contended(self.0),
                LockErrorKind::from_cloud_error,
            ));
        }
        let pause = FIRST_DELAY.saturating_mul(1 << (self.0 - 1)).min(MAX_DELAY);
        clock.time_source().sleep(pause).await;
        Ok(())
    }

    /// Waits for the next, unless the error is one that trying again cannot mend.
    pub(super) async fn retry_if_transient<P: TimeSource>(
        &mut self,
        clock: &ServerClock<P>,
        why: LockErrorKind,
    ) -> Result<(), LockErrorKind> {
        match why {
            LockErrorKind::Cloud(error) if is_transient(&error) => {
                self.wait_or_give_up(clock, Some(*error)).await
            }
            other => Err(other),
        }
    }
}

/// Somebody who wants a lock.
pub(super) struct Acquirer<S, P> {
    store: S,
    clock: ServerClock<P>,
    location: LockLocation,
    holder: LockHolder,
    timings: LockTimings,
}

/// What one try came to.
enum AttemptOutcome {
    /// It is ours.
    Acquired(StoredRecord),
    /// Somebody has it.
    Held(Box<LockRecord>, Timestamp),
    /// Nothing is known: look again.
    Retry(Option<CloudError>),
}

impl<S: LockStore, P: TimeSource> Acquirer<S, P> {
    pub(super) fn new(
        store: S,
        clock: ServerClock<P>,
        place: LockLocation,
        who: LockHolder,
        terms: LockTimings,
    ) -> Self {
        Self {
            store,
            clock,
            location: place,
            holder: who,
            timings: terms,
        }
    }

    /// See [`super::take`].
    pub(super) async fn acquire(
        self,
        waiting: impl FnMut(&LockRecord, Timestamp) + Send,
    ) -> Result<HeldLock<S, P>, LockError> {
        let place = self.location.clone();
        let taken = async {
            let found = self.wait_until_acquired(waiting).await?;
            self.verify_conditional_writes(found).await
        };
        match taken.await {
            Ok(found) => {
                let Self {
                    store,
                    clock,
                    location: place,
                    holder: _,
                    timings: terms,
                } = self;
                Ok(HeldLock::new(Arc::new(LeaseShared::new(
                    store, clock, place, terms, found,
                ))))
            }
            Err(why) => Err(place.error(why)),
        }
    }

    /// Tries until the lock is ours or patience ends.
    async fn wait_until_acquired(
        &self,
        mut waiting: impl FnMut(&LockRecord, Timestamp) + Send,
    ) -> Result<StoredRecord, LockErrorKind> {
        let begun = self.clock.time_source().monotonic();
        let mut tries = RetryBudget::default();
        let mut told: Option<LockRecord> = None;
        loop {
            match self.try_acquire().await? {
                AttemptOutcome::Acquired(found) => return Ok(found),
                AttemptOutcome::Retry(error) => tries.wait_or_give_up(&self.clock, error).await?,
                AttemptOutcome::Held(record, until) => {
                    tries = RetryBudget::default();
                    let waited = self.clock.time_source().monotonic().saturating_sub(begun);
                    let Some(left) = self
                        .timings
                        .acquire_timeout
                        .checked_sub(waited)
                        .filter(|left| !left.is_zero())
                    else {
                        return Err(LockErrorKind::Held {
                            record,
                            until,
                            waited,
                        });
                    };
                    if !told
                        .as_ref()
                        .is_some_and(|told| told.is_same_acquisition(&record))
                    {
                        waiting(&record, until);
                        told = Some(*record);
                    }
                    self.clock
                        .time_source()
                        .sleep(self.timings.poll_interval.min(left))
                        .await;
                }
            }
        }
    }

    /// Looks, and writes if the lock may be taken.
    async fn try_acquire(&self) -> Result<AttemptOutcome, LockErrorKind> {
        let found = match read_record(&self.store, &self.clock, &self.location).await {
            Ok(found) => found,
            Err(LockErrorKind::Cloud(error)) if is_transient(&error) => {
                return Ok(AttemptOutcome::Retry(Some(*error)));
            }
            Err(why) => return Err(why),
        };
        let (Some(earliest), Some(latest)) = (self.clock.earliest_now(), self.clock.latest_now())
        else {
            return Err(LockErrorKind::MissingDateHeader);
        };
        let record = found.as_ref().map(|found| &found.record);
        let verdict = determine_status(record, &self.holder.nonce, earliest, self.timings.margin);
        let (generation, only) = match (verdict, found) {
            (LockStatus::Ours, Some(found)) => return Ok(AttemptOutcome::Acquired(found)),
            (LockStatus::Held { until }, Some(found)) => {
                return Ok(AttemptOutcome::Held(Box::new(found.record), until));
            }
            (_, Some(StoredRecord { record, etag })) => (
                record.generation.saturating_add(1),
                WriteCondition::IfMatch(etag),
            ),
            (_, None) => (1, WriteCondition::IfAbsent),
        };
        let record = LockRecord::new(&self.holder, generation, latest, self.timings.ttl);
        match write_record(&self.store, &self.clock, &record, only).await {
            Ok(PutOutcome::Written { etag }) => {
                Ok(AttemptOutcome::Acquired(StoredRecord { record, etag }))
            }
            // Whose write it was that came first is told by the next look: it may have been our own.
            Ok(PutOutcome::PreconditionFailed | PutOutcome::Conflict) => {
                Ok(AttemptOutcome::Retry(None))
            }
            Ok(PutOutcome::BucketNotFound) => {
                Err(LockErrorKind::BucketNotFound(self.location.bucket.clone()))
            }
            Err(error) if is_transient(&error) => Ok(AttemptOutcome::Retry(Some(error))),
            Err(error) => Err(LockErrorKind::from_cloud_error(error)),
        }
    }

    /// Two writes that have to be refused. A store that carries one out has written the same as was there, so that nothing
    /// is lost; the lock is given back, and nobody relies on it. This is done at each taking: stores change, and a run may
    /// die between its first write and this.
    async fn verify_conditional_writes(
        &self,
        mut found: StoredRecord,
    ) -> Result<StoredRecord, LockErrorKind> {
        let conditions = [
            ("If-None-Match: *", WriteCondition::IfAbsent),
            (
                "If-Match",
                WriteCondition::IfMatch(NONEXISTENT_ETAG.to_owned()),
            ),
        ];
        for (name, only) in conditions {
            let mut tries = RetryBudget::default();
            loop {
                match write_record(&self.store, &self.clock, &found.record, only.clone()).await {
                    // A conflict is an answer that only a store gives that knows conditions.
                    Ok(PutOutcome::PreconditionFailed | PutOutcome::Conflict) => break,
                    Ok(PutOutcome::Written { etag }) => {
                        found.etag = etag;
                        self.release_unverified(&found).await;
                        return Err(LockErrorKind::ConditionalWritesIgnored(name));
                    }
                    Ok(PutOutcome::BucketNotFound) => {
                        return Err(LockErrorKind::BucketNotFound(self.location.bucket.clone()));
                    }
                    Err(error) => {
                        if let Err(why) = tries
                            .retry_if_transient(&self.clock, LockErrorKind::from_cloud_error(error))
                            .await
                        {
                            self.release_unverified(&found).await;
                            return Err(why);
                        }
                    }
                }
            }
        }
        Ok(found)
    }

    /// Gives back what was taken a moment ago and is not wanted.
    async fn release_unverified(&self, found: &StoredRecord) {
        let only = WriteCondition::IfMatch(found.etag.clone());
        if let Err(error) =
            write_record(&self.store, &self.clock, &found.record.to_released(), only).await
        {
            tracing::warn!(%error, "a lock was not given back and will run out by itself");
        }
    }
}
