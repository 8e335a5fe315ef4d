//! Changes of a bucket that would take something away which no later apply gives back: the key of objects
//! that are there, or the rights of whoever applies. Also what S3 would refuse in the middle of an apply.

use super::{BUCKET_OWNER_ENFORCED, BucketLive, BucketSpec};
use crate::{
    iam::policy::{KnownRequest, PolicyDocument},
    kinds::Blocker,
    model::s3::LockEncryption,
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

/// What it takes to see the bucket and to change its policy back.
const BUCKET_ACTIONS: [&str; 3] = ["s3:ListBucket", "s3:GetBucketPolicy", "s3:PutBucketPolicy"];

/// The condition keys of a request with the header `If-None-Match`, by which the lock is made; with `If-Match`, by which it is taken
/// over, renewed and released; and without either. The value of `If-Match` is different each time.
const IF_ABSENT: [(&str, Option<&str>); 2] =
    [("s3:if-none-match", Some("*")), ("s3:if-match", None)];
const IF_UNCHANGED: [(&str, Option<&str>); 2] = [
    ("s3:if-none-match", None),
    ("s3:if-match", Some("any ETag")),
];
const UNCONDITIONAL: [(&str, Option<&str>); 2] =
    [("s3:if-none-match", None), ("s3:if-match", None)];

/// Whose requests a policy may deny.
#[derive(Clone, Copy, Debug)]
pub struct RequestSender<'a> {
    /// The account, twelve digits.
    pub account: &'a str,
    /// Who it is, as `sts:GetCallerIdentity` says it, if that is known.
    pub caller: Option<&'a str>,
}

impl RequestSender<'_> {
    /// The index of a statement that certainly denies a request of this sender.
    fn find_denial(
        self,
        policy: &PolicyDocument,
        (action, resource): (&str, &str),
        encryption_header: Option<&str>,
        precondition: [(&'static str, Option<&'static str>); 2],
    ) -> Option<usize> {
        let mut request = KnownRequest::of_run(action, resource, self.account, self.caller);
        request.keys.extend([
            ("s3:x-amz-server-side-encryption", encryption_header),
            ("s3:x-amz-server-side-encryption-aws-kms-key-id", None),
            ("s3:x-amz-server-side-encryption-customer-algorithm", None),
            ("s3:x-amz-acl", None),
            ("s3:x-amz-storage-class", None),
        ]);
        request.keys.extend(precondition);
        policy
            .statements()
            .position(|statement| statement.certainly_denies(&request))
    }

    /// The first encryption with which the policy may let the lock's object be written, or the statement
    /// that denies it.
    fn lock_encryption(
        self,
        bucket: &str,
        policy: &PolicyDocument,
        lock_key: &str,
    ) -> Result<LockEncryption, usize> {
        let resource = format!("arn:aws:s3:::{bucket}/{lock_key}");
        let mut denied_by = None;
        for encryption in LockEncryption::ALL {
            let write = ("s3:PutObject", resource.as_str());
            let mut denials = [IF_ABSENT, IF_UNCHANGED]
                .into_iter()
                .filter_map(|precondition| {
                    self.find_denial(policy, write, encryption.header(), precondition)
                });
            match denials.next() {
                None => return Ok(encryption),
                Some(index) => denied_by = denied_by.or(Some(index)),
            }
        }
        Err(denied_by.unwrap_or_default())
    }
}

/// The first request of trimtab's own that a policy certainly denies: the index of the statement, and
/// the action. Without it, the environment could not be changed any more. `lock_key` is the key of the
/// lock if the bucket holds it.
#[must_use]
pub fn find_denial(
    bucket: &str,
    policy: &PolicyDocument,
    lock_key: Option<&str>,
    sender: RequestSender<'_>,
) -> Option<(usize, &'static str)> {
    let arn = format!("arn:aws:s3:::{bucket}");
    if let Some(key) = lock_key {
        if let Err(index) = sender.lock_encryption(bucket, policy, key) {
            return Some((index, "s3:PutObject"));
        }
        let read = ("s3:GetObject", &*format!("{arn}/{key}"));
        if let Some(index) = sender.find_denial(policy, read, None, UNCONDITIONAL) {
            return Some((index, read.0));
        }
    }
    BUCKET_ACTIONS.into_iter().find_map(|action| {
        let index = sender.find_denial(policy, (action, &arn), None, UNCONDITIONAL)?;
        Some((index, action))
    })
}

impl BucketSpec {
    /// Whether the lock's object is encrypted with the bucket's own key, because its policy denies
    /// everything else. Whoever takes the lock then needs that key.
    #[must_use]
    pub fn locks_with_own_key(&self, account: &str) -> bool {
        let sender = RequestSender {
            account,
            caller: None,
        };
        let (Some(policy), Some(lock_key)) = (&self.policy, &self.uses.lock_key) else {
            return false;
        };
        sender.lock_encryption(&self.name, policy, lock_key) == Ok(LockEncryption::BucketDefault)
    }
}
