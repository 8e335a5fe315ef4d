//! Strategies for buckets, identities and roles with every option.

use proptest::strategy::Strategy as _;
use serde_json::json;

use super::strategies::{
    ValueStrategy, boolean, key_with_probability, number, one_string_of, one_value_of,
    optional_key, required_key, subset_of, table, table_of,
};

pub(super) const ACCOUNT: &str = "123456789012";
const BUCKETS: &[&str] = &["backups", "backups-2"];

fn tags() -> ValueStrategy {
    table_of(
        &["team", "cost:centre"],
        1..=2,
        one_string_of(&["blue", "a b", ""]),
    )
}

fn lifecycle() -> ValueStrategy {
    // S3 requires 30 days before the first transition to infrequent access, and 30 more before the
    // next class.
    let moves = table(vec![
        optional_key("STANDARD_IA", number(30..33)),
        optional_key("GLACIER_IR", number(63..66)),
        optional_key("DEEP_ARCHIVE", number(66..70)),
    ]);
    let rule = table(vec![
        optional_key("prefix", one_string_of(&["db/", "logs/"])),
        optional_key("enabled", boolean()),
        required_key("noncurrent_days", number(1..99)),
        optional_key("noncurrent_keep", number(1..5)),
        optional_key("expire_days", number(400..500)),
        optional_key("transitions", moves),
    ]);
    let markers = one_value_of(
        json!([{ "expired_delete_markers": true }, { "expired_delete_markers": true, "prefix": "x/" }]),
    );
    table_of(
        &["old", "Odd id"],
        1..=2,
        proptest::prop_oneof![3 => rule, 1 => markers].boxed(),
    )
}

/// The ARN of a KMS key for buckets in a region.
pub(super) fn kms_key_arn(region: &str) -> String {
    format!("arn:aws:kms:{region}:{ACCOUNT}:key/2f4e")
}

fn bucket() -> ValueStrategy {
    let kms = kms_key_arn("eu-central-1");
    table(vec![
        optional_key("name", one_string_of(&["any"])),
        optional_key("region", one_string_of(&["eu-central-1", "us-east-1"])),
        optional_key(
            "encryption",
            one_value_of(
                json!(["AES256", "aws:kms", { "kms": kms }, { "kms": "alias/any", "bucket_key": false }]),
            ),
        ),
        optional_key(
            "former_kms_keys",
            one_value_of(json!([["alias/former"], []])),
        ),
        optional_key("versioning", boolean()),
        optional_key("public_access_block", boolean()),
        optional_key(
            "ownership",
            one_string_of(&[
                "BucketOwnerEnforced",
                "BucketOwnerPreferred",
                "ObjectWriter",
            ]),
        ),
        optional_key("tls_only", boolean()),
        optional_key("abort_multipart_days", number(0..9)),
        optional_key("lifecycle", lifecycle()),
        optional_key("statements", one_value_of(json!(["statements"]))),
        optional_key("tags", tags()),
        optional_key("protected", boolean()),
        optional_key("adopt", boolean()),
    ])
}

fn identity() -> ValueStrategy {
    let grant = table(vec![
        optional_key("prefix", one_string_of(&["db/", "db", "a/b"])),
        optional_key(
            "allow",
            subset_of(&["list", "read", "write", "delete"], 1..=4),
        ),
    ]);
    table(vec![
        required_key("app", one_string_of(&["web"])),
        optional_key("name", one_string_of(&["any"])),
        optional_key("buckets", table_of(BUCKETS, 1..=2, grant)),
        optional_key("env", boolean()),
        optional_key("session", one_value_of(json!(["1h", 7200, "12h"]))),
        optional_key(
            "permissions_boundary",
            one_string_of(&["arn:aws:iam::aws:policy/PowerUserAccess"]),
        ),
        optional_key("tags", tags()),
        optional_key("protected", boolean()),
    ])
}

/// A trust policy, as AWS writes it.
pub(super) fn trust_policy() -> serde_json::Value {
    json!({ "Version": "2012-10-17", "Statement": [{ "Effect": "Allow", "Action": "sts:AssumeRole",
        "Principal": { "AWS": format!("arn:aws:iam::{ACCOUNT}:root") } }] })
}

fn role() -> ValueStrategy {
    let policy = |action: &str| {
        json!({ "Version": "2012-10-17",
        "Statement": [{ "Effect": "Allow", "Action": [action, "s3:GetObject"], "Resource": "*" }] })
    };
    let policies = one_value_of(json!([
        policy("s3:PutObject"),
        policy("s3:ListAllMyBuckets")
    ]));
    let managed = subset_of(
        &[
            "arn:aws:iam::aws:policy/ReadOnlyAccess",
            "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess",
        ],
        0..=2,
    );
    table(vec![
        optional_key("name", one_string_of(&["any"])),
        optional_key("description", one_string_of(&["what it is for", "x"])),
        key_with_probability("app", 0.5, one_string_of(&["web"])),
        required_key("trust", one_value_of(json!([trust_policy()]))),
        optional_key("policies", table_of(&["one", "two"], 1..=2, policies)),
        optional_key("managed_policies", managed),
        optional_key("session", one_value_of(json!(["1h", 3600, "2h"]))),
        optional_key(
            "permissions_boundary",
            one_string_of(&["arn:aws:iam::aws:policy/PowerUserAccess"]),
        ),
        optional_key("tags", tags()),
        optional_key("protected", boolean()),
    ])
}

/// The AWS sections of a manifest, as one table.
pub(super) fn aws_sections() -> ValueStrategy {
    let elsewhere = json!([{ "name": "acme-locks" }, { "name": "acme-locks", "region": "eu-west-1" }, "backups"]);
    let quotas = table(vec![
        optional_key("trust_policy", one_value_of(json!([2048, 4096]))),
        optional_key("managed_policies", one_value_of(json!([10, 25]))),
    ]);
    let account = table(vec![
        required_key("account", one_value_of(json!([ACCOUNT]))),
        required_key("region", one_string_of(&["eu-central-1", "us-east-1"])),
        optional_key("lock", one_value_of(elsewhere)),
        optional_key("quotas", quotas),
    ]);
    table(vec![
        required_key("aws", account),
        required_key("buckets", table_of(BUCKETS, 1..=2, bucket())),
        key_with_probability(
            "identities",
            0.7,
            table_of(&["backup", "reader"], 1..=2, identity()),
        ),
        key_with_probability("roles", 0.5, table_of(&["deploy"], 1..=1, role())),
    ])
}

/// An additional statement for a bucket policy.
pub(super) fn bucket_policy_statement(bucket: &str) -> serde_json::Value {
    json!([{ "Sid": "Own", "Effect": "Deny", "Principal": "*", "Action": "s3:PutObjectAcl", "Resource": format!("arn:aws:s3:::{bucket}/*") }])
}
