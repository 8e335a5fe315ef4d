//! What trimtab's own credentials must allow, and nothing beside it: policies for who plans, who applies, and who removes.
//!
//! The names of IAM's actions are not those of the API's calls: `GetBucketEncryption` is allowed by
//! `s3:GetEncryptionConfiguration`, `HeadBucket` by `s3:ListBucket` (AWS, "Actions, resources, and condition keys for
//! Amazon S3").
//!
//! What the manifest names is named, and only that can be written. What has left the manifest is found by looking at every
//! bucket whose name begins as ours do and at the tags of each, and is then read as a whole and removed; its name is no
//! longer written anywhere, so reading and removing need a pattern, `PROJECT-ENVIRONMENT-*-ACCOUNT`. Keys and names of
//! environments may both hold dashes, so the pattern for `staging` covers the buckets of `staging-eu` too, and no pattern
//! tells them apart; S3 lets conditions ask for a bucket's tags only where that was turned on for it. What the pattern
//! grants is therefore the least that works: to read settings, to remove a bucket, which S3 does only when it is empty
//! and trimtab only when its tags say that it is ours, and to remove this environment's own lock from it. Roles have a
//! path of their own with slashes, which covers nobody else's.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::kinds::{AwsMeta, Desired};
use crate::{
    iam::{
        kms::{self, ObjectAccess},
        policy::PolicyDocument,
    },
    kinds::aws::{oidc_provider, role},
};

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

