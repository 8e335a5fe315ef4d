//! Buckets, identities and roles, through the whole of trimtab and then looked at with AWS's own clients.

use std::{
    path::Path,
    process::{Command, Output, Stdio},
    time::Duration,
};

use aws_sdk_s3::{
    config::{BehaviorVersion, Credentials, Region},
    error::{ProvideErrorMetadata, SdkError},
};
use serde_json::{Value, json};

use crate::support::TestEnv;

mod concurrent;
mod crash;
mod destroy;
mod drift;
mod github;
mod identity;
mod permissions;

const ACCOUNT: &str = "123456789012";
const REGION: &str = "eu-central-1";
const BUCKET: &str = "harbor-test-backups-123456789012";
const ROLE: &str = "harbor-test-backup";

/// A bucket, an app that may write below a prefix of it, and another app that may not.
pub(crate) const MANIFEST: &str = r#"
project = "harbor"
fly.org = "acme"

[aws]
account = "123456789012"
region = "eu-central-1"

[buckets.backups]
lifecycle.old = { prefix = "db/", expire_days = 30, noncurrent_days = 7 }
tags = { team = "sea" }

[identities.backup]
app = "web"
buckets.backups = { prefix = "db/" }

[apps.web]
primary_region = "fra"
image = "web:1"
machines.app.count = { fra = 1 }

[apps.web-other]
primary_region = "fra"
image = "web:1"
machines.app.count = { fra = 1 }
"#;

/// AWS's own clients for the sandbox of a team.
struct SdkClients {
    s3: aws_sdk_s3::Client,
    iam: aws_sdk_iam::Client,
    sts: aws_sdk_sts::Client,
}

impl SdkClients {
    /// The account's administrator.
    fn administrator(team: &TestEnv) -> Self {
        let keys = team.sandbox.aws_keys(ACCOUNT).unwrap();
        Self::with_credentials(
            team,
            &Credentials::new(keys.id, keys.secret, None, None, "test"),
        )
    }

    /// Whoever has these credentials.
    fn with_credentials(team: &TestEnv, credentials: &Credentials) -> Self {
        let url = team.sandbox.aws_url();
        macro_rules! config {
            ($sdk:ident) => {
                $sdk::config::Builder::new()
                    .behavior_version(BehaviorVersion::v2026_01_12())
                    .region(Region::new(REGION))
                    .endpoint_url(url.clone())
                    .credentials_provider(credentials.clone())
            };
        }
        Self {
            s3: aws_sdk_s3::Client::from_conf(config!(aws_sdk_s3).force_path_style(true).build()),
            iam: aws_sdk_iam::Client::from_conf(config!(aws_sdk_iam).build()),
            sts: aws_sdk_sts::Client::from_conf(config!(aws_sdk_sts).build()),
        }
    }
}

/// The code of an answer that must be an error.
#[track_caller]
fn error_code<T: std::fmt::Debug, E: ProvideErrorMetadata + std::fmt::Debug>(
    answer: Result<T, SdkError<E>>,
) -> String {
    answer.unwrap_err().code().unwrap_or_default().to_owned()
}

/// A request to the administration of a team's sandbox, and its answer as text.
async fn post_admin(team: &TestEnv, path: &str, body: Value) -> String {
    let url = format!("{}/_sandbox/{path}", team.sandbox.url());
    let answer = reqwest::Client::new()
        .post(url)
        .json(&body)
        .send()
        .await
        .unwrap();
    assert!(answer.status().is_success(), "{path}: {}", answer.status());
    answer.text().await.unwrap()
}

/// Runs the program itself against the sandbox of a team; a fault may befall it.
fn spawn_trimtab(
    team: &TestEnv,
    args: &[&str],
    fault: Option<&str>,
) -> std::thread::JoinHandle<Output> {
    let dir: &Path = team.dir.path();
    let mut command = Command::new(env!("CARGO_BIN_EXE_trimtab"));
    command
        .args(args)
        .arg(format!("--sandbox={}", dir.join("sandbox").display()))
        .arg("--environments")
        .arg(dir)
        .env_clear()
        .env("HOME", dir)
        .env("USER", "ada")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    if let Some(fault) = fault {
        command.env("TRIMTAB_SANDBOX_FAULT", fault);
    }
    let child = command.spawn().unwrap();
    std::thread::spawn(move || child.wait_with_output().unwrap())
}

/// Waits for a program. The server's time goes on meanwhile, and faster, so that what runs out does.
async fn wait_for_exit(team: &TestEnv, run: std::thread::JoinHandle<Output>) -> Output {
    let fly = team.readers(None).await.fly;
    while !run.is_finished() {
        fly.sleep_scaled(Duration::from_secs(1)).await;
        team.sandbox
            .advance_clock(Duration::from_millis(50))
            .unwrap();
    }
    run.join().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The token that a machine of an app gets from Fly.
async fn oidc_token(team: &TestEnv, app: &str) -> String {
    let name = team.desired().fly_app[app].name.clone();
    let machines = team
        .send_manual_request("GET", &format!("/v1/apps/{name}/machines"), json!(null))
        .await;
    post_admin(
        team,
        "oidc",
        json!({ "app": name, "machine": machines[0]["id"], "aud": "sts.amazonaws.com" }),
    )
    .await
}
