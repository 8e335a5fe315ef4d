//! S3: buckets, their configuration, and objects.
//!
//! [`routes`] maps requests to operations and the permissions they need, [`dispatch`] authorizes them,
//! and the other modules implement them.

mod account_settings;
mod acl;
mod bucket_operations;
mod bucket_policy;
mod buckets;
mod call;
mod checksum;
mod config;
mod copy;
mod delete;
mod dispatch;
mod kms;
mod lifecycle;
mod listing;
mod location;
mod multipart;
mod object;
mod optional_config;
mod parts;
mod preconditions;
mod read;
mod routes;
mod tags;
mod unsupported;
mod versions;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub(crate) use self::call::{S3Call, no_such_bucket};
pub(crate) use self::config::{BucketConfig, PublicAccessBlockConfiguration};
pub(crate) use self::dispatch::execute;
use self::multipart::MultipartUpload;
pub(crate) use self::object::{ObjectChecksum, ObjectVersion};
pub(crate) use self::read::format_http_date;
pub(crate) use self::routes::{OperationClass, S3Operation, find_operation, recorded_path};

/// How many previous configurations of a bucket are kept for reads that lag behind.
const CONFIG_HISTORY_MAX: usize = 64;

/// A bucket with its configuration and its objects.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct BucketState {
    pub(crate) name: String,
    pub(crate) account: String,
    pub(crate) region: String,
    pub(crate) created_ms: i64,
    pub(crate) config: BucketConfig,
    /// The versions of each key, oldest first.
    pub(crate) objects: BTreeMap<String, Vec<ObjectVersion>>,
    #[serde(default)]
    pub(crate) uploads: BTreeMap<String, MultipartUpload>,
    /// Previous configurations, oldest first, each with the time in milliseconds when it was replaced.
    #[serde(skip)]
    config_history: Vec<(i64, BucketConfig)>,
}

impl BucketState {
    /// The names of all content files that the bucket refers to.
    pub(crate) fn content_names(&self) -> impl Iterator<Item = &str> {
        let versions = self
            .objects
            .values()
            .flatten()
            .map(|version| version.content.as_str());
        let parts = self
            .uploads
            .values()
            .flat_map(|upload| upload.parts.values());
        versions
            .chain(parts.map(|part| part.content.as_str()))
            .filter(|name| !name.is_empty())
    }

    /// For example `arn:aws:s3:::name`.
    pub(crate) fn arn(&self) -> String {
        format!("arn:aws:s3:::{}", self.name)
    }

    /// Changes the configuration and keeps the previous one for reads that lag behind.
    fn update_config(&mut self, now: i64, change: impl FnOnce(&mut BucketConfig)) {
        self.config_history.push((now, self.config.clone()));
        if self.config_history.len() > CONFIG_HISTORY_MAX {
            self.config_history.remove(0);
        }
        change(&mut self.config);
    }

    /// Sets tags as a service of AWS does, which may use keys that nobody else may.
    pub(crate) fn set_system_tags(&mut self, now: i64, tags: BTreeMap<String, String>) {
        self.update_config(now, |config| {
            config.tags.retain(|(key, _)| !tags.contains_key(key));
            config.tags.extend(tags);
        });
    }

    /// The configuration as it was at a time in milliseconds.
    fn config_at(&self, time_ms: i64) -> &BucketConfig {
        // The entries are in the order of time, so the first that ended later was in effect then.
        self.config_history
            .iter()
            .find(|(end, _)| *end > time_ms)
            .map_or(&self.config, |(_, config)| config)
    }

    /// The newest version of a key, unless it is a delete marker.
    pub(crate) fn current_version(&self, key: &str) -> Option<&ObjectVersion> {
        self.objects
            .get(key)?
            .last()
            .filter(|version| !version.marker)
    }

    /// Adds a version as the newest one. A null version replaces the existing null version. Returns the
    /// names of the contents that are no longer needed.
    fn add_version(&mut self, key: &str, version: ObjectVersion) -> Vec<String> {
        let versions = self.objects.entry(key.to_owned()).or_default();
        let mut unreferenced = Vec::new();
        // There is at most one null version. Without versioning that is the only version, so a write
        // replaces it; with suspended versioning, versions with ids stay.
        if version.id == NULL_VERSION_ID {
            unreferenced = versions
                .extract_if(.., |existing| existing.id == NULL_VERSION_ID)
                .map(|existing| existing.content)
                .collect();
        }
        versions.push(version);
        unreferenced
    }
}

/// The id of versions that were written while versioning was not enabled.
pub(crate) const NULL_VERSION_ID: &str = "null";
