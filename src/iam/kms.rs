//! The permission to use the KMS key with which a bucket's objects are encrypted. S3 calls KMS in
//! the name of whoever reads or writes, so a permission on the object alone is not enough. If AWS
//! manages the key (`AES256`, and `aws:kms` without a key), no such permission is needed.

use serde_json::{Value, json};

/// How objects are accessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectAccess {
    /// They are read.
    Read,
    /// They are written. This needs decryption as well: the parts of a multipart upload are
    /// encrypted one by one and read again when they are joined.
    Write,
}

/// A statement that allows to use `key` (an ARN or an alias), only through S3 in `region`.
#[must_use]
pub fn key_statement(sid: &str, key: &str, region: &str, objects: ObjectAccess) -> Value {
    let mut actions = vec!["kms:Decrypt"];
    actions.extend((objects == ObjectAccess::Write).then_some("kms:GenerateDataKey"));
    let via_s3 = json!({ "kms:ViaService": format!("s3.{region}.amazonaws.com") });
    let (resource, condition) = if key.starts_with("arn:") {
        (key, json!({ "StringEquals": via_s3 }))
    } else {
        // A policy cannot name an alias as its resource.
        let alias = json!({ "kms:ResourceAliases": key });
        (
            "*",
            json!({ "StringEquals": via_s3, "ForAnyValue:StringEquals": alias }),
        )
    };
    json!({
        "Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resource, "Condition": condition,
    })
}
