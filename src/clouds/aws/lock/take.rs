//! How a lock is taken: look, write under the condition that nothing has changed since, and never believe an answer that
//! was lost.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;

use super::{
    LockError, Place, Terms, Who, Why,
    clock::{Clock, Pulse},
    lease::{Core, Kept},
    record::{Record, Verdict, judge},
    store::{Answer, Look, Only, Put, Store, is_passing},
};
use crate::clouds::CloudError;

/// How many requests in a row may fail, or meet another's write, before that is an error; and the pauses between them.
const TRIES: u32 = 8;
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(4);

/// An `ETag` that no object has: those of S3 are hexadecimal.
const NO_ETAG: &str = "\"trimtab-has-never-written-this\"";

/// An object's record, and the `ETag` that it has now.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) record: Record,
    pub(super) etag: String,
}

/// Reads the lock, and tells the clock what time it is.
pub(super) async fn look<S: Store, P: Pulse>(
    store: &S,
    clock: &Clock<P>,
    place: &Place,
) -> Result<Option<Found>, Why> {
    let sent = clock.moment();
    let Answer { value, date } = store.get().await.map_err(Why::of)?;
    clock.hear(sent, date);
    match value {
        Look::NoObject => Ok(None),
        Look::NoBucket => Err(Why::NoBucket(place.bucket.clone())),
        Look::There { body, etag } => match Record::read(&body) {
            Ok(record) => Ok(Some(Found { record, etag })),
            Err(what) => Err(Why::NotALock {
                object: place.address(),
                what,
            }),
        },
    }
}

/// Writes the lock, and tells the clock what time it is.
pub(super) async fn put<S: Store, P: Pulse>(
    store: &S,
    clock: &Clock<P>,
    record: &Record,
    only: Only,
) -> Result<Put, CloudError> {
    let sent = clock.moment();
    let Answer { value, date } = store.put(record.body(), only).await?;
    clock.hear(sent, date);
    Ok(value)
}

/// Tries in a row that came to nothing.
#[derive(Debug, Default)]
pub(super) struct Tries(u32);

impl Tries {
    /// Waits for the next; `Err` when there were too many, with the last error or a word for it.
    pub(super) async fn pause<P: Pulse>(
        &mut self,
        clock: &Clock<P>,
        error: Option<CloudError>,
    ) -> Result<(), Why> {
        self.0 += 1;
        if self.0 >= TRIES {
            return Err(error.map_or(Why::Contended(self.0), Why::of));
        }
        let pause = FIRST_PAUSE
            .saturating_mul(1 << (self.0 - 1))
            .min(LONGEST_PAUSE);
        clock.pulse().sleep(pause).await;
        Ok(())
    }

    /// Waits for the next, unless the error is one that trying again cannot mend.
    pub(super) async fn bear<P: Pulse>(&mut self, clock: &Clock<P>, why: Why) -> Result<(), Why> {
        match why {
            Why::Cloud(error) if is_passing(&error) => self.pause(clock, Some(*error)).await,
            other => Err(other),
        }
    }
}

/// Somebody who wants a lock.
pub(super) struct Taker<S, P> {
    store: S,
    clock: Clock<P>,
    place: Place,
    who: Who,
    terms: Terms,
}

/// What one try came to.
enum Step {
    /// It is ours.
    Ours(Found),
    /// Somebody has it.
    Held(Box<Record>, Timestamp),
    /// Nothing is known: look again.
    Again(Option<CloudError>),
}

impl<S: Store, P: Pulse> Taker<S, P> {
    pub(super) fn new(store: S, clock: Clock<P>, place: Place, who: Who, terms: Terms) -> Self {
        Self {
            store,
            clock,
            place,
            who,
            terms,
        }
    }

    /// See [`super::take`].
    pub(super) async fn take(
        self,
        waiting: impl FnMut(&Record, Timestamp) + Send,
    ) -> Result<Kept<S, P>, LockError> {
        let place = self.place.clone();
        let taken = async {
            let found = self.until_ours(waiting).await?;
            self.prove(found).await
        };
        match taken.await {
            Ok(found) => {
                let Self {
                    store,
                    clock,
                    place,
                    who: _,
                    terms,
                } = self;
                Ok(Kept::new(Arc::new(Core::new(
                    store, clock, place, terms, found,
                ))))
            }
            Err(why) => Err(place.error(why)),
        }
    }

