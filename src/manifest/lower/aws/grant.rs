//! The policy of an identity: exactly what the manifest uses, and nothing beside it.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::{
    kinds::aws::bucket::{BucketSpec, LOCKS},
    manifest::shape::aws::{Access, Grant},
};

/// What an identity may do when nothing is said. It cannot delete: where versions are kept, a stolen session can write
/// new ones, and destroys nothing.
const DEFAULT: [Access; 3] = [Access::List, Access::Read, Access::Write];

/// The statements for one bucket.
pub(super) fn statements(
    key: &str,
    bucket: &BucketSpec,
    grant: &Grant,
    sids: &mut BTreeSet<String>,
) -> Vec<Value> {
    let allow = grant.allow.as_deref().unwrap_or(&DEFAULT);
    let prefix = prefix(grant);
    let arn = format!("arn:aws:s3:::{}", bucket.name);
    let mut stem = camel(key);
    // Ids are unique in a policy, and `a-b` is written like `a_b`.
    while !sids.insert(stem.clone()) {
        stem.push('X');
    }
    let sid = |what: &str| format!("{stem}{what}");
    let mut out = Vec::new();
    if allow.contains(&Access::List) {
        let mut list = json!({
            "Sid": sid("List"), "Effect": "Allow", "Action": "s3:ListBucket", "Resource": arn,
        });
        if !prefix.is_empty() {
            list["Condition"] = json!({ "StringLike": { "s3:prefix": format!("{prefix}*") } });
        }
        out.push(list);
    }
    let actions = |access: Access| -> &[&str] {
        match access {
            Access::List => &[],
            Access::Read => &["s3:GetObject"],
            // Large objects are written in parts, and one that fails is cleared away.
            Access::Write => &["s3:PutObject", "s3:AbortMultipartUpload"],
            Access::Delete => &["s3:DeleteObject"],
        }
    };
    let actions: Vec<&str> = allow.iter().flat_map(|access| actions(*access)).copied().collect();
    if !actions.is_empty() {
        out.push(json!({
            "Sid": sid("Objects"), "Effect": "Allow", "Action": actions, "Resource": format!("{arn}/{prefix}*"),
        }));
        out.extend(key_of(bucket, allow).map(|mut statement| {
            statement["Sid"] = sid("Key").into();
            statement
        }));
    }
    if prefix.is_empty() && !out.is_empty() {
        // The environment's lock is no business of the app.
        out.push(json!({
            "Sid": sid("NotLocks"), "Effect": "Deny", "Action": "s3:*", "Resource": format!("{arn}/{LOCKS}*"),
        }));
    }
    out
}

/// Keys below which an identity works end with a slash: `db` alone would cover `db-of-others` as well.
fn prefix(grant: &Grant) -> String {
    let stated = grant.prefix.as_deref().unwrap_or_default().trim_matches('/');
    if stated.is_empty() { String::new() } else { format!("{stated}/") }
}

/// Objects that a key of KMS encrypts are only readable, and writable, with it.
fn key_of(bucket: &BucketSpec, allow: &[Access]) -> Option<Value> {
    let key = bucket.encryption.kms_key.as_ref()?;
    // Parts of a large object are encrypted one by one, and read again when they are put together.
    let mut actions = vec!["kms:Decrypt"];
    actions.extend(allow.contains(&Access::Write).then_some("kms:GenerateDataKey"));
    let through = json!({ "kms:ViaService": format!("s3.{}.amazonaws.com", bucket.region) });
    Some(match key.strip_prefix("arn:") {
        Some(_) => json!({
            "Effect": "Allow", "Action": actions, "Resource": key,
            "Condition": { "StringEquals": through },
        }),
        // An alias is no resource of a policy.
        None => json!({
            "Effect": "Allow", "Action": actions, "Resource": "*",
            "Condition": {
                "StringEquals": through,
                "ForAnyValue:StringEquals": { "kms:ResourceAliases": key },
            },
        }),
    })
}

/// `sqlite-backups` as a statement's id, which has only letters and digits: `SqliteBackups`.
fn camel(key: &str) -> String {
    let words = key.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words
        .map(|word| {
            let (first, rest) = word.split_at(1);
            format!("{}{rest}", first.to_uppercase())
        })
        .collect()
}
