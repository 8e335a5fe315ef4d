//! An S3 bucket with safe settings: encryption, no public access, no ACLs, versioning, lifecycle
//! rules, TLS only. It holds data, so it is never replaced, and never deleted unless it is empty.

mod diff;
mod drive;
mod hazards;
mod spec;

pub use diff::{BucketEdit, compute_edits};
pub use hazards::{RequestSender, find_denial};
pub use spec::{
    BUCKET_OWNER_ENFORCED, BucketLive, BucketSpec, BucketUses, RESERVED_PREFIX,
    deny_insecure_transport_statement,
};

use crate::model::KindName;

/// The kind `aws.bucket`.
#[derive(Clone, Copy, Debug)]
pub enum Bucket {}

impl KindName for Bucket {
    const NAME: &'static str = "aws.bucket";
}
