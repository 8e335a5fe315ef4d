//! Creations that take turns: what bears no mark, such as a volume, can only be told from its like by who made it, so of
//! those that are alike a run makes one after the other and remembers which are its own.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{Mutex as Turn, OwnedMutexGuard};

/// What a run has made so far, by what is alike. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct KeyedLocks(Arc<Mutex<BTreeMap<String, LockedIds>>>);

/// The ids of those that are alike.
type LockedIds = Arc<Turn<BTreeSet<String>>>;

impl KeyedLocks {
    /// Waits until no other creation of the same is under way. The turn ends with what is returned: the ids that were
    /// made so far, to which the new one is added.
    pub(super) async fn lock(&self, alike: String) -> OwnedMutexGuard<BTreeSet<String>> {
        let made = {
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(all.entry(alike).or_default())
        };
        made.lock_owned().await
    }
}
