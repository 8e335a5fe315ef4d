//! The settings of an S3 bucket, as shared by the manifest, the plan and the S3 client.

use std::collections::BTreeMap;

use serde::Serialize;

/// The default server-side encryption of a bucket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Encryption {
    /// `AES256` (SSE-S3), `aws:kms` or `aws:kms:dsse`.
    pub algorithm: String,
    /// The KMS key; the account's own key for S3 if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kms_key: Option<String>,
    /// Whether the bucket uses an S3 Bucket Key, which saves calls to KMS.
    pub bucket_key: bool,
}

impl Encryption {
    /// The algorithm of SSE-S3, which every bucket has used by default since 2023.
    pub const AES256: &str = "AES256";

    /// SSE-S3, the default of S3.
    #[must_use]
    pub fn sse_s3() -> Self {
        Self {
            algorithm: Self::AES256.to_owned(),
            kms_key: None,
            bucket_key: false,
        }
    }
}

/// How the object of a lock is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockEncryption {
    /// SSE-S3, which needs no permission for a key and outlives every key of the bucket.
    SseS3,
    /// Whatever the bucket's default is.
    BucketDefault,
    /// The account's own KMS key for S3, which everybody in the account may use through S3.
    AwsManagedKey,
}

impl LockEncryption {
    /// In the order in which they are tried: policies of buckets deny objects without a header, or with
    /// a header that names another key than theirs, or without KMS.
    pub const ALL: [Self; 3] = [Self::SseS3, Self::BucketDefault, Self::AwsManagedKey];

    /// The value of the header `x-amz-server-side-encryption`, if it is sent.
    #[must_use]
    pub const fn header(self) -> Option<&'static str> {
        match self {
            Self::SseS3 => Some(Encryption::AES256),
            Self::BucketDefault => None,
            Self::AwsManagedKey => Some("aws:kms"),
        }
    }
}

/// The four settings of S3 Block Public Access.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct PublicAccessBlock {
    /// Reject new public ACLs.
    pub block_public_acls: bool,
    /// Ignore existing public ACLs.
    pub ignore_public_acls: bool,
    /// Reject public bucket policies.
    pub block_public_policy: bool,
    /// Restrict access under an existing public policy to the account.
    pub restrict_public_buckets: bool,
}

impl PublicAccessBlock {
    /// All four settings on, or all four off.
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

/// One rule of a bucket's lifecycle configuration. Ages are whole days.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LifecycleRule {
    /// The rule's id, unique in the bucket. S3 does not keep the order of rules, so rules are
    /// matched by id.
    #[serde(skip)]
    pub id: String,
    /// Whether the rule is active (S3's `Status`).
    pub enabled: bool,
    /// Applies to keys with this prefix; empty for all.
    pub prefix: String,
    /// Applies to objects with all of these tags.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// Applies to objects larger than this, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub larger_than: Option<i64>,
    /// Applies to objects smaller than this, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub smaller_than: Option<i64>,
    /// Days after which the current version expires.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expire_days: Option<i32>,
    /// The date on which current versions expire, in ISO 8601.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expire_date: Option<String>,
    /// Whether to remove delete markers that have no noncurrent versions left.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub expired_delete_markers: bool,
    /// Days after which noncurrent versions are deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub noncurrent_days: Option<i32>,
    /// How many noncurrent versions to keep regardless of age.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub noncurrent_keep: Option<i32>,
    /// Days after which incomplete multipart uploads are aborted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub abort_multipart_days: Option<i32>,
    /// Transitions of current versions to other storage classes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub transitions: Vec<Transition>,
    /// Transitions of noncurrent versions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub noncurrent_transitions: Vec<Transition>,
}

impl LifecycleRule {
    /// Describes the rule in words, for the diff.
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
        let mut filters: Vec<String> = Vec::new();
        filters.extend((!prefix.is_empty()).then(|| format!("below {prefix}")));
        filters.extend(
            tags.iter()
                .map(|(key, value)| format!("tagged {key}={value}")),
        );
        filters.extend(larger_than.map(|bytes| format!("of more than {bytes} bytes")));
        filters.extend(smaller_than.map(|bytes| format!("of fewer than {bytes} bytes")));
        let mut actions: Vec<String> = Vec::new();
        actions
            .extend(expire_days.map(|days| format!("objects expire after {}", format_days(days))));
        actions.extend(
            expire_date
                .as_ref()
                .map(|date| format!("objects expire on {date}")),
        );
        actions.extend(noncurrent_days.map(|days| {
            let keep = noncurrent_keep
                .map(|keep| format!(", but for the last {keep}"))
                .unwrap_or_default();
            format!("old versions go after {}{keep}", format_days(days))
        }));
        actions.extend(
            abort_multipart_days
                .map(|days| format!("unfinished uploads go after {}", format_days(days))),
        );
        actions.extend(expired_delete_markers.then(|| "markers of deleted objects go".to_owned()));
        actions.extend(
            transitions
                .iter()
                .map(|transition| transition.describe("objects")),
        );
        actions.extend(
            noncurrent_transitions
                .iter()
                .map(|transition| transition.describe("old versions")),
        );
        let actions = if actions.is_empty() {
            "nothing".to_owned()
        } else {
            actions.join("; ")
        };
        let filters = if filters.is_empty() {
            String::new()
        } else {
            format!("{}: ", filters.join(", "))
        };
        format!(
            "{filters}{actions}{}",
            if *enabled { "" } else { " (disabled)" }
        )
    }
}

fn format_days(days: i32) -> String {
    if days == 1 {
        "1 day".to_owned()
    } else {
        format!("{days} days")
    }
}

impl Transition {
    fn describe(&self, objects: &str) -> String {
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
        format!("{objects} move to {storage_class}{after}{on}{keep}")
    }
}

/// A transition to another storage class.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Transition {
    /// Days after which objects move.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub days: Option<i32>,
    /// The date on which objects move, in ISO 8601.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub date: Option<String>,
    /// How many noncurrent versions to leave where they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep: Option<i32>,
    /// The target storage class, such as `GLACIER_IR`.
    pub storage_class: String,
}
