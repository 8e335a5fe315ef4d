//! Fingerprints that show whether a secret has changed, without storing it.
//!
//! Fly returns a digest of each secret, but the algorithm is undocumented and has changed over
//! time, so a digest cannot be compared with a value. We therefore keep a fingerprint of our own in
//! machine metadata, beside the digest that Fly returned for the same value: a different digest
//! means that somebody changed the secret outside trimtab, a different fingerprint means that the
//! value in our source changed. Metadata is readable by everybody in the organization, hence a
//! slow, salted hash.
//!
//! Because it is slow, a fingerprint is computed when it is first needed, and only once: copies
//! share it. [`Fingerprint::compute_in_background`] does it while the clouds are read.

use std::{
    cmp::Ordering,
    fmt,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use argon2::{Algorithm, Argon2, Block, Params, Version};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use super::Secret;

/// Memory of one hash in KiB, and its number of passes. OWASP's second argon2id profile is 12 MiB
/// and 3 passes; 8 MiB and 2 passes keep a plan with fifty secrets under a second on one core, and
/// secrets in CI are random rather than guessable.
const MEMORY_KIB: u32 = 8 * 1024;
const PASSES: u32 = 2;
/// 15 bytes are 20 characters of base64 without padding.
const LENGTH: usize = 15;
/// The number of fingerprints for which one more thread is worth its memory.
const FINGERPRINTS_PER_THREAD: usize = 16;

/// The salt of fingerprints, so that equal values in two apps have different fingerprints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Salt(String);

impl Salt {
    /// The salt of one app's secrets, made from its owner and its name. Deterministic rather than
    /// random, so that a plan depends only on its inputs; different for each app, which is what a
    /// salt is for.
    #[must_use]
    pub fn for_app(project: &str, environment: &str, app: &str) -> Self {
        Self(format!("trimtab:{project}:{environment}:{app}"))
    }
}

/// A salted, slow hash of a secret value. It is safe to store, and equal for equal values.
#[derive(Clone)]
pub struct Fingerprint(Arc<LazyHash>);

struct LazyHash {
    hash: OnceLock<String>,
    /// What to compute the hash from, where it was not read from metadata.
    input: Option<HashInput>,
}

struct HashInput {
    value: Secret,
    salt: String,
}

impl Fingerprint {
    /// The fingerprint of the secret `name`, under one salt.
    pub(super) fn new(value: Secret, name: &str, salt: &Salt) -> Self {
        let salt = format!("{}:{name}", salt.0);
        let hash = OnceLock::new();
        let input = Some(HashInput { value, salt });
        Self(Arc::new(LazyHash { hash, input }))
    }

    /// Wraps a fingerprint that was read from metadata.
    #[must_use]
    pub fn from_stored(text: impl Into<String>) -> Self {
        let hash = OnceLock::from(text.into());
        Self(Arc::new(LazyHash { hash, input: None }))
    }

    /// The text to store in metadata.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.compute(&mut Vec::new())
    }

    /// Computes the hash unless it is known. `memory` is used as working memory, and grows to the size that a hash needs.
    fn compute(&self, memory: &mut Vec<Block>) -> &str {
        self.0.hash.get_or_init(|| {
            let input = self.0.input.as_ref();
            input.map(|input| input.hash(memory)).unwrap_or_default()
        })
    }

    /// Computes all these fingerprints on threads of their own, so that they are known when they are needed. Whoever needs one
    /// earlier waits for it or computes it. Each thread uses one working memory for all of its hashes.
    pub fn compute_in_background(fingerprints: Vec<Self>) {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let threads = fingerprints.len().div_ceil(FINGERPRINTS_PER_THREAD);
        let left = Arc::new(Mutex::new(fingerprints));
        for _ in 0..threads.min(cores) {
            let left = left.clone();
            // They are taken from the end, since a plan needs them from the beginning.
            let next = move || left.lock().unwrap_or_else(PoisonError::into_inner).pop();
            std::thread::spawn(move || {
                let mut memory = Vec::new();
                while let Some(fingerprint) = next() {
                    fingerprint.compute(&mut memory);
                }
            });
        }
    }
}

impl HashInput {
    fn hash(&self, memory: &mut Vec<Block>) -> String {
        let mut hash = [0; LENGTH];
        let params = Params::new(MEMORY_KIB, PASSES, 1, Some(LENGTH));
        let hashed = params.and_then(|params| {
            memory.resize(params.block_count(), Block::default());
            Argon2::new(Algorithm::Argon2id, Version::V0x13, params).hash_password_into_with_memory(
                self.value.expose().as_bytes(),
                self.salt.as_bytes(),
                &mut hash,
                memory,
            )
        });
        hashed.expect(
            "the parameters are constants that argon2 accepts, and the salt is longer than 8 bytes",
        );
        URL_SAFE_NO_PAD.encode(hash)
    }
}

impl PartialEq for Fingerprint {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.as_str() == other.as_str()
    }
}

impl Eq for Fingerprint {}

impl PartialOrd for Fingerprint {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Fingerprint {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed with another implementation of argon2, argon2-cffi.
    const EXPECTED: &str = "1BSi7xZEkkIScF_W4ycr";

    #[test]
    fn depends_on_value_name_and_salt() {
        let (salt, other) = (
            Salt::for_app("p", "staging", "web"),
            Salt::for_app("p", "production", "web"),
        );
        let fingerprint = |value: &str, name, salt| Secret::new(value).fingerprint(name, salt);
        let first = fingerprint("a", "KEY", &salt);
        assert_eq!(first, fingerprint("a", "KEY", &salt));
        assert_ne!(first, fingerprint("b", "KEY", &salt));
        assert_ne!(first, fingerprint("a", "YEK", &salt));
        assert_ne!(first, fingerprint("a", "KEY", &other));
    }

    #[test]
    fn stays_the_same_in_used_memory() {
        let salt = Salt::for_app("p", "staging", "web");
        let fingerprint = || Secret::new("hunter2").fingerprint("KEY", &salt);
        let mut memory = Vec::new();
        Secret::new("other")
            .fingerprint("KEY", &salt)
            .compute(&mut memory);
        // The metadata of live machines holds such values, so they may not change.
        assert_eq!(fingerprint().compute(&mut memory), EXPECTED);
        assert_eq!(fingerprint().as_str(), EXPECTED);
    }

    #[test]
    fn computed_once_for_all_copies() {
        let fingerprint = Secret::new("a").fingerprint("KEY", &Salt::for_app("p", "e", "web"));
        let copy = fingerprint.clone();
        assert!(
            copy.0.hash.get().is_none(),
            "nothing is computed before it is needed"
        );
        Fingerprint::compute_in_background(vec![fingerprint.clone()]);
        let text = fingerprint.as_str();
        assert!(std::ptr::eq(text, copy.as_str()));
    }
}
