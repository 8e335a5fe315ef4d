//! Ownership without a state file: what we write on the objects that we make.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Name;

/// Who owns an object: one environment of one project. Written as machine metadata on Fly.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct OwnershipMark {
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
    Foreign(OwnershipMark),
}

impl OwnershipMark {
    /// Metadata key: the project.
    pub const PROJECT_KEY: &str = "trimtab_project";
    /// Metadata key: the environment.
    pub const ENVIRONMENT_KEY: &str = "trimtab_environment";
    /// Metadata key: the resource's name within its kind, such as `web/app/ewr/0`.
    pub const NAME_KEY: &str = "trimtab_name";
    /// Metadata key: a hash of what was applied, which tells a changed manifest from a change made outside.
    pub const APPLIED_HASH_KEY: &str = "trimtab_applied";
    /// Metadata key: fingerprints of the secrets the machine was started with.
    pub const SECRET_FINGERPRINTS_KEY: &str = "trimtab_secrets";
    /// Metadata key: the version of the app's secrets when the machine was started, which every later start names as the
    /// least.
    pub const SECRETS_VERSION_KEY: &str = "trimtab_secrets_version";
    /// Metadata key: there while a start has not yet succeeded, so that a later look knows a machine that sleeps from
    /// one that never came up.
    pub const STARTING_KEY: &str = "trimtab_starting";
    /// Metadata key: the release that the machine was started with.
    pub const RELEASE_KEY: &str = "trimtab_release";
    /// Metadata key: the release whose release command has succeeded. It is written before any machine changes, so that a
    /// run that goes on does not run the command again.
    pub const RELEASE_COMMAND_SUCCEEDED_KEY: &str = "trimtab_released";
    /// Metadata key: the id of the machine whose place this one is to take.
    pub const SUCCEEDS_KEY: &str = "trimtab_succeeds";
    /// Metadata key: there, on one machine of an app, while a proof that the app works has not succeeded.
    pub const UNVERIFIED_KEY: &str = "trimtab_unverified";
    /// What all our metadata keys begin with.
    pub const METADATA_PREFIX: &str = "trimtab_";
    /// What the keys of our own objects begin with in a bucket.
    pub const BUCKET_PREFIX: &str = ".trimtab/";
    /// What the label of an app begins with, see [`Mark::label`].
    pub const LABEL_PREFIX: &str = "TRIMTAB_OF_";
    /// The label of an app that must not be destroyed. It stays when the app's block leaves the manifest.
    pub const PROTECTED_LABEL: &str = "TRIMTAB_PROTECTED";

    /// The key of the object that is the environment's lock, in the bucket that holds it.
    #[must_use]
    pub fn lock_key(&self) -> String {
        format!(
            "{}locks/{}/{}.json",
            Self::BUCKET_PREFIX,
            self.project,
            self.environment
        )
    }

    /// The label of an app that is ours. Apps on Fly have no labels, but their secrets have names, so the mark is the
    /// name of a secret; its value is of no interest.
    #[must_use]
    pub fn app_label(&self) -> String {
        let plain = |text: &str| text.replace(|c: char| !c.is_ascii_alphanumeric(), "_");
        format!(
            "{}{}__{}",
            Self::LABEL_PREFIX,
            plain(&self.project),
            plain(&self.environment)
        )
    }

    /// Whether a secret is a label, and so nobody's secret.
    #[must_use]
    pub fn is_label(secret: &str) -> bool {
        secret.starts_with(Self::LABEL_PREFIX) || secret == Self::PROTECTED_LABEL
    }

    /// The release that a machine was started with: ours, or else the number that flyctl gives one.
    #[must_use]
    pub fn started_release<'m>(label: impl Fn(&str) -> Option<&'m str>) -> Option<&'m str> {
        label(Self::RELEASE_KEY).or_else(|| label("fly_release_version"))
    }

    /// Reads the mark on an object, if there is one.
    #[must_use]
    pub fn from_metadata(metadata: &BTreeMap<String, String>) -> Option<Self> {
        Some(Self {
            project: metadata.get(Self::PROJECT_KEY)?.clone(),
            environment: metadata.get(Self::ENVIRONMENT_KEY)?.clone(),
        })
    }

    /// The resource name on an object, if it bears a valid one.
    #[must_use]
    pub fn resource_name(metadata: &BTreeMap<String, String>) -> Option<Name> {
        Name::parse(metadata.get(Self::NAME_KEY)?).ok()
    }

    /// Whose an object with this metadata is, seen from here.
    #[must_use]
    pub fn ownership_of(&self, metadata: &BTreeMap<String, String>) -> Ownership {
        match Self::from_metadata(metadata) {
            None => Ownership::Unmarked,
            Some(mark) if mark == *self => Ownership::Ours,
            Some(mark) => Ownership::Foreign(mark),
        }
    }
}
