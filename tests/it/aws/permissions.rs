//! The policies that `trimtab permissions` prints are sufficient and minimal.

use std::process::{Command, Stdio};

use aws_sdk_s3::config::Credentials;
use serde_json::{Value, json};
use trimtab::{
    clouds::{CloudReaders, ErrorKind, aws},
    iam::policy::PolicyDocument,
    model::Secret,
    observe::observe,
    ops::permissions::{Purpose, build_policy},
};

use super::{ACCOUNT, BUCKET, MANIFEST, REGION, SdkClients, error_code, post_admin, stderr};
use crate::support::{TestEnv, default_inputs, sample};

/// The manifest without machines, which would take their time at real speed.
fn manifest_without_machines() -> String {
    MANIFEST.replace("count = { fra = 1 }", "count = 0")
}

/// Runs the program as a user does: with the endpoints of Fly and AWS in variables, and AWS keys
/// that have one policy. The sandbox runs at real speed, so that the program's lock does not
/// expire.
pub(super) struct LimitedRun<'a> {
    env: &'a TestEnv,
    keys: Value,
}

impl<'a> LimitedRun<'a> {
    async fn with_policy(env: &'a TestEnv, policy: &PolicyDocument) -> Self {
        let keys = post_admin(
            env,
            "aws/keys",
            json!({ "account": ACCOUNT, "policy": policy }),
        )
        .await;
        Self {
            env,
            keys: serde_json::from_str(&keys).unwrap(),
        }
    }

    /// As a session of a role.
    pub(super) async fn as_role(env: &'a TestEnv, role_arn: &str) -> Self {
        let assumed = SdkClients::administrator(env).sts.assume_role();
        let assumed = assumed.role_arn(role_arn).role_session_name("run").send();
        let session = assumed.await.unwrap().credentials.unwrap();
        let keys = json!({
            "access_key_id": session.access_key_id,
            "secret_access_key": session.secret_access_key,
            "session_token": session.session_token,
        });
        Self { env, keys }
    }

    /// With exactly the policy that `trimtab permissions` prints for a purpose.
    pub(super) async fn for_purpose(env: &'a TestEnv, purpose: &str) -> Self {
        let printed = Command::new(env!("CARGO_BIN_EXE_trimtab"))
            .args(["permissions", "test", "--for", purpose, "--environments"])
            .arg(env.dir.path())
            .env_clear()
            .output()
            .unwrap();
        assert!(printed.status.success(), "{}", stderr(&printed));
        Self::with_policy(
            env,
            &PolicyDocument::parse(&String::from_utf8(printed.stdout).unwrap()).unwrap(),
        )
        .await
    }

    /// The program with these arguments and credentials.
    pub(super) fn command(&self, args: &[&str]) -> Command {
        let (sandbox, dir) = (&self.env.sandbox, self.env.dir.path());
        let mut command = Command::new(env!("CARGO_BIN_EXE_trimtab"));
        command
            .args(args)
            .arg("--environments")
            .arg(dir)
            .env_clear()
            .env("HOME", dir)
            .env("USER", "ada");
        for api in [
            "FLY_FLAPS_BASE_URL",
            "FLY_API_BASE_URL",
            "FLY_UIEX_BASE_URL",
            "TRIMTAB_REGISTRY_BASE_URL",
        ] {
            command.env(api, sandbox.url());
        }
        command
            .env("FLY_API_TOKEN", sandbox.org_token("acme").unwrap())
            .env("AWS_ENDPOINT_URL", sandbox.aws_url())
            .env(
                "AWS_ACCESS_KEY_ID",
                self.keys["access_key_id"].as_str().unwrap(),
            )
            .env(
                "AWS_SECRET_ACCESS_KEY",
                self.keys["secret_access_key"].as_str().unwrap(),
            )
            .stdin(Stdio::null());
        if let Some(token) = self.keys["session_token"].as_str() {
            command.env("AWS_SESSION_TOKEN", token);
        }
        command
    }

