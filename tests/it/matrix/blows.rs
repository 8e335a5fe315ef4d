//! What befalls a run, and at which of its requests.

use std::{collections::BTreeSet, fmt};

use trimtab::{clouds::{self, Burnt, Fuse}};
use trimtab_sandbox::{Fault, Nth};

/// Statuses that leave it open whether anything was done.
const UNCLEAR: [u16; 3] = [408, 500, 502];

/// One thing that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Blow {
    /// The process dies around a request.
    Death(Fuse),
    /// One answer, or all from one on, is not what it should be.
    Fault(Fault),
    /// The process dies after a write, and the next run begins while lists are old.
    Stale(Fuse),
    /// Another apply of the same runs while a write is under way.
    Another(u64),
    /// Somebody changes something by hand while a write is under way.
    Meddling(u64),
    /// A host stops to answer before a write.
    Host(u64),
}

impl Blow {
    /// The request.
    pub(super) fn at(&self) -> Nth {
        match *self {
            Self::Death(fuse) | Self::Stale(fuse) => match fuse.at {
                clouds::Nth::Request(n) => Nth { n, writes: false },
                clouds::Nth::Write(n) => Nth { n, writes: true },
            },
            Self::Another(n) | Self::Meddling(n) | Self::Host(n) => Nth { n, writes: true },
            Self::Fault(fault) => struck(fault),
        }
    }

    /// Its name without the number: cases of one sort differ in nothing else.
    pub(super) fn sort(&self) -> String {
        self.to_string().replacen(&format!(":{}", self.at()), "", 1)
    }
}

/// The request in a fault.
fn struck(fault: Fault) -> Nth {
    match fault {
        Fault::DropBefore(nth)
        | Fault::DropAfter(nth)
        | Fault::Status(nth, _)
        | Fault::StatusAfter(nth, _)
        | Fault::Burst(nth, _)
        | Fault::Truncate(nth)
        | Fault::Twice(nth)
        | Fault::Expired(nth) => nth,
        other => panic!("{other} strikes at no single request"),
    }
}

impl fmt::Display for Blow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.at();
        match self {
            Self::Death(Fuse { after: false, .. }) => write!(f, "die-before:{at}"),
            Self::Death(Fuse { after: true, .. }) => write!(f, "die-after:{at}"),
            Self::Fault(fault) => write!(f, "{fault}"),
            Self::Stale(_) => write!(f, "stale:{at}"),
            Self::Another(_) => write!(f, "another:{at}"),
            Self::Meddling(_) => write!(f, "meddling:{at}"),
            Self::Host(_) => write!(f, "host:{at}"),
        }
    }
}

/// Everything that can befall a run of so many requests, so many of which write.
pub(super) fn all(requests: u64, writes: u64) -> Vec<Blow> {
    let of_requests = (1..=requests).flat_map(at_request);
    of_requests.chain((1..=writes).flat_map(at_write)).collect()
}

/// All sorts of these.
pub(super) fn sorts(requests: u64, writes: u64) -> BTreeSet<String> {
    all(requests, writes).iter().map(Blow::sort).collect()
}

fn fault(text: &str) -> Blow {
    Blow::Fault(text.parse().unwrap())
}

fn death(at: clouds::Nth, after: bool) -> Fuse {
    Fuse {
        at,
        after,
        then: Burnt::FallSilent,
    }
}

/// What can befall any request.
fn at_request(n: u64) -> Vec<Blow> {
    let texts = ["drop-before:N", "429:N:2", "truncate:N", "expired:N"];
    let faults = texts.map(|text| fault(&text.replace('N', &n.to_string())));
    let statuses = UNCLEAR.map(|code| fault(&format!("status:{n}:{code}")));
    let deaths = [false, true].map(|after| Blow::Death(death(clouds::Nth::Request(n), after)));
    faults.into_iter().chain(statuses).chain(deaths).collect()
}

/// What only matters where something is written: for a read it is the same as something above.
fn at_write(n: u64) -> Vec<Blow> {
    let faults =
        ["drop-after:wN", "twice:wN"].map(|text| fault(&text.replace('N', &n.to_string())));
    let statuses = UNCLEAR.map(|code| fault(&format!("status-after:w{n}:{code}")));
    let people = [
        Blow::Stale(death(clouds::Nth::Write(n), true)),
        Blow::Another(n),
        Blow::Meddling(n),
        Blow::Host(n),
    ];
    faults.into_iter().chain(statuses).chain(people).collect()
}
