//! Durations as Fly writes them: Go duration strings in JSON and TOML, whole milliseconds in
//! memory.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A duration with millisecond resolution, written like Go's `time.Duration` (`15s`, `1m0s`,
/// `500ms`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct GoDuration {
    millis: u64,
}

/// The text is not a Go duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a duration: write a number with a unit, such as `15s`, `500ms` or `1m30s`")]
pub struct ParseDurationError(String);

/// Go's units, in milliseconds. Micro- and nanoseconds are accepted and rounded to milliseconds.
const UNITS: [(&str, f64); 6] = [
    ("ns", 1e-6),
    ("us", 1e-3),
    ("ms", 1.0),
    ("s", 1e3),
    ("m", 6e4),
    ("h", 3.6e6),
];

impl GoDuration {
    /// A duration in milliseconds.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self { millis }
    }

    /// A duration in seconds; saturates instead of overflowing.
    #[must_use]
    pub const fn from_secs(secs: u64) -> Self {
        Self {
            millis: secs.saturating_mul(1000),
        }
    }

    /// The length in milliseconds.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.millis
    }

    /// Parses a Go duration string.
    ///
    /// # Errors
    /// When a part has no number or no known unit.
    pub fn parse(text: &str) -> Result<Self, ParseDurationError> {
        let invalid = || ParseDurationError(text.to_owned());
        let mut rest = text.trim();
        if rest == "0" {
            return Ok(Self::default());
        }
        let mut millis = 0.0;
        if rest.is_empty() {
            return Err(invalid());
        }
        while !rest.is_empty() {
            let number_len = rest
                .find(|c: char| !c.is_ascii_digit() && c != '.')
                .ok_or_else(invalid)?;
            let number: f64 = rest[..number_len].parse().map_err(|_| invalid())?;
            rest = &rest[number_len..];
            let unit_len = rest
                .find(|c: char| c.is_ascii_digit())
                .unwrap_or(rest.len());
            let (_, factor) = UNITS
                .iter()
                .find(|(name, _)| *name == rest[..unit_len].trim())
                .ok_or_else(invalid)?;
            millis += number * factor;
            rest = &rest[unit_len..];
        }
        if millis > 1e15 {
            return Err(invalid());
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "bounded above, digits only"
        )]
        Ok(Self {
            millis: millis.round() as u64,
        })
    }
}

impl fmt::Display for GoDuration {
    /// Go's canonical form: the largest unit first, seconds always last above one second.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.millis == 0 {
            return f.write_str("0s");
        }
        if self.millis < 1000 {
            return write!(f, "{}ms", self.millis);
        }
        let (hours, minutes) = (self.millis / 3_600_000, self.millis / 60_000 % 60);
        if hours > 0 {
            write!(f, "{hours}h")?;
        }
        if hours > 0 || minutes > 0 {
            write!(f, "{minutes}m")?;
        }
        let (seconds, millis) = (self.millis / 1000 % 60, self.millis % 1000);
        if millis == 0 {
            return write!(f, "{seconds}s");
        }
        let fraction = format!("{millis:03}");
        write!(f, "{seconds}.{}s", fraction.trim_end_matches('0'))
    }
}

impl fmt::Debug for GoDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl Serialize for GoDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The Machines API also sends integers, which are nanoseconds.
impl<'de> Deserialize<'de> for GoDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = GoDuration;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a Go duration such as `15s`, or nanoseconds")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<GoDuration, E> {
                GoDuration::parse(text).map_err(E::custom)
            }
            fn visit_u64<E: de::Error>(self, nanos: u64) -> Result<GoDuration, E> {
                Ok(GoDuration {
                    millis: nanos / 1_000_000,
                })
            }
            fn visit_i64<E: de::Error>(self, nanos: i64) -> Result<GoDuration, E> {
                Ok(GoDuration {
                    millis: u64::try_from(nanos).unwrap_or_default() / 1_000_000,
                })
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_and_formats_like_go() {
        for (text, canonical) in [
            ("15s", "15s"),
            ("1m", "1m0s"),
            ("90s", "1m30s"),
            ("500ms", "500ms"),
            ("1.5s", "1.5s"),
            ("1h", "1h0m0s"),
        ] {
            assert_eq!(GoDuration::parse(text).unwrap().to_string(), canonical);
        }
        for bad in ["", "s", "15", "15x", "1m 3"] {
            assert!(GoDuration::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn integer_is_nanoseconds() {
        assert_eq!(
            serde_json::from_str::<GoDuration>("15000000000").unwrap(),
            GoDuration::from_secs(15)
        );
    }
}