    /// Runs the program; returns its exit code and its output.
    pub(super) async fn run(&self, args: &[&str]) -> (Option<i32>, String) {
        let mut command = self.command(args);
        let output = tokio::task::spawn_blocking(move || command.output().unwrap())
            .await
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &stderr(&output);
        (output.status.code(), text)
    }

    pub(super) async fn assert_succeeds(&self, args: &[&str]) -> String {
        let (code, text) = self.run(args).await;
        assert_eq!(code, Some(0), "{args:?}: {text}");
        text
    }

    async fn assert_denied(&self, args: &[&str]) -> String {
        let (code, text) = self.run(args).await;
        assert!(
            code != Some(0) && text.contains("AccessDenied"),
            "{args:?}: {code:?} {text}"
        );
        text
    }
}

const APPLY: [&str; 3] = ["apply", "test", "--yes"];
const DESTROY: [&str; 5] = [
    "destroy",
    "test",
    "--yes",
    "--allow-destroy",
    "aws.bucket/backups",
];

#[tokio::test(flavor = "multi_thread")]
async fn printed_policy_is_sufficient_and_minimal() {
    assert_policies_suffice(&manifest_without_machines()).await;
}

/// Everything in such a bucket is encrypted with the key, including the lock.
#[tokio::test(flavor = "multi_thread")]
async fn printed_policy_covers_customer_kms_key() {
    let keys = [
        "alias/backups",
        "arn:aws:kms:eu-central-1:123456789012:key/2f4e7a60-0000-4000-8000-000000000001",
    ];
    for key in sample(keys, 0, 2) {
        let encryption = format!("[buckets.backups]\nencryption = {{ kms = \"{key}\" }}\n");
        assert_policies_suffice(
            &manifest_without_machines().replace("[buckets.backups]\n", &encryption),
        )
        .await;
    }
}

/// Plans, applies and destroys, each with exactly the printed policy.
async fn assert_policies_suffice(manifest: &str) {
    let env = real_speed_env(manifest).await;
    let SdkClients { s3, iam, .. } = SdkClients::administrator(&env);
    let plans = LimitedRun::for_purpose(&env, "plan").await;
    assert!(
        plans
            .assert_succeeds(&["plan", "test"])
            .await
            .contains("5 to add, 0 to change, 0 to destroy.")
    );
    plans.assert_denied(&APPLY).await;

    let applies = LimitedRun::for_purpose(&env, "apply").await;
    applies.assert_succeeds(&APPLY).await;
    // The lock was acquired and released under this policy.
    let lock = s3
        .get_object()
        .bucket(BUCKET)
        .key(".trimtab/locks/harbor/test.json")
        .send()
        .await
        .unwrap();
    let lock: Value = serde_json::from_slice(&lock.body.collect().await.unwrap().to_vec()).unwrap();
    assert_eq!(lock["released"], true, "{lock}");
    plans.assert_succeeds(&["drift", "test"]).await;
    plans
        .assert_succeeds(&["plan", "test", "--detailed-exitcode"])
        .await;
    applies.assert_denied(&DESTROY).await;

    LimitedRun::for_purpose(&env, "destroy")
        .await
        .assert_succeeds(&DESTROY)
        .await;
    assert!(s3.list_buckets().send().await.unwrap().buckets().is_empty());
    assert!(iam.list_roles().send().await.unwrap().roles().is_empty());
    let left = iam.list_open_id_connect_providers().send().await.unwrap();
    assert!(left.open_id_connect_provider_list().is_empty());
}

/// An environment at real speed.
pub(super) async fn real_speed_env(manifest: &str) -> TestEnv {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("test.toml"), manifest).unwrap();
    TestEnv::with_speed(dir, "test", default_inputs(), Vec::new(), 1.0).await
}

