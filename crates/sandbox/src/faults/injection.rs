//! Counts requests and decides which fault affects each of them.

use super::{Fault, RequestSelector};
use crate::ids;

/// The effect of a fault on one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Injected {
    DropBefore,
    DropAfter,
    Status(u16),
    StatusAfter(u16),
    RateLimited,
    Truncate,
    Twice,
    HoldBefore,
    HoldAfter,
    TokenExpired,
    /// S3: another client is changing the configuration of this bucket.
    OperationAborted,
    /// S3: another client is writing this object.
    ConditionalConflict,
}

/// The kinds of requests that faults distinguish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RequestKind {
    Read,
    Write,
    /// A write of a bucket's configuration.
    BucketConfiguration,
    /// A conditional write of an object.
    ConditionalWrite,
}

/// The active faults, and the requests counted so far.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    pub(crate) list: Vec<Fault>,
    seed: u64,
    requests: u64,
    writes: u64,
    configuration_writes: u64,
    conditional_writes: u64,
    injected: u64,
}

impl Faults {
    /// Starts with these faults; the first request counts as 1.
    pub(crate) fn new(list: Vec<Fault>, seed: u64) -> Self {
        Self {
            list,
            seed,
            ..Self::default()
        }
    }

    /// Counts a request and returns the effect of the first fault that matches it.
    pub(crate) fn inject(&mut self, kind: RequestKind) -> Option<Injected> {
        self.requests += 1;
        self.writes += u64::from(kind != RequestKind::Read);
        self.configuration_writes += u64::from(kind == RequestKind::BucketConfiguration);
        self.conditional_writes += u64::from(kind == RequestKind::ConditionalWrite);
        let injected = self
            .list
            .iter()
            .find_map(|fault| self.evaluate(fault, kind));
        self.injected += u64::from(injected.is_some());
        injected
    }

    /// The effect of a fault on the request that was just counted.
    fn evaluate(&self, fault: &Fault, kind: RequestKind) -> Option<Injected> {
        let is_write = kind != RequestKind::Read;
        let within = |now: u64, n: u64, count: u64| (n..n.saturating_add(count)).contains(&now);
        let counted = |selector: &RequestSelector| {
            if selector.writes_only {
                self.writes
            } else {
                self.requests
            }
        };
        // Between two writes the write counter stands still, so without the check of `is_write` the
        // reads that follow the N-th write would match `wN` as well.
        let matches = |selector: &RequestSelector| {
            selector.ordinal == counted(selector) && (is_write || !selector.writes_only)
        };
        match fault {
            Fault::DropBefore(selector) => matches(selector).then_some(Injected::DropBefore),
            Fault::DropAfter(selector) => matches(selector).then_some(Injected::DropAfter),
            Fault::Status(selector, code) => matches(selector).then_some(Injected::Status(*code)),
            Fault::StatusAfter(selector, code) => {
                matches(selector).then_some(Injected::StatusAfter(*code))
            }
            Fault::Truncate(selector) => matches(selector).then_some(Injected::Truncate),
            Fault::Twice(selector) => matches(selector).then_some(Injected::Twice),
            Fault::HoldBefore(selector) => matches(selector).then_some(Injected::HoldBefore),
            Fault::HoldAfter(selector) => matches(selector).then_some(Injected::HoldAfter),
            // Once the token has expired, every request fails, whether it writes or not.
            Fault::Expired(selector) => {
                (counted(selector) >= selector.ordinal).then_some(Injected::TokenExpired)
            }
            Fault::RateLimited(selector, count) => {
                (within(counted(selector), selector.ordinal, *count)
                    && (is_write || !selector.writes_only))
                    .then_some(Injected::RateLimited)
            }
            Fault::OperationAborted(n, count) => (kind == RequestKind::BucketConfiguration
                && within(self.configuration_writes, *n, *count))
            .then_some(Injected::OperationAborted),
            Fault::ConditionalConflict(n, count) => (kind == RequestKind::ConditionalWrite
                && within(self.conditional_writes, *n, *count))
            .then_some(Injected::ConditionalConflict),
            // These are no failures of a request: they change what endpoints return, and the
            // endpoints read them.
            Fault::StaleList(_)
            | Fault::LateBucket(_)
            | Fault::StaleConfig(_)
            | Fault::LateRemoval(_)
            | Fault::NoConditions => None,
            Fault::Flaky(p) => self.evaluate_flaky(*p),
        }
    }

