//! What trimtab's own credentials must allow, and nothing beside it: policies for who plans, who applies, and who removes.
//!
//! The names of IAM's actions are not those of the API's calls: `GetBucketEncryption` is allowed by
//! `s3:GetEncryptionConfiguration`, `HeadBucket` by `s3:ListBucket` (AWS, "Actions, resources, and condition keys for
//! Amazon S3").

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{bucket::LOCKS, policy::Policy, provider, role};
use crate::kinds::{AwsMeta, Desired};

/// Who needs the permissions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// `plan`, `drift` and `status`: nothing can be written.
    Plan,
    /// `apply`: what the manifest asks for can be made and changed.
    Apply,
    /// `destroy`, and `apply` where blocks have left the manifest: it can be removed as well.
    Destroy,
}

const READ_BUCKET: [&str; 9] = [
    "s3:ListBucket",
    "s3:ListBucketVersions",
    "s3:GetEncryptionConfiguration",
    "s3:GetBucketPublicAccessBlock",
    "s3:GetBucketOwnershipControls",
    "s3:GetBucketVersioning",
    "s3:GetLifecycleConfiguration",
    "s3:GetBucketPolicy",
    "s3:GetBucketTagging",
];
const WRITE_BUCKET: [&str; 10] = [
    "s3:CreateBucket",
    "s3:TagResource",
    "s3:PutBucketTagging",
    "s3:PutEncryptionConfiguration",
    "s3:PutBucketPublicAccessBlock",
    "s3:PutBucketOwnershipControls",
    "s3:PutBucketVersioning",
    "s3:PutLifecycleConfiguration",
    "s3:PutBucketPolicy",
    "s3:DeleteBucketPolicy",
];
const READ_ROLE: [&str; 4] =
    ["iam:GetRole", "iam:ListRolePolicies", "iam:GetRolePolicy", "iam:ListAttachedRolePolicies"];
/// What can make a role stronger. A permissions boundary, where every role has the same, bounds these.
const GRANT_ROLE: [&str; 4] =
    ["iam:CreateRole", "iam:PutRolePolicy", "iam:DeleteRolePolicy", "iam:PutRolePermissionsBoundary"];
const WRITE_ROLE: [&str; 4] =
    ["iam:UpdateAssumeRolePolicy", "iam:UpdateRole", "iam:TagRole", "iam:UntagRole"];
/// Taking a boundary away is a right of its own, and is given only where no role must have one.
const UNBOUND_ROLE: &str = "iam:DeleteRolePermissionsBoundary";

/// The policy document; nothing where the manifest names no account.
#[must_use]
pub fn policy(desired: &Desired, purpose: Purpose) -> Option<Policy> {
    let meta = desired.meta.aws.as_ref()?;
    let statements = buckets(desired, meta, purpose)
        .into_iter()
        .chain(roles(desired, meta, purpose))
        .chain(providers(desired, meta, purpose));
    let document = json!({ "Version": "2012-10-17", "Statement": statements.collect::<Vec<_>>() });
    Some(Policy::of(&document).expect("the document above is a policy"))
}

