//! What a manifest says of a bucket, and what S3 reports.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    iam::policy::PolicyDocument,
    kinds::{References, aws::tags::Tags},
    model::{
        Address, OwnershipMark,
        s3::{Encryption, LifecycleRule, PublicAccessBlock},
    },
};

/// Where in a bucket trimtab keeps its own: the locks of environments.
pub const RESERVED_PREFIX: &str = OwnershipMark::BUCKET_PREFIX;

/// Everything belongs to the bucket's owner, and ACLs do nothing: S3's own default since 2023.
pub const BUCKET_OWNER_ENFORCED: &str = "BucketOwnerEnforced";

/// The statement that refuses requests without TLS.
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

/// What the manifest asks for.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BucketSpec {
    /// Its name, unique in all of AWS.
    pub name: String,
    /// Its region; fixed when it is made.
    pub region: String,
    /// How objects are encrypted at rest.
    pub encryption: Encryption,
    /// What of the public is kept out.
    pub public_access: PublicAccessBlock,
    /// Who owns what others write.
    pub ownership: String,
    /// Whether it keeps the versions that are overwritten or removed.
    pub versioning: bool,
    /// Its lifecycle rules, by id.
    pub lifecycle: Vec<LifecycleRule>,
    /// Its policy.
    pub policy: Option<PolicyDocument>,
    /// Its tags, our mark included.
    pub tags: Tags,
    /// What its policy names.
    pub needs: BTreeSet<Address>,
}

/// What S3 reports.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BucketLive {
    /// Its name.
    pub name: String,
    /// Its region.
    pub region: String,
    /// How objects are encrypted at rest.
    pub encryption: Option<Encryption>,
    /// Ways of encryption that writers may not use.
    pub blocked_encryption: Vec<String>,
    /// What of the public is kept out.
    pub public_access: PublicAccessBlock,
    /// Who owns what others write.
    pub ownership: Option<String>,
    /// `Enabled`, `Suspended`, or nothing if it was never on.
    pub versioning: Option<String>,
    /// Its lifecycle rules, by id.
    pub lifecycle: Vec<LifecycleRule>,
    /// Its policy.
    pub policy: Option<PolicyDocument>,
    /// Its tags.
    pub tags: Tags,
    /// A key that it holds beside our own; nothing when it is empty.
    #[serde(skip)]
    pub holds: Option<String>,
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
        } = self;
        Vec::new()
    }
}