    /// Chooses by the seed and the number of the request, so that a failing run can be repeated.
    fn evaluate_flaky(&self, p: f64) -> Option<Injected> {
        const KINDS: [Injected; 8] = [
            Injected::DropBefore,
            Injected::DropAfter,
            Injected::Status(500),
            Injected::Status(503),
            Injected::StatusAfter(408),
            Injected::StatusAfter(502),
            Injected::RateLimited,
            Injected::Truncate,
        ];
        let bytes =
            ids::derive_bytes(&["flaky", &self.seed.to_string(), &self.requests.to_string()]);
        // The first four bytes decide whether a fault is injected, another byte decides which.
        let chance = f64::from(ids::to_u31(&bytes)) / f64::from(i32::MAX);
        (chance < p).then(|| KINDS[usize::from(bytes[8]) % KINDS.len()])
    }

    /// How many requests a fault has affected so far.
    pub(crate) fn injected_count(&self) -> u64 {
        self.injected
    }

    /// How many write requests have arrived so far.
    pub(crate) fn write_count(&self) -> u64 {
        self.writes
    }

    /// Minimum age of what lists show, in milliseconds.
    pub(crate) fn stale_list_ms(&self) -> i64 {
        self.longest_ms(|fault| match fault {
            Fault::StaleList(ms) => Some(*ms),
            _ => None,
        })
    }

    /// How old a bucket's configuration is when it is read, in milliseconds.
    pub(crate) fn stale_config_ms(&self) -> i64 {
        self.longest_ms(|fault| match fault {
            Fault::StaleConfig(ms) => Some(*ms),
            _ => None,
        })
    }

    /// Minimum age of a bucket before it can be configured, in milliseconds.
    pub(crate) fn late_bucket_ms(&self) -> i64 {
        self.longest_ms(|fault| match fault {
            Fault::LateBucket(ms) => Some(*ms),
            _ => None,
        })
    }

    /// How long IAM still shows what was removed, in milliseconds.
    pub(crate) fn late_removal_ms(&self) -> i64 {
        self.longest_ms(|fault| match fault {
            Fault::LateRemoval(ms) => Some(*ms),
            _ => None,
        })
    }

    /// Whether conditional headers are ignored.
    pub(crate) fn ignores_conditions(&self) -> bool {
        self.list.contains(&Fault::NoConditions)
    }

    /// The longest delay of all active faults of one sort; 0 without any.
    fn longest_ms(&self, ms: impl Fn(&Fault) -> Option<i64>) -> i64 {
        self.list.iter().filter_map(ms).max().unwrap_or(0)
    }
}

/// A message as Fly would give it for a status that a fault injects.
pub(crate) fn status_message(code: u16) -> &'static str {
    match code {
        400 => "invalid request",
        401 => "Authenticate: token validation error",
        403 => "unauthorized",
        404 => "not found",
        408 => "deadline_exceeded: request timed out",
        409 => {
            "aborted: could not reserve resource for machine: insufficient memory available to fulfill request"
        }
        412 => "failed_precondition: machine getting replaced, refusing to start",
        429 => "rate limit exceeded",
        503 => "unavailable: no healthy upstream",
        504 => "deadline_exceeded: upstream timed out",
        _ => "internal: something went wrong",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn write_requests_are_counted_separately() {
        let mut faults = Faults::new(
            vec![Fault::Status(
                RequestSelector {
                    ordinal: 2,
                    writes_only: true,
                },
                500,
            )],
            0,
        );
        let injected: Vec<_> = [
            RequestKind::Write,
            RequestKind::Read,
            RequestKind::Read,
            RequestKind::BucketConfiguration,
            RequestKind::Write,
        ]
        .map(|kind| faults.inject(kind))
        .into();
        assert_eq!(
            injected,
            [None, None, None, Some(Injected::Status(500)), None]
        );
    }

    #[test]
    fn flaky_faults_depend_only_on_the_seed() {
        let run = |seed| {
            let mut faults = Faults::new(vec![Fault::Flaky(0.5)], seed);
            (0..64)
                .map(|_| faults.inject(RequestKind::Read))
                .collect::<Vec<_>>()
        };
        assert_eq!(run(1), run(1));
        assert_ne!(run(1), run(2));
        let injected = run(1).iter().flatten().count();
        assert!((16..48).contains(&injected), "{injected}");
    }
}
