//! The IAM policy that trimtab's own credentials need, and nothing more: for planning, applying,
//! and deleting.
//!
//! IAM's action names differ from those of the API calls: `GetBucketEncryption` needs
//! `s3:GetEncryptionConfiguration`, and `HeadBucket` needs `s3:ListBucket` (AWS, "Actions,
//! resources, and condition keys for Amazon S3").
//!
//! Resources of the manifest are named in the policy, and only these can be written. A bucket that
//! was removed from the manifest is found by its name prefix and its tags, and then read and
//! deleted; its name is no longer known anywhere, so reading and deleting need the pattern
//! `PROJECT-ENVIRONMENT-*-ACCOUNT`. Both bucket names and environment names may contain dashes, so
//! the pattern for `staging` also covers the buckets of `staging-eu`, and no pattern can tell them
//! apart; conditions on bucket tags work only for buckets where this was enabled. So the pattern
//! grants as little as possible: to read settings, to delete a bucket (which S3 does only if it is
//! empty, and trimtab only if its tags say that it is ours), and to delete this environment's own
//! lock from it. Roles have a path with slashes, so their pattern covers nobody else's.

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

/// What the permissions are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// `plan`, `drift` and `status`: read only.
    Plan,
    /// `apply`: also create and change what is in the manifest.
    Apply,
    /// `destroy`, and `apply` if blocks were removed from the manifest: also delete.
    Destroy,
}

const BUCKET_READ_ACTIONS: [&str; 11] = [
    "s3:ListBucket",
    "s3:ListBucketVersions",
    "s3:GetEncryptionConfiguration",
    "s3:GetBucketPublicAccessBlock",
    "s3:GetBucketOwnershipControls",
    "s3:GetBucketVersioning",
    "s3:GetLifecycleConfiguration",
    "s3:GetBucketPolicy",
    "s3:GetBucketTagging",
    "s3:GetReplicationConfiguration",
    "s3:GetBucketAcl",
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
/// Needed only if a bucket should have no policy at all.
const BUCKET_POLICY_DELETE_ACTION: &str = "s3:DeleteBucketPolicy";
const ROLE_READ_ACTIONS: [&str; 5] = [
    "iam:GetRole",
    "iam:ListRolePolicies",
    "iam:GetRolePolicy",
    "iam:ListAttachedRolePolicies",
    "iam:ListInstanceProfilesForRole",
];
/// Actions that can give a role more permissions. If every role has the same permissions boundary,
/// these are limited by it.
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
/// Removing a boundary is a separate action, granted only if at least one role has no boundary.
const BOUNDARY_DELETE_ACTION: &str = "iam:DeleteRolePermissionsBoundary";

/// The policy document; `None` if the manifest has no AWS account.
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
    let own_pattern = (
        format!("arn:aws:s3:::{}", meta.bucket_prefix),
        format!("-{}", meta.account),
    );
    let managed_arns: BTreeSet<String> = desired
        .aws_bucket
        .values()
        .map(|spec| format!("arn:aws:s3:::{}", spec.name))
        .collect();
    let mut readable_arns = managed_arns.clone();
    readable_arns.retain(|arn| !(arn.starts_with(&own_pattern.0) && arn.ends_with(&own_pattern.1)));
    readable_arns.insert(format!("{}*{}", own_pattern.0, own_pattern.1));
    let to_json = |arns: &BTreeSet<String>| arns.iter().cloned().collect::<Value>();
    let mut statements = vec![
        allow_statement("FindBuckets", &["s3:ListAllMyBuckets"], "*"),
        allow_statement("ReadBuckets", &BUCKET_READ_ACTIONS, to_json(&readable_arns)),
    ];
    statements.extend(lock_statements(desired, meta, purpose));
    if purpose >= Purpose::Apply && !managed_arns.is_empty() {
        let delete_policy = desired
            .aws_bucket
            .values()
            .any(|spec| spec.policy.is_none())
            .then_some(BUCKET_POLICY_DELETE_ACTION);
        let write_actions: Vec<&str> = BUCKET_WRITE_ACTIONS
            .into_iter()
            .chain(delete_policy)
            .collect();
        statements.push(allow_statement(
            "WriteBuckets",
            &write_actions,
            to_json(&managed_arns),
        ));
    }
    if purpose >= Purpose::Destroy {
        statements.push(allow_statement(
            "RemoveBuckets",
            &["s3:DeleteBucket"],
            to_json(&readable_arns),
        ));
        let lock = desired.meta.mark.lock_key();
        let locks: Value = readable_arns
            .iter()
            .map(|arn| format!("{arn}/{lock}"))
            .collect();
        statements.push(allow_statement(
            "RemoveLocks",
            &["s3:DeleteObject", "s3:DeleteObjectVersion"],
            locks,
        ));
    }
    statements
}

