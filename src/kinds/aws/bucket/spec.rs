//! The desired and the live state of a bucket.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    iam::policy::{LivePolicy, PolicyDocument},
    kinds::{References, aws::tags::Tags},
    model::{
        Address, OwnershipMark,
        s3::{Encryption, LifecycleRule, PublicAccessBlock},
    },
};

/// The key prefix that trimtab reserves in a bucket, for environment locks.
pub const RESERVED_PREFIX: &str = OwnershipMark::BUCKET_PREFIX;

/// The ownership setting without ACLs: the bucket's owner owns every object. S3's default since
/// 2023.
pub const BUCKET_OWNER_ENFORCED: &str = "BucketOwnerEnforced";

/// The bucket policy statement that denies requests without TLS.
#[must_use]
pub fn deny_insecure_transport_statement(bucket: &str) -> Value {
    let arn = format!("arn:aws:s3:::{bucket}");
    json!({
        "Sid": "TlsOnly",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [arn, format!("{arn}/*")],
        "Condition": { "Bool": { "aws:SecureTransport": "false" } },
    })
}

/// The desired state.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BucketSpec {
    /// The name, unique in all of AWS.
    pub name: String,
    /// The region; it cannot change after creation.
    pub region: String,
    /// The default encryption of objects.
    pub encryption: Encryption,
    /// The public access block.
    pub public_access: PublicAccessBlock,
    /// The object ownership setting, such as `BucketOwnerEnforced`.
    pub ownership: String,
    /// Whether versioning is enabled.
    pub versioning: bool,
    /// The lifecycle rules, sorted by ID.
    pub lifecycle: Vec<LifecycleRule>,
    /// The bucket policy.
    pub policy: Option<PolicyDocument>,
    /// The tags, including the ownership mark.
    pub tags: Tags,
    /// The resources that its policy refers to.
    pub needs: BTreeSet<Address>,
    /// What the manifest uses the bucket for, which decides what a change would break.
    #[serde(skip)]
    pub uses: BucketUses,
}

/// What a manifest uses a bucket for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BucketUses {
    /// The roles of identities that read or write its objects.
    pub readers: BTreeSet<String>,
    /// KMS keys that the bucket had before, and that its readers may still decrypt with.
    pub former_kms_keys: BTreeSet<String>,
    /// The key of the environment's lock, if this bucket holds it.
    pub lock_key: Option<String>,
}

/// The live state, as S3 reports it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BucketLive {
    /// The name.
    pub name: String,
    /// The region.
    pub region: String,
    /// The default encryption of objects.
    pub encryption: Option<Encryption>,
    /// Encryption types that writers may not use, such as `SSE-C`.
    pub blocked_encryption: Vec<String>,
    /// The public access block.
    pub public_access: PublicAccessBlock,
    /// The object ownership setting, such as `BucketOwnerEnforced`.
    pub ownership: Option<String>,
    /// `Enabled`, `Suspended`, or `None` if versioning was never enabled.
    pub versioning: Option<String>,
    /// The lifecycle rules, sorted by ID.
    pub lifecycle: Vec<LifecycleRule>,
    /// The bucket policy.
    pub policy: Option<LivePolicy>,
    /// All tags.
    pub tags: Tags,
    /// The key of an object that is not trimtab's own; `None` if there is no other object.
    #[serde(skip)]
    pub holds: Option<String>,
    /// What its ACL grants to anybody but its owner.
    #[serde(skip)]
    pub acl_grants: Vec<String>,
}

impl References for BucketSpec {
    fn references(&self) -> Vec<Address> {
        let Self {
            name: _,
            region: _,
            encryption: _,
            public_access: _,
            ownership: _,
            versioning: _,
            lifecycle: _,
            policy: _,
            tags: _,
            needs,
            uses: _,
        } = self;
        needs.iter().cloned().collect()
    }
}

impl References for BucketLive {
    fn references(&self) -> Vec<Address> {
        let Self {
            name: _,
            region: _,
            encryption: _,
            blocked_encryption: _,
            public_access: _,
            ownership: _,
            versioning: _,
            lifecycle: _,
            policy: _,
            tags: _,
            holds: _,
            acl_grants: _,
        } = self;
        Vec::new()
    }
}
