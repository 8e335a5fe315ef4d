//! Faults on purpose: lost connections, wrong answers and late lists, at the request that a test names.
//!
//! Every distributed failure that a client must survive comes down to one of these: the request was lost, the answer
//! was lost, the answer was cut short, or the answer was an error that may or may not have had an effect.

use std::fmt;
use std::str::FromStr;

use super::ids;

/// What each fault is called and does, for help texts.
pub const FAULT_HELP: &[(&str, &str)] = &[
    (
        "drop-before:N",
        "close the connection without doing the N-th request",
    ),
    (
        "drop-after:N",
        "do the N-th request, then close the connection without an answer",
    ),
    (
        "status:N:CODE",
        "answer the N-th request with CODE without doing it",
    ),
    (
        "status-after:N:CODE",
        "do the N-th request, then answer with CODE",
    ),
    (
        "429:N:COUNT",
        "answer COUNT requests from the N-th on with 429, or in AWS's words: SlowDown, Throttling",
    ),
    (
        "truncate:N",
        "do the N-th request, then send half of the answer",
    ),
    (
        "twice:N",
        "do the N-th request twice, as a proxy that lost the first answer, and send the second answer",
    ),
    (
        "hold-before:N",
        "do the N-th request only after `POST /_sandbox/release`",
    ),
    (
        "hold-after:N",
        "do the N-th request, and answer it only after `POST /_sandbox/release`",
    ),
    (
        "expired:N",
        "from the N-th request on, the token has expired",
    ),
    (
        "stale-list:MS",
        "lists leave out what is younger than MS milliseconds",
    ),
    (
        "operation-aborted:N:COUNT",
        "S3: COUNT writes of buckets' configuration from the N-th on answer 409",
    ),
    (
        "conditional-conflict:N:COUNT",
        "S3: COUNT conditional writes from the N-th on answer 409",
    ),
    (
        "late-bucket:MS",
        "S3: configuring a bucket younger than MS milliseconds answers 404 NoSuchBucket",
    ),
    (
        "stale-config:MS",
        "S3: buckets' configuration reads as it was MS milliseconds ago",
    ),
    (
        "late-removal:MS",
        "IAM: what was removed less than MS milliseconds ago still shows, and stands in the way",
    ),
    (
        "no-conditions",
        "S3: If-Match and If-None-Match of writes are ignored",
    ),
    (
        "flaky:P",
        "each request suffers one of the above with probability P",
    ),
    ("…:wN", "in place of N: the N-th writing request"),
];

/// Which request a fault strikes, counted from the server's start, beginning with 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestSelector {
    /// The number.
    pub ordinal: u64,
    /// Whether only writing requests count.
    pub writes_only: bool,
}

/// A fault.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    /// `drop-before:N`
    DropBefore(RequestSelector),
    /// `drop-after:N`
    DropAfter(RequestSelector),
    /// `status:N:CODE`
    Status(RequestSelector, u16),
    /// `status-after:N:CODE`
    StatusAfter(RequestSelector, u16),
    /// `429:N:COUNT`
    RateLimited(RequestSelector, u64),
    /// `truncate:N`
    Truncate(RequestSelector),
    /// `twice:N`
    Twice(RequestSelector),
    /// `hold-before:N`
    HoldBefore(RequestSelector),
    /// `hold-after:N`
    HoldAfter(RequestSelector),
    /// `expired:N`
    Expired(RequestSelector),
    /// `stale-list:MS`
    StaleList(i64),
    /// `operation-aborted:N:COUNT`
    OperationAborted(u64, u64),
    /// `conditional-conflict:N:COUNT`
    ConditionalConflict(u64, u64),
    /// `late-bucket:MS`
    LateBucket(i64),
    /// `stale-config:MS`
    StaleConfig(i64),
    /// `late-removal:MS`
    LateRemoval(i64),
    /// `no-conditions`
    NoConditions,
    /// `flaky:P`
    Flaky(f64),
}

/// Why a fault could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown fault `{text}`: expected one of {}", fault_names())]
pub struct FaultError {
    text: String,
}

