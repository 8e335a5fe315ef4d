//! Ctrl-C (SIGINT), the SIGTERM of a pipeline's runner, and the SIGHUP of a closed terminal.
//!
//! Until something may be written, a signal ends the process as it ends any other. From then on the signals are counted: the
//! operation ends by itself, and gives back what it holds.

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};

/// The exit code of a shell's command that SIGINT has ended.
const ENDED_BY_SIGNAL: i32 = 130;

/// Ends the process at a signal, until it is dropped.
#[derive(Debug)]
pub(super) struct EndAtSignal(tokio::task::AbortHandle);

impl Drop for EndAtSignal {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Counts the signals that ask the process to end. No signal is lost from the moment this exists.
#[derive(Clone, Debug)]
pub(super) struct SignalCounter(watch::Receiver<u32>);

impl SignalCounter {
    /// Begins to count. From now on a signal does not end the process.
    pub(super) fn start() -> Self {
        let kinds = [
            SignalKind::interrupt(),
            SignalKind::terminate(),
            SignalKind::hangup(),
        ];
        let (sender, received) = watch::channel(0);
        for mut listener in kinds.into_iter().filter_map(|kind| signal(kind).ok()) {
            let sender = sender.clone();
            tokio::spawn(async move {
                while listener.recv().await.is_some() {
                    sender.send_modify(|count| *count += 1);
                }
            });
        }
        Self(received)
    }

    /// Lets the next signal end the process: the part of the command that counted them is over.
    pub(super) fn end_process_at_next(self) -> EndAtSignal {
        let seen = *self.0.borrow();
        let wait = async move {
            self.wait_for(seen + 1).await;
            std::process::exit(ENDED_BY_SIGNAL);
        };
        EndAtSignal(tokio::spawn(wait).abort_handle())
    }

    /// Waits until this many signals have arrived.
    /// Whether a signal has come.
    pub(super) fn has_received(&self) -> bool {
        *self.0.borrow() > 0
    }

    pub(super) async fn wait_for(&self, count: u32) {
        let mut received = self.0.clone();
        if received.wait_for(|seen| *seen >= count).await.is_err() {
            // Nobody listens, so there will be no signal.
            std::future::pending::<()>().await;
        }
    }
}
