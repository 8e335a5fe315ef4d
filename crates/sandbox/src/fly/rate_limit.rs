//! Fly's rate limits: a token bucket for each action and resource.
//!
//! Documented limits: one request per second for each action on each machine or app, with a burst
//! of three; five per second with a burst of ten for reading a machine; one hundred app deletions per
//! minute. The documentation has the higher limit for "Get Machine" only. Here every read has it:
//! single commands of flyctl list the machines of an app four times, and Fly answers them.

use std::collections::BTreeMap;

use crate::api::ApiError;

/// How fast a bucket refills, in tokens per second, and how many it holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct RateLimit {
    per_second: f64,
    burst: f64,
}

impl RateLimit {
    /// The limit of every write without its own.
    pub(crate) const WRITE: Self = Self {
        per_second: 1.0,
        burst: 3.0,
    };
    /// Reads, which clients repeat while they wait.
    pub(crate) const READ: Self = Self {
        per_second: 5.0,
        burst: 10.0,
    };
    /// Deleting apps: 100 per minute.
    pub(crate) const DELETE_APP: Self = Self {
        per_second: 100.0 / 60.0,
        burst: 100.0,
    };
}

#[derive(Clone, Copy, Debug)]
struct RateBucket {
    tokens: f64,
    at_ms: i64,
}

/// All buckets. They are not stored: the real service would also forget them on a restart.
#[derive(Debug, Default)]
pub(crate) struct ApiRateLimiter {
    buckets: BTreeMap<(String, String), RateBucket>,
}

impl ApiRateLimiter {
    /// Takes one token from a bucket.
    ///
    /// # Errors
    /// `429` when the bucket is empty. Fly does not document the message; its format is that of
    /// every error.
    pub(crate) fn take_token(
        &mut self,
        action: &str,
        id: &str,
        rate: RateLimit,
        now: i64,
    ) -> Result<(), ApiError> {
        let key = (action.to_owned(), id.to_owned());
        let bucket = self.buckets.entry(key).or_insert(RateBucket {
            tokens: rate.burst,
            at_ms: now,
        });
        let elapsed_s = (now - bucket.at_ms).max(0) as f64 / 1000.0;
        bucket.tokens = (bucket.tokens + elapsed_s * rate.per_second).min(rate.burst);
        bucket.at_ms = now;
        if bucket.tokens < 1.0 {
            return Err(rate_limited());
        }
        bucket.tokens -= 1.0;
        Ok(())
    }
}

/// The error of a rate limited request.
pub(crate) fn rate_limited() -> ApiError {
    ApiError::new(429, "rate limit exceeded")
}