fn fault_names() -> String {
    let names: Vec<&str> = FAULT_HELP.iter().map(|(name, _)| *name).collect();
    names.join(", ")
}

impl FromStr for Fault {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        let parts: Vec<&str> = text.trim().split(':').collect();
        parse_fault(&parts).ok_or_else(|| FaultError {
            text: text.to_owned(),
        })
    }
}

fn parse_fault(parts: &[&str]) -> Option<Fault> {
    Some(match *parts {
        ["drop-before", n] => Fault::DropBefore(parse_selector(n)?),
        ["drop-after", n] => Fault::DropAfter(parse_selector(n)?),
        ["status", n, code] => Fault::Status(parse_selector(n)?, parse_status(code)?),
        ["status-after", n, code] => Fault::StatusAfter(parse_selector(n)?, parse_status(code)?),
        ["429", n, count] => Fault::RateLimited(parse_selector(n)?, count.parse().ok()?),
        ["truncate", n] => Fault::Truncate(parse_selector(n)?),
        ["twice", n] => Fault::Twice(parse_selector(n)?),
        ["hold-before", n] => Fault::HoldBefore(parse_selector(n)?),
        ["hold-after", n] => Fault::HoldAfter(parse_selector(n)?),
        ["expired", n] => Fault::Expired(parse_selector(n)?),
        ["stale-list", ms] => Fault::StaleList(parse_milliseconds(ms)?),
        ["operation-aborted", n, count] => {
            Fault::OperationAborted(parse_selector(n)?.plain_ordinal()?, count.parse().ok()?)
        }
        ["conditional-conflict", n, count] => {
            Fault::ConditionalConflict(parse_selector(n)?.plain_ordinal()?, count.parse().ok()?)
        }
        ["late-bucket", ms] => Fault::LateBucket(parse_milliseconds(ms)?),
        ["stale-config", ms] => Fault::StaleConfig(parse_milliseconds(ms)?),
        ["late-removal", ms] => Fault::LateRemoval(parse_milliseconds(ms)?),
        ["no-conditions"] => Fault::NoConditions,
        ["flaky", p] => Fault::Flaky(p.parse().ok().filter(|p| (0.0..=1.0).contains(p))?),
        _ => return None,
    })
}

fn parse_selector(text: &str) -> Option<RequestSelector> {
    let (number, writes) = text
        .strip_prefix('w')
        .map_or((text, false), |number| (number, true));
    Some(RequestSelector {
        ordinal: number.parse().ok().filter(|n| *n > 0)?,
        writes_only: writes,
    })
}

fn parse_milliseconds(text: &str) -> Option<i64> {
    text.parse().ok().filter(|ms| *ms >= 0)
}

impl RequestSelector {
    /// The number where there is only one way to count.
    fn plain_ordinal(self) -> Option<u64> {
        (!self.writes_only).then_some(self.ordinal)
    }
}

fn parse_status(text: &str) -> Option<u16> {
    text.parse().ok().filter(|code| (200..600).contains(code))
}

impl fmt::Display for RequestSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}{}",
            if self.writes_only { "w" } else { "" },
            self.ordinal
        )
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DropBefore(nth) => write!(f, "drop-before:{nth}"),
            Self::DropAfter(nth) => write!(f, "drop-after:{nth}"),
            Self::Status(nth, code) => write!(f, "status:{nth}:{code}"),
            Self::StatusAfter(nth, code) => write!(f, "status-after:{nth}:{code}"),
            Self::RateLimited(nth, count) => write!(f, "429:{nth}:{count}"),
            Self::Truncate(nth) => write!(f, "truncate:{nth}"),
            Self::Twice(nth) => write!(f, "twice:{nth}"),
            Self::HoldBefore(nth) => write!(f, "hold-before:{nth}"),
            Self::HoldAfter(nth) => write!(f, "hold-after:{nth}"),
            Self::Expired(nth) => write!(f, "expired:{nth}"),
            Self::StaleList(ms) => write!(f, "stale-list:{ms}"),
            Self::OperationAborted(n, count) => write!(f, "operation-aborted:{n}:{count}"),
            Self::ConditionalConflict(n, count) => write!(f, "conditional-conflict:{n}:{count}"),
            Self::LateBucket(ms) => write!(f, "late-bucket:{ms}"),
            Self::StaleConfig(ms) => write!(f, "stale-config:{ms}"),
            Self::LateRemoval(ms) => write!(f, "late-removal:{ms}"),
            Self::NoConditions => write!(f, "no-conditions"),
            Self::Flaky(p) => write!(f, "flaky:{p}"),
        }
    }
}

