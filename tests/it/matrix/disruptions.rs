//! What can disrupt a run, and at which of its requests.

use std::{collections::BTreeSet, fmt};

use trimtab::clouds::{self, CrashMode, CrashPoint};
use trimtab_sandbox::{Fault, RequestSelector};

/// Statuses after which the client cannot know whether the request took effect.
const AMBIGUOUS_STATUSES: [u16; 3] = [408, 500, 502];

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Disruption {
    /// The process crashes before or after a request.
    Crash(CrashPoint),
    /// The sandbox injects a fault into a request, or into all requests from one on.
    Fault(Fault),
    /// The process crashes after a write, and the next run reads stale lists.
    CrashThenStaleLists(CrashPoint),
    /// Another apply of the same environment runs during a write.
    ConcurrentApply(u64),
    /// Somebody makes a manual change during a write.
    ManualChange(u64),
    /// A host becomes unreachable before a write.
    HostOutage(u64),
}

impl Disruption {
    /// The request that is disrupted.
    pub(super) fn request(&self) -> RequestSelector {
        match *self {
            Self::Crash(crash) | Self::CrashThenStaleLists(crash) => match crash.request {
                clouds::RequestOrdinal::Request(n) => RequestSelector {
                    ordinal: n,
                    writes_only: false,
                },
                clouds::RequestOrdinal::Write(n) => RequestSelector {
                    ordinal: n,
                    writes_only: true,
                },
            },
            Self::ConcurrentApply(n) | Self::ManualChange(n) | Self::HostOutage(n) => {
                RequestSelector {
                    ordinal: n,
                    writes_only: true,
                }
            }
            Self::Fault(fault) => fault_request(fault),
        }
    }

    /// The name of a case without the ordinal: cases of one category differ in nothing else.
    pub(super) fn category(&self) -> String {
        self.to_string()
            .replacen(&format!(":{}", self.request()), "", 1)
    }
}

/// The request that a fault applies to.
fn fault_request(fault: Fault) -> RequestSelector {
    match fault {
        Fault::DropBefore(nth)
        | Fault::DropAfter(nth)
        | Fault::Status(nth, _)
        | Fault::StatusAfter(nth, _)
        | Fault::RateLimited(nth, _)
        | Fault::Truncate(nth)
        | Fault::Twice(nth)
        | Fault::Expired(nth) => nth,
        other => panic!("{other} strikes at no single request"),
    }
}

impl fmt::Display for Disruption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.request();
        match self {
            Self::Crash(CrashPoint {
                after_response: false,
                ..
            }) => write!(f, "die-before:{at}"),
            Self::Crash(CrashPoint {
                after_response: true,
                ..
            }) => write!(f, "die-after:{at}"),
            Self::Fault(fault) => write!(f, "{fault}"),
            Self::CrashThenStaleLists(_) => write!(f, "stale:{at}"),
            Self::ConcurrentApply(_) => write!(f, "another:{at}"),
            Self::ManualChange(_) => write!(f, "meddling:{at}"),
            Self::HostOutage(_) => write!(f, "host:{at}"),
        }
    }
}

/// All disruptions of a run with this many requests and writes.
pub(super) fn all_disruptions(requests: u64, writes: u64) -> Vec<Disruption> {
    let of_requests = (1..=requests).flat_map(disruptions_of_request);
    of_requests
        .chain((1..=writes).flat_map(disruptions_of_write))
        .collect()
}

pub(super) fn all_categories(requests: u64, writes: u64) -> BTreeSet<String> {
    all_disruptions(requests, writes)
        .iter()
        .map(Disruption::category)
        .collect()
}

fn fault(text: &str) -> Disruption {
    Disruption::Fault(text.parse().unwrap())
}

fn crash_at(at: clouds::RequestOrdinal, after: bool) -> CrashPoint {
    CrashPoint {
        request: at,
        after_response: after,
        mode: CrashMode::Simulate,
    }
}

/// Disruptions of any request.
fn disruptions_of_request(n: u64) -> Vec<Disruption> {
    let faults_text = ["drop-before:N", "429:N:2", "truncate:N", "expired:N"];
    let faults = faults_text.map(|text| fault(&text.replace('N', &n.to_string())));
    let statuses = AMBIGUOUS_STATUSES.map(|code| fault(&format!("status:{n}:{code}")));
    let crashes = [false, true]
        .map(|after| Disruption::Crash(crash_at(clouds::RequestOrdinal::Request(n), after)));
    faults.into_iter().chain(statuses).chain(crashes).collect()
}

/// Disruptions that differ only for writes: for a read they would equal one of the others.
fn disruptions_of_write(n: u64) -> Vec<Disruption> {
    let faults =
        ["drop-after:wN", "twice:wN"].map(|text| fault(&text.replace('N', &n.to_string())));
    let statuses = AMBIGUOUS_STATUSES.map(|code| fault(&format!("status-after:w{n}:{code}")));
    let others = [
        Disruption::CrashThenStaleLists(crash_at(clouds::RequestOrdinal::Write(n), true)),
        Disruption::ConcurrentApply(n),
        Disruption::ManualChange(n),
        Disruption::HostOutage(n),
    ];
    faults.into_iter().chain(statuses).chain(others).collect()
}
