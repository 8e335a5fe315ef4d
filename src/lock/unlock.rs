//! Operations on a lock that this run does not hold: finding, ending and deleting it.

use std::time::Duration;

use super::{
    LockError, LockErrorKind, LockLocation,
    acquire::{RetryBudget, StoredRecord, read_record, write_record},
    clock::{ServerClock, TimeSource},
    record::{LockRecord, LockStatus, determine_status},
    store::{DeleteOutcome, LockStore, PutOutcome, WriteCondition},
};

/// A nonce that no run has, so no lock counts as ours.
const NO_NONCE: &str = "";

pub(super) async fn find_holder<S: LockStore, P: TimeSource>(
    store: &S,
    clock: &ServerClock<P>,
    location: &LockLocation,
) -> Result<Option<LockRecord>, LockError> {
    let stored = read_with_retries(store, clock, location, &mut RetryBudget::default())
        .await
        .map_err(|error| location.error(error))?;
    let Some(stored) = stored else {
        return Ok(None);
    };
    let now = clock
        .earliest_now()
        .ok_or_else(|| location.error(LockErrorKind::MissingDateHeader))?;
    Ok(Some(stored.record).filter(|record| !record.released && now <= record.expires_at))
}

/// See [`super::unlock`]. An expired lock is ended too: the next run need not wait for the margin.
pub(super) async fn unlock<S: LockStore, P: TimeSource>(
    store: &S,
    clock: &ServerClock<P>,
    location: &LockLocation,
    id: &str,
) -> Result<LockRecord, LockError> {
    let mut retries = RetryBudget::default();
    let mut attempted: Option<LockRecord> = None;
    let result = async {
        loop {
            let stored = read_with_retries(store, clock, location, &mut retries).await?;
            let Some(StoredRecord { record, etag }) = stored else {
                return Err(LockErrorKind::NotHeld);
            };
            // Already ended: repeating the command is no error.
            if record.unlocked && record.matches_id(id) {
                return Ok(record);
            }
            if record.released {
                // If an earlier attempt of ours wrote this and its response was lost, we succeeded.
                return attempted
                    .filter(|attempted| attempted.is_same_acquisition(&record))
                    .map(|_| record)
                    .ok_or(LockErrorKind::NotHeld);
            }
            if !record.matches_id(id) {
                return Err(LockErrorKind::WrongHolder {
                    requested_id: id.to_owned(),
                    record: Box::new(record),
                });
            }
            let unlocked = record.to_unlocked(
                clock
                    .earliest_now()
                    .ok_or(LockErrorKind::MissingDateHeader)?,
            );
            let outcome =
                write_record(store, clock, &unlocked, WriteCondition::IfMatch(etag)).await;
            // Remembered even if the response is lost, see above.
            attempted = Some(record);
            match outcome {
                Ok(PutOutcome::Written { .. }) => return Ok(unlocked),
                // The holder is alive and has renewed it, or another run acquired it: read again.
                Ok(PutOutcome::PreconditionFailed | PutOutcome::Conflict) => {
                    retries.wait_or_give_up(clock, None).await?;
                }
                Ok(PutOutcome::BucketNotFound) => {
                    return Err(LockErrorKind::BucketNotFound(location.bucket.clone()));
                }
                Err(error) => {
                    retries
                        .retry_if_transient(clock, LockErrorKind::from_cloud_error(error))
                        .await?;
                }
            }
        }
    };
    result.await.map_err(|error| location.error(error))
}

/// See [`super::release_abandoned`].
pub(super) async fn release_abandoned<S: LockStore, P: TimeSource>(
    store: &S,
    clock: &ServerClock<P>,
    location: &LockLocation,
    nonce: &str,
) -> Result<(), LockError> {
    let result = async {
        let Some(StoredRecord { record, etag }) = read_record(store, clock, location).await? else {
            return Ok(());
        };
        let now = clock
            .earliest_now()
            .ok_or(LockErrorKind::MissingDateHeader)?;
        if determine_status(Some(&record), nonce, now, Duration::ZERO) == LockStatus::Ours {
            let (released, condition) = (record.to_released(), WriteCondition::IfMatch(etag));
            let written = write_record(store, clock, &released, condition).await;
            written.map_err(LockErrorKind::from_cloud_error)?;
        }
        Ok(())
    };
    result.await.map_err(|error| location.error(error))
}

/// See [`super::delete_lock`].
pub(super) async fn delete_lock<S: LockStore, P: TimeSource>(
    store: &S,
    clock: &ServerClock<P>,
    location: &LockLocation,
    margin: Duration,
) -> Result<(), LockError> {
    let mut retries = RetryBudget::default();
    let result = async {
        loop {
            let Some(stored) = read_with_retries(store, clock, location, &mut retries).await?
            else {
                return Ok(());
            };
            let now = clock
                .earliest_now()
                .ok_or(LockErrorKind::MissingDateHeader)?;
            if let LockStatus::Held { available_at } =
                determine_status(Some(&stored.record), NO_NONCE, now, margin)
            {
                return Err(LockErrorKind::Held {
                    record: Box::new(stored.record),
                    available_at,
                    waited: Duration::ZERO,
                });
            }
            match store.delete(&stored.etag).await {
                // With versioning, an older version is current now: continue until there is none.
                Ok(DeleteOutcome::Deleted) => {}
                Ok(DeleteOutcome::PreconditionFailed) => {
                    retries.wait_or_give_up(clock, None).await?;
                }
                Err(error) => {
                    retries
                        .retry_if_transient(clock, LockErrorKind::from_cloud_error(error))
                        .await?;
                }
            }
        }
    };
    result.await.map_err(|error| location.error(error))
}

/// Reads the lock, and retries while the error may pass.
async fn read_with_retries<S: LockStore, P: TimeSource>(
    store: &S,
    clock: &ServerClock<P>,
    location: &LockLocation,
    retries: &mut RetryBudget,
) -> Result<Option<StoredRecord>, LockErrorKind> {
    loop {
        match read_record(store, clock, location).await {
            Ok(stored) => return Ok(stored),
            Err(error) => retries.retry_if_transient(clock, error).await?,
        }
    }
}
