//! How a long wait tells what it sees, while it is still waiting.

use std::{fmt, sync::Arc};

/// What a wait sees of a machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MachineStatus {
    /// The machine's state, as Fly calls it.
    pub state: String,
    /// How many of its checks pass.
    pub checks_passing: usize,
    /// How many checks it has.
    pub checks_total: usize,
    /// What its command printed, once it has ended; otherwise empty.
    pub output: Vec<String>,
}

/// Whom a wait tells of every change. Clones speak to the same listener.
#[derive(Clone)]
pub struct ProgressSink(Arc<dyn Fn(MachineStatus) + Send + Sync>);

impl ProgressSink {
    /// A voice that somebody hears. The listener is called from the wait itself, so it must be quick.
    #[must_use]
    pub fn new(hear: impl Fn(MachineStatus) + Send + Sync + 'static) -> Self {
        Self(Arc::new(hear))
    }

    /// A voice that nobody hears.
    #[must_use]
    pub fn disabled() -> Self {
        Self::new(drop)
    }

    /// Tells a sign, unless it is the last one told.
    pub(crate) fn report_change(&self, last: &mut Option<MachineStatus>, sign: MachineStatus) {
        if last.as_ref() != Some(&sign) {
            *last = Some(sign.clone());
            (self.0)(sign);
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
        f.write_str("Voice")
    }
}
