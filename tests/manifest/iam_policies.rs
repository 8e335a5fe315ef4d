//! The policies of identities, and those that `trimtab permissions` prints for trimtab's own
//! credentials.

use serde_json::{Value, json};
use trimtab::{
    iam::policy::PolicyDocument,
    ops::permissions::{Purpose, build_policy},
};

use crate::manifest::support::{load_text, unchecked_inputs};

const HEAD: &str = "project = \"p\"\nfly.org = \"o\"\n[aws]\naccount = \"123456789012\"\nregion = \"eu-central-1\"\n\
    [apps.web]\nprimary_region = \"ewr\"\n";
const KEY: &str = "arn:aws:kms:eu-central-1:123456789012:key/2f4e";
const LOCK: &str = ".trimtab/locks/p/x.json";

fn desired(sections: &str) -> trimtab::kinds::Desired {
    let loaded = load_text(&format!("{HEAD}{sections}"), &unchecked_inputs());
    loaded
        .unwrap_or_else(|diagnostics| panic!("{}", diagnostics.render(false, 100)))
        .desired
}

/// The statement with this Sid.
fn statement_with_sid(policy: &PolicyDocument, sid: &str) -> Option<Value> {
    policy
        .statements()
        .find(|one| one.sid() == Some(sid))
        .map(trimtab::iam::policy::Statement::to_json)
}

/// The Sids of a policy's statements.
fn statement_ids(policy: &PolicyDocument) -> Vec<&str> {
    policy.statements().filter_map(|one| one.sid()).collect()
}

/// The policy of the identity `a`.
fn identity_policy(buckets: &str, grant: &str) -> PolicyDocument {
    let sections = format!("{buckets}\n[identities.a]\napp = \"web\"\nbuckets.b = {grant}\n");
    desired(&sections).aws_role["a"].policies["access"].clone()
}

fn printed_policy(sections: &str, purpose: Purpose) -> PolicyDocument {
    build_policy(&desired(sections), purpose).unwrap()
}

#[test]
fn list_grant_includes_bucket_location() {
    let below = identity_policy("[buckets.b]", "{ prefix = \"db\" }");
    assert_eq!(statement_ids(&below), ["BList", "BRegion", "BObjects"]);
    assert_eq!(
        statement_with_sid(&below, "BList").unwrap()["Condition"],
        json!({ "StringLike": { "s3:prefix": "db/*" } })
    );
    let place = statement_with_sid(&below, "BRegion").unwrap();
    assert_eq!(
        (&place["Action"], &place["Condition"]),
        (&json!("s3:GetBucketLocation"), &Value::Null)
    );
    let phrase = below.describe();
    assert_eq!(phrase[0], "may list bucket p-x-b-123456789012 under db/");
    assert_eq!(phrase[1], "may see the region of bucket p-x-b-123456789012");
    let whole = identity_policy("[buckets.b]", "{}");
    assert_eq!(
        whole.describe()[0],
        "may list and see the region of bucket p-x-b-123456789012"
    );
    let writes = identity_policy("[buckets.b]", "{ allow = [\"write\"] }");
    assert_eq!(
        statement_ids(&writes),
        ["BObjects", "BNotLocks"],
        "what may not list has no business there"
    );
}

#[test]
fn kms_grant_needs_read_or_write() {
    let bucket = format!("[buckets.b]\nencryption = {{ kms = \"{KEY}\" }}");
    let actions = |allow: &str| {
        let granted = identity_policy(&bucket, &format!("{{ allow = [{allow}] }}"));
        statement_with_sid(&granted, "BKey").map(|key| key["Action"].clone())
    };
    assert_eq!(actions("\"delete\""), None);
    assert_eq!(actions("\"list\", \"delete\""), None);
    assert_eq!(actions("\"read\", \"delete\""), Some(json!("kms:Decrypt")));
    assert_eq!(
        actions("\"write\""),
        Some(json!(["kms:Decrypt", "kms:GenerateDataKey"]))
    );
}

