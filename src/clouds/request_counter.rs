//! Counts the requests of a run over all clouds, and lets tests simulate a crash before or after a
//! certain request.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use super::{CloudError, ErrorKind};

/// The point at which a run crashes, as if by `kill -9`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CrashPoint {
    /// The request at which to crash.
    pub request: RequestOrdinal,
    /// Whether to crash after its response has arrived rather than before it is sent.
    pub after_response: bool,
    /// How to crash.
    pub mode: CrashMode,
}

/// The number of a request, counted from one over all clouds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestOrdinal {
    /// Counted among all requests.
    Request(u64),
    /// Counted among the requests that write.
    Write(u64),
}

/// How a run crashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrashMode {
    /// Abort the process, without any clean-up.
    Abort,
    /// Send nothing any more, which to the server looks like a dead process; the process itself
    /// goes on and can inspect the result.
    Simulate,
}

/// The request counter of a run. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct RequestCounter(Arc<Counters>);

#[derive(Debug, Default)]
struct Counters {
    crash_point: Option<CrashPoint>,
    requests: AtomicU64,
    writes: AtomicU64,
    crashed: AtomicBool,
}

/// The numbers of one request, from one. Reads have no number among the writes.
#[derive(Clone, Copy, Debug)]
pub(super) struct RequestNumbers {
    request: u64,
    write: Option<u64>,
}

impl RequestNumbers {
    fn matches(self, ordinal: RequestOrdinal) -> bool {
        match ordinal {
            RequestOrdinal::Request(n) => self.request == n,
            RequestOrdinal::Write(n) => self.write == Some(n),
        }
    }
}

impl RequestCounter {
    pub(super) fn new(crash_point: Option<CrashPoint>) -> Self {
        Self(Arc::new(Counters {
            crash_point,
            ..Counters::default()
        }))
    }

    /// The number of requests sent so far.
    pub(super) fn request_count(&self) -> u64 {
        self.0.requests.load(Ordering::Relaxed)
    }

    /// Whether a simulated crash has happened.
    pub(super) fn has_crashed(&self) -> bool {
        self.0.crashed.load(Ordering::Relaxed)
    }

    /// Counts a request that is about to be sent.
    ///
    /// # Errors
    /// When a simulated crash has happened or happens here.
    pub(super) fn begin_request(
        &self,
        operation: &str,
        is_write: bool,
    ) -> Result<RequestNumbers, CloudError> {
        let next = |count: &AtomicU64| count.fetch_add(1, Ordering::Relaxed) + 1;
        let numbers = RequestNumbers {
            request: next(&self.0.requests),
            write: is_write.then(|| next(&self.0.writes)),
        };
        self.crash_if_due(operation, numbers, false)?;
        Ok(numbers)
    }

    /// Records that the response to a request has arrived.
    ///
    /// # Errors
    /// As [`RequestCounter::begin_request`].
    pub(super) fn end_request(
        &self,
        operation: &str,
        numbers: RequestNumbers,
    ) -> Result<(), CloudError> {
        self.crash_if_due(operation, numbers, true)
    }

    /// Crashes if this is the crash point. After a simulated crash every request fails.
    fn crash_if_due(
        &self,
        operation: &str,
        numbers: RequestNumbers,
        after_response: bool,
    ) -> Result<(), CloudError> {
        let Some(crash_point) = self.0.crash_point else {
            return Ok(());
        };
        if numbers.matches(crash_point.request) && crash_point.after_response == after_response {
            match crash_point.mode {
                CrashMode::Abort => std::process::abort(),
                CrashMode::Simulate => self.0.crashed.store(true, Ordering::Relaxed),
            }
        }
        if self.has_crashed() {
            return Err(CloudError::new(
                operation,
                ErrorKind::Failed,
                "this client has fallen silent",
            ));
        }
        Ok(())
    }
}