fn allow(sid: &str, actions: &[&str], resource: impl Into<Value>) -> Value {
    json!({ "Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resource.into() })
}

fn buckets(desired: &Desired, meta: &AwsMeta, purpose: Purpose) -> Vec<Value> {
    let mut named: BTreeSet<String> =
        desired.aws_bucket.values().map(|spec| format!("arn:aws:s3:::{}", spec.name)).collect();
    // What has left the manifest is found by its name.
    let ours = (format!("arn:aws:s3:::{}", meta.prefix), format!("-{}", meta.account));
    named.retain(|arn| !(arn.starts_with(&ours.0) && arn.ends_with(&ours.1)));
    named.insert(format!("{}*{}", ours.0, ours.1));
    let named: Value = named.into_iter().collect();
    let mut out = vec![
        allow("FindBuckets", &["s3:ListAllMyBuckets"], "*"),
        allow("ReadBuckets", &READ_BUCKET, named.clone()),
    ];
    out.extend(lock(desired, meta, purpose));
    if purpose >= Purpose::Apply {
        out.push(allow("WriteBuckets", &WRITE_BUCKET, named.clone()));
    }
    if purpose >= Purpose::Destroy {
        out.push(allow("RemoveBuckets", &["s3:DeleteBucket"], named.clone()));
        let locks: Value = named
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(|arn| format!("{arn}/{LOCKS}*"))
            .collect();
        out.push(allow("RemoveLocks", &["s3:DeleteObject", "s3:DeleteObjectVersion"], locks));
    }
    out
}

/// The lock: who plans may look at it, who applies takes it. Without the right to list, S3 does not say that it is free.
fn lock(desired: &Desired, meta: &AwsMeta, purpose: Purpose) -> Vec<Value> {
    let Some((bucket, _)) = &meta.lock else { return Vec::new() };
    let arn = format!("arn:aws:s3:::{bucket}");
    let writes = (purpose >= Purpose::Apply).then_some("s3:PutObject");
    let actions: Vec<&str> = ["s3:GetObject"].into_iter().chain(writes).collect();
    let mut out = vec![allow("Lock", &actions, format!("{arn}/{}", desired.meta.mark.lock_key()))];
    let holder = desired.aws_bucket.values().find(|spec| spec.name == *bucket);
    if holder.is_none() {
        out.push(allow("FindLock", &["s3:ListBucket"], arn));
    }
    let key =
        holder.and_then(|spec| spec.encryption.kms_key.as_deref()).filter(|key| key.starts_with("arn:"));
    out.extend(key.map(|key| allow("LockKey", &["kms:Decrypt", "kms:GenerateDataKey"], key)));
    out
}

fn roles(desired: &Desired, meta: &AwsMeta, purpose: Purpose) -> Vec<Value> {
    let path = role::path(&desired.meta.mark);
    let ours = format!("arn:aws:iam::{}:role{path}*", meta.account);
    // A role of the same name that somebody else has made has no path of ours.
    let names =
        desired.aws_role.values().map(|spec| format!("arn:aws:iam::{}:role/{}", meta.account, spec.name));
    let readable: Value = [ours.clone()].into_iter().chain(names).collect();
    let mut out = vec![allow("FindRoles", &["iam:ListRoles"], "*"), allow("ReadRoles", &READ_ROLE, readable)];
    if purpose >= Purpose::Apply && !desired.aws_role.is_empty() {
        let attaches = desired.aws_role.values().any(|spec| spec.managed.is_some());
        let attach = attaches.then_some(["iam:AttachRolePolicy", "iam:DetachRolePolicy"]);
        let grants: Vec<&str> = GRANT_ROLE.into_iter().chain(attach.into_iter().flatten()).collect();
        let mut grant = allow("GrantRoles", &grants, ours.as_str());
        let boundaries: Option<BTreeSet<_>> =
            desired.aws_role.values().map(|spec| spec.boundary.clone()).collect();
        let mut writes: Vec<&str> = WRITE_ROLE.to_vec();
        match boundaries {
            Some(all) => grant["Condition"] = json!({ "StringEquals": { "iam:PermissionsBoundary": all } }),
            None => writes.push(UNBOUND_ROLE),
        }
        out.extend([grant, allow("WriteRoles", &writes, ours.as_str())]);
    }
    if purpose >= Purpose::Destroy {
        let gone = ["iam:DeleteRole", "iam:DeleteRolePolicy", "iam:DetachRolePolicy"];
        out.push(allow("RemoveRoles", &gone, ours));
    }
    out
}

fn providers(desired: &Desired, meta: &AwsMeta, purpose: Purpose) -> Vec<Value> {
    // A personal organization's own slug is known only to Fly.
    let org = if desired.meta.org == "personal" { "*" } else { &desired.meta.org };
    let arn = provider::arn(&meta.account, org);
    let mut out = vec![allow("ReadProvider", &["iam:GetOpenIDConnectProvider"], arn.as_str())];
    if purpose >= Purpose::Apply && !desired.aws_provider.is_empty() {
        let writes = [
            "iam:CreateOpenIDConnectProvider",
            "iam:AddClientIDToOpenIDConnectProvider",
            "iam:TagOpenIDConnectProvider",
        ];
        out.push(allow("WriteProvider", &writes, arn.as_str()));
    }
    if purpose >= Purpose::Destroy {
        out.push(allow("RemoveProvider", &["iam:DeleteOpenIDConnectProvider"], arn));
    }
    out
}
