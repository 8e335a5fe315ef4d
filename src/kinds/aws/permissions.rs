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
    named.retain(|arn| !arn.starts_with(&format!("arn:aws:s3:::{}", meta.prefix)));
    // What has left the manifest is found by its name.
    named.insert(format!("arn:aws:s3:::{}*", meta.prefix));
    let named: Value = named.into_iter().collect();
    let mut out = vec![
        allow("FindBuckets", &["s3:ListAllMyBuckets"], "*"),
        allow("ReadBuckets", &READ_BUCKET, named.clone()),
    ];
    if purpose >= Purpose::Apply {
        out.push(allow("WriteBuckets", &WRITE_BUCKET, named.clone()));
        let lock = meta.lock.as_ref().map(|(bucket, _)| format!("arn:aws:s3:::{bucket}/{LOCKS}*"));
        out.extend(lock.map(|lock| allow("Lock", &["s3:GetObject", "s3:PutObject"], lock)));
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

fn roles(desired: &Desired, meta: &AwsMeta, purpose: Purpose) -> Vec<Value> {
    let path = role::path(&desired.meta.mark);
    let ours = format!("arn:aws:iam::{}:role{path}*", meta.account);
    // A role of the same name that somebody else has made has no path of ours.
    let names =
        desired.aws_role.values().map(|spec| format!("arn:aws:iam::{}:role/{}", meta.account, spec.name));
    let readable: Value = [ours.clone()].into_iter().chain(names).collect();
    let mut out = vec![allow("FindRoles", &["iam:ListRoles"], "*"), allow("ReadRoles", &READ_ROLE, readable)];
    if purpose >= Purpose::Apply {
        let attaches = desired.aws_role.values().any(|spec| spec.managed.is_some());
        let attach = attaches.then_some(["iam:AttachRolePolicy", "iam:DetachRolePolicy"]);
        let grants: Vec<&str> = GRANT_ROLE.into_iter().chain(attach.into_iter().flatten()).collect();
        let mut grant = allow("GrantRoles", &grants, ours.as_str());
        let boundaries: BTreeSet<_> = desired.aws_role.values().map(|spec| spec.boundary.clone()).collect();
        if let Some(Some(boundary)) = boundaries.first().filter(|_| boundaries.len() == 1) {
            grant["Condition"] = json!({ "StringEquals": { "iam:PermissionsBoundary": boundary } });
        }
        out.extend([grant, allow("WriteRoles", &WRITE_ROLE, ours.as_str())]);
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
