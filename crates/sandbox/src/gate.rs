//! Where the faults `hold-before` and `hold-after` hold a request back until somebody lets it go on.

use std::sync::Arc;

use tokio::sync::watch;

/// The gate. Clones are the same one.
#[derive(Clone, Debug)]
pub(crate) struct Gate(Arc<watch::Sender<State>>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// No request has come.
    Open,
    /// One is here, and waits.
    Shut,
    /// It may go on, whether it has come or not.
    Released,
}

impl Default for Gate {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(State::Open)))
    }
}

impl Gate {
    /// Waits at it until somebody opens it.
    pub(crate) async fn pass(&self) {
        self.0.send_if_modified(|state| {
            let arrives = *state == State::Open;
            if arrives {
                *state = State::Shut;
            }
            arrives
        });
        // The sender is here, so this cannot end otherwise.
        let _ = self
            .0
            .subscribe()
            .wait_for(|state| *state == State::Released)
            .await;
    }

    /// Waits until a request is held back.
    pub(crate) async fn held(&self) {
        let _ = self
            .0
            .subscribe()
            .wait_for(|state| *state != State::Open)
            .await;
    }

    /// Lets it go on, and whatever comes later.
    pub(crate) fn release(&self) {
        self.0.send_replace(State::Released);
    }
}