/// What is to happen to one request.
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
    /// S3: somebody else is at this bucket's configuration.
    OperationAborted,
    /// S3: somebody else is writing this object.
    ConditionalConflict,
}

/// What faults tell apart about requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RequestKind {
    Read,
    Write,
    /// A write of a bucket's configuration.
    BucketConfiguration,
    /// A write of an object under a condition.
    ConditionalWrite,
}

/// The faults in force and the requests counted so far.
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
    /// Begins to count.
    pub(crate) fn new(list: Vec<Fault>, seed: u64) -> Self {
        Self {
            list,
            seed,
            ..Self::default()
        }
    }

    /// Counts a request and says what befalls it: the first fault that strikes.
    pub(crate) fn inject(&mut self, kind: RequestKind) -> Option<Injected> {
        self.requests += 1;
        self.writes += u64::from(kind != RequestKind::Read);
        self.configuration_writes += u64::from(kind == RequestKind::BucketConfiguration);
        self.conditional_writes += u64::from(kind == RequestKind::ConditionalWrite);
        let blow = self
            .list
            .iter()
            .find_map(|fault| self.evaluate(fault, kind));
        self.injected += u64::from(blow.is_some());
        blow
    }

    fn evaluate(&self, fault: &Fault, kind: RequestKind) -> Option<Injected> {
        let write = kind != RequestKind::Read;
        let within = |now: u64, n: u64, count: u64| (n..n.saturating_add(count)).contains(&now);
        let counted = |nth: &RequestSelector| {
            if nth.writes_only {
                self.writes
            } else {
                self.requests
            }
        };
        let is = |nth: &RequestSelector| nth.ordinal == counted(nth) && (write || !nth.writes_only);
        match fault {
            Fault::DropBefore(nth) => is(nth).then_some(Injected::DropBefore),
            Fault::DropAfter(nth) => is(nth).then_some(Injected::DropAfter),
            Fault::Status(nth, code) => is(nth).then_some(Injected::Status(*code)),
            Fault::StatusAfter(nth, code) => is(nth).then_some(Injected::StatusAfter(*code)),
            Fault::Truncate(nth) => is(nth).then_some(Injected::Truncate),
            Fault::Twice(nth) => is(nth).then_some(Injected::Twice),
            Fault::HoldBefore(nth) => is(nth).then_some(Injected::HoldBefore),
            Fault::HoldAfter(nth) => is(nth).then_some(Injected::HoldAfter),
            // Once it has come to that, no kind of request gets through.
            Fault::Expired(nth) => (counted(nth) >= nth.ordinal).then_some(Injected::TokenExpired),
            Fault::RateLimited(nth, count) => (within(counted(nth), nth.ordinal, *count)
                && (write || !nth.writes_only))
                .then_some(Injected::RateLimited),
            Fault::OperationAborted(n, count) => (kind == RequestKind::BucketConfiguration
                && within(self.configuration_writes, *n, *count))
            .then_some(Injected::OperationAborted),
            Fault::ConditionalConflict(n, count) => (kind == RequestKind::ConditionalWrite
                && within(self.conditional_writes, *n, *count))
            .then_some(Injected::ConditionalConflict),
            Fault::StaleList(_)
            | Fault::LateBucket(_)
            | Fault::StaleConfig(_)
            | Fault::LateRemoval(_)
            | Fault::NoConditions => None,
            Fault::Flaky(p) => self.evaluate_flaky(*p),
        }
    }

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
        let draw =
            ids::derive_bytes(&["flaky", &self.seed.to_string(), &self.requests.to_string()]);
        let chance = f64::from(ids::to_u31(&draw)) / f64::from(i32::MAX);
        (chance < p).then(|| KINDS[usize::from(draw[8]) % KINDS.len()])
    }

    /// How many requests something befell so far.
    pub(crate) fn injected_count(&self) -> u64 {
        self.injected
    }

    /// How many requests wrote so far.
    pub(crate) fn write_count(&self) -> u64 {
        self.writes
    }

    /// How old a thing must be to appear in a list.
    pub(crate) fn stale_list_ms(&self) -> i64 {
        self.longest_ms(|fault| {
            if let Fault::StaleList(ms) = fault {
                Some(*ms)
            } else {
                None
            }
        })
    }

    /// How old the configuration of a bucket is when it is read.
    pub(crate) fn stale_config_ms(&self) -> i64 {
        self.longest_ms(|fault| {
            if let Fault::StaleConfig(ms) = fault {
                Some(*ms)
            } else {
                None
            }
        })
    }

    /// How old a bucket must be to be configured.
    pub(crate) fn late_bucket_ms(&self) -> i64 {
        self.longest_ms(|fault| {
            if let Fault::LateBucket(ms) = fault {
                Some(*ms)
            } else {
                None
            }
        })
    }

    /// How long ago a thing must have been removed to be gone.
    pub(crate) fn late_removal_ms(&self) -> i64 {
        self.longest_ms(|fault| {
            if let Fault::LateRemoval(ms) = fault {
                Some(*ms)
            } else {
                None
            }
        })
    }

    /// Whether conditional headers are ignored.
    pub(crate) fn ignores_conditions(&self) -> bool {
        self.list.contains(&Fault::NoConditions)
    }

    fn longest_ms(&self, ms: impl Fn(&Fault) -> Option<i64>) -> i64 {
        self.list.iter().filter_map(ms).max().unwrap_or(0)
    }
}

