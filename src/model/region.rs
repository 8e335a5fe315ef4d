//! Fly's regions, so that a typing error is found before any request.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A Fly region by its code, such as `ewr`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Region(String);

/// A code that names no region.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a region of Fly")]
pub struct UnknownRegion(pub String);

/// Code and city. `GET /v1/platform/regions` is the authority; this list makes checks work offline and is
/// compared with the imitation server's in a test.
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

impl Region {
    /// A region that the list above knows.
    ///
    /// # Errors
    /// When it does not.
    pub fn parse(code: &str) -> Result<Self, UnknownRegion> {
        if KNOWN_REGIONS.iter().any(|(known, _)| *known == code) {
            Ok(Self(code.to_owned()))
        } else {
            Err(UnknownRegion(code.to_owned()))
        }
    }

    /// A region as the cloud reports it, which may be newer than our list.
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