/// The lock: planning reads it, applying acquires it. Without the permission to list, S3 does not
/// tell that the lock is free. The lock is not written with the bucket's KMS key unless its policy
/// admits nothing else; otherwise the key is for reading one that an earlier version wrote.
fn lock_statements(desired: &Desired, meta: &AwsMeta, purpose: Purpose) -> Vec<Value> {
    let Some((bucket, _)) = &meta.lock_bucket else {
        return Vec::new();
    };
    let arn = format!("arn:aws:s3:::{bucket}");
    let write_actions = (purpose >= Purpose::Apply).then_some("s3:PutObject");
    let actions: Vec<&str> = ["s3:GetObject"].into_iter().chain(write_actions).collect();
    let mut statements = vec![allow_statement(
        "Lock",
        &actions,
        format!("{arn}/{}", desired.meta.mark.lock_key()),
    )];
    let holder = desired
        .aws_bucket
        .values()
        .find(|spec| spec.name == *bucket);
    if holder.is_none() {
        statements.push(allow_statement("FindLock", &["s3:ListBucket"], arn));
    }
    if let Some(spec) = holder {
        let keys = spec.encryption.kms_key.iter();
        let keys: BTreeSet<&String> = keys.chain(&spec.uses.former_kms_keys).collect();
        statements.extend(keys.into_iter().enumerate().map(|(index, key)| {
            let number = if index == 0 {
                String::new()
            } else {
                (index + 1).to_string()
            };
            let writes = purpose >= Purpose::Apply
                && spec.encryption.kms_key.as_ref() == Some(key)
                && spec.locks_with_own_key(&meta.account);
            let objects = if writes {
                ObjectAccess::Write
            } else {
                ObjectAccess::Read
            };
            let sid = format!("LockKey{number}");
            kms::key_statement(&sid, key, &spec.region, objects)
        }));
    }
    statements
}

fn role_statements(desired: &Desired, meta: &AwsMeta, purpose: Purpose) -> Vec<Value> {
    let path = role::role_path(&desired.meta.mark);
    let own_pattern = format!("arn:aws:iam::{}:role{path}*", meta.account);
    // A role of the same name that somebody else created is under another path. Reading it lets the
    // plan say so.
    let names = desired
        .aws_role
        .values()
        .map(|spec| format!("arn:aws:iam::{}:role/{}", meta.account, spec.name));
    let readable_arns: Value = [own_pattern.clone()].into_iter().chain(names).collect();
    let mut statements = vec![
        allow_statement("FindRoles", &["iam:ListRoles"], "*"),
        allow_statement("ReadRoles", &ROLE_READ_ACTIONS, readable_arns),
    ];
    if purpose >= Purpose::Apply && !desired.aws_role.is_empty() {
        statements.extend(role_write_statements(desired, &own_pattern));
    }
    if purpose >= Purpose::Destroy {
        let delete_actions = [
            "iam:DeleteRole",
            "iam:DeleteRolePolicy",
            "iam:DetachRolePolicy",
        ];
        statements.push(allow_statement("RemoveRoles", &delete_actions, own_pattern));
    }
    statements
}

/// Statements for creating and changing roles. If every role has a boundary, permissions can be
/// granted only to roles that have it.
fn role_write_statements(desired: &Desired, own_pattern: &str) -> Vec<Value> {
    let roles = || desired.aws_role.values();
    let boundaries: Option<BTreeSet<_>> = roles().map(|spec| spec.boundary.clone()).collect();
    let mut boundary_condition = serde_json::Map::new();
    let mut write_actions: Vec<&str> = ROLE_WRITE_ACTIONS.to_vec();
    match boundaries {
        Some(all) => boundary_condition.extend([(
            "StringEquals".to_owned(),
            json!({ "iam:PermissionsBoundary": all }),
        )]),
        None => write_actions.push(BOUNDARY_DELETE_ACTION),
    }
    let with_condition = |mut statement: Value, condition: serde_json::Map<String, Value>| {
        if !condition.is_empty() {
            statement["Condition"] = condition.into();
        }
        statement
    };
    // Policies that somebody attached by hand are detached; only policies of the manifest can be
    // attached.
    let detach = roles()
        .any(|spec| spec.managed.is_some())
        .then_some("iam:DetachRolePolicy");
    let grant_actions: Vec<&str> = ROLE_GRANT_ACTIONS.into_iter().chain(detach).collect();
    let mut statements = vec![with_condition(
        allow_statement("GrantRoles", &grant_actions, own_pattern),
        boundary_condition.clone(),
    )];
    let managed_arns: BTreeSet<&String> = roles()
        .flat_map(|spec| spec.managed.iter().flatten())
        .collect();
    if !managed_arns.is_empty() {
        let mut attach_condition = boundary_condition;
        attach_condition.insert(
            "ArnEquals".to_owned(),
            json!({ "iam:PolicyARN": managed_arns }),
        );
        statements.push(with_condition(
            allow_statement("AttachPolicies", &["iam:AttachRolePolicy"], own_pattern),
            attach_condition,
        ));
    }
    statements.push(allow_statement("WriteRoles", &write_actions, own_pattern));
    statements
}

fn provider_statements(desired: &Desired, meta: &AwsMeta, purpose: Purpose) -> Vec<Value> {
    // The slug of a personal organization is known only to Fly.
    let org = if desired.meta.org == "personal" {
        "*"
    } else {
        &desired.meta.org
    };
    let arn = oidc_provider::provider_arn(&meta.account, org);
    let mut statements = vec![allow_statement(
        "ReadProvider",
        &["iam:GetOpenIDConnectProvider"],
        arn.as_str(),
    )];
    if purpose >= Purpose::Apply && !desired.aws_provider.is_empty() {
        let write_actions = [
            "iam:CreateOpenIDConnectProvider",
            "iam:AddClientIDToOpenIDConnectProvider",
            "iam:TagOpenIDConnectProvider",
        ];
        statements.push(allow_statement(
            "WriteProvider",
            &write_actions,
            arn.as_str(),
        ));
    }
    if purpose >= Purpose::Destroy {
        statements.push(allow_statement(
            "RemoveProvider",
            &["iam:DeleteOpenIDConnectProvider"],
            arn,
        ));
    }
    statements
}
