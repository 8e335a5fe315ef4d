//! What `trimtab permissions` prints is enough, and no more than that.

use std::process::{Command, Stdio};

use aws_sdk_s3::config::Credentials;
use serde_json::{Value, json};
use trimtab::{
    clouds::{Readers, Trouble, aws},
    kinds::aws::{
        permissions::{Purpose, policy},
        policy::Policy,
    },
    model::Secret,
    observe::observe,
};

use super::{ACCOUNT, BUCKET, Clients, HARBOR, REGION, admin, code, said};
use crate::support::{Team, values};

/// What it is without machines: those of a real Fly take their time.
fn harbor() -> String {
    HARBOR.replace("count = { fra = 1 }", "count = 0")
}

/// The program as a user runs it, told where Fly and AWS are and given keys that may do what a policy says. Time goes as it
/// does for the program, so that its hold on the lock does not run out.
struct Limited<'a> {
    team: &'a Team,
    keys: Value,
}

impl<'a> Limited<'a> {
    async fn with(team: &'a Team, policy: &Policy) -> Self {
        let keys = admin(
            team,
            "aws/keys",
            json!({ "account": ACCOUNT, "policy": policy }),
        )
        .await;
        Self {
            team,
            keys: serde_json::from_str(&keys).unwrap(),
        }
    }

    /// Exactly what `trimtab permissions` prints for a purpose.
    async fn to(team: &'a Team, purpose: &str) -> Self {
        let printed = Command::new(env!("CARGO_BIN_EXE_trimtab"))
            .args(["permissions", "test", "--for", purpose, "--environments"])
            .arg(team.dir.path())
            .env_clear()
            .output()
            .unwrap();
        assert!(printed.status.success(), "{}", said(&printed));
        Self::with(
            team,
            &Policy::parse(&String::from_utf8(printed.stdout).unwrap()).unwrap(),
        )
        .await
    }

    /// Runs it to its end: its exit code, and what it said.
    async fn run(&self, args: &[&str]) -> (Option<i32>, String) {
        let (sandbox, dir) = (&self.team.sandbox, self.team.dir.path());
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
        let output = tokio::task::spawn_blocking(move || command.output().unwrap())
            .await
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &said(&output);
        (output.status.code(), text)
    }

    async fn does(&self, args: &[&str]) -> String {
        let (code, text) = self.run(args).await;
        assert_eq!(code, Some(0), "{args:?}: {text}");
        text
    }

