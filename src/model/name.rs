//! Names of resources inside an environment. A [`Name`] is validated when it is parsed, so it is
//! always valid.

use std::{borrow::Borrow, fmt};

use serde::{Serialize, Serializer};

/// The name of a resource within its kind: one or more segments joined by `/`, such as `web` or
/// `web/data/ewr/0`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(String);

/// The text is not a valid [`Name`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a name: use letters, digits, `-`, `_` and `.`, with `/` between the parts")]
pub struct ParseNameError(String);

impl Name {
    /// Validates a name.
    ///
    /// # Errors
    /// When a segment is empty, `.` or `..`, or contains anything but letters, digits, `-`, `_`, `.` and `*`
    /// (for wildcard certificates).
    pub fn parse(text: &str) -> Result<Self, ParseNameError> {
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || "-_.*".contains(c);
        let is_valid_segment = |s: &str| !["", ".", ".."].contains(&s) && s.chars().all(is_allowed);
        if text.split('/').all(is_valid_segment) {
            Ok(Self(text.to_owned()))
        } else {
            Err(ParseNameError(text.to_owned()))
        }
    }

    /// The name one level below: `web` and `data` give `web/data`.
    ///
    /// # Errors
    /// As [`Name::parse`], for the new part.
    pub fn child(&self, segment: &str) -> Result<Self, ParseNameError> {
        Self::parse(&format!("{}/{segment}", self.0))
    }

    /// The first segment. For everything inside an app it is the app's key in the manifest.
    #[must_use]
    pub fn root(&self) -> Self {
        Self(self.0.split('/').next().unwrap_or_default().to_owned())
    }

    /// The prefix of every name below this one: `web` gives `web/`.
    #[must_use]
    pub fn child_prefix(&self) -> String {
        format!("{}/", self.0)
    }

    /// The segments in order.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }

    /// The whole name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn validates_each_segment() {
        assert!(Name::parse("web/data_1/ewr/0").is_ok());
        assert!(Name::parse("web/*.example.com").is_ok());
        for bad in ["", "/", "web/", "we b", "ü", "..", "../x", "web/./0"] {
            assert!(Name::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn root_is_the_first_segment() {
        assert_eq!(Name::parse("web/app/ewr/0").unwrap().root().as_str(), "web");
    }
}
