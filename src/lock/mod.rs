//! The environment lock: one run at a time for each environment. The lock is an object in an S3
//! bucket and works as a lease, so it expires by itself when its holder dies.
//!
//! ```text
//! record.rs    content of the object, and what it means; pure
//! clock.rs     server time, the only time that counts
//! store.rs     the requests: read, conditional write, delete
//! acquire.rs   acquires the lock, and checks that the store supports conditional writes
//! lease.rs     holds the lock: renews, confirms before each write, releases
//! unlock.rs    ends the lock of another holder
//! error.rs     error messages: who holds it, and what to do
//! ```
//!
//! # Guarantees
//! S3 carries out a conditional write only while its condition holds. So of any number of runs that
//! follow this protocol, at most one at a time writes the object with a new generation. A holder
//! that is alive knows by server time when its lease ends, and nobody else acquires the lock before
//! that time plus a margin.
//!
//! # Limits
//! The lock is not a fence: Fly and IAM do not know it. A holder that is paused between
//! [`LockLease::ensure_held_for`] and its request sends that request late. The margin makes this
//! unlikely; only a server that checked the generation could exclude it.

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
use crate::{
    clouds::{
        aws::{AwsReader, AwsWriter},
        http::clamp_speed,
    },
    model::OwnershipMark,
};

/// A lock that this run holds on an environment, see [`acquire`]. If it is dropped without
/// [`Self::release`], it expires by itself.
#[derive(Debug)]
pub struct LockLease(lease::HeldLock<S3LockStore, SystemTimeSource>);

impl LockLease {
    /// The content of the lock's object.
    #[must_use]
    pub fn record(&self) -> LockRecord {
        self.0.record()
    }

    /// Whether the lock is held for at least `margin` more, for every server time that is possible
    /// now.
    #[must_use]
    pub fn is_held_for(&self, margin: Duration) -> bool {
        self.0.is_held_for(margin)
    }

    /// Ensures that the lock is held for at least `margin` more (in server time) and renews it if
    /// necessary. To be called before each write. With more than two thirds of
    /// [`LockTimings::ttl`], every call sends a request; more than the whole TTL cannot be ensured,
    /// and the lock then counts as lost.
    ///
    /// # Errors
    /// [`LockErrorKind::Lost`]: nothing more may be written.
    pub async fn ensure_held_for(&self, margin: Duration) -> Result<(), LockError> {
        self.0.ensure_held_for(margin).await
    }

    /// Cancelled when the lock is lost: the run must stop. [`Self::ensure_held_for`] returns the
    /// reason.
    #[must_use]
    pub fn cancellation_token(&self) -> CancellationToken {
        self.0.cancellation_token()
    }

    /// Whether the lock's object is in this bucket.
    #[must_use]
    pub fn is_in_bucket(&self, bucket: &str) -> bool {
        self.0.location().bucket == bucket
    }

    /// The key of the lock's object, if it is in this bucket.
    #[must_use]
    pub fn object_key_in(&self, bucket: &str) -> Option<String> {
        self.is_in_bucket(bucket)
            .then(|| self.0.location().object_key())
    }

    /// Deletes the lock's object, because this run is about to delete its bucket. Stops renewing,
    /// and deletes the object only if it is still ours. Only the deletion of the bucket should
    /// follow. If another run acquires the lock in between, S3 refuses to delete a bucket that is
    /// not empty.
    ///
    /// # Errors
    /// [`LockErrorKind::Lost`] when the lock is no longer ours, and when a request fails.
    pub async fn delete_object(&self) -> Result<(), LockError> {
        self.0.delete_object().await
    }

    /// Releases the lock by overwriting its object. So the generation keeps counting, no permission
    /// to delete is needed, and no reader ever finds the object missing. It is no error if the
    /// object is gone, belongs to another holder by now, or was in a bucket that this run has
    /// deleted. Takes at most as long as the renewal interval.
    ///
    /// # Errors
    /// When a request fails. The lock then expires by itself.
    pub async fn release(&self) -> Result<(), LockError> {
        self.0.release().await
    }
}