    /// Tries until the lock is ours or patience ends.
    async fn until_ours(
        &self,
        mut waiting: impl FnMut(&Record, Timestamp) + Send,
    ) -> Result<Found, Why> {
        let begun = self.clock.pulse().steady();
        let mut tries = Tries::default();
        let mut told: Option<Record> = None;
        loop {
            match self.once().await? {
                Step::Ours(found) => return Ok(found),
                Step::Again(error) => tries.pause(&self.clock, error).await?,
                Step::Held(record, until) => {
                    tries = Tries::default();
                    let waited = self.clock.pulse().steady().saturating_sub(begun);
                    let Some(left) = self
                        .terms
                        .patience
                        .checked_sub(waited)
                        .filter(|left| !left.is_zero())
                    else {
                        return Err(Why::Held {
                            record,
                            until,
                            waited,
                        });
                    };
                    if !told.as_ref().is_some_and(|told| told.is_same(&record)) {
                        waiting(&record, until);
                        told = Some(*record);
                    }
                    self.clock.pulse().sleep(self.terms.look.min(left)).await;
                }
            }
        }
    }

    /// Looks, and writes if the lock may be taken.
    async fn once(&self) -> Result<Step, Why> {
        let found = match look(&self.store, &self.clock, &self.place).await {
            Ok(found) => found,
            Err(Why::Cloud(error)) if is_passing(&error) => return Ok(Step::Again(Some(*error))),
            Err(why) => return Err(why),
        };
        let (Some(earliest), Some(latest)) = (self.clock.earliest(), self.clock.latest()) else {
            return Err(Why::NoDate);
        };
        let record = found.as_ref().map(|found| &found.record);
        let verdict = judge(record, &self.who.nonce, earliest, self.terms.margin);
        let (generation, only) = match (verdict, found) {
            (Verdict::Ours, Some(found)) => return Ok(Step::Ours(found)),
            (Verdict::Held { until }, Some(found)) => {
                return Ok(Step::Held(Box::new(found.record), until));
            }
            (_, Some(Found { record, etag })) => {
                (record.generation.saturating_add(1), Only::IfStill(etag))
            }
            (_, None) => (1, Only::IfAbsent),
        };
        let record = Record::new(&self.who, generation, latest, self.terms.ttl);
        match put(&self.store, &self.clock, &record, only).await {
            Ok(Put::Written { etag }) => Ok(Step::Ours(Found { record, etag })),
            // Whose write it was that came first is told by the next look: it may have been our own.
            Ok(Put::Refused | Put::Busy) => Ok(Step::Again(None)),
            Ok(Put::NoBucket) => Err(Why::NoBucket(self.place.bucket.clone())),
            Err(error) if is_passing(&error) => Ok(Step::Again(Some(error))),
            Err(error) => Err(Why::of(error)),
        }
    }

    /// Two writes that have to be refused. A store that carries one out has written the same as was there, so that nothing
    /// is lost; the lock is given back, and nobody relies on it. This is done at each taking: stores change, and a run may
    /// die between its first write and this.
    async fn prove(&self, mut found: Found) -> Result<Found, Why> {
        let conditions = [
            ("If-None-Match: *", Only::IfAbsent),
            ("If-Match", Only::IfStill(NO_ETAG.to_owned())),
        ];
        for (name, only) in conditions {
            let mut tries = Tries::default();
            loop {
                match put(&self.store, &self.clock, &found.record, only.clone()).await {
                    // A conflict is an answer that only a store gives that knows conditions.
                    Ok(Put::Refused | Put::Busy) => break,
                    Ok(Put::Written { etag }) => {
                        found.etag = etag;
                        self.leave(&found).await;
                        return Err(Why::Ignores(name));
                    }
                    Ok(Put::NoBucket) => return Err(Why::NoBucket(self.place.bucket.clone())),
                    Err(error) => {
                        if let Err(why) = tries.bear(&self.clock, Why::of(error)).await {
                            self.leave(&found).await;
                            return Err(why);
                        }
                    }
                }
            }
        }
        Ok(found)
    }

    /// Gives back what was taken a moment ago and is not wanted.
    async fn leave(&self, found: &Found) {
        let only = Only::IfStill(found.etag.clone());
        if let Err(error) = put(&self.store, &self.clock, &found.record.released(), only).await {
            tracing::warn!(%error, "a lock was not given back and will run out by itself");
        }
    }
}
