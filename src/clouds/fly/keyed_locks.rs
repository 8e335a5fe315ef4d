//! Locks that serialize the creation of indistinguishable objects. A volume has no metadata, so
//! after an ambiguous create it can only be recognized by name and region. Creating such volumes
//! one after the other, and remembering the ids created in this run, makes that unambiguous.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

/// The locks and the ids created so far in this run, by key. Clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct KeyedLocks(Arc<Mutex<BTreeMap<String, LockedIds>>>);

/// The ids of the objects created under one key.
type LockedIds = Arc<AsyncMutex<BTreeSet<String>>>;

impl KeyedLocks {
    /// Waits until no other creation under `key` is in progress. The guard holds the lock and the
    /// ids created so far; the caller adds the new id.
    pub(super) async fn lock(&self, key: String) -> OwnedMutexGuard<BTreeSet<String>> {
        let created_ids = {
            let mut locks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(locks.entry(key).or_default())
        };
        created_ids.lock_owned().await
    }
}
