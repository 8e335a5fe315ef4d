//! A client-side rate limiter with Fly's limits: one token bucket for each action and identifier
//! rather than one global limit. Waiting here is cheaper than being throttled by the server.
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

/// The part of the burst that is left unused, in tokens. Requests sent one second apart do not
/// arrive exactly one second apart; a quarter of a token allows for 250 ms of jitter.
const BURST_MARGIN: f64 = 0.25;

/// The most tokens that the latency of a response may cost. The server starts counting when the
/// first request of a burst arrives, which may be later than we assume from sending it. Latency
/// beyond one token is not network delay but a slow server.
const MAX_LATENCY_TOKENS: f64 = 1.0;

/// The action of a request, by which Fly counts its limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RateLimitedAction {
    /// Reading one machine.
    GetMachine,
    /// Deleting an app.
    DeleteApp,
    /// Waiting for a machine's state: a long poll, which Fly answers when the state is reached.
    WaitForState,
    /// Any other action, by name.
    Other(&'static str),
}

impl RateLimitedAction {
    /// Requests per second, and the burst.
    fn rate_and_burst(self) -> (f64, f64) {
        match self {
            Self::GetMachine => (5.0, 10.0),
            Self::DeleteApp => (100.0 / 60.0, 100.0),
            Self::WaitForState | Self::Other(_) => (
                f64::from(fly_limits::REQUESTS_PER_SECOND),
                f64::from(fly_limits::REQUEST_BURST),
            ),
        }
    }
}

/// The token buckets of one client.
#[derive(Debug)]
pub struct RateLimiter {
    buckets: Mutex<BTreeMap<(RateLimitedAction, String), TokenBucket>>,
    speed: f64,
}

#[derive(Clone, Copy, Debug)]
struct TokenBucket {
    /// Negative while requests wait: each has already taken its token.
    tokens: f64,
    updated_at: Instant,
}

/// Permission to send one request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SendSlot {
    /// Whether the bucket was full, because nothing had been sent for a while.
    bucket_was_full: bool,
    granted_at: Instant,
}

impl RateLimiter {
    /// A limiter whose buckets refill `speed` times as fast as Fly's; 1.0 against Fly itself.
    #[must_use]
    pub fn new(speed: f64) -> Self {
        Self {
            buckets: Mutex::default(),
            speed: speed.clamp(0.01, 100_000.0),
        }
    }

    /// Takes a token. Returns how long to wait before using it, and whether the bucket was full.
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
        let was_full = bucket.tokens + refilled >= burst;
        // Take the token right away: concurrent requests then queue up one after the other.
        bucket.tokens = (bucket.tokens + refilled).min(burst) - 1.0;
        bucket.updated_at = now;
        (
            Duration::from_secs_f64((-bucket.tokens / rate).max(0.0)),
            was_full,
        )
    }

    /// Waits until a request for this action and identifier is within the limit.
    pub(crate) async fn acquire(&self, action: RateLimitedAction, identifier: &str) -> SendSlot {
        let (pause, was_full) = self.take_token(action, identifier, Instant::now());
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
        SendSlot {
            bucket_was_full: was_full,
            granted_at: Instant::now(),
        }
    }

    /// Records the response to a request, which proves that the request has arrived: a bucket that
    /// was full starts refilling only then, as the server's does.
    pub(crate) fn record_response(
        &self,
        action: RateLimitedAction,
        identifier: &str,
        slot: SendSlot,
    ) {
        let latency_tokens =
            slot.granted_at.elapsed().as_secs_f64() * action.rate_and_burst().0 * self.speed;
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bucket) = buckets
            .get_mut(&(action, identifier.to_owned()))
            .filter(|_| slot.bucket_was_full)
        {
            bucket.tokens -= latency_tokens.min(MAX_LATENCY_TOKENS);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_beyond_the_burst_wait() {
        let (limiter, now) = (RateLimiter::new(1.0), Instant::now());
        let take = |id| {
            limiter
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
    fn bucket_refills_over_time() {
        let (limiter, now) = (RateLimiter::new(2.0), Instant::now());
        for _ in 0..4 {
            limiter.take_token(RateLimitedAction::Other("update"), "m1", now);
        }
        let later = now + Duration::from_secs(2);
        assert!(
            limiter
                .take_token(RateLimitedAction::Other("update"), "m1", later)
                .0
                .is_zero()
        );
    }

    #[test]
    fn slow_first_request_is_counted_from_its_response() {
        let (limiter, now) = (RateLimiter::new(1.0), Instant::now());
        let action = RateLimitedAction::Other("update");
        let take = || limiter.take_token(action, "m1", now).0.as_secs_f64();
        assert!(take() < f64::EPSILON);
        let earlier = now.checked_sub(Duration::from_secs(60)).unwrap();
        limiter.record_response(
            action,
            "m1",
            SendSlot {
                bucket_was_full: true,
                granted_at: earlier,
            },
        );
        assert_eq!(
            [take(), take(), take()],
            [0.25, 1.25, 2.25],
            "one token, however long it took"
        );
        limiter.record_response(
            action,
            "m1",
            SendSlot {
                bucket_was_full: false,
                granted_at: earlier,
            },
        );
        assert!((take() - 3.25).abs() < f64::EPSILON);
    }
}
