//! The content of a lock's object, and what it means for a run that wants the lock. Pure: the time
//! is a parameter.

use std::{fmt, time::Duration};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// How many characters of a text from the object are shown. It was written by somebody else.
const MAX_TEXT_CHARS: usize = 200;
/// How many characters of a nonce are enough for people to distinguish runs.
const SHORT_ID_CHARS: usize = 8;
/// How many characters `trimtab unlock --id` needs at least; fewer are probably a typo.
const MIN_ID_CHARS: usize = 4;

/// Longer than any lock lasts unless it is renewed, which writes the object anew.
const MAX_LEASE: Duration = Duration::from_secs(600);

/// Who acquires a lock. Each run has its own nonce.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockHolder {
    /// Random text, different for each run. It identifies our own write when its response was lost,
    /// and it makes the content unique, so that no two runs write objects with the same `ETag`.
    pub nonce: String,
    /// The user or bot that runs the command, such as `ci-bot`.
    pub holder: String,
    /// The name of the machine.
    pub host: String,
    /// The process ID on that machine.
    pub pid: u32,
    /// The URL of the CI run, if there is one.
    pub run_url: Option<String>,
    /// The command, such as `trimtab apply production`.
    pub command: String,
}

/// The content of a lock's object. All times are server time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockRecord {
    /// See [`LockHolder::nonce`].
    pub nonce: String,
    /// How often the lock was acquired. It only grows, because releasing overwrites the object
    /// instead of deleting it.
    pub generation: u64,
    /// See [`LockHolder::holder`].
    pub holder: String,
    /// See [`LockHolder::host`].
    pub host: String,
    /// See [`LockHolder::pid`].
    pub pid: u32,
    /// See [`LockHolder::run_url`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_url: Option<String>,
    /// See [`LockHolder::command`].
    pub command: String,
    /// When it was acquired.
    pub acquired_at: Timestamp,
    /// When it expires, unless it is renewed before.
    pub expires_at: Timestamp,
    /// Whether it was released.
    #[serde(default)]
    pub released: bool,
    /// Whether it was ended with `trimtab unlock`: it may not be renewed any more, and becomes
    /// available when it expires.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unlocked: bool,
}

impl LockRecord {
    /// The record of a lock that is acquired at `now`.
    pub(super) fn new(holder: &LockHolder, generation: u64, now: Timestamp, ttl: Duration) -> Self {
        let LockHolder {
            nonce,
            holder,
            host,
            pid,
            run_url,
            command,
        } = holder.clone();
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

    /// The record of an object that is in an archive and cannot be read. Whoever wrote it held the lock
    /// for [`MAX_LEASE`] at most, so it has expired by then; rules that move objects take a day. The
    /// generation is above every one that was counted.
    pub(super) fn archived(written_at: Timestamp) -> Self {
        Self {
            nonce: "archived".to_owned(),
            generation: u64::try_from(written_at.as_second()).unwrap_or_default(),
            holder: "a run whose lock is in an archive".to_owned(),
            host: String::new(),
            pid: 0,
            run_url: None,
            command: String::new(),
            acquired_at: written_at,
            expires_at: saturating_add(written_at, MAX_LEASE),
            released: false,
            unlocked: false,
        }
    }

    /// Parses an object's content. Control characters are removed from its texts and long texts are
    /// cut, because they were written by somebody else and are printed to a terminal.
    ///
    /// # Errors
    /// Why it is not a lock record.
    pub(super) fn parse(body: &[u8]) -> Result<Self, String> {
        let mut record: Self = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        let Self {
            nonce,
            holder,
            host,
            run_url,
            command,
            ..
        } = &mut record;
        for text in [nonce, holder, host, command].into_iter().chain(run_url) {
            *text = text
                .chars()
                .filter(|c| !crate::model::is_unprintable(*c))
                .take(MAX_TEXT_CHARS)
                .collect();
        }
        Ok(record)
    }

    /// The JSON that is stored.
    pub(super) fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("texts, numbers and times can be written as JSON")
    }

    /// The same lock, with a new expiry.
    pub(super) fn to_renewed(&self, now: Timestamp, ttl: Duration) -> Self {
        Self {
            expires_at: saturating_add(now, ttl),
            ..self.clone()
        }
    }

    /// The same lock, released.
    pub(super) fn to_released(&self) -> Self {
        Self {
            released: true,
            ..self.clone()
        }
    }

    /// The same lock, ended by somebody else. It keeps its expiry, because its holder may be alive
    /// and rely on it, and is not renewed any more. If it has expired already, it counts as
    /// released.
    pub(super) fn to_unlocked(&self, now: Timestamp) -> Self {
        Self {
            unlocked: true,
            released: now > self.expires_at,
            ..self.clone()
        }
    }

    /// Whether both records are from the same acquisition, renewed or not.
    pub(super) fn is_same_acquisition(&self, other: &Self) -> bool {
        (&self.nonce, self.generation) == (&other.nonce, other.generation)
    }

    /// The ID for `trimtab unlock --id`: the first eight characters of the nonce.
    #[must_use]
    pub fn short_id(&self) -> String {
        self.nonce.chars().take(SHORT_ID_CHARS).collect()
    }

    /// Whether `id` names this holder: at least four characters with which the nonce begins.
    pub(super) fn matches_id(&self, id: &str) -> bool {
        id.chars().count() >= MIN_ID_CHARS && self.nonce.starts_with(id)
    }
}

impl fmt::Display for LockRecord {
    /// For example ``ci-bot on runner-7 (process 42, `trimtab apply production`,
    /// https://…/runs/7)``.
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

/// What a lock's object means for a run that wants the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LockStatus {
    /// There is no object: the lock was never acquired, or its object was deleted.
    Absent,
    /// It was released or has expired. The run that overwrites this version of the object acquires
    /// it.
    Available,
    /// It is ours: the response to our own write was lost.
    Ours,
    /// Another run holds it.
    Held {
        /// When it may be acquired, unless it is renewed: its expiry plus the margin.
        available_at: Timestamp,
    },
}

/// Determines the status of a lock for the run with this nonce. `now` must be the earliest possible
/// server time, so that no holder loses its lock to an inaccurate clock. `margin` is the largest
/// difference between the clocks of two servers.
pub(super) fn determine_status(
    record: Option<&LockRecord>,
    nonce: &str,
    now: Timestamp,
    margin: Duration,
) -> LockStatus {
    let Some(record) = record else {
        return LockStatus::Absent;
    };
    let available_at = saturating_add(record.expires_at, margin);
    match record.nonce == nonce && !record.unlocked {
        _ if record.released => LockStatus::Available,
        true if now < record.expires_at => LockStatus::Ours,
        // Our own, but expired. Nobody else has acquired it, so it is acquired again, with a new
        // generation.
        true => LockStatus::Available,
        false if now > available_at => LockStatus::Available,
        false => LockStatus::Held { available_at },
    }
}

/// `at` plus a duration, or the largest timestamp if that overflows.
pub(super) fn saturating_add(at: Timestamp, duration: Duration) -> Timestamp {
    SignedDuration::try_from(duration)
        .ok()
        .and_then(|duration| at.checked_add(duration).ok())
        .unwrap_or(Timestamp::MAX)
}
