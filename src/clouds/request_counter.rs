//! What every request of a run passes, to whichever cloud it goes: it is counted, and a test may let the process die
//! around a certain one.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use super::{CloudError, ErrorKind};

/// A point at which the process dies as by `kill -9`: around a certain request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CrashPoint {
    /// Which one.
    pub request: RequestOrdinal,
    /// Whether it is sent and answered first.
    pub after_response: bool,
    /// What happens then.
    pub mode: CrashMode,
}

/// A request by its number, counted from one over all clouds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestOrdinal {
    /// Among all requests.
    Request(u64),
    /// Among those that write.
    Write(u64),
}

/// What a burnt fuse does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrashMode {
    /// The process dies, without any clean-up.
    Abort,
    /// This client falls silent for good, as the server sees a process that died; the process goes on and can look.
    Simulate,
}

/// The count of a run's requests. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct RequestCounter(Arc<Counters>);

#[derive(Debug, Default)]
struct Counters {
    crash_point: Option<CrashPoint>,
    requests: AtomicU64,
    writes: AtomicU64,
    crashed: AtomicBool,
}

/// The numbers of a request, from one; reads have none among the writes.
#[derive(Clone, Copy, Debug)]
pub(super) struct RequestNumbers {
    request: u64,
    write: Option<u64>,
}

impl RequestNumbers {
    fn matches(self, nth: RequestOrdinal) -> bool {
        match nth {
            RequestOrdinal::Request(n) => self.request == n,
            RequestOrdinal::Write(n) => self.write == Some(n),
        }
    }
}

impl RequestCounter {
    pub(super) fn new(fuse: Option<CrashPoint>) -> Self {
        Self(Arc::new(Counters {
            crash_point: fuse,
            ..Counters::default()
        }))
    }

    /// How many requests were sent so far.
    pub(super) fn request_count(&self) -> u64 {
        self.0.requests.load(Ordering::Relaxed)
    }

    /// Whether the fuse has burnt.
    pub(super) fn has_crashed(&self) -> bool {
        self.0.crashed.load(Ordering::Relaxed)
    }

    /// Counts a request that is about to be sent.
    ///
    /// # Errors
    /// When this client has fallen silent.
    pub(super) fn begin_request(
        &self,
        doing: &str,
        is_write: bool,
    ) -> Result<RequestNumbers, CloudError> {
        let next = |count: &AtomicU64| count.fetch_add(1, Ordering::Relaxed) + 1;
        let turn = RequestNumbers {
            request: next(&self.0.requests),
            write: is_write.then(|| next(&self.0.writes)),
        };
        self.crash_if_due(doing, turn, false)?;
        Ok(turn)
    }

    /// Notes that its answer is there.
    ///
    /// # Errors
    /// As [`Gauge::enter`].
    pub(super) fn end_request(&self, doing: &str, turn: RequestNumbers) -> Result<(), CloudError> {
        self.crash_if_due(doing, turn, true)
    }

    /// Dies here if the fuse says so, or stays silent once it has burnt.
    fn crash_if_due(
        &self,
        doing: &str,
        turn: RequestNumbers,
        after: bool,
    ) -> Result<(), CloudError> {
        let Some(fuse) = self.0.crash_point else {
            return Ok(());
        };
        if turn.matches(fuse.request) && fuse.after_response == after {
            match fuse.mode {
                CrashMode::Abort => std::process::abort(),
                CrashMode::Simulate => self.0.crashed.store(true, Ordering::Relaxed),
            }
        }
        if self.has_crashed() {
            return Err(CloudError::new(
                doing,
                ErrorKind::Failed,
                "this client has fallen silent",
            ));
        }
        Ok(())
    }
}
