//! Where the faults `hold-before` and `hold-after` hold a request back until somebody lets it go on.

use std::sync::Arc;

use tokio::sync::watch;

/// The gate. Clones are the same one.
#[derive(Clone, Debug)]
pub(crate) struct Gate(Arc<watch::Sender<GateState>>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum GateState {
    /// No request has come.
    Idle,
    /// One is here, and waits.
    Holding,
    /// It may go on, whether it has come or not.
    Released,
}

impl Default for Gate {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(GateState::Idle)))
    }
}

impl Gate {
    /// Waits at it until somebody opens it.
    pub(crate) async fn hold_until_released(&self) {
        self.0.send_if_modified(|state| {
            let arrives = *state == GateState::Idle;
            if arrives {
                *state = GateState::Holding;
            }
            arrives
        });
        // The sender is here, so this cannot end otherwise.
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

    /// Lets it go on, and whatever comes later.
    pub(crate) fn release(&self) {
        self.0.send_replace(GateState::Released);
    }
}
