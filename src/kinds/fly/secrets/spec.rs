//! What a manifest says of an app's secrets, and what Fly reports.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{RecordedSecret, SecretsRecord};
use crate::{
    kinds::{References, fly::App},
    model::{Address, Fingerprint, ResourceRef, Salt, Secret},
};

/// What the manifest asks for.
#[derive(Clone, Debug, Serialize)]
pub struct SecretsSpec {
    /// The app they belong to.
    pub app: ResourceRef<App>,
    /// The secrets by name.
    pub values: BTreeMap<String, SecretSpec>,
    /// Optional secrets without a value here: whatever is there stays.
    pub left_alone: BTreeSet<String>,
    /// Whether the manifest has a machine that will remember them.
    pub used: bool,
    /// What the fingerprints are salted with.
    #[serde(skip)]
    pub salt: Salt,
}

/// One secret that the manifest asks for.
#[derive(Clone, Debug, Serialize)]
pub struct SecretSpec {
    /// Its value. `None` where a command can do without (`drift`, `status`): it must be there, whatever it is.
    pub value: Option<Secret>,
    /// The fingerprint of the value.
    #[serde(skip)]
    pub fingerprint: Option<Fingerprint>,
    /// Where the value comes from, in words: `env STAGE_SECRET_KEY`.
    pub source: String,
}

/// What Fly reports.
#[derive(Clone, Debug, Serialize)]
pub struct SecretsLive {
    /// The app they belong to.
    pub app: ResourceRef<App>,
    /// The secrets by name.
    pub present: BTreeMap<String, SecretLive>,
    /// The version of the app's secrets after the last write that is known: of this run, or remembered by a machine. Machines
    /// wait for it.
    pub version: Option<u64>,
    /// Whether any machine exists that could remember a fingerprint.
    pub has_machines: bool,
}

/// One secret as it is on Fly.
#[derive(Clone, Debug, Serialize)]
pub struct SecretLive {
    /// Fly's opaque digest of the value.
    pub digest: String,
    /// Our fingerprint of this very value, if a machine remembers it under this digest.
    #[serde(skip)]
    pub fingerprint: Option<Fingerprint>,
    /// Whether a machine remembers the name at all: then it was set by us once.
    pub known: bool,
}

impl SecretsLive {
    /// What a machine started now shall remember.
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

/// Values are compared by fingerprint: a [`Secret`] has no equality.
impl PartialEq for SecretsSpec {
    fn eq(&self, other: &Self) -> bool {
        let key = |spec: &Self| -> Vec<_> {
            spec.values
                .iter()
                .map(|(name, value)| (name.clone(), value.fingerprint.clone()))
                .collect()
        };
        self.app == other.app && self.left_alone == other.left_alone && key(self) == key(other)
    }
}

impl References for SecretsSpec {
    fn references(&self) -> Vec<Address> {
        let Self {
            app,
            values: _,
            left_alone: _,
            salt: _,
            used: _,
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
