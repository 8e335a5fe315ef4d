//! Acquiring a lock: read the object, write it on the condition that it has not changed since, and
//! if a response is lost, read again instead of guessing.

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

/// How many attempts in a row may fail or lose to another run's write before that is an error, and
/// the delays between them.
const MAX_ATTEMPTS: u32 = 8;
const FIRST_DELAY: Duration = Duration::from_millis(250);
const MAX_DELAY: Duration = Duration::from_secs(4);

/// An `ETag` that no object has: those of S3 consist of hexadecimal digits.
const NONEXISTENT_ETAG: &str = "\"trimtab-has-never-written-this\"";

/// A record with the `ETag` under which it is stored.
#[derive(Clone, Debug)]
pub(super) struct StoredRecord {
    pub(super) record: LockRecord,
    pub(super) etag: String,
}

/// Reads the lock's object, and sets the clock from the response.
pub(super) async fn read_record<S: LockStore, P: TimeSource>(
    store: &S,
    clock: &ServerClock<P>,
    location: &LockLocation,
) -> Result<Option<StoredRecord>, LockErrorKind> {
    let sent = clock.local_now();
    let StoreResponse { value, server_date } =
        store.get().await.map_err(LockErrorKind::from_cloud_error)?;
    clock.record_server_date(sent, server_date);
    match value {
        GetOutcome::ObjectNotFound => Ok(None),
        GetOutcome::BucketNotFound => Err(LockErrorKind::BucketNotFound(location.bucket.clone())),
        GetOutcome::Archived { etag, written_at } => Ok(Some(StoredRecord {
            record: LockRecord::archived(written_at),
            etag,
        })),
        GetOutcome::Found { body, etag } => match LockRecord::parse(&body) {
            Ok(record) => Ok(Some(StoredRecord { record, etag })),
            Err(problem) => Err(LockErrorKind::NotALock {
                object: location.s3_url(),
                problem,
            }),
        },
    }
}

/// Writes the lock's object, and sets the clock from the response.
pub(super) async fn write_record<S: LockStore, P: TimeSource>(
    store: &S,
    clock: &ServerClock<P>,
    record: &LockRecord,
    condition: WriteCondition,
) -> Result<PutOutcome, CloudError> {
    let sent = clock.local_now();
    let StoreResponse { value, server_date } = store.put(record.to_json(), condition).await?;
    clock.record_server_date(sent, server_date);
    Ok(value)
}

/// Counts failed attempts in a row, and waits between them.
#[derive(Debug, Default)]
pub(super) struct RetryBudget(u32);

impl RetryBudget {
    /// Waits before the next attempt. After too many attempts, returns the last error, or
    /// [`LockErrorKind::Contended`] if there was none.
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
        let delay = FIRST_DELAY.saturating_mul(1 << (self.0 - 1)).min(MAX_DELAY);
        clock.time_source().sleep(delay).await;
        Ok(())
    }

    /// Waits before the next attempt if the error may pass; returns any other error.
    pub(super) async fn retry_if_transient<P: TimeSource>(
        &mut self,
        clock: &ServerClock<P>,
        error: LockErrorKind,
    ) -> Result<(), LockErrorKind> {
        match error {
            LockErrorKind::Cloud(error) if is_transient(&error) => {
                self.wait_or_give_up(clock, Some(*error)).await
            }
            other => Err(other),
        }
    }
}

/// A run that wants to acquire a lock.
pub(super) struct Acquirer<S, P> {
    store: S,
    clock: ServerClock<P>,
    location: LockLocation,
    holder: LockHolder,
    timings: LockTimings,
}

/// The result of one attempt.
enum AttemptOutcome {
    /// The lock is ours.
    Acquired(StoredRecord),
    /// Another run holds it, until this time plus the margin unless it is renewed.
    Held(Box<LockRecord>, Timestamp),
    /// The outcome is unknown, or another write came first: read again.
    Retry(Option<CloudError>),
}

impl<S: LockStore, P: TimeSource> Acquirer<S, P> {
    pub(super) fn new(
        store: S,
        clock: ServerClock<P>,
        location: LockLocation,
        holder: LockHolder,
        timings: LockTimings,
    ) -> Self {
        Self {
            store,
            clock,
            location,
            holder,
            timings,
        }
    }

    /// See [`super::acquire`].
    pub(super) async fn acquire(
        self,
        on_waiting: impl FnMut(&LockRecord, Timestamp) + Send,
    ) -> Result<HeldLock<S, P>, LockError> {
        let location = self.location.clone();
        let acquisition = async {
            let stored = self.wait_until_acquired(on_waiting).await?;
            self.verify_conditional_writes(stored).await
        };
        match acquisition.await {
            Ok(stored) => {
                let Self {
                    store,
                    clock,
                    location,
                    holder: _,
                    timings,
                } = self;
                Ok(HeldLock::new(Arc::new(LeaseShared::new(
                    store, clock, location, timings, stored,
                ))))
            }
            Err(error) => Err(location.error(error)),
        }
    }

