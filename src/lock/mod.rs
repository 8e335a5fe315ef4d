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

mod acquire;
mod clock;
mod error;
mod lease;
mod record;
mod store;
mod unlock;

use std::time::Duration;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

pub use error::{LockError, LockErrorKind, LockLoss};
pub use record::{LockHolder, LockRecord};

use self::{
    clock::{ServerClock, SystemTimeSource},
    store::S3LockStore,
};
use super::clouds::aws::{AwsReader, AwsWriter};
use crate::{clouds::http::clamp_speed, model::OwnershipMark};

/// A lock of ours on an environment, see [`take`]. Dropped without being given back, it runs out by itself.
#[derive(Debug)]
pub struct LockLease(lease::HeldLock<S3LockStore, SystemTimeSource>);

impl LockLease {
    /// What stands in the lock's object.
    #[must_use]
    pub fn record(&self) -> LockRecord {
        self.0.record()
    }

    /// Whether the lock is ours for so much longer at least, in seconds of the server's time, whatever its clock says now.
    #[must_use]
    pub fn is_held_for(&self, margin: Duration) -> bool {
        self.0.is_held_for(margin)
    }

    /// Makes sure that the lock is ours for so much longer, in the server's time, and renews it if it is not: to be asked
    /// before each write. More than two thirds of [`Terms::ttl`] makes every call a request, and more than all of it cannot
    /// be had: the lock then counts as lost.
    ///
    /// # Errors
    /// [`Why::Lost`]: nothing more may be written.
    pub async fn ensure_held_for(&self, margin: Duration) -> Result<(), LockError> {
        self.0.ensure_held_for(margin).await
    }

    /// Cancelled when the lock is lost: the run has to stop. [`Self::confirm`] says why.
    #[must_use]
    pub fn cancellation_token(&self) -> CancellationToken {
        self.0.cancellation_token()
    }

    /// Whether this is the lock that is kept in a bucket.
    #[must_use]
    pub fn is_in_bucket(&self, bucket: &str) -> bool {
        self.0.location().bucket == bucket
    }

    /// Takes the lock out of its bucket, which is about to be removed by the run that holds it: renews it no more, and
    /// removes the object if it is still ours. The run goes on to its end, which has to be near: what is left is to remove
    /// the bucket. If somebody takes the lock in between, S3 refuses to remove a bucket that holds something.
    ///
    /// # Errors
    /// [`Why::Lost`] when it is not ours, and as every request.
    pub async fn delete_object(&self) -> Result<(), LockError> {
        self.0.delete_object().await
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
pub struct LockLocation {
    /// The bucket's name.
    pub bucket: String,
    /// The bucket's region.
    pub region: String,
    /// The environment.
    pub mark: OwnershipMark,
}

impl LockLocation {
    /// The key of the lock's object.
    #[must_use]
    pub fn object_key(&self) -> String {
        self.mark.lock_key()
    }

    /// What is locked, in words.
    #[must_use]
    pub fn display_name(&self) -> String {
        format!("{}/{}", self.mark.project, self.mark.environment)
    }

    fn s3_url(&self) -> String {
        format!("s3://{}/{}", self.bucket, self.object_key())
    }

    fn error(&self, why: LockErrorKind) -> LockError {
        LockError {
            target: self.display_name(),
            kind: why,
        }
    }
}

/// How long things last, in seconds of the server's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LockTimings {
    /// How long a lock lasts unless it is renewed, which happens after every third of it.
    pub ttl: Duration,
    /// How long after its end a lock is left alone: as far as the clocks of two servers may be apart, and then some for a
    /// request that was sent in the last moment.
    pub margin: Duration,
    /// How often to look whether a lock has come free.
    pub poll_interval: Duration,
    /// How long to wait for a lock that somebody else has.
    pub acquire_timeout: Duration,
}

impl LockTimings {
    /// Against AWS. Two renewals in a row may fail before a lock is lost; after a run that was killed the next one waits
    /// for 105 seconds at most, and is patient enough for that.
    pub const AWS: Self = Self {
        ttl: Duration::from_secs(90),
        margin: Duration::from_secs(15),
        poll_interval: Duration::from_secs(5),
        acquire_timeout: Duration::from_secs(160),
    };