/// Which environment is locked, and where its lock is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockLocation {
    /// The name of the bucket.
    pub bucket: String,
    /// The region of the bucket.
    pub region: String,
    /// The project and environment.
    pub mark: OwnershipMark,
}

impl LockLocation {
    /// The key of the lock's object in the bucket.
    #[must_use]
    pub fn object_key(&self) -> String {
        self.mark.lock_key()
    }

    /// What is locked, as `project/environment`.
    #[must_use]
    pub fn display_name(&self) -> String {
        format!("{}/{}", self.mark.project, self.mark.environment)
    }

    fn s3_url(&self) -> String {
        format!("s3://{}/{}", self.bucket, self.object_key())
    }

    fn error(&self, kind: LockErrorKind) -> LockError {
        LockError {
            target: self.display_name(),
            kind,
        }
    }
}

/// Durations of the protocol, in server time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LockTimings {
    /// How long a lock lasts unless it is renewed. It is renewed after every third of this.
    pub ttl: Duration,
    /// How long after its expiry nobody acquires a lock: the possible difference between the clocks
    /// of two servers, and some time for a request that was sent at the last moment.
    pub margin: Duration,
    /// How often a waiting run reads the lock again.
    pub poll_interval: Duration,
    /// How long to wait for a lock that another run holds.
    pub acquire_timeout: Duration,
}

impl LockTimings {
    /// How long a run waits by default for the lock, or the lease of a machine, that another run
    /// holds: one and a half times as long as the lock of a killed run can last (`ttl` + `margin`,
    /// 105 seconds).
    pub const DEFAULT_ACQUIRE_TIMEOUT: Duration = Duration::from_secs(160);

    /// The values against AWS. Two renewals in a row may fail before a lock is lost.
    pub const AWS: Self = Self {
        ttl: Duration::from_secs(90),
        margin: Duration::from_secs(15),
        poll_interval: Duration::from_secs(5),
        acquire_timeout: Self::DEFAULT_ACQUIRE_TIMEOUT,
    };

    /// When another run may acquire this lock if it is not renewed any more.
    #[must_use]
    pub fn available_at(self, record: &LockRecord) -> Timestamp {
        record::saturating_add(record.expires_at, self.margin)
    }

    /// How often a lock is renewed, and how long releasing it may take.
    fn renew_interval(self) -> Duration {
        self.ttl / 3
    }

    /// How long one renewal may take: if two hang, there is still time for a third one.
    fn renew_timeout(self) -> Duration {
        self.ttl / 6
    }

    /// How soon a failed renewal is tried again.
    fn retry_delay(self) -> Duration {
        self.ttl / 12
    }

    /// The values against a sandbox whose clock runs faster. A lock still lasts at least three
    /// seconds of real time, or a busy machine could not renew it in time.
    #[must_use]
    pub fn at_speed(speed: f64) -> Self {
        let scaled = |millis: u64| Duration::from_millis(millis).mul_f64(clamp_speed(speed));
        let Self {
            ttl,
            margin,
            poll_interval,
            acquire_timeout,
        } = Self::AWS;
        let ttl = ttl.max(scaled(3000));
        let margin = margin.max(scaled(200));
        Self {
            ttl,
            margin,
            poll_interval: poll_interval.max(scaled(20)),
            acquire_timeout: acquire_timeout.max((ttl + margin) * 3 / 2),
        }
    }
}

impl Default for LockTimings {
    fn default() -> Self {
        Self::AWS
    }
}

