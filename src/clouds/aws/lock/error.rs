//! What can go wrong with a lock, in words that say who has it and what to do.

use std::time::Duration;

use jiff::Timestamp;

use super::record::Record;
use crate::clouds::{CloudError, Trouble};

/// A lock that could not be taken, kept or given back.
#[derive(Clone, Debug, thiserror::Error)]
#[error("lock {place}: {why}")]
pub struct LockError {
    /// What is locked, as `project/environment`.
    pub place: String,
    /// Why.
    pub why: Why,
}

/// The reasons.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Why {
    /// Somebody else has it, and did not let go.
    #[error(
        "{record} has held it since {}, until {expires} unless it is renewed, and did not let go within {} s",
        record.acquired_at, waited.as_secs(), expires = record.expires_at
    )]
    Held {
        /// The holder.
        record: Box<Record>,
        /// From when anybody may take it, if it is not renewed.
        until: Timestamp,
        /// How long was waited, in seconds of the server's.
        waited: Duration,
    },
    /// We had it, and have it no longer.
    #[error("{0}; nothing more is written")]
    Lost(Loss),
    /// The store carries out what it should refuse.
    #[error(
        "this store ignores conditional writes (a write with `{0}` was carried out and had to be refused with 412), so two \
         runs would both believe to hold the lock"
    )]
    Ignores(&'static str),
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
    NoBucket(String),
    /// No answer had a `Date`.
    #[error("the store's answers have no `Date`, so nobody can tell when a lock runs out")]
    NoDate,
    /// Others write at the same time, over and over.
    #[error("{0} writes in a row met another's; nobody seems to hold it")]
    Contended(u32),
    /// Nobody holds it.
    #[error("nobody holds it")]
    NotHeld,
    /// Another holder than the one that was named.
    #[error("`{asked}` does not hold it: {record} does, since {}", record.acquired_at)]
    OtherHolder {
        /// The id that was given.
        asked: String,
        /// Who holds it.
        record: Box<Record>,
    },
    /// A request failed.
    #[error(transparent)]
    Cloud(Box<CloudError>),
    /// Giving it back took too long.
    #[error("giving it back takes too long; it runs out by itself")]
    SlowRelease,
}

impl Why {
    pub(super) fn of(error: CloudError) -> Self {
        Self::Cloud(Box::new(error))
    }
}

/// How a lock that was ours was lost.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Loss {
    /// It ran out, and somebody took it.
    #[error("the lock ran out, and {0} took it")]
    Taken(Box<Record>),
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
    GivenBack,
}

impl LockError {
    /// What the user can do next.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let environment = self.place.rsplit('/').next().unwrap_or_default();
        let unlock = |record: &Record| format!("trimtab unlock {environment} --id {}", record.id());
        match &self.why {
            Why::Held { record, until, .. } if record.unlocked => {
                Some(format!("it was ended, and is free after {until}: run the same command again then"))
            }
            Why::Held { record, until, .. } => Some(format!(
                "wait for it; a run that is dead loses the lock at {until}; one that you know to have stopped: `{}`",
                unlock(record)
            )),
            Why::OtherHolder { record, .. } => {
                Some(format!("if that is the one, and you know it to have stopped: `{}`", unlock(record)))
            }
            Why::Lost(_) | Why::Contended(_) => {
                Some("run the same command again: what was done is not done twice".to_owned())
            }
            Why::Ignores(_) => Some(
                "name a bucket of S3 itself, or of a store that honours `If-Match` and `If-None-Match` on PUT"
                    .to_owned(),
            ),
            Why::NotALock { object, .. } => {
                Some(format!("look at it, and if nothing needs it: `aws s3 rm {object}`"))
            }
            Why::NoBucket(_) => Some("make it first, or name another in `[aws] lock`".to_owned()),
            Why::NoDate | Why::NotHeld | Why::SlowRelease => None,
            Why::Cloud(error) => error.hint().map(str::to_owned),
        }
    }
}

impl From<LockError> for CloudError {
    fn from(error: LockError) -> Self {
        let LockError { place, why } = error;
        let doing = format!("lock {place}");
        let trouble = match &why {
            Why::Cloud(error) => {
                return Self {
                    doing: format!("{doing}: {}", error.doing),
                    ..*error.clone()
                };
            }
            Why::Held { .. } | Why::Lost(_) | Why::Contended(_) | Why::OtherHolder { .. } => {
                Trouble::Conflict
            }
            Why::NoBucket(_) | Why::NotHeld => Trouble::NotFound,
            Why::SlowRelease => Trouble::Ambiguous,
            Why::Ignores(_) | Why::NotALock { .. } | Why::NoDate => Trouble::Refused,
        };
        Self::aws(doing, trouble, why.to_string())
    }
}
