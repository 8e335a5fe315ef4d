//! Faults on purpose: lost connections, wrong answers and late lists, at the request that a test names.
//!
//! Every distributed failure that a client must survive comes down to one of these: the request was lost, the answer
//! was lost, the answer was cut short, or the answer was an error that may or may not have had an effect.

use std::fmt;
use std::str::FromStr;

use super::ids;

/// What each fault is called and does, for help texts.
pub const HELP: &[(&str, &str)] = &[
    ("drop-before:N", "close the connection without doing the N-th request"),
    ("drop-after:N", "do the N-th request, then close the connection without an answer"),
    ("status:N:CODE", "answer the N-th request with CODE without doing it"),
    ("status-after:N:CODE", "do the N-th request, then answer with CODE"),
    ("429:N:COUNT", "answer COUNT requests from the N-th on with 429"),
    ("truncate:N", "do the N-th request, then send half of the answer"),
    ("stale-list:MS", "lists leave out what is younger than MS milliseconds"),
    ("flaky:P", "each request suffers one of the above with probability P"),
    ("…:wN", "in place of N: the N-th writing request"),
];

/// Which request a fault strikes, counted from the server's start, beginning with 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nth {
    /// The number.
    pub n: u64,
    /// Whether only writing requests count.
    pub writes: bool,
}

/// A fault.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    /// `drop-before:N`
    DropBefore(Nth),
    /// `drop-after:N`
    DropAfter(Nth),
    /// `status:N:CODE`
    Status(Nth, u16),
    /// `status-after:N:CODE`
    StatusAfter(Nth, u16),
    /// `429:N:COUNT`
    Burst(Nth, u64),
    /// `truncate:N`
    Truncate(Nth),
    /// `stale-list:MS`
    StaleList(i64),
    /// `flaky:P`
    Flaky(f64),
}

/// Why a fault could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown fault `{text}`: expected one of {}", names())]
pub struct FaultError {
    text: String,
}

fn names() -> String {
    let names: Vec<&str> = HELP.iter().map(|(name, _)| *name).collect();
    names.join(", ")
}

impl FromStr for Fault {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        let parts: Vec<&str> = text.trim().split(':').collect();
        parse(&parts).ok_or_else(|| FaultError { text: text.to_owned() })
    }
}

fn parse(parts: &[&str]) -> Option<Fault> {
    Some(match *parts {
        ["drop-before", n] => Fault::DropBefore(nth(n)?),
        ["drop-after", n] => Fault::DropAfter(nth(n)?),
        ["status", n, code] => Fault::Status(nth(n)?, status(code)?),
        ["status-after", n, code] => Fault::StatusAfter(nth(n)?, status(code)?),
        ["429", n, count] => Fault::Burst(nth(n)?, count.parse().ok()?),
        ["truncate", n] => Fault::Truncate(nth(n)?),
        ["stale-list", ms] => Fault::StaleList(ms.parse().ok().filter(|ms| *ms >= 0)?),
        ["flaky", p] => Fault::Flaky(p.parse().ok().filter(|p| (0.0..=1.0).contains(p))?),
        _ => return None,
    })
}

fn nth(text: &str) -> Option<Nth> {
    let (number, writes) = text.strip_prefix('w').map_or((text, false), |number| (number, true));
    Some(Nth { n: number.parse().ok().filter(|n| *n > 0)?, writes })
}

fn status(text: &str) -> Option<u16> {
    text.parse().ok().filter(|code| (200..600).contains(code))
}

impl fmt::Display for Nth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.writes { "w" } else { "" }, self.n)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DropBefore(nth) => write!(f, "drop-before:{nth}"),
            Self::DropAfter(nth) => write!(f, "drop-after:{nth}"),
            Self::Status(nth, code) => write!(f, "status:{nth}:{code}"),
            Self::StatusAfter(nth, code) => write!(f, "status-after:{nth}:{code}"),
            Self::Burst(nth, count) => write!(f, "429:{nth}:{count}"),
            Self::Truncate(nth) => write!(f, "truncate:{nth}"),
            Self::StaleList(ms) => write!(f, "stale-list:{ms}"),
            Self::Flaky(p) => write!(f, "flaky:{p}"),
        }
    }
}

