//! What befalls a run, and at which of its requests.

use std::{collections::BTreeSet, fmt};

use trimtab::clouds::{self, CrashMode, CrashPoint};
use trimtab_sandbox::{Fault, RequestSelector};

/// Statuses that leave it open whether anything was done.
const AMBIGUOUS_STATUSES: [u16; 3] = [408, 500, 502];

/// One thing that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Disruption {
    /// The process dies around a request.
    Crash(CrashPoint),
    /// One answer, or all from one on, is not what it should be.
    Fault(Fault),
    /// The process dies after a write, and the next run begins while lists are old.
    CrashThenStaleLists(CrashPoint),
    /// Another apply of the same runs while a write is under way.
    ConcurrentApply(u64),
    /// Somebody changes something by hand while a write is under way.
    ManualChange(u64),
    /// A host stops to answer before a write.
    HostOutage(u64),
}

impl Disruption {
    /// The request.
    pub(super) fn request(&self) -> RequestSelector {
        match *self {
            Self::Crash(fuse) | Self::CrashThenStaleLists(fuse) => match fuse.request {
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

    /// Its name without the number: cases of one sort differ in nothing else.
    pub(super) fn category(&self) -> String {
        self.to_string()
            .replacen(&format!(":{}", self.request()), "", 1)
    }
}

/// The request in a fault.
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

/// Everything that can befall a run of so many requests, so many of which write.
pub(super) fn all_disruptions(requests: u64, writes: u64) -> Vec<Disruption> {
    let of_requests = (1..=requests).flat_map(disruptions_of_request);
    of_requests
        .chain((1..=writes).flat_map(disruptions_of_write))
        .collect()
}

/// All sorts of these.
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

/// What can befall any request.
fn disruptions_of_request(n: u64) -> Vec<Disruption> {
    let texts = ["drop-before:N", "429:N:2", "truncate:N", "expired:N"];
    let faults = texts.map(|text| fault(&text.replace('N', &n.to_string())));
    let statuses = AMBIGUOUS_STATUSES.map(|code| fault(&format!("status:{n}:{code}")));
    let deaths = [false, true]
        .map(|after| Disruption::Crash(crash_at(clouds::RequestOrdinal::Request(n), after)));
    faults.into_iter().chain(statuses).chain(deaths).collect()
}

/// What only matters where something is written: for a read it is the same as something above.
fn disruptions_of_write(n: u64) -> Vec<Disruption> {
    let faults =
        ["drop-after:wN", "twice:wN"].map(|text| fault(&text.replace('N', &n.to_string())));
    let statuses = AMBIGUOUS_STATUSES.map(|code| fault(&format!("status-after:w{n}:{code}")));
    let people = [
        Disruption::CrashThenStaleLists(crash_at(clouds::RequestOrdinal::Write(n), true)),
        Disruption::ConcurrentApply(n),
        Disruption::ManualChange(n),
        Disruption::HostOutage(n),
    ];
    faults.into_iter().chain(statuses).chain(people).collect()
}
