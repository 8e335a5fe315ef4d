//! Secrets in memory: they can be sent, and never printed.

use std::fmt;

use serde::{Serialize, Serializer};

use super::{Fingerprint, Salt};

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

    /// The fingerprint of this value for the secret `name`, under one salt. It is computed when it is needed.
    #[must_use]
    pub fn fingerprint(&self, name: &str, salt: &Salt) -> Fingerprint {
        Fingerprint::new(self.clone(), name, salt)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_is_never_printed() {
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{secret:?}"), "‹secret›");
        assert_eq!(serde_json::to_string(&secret).unwrap(), "\"(sensitive)\"");
    }
}
