//! An S3 bucket with all that makes it safe: encryption, no public access, no ACLs, versions, rules for what is old, TLS
//! only. It holds data, so it is never replaced, and never removed while it holds anything.

mod diff;
mod drive;
mod spec;

pub use diff::{BucketEdit, edits};
pub use spec::{BucketLive, BucketSpec, LOCKS, NO_ACLS, tls_only};

use crate::model::Named;

/// The kind `aws.bucket`.
#[derive(Clone, Copy, Debug)]
pub enum Bucket {}

impl Named for Bucket {
    const NAME: &'static str = "aws.bucket";
}
