//! The settings of a bucket, in words that a manifest, a plan and the client of S3 share.

use std::collections::BTreeMap;

use serde::Serialize;

/// How objects are encrypted at rest when their writer says nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Encryption {
    /// `AES256` (SSE-S3), `aws:kms` or `aws:kms:dsse`.
    pub algorithm: String,
    /// The key, where one is named; otherwise the account's own for S3.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kms_key: Option<String>,
    /// Whether one key of the bucket stands for many calls to KMS.
    pub bucket_key: bool,
}

impl Encryption {
    /// SSE-S3, which every bucket has had since 2023.
    pub const AES256: &str = "AES256";

    /// The default of S3.
    #[must_use]
    pub fn sse_s3() -> Self {
        Self {
            algorithm: Self::AES256.to_owned(),
            kms_key: None,
            bucket_key: false,
        }
    }
}

/// The four switches of the public access block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct PublicAccessBlock {
    /// New public ACLs are refused.
    pub block_public_acls: bool,
    /// Public ACLs that are there have no effect.
    pub ignore_public_acls: bool,
    /// Public bucket policies are refused.
    pub block_public_policy: bool,
    /// A public policy that is there lets nobody else in.
    pub restrict_public_buckets: bool,
}

impl PublicAccessBlock {
    /// All four at once.
    #[must_use]
    pub const fn all(on: bool) -> Self {
        Self {
            block_public_acls: on,
            ignore_public_acls: on,
            block_public_policy: on,
            restrict_public_buckets: on,
        }
    }
}

/// One rule of a bucket's lifecycle. Days are whole days.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LifecycleRule {
    /// Its id, unique in the bucket. S3 does not keep the order of rules, so this alone tells them apart.
    #[serde(skip)]
    pub id: String,
    /// Whether it is in force.
    pub enabled: bool,
    /// The keys that it is for begin so.
    pub prefix: String,
    /// The tags that objects must have.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// Only objects of more bytes than this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub larger_than: Option<i64>,
    /// Only objects of fewer bytes than this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub smaller_than: Option<i64>,
    /// Days after which the current version expires.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expire_days: Option<i32>,
    /// The date on which current versions expire.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expire_date: Option<String>,
    /// Whether a delete marker goes when nothing is left behind it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub expired_delete_markers: bool,
    /// Days after which a version that is no longer current goes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub noncurrent_days: Option<i32>,
    /// How many such versions are kept all the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub noncurrent_keep: Option<i32>,
    /// Days after which an unfinished upload is dropped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub abort_multipart_days: Option<i32>,
    /// Moves to cheaper storage.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub transitions: Vec<Transition>,
    /// The same for versions that are no longer current.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub noncurrent_transitions: Vec<Transition>,
}

impl LifecycleRule {
    /// What it does, in words.
    #[must_use]
    pub fn describe(&self) -> String {
        let Self {
            id: _,
            enabled,
            prefix,
            tags,
            larger_than,
            smaller_than,
            expire_days,
            expire_date,
            expired_delete_markers,
            noncurrent_days,
            noncurrent_keep,
            abort_multipart_days,
            transitions,
            noncurrent_transitions,
        } = self;
        let mut of: Vec<String> = Vec::new();
        of.extend((!prefix.is_empty()).then(|| format!("below {prefix}")));
        of.extend(
            tags.iter()
                .map(|(key, value)| format!("tagged {key}={value}")),
        );
        of.extend(larger_than.map(|bytes| format!("of more than {bytes} bytes")));
        of.extend(smaller_than.map(|bytes| format!("of fewer than {bytes} bytes")));
        let mut does: Vec<String> = Vec::new();
        does.extend(expire_days.map(|days| format!("objects expire after {}", format_days(days))));
        does.extend(
            expire_date
                .as_ref()
                .map(|date| format!("objects expire on {date}")),
        );
        does.extend(noncurrent_days.map(|days| {
            let keep = noncurrent_keep
                .map(|keep| format!(", but for the last {keep}"))
                .unwrap_or_default();
            format!("old versions go after {}{keep}", format_days(days))
        }));
        does.extend(
            abort_multipart_days
                .map(|days| format!("unfinished uploads go after {}", format_days(days))),
        );
        does.extend(expired_delete_markers.then(|| "markers of deleted objects go".to_owned()));
        does.extend(transitions.iter().map(|to| to.describe("objects")));
        does.extend(
            noncurrent_transitions
                .iter()
                .map(|to| to.describe("old versions")),
        );
        let does = if does.is_empty() {
            "nothing".to_owned()
        } else {
            does.join("; ")
        };
        let of = if of.is_empty() {
            String::new()
        } else {
            format!("{}: ", of.join(", "))
        };
        format!("{of}{does}{}", if *enabled { "" } else { " (disabled)" })
    }
}

/// Days in words.
fn format_days(days: i32) -> String {
    if days == 1 {
        "1 day".to_owned()
    } else {
        format!("{days} days")
    }
}

impl Transition {
    fn describe(&self, what: &str) -> String {
        let Self {
            days,
            date,
            keep,
            storage_class,
        } = self;
        let after = days
            .map(|days| format!(" after {}", format_days(days)))
            .unwrap_or_default();
        let on = date
            .as_ref()
            .map(|date| format!(" on {date}"))
            .unwrap_or_default();
        let keep = keep
            .map(|keep| format!(", but for the last {keep}"))
            .unwrap_or_default();
        format!("{what} move to {storage_class}{after}{on}{keep}")
    }
}

/// A move to another storage class.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Transition {
    /// After so many days.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub days: Option<i32>,
    /// On this date.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub date: Option<String>,
    /// How many versions are kept where they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep: Option<i32>,
    /// Such as `GLACIER_IR`.
    pub storage_class: String,
}
