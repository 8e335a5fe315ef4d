//! The right to use the key of KMS that a bucket's objects are encrypted with. S3 asks KMS in the name of whoever reads or
//! writes, so that the right to an object alone is not enough. Where AWS keeps the key (`AES256`, and `aws:kms` without
//! one), no such right is needed.

use serde_json::{Value, json};

use crate::kinds::aws::bucket::BucketSpec;

/// What is done with objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectAccess {
    /// They are read.
    Read,
    /// They are written. Parts of a large object are encrypted one by one, and read again when they are put together.
    Write,
}

/// The statement; nothing where the bucket names no key. The key is used through S3 in the bucket's region, and in no
/// other way.
#[must_use]
pub fn key_statement(sid: &str, bucket: &BucketSpec, objects: ObjectAccess) -> Option<Value> {
    let key = bucket.encryption.kms_key.as_ref()?;
    let mut actions = vec!["kms:Decrypt"];
    actions.extend((objects == ObjectAccess::Write).then_some("kms:GenerateDataKey"));
    let through = json!({ "kms:ViaService": format!("s3.{}.amazonaws.com", bucket.region) });
    let (resource, condition) = if key.starts_with("arn:") {
        (key.as_str(), json!({ "StringEquals": through }))
    } else {
        // An alias is no resource of a policy.
        let alias = json!({ "kms:ResourceAliases": key });
        (
            "*",
            json!({ "StringEquals": through, "ForAnyValue:StringEquals": alias }),
        )
    };
    Some(json!({
        "Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resource, "Condition": condition,
    }))
}
