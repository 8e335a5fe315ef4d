//! What a machine remembers of the secrets it was started with: for each name, Fly's digest and our fingerprint of
//! the same value. It is kept in the machine's metadata, because secrets themselves carry no labels.

use std::{collections::BTreeMap, fmt};

use crate::model::Fingerprint;

/// The secrets a machine was started with, by name; one metadata value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SecretsRecord(pub BTreeMap<String, RecordedSecret>);

/// One secret as recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedSecret {
    /// Fly's opaque digest of the value.
    pub digest: String,
    /// Our fingerprint of the same value.
    pub fingerprint: Fingerprint,
}

impl SecretsRecord {
    /// Reads `NAME=digest:fingerprint` pairs separated by spaces; a part that is not one is passed over, since the
    /// worst that follows is that a secret is set once more.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let pair = |part: &str| {
            let (name, rest) = part.split_once('=')?;
            let (digest, fingerprint) = rest.rsplit_once(':')?;
            let recorded = RecordedSecret {
                digest: digest.to_owned(),
                fingerprint: Fingerprint::from_stored(fingerprint),
            };
            Some((name.to_owned(), recorded))
        };
        Self(text.split_whitespace().filter_map(pair).collect())
    }
}

impl fmt::Display for SecretsRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, recorded)) in self.0.iter().enumerate() {
            let space = if index == 0 { "" } else { " " };
            write!(
                f,
                "{space}{name}={}:{}",
                recorded.digest,
                recorded.fingerprint.as_str()
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn record_round_trips() {
        let text = "DATABASE_URL=abc123:F1ng SECRET_KEY=0f:pr1nt";
        let record = SecretsRecord::parse(text);
        assert_eq!(record.to_string(), text);
        assert_eq!(record.0["SECRET_KEY"].digest, "0f");
        assert_eq!(SecretsRecord::parse("broken =x A=b").0.len(), 0);
    }
}