/// Fly-like words for a status that a fault asks for.
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
    fn faults_read_as_they_print() {
        for text in [
            "drop-before:3",
            "drop-after:w3",
            "status:2:503",
            "status-after:w1:408",
            "429:4:10",
            "truncate:7",
            "twice:w2",
            "hold-before:5",
            "hold-after:w5",
            "expired:9",
            "stale-list:1500",
            "operation-aborted:1:2",
            "conditional-conflict:1:2",
            "late-bucket:500",
            "stale-config:1500",
            "late-removal:1500",
            "no-conditions",
            "flaky:0.25",
        ] {
            assert_eq!(
                text.parse::<Fault>().map(|fault| fault.to_string()),
                Ok(text.to_owned())
            );
        }
        for wrong in [
            "",
            "drop",
            "drop-before:0",
            "drop-before:x",
            "status:1:99",
            "flaky:2",
            "stale-list:-1",
            "operation-aborted:w1:2",
        ] {
            assert!(wrong.parse::<Fault>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn writes_are_counted_apart() {
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
        let blows: Vec<_> = [
            RequestKind::Write,
            RequestKind::Read,
            RequestKind::Read,
            RequestKind::BucketConfiguration,
            RequestKind::Write,
        ]
        .map(|kind| faults.inject(kind))
        .into();
        assert_eq!(blows, [None, None, None, Some(Injected::Status(500)), None]);
    }

    #[test]
    fn flakiness_comes_from_the_seed() {
        let run = |seed| {
            let mut faults = Faults::new(vec![Fault::Flaky(0.5)], seed);
            (0..64)
                .map(|_| faults.inject(RequestKind::Read))
                .collect::<Vec<_>>()
        };
        assert_eq!(run(1), run(1));
        assert_ne!(run(1), run(2));
        let struck = run(1).iter().flatten().count();
        assert!((16..48).contains(&struck), "{struck}");
    }
}
