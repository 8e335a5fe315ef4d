//! Progress reports of long waits, while they are still waiting.

use std::{fmt, sync::Arc};

/// The status of a machine during a wait.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MachineStatus {
    /// The machine's state, as Fly calls it.
    pub state: String,
    /// How many of the machine's checks are passing.
    pub checks_passing: usize,
    /// How many checks the machine has.
    pub checks_total: usize,
    /// The output of the machine's command once it has ended; otherwise empty.
    pub output: Vec<String>,
}

/// Receives every status change of a wait. Clones share one listener.
#[derive(Clone)]
pub struct ProgressSink(Arc<dyn Fn(MachineStatus) + Send + Sync>);

impl ProgressSink {
    /// A sink that calls `listener`. It is called from the wait itself, so it must be quick.
    #[must_use]
    pub fn new(listener: impl Fn(MachineStatus) + Send + Sync + 'static) -> Self {
        Self(Arc::new(listener))
    }

    /// A sink that discards all reports.
    #[must_use]
    pub fn disabled() -> Self {
        Self::new(drop)
    }

    /// Reports `status` unless it equals `last`, which is updated.
    pub(crate) fn report_change(&self, last: &mut Option<MachineStatus>, status: MachineStatus) {
        if last.as_ref() != Some(&status) {
            *last = Some(status.clone());
            (self.0)(status);
        }
    }
}

impl Default for ProgressSink {
    fn default() -> Self {
        Self::disabled()
    }
}

impl fmt::Debug for ProgressSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProgressSink")
    }
}
