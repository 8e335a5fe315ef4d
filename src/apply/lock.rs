//! The lock of an environment during an apply. With a lock, two applies never run at the same time, whatever they change.
//! Machines are leased as well, because flyctl and other tools respect leases and know nothing of the lock.

use std::time::Duration;

use crate::{
    clouds::CloudError,
    lock::{LockError, LockLease},
};

/// How long the lock must still be valid when a step starts, by the server's clock: long enough for a request with its retries.
const MIN_REMAINING: Duration = Duration::from_secs(20);

/// Confirms that this process still holds the lock, if the environment has one.
///
/// # Errors
/// When it is lost.
pub(super) async fn confirm_held(lock: Option<&LockLease>) -> Result<(), LockError> {
    match lock {
        Some(lease) => lease.ensure_held_for(MIN_REMAINING).await,
        None => Ok(()),
    }
}

/// Returns when the lock is lost; never when the environment has none.
pub(super) async fn wait_until_lost(lock: Option<&LockLease>) {
    match lock {
        Some(lease) => lease.cancellation_token().cancelled().await,
        None => std::future::pending().await,
    }
}

/// The failure to report when an apply ends because it lost its lock.
pub(super) fn lock_failure(error: LockError) -> super::ApplyFailure {
    let hint = error.hint();
    super::ApplyFailure {
        hint,
        ..super::ApplyFailure::from(&CloudError::from(error))
    }
}
