//! Fault injection: lost connections, error responses and stale lists, for the requests that a test
//! names.
//!
//! Every failure of a distributed system that a client must survive comes down to one of these: the
//! request was lost, the response was lost, the response was cut off, or the response was an error
//! that may or may not have had an effect.

mod injection;

use std::fmt;
use std::str::FromStr;

pub(crate) use injection::{Faults, Injected, RequestKind, status_message};

/// The syntax and effect of each fault, for help texts.
pub const FAULT_HELP: &[(&str, &str)] = &[
    (
        "drop-before:N",
        "close the connection without processing the N-th request",
    ),
    (
        "drop-after:N",
        "process the N-th request, then close the connection without a response",
    ),
    (
        "status:N:CODE",
        "respond to the N-th request with CODE without processing it",
    ),
    (
        "status-after:N:CODE",
        "process the N-th request, then respond with CODE",
    ),
    (
        "429:N:COUNT",
        "respond to COUNT requests from the N-th on with 429 (AWS: SlowDown, Throttling)",
    ),
    (
        "truncate:N",
        "process the N-th request, then send half of the response",
    ),
    (
        "twice:N",
        "process the N-th request twice, like a proxy that retries, and send the second response",
    ),
    (
        "hold-before:N",
        "process the N-th request only after `POST /_sandbox/release`",
    ),
    (
        "hold-after:N",
        "process the N-th request, but respond only after `POST /_sandbox/release`",
    ),
    (
        "expired:N",
        "from the N-th request on, the token has expired",
    ),
    (
        "stale-list:MS",
        "lists leave out resources younger than MS milliseconds",
    ),
    (
        "operation-aborted:N:COUNT",
        "S3: COUNT bucket configuration writes from the N-th on fail with 409",
    ),
    (
        "conditional-conflict:N:COUNT",
        "S3: COUNT conditional writes from the N-th on fail with 409",
    ),
    (
        "late-bucket:MS",
        "S3: configuring a bucket younger than MS milliseconds fails with 404 NoSuchBucket",
    ),
    (
        "stale-config:MS",
        "S3: bucket configuration is read as it was MS milliseconds ago",
    ),
    (
        "late-removal:MS",
        "IAM: what was deleted less than MS milliseconds ago is still listed and blocks dependent calls",
    ),
    (
        "no-conditions",
        "S3: writes ignore If-Match and If-None-Match",
    ),
    (
        "flaky:P",
        "each request is affected by a random fault with probability P",
    ),
    ("…:wN", "in place of N: the N-th write request"),
];

/// Which request a fault affects, counted from 1 since the faults were set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestSelector {
    /// The number of the request.
    pub ordinal: u64,
    /// Whether only write requests count.
    pub writes_only: bool,
}

/// A fault, as `trimtab sandbox --fault` takes it.
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

/// A fault with invalid syntax.
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
    /// The number, for faults that do not support the `w` prefix.
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
            Self::DropBefore(selector) => write!(f, "drop-before:{selector}"),
            Self::DropAfter(selector) => write!(f, "drop-after:{selector}"),
            Self::Status(selector, code) => write!(f, "status:{selector}:{code}"),
            Self::StatusAfter(selector, code) => write!(f, "status-after:{selector}:{code}"),
            Self::RateLimited(selector, count) => write!(f, "429:{selector}:{count}"),
            Self::Truncate(selector) => write!(f, "truncate:{selector}"),
            Self::Twice(selector) => write!(f, "twice:{selector}"),
            Self::HoldBefore(selector) => write!(f, "hold-before:{selector}"),
            Self::HoldAfter(selector) => write!(f, "hold-after:{selector}"),
            Self::Expired(selector) => write!(f, "expired:{selector}"),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_parse_what_they_display() {
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
}
