//! One run at a time for each environment: a lock in a bucket, as a lease that runs out when its holder dies.
//!
//! ```text
//! record.rs    what stands in the object, and what it means: pure
//! clock.rs     the server's time, which is the only one that counts
//! store.rs     the two requests: read, and write under a condition
//! take.rs      how a lock is taken, and that the store is fit for it
//! lease.rs     how it is kept, asked for before each write, and given back
//! unlock.rs    how somebody else gives it back
//! error.rs     who has it, and what to do
//! ```
//!
//! # Guarantees
//! Of any number of runs that follow this protocol, at most one writes the object with a new generation at a time, since
//! S3 carries out a conditional write only while its condition holds. A holder that is alive knows when its time is over
//! by the server's clock, and nobody takes the lock before that and a margin.
//!
//! # What it is not
//! A fence: Fly and IAM do not know of it. A holder that is paused between [`Lease::confirm`] and its request sends that
//! request late. The margin makes this unlikely; only a server that checked the generation could exclude it.

mod clock;
mod error;
mod lease;
mod record;
mod store;
mod take;
mod unlock;

use std::time::Duration;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

pub use error::{LockError, Loss, Why};
pub use record::{Record, Who};

use self::{
    clock::{Clock, Machine},
    store::Object,
};
use super::{Reader, Writer};
use crate::{clouds::http::bounded, model::Mark};

/// A lock of ours on an environment, see [`take`]. Dropped without being given back, it runs out by itself.
#[derive(Debug)]
pub struct Lease(lease::Kept<Object, Machine>);

impl Lease {
    /// What stands in the lock's object.
    #[must_use]
    pub fn record(&self) -> Record {
        self.0.record()
    }

    /// Whether the lock is ours for so much longer at least, in seconds of the server's time, whatever its clock says now.
    #[must_use]
    pub fn is_mine(&self, margin: Duration) -> bool {
        self.0.is_mine(margin)
    }

    /// Makes sure that the lock is ours for so much longer, in the server's time, and renews it if it is not: to be asked
    /// before each write. More than two thirds of [`Terms::ttl`] makes every call a request, and more than all of it cannot
    /// be had: the lock then counts as lost.
    ///
    /// # Errors
    /// [`Why::Lost`]: nothing more may be written.
    pub async fn confirm(&self, margin: Duration) -> Result<(), LockError> {
        self.0.confirm(margin).await
    }

    /// Cancelled when the lock is lost: the run has to stop. [`Self::confirm`] says why.
    #[must_use]
    pub fn over(&self) -> CancellationToken {
        self.0.over()
    }

    /// Whether this is the lock that is kept in a bucket.
    #[must_use]
    pub fn is_in(&self, bucket: &str) -> bool {
        self.0.place().bucket == bucket
    }

    /// Takes the lock out of its bucket, which is about to be removed by the run that holds it: renews it no more, and
    /// removes the object if it is still ours. The run goes on to its end, which has to be near: what is left is to remove
    /// the bucket. If somebody takes the lock in between, S3 refuses to remove a bucket that holds something.
    ///
    /// # Errors
    /// [`Why::Lost`] when it is not ours, and as every request.
    pub async fn retire(&self) -> Result<(), LockError> {
        self.0.retire().await
    }

    /// Gives the lock back, by overwriting its object: the count of takings stays, no right to delete is needed, and no
    /// reader ever meets an object that is missing. One that is gone already, or somebody else's by now, is no error; nor is
    /// a bucket that this very run has deleted. Takes as long as a renewal may at most.
    ///
    /// # Errors
    /// As every request. The lock then runs out by itself.
    pub async fn release(&self) -> Result<(), LockError> {
        self.0.release().await
    }
}

/// What is locked, and where the lock is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The bucket's name.
    pub bucket: String,
    /// The bucket's region.
    pub region: String,
    /// The environment.
    pub mark: Mark,
}

impl Place {
    /// The key of the lock's object.
    #[must_use]
    pub fn key(&self) -> String {
        self.mark.lock_key()
    }

    /// What is locked, in words.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}/{}", self.mark.project, self.mark.environment)
    }

    fn address(&self) -> String {
        format!("s3://{}/{}", self.bucket, self.key())
    }

    fn error(&self, why: Why) -> LockError {
        LockError {
            place: self.name(),
            why,
        }
    }
}

/// How long things last, in seconds of the server's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// How long a lock lasts unless it is renewed, which happens after every third of it.
    pub ttl: Duration,
    /// How long after its end a lock is left alone: as far as the clocks of two servers may be apart, and then some for a
    /// request that was sent in the last moment.
    pub margin: Duration,
    /// How often to look whether a lock has come free.
    pub look: Duration,
    /// How long to wait for a lock that somebody else has.
    pub patience: Duration,
}

