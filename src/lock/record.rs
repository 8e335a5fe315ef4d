//! What stands in a lock's object, and what it means to somebody who wants the lock. Pure: the time is given.

use std::{fmt, time::Duration};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// How much of a text that somebody else wrote is shown, in characters.
const MAX_TEXT_CHARS: usize = 200;
/// How many characters of a nonce tell one run from another, for people.
const SHORT_ID_CHARS: usize = 8;
/// With how many characters of it a lock can be named: fewer are a slip of the hand.
const MIN_ID_CHARS: usize = 4;

/// Who wants a lock. A run has one of these, and no two runs have the same nonce.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockHolder {
    /// Random text. It tells our own write from another's when an answer was lost, and it makes every body another one, so
    /// that no two have the same `ETag`.
    pub nonce: String,
    /// Who runs it, such as `ci-bot`.
    pub holder: String,
    /// On which machine.
    pub host: String,
    /// The id of its process there.
    pub pid: u32,
    /// The address of the pipeline's run, where there is one.
    pub run_url: Option<String>,
    /// What runs, such as `trimtab apply production`.
    pub command: String,
}

/// The content of a lock's object. Times are by the server's clock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockRecord {
    /// See [`Who::nonce`].
    pub nonce: String,
    /// How often the lock has been taken. It only grows: releasing overwrites the object, and nothing deletes it.
    pub generation: u64,
    /// See [`Who::holder`].
    pub holder: String,
    /// See [`Who::host`].
    pub host: String,
    /// See [`Who::pid`].
    pub pid: u32,
    /// See [`Who::run_url`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_url: Option<String>,
    /// See [`Who::command`].
    pub command: String,
    /// When it was taken.
    pub acquired_at: Timestamp,
    /// Until when it is held, unless it is renewed before.
    pub expires_at: Timestamp,
    /// Whether it was given back.
    #[serde(default)]
    pub released: bool,
    /// Whether somebody else has ended it: it is renewed no more, and free when it ends.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unlocked: bool,
}

impl LockRecord {
    /// A lock that is taken now.
    pub(super) fn new(who: &LockHolder, generation: u64, now: Timestamp, ttl: Duration) -> Self {
        let LockHolder {
            nonce,
            holder,
            host,
            pid,
            run_url,
            command,
        } = who.clone();
        let expires_at = saturating_add(now, ttl);
        Self {
            nonce,
            generation,
            holder,
            host,
            pid,
            run_url,
            command,
            acquired_at: now,
            expires_at,
            released: false,
            unlocked: false,
        }
    }

    /// Reads an object's content. Text that others wrote loses what a terminal obeys.
    ///
    /// # Errors
    /// When it is no lock, with the reason.
    pub(super) fn parse(body: &[u8]) -> Result<Self, String> {
        let mut read: Self = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        let Self {
            nonce,
            holder,
            host,
            run_url,
            command,
            ..
        } = &mut read;
        for text in [nonce, holder, host, command].into_iter().chain(run_url) {
            *text = text
                .chars()
                .filter(|c| !crate::model::is_unprintable(*c))
                .take(MAX_TEXT_CHARS)
                .collect();
        }
        Ok(read)
    }

    /// As it is stored.
    pub(super) fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("texts, numbers and times can be written as JSON")
    }

    /// The same lock, held for longer.
    pub(super) fn to_renewed(&self, now: Timestamp, ttl: Duration) -> Self {
        Self {
            expires_at: saturating_add(now, ttl),
            ..self.clone()
        }
    }

    /// The same lock, given back.
    pub(super) fn to_released(&self) -> Self {
        Self {
            released: true,
            ..self.clone()
        }
    }

    /// The same lock, ended by somebody else: it keeps its end, which a holder that lives after all still goes by, and is
    /// not renewed any more. One that has run out is given back.
    pub(super) fn to_unlocked(&self, now: Timestamp) -> Self {
        Self {
            unlocked: true,
            released: now > self.expires_at,
            ..self.clone()
        }
    }

    /// Whether both are the same taking of the lock, renewed or not.
    pub(super) fn is_same_acquisition(&self, other: &Self) -> bool {
        (&self.nonce, self.generation) == (&other.nonce, other.generation)
    }

    /// What names this holder to `trimtab unlock --id`: the first eight characters of the nonce.
    #[must_use]
    pub fn short_id(&self) -> String {
        self.nonce.chars().take(SHORT_ID_CHARS).collect()
    }

    /// Whether this text names the holder: at least four characters that the nonce begins with.
    pub(super) fn matches_id(&self, id: &str) -> bool {
        id.chars().count() >= MIN_ID_CHARS && self.nonce.starts_with(id)
    }
}

impl fmt::Display for LockRecord {
    /// Such as ``ci-bot on runner-7 (process 42, `trimtab apply production`, https://…/runs/7)``.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            holder,
            host,
            pid,
            run_url,
            command,
            ..
        } = self;
        write!(f, "{holder} on {host} (process {pid}, `{command}`")?;
        if let Some(url) = run_url {
            write!(f, ", {url}")?;
        }
        f.write_str(")")
    }
}

/// What a lock's object means to somebody who wants the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LockStatus {
    /// It was never taken, or its object was removed.
    Absent,
    /// It was given back, or its holder has let it run out: whoever overwrites this very object has it.
    Available,
    /// It is ours: the answer to our own write was lost.
    Ours,
    /// Somebody else has it, until this moment unless it is renewed.
    Held {
        /// From when it may be taken: a margin after it has run out.
        until: Timestamp,
    },
}

/// Judges a lock. `now` is the earliest that the server's time can be, so that nobody loses a lock to a clock; `margin` is
/// how far the clocks of two servers may be apart.
pub(super) fn determine_status(
    found: Option<&LockRecord>,
    nonce: &str,
    now: Timestamp,
    margin: Duration,
) -> LockStatus {
    let Some(record) = found else {
        return LockStatus::Absent;
    };
    let until = saturating_add(record.expires_at, margin);
    match record.nonce == nonce && !record.unlocked {
        _ if record.released => LockStatus::Available,
        true if now < record.expires_at => LockStatus::Ours,
        // Ours and run out: nobody has taken it, so it is taken again, with a new generation.
        true => LockStatus::Available,
        false if now > until => LockStatus::Available,
        false => LockStatus::Held { until },
    }
}

/// A moment after another; the end of time when there is none.
pub(super) fn saturating_add(at: Timestamp, by: Duration) -> Timestamp {
    SignedDuration::try_from(by)
        .ok()
        .and_then(|by| at.checked_add(by).ok())
        .unwrap_or(Timestamp::MAX)
}
