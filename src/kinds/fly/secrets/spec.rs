//! The desired and the live state of an app's secrets.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{RecordedSecret, Secrets, SecretsRecord};
use crate::{
    kinds::{References, fly::App, postgres::Database},
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

impl SecretsSpec {
    /// Whether the manifest names a secret, with a value in this environment or without one.
    #[must_use]
    pub fn declares(&self, name: &str) -> bool {
        self.values.contains_key(name) || self.optional_without_value.contains(name)
    }
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
    /// How the value is made, when it does not come from the user. It is made once, when the secret is absent.
    #[serde(skip)]
    pub generator: Option<SecretGenerator>,
    /// Whether the live value is kept where the source has none.
    #[serde(skip)]
    pub optional: bool,
    /// A description of the value's source, such as `env STAGE_SECRET_KEY`.
    pub source: String,
}

impl SecretsSpec {
    /// Forgets the values that come from the user, as in a command that is given none.
    pub fn forget_values(&mut self) {
        let optional = self.values.iter().filter(|(_, secret)| secret.optional);
        let optional: Vec<String> = optional.map(|(name, _)| name.clone()).collect();
        for name in optional {
            self.values.remove(&name);
            self.optional_without_value.insert(name);
        }
        for secret in self.values.values_mut() {
            secret.value = None;
            secret.fingerprint = None;
        }
    }

    /// The address by which a user names one secret, such as `fly.secrets/web/SECRET_KEY`.
    #[must_use]
    pub fn secret_address(&self, secret: &str) -> Address {
        let app = self.app.name();
        let name = app.child(secret).unwrap_or_else(|_| app.clone());
        Address::new::<Secrets>(&name)
    }

    /// The secrets that can get a new value: random ones of apps. The passwords of a Postgres cluster cannot, because the image
    /// writes them into the database only once.
    pub fn rotatable_secrets(&self) -> impl Iterator<Item = Address> {
        let is_cluster = self
            .values
            .values()
            .any(|secret| secret.generator == Some(SecretGenerator::Consul));
        let random = self.values.iter().filter(move |(_, secret)| {
            !is_cluster && matches!(secret.generator, Some(SecretGenerator::Random(_)))
        });
        random.map(|(name, _)| self.secret_address(name))
    }
}

/// How the value of a secret is made.
#[derive(Clone, Debug, PartialEq)]
pub enum SecretGenerator {
    /// Random letters and digits, this many.
    Random(u32),
    /// The address of the Consul that the nodes of a Postgres cluster agree through.
    Consul,
    /// The SSH key by which the nodes of a Postgres cluster reach each other.
    SshKey,
    /// The certificate of that key.
    SshCertificate,
    /// The URL of a database, with the password of its role. It follows the database: a new password is a new value.
    Database(ResourceRef<Database>),
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
                .map(|(name, value)| {
                    (
                        name.clone(),
                        value.fingerprint.clone(),
                        value.generator.clone(),
                    )
                })
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
            values,
            optional_without_value: _,
            salt: _,
            has_machines: _,
        } = self;
        let databases = values
            .values()
            .filter_map(|secret| match &secret.generator {
                Some(SecretGenerator::Database(database)) => Some(database.address()),
                _ => None,
            });
        [app.address()].into_iter().chain(databases).collect()
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
