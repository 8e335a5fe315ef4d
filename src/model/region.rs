//! Fly's regions, so that a typo is reported before any request is sent.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A Fly region by its code, such as `ewr`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Region(String);

/// The code is not a known region.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a region of Fly")]
pub struct UnknownRegion(pub String);

/// Code and city of each region. `GET /v1/platform/regions` is authoritative; this list makes
/// offline validation possible, and a test compares it with the sandbox's list.
pub const KNOWN_REGIONS: [(&str, &str); 18] = [
    ("ams", "Amsterdam"),
    ("arn", "Stockholm"),
    ("bom", "Mumbai"),
    ("cdg", "Paris"),
    ("dfw", "Dallas"),
    ("ewr", "Secaucus"),
    ("fra", "Frankfurt"),
    ("gru", "Sao Paulo"),
    ("iad", "Ashburn"),
    ("jnb", "Johannesburg"),
    ("lax", "Los Angeles"),
    ("lhr", "London"),
    ("nrt", "Tokyo"),
    ("ord", "Chicago"),
    ("sin", "Singapore"),
    ("sjc", "San Jose"),
    ("syd", "Sydney"),
    ("yyz", "Toronto"),
];

/// Regions that Fly has closed: code, city, and the code of the nearest one that is open. Files still
/// name them.
pub const RETIRED_REGIONS: [(&str, &str, &str); 17] = [
    ("atl", "Atlanta", "iad"),
    ("bog", "Bogotá", "iad"),
    ("bos", "Boston", "ewr"),
    ("den", "Denver", "dfw"),
    ("eze", "Ezeiza", "gru"),
    ("gdl", "Guadalajara", "dfw"),
    ("gig", "Rio de Janeiro", "gru"),
    ("hkg", "Hong Kong", "sin"),
    ("mad", "Madrid", "cdg"),
    ("mia", "Miami", "iad"),
    ("otp", "Bucharest", "fra"),
    ("phx", "Phoenix", "lax"),
    ("qro", "Querétaro", "dfw"),
    ("scl", "Santiago", "gru"),
    ("sea", "Seattle", "sjc"),
    ("waw", "Warsaw", "fra"),
    ("yul", "Montreal", "yyz"),
];

impl Region {
    /// Validates a region code against [`KNOWN_REGIONS`].
    ///
    /// # Errors
    /// When the code is not in the list.
    pub fn parse(code: &str) -> Result<Self, UnknownRegion> {
        if KNOWN_REGIONS.iter().any(|(known, _)| *known == code) {
            Ok(Self(code.to_owned()))
        } else {
            Err(UnknownRegion(code.to_owned()))
        }
    }

    /// Wraps a region code that the API returned, which may be newer than our list.
    #[must_use]
    pub fn from_api(code: &str) -> Self {
        Self(code.to_owned())
    }

    /// The code.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
