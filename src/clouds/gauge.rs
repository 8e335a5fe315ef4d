//! What every request of a run passes, to whichever cloud it goes: it is counted, and a test may let the process die
//! around a certain one.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use super::{CloudError, Trouble};

/// A point at which the process dies as by `kill -9`: around a certain request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fuse {
    /// Which one.
    pub at: Nth,
    /// Whether it is sent and answered first.
    pub after: bool,
    /// What happens then.
    pub then: Burnt,
}

/// A request by its number, counted from one over all clouds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nth {
    /// Among all requests.
    Request(u64),
    /// Among those that write.
    Write(u64),
}

/// What a burnt fuse does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Burnt {
    /// The process dies, without any clean-up.
    Die,
    /// This client falls silent for good, as the server sees a process that died; the process goes on and can look.
    FallSilent,
}

/// The count of a run's requests. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gauge(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    fuse: Option<Fuse>,
    sent: AtomicU64,
    writes: AtomicU64,
    silent: AtomicBool,
}

/// The numbers of a request, from one; reads have none among the writes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Turn {
    request: u64,
    write: Option<u64>,
}

impl Turn {
    fn is(self, nth: Nth) -> bool {
        match nth {
            Nth::Request(n) => self.request == n,
            Nth::Write(n) => self.write == Some(n),
        }
    }
}

impl Gauge {
    pub(super) fn new(fuse: Option<Fuse>) -> Self {
        Self(Arc::new(Inner {
            fuse,
            ..Inner::default()
        }))
    }

    /// How many requests were sent so far.
    pub(super) fn sent(&self) -> u64 {
        self.0.sent.load(Ordering::Relaxed)
    }

    /// Whether the fuse has burnt.
    pub(super) fn is_silent(&self) -> bool {
        self.0.silent.load(Ordering::Relaxed)
    }

    /// Counts a request that is about to be sent.
    ///
    /// # Errors
    /// When this client has fallen silent.
    pub(super) fn enter(&self, doing: &str, is_write: bool) -> Result<Turn, CloudError> {
        let next = |count: &AtomicU64| count.fetch_add(1, Ordering::Relaxed) + 1;
        let turn = Turn {
            request: next(&self.0.sent),
            write: is_write.then(|| next(&self.0.writes)),
        };
        self.burn(doing, turn, false)?;
        Ok(turn)
    }

    /// Notes that its answer is there.
    ///
    /// # Errors
    /// As [`Gauge::enter`].
    pub(super) fn leave(&self, doing: &str, turn: Turn) -> Result<(), CloudError> {
        self.burn(doing, turn, true)
    }

    /// Dies here if the fuse says so, or stays silent once it has burnt.
    fn burn(&self, doing: &str, turn: Turn, after: bool) -> Result<(), CloudError> {
        let Some(fuse) = self.0.fuse else {
            return Ok(());
        };
        if turn.is(fuse.at) && fuse.after == after {
            match fuse.then {
                Burnt::Die => std::process::abort(),
                Burnt::FallSilent => self.0.silent.store(true, Ordering::Relaxed),
            }
        }
        if self.is_silent() {
            return Err(CloudError::new(
                doing,
                Trouble::Failed,
                "this client has fallen silent",
            ));
        }
        Ok(())
    }
}
