//! How somebody else looks at a lock, and gives it back for a holder that cannot.

use std::time::Duration;

use super::{
    LockError, LockErrorKind, LockLocation,
    acquire::{RetryBudget, StoredRecord, read_record, write_record},
    clock::{ServerClock, TimeSource},
    record::{LockRecord, LockStatus, determine_status},
    store::{DeleteOutcome, LockStore, PutOutcome, WriteCondition},
};

/// A nonce that no run has.
const NO_NONCE: &str = "";

/// See [`super::holder`].
pub(super) async fn find_holder<S: LockStore, P: TimeSource>(
    store: &S,
    clock: &ServerClock<P>,
    place: &LockLocation,
) -> Result<Option<LockRecord>, LockError> {
    let found = read_with_retries(store, clock, place, &mut RetryBudget::default())
        .await
        .map_err(|why| place.error(why))?;
    let Some(found) = found else { return Ok(None) };
    let now = clock
        .earliest_now()
        .ok_or_else(|| place.error(LockErrorKind::MissingDateHeader))?;
    Ok(Some(found.record).filter(|record| !record.released && now <= record.expires_at))
}

/// See [`super::unlock`]. A lock that has run out is ended too: the next run then need not wait for the margin.
pub(super) async fn unlock<S: LockStore, P: TimeSource>(
    store: &S,
    clock: &ServerClock<P>,
    place: &LockLocation,
    id: &str,
) -> Result<LockRecord, LockError> {
    let mut tries = RetryBudget::default();
    let mut ours: Option<LockRecord> = None;
    let released = async {
        loop {
            let found = read_with_retries(store, clock, place, &mut tries).await?;
            let Some(StoredRecord { record, etag }) = found else {
                return Err(LockErrorKind::NotHeld);
            };
            if record.released {
                // It may have been given back by our own write, whose answer was lost.
                return ours
                    .filter(|ours| ours.is_same_acquisition(&record))
                    .map(|_| record)
                    .ok_or(LockErrorKind::NotHeld);
            }
            if record.unlocked && record.matches_id(id) {
                return Ok(record);
            }
            if !record.matches_id(id) {
                return Err(LockErrorKind::WrongHolder {
                    asked: id.to_owned(),
                    record: Box::new(record),
                });
            }
            let unlocked = record.to_unlocked(
                clock
                    .earliest_now()
                    .ok_or(LockErrorKind::MissingDateHeader)?,
            );
            let written =
                write_record(store, clock, &unlocked, WriteCondition::IfMatch(etag)).await;
            ours = Some(record);
            match written {
                Ok(PutOutcome::Written { .. }) => return Ok(unlocked),
                // Its holder lives and has renewed it, or another took it: the look tells.
                Ok(PutOutcome::PreconditionFailed | PutOutcome::Conflict) => {
                    tries.wait_or_give_up(clock, None).await?;
                }
                Ok(PutOutcome::BucketNotFound) => {
                    return Err(LockErrorKind::BucketNotFound(place.bucket.clone()));
                }
                Err(error) => {
                    tries
                        .retry_if_transient(clock, LockErrorKind::from_cloud_error(error))
                        .await?;
                }
            }
        }
    };
    released.await.map_err(|why| place.error(why))
}

/// See [`super::remove`].
pub(super) async fn delete_lock<S: LockStore, P: TimeSource>(
    store: &S,
    clock: &ServerClock<P>,
    place: &LockLocation,
    margin: Duration,
) -> Result<(), LockError> {
    let mut tries = RetryBudget::default();
    let removed = async {
        loop {
            let Some(found) = read_with_retries(store, clock, place, &mut tries).await? else {
                return Ok(());
            };
            let now = clock
                .earliest_now()
                .ok_or(LockErrorKind::MissingDateHeader)?;
            if let LockStatus::Held { until } =
                determine_status(Some(&found.record), NO_NONCE, now, margin)
            {
                return Err(LockErrorKind::Held {
                    record: Box::new(found.record),
                    until,
                    waited: Duration::ZERO,
                });
            }
            match store.delete(&found.etag).await {
                Ok(DeleteOutcome::Deleted) => {}
                Ok(DeleteOutcome::PreconditionFailed) => tries.wait_or_give_up(clock, None).await?,
                Err(error) => {
                    tries
                        .retry_if_transient(clock, LockErrorKind::from_cloud_error(error))
                        .await?;
                }
            }
        }
    };
    removed.await.map_err(|why| place.error(why))
}

/// Reads the lock, again if that fails in a way that may pass.
async fn read_with_retries<S: LockStore, P: TimeSource>(
    store: &S,
    clock: &ServerClock<P>,
    place: &LockLocation,
    tries: &mut RetryBudget,
) -> Result<Option<StoredRecord>, LockErrorKind> {
    loop {
        match read_record(store, clock, place).await {
            Ok(found) => return Ok(found),
            Err(why) => tries.retry_if_transient(clock, why).await?,
        }
    }
}
