//! Buckets, identities and roles, with every option that they have.

use proptest::strategy::Strategy as _;
use serde_json::json;

use super::words::{Part, flag, may, must, named, number, often, one_of, some_of, table, word};

/// The account of all tests.
pub(super) const ACCOUNT: &str = "123456789012";
const BUCKETS: &[&str] = &["backups", "backups-2"];

fn tags() -> Part {
    named(&["team", "cost:centre"], 1..=2, word(&["blue", "a b", ""]))
}

fn lifecycle() -> Part {
    // S3 wants thirty days before infrequent access, and as many until what comes after it.
    let moves = table(vec![
        may("STANDARD_IA", number(30..33)),
        may("GLACIER_IR", number(63..66)),
        may("DEEP_ARCHIVE", number(66..70)),
    ]);
    let rule = table(vec![
        may("prefix", word(&["db/", "logs/"])),
        may("enabled", flag()),
        must("noncurrent_days", number(1..99)),
        may("noncurrent_keep", number(1..5)),
        may("expire_days", number(400..500)),
        may("transitions", moves),
    ]);
    let markers = one_of(
        json!([{ "expired_delete_markers": true }, { "expired_delete_markers": true, "prefix": "x/" }]),
    );
    named(
        &["old", "Odd id"],
        1..=2,
        proptest::prop_oneof![3 => rule, 1 => markers].boxed(),
    )
}

/// A key of KMS, which serves the buckets of its region.
pub(super) fn kms(region: &str) -> String {
    format!("arn:aws:kms:{region}:{ACCOUNT}:key/2f4e")
}

fn bucket() -> Part {
    let kms = kms("eu-central-1");
    table(vec![
        may("name", word(&["any"])),
        may("region", word(&["eu-central-1", "us-east-1"])),
        may(
            "encryption",
            one_of(
                json!(["AES256", "aws:kms", { "kms": kms }, { "kms": "alias/any", "bucket_key": false }]),
            ),
        ),
        may("versioning", flag()),
        may("public_access_block", flag()),
        may(
            "ownership",
            word(&[
                "BucketOwnerEnforced",
                "BucketOwnerPreferred",
                "ObjectWriter",
            ]),
        ),
        may("tls_only", flag()),
        may("abort_multipart_days", number(0..9)),
        may("lifecycle", lifecycle()),
        may("statements", one_of(json!(["statements"]))),
        may("tags", tags()),
        may("protected", flag()),
        may("adopt", flag()),
    ])
}

fn identity() -> Part {
    let grant = table(vec![
        may("prefix", word(&["db/", "db", "a/b"])),
        may(
            "allow",
            some_of(&["list", "read", "write", "delete"], 1..=4),
        ),
    ]);
    table(vec![
        must("app", word(&["web"])),
        may("name", word(&["any"])),
        may("buckets", named(BUCKETS, 1..=2, grant)),
        may("env", flag()),
        may("session", one_of(json!(["1h", 7200, "12h"]))),
        may(
            "permissions_boundary",
            word(&["arn:aws:iam::aws:policy/PowerUserAccess"]),
        ),
        may("tags", tags()),
        may("protected", flag()),
    ])
}

/// Who may take a role, in AWS's own words.
pub(super) fn trust() -> serde_json::Value {
    json!({ "Version": "2012-10-17", "Statement": [{ "Effect": "Allow", "Action": "sts:AssumeRole",
        "Principal": { "AWS": format!("arn:aws:iam::{ACCOUNT}:root") } }] })
}

fn role() -> Part {
    let policy = |action: &str| {
        json!({ "Version": "2012-10-17",
        "Statement": [{ "Effect": "Allow", "Action": [action, "s3:GetObject"], "Resource": "*" }] })
    };
    let policies = one_of(json!([
        policy("s3:PutObject"),
        policy("s3:ListAllMyBuckets")
    ]));
    let managed = some_of(
        &[
            "arn:aws:iam::aws:policy/ReadOnlyAccess",
            "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess",
        ],
        0..=2,
    );
    table(vec![
        may("name", word(&["any"])),
        may("description", word(&["what it is for", "x"])),
        often("app", 0.5, word(&["web"])),
        must("trust", one_of(json!([trust()]))),
        may("policies", named(&["one", "two"], 1..=2, policies)),
        may("managed_policies", managed),
        may("session", one_of(json!(["1h", 3600, "2h"]))),
        may(
            "permissions_boundary",
            word(&["arn:aws:iam::aws:policy/PowerUserAccess"]),
        ),
        may("tags", tags()),
        may("protected", flag()),
    ])
}

/// The part of a manifest that is about AWS, as one table.
pub(super) fn aws() -> Part {
    let elsewhere = json!([{ "name": "acme-locks" }, { "name": "acme-locks", "region": "eu-west-1" }, "backups"]);
    let quotas = table(vec![
        may("trust_policy", one_of(json!([2048, 4096]))),
        may("managed_policies", one_of(json!([10, 25]))),
    ]);
    let account = table(vec![
        must("account", one_of(json!([ACCOUNT]))),
        must("region", word(&["eu-central-1", "us-east-1"])),
        may("lock", one_of(elsewhere)),
        may("quotas", quotas),
    ]);
    table(vec![
        must("aws", account),
        must("buckets", named(BUCKETS, 1..=2, bucket())),
        often(
            "identities",
            0.7,
            named(&["backup", "reader"], 1..=2, identity()),
        ),
        often("roles", 0.5, named(&["deploy"], 1..=1, role())),
    ])
}

/// A further statement of a bucket's policy.
pub(super) fn statement(bucket: &str) -> serde_json::Value {
    json!([{ "Sid": "Own", "Effect": "Deny", "Principal": "*", "Action": "s3:PutObjectAcl", "Resource": format!("arn:aws:s3:::{bucket}/*") }])
}