/// What is to happen to one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blow {
    DropBefore,
    DropAfter,
    Status(u16),
    StatusAfter(u16),
    Limited,
    Truncate,
}

/// The faults in force and the requests counted so far.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    pub(crate) list: Vec<Fault>,
    seed: u64,
    requests: u64,
    writes: u64,
}

impl Faults {
    /// Begins to count.
    pub(crate) fn new(list: Vec<Fault>, seed: u64) -> Self {
        Self { list, seed, requests: 0, writes: 0 }
    }

    /// Counts a request and says what befalls it: the first fault that strikes.
    pub(crate) fn strike(&mut self, write: bool) -> Option<Blow> {
        self.requests += 1;
        self.writes += u64::from(write);
        self.list.iter().find_map(|fault| self.struck(fault, write))
    }

    fn struck(&self, fault: &Fault, write: bool) -> Option<Blow> {
        let is = |nth: &Nth| {
            nth.n == if nth.writes { self.writes } else { self.requests } && (write || !nth.writes)
        };
        match fault {
            Fault::DropBefore(nth) => is(nth).then_some(Blow::DropBefore),
            Fault::DropAfter(nth) => is(nth).then_some(Blow::DropAfter),
            Fault::Status(nth, code) => is(nth).then_some(Blow::Status(*code)),
            Fault::StatusAfter(nth, code) => is(nth).then_some(Blow::StatusAfter(*code)),
            Fault::Truncate(nth) => is(nth).then_some(Blow::Truncate),
            Fault::Burst(nth, count) => {
                let now = if nth.writes { self.writes } else { self.requests };
                let inside = (nth.n..nth.n.saturating_add(*count)).contains(&now);
                (inside && (write || !nth.writes)).then_some(Blow::Limited)
            }
            Fault::StaleList(_) => None,
            Fault::Flaky(p) => self.flaky(*p),
        }
    }

    fn flaky(&self, p: f64) -> Option<Blow> {
        const KINDS: [Blow; 8] = [
            Blow::DropBefore,
            Blow::DropAfter,
            Blow::Status(500),
            Blow::Status(503),
            Blow::StatusAfter(408),
            Blow::StatusAfter(502),
            Blow::Limited,
            Blow::Truncate,
        ];
        let draw = ids::draw(&["flaky", &self.seed.to_string(), &self.requests.to_string()]);
        let chance = f64::from(ids::number(&draw)) / f64::from(i32::MAX);
        (chance < p).then(|| KINDS[usize::from(draw[8]) % KINDS.len()])
    }

    /// How old a thing must be to appear in a list.
    pub(crate) fn stale_ms(&self) -> i64 {
        let stale = |fault: &Fault| {
            if let Fault::StaleList(ms) = fault { Some(*ms) } else { None }
        };
        self.list.iter().filter_map(stale).max().unwrap_or(0)
    }
}

/// Fly-like words for a status that a fault asks for.
pub(crate) fn words(code: u16) -> &'static str {
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
            "stale-list:1500",
            "flaky:0.25",
        ] {
            assert_eq!(text.parse::<Fault>().map(|fault| fault.to_string()), Ok(text.to_owned()));
        }
        for wrong in ["", "drop", "drop-before:0", "drop-before:x", "status:1:99", "flaky:2", "stale-list:-1"]
        {
            assert!(wrong.parse::<Fault>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn writes_are_counted_apart() {
        let mut faults = Faults::new(vec![Fault::Status(Nth { n: 2, writes: true }, 500)], 0);
        let blows: Vec<_> = [true, false, false, true, true].map(|write| faults.strike(write)).into();
        assert_eq!(blows, [None, None, None, Some(Blow::Status(500)), None]);
    }

    #[test]
    fn flakiness_comes_from_the_seed() {
        let run = |seed| {
            let mut faults = Faults::new(vec![Fault::Flaky(0.5)], seed);
            (0..64).map(|_| faults.strike(false)).collect::<Vec<_>>()
        };
        assert_eq!(run(1), run(1));
        assert_ne!(run(1), run(2));
        let struck = run(1).iter().flatten().count();
        assert!((16..48).contains(&struck), "{struck}");
    }
}