const BUCKET_READ_ACTIONS: [&str; 9] = [
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
const BUCKET_WRITE_ACTIONS: [&str; 9] = [
    "s3:CreateBucket",
    "s3:TagResource",
    "s3:PutBucketTagging",
    "s3:PutEncryptionConfiguration",
    "s3:PutBucketPublicAccessBlock",
    "s3:PutBucketOwnershipControls",
    "s3:PutBucketVersioning",
    "s3:PutLifecycleConfiguration",
    "s3:PutBucketPolicy",
];
/// Needed only where a bucket shall have no policy at all.
const BUCKET_POLICY_DELETE_ACTION: &str = "s3:DeleteBucketPolicy";
const ROLE_READ_ACTIONS: [&str; 4] = [
    "iam:GetRole",
    "iam:ListRolePolicies",
    "iam:GetRolePolicy",
    "iam:ListAttachedRolePolicies",
];
/// What can make a role stronger. A permissions boundary, where every role has the same, bounds these.
const ROLE_GRANT_ACTIONS: [&str; 4] = [
    "iam:CreateRole",
    "iam:PutRolePolicy",
    "iam:DeleteRolePolicy",
    "iam:PutRolePermissionsBoundary",
];
const ROLE_WRITE_ACTIONS: [&str; 4] = [
    "iam:UpdateAssumeRolePolicy",
    "iam:UpdateRole",
    "iam:TagRole",
    "iam:UntagRole",
];
/// Taking a boundary away is a right of its own, and is given only where no role must have one.
const BOUNDARY_DELETE_ACTION: &str = "iam:DeleteRolePermissionsBoundary";

/// The policy document; nothing where the manifest names no account.
#[must_use]
pub fn build_policy(desired: &Desired, purpose: Purpose) -> Option<PolicyDocument> {
    let meta = desired.meta.aws.as_ref()?;
    let statements = bucket_statements(desired, meta, purpose)
        .into_iter()
        .chain(role_statements(desired, meta, purpose))
        .chain(provider_statements(desired, meta, purpose));
    let document = json!({ "Version": "2012-10-17", "Statement": statements.collect::<Vec<_>>() });
    Some(PolicyDocument::from_json(&document).expect("the document above is a policy"))
}

fn allow_statement(sid: &str, actions: &[&str], resource: impl Into<Value>) -> Value {
    json!({ "Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resource.into() })
}

fn bucket_statements(desired: &Desired, meta: &AwsMeta, purpose: Purpose) -> Vec<Value> {
    let ours = (
        format!("arn:aws:s3:::{}", meta.bucket_prefix),
        format!("-{}", meta.account),
    );
    let named: BTreeSet<String> = desired
        .aws_bucket
        .values()
        .map(|spec| format!("arn:aws:s3:::{}", spec.name))
        .collect();
    let mut reached = named.clone();
    reached.retain(|arn| !(arn.starts_with(&ours.0) && arn.ends_with(&ours.1)));
    reached.insert(format!("{}*{}", ours.0, ours.1));
    let list = |arns: &BTreeSet<String>| arns.iter().cloned().collect::<Value>();
    let mut out = vec![
        allow_statement("FindBuckets", &["s3:ListAllMyBuckets"], "*"),
        allow_statement("ReadBuckets", &BUCKET_READ_ACTIONS, list(&reached)),
    ];
    out.extend(lock_statements(desired, meta, purpose));
    if purpose >= Purpose::Apply && !named.is_empty() {
        let bare = desired
            .aws_bucket
            .values()
            .any(|spec| spec.policy.is_none())
            .then_some(BUCKET_POLICY_DELETE_ACTION);
        let writes: Vec<&str> = BUCKET_WRITE_ACTIONS.into_iter().chain(bare).collect();
        out.push(allow_statement("WriteBuckets", &writes, list(&named)));
    }
    if purpose >= Purpose::Destroy {
        out.push(allow_statement(
            "RemoveBuckets",
            &["s3:DeleteBucket"],
            list(&reached),
        ));
        let lock = desired.meta.mark.lock_key();
        let locks: Value = reached.iter().map(|arn| format!("{arn}/{lock}")).collect();
        out.push(allow_statement(
            "RemoveLocks",
            &["s3:DeleteObject", "s3:DeleteObjectVersion"],
            locks,
        ));
    }
    out
}

/// The lock: who plans may look at it, who applies takes it. Without the right to list, S3 does not say that it is free.
/// The key of KMS of a bucket that is managed elsewhere is not known here; its owner must grant it.
fn lock_statements(desired: &Desired, meta: &AwsMeta, purpose: Purpose) -> Vec<Value> {
    let Some((bucket, _)) = &meta.lock_bucket else {
        return Vec::new();
    };
    let arn = format!("arn:aws:s3:::{bucket}");
    let writes = (purpose >= Purpose::Apply).then_some("s3:PutObject");
    let actions: Vec<&str> = ["s3:GetObject"].into_iter().chain(writes).collect();
    let mut out = vec![allow_statement(
        "Lock",
        &actions,
        format!("{arn}/{}", desired.meta.mark.lock_key()),
    )];
    let holder = desired
        .aws_bucket
        .values()
        .find(|spec| spec.name == *bucket);
    if holder.is_none() {
        out.push(allow_statement("FindLock", &["s3:ListBucket"], arn));
    }
    let objects = if purpose >= Purpose::Apply {
        ObjectAccess::Write
    } else {
        ObjectAccess::Read
    };
    out.extend(holder.and_then(|spec| kms::key_statement("LockKey", spec, objects)));
    out
}

fn role_statements(desired: &Desired, meta: &AwsMeta, purpose: Purpose) -> Vec<Value> {
    let path = role::role_path(&desired.meta.mark);
    let ours = format!("arn:aws:iam::{}:role{path}*", meta.account);
    // A role of the same name that somebody else has made has no path of ours.
    let names = desired
        .aws_role
        .values()
        .map(|spec| format!("arn:aws:iam::{}:role/{}", meta.account, spec.name));
    let readable: Value = [ours.clone()].into_iter().chain(names).collect();
    let mut out = vec![
        allow_statement("FindRoles", &["iam:ListRoles"], "*"),
        allow_statement("ReadRoles", &ROLE_READ_ACTIONS, readable),
    ];
    if purpose >= Purpose::Apply && !desired.aws_role.is_empty() {
        out.extend(role_write_statements(desired, &ours));
    }
    if purpose >= Purpose::Destroy {
        let gone = [
            "iam:DeleteRole",
            "iam:DeleteRolePolicy",
            "iam:DetachRolePolicy",
        ];
        out.push(allow_statement("RemoveRoles", &gone, ours));
    }
    out
}

/// What makes and changes roles. Where every role has a boundary, nothing is granted to one that has none.
fn role_write_statements(desired: &Desired, ours: &str) -> Vec<Value> {
    let roles = || desired.aws_role.values();
    let boundaries: Option<BTreeSet<_>> = roles().map(|spec| spec.boundary.clone()).collect();
    let mut bounds = serde_json::Map::new();
    let mut writes: Vec<&str> = ROLE_WRITE_ACTIONS.to_vec();
    match boundaries {
        Some(all) => bounds.extend([(
            "StringEquals".to_owned(),
            json!({ "iam:PermissionsBoundary": all }),
        )]),
        None => writes.push(BOUNDARY_DELETE_ACTION),
    }
    let with = |mut statement: Value, condition: serde_json::Map<String, Value>| {
        if !condition.is_empty() {
            statement["Condition"] = condition.into();
        }
        statement
    };
    // What somebody attached by hand is taken off; what is attached is what the manifest names.
    let detaches = roles()
        .any(|spec| spec.managed.is_some())
        .then_some("iam:DetachRolePolicy");
    let grants: Vec<&str> = ROLE_GRANT_ACTIONS.into_iter().chain(detaches).collect();
    let mut out = vec![with(
        allow_statement("GrantRoles", &grants, ours),
        bounds.clone(),
    )];
    let named: BTreeSet<&String> = roles()
        .flat_map(|spec| spec.managed.iter().flatten())
        .collect();
    if !named.is_empty() {
        let mut these = bounds;
        these.insert("ArnEquals".to_owned(), json!({ "iam:PolicyARN": named }));
        out.push(with(
            allow_statement("AttachPolicies", &["iam:AttachRolePolicy"], ours),
            these,
        ));
    }
    out.push(allow_statement("WriteRoles", &writes, ours));
    out
}

fn provider_statements(desired: &Desired, meta: &AwsMeta, purpose: Purpose) -> Vec<Value> {
    // A personal organization's own slug is known only to Fly.
    let org = if desired.meta.org == "personal" {
        "*"
    } else {
        &desired.meta.org
    };
    let arn = oidc_provider::provider_arn(&meta.account, org);
    let mut out = vec![allow_statement(
        "ReadProvider",
        &["iam:GetOpenIDConnectProvider"],
        arn.as_str(),
    )];
    if purpose >= Purpose::Apply && !desired.aws_provider.is_empty() {
        let writes = [
            "iam:CreateOpenIDConnectProvider",
            "iam:AddClientIDToOpenIDConnectProvider",
            "iam:TagOpenIDConnectProvider",
        ];
        out.push(allow_statement("WriteProvider", &writes, arn.as_str()));
    }
    if purpose >= Purpose::Destroy {
        out.push(allow_statement(
            "RemoveProvider",
            &["iam:DeleteOpenIDConnectProvider"],
            arn,
        ));
    }
    out
}