    async fn may_not(&self, args: &[&str]) -> String {
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
async fn each_purpose_has_what_it_needs_and_no_more() {
    enough(&harbor()).await;
}

/// Whatever is written to such a bucket is written with the key, the lock as well.
#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_with_a_key_of_ours_asks_for_the_right_to_the_key() {
    for key in [
        "alias/backups",
        "arn:aws:kms:eu-central-1:123456789012:key/2f4e7a60-0000-4000-8000-000000000001",
    ] {
        let encryption = format!("[buckets.backups]\nencryption = {{ kms = \"{key}\" }}\n");
        enough(&harbor().replace("[buckets.backups]\n", &encryption)).await;
    }
}

/// Plans, applies and destroys, each with exactly what is printed for it.
async fn enough(manifest: &str) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("test.toml"), manifest).unwrap();
    let team = Team::paced(dir, "test", values(), Vec::new(), 1.0).await;
    let Clients { s3, iam, .. } = Clients::of(&team);
    let plans = Limited::to(&team, "plan").await;
    assert!(
        plans
            .does(&["plan", "test"])
            .await
            .contains("5 to add, 0 to change, 0 to destroy.")
    );
    plans.may_not(&APPLY).await;

    let applies = Limited::to(&team, "apply").await;
    applies.does(&APPLY).await;
    // The lock was taken under them, and given back.
    let lock = s3
        .get_object()
        .bucket(BUCKET)
        .key(".trimtab/locks/harbor/test.json")
        .send()
        .await
        .unwrap();
    let lock: Value = serde_json::from_slice(&lock.body.collect().await.unwrap().to_vec()).unwrap();
    assert_eq!(lock["released"], true, "{lock}");
    plans.does(&["drift", "test"]).await;
    plans.does(&["plan", "test", "--detailed-exitcode"]).await;
    applies.may_not(&DESTROY).await;

    Limited::to(&team, "destroy").await.does(&DESTROY).await;
    assert!(s3.list_buckets().send().await.unwrap().buckets().is_empty());
    assert!(iam.list_roles().send().await.unwrap().roles().is_empty());
    let left = iam.list_open_id_connect_providers().send().await.unwrap();
    assert!(left.open_id_connect_provider_list().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_right_to_the_lock_nothing_is_applied() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("test.toml"), harbor()).unwrap();
    let team = Team::paced(dir, "test", values(), Vec::new(), 1.0).await;
    let printed = policy(&team.desired(), Purpose::Apply).unwrap();
    let others = printed
        .statements()
        .filter(|one| !one.sid().is_some_and(|sid| sid.starts_with("Lock")));
    let others: Vec<Value> = others
        .map(trimtab::kinds::aws::policy::Statement::json)
        .collect();
    assert_eq!(others.len() + 1, printed.statements().count());
    let without = Policy::of(&json!({ "Version": "2012-10-17", "Statement": others })).unwrap();
    let said = Limited::with(&team, &without).await.may_not(&APPLY).await;
    assert!(said.contains("lock"), "{said}");
    let Clients { s3, iam, .. } = Clients::of(&team);
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
async fn what_removes_blocks_that_left_cannot_change_another_environment_s() {
    let team = Team::new(HARBOR).await;
    let Clients { s3, .. } = Clients::of(&team);
    // A bucket of the environment `test-eu`, whose name begins as those of `test` do.
    let other = "harbor-test-eu-backups-123456789012";
    let place = aws_sdk_s3::types::BucketLocationConstraint::EuCentral1;
    let place = aws_sdk_s3::types::CreateBucketConfiguration::builder()
        .location_constraint(place)
        .build();
    s3.create_bucket()
        .bucket(other)
        .create_bucket_configuration(place)
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
    let printed = policy(&team.desired(), Purpose::Destroy).unwrap();
    let keys = Limited::with(&team, &printed).await.keys;
    let text = |name: &str| keys[name].as_str().unwrap().to_owned();
    let credentials = Credentials::new(
        text("access_key_id"),
        text("secret_access_key"),
        None,
        None,
        "test",
    );
    let limited = Clients::with(&team, &credentials).s3;
    assert_eq!(
        code(limited.delete_object().bucket(other).key(lock).send().await),
        "AccessDenied"
    );
    assert_eq!(
        code(limited.put_object().bucket(other).key(lock).send().await),
        "AccessDenied"
    );
    assert_eq!(
        code(limited.get_object().bucket(other).key(lock).send().await),
        "AccessDenied"
    );
    assert_eq!(
        code(limited.delete_bucket_policy().bucket(other).send().await),
        "AccessDenied"
    );
    assert_eq!(
        code(
            limited
                .delete_public_access_block()
                .bucket(other)
                .send()
                .await
        ),
        "AccessDenied"
    );
    assert_eq!(
        code(limited.delete_bucket_lifecycle().bucket(other).send().await),
        "AccessDenied"
    );
    // It can be looked at, since only its tags say whose it is.
    assert_eq!(
        code(limited.get_bucket_tagging().bucket(other).send().await),
        "NoSuchTagSet"
    );
}

#[tokio::test]
async fn the_wrong_account_is_refused_before_anything_is_planned() {
    let team = Team::new(HARBOR).await;
    let other = team.sandbox.aws_keys("210987654321").unwrap();
    let keys = aws::Keys {
        id: other.id,
        secret: Secret::new(other.secret),
        session: None,
    };
    let settings = aws::Settings::imitation(ACCOUNT, REGION, team.sandbox.aws_url(), keys, 200.0);
    let fly = team.readers(None).await.fly;
    let aws = Some(aws::Reader::new(settings, &fly).await.unwrap());
    let error = observe(&Readers { fly, aws }, &team.desired())
        .await
        .unwrap_err();
    assert_eq!(error.trouble, Trouble::Denied);
    let text = error.to_string();
    assert!(
        text.contains("the manifest says 123456789012, and the credentials are for 210987654321"),
        "{text}"
    );
}
