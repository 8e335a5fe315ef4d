//! The lock of an environment, as a run holds it: where there is one, two runs never carry anything out at the same time,
//! machines or not. Leases on machines are taken as well, since other tools know those.

use std::time::Duration;

use crate::clouds::{
    CloudError,
    aws::lock::{Lease, LockError},
};

/// How much time must be left on the lock when a step begins, by the server's clock: a request and its retries.
const MARGIN: Duration = Duration::from_secs(20);

/// A lock that was taken.
#[derive(Debug)]
pub struct Lock(Lease);

impl Lock {
    /// The lock that this lease is.
    #[must_use]
    pub fn new(lease: Lease) -> Self {
        Self(lease)
    }

    /// Makes sure that it is still ours.
    ///
    /// # Errors
    /// When it is lost.
    pub(super) async fn confirm(&self) -> Result<(), LockError> {
        self.0.confirm(MARGIN).await
    }

    /// Ends when the lock is lost.
    pub(super) async fn lost(&self) {
        self.0.over().cancelled().await;
    }

    /// Gives it back. What is not given back runs out by itself.
    pub async fn release(&self) {
        if let Err(error) = self.0.release().await {
            tracing::warn!(%error, "the lock was not given back");
        }
    }
}

/// Why a run that lost its lock ended.
pub(super) fn loss(error: LockError) -> super::Failure {
    let hint = error.hint();
    super::Failure { hint, ..super::Failure::from(&CloudError::from(error)) }
}
