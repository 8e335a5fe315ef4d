//! Changes after which nobody could read what is there, or change the environment any more.

use aws_sdk_s3::primitives::ByteStream;
use serde_json::json;
use trimtab::iam::policy::PolicyDocument;

use super::{
    ACCOUNT, BUCKET, MANIFEST, SdkClients,
    permissions::{LimitedRun, real_speed_env},
};
use crate::support::TestEnv;

const LOCK_KEY: &str = ".trimtab/locks/harbor/test.json";
const APPLY: [&str; 3] = ["apply", "test", "--yes"];

fn key(number: u32) -> String {
    format!("arn:aws:kms:eu-central-1:{ACCOUNT}:key/{number}{number}{number}{number}")
}

/// The manifest with more lines in its bucket, and without machines, which would take their time.
fn manifest_with(bucket: &str) -> String {
    MANIFEST
        .replace("count = { fra = 1 }", "count = 0")
        .replace(
            "[buckets.backups]\n",
            &format!("[buckets.backups]\n{bucket}\n"),
        )
}

#[tokio::test]
async fn another_key_is_refused_while_an_identity_reads_what_is_there() {
    let with_key = |number: u32| format!("encryption = {{ kms = \"{}\" }}", key(number));
    let env = TestEnv::new(&manifest_with(&with_key(1))).await;
    env.apply().await;
    // An empty bucket has nothing that could be lost.
    env.write_manifest(&manifest_with(&with_key(2)));
    assert!(!env.summary().await.concat().contains("blocked"));
    let s3 = SdkClients::administrator(&env).s3;
    s3.put_object()
        .bucket(BUCKET)
        .key("db/monday")
        .body(ByteStream::from_static(b"x"))
        .send()
        .await
        .unwrap();
    for bucket in [with_key(2), String::new()] {
        env.write_manifest(&manifest_with(&bucket));
        let summary = env.summary().await.join("\n");
        assert!(
            summary.contains(&format!(
                "blocked aws.bucket/backups: bucket {BUCKET} holds objects that are encrypted with {}, and backup could not read \
                 them any more",
                key(1)
            )),
            "{summary}"
        );
    }
    let kept = format!("{}\nformer_kms_keys = [\"{}\"]", with_key(2), key(1));
    env.write_manifest(&manifest_with(&kept));
    env.apply().await;
    assert_eq!(env.summary().await, Vec::<String>::new());
    let access = env.world().await.aws_role["backup"].policies["access"].describe();
    assert!(
        access.iter().any(|line| line.contains("1111")),
        "{access:?}"
    );
    // When nothing is encrypted with the old key any more, the user takes it out.
    env.write_manifest(&manifest_with(&with_key(2)));
    env.apply().await;
    assert_eq!(env.summary().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn lock_outlives_the_keys_of_its_bucket() {
    let without_readers = |bucket: &str| {
        let manifest = manifest_with(bucket);
        let (before, after) = manifest.split_once("[identities.backup]").unwrap();
        let apps = after.split_once("[apps.web]").unwrap().1;
        format!("{before}[apps.web]{apps}")
    };
    let with_key = |number: u32| format!("encryption = {{ kms = \"{}\" }}", key(number));
    let env = real_speed_env(&without_readers(&with_key(1))).await;
    for bucket in [with_key(1), with_key(2), String::new()] {
        env.write_manifest(&without_readers(&bucket));
        // Exactly the rights that the manifest asks for by then.
        let run = LimitedRun::for_purpose(&env, "apply").await;
        run.assert_succeeds(&APPLY).await;
        let s3 = SdkClients::administrator(&env).s3;
        let lock = s3.head_object().bucket(BUCKET).key(LOCK_KEY).send();
        let lock = lock.await.unwrap();
        assert_eq!(
            lock.server_side_encryption().unwrap().as_str(),
            "AES256",
            "{bucket}"
        );
    }
}

/// Statements of many compliance rules, see opentofu/opentofu#2970, and the encryption that passes.
#[tokio::test(flavor = "multi_thread")]
async fn lock_is_written_as_the_policy_of_the_bucket_demands() {
    let sse = "\"s3:x-amz-server-side-encryption\"";
    let key_id = "\"s3:x-amz-server-side-encryption-aws-kms-key-id\"";
    let own_key = format!(
        "StringNotEqualsIfExists = {{ {key_id} = \"{}\" }}, Null = {{ {sse} = \"false\" }}",
        key(1)
    );
    for (condition, expected) in [
        (format!("Null = {{ {sse} = \"true\" }}"), "AES256"),
        (
            format!("StringNotEquals = {{ {sse} = \"aws:kms\" }}"),
            "aws:kms",
        ),
        (own_key, "aws:kms"),
    ] {
        let bucket = format!(
            "encryption = {{ kms = \"{}\" }}\nstatements = [{{ Effect = \"Deny\", Principal = \"*\", Action = \"s3:PutObject\", \
             Resource = \"${{buckets.backups.arn}}/*\", Condition = {{ {condition} }} }}]",
            key(1)
        );
        let env = real_speed_env(&manifest_with(&bucket)).await;
        let run = LimitedRun::for_purpose(&env, "apply").await;
        run.assert_succeeds(&APPLY).await;
        run.assert_succeeds(&APPLY).await;
        let s3 = SdkClients::administrator(&env).s3;
        let lock = s3.head_object().bucket(BUCKET).key(LOCK_KEY).send();
        let lock = lock.await.unwrap();
        assert_eq!(
            lock.server_side_encryption().unwrap().as_str(),
            expected,
            "{condition}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn policy_that_shuts_out_the_run_is_not_written() {
    let env = real_speed_env(&manifest_with("")).await;
    let run = LimitedRun::for_purpose(&env, "apply").await;
    run.assert_succeeds(&APPLY).await;
    let statement = "statements = [{ Sid = \"OnlyAdmin\", Effect = \"Deny\", Principal = \"*\", Action = \"s3:PutBucketPolicy\", \
        Resource = \"${buckets.backups.arn}\", Condition.ArnNotEquals.\"aws:PrincipalArn\" = \"arn:aws:iam::123456789012:role/admin\" }]";
    env.write_manifest(&manifest_with(statement));
    let planned = run
        .assert_succeeds(&["plan", "test", "--format", "text"])
        .await;
    assert!(
        planned.contains("`OnlyAdmin` of the policy of bucket"),
        "{planned}"
    );
    let (code, text) = run.run(&APPLY).await;
    assert_eq!(code, Some(4), "{text}");
    assert!(text.contains("would deny s3:PutBucketPolicy to"), "{text}");
    let live = env.world().await.aws_bucket["backups"].policy.clone();
    let live = serde_json::to_string(&live).unwrap();
    assert!(!live.contains("OnlyAdmin"), "{live}");
}

#[tokio::test(flavor = "multi_thread")]
async fn live_policy_that_denies_the_lock_names_the_way_out() {
    let env = real_speed_env(&manifest_with("")).await;
    let run = LimitedRun::for_purpose(&env, "apply").await;
    run.assert_succeeds(&APPLY).await;
    let policy = json!({ "Version": "2012-10-17", "Statement": [{
        "Effect": "Deny", "Principal": "*", "Action": "s3:PutObject", "Resource": format!("arn:aws:s3:::{BUCKET}/*"),
    }] });
    PolicyDocument::from_json(&policy).unwrap();
    let s3 = SdkClients::administrator(&env).s3;
    let put = s3.put_bucket_policy().bucket(BUCKET);
    put.policy(policy.to_string()).send().await.unwrap();
    let (code, text) = run.run(&APPLY).await;
    assert_eq!(code, Some(1), "{text}");
    assert!(
        text.contains("the bucket's own policy denies this") && text.contains("get-bucket-policy"),
        "{text}"
    );
}

/// A rule without a prefix covers the lock as well.
#[tokio::test(flavor = "multi_thread")]
async fn lock_in_an_archive_is_taken() {
    let env = real_speed_env(&manifest_with("")).await;
    let run = LimitedRun::for_purpose(&env, "apply").await;
    run.assert_succeeds(&APPLY).await;
    let s3 = SdkClients::administrator(&env).s3;
    let read = s3.get_object().bucket(BUCKET).key(LOCK_KEY).send();
    let body = read.await.unwrap().body.collect().await.unwrap();
    let put = s3.put_object().bucket(BUCKET).key(LOCK_KEY);
    let put = put.storage_class(aws_sdk_s3::types::StorageClass::Glacier);
    put.body(body.into_bytes().into()).send().await.unwrap();
    env.sandbox
        .advance_clock(std::time::Duration::from_secs(700))
        .unwrap();
    let other = manifest_with("").replace("team = \"sea\"", "team = \"land\"");
    env.write_manifest(&other);
    run.assert_succeeds(&APPLY).await;
}

/// The lock's bucket cannot be looked at, so another run may hold the lock: nothing is destroyed without it.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_destroyed_without_the_lock() {
    let env = real_speed_env(&manifest_with("")).await;
    let run = LimitedRun::for_purpose(&env, "destroy").await;
    env.apply().await;
    let arns = [
        format!("arn:aws:s3:::{BUCKET}"),
        format!("arn:aws:s3:::{BUCKET}/*"),
    ];
    let policy = json!({ "Version": "2012-10-17", "Statement": [{
        "Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": arns,
        "Condition": { "DateGreaterThan": { "aws:CurrentTime": "2020-01-01T00:00:00Z" } },
    }] });
    let s3 = SdkClients::administrator(&env).s3;
    let put = s3.put_bucket_policy().bucket(BUCKET);
    put.policy(policy.to_string()).send().await.unwrap();
    let destroy = [
        "destroy",
        "test",
        "--yes",
        "--allow-destroy",
        "aws.bucket/backups",
    ];
    let (code, text) = run.run(&destroy).await;
    assert_eq!(code, Some(3), "{text}");
    assert!(
        text.contains(&format!(
            "the lock of this environment is in bucket {BUCKET}"
        )),
        "{text}"
    );
    let apps = env.send_manual_request("GET", "/v1/apps?org_slug=acme", serde_json::Value::Null);
    assert_eq!(apps.await["apps"].as_array().unwrap().len(), 2);
    // The account's root user can always take the policy off.
    let administrator = SdkClients::administrator(&env).iam;
    let role = administrator.get_role().role_name(super::ROLE).send().await;
    assert!(role.is_ok(), "{role:?}");
}

/// S3 deletes what a lifecycle rule lets expire without asking again.
#[tokio::test]
async fn a_lifecycle_that_deletes_what_is_there_needs_permission() {
    let env = TestEnv::new(&manifest_with("protected = true")).await;
    env.apply().await;
    let short = |versioning: bool| {
        manifest_with(&format!(
            "protected = true\nversioning = {versioning}\nlifecycle.all = {{ expire_days = 1, noncurrent_days = 1 }}"
        ))
    };
    // An empty bucket has nothing to lose.
    env.write_manifest(&short(false));
    assert_eq!(refused(&env).await, Vec::<String>::new());
    let s3 = SdkClients::administrator(&env).s3;
    let put = s3.put_object().bucket(BUCKET).key("db/monday");
    put.body(ByteStream::from_static(b"x"))
        .send()
        .await
        .unwrap();
    for lossy in [
        short(true),
        short(false),
        manifest_with("lifecycle.all = { noncurrent_days = 1 }"),
        manifest_with("versioning = false\nlifecycle.all = { expire_days = 400 }"),
    ] {
        env.write_manifest(&lossy);
        assert_eq!(refused(&env).await, ["aws.bucket/backups"], "{lossy}");
    }
    for kept in [
        manifest_with("").replace("team = \"sea\"", "team = \"land\""),
        manifest_with("lifecycle.all = { transitions = { GLACIER = 90 } }"),
    ] {
        env.write_manifest(&kept);
        assert_eq!(refused(&env).await, Vec::<String>::new(), "{kept}");
    }
    env.write_manifest(&short(false));
    env.apply().await;
    assert_eq!(env.summary().await, Vec::<String>::new());
}

/// The addresses that the guard refuses without any permission.
async fn refused(env: &TestEnv) -> Vec<String> {
    let refusals = trimtab::plan::refusals(&env.plan().await, &trimtab::plan::Limits::default());
    let addresses = refusals.into_iter().filter_map(|refusal| refusal.address);
    addresses.map(|address| address.to_string()).collect()
}
