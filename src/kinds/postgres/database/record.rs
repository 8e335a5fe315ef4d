//! What an apply records of a database, in the metadata of the cluster's machines: it can be read while the database sleeps.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::DatabaseSpec;
use crate::model::{Name, OwnershipMark};

/// The beginning of the metadata keys of records.
pub(crate) const KEY_PREFIX: &str = "trimtab_database_";

/// What was applied last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseRecord {
    /// The project and the environment that own the database.
    pub project: String,
    /// See `project`.
    pub environment: String,
    /// The name of the resource, such as `web/main`.
    pub name: String,
    /// The name of the database.
    pub database: String,
    /// The role that owns it.
    pub role: String,
    /// The secret that has the URL.
    pub variable: String,
    /// The URL without its password.
    pub url: String,
    /// The SHA-256 of the verifier of the role's password, in hexadecimal. The verifier has a random salt, so nothing can be guessed
    /// from it.
    #[serde(default)]
    pub verifier: String,
    /// The extensions.
    #[serde(default)]
    pub extensions: BTreeSet<String>,
    /// Whether the database is deleted with its block.
    #[serde(default)]
    pub ephemeral: bool,
}

impl DatabaseRecord {
    /// The record of what a spec asks for.
    #[must_use]
    pub fn new(name: &Name, spec: &DatabaseSpec, verifier_hash: &str) -> Self {
        let OwnershipMark {
            project,
            environment,
        } = &spec.mark;
        Self {
            project: project.clone(),
            environment: environment.clone(),
            name: name.to_string(),
            database: spec.database.clone(),
            role: spec.role.clone(),
            variable: spec.variable.clone(),
            url: spec.display_url(),
            verifier: verifier_hash.to_owned(),
            extensions: spec.extensions.clone(),
            ephemeral: spec.ephemeral,
        }
    }

    /// The metadata key: a hash, because an environment's name may hold what a key may not.
    #[must_use]
    pub fn key(mark: &OwnershipMark, name: &Name) -> String {
        let text = format!("{}/{}/{name}", mark.project, mark.environment);
        let hash = Sha256::digest(text);
        let hex: String = hash
            .iter()
            .take(8)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        format!("{KEY_PREFIX}{hex}")
    }

    /// Reads the record of a metadata entry; `None` for other entries, and for other owners.
    #[must_use]
    pub fn parse(key: &str, value: &str, mark: &OwnershipMark) -> Option<(Name, Self)> {
        if !key.starts_with(KEY_PREFIX) {
            return None;
        }
        let record: Self = serde_json::from_str(value).ok()?;
        let is_ours = record.project == mark.project && record.environment == mark.environment;
        let name = Name::parse(&record.name).ok()?;
        is_ours.then_some((name, record))
    }
}
