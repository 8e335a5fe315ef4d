//! S3: buckets, their configuration, and objects.
//!
//! [`routes`] says which operation a request is, and which right it needs; the files beside it do them.

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
mod parts;
mod preconditions;
mod read;
mod routes;
mod tags;
mod versions;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub(crate) use self::call::{S3Call, no_such_bucket};
pub(crate) use self::config::BucketConfig;
pub(crate) use self::dispatch::execute;
use self::multipart::MultipartUpload;
pub(crate) use self::object::{ObjectChecksum, ObjectVersion};
pub(crate) use self::read::format_http_date;
pub(crate) use self::routes::{OperationClass, S3Operation, find_operation, recorded_path};

/// How many former configurations are kept for reads that lag.
const CONFIG_HISTORY_MAX: usize = 64;

/// A bucket.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct BucketState {
    pub(crate) name: String,
    pub(crate) account: String,
    pub(crate) region: String,
    pub(crate) created_ms: i64,
    pub(crate) config: BucketConfig,
    /// The versions of each key, newest last.
    pub(crate) objects: BTreeMap<String, Vec<ObjectVersion>>,
    #[serde(default)]
    pub(crate) uploads: BTreeMap<String, MultipartUpload>,
    /// Former configurations, each with the moment of its end.
    #[serde(skip)]
    past: Vec<(i64, BucketConfig)>,
}

impl BucketState {
    /// The names of all contents that it holds.
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

    /// `arn:aws:s3:::name`
    pub(crate) fn arn(&self) -> String {
        format!("arn:aws:s3:::{}", self.name)
    }

    /// Changes the configuration, and remembers the old one for reads that lag.
    fn update_config(&mut self, now: i64, change: impl FnOnce(&mut BucketConfig)) {
        self.past.push((now, self.config.clone()));
        if self.past.len() > CONFIG_HISTORY_MAX {
            self.past.remove(0);
        }
        change(&mut self.config);
    }

    /// The configuration as it was at some moment.
    fn config_at(&self, moment: i64) -> &BucketConfig {
        self.past
            .iter()
            .find(|(end, _)| *end > moment)
            .map_or(&self.config, |(_, config)| config)
    }

    /// The newest version of a key, unless that is a delete marker.
    pub(crate) fn current_version(&self, key: &str) -> Option<&ObjectVersion> {
        self.objects
            .get(key)?
            .last()
            .filter(|version| !version.marker)
    }

    /// Adds a version as the state of versioning wants it, and gives back the contents that nobody needs any more.
    fn add_version(&mut self, key: &str, version: ObjectVersion) -> Vec<String> {
        let versions = self.objects.entry(key.to_owned()).or_default();
        let mut freed = Vec::new();
        if version.id == NULL_VERSION_ID {
            freed = versions
                .extract_if(.., |old| old.id == NULL_VERSION_ID)
                .map(|old| old.content)
                .collect();
        }
        versions.push(version);
        freed
    }
}

/// What a version is called that was written while versioning was not enabled.
pub(crate) const NULL_VERSION_ID: &str = "null";
