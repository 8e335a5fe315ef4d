//! What can go wrong with a lock, in words that say who has it and what to do.

use std::time::Duration;

use jiff::Timestamp;

use super::record::LockRecord;
use crate::clouds::{CloudError, ErrorKind};

/// A lock that could not be taken, kept or given back.
#[derive(Clone, Debug, thiserror::Error)]
#[error("lock {target}: {kind}")]
pub struct LockError {
    /// What is locked, as `project/environment`.
    pub target: String,
    /// Why.
    pub kind: LockErrorKind,
}

/// The reasons.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LockErrorKind {
    /// Somebody else has it, and did not let go.
    #[error(
        "{record} has held it since {}, until {expires} unless it is renewed, and did not let go within {} s",
        record.acquired_at, waited.as_secs(), expires = record.expires_at
    )]
    Held {
        /// The holder.
        record: Box<LockRecord>,
        /// From when anybody may take it, if it is not renewed.
        until: Timestamp,
        /// How long was waited, in seconds of the server's.
        waited: Duration,
    },
    /// We had it, and have it no longer.
    #[error("{0}; nothing more is written")]
    Lost(LockLoss),
    /// The store carries out what it should refuse.
    #[error(
        "this store ignores conditional writes (a write with `{0}` was carried out and had to be refused with 412), so two \
         runs would both believe to hold the lock"
    )]
    ConditionalWritesIgnored(&'static str),
    /// Something else is in the lock's place.
    #[error("{object} is not a lock: {what}")]
    NotALock {
        /// Where it is, as an address of S3.
        object: String,
        /// What is wrong with it.
        what: String,
    },
    /// The bucket is not there.
    #[error("there is no bucket {0}")]
    BucketNotFound(String),
    /// No answer had a `Date`.
    #[error("the store's answers have no `Date`, so nobody can tell when a lock runs out")]
    MissingDateHeader,
    /// Others write at the same time, over and over.
    #[error("{0} writes in a row met another's; nobody seems to hold it")]
    Contended(u32),
    /// Nobody holds it.
    #[error("nobody holds it")]
    NotHeld,
    /// Another holder than the one that was named.
    #[error("`{asked}` does not hold it: {record} does, since {}", record.acquired_at)]
    WrongHolder {
        /// The id that was given.
        asked: String,
        /// Who holds it.
        record: Box<LockRecord>,
    },
    /// A request failed.
    #[error(transparent)]
    Cloud(Box<CloudError>),
    /// Giving it back took too long.
    #[error("giving it back takes too long; it runs out by itself")]
    ReleaseTimedOut,
}

impl LockErrorKind {
    pub(super) fn from_cloud_error(error: CloudError) -> Self {
        Self::Cloud(Box::new(error))
    }
}

/// How a lock that was ours was lost.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LockLoss {
    /// It ran out, and somebody took it.
    #[error("the lock ran out, and {0} took it")]
    TakenOver(Box<LockRecord>),
    /// Somebody gave it back for us.
    #[error("somebody released the lock with `trimtab unlock`")]
    Unlocked,
    /// Its object, or the whole bucket, is gone.
    #[error("somebody deleted the lock")]
    Deleted,
    /// Something else is in its place.
    #[error("the lock was overwritten by what is none: {0}")]
    Overwritten(String),
    /// It could not be renewed before it ran out.
    #[error("the lock could not be renewed in time ({0})")]
    NotRenewed(String),
    /// We gave it back ourselves.
    #[error("the lock was given back")]
    Released,
}

impl LockError {
    /// What the user can do next.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let environment = self.target.rsplit('/').next().unwrap_or_default();
        let unlock = |record: &LockRecord| {
            format!("trimtab unlock {environment} --id {}", record.short_id())
        };
        match &self.kind {
            LockErrorKind::Held { record, until, .. } if record.unlocked => {
                Some(format!("it was ended, and is free after {until}: run the same command again then"))
            }
            LockErrorKind::Held { record, until, .. } => Some(format!(
                "wait for it; a run that is dead loses the lock at {until}; one that you know to have stopped: `{}`",
                unlock(record)
            )),
            LockErrorKind::WrongHolder { record, .. } => {
                Some(format!("if that is the one, and you know it to have stopped: `{}`", unlock(record)))
            }
            LockErrorKind::Lost(_) | LockErrorKind::Contended(_) => {
                Some("run the same command again: what was done is not done twice".to_owned())
            }
            LockErrorKind::ConditionalWritesIgnored(_) => Some(
                "name a bucket of S3 itself, or of a store that honours `If-Match` and `If-None-Match` on PUT"
                    .to_owned(),
            ),
            LockErrorKind::NotALock { object, .. } => {
                Some(format!("look at it, and if nothing needs it: `aws s3 rm {object}`"))
            }
            LockErrorKind::BucketNotFound(_) => Some("make it first, or name another in `[aws] lock`".to_owned()),
            LockErrorKind::MissingDateHeader | LockErrorKind::NotHeld | LockErrorKind::ReleaseTimedOut => None,
            LockErrorKind::Cloud(error) => error.hint().map(str::to_owned),
        }
    }
}

impl From<LockError> for CloudError {
    fn from(error: LockError) -> Self {
        let LockError {
            target: place,
            kind: why,
        } = error;
        let doing = format!("lock {place}");
        let trouble = match &why {
            LockErrorKind::Cloud(error) => {
                return Self {
                    operation: format!("{doing}: {}", error.operation),
                    ..*error.clone()
                };
            }
            LockErrorKind::Held { .. }
            | LockErrorKind::Lost(_)
            | LockErrorKind::Contended(_)
            | LockErrorKind::WrongHolder { .. } => ErrorKind::Conflict,
            LockErrorKind::BucketNotFound(_) | LockErrorKind::NotHeld => ErrorKind::NotFound,
            LockErrorKind::ReleaseTimedOut => ErrorKind::Ambiguous,
            LockErrorKind::ConditionalWritesIgnored(_)
            | LockErrorKind::NotALock { .. }
            | LockErrorKind::MissingDateHeader => ErrorKind::Rejected,
        };
        Self::new_aws(doing, trouble, why.to_string())
    }
}
