//! The lock of an environment, as a run holds it: where there is one, two runs never carry anything out at the same time,
//! machines or not. Leases on machines are taken as well, since other tools know those.

use std::time::Duration;

use crate::{
    clouds::CloudError,
    lock::{LockError, LockLease},
};

/// How much time must be left on the lock when a step begins, by the server's clock: a request and its retries.
const MIN_REMAINING: Duration = Duration::from_secs(20);

/// Makes sure that the lock, if there is one, is still ours.
///
/// # Errors
/// When it is lost.
pub(super) async fn confirm_held(lock: Option<&LockLease>) -> Result<(), LockError> {
    match lock {
        Some(lease) => lease.ensure_held_for(MIN_REMAINING).await,
        None => Ok(()),
    }
}

/// Ends when the lock is lost; never where there is none.
pub(super) async fn wait_until_lost(lock: Option<&LockLease>) {
    match lock {
        Some(lease) => lease.cancellation_token().cancelled().await,
        None => std::future::pending().await,
    }
}

/// Why a run that lost its lock ended.
pub(super) fn lock_failure(error: LockError) -> super::ApplyFailure {
    let hint = error.hint();
    super::ApplyFailure {
        hint,
        ..super::ApplyFailure::from(&CloudError::from(error))
    }
}
