//! Ownership marks. trimtab keeps no state file, so it records on every object it creates which
//! environment owns it.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Name;

/// The owner of an object: one environment of one project. Stored as machine metadata on Fly and as
/// tags on AWS.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct OwnershipMark {
    /// The project named in the manifest.
    pub project: String,
    /// The environment, such as `production` or `review-42`.
    pub environment: String,
}

/// Who owns an object, as seen from one environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ownership {
    /// This environment owns it.
    Ours,
    /// It has no ownership mark.
    Unmarked,
    /// Another environment owns it; it is never changed.
    Foreign(OwnershipMark),
}

impl OwnershipMark {
    /// Metadata key: the project.
    pub const PROJECT_KEY: &str = "trimtab_project";
    /// Metadata key: the environment.
    pub const ENVIRONMENT_KEY: &str = "trimtab_environment";
    /// Metadata key: the resource's name within its kind, such as `web/app/ewr/0`.
    pub const NAME_KEY: &str = "trimtab_name";
    /// Metadata key: a hash of the configuration that was applied. It distinguishes a changed
    /// manifest from a change made outside trimtab.
    pub const APPLIED_HASH_KEY: &str = "trimtab_applied";
    /// Metadata key: fingerprints of the secrets that the machine was started with.
    pub const SECRET_FINGERPRINTS_KEY: &str = "trimtab_secrets";
    /// Metadata key: the version of the app's secrets when the machine was started. Every later
    /// start passes it as `min_secrets_version`.
    pub const SECRETS_VERSION_KEY: &str = "trimtab_secrets_version";
    /// Metadata key: present from before a start until it has succeeded. It distinguishes a machine
    /// that was stopped on purpose from one that never came up.
    pub const STARTING_KEY: &str = "trimtab_starting";
    /// The value of [`Self::STARTING_KEY`] when a rollback starts the machine: the version is not the one that failed.
    pub const STARTING_BY_ROLLBACK: &str = "rollback";
    /// Metadata key: the release that the machine was started with.
    pub const RELEASE_KEY: &str = "trimtab_release";
    /// Metadata key: the release whose release command has succeeded. Written before any machine
    /// changes, so that a repeated run does not run the command again.
    pub const RELEASE_COMMAND_SUCCEEDED_KEY: &str = "trimtab_released";
    /// Metadata key: the id of the machine that this one will replace.
    pub const SUCCEEDS_KEY: &str = "trimtab_succeeds";
    /// Metadata key: present on one machine of an app from before a rollback until it is complete: the release that the app goes
    /// back to, and the newest version of its machines when the rollback began.
    pub const ROLLBACK_KEY: &str = "trimtab_rollback";
    /// Metadata key: present on one machine of an app until the verification of the release has
    /// succeeded.
    pub const UNVERIFIED_KEY: &str = "trimtab_unverified";
    /// Metadata key: the settings that the manifest left open at the last apply, as they were then.
    pub const KEPT_SETTINGS_KEY: &str = "trimtab_kept";
    /// The prefix of all metadata keys of trimtab.
    pub const METADATA_PREFIX: &str = "trimtab_";
    /// The key prefix of trimtab's own objects in a bucket.
    pub const BUCKET_PREFIX: &str = ".trimtab/";
    /// The prefix of an app's label, see [`OwnershipMark::app_label`].
    pub const LABEL_PREFIX: &str = "TRIMTAB_OF_";
    /// The label of an app that must not be destroyed. It remains when the app's block is removed
    /// from the manifest.
    pub const PROTECTED_LABEL: &str = "TRIMTAB_PROTECTED";

    /// The object key of the environment's lock, in the lock bucket.
    #[must_use]
    pub fn lock_key(&self) -> String {
        format!(
            "{}locks/{}/{}.json",
            Self::BUCKET_PREFIX,
            self.project,
            self.environment
        )
    }

    /// The label of an app that this environment owns. Fly apps have no labels, but the names of
    /// their secrets can be listed, so the label is a secret with this name; its value does not
    /// matter.
    #[must_use]
    pub fn app_label(&self) -> String {
        let sanitize = |text: &str| text.replace(|c: char| !c.is_ascii_alphanumeric(), "_");
        format!(
            "{}{}__{}",
            Self::LABEL_PREFIX,
            sanitize(&self.project),
            sanitize(&self.environment)
        )
    }

    /// Whether the secret of this name is a label rather than a secret of the user.
    #[must_use]
    pub fn is_label(secret: &str) -> bool {
        secret.starts_with(Self::LABEL_PREFIX) || secret == Self::PROTECTED_LABEL
    }

    /// The release that a machine was started with: trimtab's own id, or else flyctl's release
    /// number. `metadata` looks up a metadata key.
    #[must_use]
    pub fn started_release<'m>(metadata: impl Fn(&str) -> Option<&'m str>) -> Option<&'m str> {
        metadata(Self::RELEASE_KEY).or_else(|| metadata("fly_release_version"))
    }

    /// Reads the mark from an object's metadata or tags. `None` if either key is missing.
    #[must_use]
    pub fn from_metadata(metadata: &BTreeMap<String, String>) -> Option<Self> {
        Some(Self {
            project: metadata.get(Self::PROJECT_KEY)?.clone(),
            environment: metadata.get(Self::ENVIRONMENT_KEY)?.clone(),
        })
    }

    /// The resource name in an object's metadata. `None` if it is missing or invalid.
    #[must_use]
    pub fn resource_name(metadata: &BTreeMap<String, String>) -> Option<Name> {
        Name::parse(metadata.get(Self::NAME_KEY)?).ok()
    }

    /// Who owns an object with this metadata or these tags.
    #[must_use]
    pub fn ownership_of(&self, metadata: &BTreeMap<String, String>) -> Ownership {
        match Self::from_metadata(metadata) {
            None => Ownership::Unmarked,
            Some(mark) if mark == *self => Ownership::Ours,
            Some(mark) => Ownership::Foreign(mark),
        }
    }
}
