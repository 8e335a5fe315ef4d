//! Ownership without a state file: what we write on the objects that we make.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Name;

/// Who owns an object: one environment of one project. Written as machine metadata on Fly.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Mark {
    /// The project named in the manifest.
    pub project: String,
    /// The environment, such as `production` or `review-42`.
    pub environment: String,
}

/// What an object's mark says about us.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ownership {
    /// It bears our mark.
    Ours,
    /// It bears nobody's mark.
    Unmarked,
    /// It bears another's mark, and is never touched.
    Foreign(Mark),
}

impl Mark {
    /// Metadata key: the project.
    pub const PROJECT: &str = "trimtab_project";
    /// Metadata key: the environment.
    pub const ENVIRONMENT: &str = "trimtab_environment";
    /// Metadata key: the resource's name within its kind, such as `web/app/ewr/0`.
    pub const NAME: &str = "trimtab_name";
    /// Metadata key: `true` on what must not be destroyed, kept when its block leaves the manifest.
    pub const PROTECTED: &str = "trimtab_protected";
    /// Metadata key: a hash of what was applied, which tells a changed manifest from a change made outside.
    pub const APPLIED: &str = "trimtab_applied";
    /// Metadata key: fingerprints of the secrets the machine was started with.
    pub const SECRETS: &str = "trimtab_secrets";
    /// What all our metadata keys begin with.
    pub const PREFIX: &str = "trimtab_";

    /// Reads the mark on an object, if there is one.
    #[must_use]
    pub fn read(metadata: &BTreeMap<String, String>) -> Option<Self> {
        Some(Self {
            project: metadata.get(Self::PROJECT)?.clone(),
            environment: metadata.get(Self::ENVIRONMENT)?.clone(),
        })
    }

    /// The resource name on an object, if it bears a valid one.
    #[must_use]
    pub fn name(metadata: &BTreeMap<String, String>) -> Option<Name> {
        Name::parse(metadata.get(Self::NAME)?).ok()
    }

    /// Whose an object with this metadata is, seen from here.
    #[must_use]
    pub fn judge(&self, metadata: &BTreeMap<String, String>) -> Ownership {
        match Self::read(metadata) {
            None => Ownership::Unmarked,
            Some(mark) if mark == *self => Ownership::Ours,
            Some(mark) => Ownership::Foreign(mark),
        }
    }
}