impl Terms {
    /// Against AWS. Two renewals in a row may fail before a lock is lost; after a run that was killed the next one waits
    /// for 105 seconds at most, and is patient enough for that.
    pub const AWS: Self = Self {
        ttl: Duration::from_secs(90),
        margin: Duration::from_secs(15),
        look: Duration::from_secs(5),
        patience: Duration::from_secs(160),
    };

    /// From when anybody may take a lock that is not renewed any more.
    #[must_use]
    pub fn free_at(self, record: &Record) -> Timestamp {
        record::later(record.expires_at, self.margin)
    }

    /// How often a lock is renewed, and how long giving it back may take.
    fn renewal(self) -> Duration {
        self.ttl / 3
    }

    /// How long one renewal may take: two that hang, and the pauses before them, leave time for a third.
    fn attempt(self) -> Duration {
        self.ttl / 6
    }

    /// How soon a renewal that failed is tried again.
    fn retry(self) -> Duration {
        self.ttl / 12
    }

    /// Against an imitation whose time runs faster: a lock lasts three seconds outside at least, or a busy machine would
    /// not get round to renewing it.
    #[must_use]
    pub fn at_speed(speed: f64) -> Self {
        let outside = |millis: u64| Duration::from_millis(millis).mul_f64(bounded(speed));
        let Self {
            ttl,
            margin,
            look,
            patience,
        } = Self::AWS;
        let ttl = ttl.max(outside(3000));
        let margin = margin.max(outside(200));
        Self {
            ttl,
            margin,
            look: look.max(outside(20)),
            patience: patience.max((ttl + margin) * 3 / 2),
        }
    }
}

impl Default for Terms {
    fn default() -> Self {
        Self::AWS
    }
}

/// Takes the lock of an environment, and keeps it until the lease is given back or dropped.
///
/// # Flow
/// 1. Read the object. Where there is none, write one on the condition that there is none; where it was given back or has
///    run out, overwrite it on the condition that it is still the same; where somebody has it, tell `waiting` (once for
///    each holder), look again every few seconds, and give up when patience ends.
/// 2. A write that was refused, or whose answer was lost, is followed by a look: if our nonce stands there, it was ours.
/// 3. Two more writes, which the store has to refuse, show that it knows conditions at all.
/// 4. From now on the lock is renewed in the background.
///
/// `wall` is the local clock. It is never asked for the time; where more has passed by it than by the machine's steady
/// one, the machine was asleep, and the lock is confirmed before it is relied upon.
///
/// # Errors
/// [`Why::Held`] when somebody else does not let go, [`Why::Ignores`] for a store without conditional writes, and as every
/// request.
pub async fn take(
    writer: &Writer,
    place: &Place,
    who: &Who,
    terms: Terms,
    wall: fn() -> Timestamp,
    waiting: impl FnMut(&Record, Timestamp) + Send,
) -> Result<Lease, LockError> {
    let clock = Clock::new(Machine::new(wall, writer.settings().speed));
    let store = Object::new(writer, place);
    let taker = take::Taker::new(store, clock, place.clone(), who.clone(), terms);
    taker.take(waiting).await.map(Lease)
}

/// Who holds the lock of an environment; nobody when it is free, given back, or has run out.
///
/// # Errors
/// As every request.
pub async fn holder(reader: &Reader, place: &Place) -> Result<Option<Record>, LockError> {
    // A look is too short for the machine to fall asleep in it, so no local clock needs to tell.
    let clock = Clock::new(Machine::new(
        || Timestamp::UNIX_EPOCH,
        reader.settings().speed,
    ));
    unlock::holder(&Object::new(reader, place), &clock, place).await
}

/// Ends the lock of an environment for its holder, who must be named: by at least four characters of [`Record::id`]. It is
/// renewed no more, and free when the time is over for which its holder has it, and a margin: whatever a person believes
/// of a run, two never write at once. A holder that lives notices at its next renewal, stops, and gives it back then. One
/// that has run out is free at once. Says what stands there now.
///
/// # Errors
/// [`Why::OtherHolder`] when somebody else than the one who was named holds it, [`Why::NotHeld`] when nobody does.
pub async fn unlock(
    writer: &Writer,
    place: &Place,
    id: &str,
    wall: fn() -> Timestamp,
) -> Result<Record, LockError> {
    let clock = Clock::new(Machine::new(wall, writer.settings().speed));
    unlock::unlock(&Object::new(writer, place), &clock, place, id).await
}

/// Removes the lock's object, which nobody may hold, from a bucket that is about to be removed.
///
/// # Errors
/// [`Why::Held`] when somebody does, and as every request.
pub async fn remove(writer: &Writer, place: &Place) -> Result<(), LockError> {
    let speed = writer.settings().speed;
    let clock = Clock::new(Machine::new(|| Timestamp::UNIX_EPOCH, speed));
    unlock::remove(
        &Object::new(writer, place),
        &clock,
        place,
        Terms::at_speed(speed).margin,
    )
    .await
}

#[cfg(test)]
mod tests;
