//! What is granted: to an app by its identity, and to trimtab's own credentials, as `trimtab permissions` prints it.

use serde_json::{Value, json};
use trimtab::kinds::aws::{
    permissions::{Purpose, policy},
    policy::Policy,
};

use crate::manifest::support::{load_text, unchecked};

const HEAD: &str = "project = \"p\"\nfly.org = \"o\"\n[aws]\naccount = \"123456789012\"\nregion = \"eu-central-1\"\n\
    [apps.web]\nprimary_region = \"ewr\"\n";
const KEY: &str = "arn:aws:kms:eu-central-1:123456789012:key/2f4e";
const LOCK: &str = ".trimtab/locks/p/x.json";

fn desired(rest: &str) -> trimtab::kinds::Desired {
    let loaded = load_text(&format!("{HEAD}{rest}"), &unchecked());
    loaded
        .unwrap_or_else(|problems| panic!("{}", problems.render(false, 100)))
        .desired
}

/// The statement of a policy that has this name.
fn statement(policy: &Policy, sid: &str) -> Option<Value> {
    policy
        .statements()
        .find(|one| one.sid() == Some(sid))
        .map(trimtab::kinds::aws::policy::Statement::json)
}

/// The names of a policy's statements.
fn sids(policy: &Policy) -> Vec<&str> {
    policy.statements().filter_map(|one| one.sid()).collect()
}

/// What the identity `a` may do.
fn identity(buckets: &str, grant: &str) -> Policy {
    let rest = format!("{buckets}\n[identities.a]\napp = \"web\"\nbuckets.b = {grant}\n");
    desired(&rest).aws_role["a"].policies["access"].clone()
}

fn prints(rest: &str, purpose: Purpose) -> Policy {
    policy(&desired(rest), purpose).unwrap()
}

#[test]
fn who_lists_may_ask_where_the_bucket_is_whatever_the_prefix() {
    let below = identity("[buckets.b]", "{ prefix = \"db\" }");
    assert_eq!(sids(&below), ["BList", "BRegion", "BObjects"]);
    assert_eq!(
        statement(&below, "BList").unwrap()["Condition"],
        json!({ "StringLike": { "s3:prefix": "db/*" } })
    );
    let place = statement(&below, "BRegion").unwrap();
    assert_eq!(
        (&place["Action"], &place["Condition"]),
        (&json!("s3:GetBucketLocation"), &Value::Null)
    );
    let words = below.words();
    assert_eq!(words[0], "may list bucket p-x-b-123456789012 under db/");
    assert_eq!(words[1], "may see the region of bucket p-x-b-123456789012");
    let whole = identity("[buckets.b]", "{}");
    assert_eq!(
        whole.words()[0],
        "may list and see the region of bucket p-x-b-123456789012"
    );
    let writes = identity("[buckets.b]", "{ allow = [\"write\"] }");
    assert_eq!(
        sids(&writes),
        ["BObjects", "BNotLocks"],
        "what may not list has no business there"
    );
}

#[test]
fn a_key_is_for_those_who_read_or_write_only() {
    let bucket = format!("[buckets.b]\nencryption = {{ kms = \"{KEY}\" }}");
    let actions = |allow: &str| {
        let granted = identity(&bucket, &format!("{{ allow = [{allow}] }}"));
        statement(&granted, "BKey").map(|key| key["Action"].clone())
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
fn the_lock_can_be_written_whichever_way_its_key_is_named() {
    let keyed = |key: &str, purpose| {
        let printed = prints(&format!("[buckets.b]\nencryption = {key}"), purpose);
        statement(&printed, "LockKey")
    };
    let through = json!({ "kms:ViaService": "s3.eu-central-1.amazonaws.com" });
    let both = json!(["kms:Decrypt", "kms:GenerateDataKey"]);
    let by_arn = keyed(&format!("{{ kms = \"{KEY}\" }}"), Purpose::Apply).unwrap();
    assert_eq!(
        (&by_arn["Action"], &by_arn["Resource"]),
        (&both, &json!(KEY))
    );
    assert_eq!(by_arn["Condition"], json!({ "StringEquals": through }));
    let by_alias = keyed("{ kms = \"alias/backups\" }", Purpose::Apply).unwrap();
    assert_eq!(
        (&by_alias["Action"], &by_alias["Resource"]),
        (&both, &json!("*"))
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
fn policies_are_attached_only_where_the_manifest_names_some() {
    let role = "[roles.r]\napp = \"web\"\n";
    let all = |rest: &str| prints(rest, Purpose::Destroy).text();
    assert!(
        !all(&format!(
            "[buckets.b]\n[identities.a]\napp = \"web\"\n{role}"
        ))
        .contains("iam:Attach")
    );
    assert!(
        prints(&format!("{role}managed_policies = []"), Purpose::Apply)
            .text()
            .contains("iam:DetachRolePolicy")
    );
    assert!(
        !prints(role, Purpose::Apply)
            .text()
            .contains("iam:DetachRolePolicy"),
        "what is there stays"
    );
    let arn = "arn:aws:iam::aws:policy/ReadOnlyAccess";
    let named = prints(
        &format!("{role}managed_policies = [\"{arn}\"]"),
        Purpose::Apply,
    );
    let attach = statement(&named, "AttachPolicies").unwrap();
    assert_eq!(attach["Action"], "iam:AttachRolePolicy");
    assert_eq!(
        attach["Condition"],
        json!({ "ArnEquals": { "iam:PolicyARN": arn } })
    );
    let bound = "arn:aws:iam::123456789012:policy/bound";
    let bounded =
        format!("{role}managed_policies = [\"{arn}\"]\npermissions_boundary = \"{bound}\"");
    let bounded = prints(&bounded, Purpose::Apply);
    let within = json!({ "iam:PermissionsBoundary": bound });
    assert_eq!(
        statement(&bounded, "GrantRoles").unwrap()["Condition"],
        json!({ "StringEquals": within })
    );
    assert_eq!(
        statement(&bounded, "AttachPolicies").unwrap()["Condition"],
        json!({ "ArnEquals": { "iam:PolicyARN": arn }, "StringEquals": within })
    );
    assert!(!bounded.text().contains("PassRole"));
}

#[test]
fn only_buckets_that_the_manifest_names_are_written_and_only_the_own_lock_is_removed() {
    let own = "arn:aws:s3:::p-x-b-123456789012";
    let pattern = "arn:aws:s3:::p-x-*-123456789012";
    let printed = prints("[buckets.b]", Purpose::Destroy);
    let of = |sid: &str| statement(&printed, sid).unwrap();
    assert_eq!(of("WriteBuckets")["Resource"], own);
    assert_eq!(of("ReadBuckets")["Resource"], pattern);
    assert_eq!(of("RemoveBuckets")["Resource"], pattern);
    assert_eq!(of("RemoveLocks")["Resource"], format!("{pattern}/{LOCK}"));
    assert!(!printed.text().contains("s3:DeleteBucketPolicy"));
    let bare = prints(
        "[buckets.b]\ntls_only = false\nname = \"other\"",
        Purpose::Apply,
    );
    assert!(bare.text().contains("s3:DeleteBucketPolicy"));
    assert_eq!(
        statement(&bare, "WriteBuckets").unwrap()["Resource"],
        "arn:aws:s3:::other"
    );
    assert_eq!(
        statement(&bare, "ReadBuckets").unwrap()["Resource"],
        json!(["arn:aws:s3:::other", pattern])
    );
    assert_eq!(
        statement(
            &prints("[roles.r]\napp = \"web\"", Purpose::Apply),
            "WriteBuckets"
        ),
        None
    );
}
