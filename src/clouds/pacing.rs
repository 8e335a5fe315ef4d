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

/// How much of the burst is left unused. Requests that are sent a second apart arrive a little less or more than that
/// apart; a quarter of a token is 250 ms of it.
const MARGIN: f64 = 0.25;

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
            Self::Other(_) => (1.0, 3.0),
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

impl Pacing {
    /// Buckets that fill `speed` times as fast as Fly's; 1.0 against Fly itself.
    #[must_use]
    pub fn new(speed: f64) -> Self {
        Self { buckets: Mutex::default(), speed: speed.clamp(0.01, 100_000.0) }
    }

    /// Takes a token, and says how long to wait before using it.
    fn take(&self, action: Action, identifier: &str, now: Instant) -> Duration {
        let (rate, burst) = action.limit();
        let burst = burst - MARGIN;
        let rate = rate * self.speed;
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket =
            buckets.entry((action, identifier.to_owned())).or_insert(Bucket { tokens: burst, at: now });
        let refilled = now.duration_since(bucket.at).as_secs_f64() * rate;
        bucket.tokens = (bucket.tokens + refilled).min(burst) - 1.0;
        bucket.at = now;
        Duration::from_secs_f64((-bucket.tokens / rate).max(0.0))
    }

    /// Waits until a request of this action on this identifier is within the limit.
    pub async fn wait(&self, action: Action, identifier: &str) {
        let pause = self.take(action, identifier, Instant::now());
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_free_and_the_rest_waits_its_turn() {
        let (pacing, now) = (Pacing::new(1.0), Instant::now());
        let take = |id| pacing.take(Action::Other("update"), id, now).as_secs_f64();
        let waits: Vec<_> = (0..5).map(|_| take("m1")).collect();
        assert_eq!(waits, [0.0, 0.0, 0.25, 1.25, 2.25]);
        assert!(take("m2").abs() < f64::EPSILON, "another machine has its own bucket");
    }

    #[test]
    fn a_bucket_fills_up_again() {
        let (pacing, now) = (Pacing::new(2.0), Instant::now());
        for _ in 0..4 {
            pacing.take(Action::Other("update"), "m1", now);
        }
        let later = now + Duration::from_secs(2);
        assert!(pacing.take(Action::Other("update"), "m1", later).is_zero());
    }
}
