//! The desired and the live state of an app's secrets.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{RecordedSecret, SecretsRecord};
use crate::{
    kinds::{References, fly::App},
    model::{Address, Fingerprint, ResourceRef, Salt, Secret},
};

/// The desired state, from the manifest.
#[derive(Clone, Debug, Serialize)]
pub struct SecretsSpec {
    /// The app that they belong to.
    pub app: ResourceRef<App>,
    /// The secrets, by name.
    pub values: BTreeMap<String, SecretSpec>,
    /// Optional secrets without a value in this environment; their live values are kept.
    #[serde(rename = "left_alone")]
    pub optional_without_value: BTreeSet<String>,
    /// Whether the manifest has a machine on which fingerprints can be recorded.
    #[serde(rename = "used")]
    pub has_machines: bool,
    /// The salt of the fingerprints.
    #[serde(skip)]
    pub salt: Salt,
}

/// A secret of the manifest.
#[derive(Clone, Debug, Serialize)]
pub struct SecretSpec {
    /// The value. `None` in commands that need no values (`drift`, `status`): then the secret only
    /// has to exist.
    pub value: Option<Secret>,
    /// The fingerprint of the value.
    #[serde(skip)]
    pub fingerprint: Option<Fingerprint>,
    /// A description of the value's source, such as `env STAGE_SECRET_KEY`.
    pub source: String,
}

/// The live state, as reported by Fly.
#[derive(Clone, Debug, Serialize)]
pub struct SecretsLive {
    /// The app that they belong to.
    pub app: ResourceRef<App>,
    /// The secrets, by name.
    pub present: BTreeMap<String, SecretLive>,
    /// The version of the app's secrets after the last known write, from this run or from machine
    /// metadata. Machines wait for this version.
    pub version: Option<u64>,
    /// Whether the app has a machine on which fingerprints can be recorded.
    pub has_machines: bool,
}

/// A live secret.
#[derive(Clone, Debug, Serialize)]
pub struct SecretLive {
    /// Fly's opaque digest of the value.
    pub digest: String,
    /// Our fingerprint of this value, if a machine recorded it together with this digest.
    #[serde(skip)]
    pub fingerprint: Option<Fingerprint>,
    /// Whether a machine recorded the name, so that trimtab has set the secret once.
    pub known: bool,
}

impl SecretsLive {
    /// The record for the metadata of a machine that is started now.
    #[must_use]
    pub fn record(&self) -> SecretsRecord {
        let recorded = |live: &SecretLive| {
            let fingerprint = live.fingerprint.clone()?;
            Some(RecordedSecret {
                digest: live.digest.clone(),
                fingerprint,
            })
        };
        SecretsRecord(
            self.present
                .iter()
                .filter_map(|(name, live)| Some((name.clone(), recorded(live)?)))
                .collect(),
        )
    }
}

impl SecretsSpec {
    /// The fingerprints of all values.
    pub fn fingerprints(&self) -> impl Iterator<Item = &Fingerprint> {
        self.values
            .values()
            .filter_map(|secret| secret.fingerprint.as_ref())
    }
}

/// Compared by fingerprint, since a [`Secret`] cannot be compared.
impl PartialEq for SecretsSpec {
    fn eq(&self, other: &Self) -> bool {
        let key = |spec: &Self| -> Vec<_> {
            spec.values
                .iter()
                .map(|(name, value)| (name.clone(), value.fingerprint.clone()))
                .collect()
        };
        self.app == other.app
            && self.optional_without_value == other.optional_without_value
            && key(self) == key(other)
    }
}

impl References for SecretsSpec {
    fn references(&self) -> Vec<Address> {
        let Self {
            app,
            values: _,
            optional_without_value: _,
            salt: _,
            has_machines: _,
        } = self;
        vec![app.address()]
    }
}

impl References for SecretsLive {
    fn references(&self) -> Vec<Address> {
        let Self {
            app,
            present: _,
            version: _,
            has_machines: _,
        } = self;
        vec![app.address()]
    }
}
