//! Secrets in memory, and fingerprints that show whether a secret has changed without storing it.
//!
//! Fly returns a digest of each secret, but the algorithm is undocumented and has changed over
//! time, so a digest cannot be compared with a value. We therefore keep a fingerprint of our own in
//! machine metadata, beside the digest that Fly returned for the same value: a different digest
//! means that somebody changed the secret outside trimtab, a different fingerprint means that the
//! value in our source changed. Metadata is readable by everybody in the organization, hence a
//! slow, salted hash.

use std::fmt;

use argon2::{Algorithm, Argon2, Params, Version};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Serialize, Serializer};

/// Memory of one hash in KiB, and its number of passes. OWASP's second argon2id profile is 12 MiB
/// and 3 passes; 8 MiB and 2 passes keep a plan with fifty secrets under a second on one core, and
/// secrets in CI are random rather than guessable.
const ARGON2_MEMORY_KIB: u32 = 8 * 1024;
const ARGON2_PASSES: u32 = 2;
/// 15 bytes are 20 characters of base64 without padding.
const FINGERPRINT_BYTES: usize = 15;

/// A secret value. It prints as `‹secret›`, serializes as `(sensitive)`, and cannot be compared.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Wraps the value and registers it for redaction: from now on it is removed from everything
    /// that is printed.
    #[must_use]
    pub fn new(value: impl Into<String>) -> Self {
        let value = value.into();
        super::redact::register_secret(&value);
        Self(value)
    }

    /// The plain value. Only the code that sends it may call this.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The fingerprint of this value for the secret `name`, under one salt.
    #[must_use]
    pub fn fingerprint(&self, name: &str, salt: &Salt) -> Fingerprint {
        let params = Params::new(ARGON2_MEMORY_KIB, ARGON2_PASSES, 1, Some(FINGERPRINT_BYTES));
        let hasher = params.map(|params| Argon2::new(Algorithm::Argon2id, Version::V0x13, params));
        let mut salted = salt.0.as_bytes().to_vec();
        salted.push(b':');
        salted.extend_from_slice(name.as_bytes());
        let mut hash = [0; FINGERPRINT_BYTES];
        let hashed = hasher
            .and_then(|hasher| hasher.hash_password_into(self.0.as_bytes(), &salted, &mut hash));
        hashed.expect(
            "the parameters are constants that argon2 accepts, and the salt is longer than 8 bytes",
        );
        Fingerprint(URL_SAFE_NO_PAD.encode(hash))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("‹secret›")
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("(sensitive)")
    }
}

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
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fingerprint(String);

impl Fingerprint {
    /// Wraps a fingerprint that was read from metadata.
    #[must_use]
    pub fn from_stored(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text to store in metadata.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_is_never_printed() {
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{secret:?}"), "‹secret›");
        assert_eq!(serde_json::to_string(&secret).unwrap(), "\"(sensitive)\"");
    }

    #[test]
    fn fingerprint_depends_on_value_name_and_salt() {
        let (salt, other) = (
            Salt::for_app("p", "staging", "web"),
            Salt::for_app("p", "production", "web"),
        );
        let fingerprint = |value: &str, name, salt| Secret::new(value).fingerprint(name, salt);
        assert_eq!(
            fingerprint("a", "KEY", &salt),
            fingerprint("a", "KEY", &salt)
        );
        assert_ne!(
            fingerprint("a", "KEY", &salt),
            fingerprint("b", "KEY", &salt)
        );
        assert_ne!(
            fingerprint("a", "KEY", &salt),
            fingerprint("a", "YEK", &salt)
        );
        assert_ne!(
            fingerprint("a", "KEY", &salt),
            fingerprint("a", "KEY", &other)
        );
    }
}
