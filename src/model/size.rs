//! Sizes with their unit in the type, so that megabytes and gigabytes cannot be mixed up.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The text is not a size.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a size: write a number with a unit, such as `512mb` or `1gb`")]
pub struct ParseSizeError(String);

/// A volume size in gibibytes (Fly's `size_gb`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Gib(pub u32);

/// A memory size in mebibytes (Fly's `memory_mb`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Mib(pub u32);

impl Mib {
    /// Parses `512mb`, `1gb`, `1.5gb` or a bare number of megabytes, like `memory` in fly.toml.
    ///
    /// # Errors
    /// When the text is not a number, or its unit is not one of `mb`, `mib`, `gb`, `gib`, `m`, `g`.
    pub fn parse(text: &str) -> Result<Self, ParseSizeError> {
        let invalid = || ParseSizeError(text.to_owned());
        let (number, unit) = split_unit(text);
        let number: f64 = number.parse().map_err(|_| invalid())?;
        let factor = match unit.as_str() {
            "" | "m" | "mb" | "mib" => 1.0,
            "g" | "gb" | "gib" => 1024.0,
            _ => return Err(invalid()),
        };
        to_whole_u32(number * factor).map(Self).ok_or_else(invalid)
    }
}

impl Gib {
    /// Parses `10gb`, `10` or `10240mb`, like `initial_size` in fly.toml. The unit defaults to
    /// gigabytes.
    ///
    /// # Errors
    /// When the text is not a number, has another unit, or is not a whole number of gigabytes.
    pub fn parse(text: &str) -> Result<Self, ParseSizeError> {
        let invalid = || ParseSizeError(text.to_owned());
        let (number, unit) = split_unit(text);
        let number: f64 = number.parse().map_err(|_| invalid())?;
        let factor = match unit.as_str() {
            "" | "g" | "gb" | "gib" => 1.0,
            "m" | "mb" | "mib" => 1.0 / 1024.0,
            "t" | "tb" | "tib" => 1024.0,
            _ => return Err(invalid()),
        };
        to_whole_u32(number * factor).map(Self).ok_or_else(invalid)
    }
}

fn split_unit(text: &str) -> (String, String) {
    let text = text.trim().to_ascii_lowercase();
    let unit_start = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    (
        text[..unit_start].to_owned(),
        text[unit_start..].trim().to_owned(),
    )
}

fn to_whole_u32(number: f64) -> Option<u32> {
    let is_whole = number >= 0.0 && number <= f64::from(u32::MAX) && number.fract() == 0.0;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked on the line above"
    )]
    is_whole.then_some(number as u32)
}

impl fmt::Display for Gib {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} GB", self.0)
    }
}

impl fmt::Display for Mib {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 != 0 && self.0.is_multiple_of(1024) {
            write!(f, "{}gb", self.0 / 1024)
        } else {
            write!(f, "{}mb", self.0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_memory_like_fly_toml() {
        let ok = [
            ("512mb", 512),
            ("1gb", 1024),
            ("1.5GB", 1536),
            ("256", 256),
            ("2 GiB", 2048),
        ];
        for (text, mib) in ok {
            assert_eq!(Mib::parse(text), Ok(Mib(mib)), "{text}");
        }
        for bad in ["", "gb", "1tb", "-1gb", "0.3mb"] {
            assert!(Mib::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn volumes_are_whole_gigabytes() {
        assert_eq!(Gib::parse("20gb"), Ok(Gib(20)));
        assert_eq!(Gib::parse("1"), Ok(Gib(1)));
        assert!(Gib::parse("512mb").is_err());
    }
}
