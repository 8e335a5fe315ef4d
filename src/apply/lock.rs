//! The lock of an environment, as a run holds it: where there is one, two runs never carry anything out at the same time,
//! machines or not. Leases on machines are taken as well, since other tools know those.

use std::time::Duration;

use crate::clouds::{
    CloudError,
    aws::lock::{Lease, LockError},
};

/// How much time must be left on the lock when a step begins, by the server's clock: a request and its retries.
const MARGIN: Duration = Duration::from_secs(20);

/// Makes sure that the lock, if there is one, is still ours.
///
/// # Errors
/// When it is lost.
pub(super) async fn confirm(lock: Option<&Lease>) -> Result<(), LockError> {
    match lock {
        Some(lease) => lease.confirm(MARGIN).await,
        None => Ok(()),
    }
}

/// Ends when the lock is lost; never where there is none.
pub(super) async fn lost(lock: Option<&Lease>) {
    match lock {
        Some(lease) => lease.over().cancelled().await,
        None => std::future::pending().await,
    }
}

/// Why a run that lost its lock ended.
pub(super) fn loss(error: LockError) -> super::Failure {
    let hint = error.hint();
    super::Failure {
        hint,
        ..super::Failure::from(&CloudError::from(error))
    }
}
