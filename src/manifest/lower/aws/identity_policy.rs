//! Generates the policy of an identity: exactly what the manifest grants and nothing else.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::{
    iam::kms::{self, ObjectAccess},
    kinds::aws::bucket::{BucketSpec, RESERVED_PREFIX},
    manifest::schema::aws::{BucketAccess, BucketGrant},
};

/// The default access. It does not include deletion: where versions are kept, a stolen session can
/// write new versions but destroys nothing.
const DEFAULT_ACCESS: [BucketAccess; 3] =
    [BucketAccess::List, BucketAccess::Read, BucketAccess::Write];

/// The policy statements for one bucket.
pub(super) fn bucket_statements(
    key: &str,
    bucket: &BucketSpec,
    grant: &BucketGrant,
    sids: &mut BTreeSet<String>,
) -> Vec<Value> {
    let allow = grant.allow.as_deref().unwrap_or(&DEFAULT_ACCESS);
    let prefix = normalize_prefix(grant);
    let arn = format!("arn:aws:s3:::{}", bucket.name);
    let mut stem = to_camel_case(key);
    // Statement ids must be unique in a policy, and `a-b` and `a_b` have the same one.
    while !sids.insert(stem.clone()) {
        stem.push('X');
    }
    let sid = |what: &str| format!("{stem}{what}");
    let mut out = if allow.contains(&BucketAccess::List) {
        list_statements(&arn, &prefix, sid)
    } else {
        Vec::new()
    };
    let actions: Vec<&str> = allow
        .iter()
        .flat_map(|access| object_actions(*access))
        .copied()
        .collect();
    if !actions.is_empty() {
        out.push(json!({
            "Sid": sid("Objects"), "Effect": "Allow", "Action": actions, "Resource": format!("{arn}/{prefix}*"),
        }));
    }
    // Deleting and listing need no access to the KMS key.
    let objects = if allow.contains(&BucketAccess::Write) {
        Some(ObjectAccess::Write)
    } else {
        allow
            .contains(&BucketAccess::Read)
            .then_some(ObjectAccess::Read)
    };
    if let (Some(objects), Some(key)) = (objects, &bucket.encryption.kms_key) {
        out.push(kms::key_statement(
            &sid("Key"),
            key,
            &bucket.region,
            objects,
        ));
    }
    if may_read(grant) {
        let former = bucket.uses.former_kms_keys.iter();
        let former = former.filter(|key| bucket.encryption.kms_key.as_ref() != Some(*key));
        out.extend(former.enumerate().map(|(index, key)| {
            let sid = sid(&format!("FormerKey{}", index + 1));
            kms::key_statement(&sid, key, &bucket.region, ObjectAccess::Read)
        }));
    }
    if prefix.is_empty() && !out.is_empty() {
        // The app must not touch the environment's lock, which is in the same bucket.
        out.push(json!({
            "Sid": sid("NotLocks"), "Effect": "Deny", "Action": "s3:*", "Resource": format!("{arn}/{RESERVED_PREFIX}*"),
        }));
    }
    out
}

/// Whether the grant includes reading objects.
pub(super) fn may_read(grant: &BucketGrant) -> bool {
    let allow = grant.allow.as_deref().unwrap_or(&DEFAULT_ACCESS);
    allow.contains(&BucketAccess::Read)
}

/// Adds the slash to a prefix: `db` alone would also cover `db-of-others`.
fn normalize_prefix(grant: &BucketGrant) -> String {
    let stated = grant
        .prefix
        .as_deref()
        .unwrap_or_default()
        .trim_matches('/');
    if stated.is_empty() {
        String::new()
    } else {
        format!("{stated}/")
    }
}

/// The rights to list objects and to ask for the bucket's region, which tools that list do first
/// unless they are told the region (Litestream, for one). That request has no `s3:prefix`, so a
/// condition on the prefix would always fail.
fn list_statements(arn: &str, prefix: &str, sid: impl Fn(&str) -> String) -> Vec<Value> {
    let (list, get_location) = ("s3:ListBucket", "s3:GetBucketLocation");
    if prefix.is_empty() {
        return vec![
            json!({ "Sid": sid("List"), "Effect": "Allow", "Action": [list, get_location], "Resource": arn }),
        ];
    }
    vec![
        json!({
            "Sid": sid("List"), "Effect": "Allow", "Action": list, "Resource": arn,
            "Condition": { "StringLike": { "s3:prefix": format!("{prefix}*") } },
        }),
        json!({ "Sid": sid("Region"), "Effect": "Allow", "Action": get_location, "Resource": arn }),
    ]
}

/// The actions on objects.
fn object_actions(access: BucketAccess) -> &'static [&'static str] {
    match access {
        BucketAccess::List => &[],
        BucketAccess::Read => &["s3:GetObject"],
        // Large objects are uploaded in parts, and a failed upload must be aborted.
        BucketAccess::Write => &["s3:PutObject", "s3:AbortMultipartUpload"],
        BucketAccess::Delete => &["s3:DeleteObject"],
    }
}

/// Converts a key to a statement id, which may only have letters and digits: `sqlite-backups`
/// becomes `SqliteBackups`.
fn to_camel_case(key: &str) -> String {
    let words = key
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty());
    words
        .map(|word| {
            let (first, rest) = word.split_at(1);
            format!("{}{rest}", first.to_uppercase())
        })
        .collect()
}