#[tokio::test(flavor = "multi_thread")]
async fn apply_without_lock_permission_is_denied() {
    let env = real_speed_env(&manifest_without_machines()).await;
    let printed = build_policy(&env.desired(), Purpose::Apply).unwrap();
    let others = printed
        .statements()
        .filter(|one| !one.sid().is_some_and(|sid| sid.starts_with("Lock")));
    let others: Vec<Value> = others
        .map(trimtab::iam::policy::Statement::to_json)
        .collect();
    assert_eq!(others.len() + 1, printed.statements().count());
    let without =
        PolicyDocument::from_json(&json!({ "Version": "2012-10-17", "Statement": others }))
            .unwrap();
    let output = LimitedRun::with_policy(&env, &without)
        .await
        .assert_denied(&APPLY)
        .await;
    assert!(output.contains("lock"), "{output}");
    let SdkClients { s3, iam, .. } = SdkClients::administrator(&env);
    assert_eq!(
        s3.list_buckets().send().await.unwrap().buckets().len(),
        1,
        "what holds the lock comes first"
    );
    assert!(
        iam.list_roles().send().await.unwrap().roles().is_empty(),
        "and then nothing"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn destroy_policy_cannot_change_another_environment() {
    let env = TestEnv::new(MANIFEST).await;
    let SdkClients { s3, .. } = SdkClients::administrator(&env);
    // A bucket of the environment `test-eu`, whose names have those of `test` as a prefix.
    let other = "harbor-test-eu-backups-123456789012";
    let location = aws_sdk_s3::types::BucketLocationConstraint::EuCentral1;
    let location = aws_sdk_s3::types::CreateBucketConfiguration::builder()
        .location_constraint(location)
        .build();
    s3.create_bucket()
        .bucket(other)
        .create_bucket_configuration(location)
        .send()
        .await
        .unwrap();
    let lock = ".trimtab/locks/harbor/test-eu.json";
    s3.put_object()
        .bucket(other)
        .key(lock)
        .body(b"{}".to_vec().into())
        .send()
        .await
        .unwrap();
    let printed = build_policy(&env.desired(), Purpose::Destroy).unwrap();
    let keys = LimitedRun::with_policy(&env, &printed).await.keys;
    let text = |name: &str| keys[name].as_str().unwrap().to_owned();
    let credentials = Credentials::new(
        text("access_key_id"),
        text("secret_access_key"),
        None,
        None,
        "test",
    );
    let limited = SdkClients::with_credentials(&env, &credentials).s3;
    assert_eq!(
        error_code(limited.delete_object().bucket(other).key(lock).send().await),
        "AccessDenied"
    );
    assert_eq!(
        error_code(limited.put_object().bucket(other).key(lock).send().await),
        "AccessDenied"
    );
    assert_eq!(
        error_code(limited.get_object().bucket(other).key(lock).send().await),
        "AccessDenied"
    );
    assert_eq!(
        error_code(limited.delete_bucket_policy().bucket(other).send().await),
        "AccessDenied"
    );
    assert_eq!(
        error_code(
            limited
                .delete_public_access_block()
                .bucket(other)
                .send()
                .await
        ),
        "AccessDenied"
    );
    assert_eq!(
        error_code(limited.delete_bucket_lifecycle().bucket(other).send().await),
        "AccessDenied"
    );
    // Reading is allowed: only the tags tell which environment owns the bucket.
    assert_eq!(
        error_code(limited.get_bucket_tagging().bucket(other).send().await),
        "NoSuchTagSet"
    );
}

#[tokio::test]
async fn wrong_account_is_rejected_before_planning() {
    let env = TestEnv::new(MANIFEST).await;
    let other = env.sandbox.aws_keys("210987654321").unwrap();
    let keys = aws::StaticCredentials {
        access_key_id: other.id,
        secret_access_key: Secret::new(other.secret),
        session_token: None,
    };
    let settings =
        aws::AwsSettings::for_sandbox(ACCOUNT, REGION, env.sandbox.aws_url(), keys, 200.0);
    let fly = env.readers(None).await.fly;
    let aws = Some(aws::AwsReader::new(settings, &fly).await.unwrap());
    let error = observe(&CloudReaders { fly, aws }, &env.desired())
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::PermissionDenied);
    let text = error.to_string();
    assert!(
        text.contains("the manifest says 123456789012, and the credentials are for 210987654321"),
        "{text}"
    );
}
