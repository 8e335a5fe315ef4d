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

use crate::model::fly_limits;

/// How much of the burst is left unused. Requests that are sent a second apart arrive a little less or more than that
/// apart; a quarter of a token is 250 ms of it.
const BURST_MARGIN: f64 = 0.25;

/// How much of a token an answer may cost. The server begins to count when the first request of a burst arrives, which may
/// be later than the next ones take; more than a token is no journey, but a server that takes its time.
const MAX_LATENCY_TOKENS: f64 = 1.0;

/// What is done, as far as limits are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RateLimitedAction {
    /// Reading one machine.
    GetMachine,
    /// Deleting an app.
    DeleteApp,
    /// Anything else, by its name.
    Other(&'static str),
}

impl RateLimitedAction {
    /// Requests a second, and how many at once.
    fn rate_and_burst(self) -> (f64, f64) {
        match self {
            Self::GetMachine => (5.0, 10.0),
            Self::DeleteApp => (100.0 / 60.0, 100.0),
            Self::Other(_) => (
                f64::from(fly_limits::REQUESTS_PER_SECOND),
                f64::from(fly_limits::REQUEST_BURST),
            ),
        }
    }
}

/// All buckets of one client.
#[derive(Debug)]
pub struct RateLimiter {
    buckets: Mutex<BTreeMap<(RateLimitedAction, String), TokenBucket>>,
    speed: f64,
}

#[derive(Clone, Copy, Debug)]
struct TokenBucket {
    /// May be negative: each waiting request has already taken its token.
    tokens: f64,
    updated_at: Instant,
}

/// A request that may be sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SendSlot {
    /// Whether nothing had been sent for so long that the bucket was full.
    bucket_was_full: bool,
    granted_at: Instant,
}

impl RateLimiter {
    /// Buckets that fill `speed` times as fast as Fly's; 1.0 against Fly itself.
    #[must_use]
    pub fn new(speed: f64) -> Self {
        Self {
            buckets: Mutex::default(),
            speed: speed.clamp(0.01, 100_000.0),
        }
    }

    /// Takes a token, and says how long to wait before using it.
    fn take_token(
        &self,
        action: RateLimitedAction,
        identifier: &str,
        now: Instant,
    ) -> (Duration, bool) {
        let (rate, burst) = action.rate_and_burst();
        let burst = burst - BURST_MARGIN;
        let rate = rate * self.speed;
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = buckets
            .entry((action, identifier.to_owned()))
            .or_insert(TokenBucket {
                tokens: burst,
                updated_at: now,
            });
        let refilled = now.duration_since(bucket.updated_at).as_secs_f64() * rate;
        let rested = bucket.tokens + refilled >= burst;
        bucket.tokens = (bucket.tokens + refilled).min(burst) - 1.0;
        bucket.updated_at = now;
        (
            Duration::from_secs_f64((-bucket.tokens / rate).max(0.0)),
            rested,
        )
    }

    /// Waits until a request of this action on this identifier is within the limit.
    pub(crate) async fn acquire(&self, action: RateLimitedAction, identifier: &str) -> SendSlot {
        let (pause, rested) = self.take_token(action, identifier, Instant::now());
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
        SendSlot {
            bucket_was_full: rested,
            granted_at: Instant::now(),
        }
    }

    /// A request was answered, so it has arrived: a bucket that was full fills only from then on, as the server's does.
    pub(crate) fn record_response(
        &self,
        action: RateLimitedAction,
        identifier: &str,
        turn: SendSlot,
    ) {
        let journey =
            turn.granted_at.elapsed().as_secs_f64() * action.rate_and_burst().0 * self.speed;
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bucket) = buckets
            .get_mut(&(action, identifier.to_owned()))
            .filter(|_| turn.bucket_was_full)
        {
            bucket.tokens -= journey.min(MAX_LATENCY_TOKENS);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_free_and_the_rest_waits_its_turn() {
        let (pacing, now) = (RateLimiter::new(1.0), Instant::now());
        let take = |id| {
            pacing
                .take_token(RateLimitedAction::Other("update"), id, now)
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
        let (pacing, now) = (RateLimiter::new(2.0), Instant::now());
        for _ in 0..4 {
            pacing.take_token(RateLimitedAction::Other("update"), "m1", now);
        }
        let later = now + Duration::from_secs(2);
        assert!(
            pacing
                .take_token(RateLimitedAction::Other("update"), "m1", later)
                .0
                .is_zero()
        );
    }

    #[test]
    fn a_first_request_that_was_long_on_its_way_is_counted_from_its_answer() {
        let (pacing, now) = (RateLimiter::new(1.0), Instant::now());
        let action = RateLimitedAction::Other("update");
        let take = || pacing.take_token(action, "m1", now).0.as_secs_f64();
        assert!(take() < f64::EPSILON);
        let ago = now.checked_sub(Duration::from_secs(60)).unwrap();
        pacing.record_response(
            action,
            "m1",
            SendSlot {
                bucket_was_full: true,
                granted_at: ago,
            },
        );
        assert_eq!(
            [take(), take(), take()],
            [0.25, 1.25, 2.25],
            "one token, however long it took"
        );
        pacing.record_response(
            action,
            "m1",
            SendSlot {
                bucket_was_full: false,
                granted_at: ago,
            },
        );
        assert!((take() - 3.25).abs() < f64::EPSILON);
    }
}