    /// Tries until the lock is ours or the acquire timeout is over.
    async fn wait_until_acquired(
        &self,
        mut on_waiting: impl FnMut(&LockRecord, Timestamp) + Send,
    ) -> Result<StoredRecord, LockErrorKind> {
        let started = self.clock.time_source().monotonic();
        let mut retries = RetryBudget::default();
        let mut reported: Option<LockRecord> = None;
        loop {
            match self.try_acquire().await? {
                AttemptOutcome::Acquired(stored) => return Ok(stored),
                AttemptOutcome::Retry(error) => retries.wait_or_give_up(&self.clock, error).await?,
                AttemptOutcome::Held(record, available_at) => {
                    // This attempt worked, so errors while waiting for the holder do not add up.
                    retries = RetryBudget::default();
                    let waited = self.clock.time_source().monotonic().saturating_sub(started);
                    let Some(remaining) = self
                        .timings
                        .acquire_timeout
                        .checked_sub(waited)
                        .filter(|remaining| !remaining.is_zero())
                    else {
                        return Err(LockErrorKind::Held {
                            record,
                            available_at,
                            waited,
                        });
                    };
                    // Report each holder once, not at every poll.
                    if !reported
                        .as_ref()
                        .is_some_and(|reported| reported.is_same_acquisition(&record))
                    {
                        on_waiting(&record, available_at);
                        reported = Some(*record);
                    }
                    self.clock
                        .time_source()
                        .sleep(self.timings.poll_interval.min(remaining))
                        .await;
                }
            }
        }
    }

    /// Reads the object, and writes it if the lock is available.
    async fn try_acquire(&self) -> Result<AttemptOutcome, LockErrorKind> {
        let stored = match read_record(&self.store, &self.clock, &self.location).await {
            Ok(stored) => stored,
            Err(LockErrorKind::Cloud(error)) if is_transient(&error) => {
                return Ok(AttemptOutcome::Retry(Some(*error)));
            }
            Err(error) => return Err(error),
        };
        let (Some(earliest), Some(latest)) = (self.clock.earliest_now(), self.clock.latest_now())
        else {
            return Err(LockErrorKind::MissingDateHeader);
        };
        let record = stored.as_ref().map(|stored| &stored.record);
        // Err on the safe side in both directions: whether another run's lock has expired is judged
        // by the earliest possible time, our own expiry is computed from the latest.
        let status = determine_status(record, &self.holder.nonce, earliest, self.timings.margin);
        let (generation, condition) = match (status, stored) {
            (LockStatus::Ours, Some(stored)) => return Ok(AttemptOutcome::Acquired(stored)),
            (LockStatus::Held { available_at }, Some(stored)) => {
                return Ok(AttemptOutcome::Held(Box::new(stored.record), available_at));
            }
            (_, Some(StoredRecord { record, etag })) => (
                record.generation.saturating_add(1),
                WriteCondition::IfMatch(etag),
            ),
            (_, None) => (1, WriteCondition::IfAbsent),
        };
        let record = LockRecord::new(&self.holder, generation, latest, self.timings.ttl);
        match write_record(&self.store, &self.clock, &record, condition).await {
            Ok(PutOutcome::Written { etag }) => {
                Ok(AttemptOutcome::Acquired(StoredRecord { record, etag }))
            }
            // The next read tells whose write came first. It may have been our own, sent twice by
            // the SDK.
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

    /// Sends two writes that the store must reject. A store that carries one out has written the
    /// content that was there before, so nothing is lost; the lock is released, and the run fails
    /// instead of relying on it. This is verified at each acquisition, because stores change, and
    /// because a run may die between its first write and this check.
    async fn verify_conditional_writes(
        &self,
        mut stored: StoredRecord,
    ) -> Result<StoredRecord, LockErrorKind> {
        let conditions = [
            ("If-None-Match: *", WriteCondition::IfAbsent),
            (
                "If-Match",
                WriteCondition::IfMatch(NONEXISTENT_ETAG.to_owned()),
            ),
        ];
        for (name, condition) in conditions {
            let mut retries = RetryBudget::default();
            loop {
                match write_record(&self.store, &self.clock, &stored.record, condition.clone())
                    .await
                {
                    // Only a store that supports conditions answers with a conflict.
                    Ok(PutOutcome::PreconditionFailed | PutOutcome::Conflict) => break,
                    Ok(PutOutcome::Written { etag }) => {
                        stored.etag = etag;
                        self.release_unverified(&stored).await;
                        return Err(LockErrorKind::ConditionalWritesIgnored(name));
                    }
                    Ok(PutOutcome::BucketNotFound) => {
                        return Err(LockErrorKind::BucketNotFound(self.location.bucket.clone()));
                    }
                    Err(error) => {
                        if let Err(error) = retries
                            .retry_if_transient(&self.clock, LockErrorKind::from_cloud_error(error))
                            .await
                        {
                            self.release_unverified(&stored).await;
                            return Err(error);
                        }
                    }
                }
            }
        }
        Ok(stored)
    }

    /// Releases a lock that was just acquired and cannot be used.
    async fn release_unverified(&self, stored: &StoredRecord) {
        let condition = WriteCondition::IfMatch(stored.etag.clone());
        if let Err(error) = write_record(
            &self.store,
            &self.clock,
            &stored.record.to_released(),
            condition,
        )
        .await
        {
            tracing::warn!(%error, "the lock was not released and will expire by itself");
        }
    }
}
