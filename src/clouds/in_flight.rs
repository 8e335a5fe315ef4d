//! Bounds how many requests are under way at once. A request only gets a place once its rate limit allows it, so a request that
//! waits for its rate limit blocks no other.

use tokio::sync::{Semaphore, SemaphorePermit};

use super::RateLimitedAction;

/// The maximum number of concurrent requests. Each request has its own rate limit (see
/// [`RateLimiter`](super::RateLimiter)), and over HTTP/2 they share a connection, so this only bounds memory: with 256, a plan
/// of fifty apps (six lists each) takes two waves.
const MAX_REQUESTS: usize = 256;

/// The maximum number of concurrent long polls. They only wait, for up to a minute each, so they have places of their own:
/// machines that are slow to start delay no other request. Beyond this number machines are read each second instead. A request
/// to a sandbox in the same process takes two sockets, and both limits together stay below the usual 1024 open files.
const MAX_LONG_POLLS: usize = 160;

/// The places of one client.
#[derive(Debug)]
pub(super) struct InFlightLimits {
    requests: Semaphore,
    long_polls: Semaphore,
}

impl InFlightLimits {
    pub(super) const fn new() -> Self {
        Self {
            requests: Semaphore::const_new(MAX_REQUESTS),
            long_polls: Semaphore::const_new(MAX_LONG_POLLS),
        }
    }

    /// Waits for a place for one request of this kind.
    pub(super) async fn acquire(&self, action: RateLimitedAction) -> Option<SemaphorePermit<'_>> {
        let places = match action {
            RateLimitedAction::WaitForState => &self.long_polls,
            _ => &self.requests,
        };
        // The semaphores are never closed.
        places.acquire().await.ok()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn long_polls_take_no_place_of_other_requests() {
        let (limits, wait) = (InFlightLimits::new(), RateLimitedAction::WaitForState);
        let acquire = |action| limits.acquire(action).now_or_never();
        let polls: Vec<_> = (0..MAX_LONG_POLLS).filter_map(|_| acquire(wait)).collect();
        assert_eq!(polls.len(), MAX_LONG_POLLS);
        assert!(acquire(wait).is_none());
        let read = RateLimitedAction::GetMachine;
        let reads: Vec<_> = (0..MAX_REQUESTS).filter_map(|_| acquire(read)).collect();
        assert_eq!(reads.len(), MAX_REQUESTS);
        assert!(acquire(read).is_none());
    }
}
