//! Errors of the lock, with messages that say who holds it and what to do.

use std::time::Duration;

use jiff::Timestamp;

use super::record::LockRecord;
use crate::clouds::{CloudError, ErrorKind};

/// A lock could not be acquired, held or released.
#[derive(Clone, Debug, thiserror::Error)]
#[error("lock {target}: {kind}")]
pub struct LockError {
    /// What is locked, as `project/environment`.
    pub target: String,
    /// The reason.
    pub kind: LockErrorKind,
}

/// Why a lock could not be acquired, held or released.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LockErrorKind {
    /// Another run holds the lock and did not release it in time.
    #[error(
        "{record} has held it since {:.0}, until {available_at:.0} unless it is renewed, and did not let go within {} s",
        record.acquired_at, waited.as_secs()
    )]
    Held {
        /// The holder.
        record: Box<LockRecord>,
        /// When it may be acquired, unless it is renewed.
        available_at: Timestamp,
        /// How long this run waited, in server time.
        waited: Duration,
    },
    /// This run held the lock and has lost it.
    #[error("{0}; nothing more is written")]
    Lost(LockLoss),
    /// The store carried out a write whose condition did not hold.
    #[error(
        "this store ignores conditional writes (a write with `{0}` was carried out instead of rejected with 412), so two \
         runs could both believe that they hold the lock"
    )]
    ConditionalWritesIgnored(&'static str),
    /// The object exists, but is not a lock record.
    #[error("{object} is not a lock: {problem}")]
    NotALock {
        /// The object's URL, `s3://…`.
        object: String,
        /// What is wrong with the object.
        problem: String,
    },
    /// The bucket does not exist.
    #[error("there is no bucket {0}")]
    BucketNotFound(String),
    /// The responses have no `Date` header.
    #[error("the store's responses have no `Date` header, so it is unknown when a lock expires")]
    MissingDateHeader,
    /// Other runs write at the same time, again and again.
    #[error("{0} writes in a row conflicted with writes of other runs; nobody seems to hold it")]
    Contended(u32),
    /// Nobody holds it.
    #[error("nobody holds it")]
    NotHeld,
    /// Another run than the one that was named holds it.
    #[error("`{requested_id}` does not hold it: {record} does, since {}", record.acquired_at)]
    WrongHolder {
        /// The ID that the user gave.
        requested_id: String,
        /// Who holds it.
        record: Box<LockRecord>,
    },
    /// A request failed.
    #[error(transparent)]
    Cloud(Box<CloudError>),
    /// Releasing the lock took too long.
    #[error("releasing it takes too long; it expires by itself")]
    ReleaseTimedOut,
}

impl LockErrorKind {
    pub(super) fn from_cloud_error(error: CloudError) -> Self {
        Self::Cloud(Box::new(error))
    }
}

/// How a lock that this run held was lost.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LockLoss {
    /// It expired, and another run acquired it.
    #[error("the lock expired, and {0} acquired it")]
    TakenOver(Box<LockRecord>),
    /// Somebody ended it with `trimtab unlock`.
    #[error("somebody released the lock with `trimtab unlock`")]
    Unlocked,
    /// Its object or the whole bucket was deleted.
    #[error("somebody deleted the lock")]
    Deleted,
    /// The object is no longer a lock record.
    #[error("the lock's object was overwritten with something else: {0}")]
    Overwritten(String),
    /// It could not be renewed before it expired.
    #[error("the lock could not be renewed in time ({0})")]
    NotRenewed(String),
    /// This run released it itself.
    #[error("the lock was released")]
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
            LockErrorKind::Held { record, available_at, .. } if record.unlocked => {
                Some(format!("it was ended, and is free after {available_at:.0}: run the same command again then"))
            }
            LockErrorKind::Held { record, available_at, .. } => Some(format!(
                "wait for it; a run that is dead loses the lock at {available_at:.0}; if you know that it has stopped: `{}`",
                unlock(record)
            )),
            LockErrorKind::WrongHolder { record, .. } => {
                Some(format!("if you mean that one, and know that it has stopped: `{}`", unlock(record)))
            }
            LockErrorKind::Lost(_) | LockErrorKind::Contended(_) => {
                Some("run the same command again: what was done is not done twice".to_owned())
            }
            LockErrorKind::ConditionalWritesIgnored(_) => Some(
                "name a bucket of S3 itself, or of a store that supports `If-Match` and `If-None-Match` on PUT"
                    .to_owned(),
            ),
            LockErrorKind::NotALock { object, .. } => {
                Some(format!("look at the object, and if nothing needs it: `aws s3 rm {object}`"))
            }
            LockErrorKind::BucketNotFound(_) => Some("create it first, or name another one in `[aws] lock`".to_owned()),
            LockErrorKind::MissingDateHeader | LockErrorKind::NotHeld | LockErrorKind::ReleaseTimedOut => None,
            // An earlier version wrote the lock with the bucket's own key.
            LockErrorKind::Cloud(error) if error.message.contains("kms:Decrypt") => Some(format!(
                "the lock's object is encrypted with a KMS key that these credentials may not use: grant `kms:Decrypt` on the key \
                 that the message names; or, if no run is at work, remove the object with `aws s3 rm`: {}",
                error.operation
            )),
            LockErrorKind::Cloud(error) => error.hint().map(str::to_owned),
        }
    }
}

impl From<LockError> for CloudError {
    fn from(error: LockError) -> Self {
        let LockError { target, kind } = error;
        let operation = format!("lock {target}");
        let error_kind = match &kind {
            LockErrorKind::Cloud(error) => {
                return Self {
                    operation: format!("{operation}: {}", error.operation),
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
        Self::new_aws(operation, error_kind, kind.to_string())
    }
}
