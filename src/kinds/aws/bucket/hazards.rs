//! Changes of a bucket that would take something away which no later apply gives back: the key of objects
//! that are there, or the rights of whoever applies. Also what S3 would refuse in the middle of an apply.

use std::collections::BTreeMap;

use super::{BUCKET_OWNER_ENFORCED, BucketLive, BucketSpec};
use crate::{
    iam::policy::{KnownRequest, PolicyDocument, Statement},
    kinds::Blocker,
    model::s3::Encryption,
};

/// Why the bucket cannot be changed to its spec as it is now.
pub(super) fn find_blocker(spec: &BucketSpec, live: &BucketLive) -> Option<Blocker> {
    key_loss_blocker(spec, live).or_else(|| acl_blocker(spec, live))
}

/// Default encryption is for new objects only (S3 User Guide, "Setting default server-side encryption
/// behavior"): what is there stays encrypted with the old key, and the policies of identities would no
/// longer allow to decrypt it.
fn key_loss_blocker(spec: &BucketSpec, live: &BucketLive) -> Option<Blocker> {
    let old_key = live.encryption.as_ref()?.kms_key.as_ref()?;
    let is_kept = spec.encryption.kms_key.as_ref() == Some(old_key)
        || spec.uses.former_kms_keys.contains(old_key);
    let readers: Vec<&str> = spec.uses.readers.iter().map(String::as_str).collect();
    if is_kept || readers.is_empty() || live.holds.is_none() {
        return None;
    }
    Some(Blocker {
        reason: format!(
            "bucket {} holds objects that are encrypted with {old_key}, and {} could not read them any more",
            spec.name,
            readers.join(", ")
        ),
        hint: format!(
            "keep that right: `former_kms_keys = [\"{old_key}\"]` in the bucket's block; take the key out again when nothing is \
             encrypted with it"
        ),
    })
}

/// S3 disables ACLs only where they grant nothing (S3 User Guide, "Prerequisites for disabling ACLs"),
/// and would refuse that after other settings were changed.
fn acl_blocker(spec: &BucketSpec, live: &BucketLive) -> Option<Blocker> {
    let disables_acls = spec.ownership == BUCKET_OWNER_ENFORCED
        && live.ownership.as_deref() != Some(BUCKET_OWNER_ENFORCED);
    if !disables_acls || live.acl_grants.is_empty() {
        return None;
    }
    Some(Blocker {
        reason: format!(
            "the ACL of bucket {} grants {}, and S3 does not disable an ACL that grants something",
            spec.name,
            live.acl_grants.join(", ")
        ),
        hint: format!(
            "set `ownership = \"ObjectWriter\"` in its block, or put those rights into its policy and take them off the ACL: \
             `aws s3api put-bucket-acl --acl private --bucket {}`",
            spec.name
        ),
    })
}

/// What every run does with the lock.
const LOCK_ACTIONS: [&str; 2] = ["s3:PutObject", "s3:GetObject"];
/// What it takes to see the bucket and to change its policy back.
const BUCKET_ACTIONS: [&str; 3] = ["s3:ListBucket", "s3:GetBucketPolicy", "s3:PutBucketPolicy"];

/// The condition keys of trimtab's own requests, as far as they decide anything.
fn known_keys() -> BTreeMap<&'static str, Option<&'static str>> {
    BTreeMap::from([
        ("aws:securetransport", Some("true")),
        ("s3:x-amz-server-side-encryption", Some(Encryption::AES256)),
        ("s3:x-amz-server-side-encryption-aws-kms-key-id", None),
        ("s3:x-amz-server-side-encryption-customer-algorithm", None),
        ("s3:x-amz-acl", None),
        ("s3:x-amz-storage-class", None),
    ])
}

/// The first request of trimtab's own that a policy certainly denies: the index of the statement, and
/// the action. Without it, the environment could not be changed any more. `lock_key` is the key of the
/// lock if the bucket holds it, `caller` whoever applies, if that is known.
#[must_use]
pub fn find_denial(
    bucket: &str,
    policy: &PolicyDocument,
    lock_key: Option<&str>,
    account: &str,
    caller: Option<&str>,
) -> Option<(usize, &'static str)> {
    let arn = format!("arn:aws:s3:::{bucket}");
    let lock_arn = lock_key.map(|key| format!("{arn}/{key}"));
    let mut requests = Vec::new();
    for action in LOCK_ACTIONS {
        requests.extend(lock_arn.as_deref().map(|arn| (action, arn)));
    }
    for action in BUCKET_ACTIONS {
        requests.push((action, arn.as_str()));
    }
    let denies = |statement: &Statement, (action, resource): (&'static str, &str)| {
        let request = KnownRequest {
            action,
            resource,
            account,
            caller,
            keys: known_keys(),
        };
        statement.certainly_denies(&request).then_some(action)
    };
    policy
        .statements()
        .enumerate()
        .find_map(|(index, statement)| {
            let denied = requests
                .iter()
                .find_map(|request| denies(statement, *request))?;
            Some((index, denied))
        })
}