#[test]
fn lock_kms_grant_works_for_arn_and_alias() {
    let keyed = |key: &str, purpose| {
        let printed = printed_policy(&format!("[buckets.b]\nencryption = {key}"), purpose);
        statement_with_sid(&printed, "LockKey")
    };
    let through = json!({ "kms:ViaService": "s3.eu-central-1.amazonaws.com" });
    // The lock is written without the key; an earlier version may have written it with the key.
    let decrypt = json!("kms:Decrypt");
    let by_arn = keyed(&format!("{{ kms = \"{KEY}\" }}"), Purpose::Apply).unwrap();
    assert_eq!(
        (&by_arn["Action"], &by_arn["Resource"]),
        (&decrypt, &json!(KEY))
    );
    assert_eq!(by_arn["Condition"], json!({ "StringEquals": through }));
    let by_alias = keyed("{ kms = \"alias/backups\" }", Purpose::Apply).unwrap();
    assert_eq!(
        (&by_alias["Action"], &by_alias["Resource"]),
        (&decrypt, &json!("*"))
    );
    let alias = json!({ "kms:ResourceAliases": "alias/backups" });
    assert_eq!(
        by_alias["Condition"],
        json!({ "StringEquals": through, "ForAnyValue:StringEquals": alias })
    );
    let plans = keyed("{ kms = \"alias/backups\" }", Purpose::Plan).unwrap();
    assert_eq!(plans["Action"], "kms:Decrypt");
    assert_eq!(keyed("\"aws:kms\"", Purpose::Apply), None);
}

#[test]
fn attach_policy_is_granted_only_when_needed() {
    let role = "[roles.r]\napp = \"web\"\n";
    let all = |sections: &str| printed_policy(sections, Purpose::Destroy).to_json_string();
    assert!(
        !all(&format!(
            "[buckets.b]\n[identities.a]\napp = \"web\"\n{role}"
        ))
        .contains("iam:Attach")
    );
    assert!(
        printed_policy(&format!("{role}managed_policies = []"), Purpose::Apply)
            .to_json_string()
            .contains("iam:DetachRolePolicy")
    );
    assert!(
        !printed_policy(role, Purpose::Apply)
            .to_json_string()
            .contains("iam:DetachRolePolicy"),
        "what is there stays"
    );
    let arn = "arn:aws:iam::aws:policy/ReadOnlyAccess";
    let named = printed_policy(
        &format!("{role}managed_policies = [\"{arn}\"]"),
        Purpose::Apply,
    );
    let attach = statement_with_sid(&named, "AttachPolicies").unwrap();
    assert_eq!(attach["Action"], "iam:AttachRolePolicy");
    assert_eq!(
        attach["Condition"],
        json!({ "ArnEquals": { "iam:PolicyARN": arn } })
    );
    let bound = "arn:aws:iam::123456789012:policy/bound";
    let bounded =
        format!("{role}managed_policies = [\"{arn}\"]\npermissions_boundary = \"{bound}\"");
    let bounded = printed_policy(&bounded, Purpose::Apply);
    let within = json!({ "iam:PermissionsBoundary": bound });
    assert_eq!(
        statement_with_sid(&bounded, "GrantRoles").unwrap()["Condition"],
        json!({ "StringEquals": within })
    );
    assert_eq!(
        statement_with_sid(&bounded, "AttachPolicies").unwrap()["Condition"],
        json!({ "ArnEquals": { "iam:PolicyARN": arn }, "StringEquals": within })
    );
    assert!(!bounded.to_json_string().contains("PassRole"));
}

#[test]
fn write_grants_are_limited_to_named_buckets() {
    let bucket = "arn:aws:s3:::p-x-b-123456789012";
    let pattern = "arn:aws:s3:::p-x-*-123456789012";
    let printed = printed_policy("[buckets.b]", Purpose::Destroy);
    let of = |sid: &str| statement_with_sid(&printed, sid).unwrap();
    assert_eq!(of("WriteBuckets")["Resource"], bucket);
    assert_eq!(of("ReadBuckets")["Resource"], pattern);
    assert_eq!(of("RemoveBuckets")["Resource"], pattern);
    assert_eq!(of("RemoveLocks")["Resource"], format!("{pattern}/{LOCK}"));
    assert!(!printed.to_json_string().contains("s3:DeleteBucketPolicy"));
    let bare = printed_policy(
        "[buckets.b]\ntls_only = false\nname = \"other\"",
        Purpose::Apply,
    );
    assert!(bare.to_json_string().contains("s3:DeleteBucketPolicy"));
    assert_eq!(
        statement_with_sid(&bare, "WriteBuckets").unwrap()["Resource"],
        "arn:aws:s3:::other"
    );
    assert_eq!(
        statement_with_sid(&bare, "ReadBuckets").unwrap()["Resource"],
        json!(["arn:aws:s3:::other", pattern])
    );
    assert_eq!(
        statement_with_sid(
            &printed_policy("[roles.r]\napp = \"web\"", Purpose::Apply),
            "WriteBuckets"
        ),
        None
    );
}
