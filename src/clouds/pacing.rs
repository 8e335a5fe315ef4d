//! Token buckets keyed the way Fly limits requests: by action and identifier, not by one global number. Waiting here
//! is cheaper than being refused there.
//!
//! Fly's documentation ("Working with the Machines API", rate limits): 1 request a second for each action on each
//! machine or app, with a burst of 3; reading a machine 5 a second, burst 10; 100 app deletions a minute.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::model::pace;

/// How much of the burst is left unused. Requests that are sent a second apart arrive a little less or more than that
/// apart; a quarter of a token is 250 ms of it.
const MARGIN: f64 = 0.25;

/// How much of a token an answer may cost. The server begins to count when the first request of a burst arrives, which may
/// be later than the next ones take; more than a token is no journey, but a server that takes its time.
const JOURNEY: f64 = 1.0;

/// What is done, as far as limits are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// Reading one machine.
    GetMachine,
    /// Deleting an app.
    DeleteApp,
    /// Anything else, by its name.
    Other(&'static str),
}

impl Action {
    /// Requests a second, and how many at once.
    fn limit(self) -> (f64, f64) {
        match self {
            Self::GetMachine => (5.0, 10.0),
            Self::DeleteApp => (100.0 / 60.0, 100.0),
            Self::Other(_) => (f64::from(pace::PER_SECOND), f64::from(pace::BURST)),
        }
    }
}

/// All buckets of one client.
#[derive(Debug)]
pub struct Pacing {
    buckets: Mutex<BTreeMap<(Action, String), Bucket>>,
    speed: f64,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    /// May be negative: each waiting request has already taken its token.
    tokens: f64,
    at: Instant,
}

/// A request that may be sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turn {
    /// Whether nothing had been sent for so long that the bucket was full.
    rested: bool,
    at: Instant,
}

impl Pacing {
    /// Buckets that fill `speed` times as fast as Fly's; 1.0 against Fly itself.
    #[must_use]
    pub fn new(speed: f64) -> Self {
        Self {
            buckets: Mutex::default(),
            speed: speed.clamp(0.01, 100_000.0),
        }
    }

    /// Takes a token, and says how long to wait before using it.
    fn take(&self, action: Action, identifier: &str, now: Instant) -> (Duration, bool) {
        let (rate, burst) = action.limit();
        let burst = burst - MARGIN;
        let rate = rate * self.speed;
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = buckets
            .entry((action, identifier.to_owned()))
            .or_insert(Bucket {
                tokens: burst,
                at: now,
            });
        let refilled = now.duration_since(bucket.at).as_secs_f64() * rate;
        let rested = bucket.tokens + refilled >= burst;
        bucket.tokens = (bucket.tokens + refilled).min(burst) - 1.0;
        bucket.at = now;
        (
            Duration::from_secs_f64((-bucket.tokens / rate).max(0.0)),
            rested,
        )
    }

    /// Waits until a request of this action on this identifier is within the limit.
    pub(crate) async fn wait(&self, action: Action, identifier: &str) -> Turn {
        let (pause, rested) = self.take(action, identifier, Instant::now());
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
        Turn {
            rested,
            at: Instant::now(),
        }
    }

    /// A request was answered, so it has arrived: a bucket that was full fills only from then on, as the server's does.
    pub(crate) fn answered(&self, action: Action, identifier: &str, turn: Turn) {
        let journey = turn.at.elapsed().as_secs_f64() * action.limit().0 * self.speed;
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bucket) = buckets
            .get_mut(&(action, identifier.to_owned()))
            .filter(|_| turn.rested)
        {
            bucket.tokens -= journey.min(JOURNEY);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_free_and_the_rest_waits_its_turn() {
        let (pacing, now) = (Pacing::new(1.0), Instant::now());
        let take = |id| {
            pacing
                .take(Action::Other("update"), id, now)
                .0
                .as_secs_f64()
        };
        let waits: Vec<_> = (0..5).map(|_| take("m1")).collect();
        assert_eq!(waits, [0.0, 0.0, 0.25, 1.25, 2.25]);
        assert!(
            take("m2").abs() < f64::EPSILON,
            "another machine has its own bucket"
        );
    }

    #[test]
    fn a_bucket_fills_up_again() {
        let (pacing, now) = (Pacing::new(2.0), Instant::now());
        for _ in 0..4 {
            pacing.take(Action::Other("update"), "m1", now);
        }
        let later = now + Duration::from_secs(2);
        assert!(
            pacing
                .take(Action::Other("update"), "m1", later)
                .0
                .is_zero()
        );
    }

    #[test]
    fn a_first_request_that_was_long_on_its_way_is_counted_from_its_answer() {
        let (pacing, now) = (Pacing::new(1.0), Instant::now());
        let action = Action::Other("update");
        let take = || pacing.take(action, "m1", now).0.as_secs_f64();
        assert!(take() < f64::EPSILON);
        let ago = now.checked_sub(Duration::from_secs(60)).unwrap();
        pacing.answered(
            action,
            "m1",
            Turn {
                rested: true,
                at: ago,
            },
        );
        assert_eq!(
            [take(), take(), take()],
            [0.25, 1.25, 2.25],
            "one token, however long it took"
        );
        pacing.answered(
            action,
            "m1",
            Turn {
                rested: false,
                at: ago,
            },
        );
        assert!((take() - 3.25).abs() < f64::EPSILON);
    }
}