/// Acquires the lock of an environment, and renews it until the lease is released or dropped.
///
/// # Flow
/// 1. Read the object. If there is none, write one with `If-None-Match: *`. If it was released or
///    has expired, overwrite it with `If-Match`. If another run holds it, call `on_waiting` (once for
///    each holder), read again every few seconds, and give up after the acquire timeout.
/// 2. After a write that was rejected or whose response was lost, read again: if the object has our
///    nonce, the write was ours.
/// 3. Send two more writes that the store has to reject, to verify that it supports conditional
///    writes.
/// 4. From then on, renew the lock in the background.
///
/// `wall_clock` is the local clock. It is never used as the time. It only shows that the machine
/// was asleep: then more time has passed on it than on the monotonic clock, and the lock is
/// confirmed before it is relied upon.
///
/// # Errors
/// [`LockErrorKind::Held`] when another run keeps the lock,
/// [`LockErrorKind::ConditionalWritesIgnored`] for a store without conditional writes, and when a
/// request fails.
pub async fn acquire(
    writer: &AwsWriter,
    location: &LockLocation,
    holder: &LockHolder,
    timings: LockTimings,
    wall_clock: fn() -> Timestamp,
    on_waiting: impl FnMut(&LockRecord, Timestamp) + Send,
) -> Result<LockLease, LockError> {
    let clock = ServerClock::new(SystemTimeSource::new(wall_clock, writer.settings().speed));
    let store = S3LockStore::new(writer, location);
    let acquirer = acquire::Acquirer::new(store, clock, location.clone(), holder.clone(), timings);
    acquirer.acquire(on_waiting).await.map(LockLease)
}

/// Who holds the lock of an environment; `None` if it is free, released or expired.
///
/// # Errors
/// When a request fails.
pub async fn find_holder(
    reader: &AwsReader,
    location: &LockLocation,
) -> Result<Option<LockRecord>, LockError> {
    // One read is too short for the machine to fall asleep in between, so no wall clock is needed.
    let clock = ServerClock::new(SystemTimeSource::new(
        || Timestamp::UNIX_EPOCH,
        reader.settings().speed,
    ));
    unlock::find_holder(&S3LockStore::new(reader, location), &clock, location).await
}

/// Ends the lock of another holder, who must be named by at least four characters of
/// [`LockRecord::short_id`]. The lock is not renewed any more and becomes available when it
/// expires, plus the margin. It is not taken away at once: whatever a person believes about a run,
/// two runs must never write at the same time. A holder that is alive notices at its next renewal,
/// stops, and releases the lock. A lock that has expired already becomes available at once. Returns
/// the new content of the object.
///
/// # Errors
/// [`LockErrorKind::WrongHolder`] when another holder has the lock, [`LockErrorKind::NotHeld`] when
/// nobody has.
pub async fn unlock(
    writer: &AwsWriter,
    location: &LockLocation,
    id: &str,
    wall_clock: fn() -> Timestamp,
) -> Result<LockRecord, LockError> {
    let clock = ServerClock::new(SystemTimeSource::new(wall_clock, writer.settings().speed));
    unlock::unlock(&S3LockStore::new(writer, location), &clock, location, id).await
}

/// Releases the lock that an acquisition under this nonce may have written before it was dropped. It does nothing when another run
/// holds the lock.
///
/// # Errors
/// When a request fails. The lock then expires by itself.
pub async fn release_abandoned(
    writer: &AwsWriter,
    location: &LockLocation,
    nonce: &str,
    wall_clock: fn() -> Timestamp,
) -> Result<(), LockError> {
    let clock = ServerClock::new(SystemTimeSource::new(wall_clock, writer.settings().speed));
    let store = S3LockStore::new(writer, location);
    unlock::release_abandoned(&store, &clock, location, nonce).await
}

/// Deletes the object of a lock that nobody holds, from a bucket that is about to be deleted.
///
/// # Errors
/// [`LockErrorKind::Held`] when somebody holds it, and when a request fails.
pub async fn delete_lock(writer: &AwsWriter, location: &LockLocation) -> Result<(), LockError> {
    let speed = writer.settings().speed;
    let clock = ServerClock::new(SystemTimeSource::new(|| Timestamp::UNIX_EPOCH, speed));
    unlock::delete_lock(
        &S3LockStore::new(writer, location),
        &clock,
        location,
        LockTimings::at_speed(speed).margin,
    )
    .await
}

#[cfg(test)]
mod tests;
