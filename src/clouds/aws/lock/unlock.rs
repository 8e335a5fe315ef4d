//! How somebody else looks at a lock, and gives it back for a holder that cannot.

use std::time::Duration;

use super::{
    LockError, Place, Why,
    clock::{Clock, Pulse},
    record::{Record, Verdict, judge},
    store::{Only, Put, Removed, Store},
    take::{Found, Tries, look, put},
};

/// A nonce that no run has.
const NOBODY: &str = "";

/// See [`super::holder`].
pub(super) async fn holder<S: Store, P: Pulse>(
    store: &S,
    clock: &Clock<P>,
    place: &Place,
) -> Result<Option<Record>, LockError> {
    let found = patiently(store, clock, place, &mut Tries::default())
        .await
        .map_err(|why| place.error(why))?;
    let Some(found) = found else { return Ok(None) };
    let now = clock.earliest().ok_or_else(|| place.error(Why::NoDate))?;
    Ok(Some(found.record).filter(|record| !record.released && now <= record.expires_at))
}

/// See [`super::unlock`]. A lock that has run out is ended too: the next run then need not wait for the margin.
pub(super) async fn unlock<S: Store, P: Pulse>(
    store: &S,
    clock: &Clock<P>,
    place: &Place,
    id: &str,
) -> Result<Record, LockError> {
    let mut tries = Tries::default();
    let mut ours: Option<Record> = None;
    let released = async {
        loop {
            let found = patiently(store, clock, place, &mut tries).await?;
            let Some(Found { record, etag }) = found else {
                return Err(Why::NotHeld);
            };
            if record.released {
                // It may have been given back by our own write, whose answer was lost.
                return ours
                    .filter(|ours| ours.is_same(&record))
                    .map(|_| record)
                    .ok_or(Why::NotHeld);
            }
            if record.unlocked && record.answers_to(id) {
                return Ok(record);
            }
            if !record.answers_to(id) {
                return Err(Why::OtherHolder {
                    asked: id.to_owned(),
                    record: Box::new(record),
                });
            }
            let unlocked = record.unlocked(clock.earliest().ok_or(Why::NoDate)?);
            let written = put(store, clock, &unlocked, Only::IfStill(etag)).await;
            ours = Some(record);
            match written {
                Ok(Put::Written { .. }) => return Ok(unlocked),
                // Its holder lives and has renewed it, or another took it: the look tells.
                Ok(Put::Refused | Put::Busy) => tries.pause(clock, None).await?,
                Ok(Put::NoBucket) => return Err(Why::NoBucket(place.bucket.clone())),
                Err(error) => tries.bear(clock, Why::of(error)).await?,
            }
        }
    };
    released.await.map_err(|why| place.error(why))
}

/// See [`super::remove`].
pub(super) async fn remove<S: Store, P: Pulse>(
    store: &S,
    clock: &Clock<P>,
    place: &Place,
    margin: Duration,
) -> Result<(), LockError> {
    let mut tries = Tries::default();
    let removed = async {
        loop {
            let Some(found) = patiently(store, clock, place, &mut tries).await? else {
                return Ok(());
            };
            let now = clock.earliest().ok_or(Why::NoDate)?;
            if let Verdict::Held { until } = judge(Some(&found.record), NOBODY, now, margin) {
                return Err(Why::Held {
                    record: Box::new(found.record),
                    until,
                    waited: Duration::ZERO,
                });
            }
            match store.remove(&found.etag).await {
                Ok(Removed::Gone) => {}
                Ok(Removed::Refused) => tries.pause(clock, None).await?,
                Err(error) => tries.bear(clock, Why::of(error)).await?,
            }
        }
    };
    removed.await.map_err(|why| place.error(why))
}

/// Reads the lock, again if that fails in a way that may pass.
async fn patiently<S: Store, P: Pulse>(
    store: &S,
    clock: &Clock<P>,
    place: &Place,
    tries: &mut Tries,
) -> Result<Option<Found>, Why> {
    loop {
        match look(store, clock, place).await {
            Ok(found) => return Ok(found),
            Err(why) => tries.bear(clock, why).await?,
        }
    }
}
