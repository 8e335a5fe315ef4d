//! What befalls a run, and at which of its requests.

use std::fmt;

use trimtab::{
    clouds::{self, Burnt, Fuse},
    sandbox::Fault,
};

/// Statuses that leave it open whether anything was done.
const UNCLEAR: [u16; 3] = [408, 500, 502];

/// One thing that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Blow {
    /// The process dies around a request.
    Death { nth: clouds::Nth, after: bool },
    /// One answer, or all from one on, is not what it should be.
    Fault(Fault),
    /// The process dies after a write, and the next run begins while lists are old.
    Stale(u64),
    /// Another apply of the same runs while a write is under way.
    Another(u64),
    /// Somebody changes something by hand while a write is under way.
    Meddling(u64),
    /// A host stops to answer before a write.
    Host(u64),
}

impl Blow {
    /// The number of the request.
    pub(super) fn at(&self) -> u64 {
        match *self {
            Self::Death { nth: clouds::Nth::Request(n) | clouds::Nth::Write(n), .. }
            | Self::Stale(n)
            | Self::Another(n)
            | Self::Meddling(n)
            | Self::Host(n) => n,
            Self::Fault(fault) => struck(fault),
        }
    }

    /// At which request the process dies.
    pub(super) fn fuse(&self) -> Option<Fuse> {
        let (at, after) = match *self {
            Self::Death { nth, after } => (nth, after),
            Self::Stale(n) => (clouds::Nth::Write(n), true),
            _ => return None,
        };
        Some(Fuse { at, after, then: Burnt::FallSilent })
    }
}

/// The number in a fault.
fn struck(fault: Fault) -> u64 {
    match fault {
        Fault::DropBefore(nth)
        | Fault::DropAfter(nth)
        | Fault::Status(nth, _)
        | Fault::StatusAfter(nth, _)
        | Fault::Burst(nth, _)
        | Fault::Truncate(nth)
        | Fault::Twice(nth)
        | Fault::Expired(nth) => nth.n,
        other => panic!("{other} strikes at no single request"),
    }
}

impl fmt::Display for Blow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Death { nth, after } => {
                let when = if *after { "after" } else { "before" };
                match nth {
                    clouds::Nth::Request(n) => write!(f, "die-{when}:{n}"),
                    clouds::Nth::Write(n) => write!(f, "die-{when}:w{n}"),
                }
            }
            Self::Fault(fault) => write!(f, "{fault}"),
            Self::Stale(n) => write!(f, "stale:w{n}"),
            Self::Another(n) => write!(f, "another:w{n}"),
            Self::Meddling(n) => write!(f, "meddling:w{n}"),
            Self::Host(n) => write!(f, "host:w{n}"),
        }
    }
}

/// Everything that can befall a run of so many requests, so many of which write.
pub(super) fn all(requests: u64, writes: u64) -> Vec<Blow> {
    let of_requests = (1..=requests).flat_map(at_request);
    of_requests.chain((1..=writes).flat_map(at_write)).collect()
}

fn fault(text: &str) -> Blow {
    Blow::Fault(text.parse().unwrap())
}

/// What can befall any request.
fn at_request(n: u64) -> Vec<Blow> {
    let texts = ["drop-before:N", "429:N:2", "truncate:N", "expired:N"];
    let faults = texts.map(|text| fault(&text.replace('N', &n.to_string())));
    let statuses = UNCLEAR.map(|code| fault(&format!("status:{n}:{code}")));
    let death = [false, true].map(|after| Blow::Death { nth: clouds::Nth::Request(n), after });
    faults.into_iter().chain(statuses).chain(death).collect()
}

/// What only matters where something is written: for a read it is the same as something above.
fn at_write(n: u64) -> Vec<Blow> {
    let faults = ["drop-after:wN", "twice:wN"].map(|text| fault(&text.replace('N', &n.to_string())));
    let statuses = UNCLEAR.map(|code| fault(&format!("status-after:w{n}:{code}")));
    let people = [Blow::Stale(n), Blow::Another(n), Blow::Meddling(n), Blow::Host(n)];
    faults.into_iter().chain(statuses).chain(people).collect()
}