    /// From when anybody may take a lock that is not renewed any more.
    #[must_use]
    pub fn available_at(self, record: &LockRecord) -> Timestamp {
        record::saturating_add(record.expires_at, self.margin)
    }

    /// How often a lock is renewed, and how long giving it back may take.
    fn renew_interval(self) -> Duration {
        self.ttl / 3
    }

    /// How long one renewal may take: two that hang, and the pauses before them, leave time for a third.
    fn renew_timeout(self) -> Duration {
        self.ttl / 6
    }

    /// How soon a renewal that failed is tried again.
    fn retry_delay(self) -> Duration {
        self.ttl / 12
    }

    /// Against an imitation whose time runs faster: a lock lasts three seconds outside at least, or a busy machine would
    /// not get round to renewing it.
    #[must_use]
    pub fn at_speed(speed: f64) -> Self {
        let outside = |millis: u64| Duration::from_millis(millis).mul_f64(clamp_speed(speed));
        let Self {
            ttl,
            margin,
            poll_interval: look,
            acquire_timeout: patience,
        } = Self::AWS;
        let ttl = ttl.max(outside(3000));
        let margin = margin.max(outside(200));
        Self {
            ttl,
            margin,
            poll_interval: look.max(outside(20)),
            acquire_timeout: patience.max((ttl + margin) * 3 / 2),
        }
    }
}

impl Default for LockTimings {
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
pub async fn acquire(
    writer: &AwsWriter,
    place: &LockLocation,
    who: &LockHolder,
    terms: LockTimings,
    wall: fn() -> Timestamp,
    waiting: impl FnMut(&LockRecord, Timestamp) + Send,
) -> Result<LockLease, LockError> {
    let clock = ServerClock::new(SystemTimeSource::new(wall, writer.settings().speed));
    let store = S3LockStore::new(writer, place);
    let taker = acquire::Acquirer::new(store, clock, place.clone(), who.clone(), terms);
    taker.acquire(waiting).await.map(LockLease)
}

/// Who holds the lock of an environment; nobody when it is free, given back, or has run out.
///
/// # Errors
/// As every request.
pub async fn find_holder(
    reader: &AwsReader,
    place: &LockLocation,
) -> Result<Option<LockRecord>, LockError> {
    // A look is too short for the machine to fall asleep in it, so no local clock needs to tell.
    let clock = ServerClock::new(SystemTimeSource::new(
        || Timestamp::UNIX_EPOCH,
        reader.settings().speed,
    ));
    unlock::find_holder(&S3LockStore::new(reader, place), &clock, place).await
}

/// Ends the lock of an environment for its holder, who must be named: by at least four characters of [`Record::id`]. It is
/// renewed no more, and free when the time is over for which its holder has it, and a margin: whatever a person believes
/// of a run, two never write at once. A holder that lives notices at its next renewal, stops, and gives it back then. One
/// that has run out is free at once. Says what stands there now.
///
/// # Errors
/// [`Why::OtherHolder`] when somebody else than the one who was named holds it, [`Why::NotHeld`] when nobody does.
pub async fn unlock(
    writer: &AwsWriter,
    place: &LockLocation,
    id: &str,
    wall: fn() -> Timestamp,
) -> Result<LockRecord, LockError> {
    let clock = ServerClock::new(SystemTimeSource::new(wall, writer.settings().speed));
    unlock::unlock(&S3LockStore::new(writer, place), &clock, place, id).await
}

/// Removes the lock's object, which nobody may hold, from a bucket that is about to be removed.
///
/// # Errors
/// [`Why::Held`] when somebody does, and as every request.
pub async fn delete_lock(writer: &AwsWriter, place: &LockLocation) -> Result<(), LockError> {
    let speed = writer.settings().speed;
    let clock = ServerClock::new(SystemTimeSource::new(|| Timestamp::UNIX_EPOCH, speed));
    unlock::delete_lock(
        &S3LockStore::new(writer, place),
        &clock,
        place,
        LockTimings::at_speed(speed).margin,
    )
    .await
}

#[cfg(test)]
mod tests;
