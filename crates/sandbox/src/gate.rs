//! Holds a request back for the faults `hold-before` and `hold-after`, until it is released.

use std::sync::Arc;

use tokio::sync::watch;

/// The gate; clones share its state.
#[derive(Clone, Debug)]
pub(crate) struct Gate(Arc<watch::Sender<GateState>>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum GateState {
    /// No request has arrived.
    Idle,
    /// A request is waiting.
    Holding,
    /// Requests may continue, whether one has arrived or not.
    Released,
}

impl Default for Gate {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(GateState::Idle)))
    }
}

impl Gate {
    /// Waits until the gate is released.
    pub(crate) async fn hold_until_released(&self) {
        self.0.send_if_modified(|state| {
            let is_first = *state == GateState::Idle;
            if is_first {
                *state = GateState::Holding;
            }
            is_first
        });
        // Cannot fail: `self` owns the sender, so the channel stays open.
        let _ = self
            .0
            .subscribe()
            .wait_for(|state| *state == GateState::Released)
            .await;
    }

    /// Waits until a request is held back.
    pub(crate) async fn wait_until_held(&self) {
        let _ = self
            .0
            .subscribe()
            .wait_for(|state| *state != GateState::Idle)
            .await;
    }

    /// Releases the held request; later requests are not held.
    pub(crate) fn release(&self) {
        self.0.send_replace(GateState::Released);
    }
}
