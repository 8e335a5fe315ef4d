//! Buckets, identities and roles: applied by trimtab and then inspected with the AWS SDK.

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
mod interrupt;
mod lost_access;
mod permissions;
mod role_trust;
mod unmanaged_settings;

pub(crate) const ACCOUNT: &str = "123456789012";
const REGION: &str = "eu-central-1";
const BUCKET: &str = "harbor-test-backups-123456789012";
const ROLE: &str = "harbor-test-backup";

/// A bucket, an app that may write below a prefix of it, and an app without access.
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

/// AWS SDK clients for the sandbox of a test environment.
pub(crate) struct SdkClients {
    pub(crate) s3: aws_sdk_s3::Client,
    pub(crate) iam: aws_sdk_iam::Client,
    sts: aws_sdk_sts::Client,
}

impl SdkClients {
    /// Clients of the account's administrator.
    pub(crate) fn administrator(env: &TestEnv) -> Self {
        let keys = env.sandbox.aws_keys(ACCOUNT).unwrap();
        Self::with_credentials(
            env,
            &Credentials::new(keys.id, keys.secret, None, None, "test"),
        )
    }

    fn with_credentials(env: &TestEnv, credentials: &Credentials) -> Self {
        let url = env.sandbox.aws_url();
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

/// The error code of a request that must have failed.
#[track_caller]
fn error_code<T: std::fmt::Debug, E: ProvideErrorMetadata + std::fmt::Debug>(
    response: Result<T, SdkError<E>>,
) -> String {
    response.unwrap_err().code().unwrap_or_default().to_owned()
}

/// Sends a POST request to the sandbox's admin API and returns the response's text.
async fn post_admin(env: &TestEnv, path: &str, body: Value) -> String {
    let url = format!("{}/_sandbox/{path}", env.sandbox.url());
    let response = reqwest::Client::new()
        .post(url)
        .bearer_auth(env.sandbox.user_token().unwrap())
        .json(&body)
        .send()
        .await
        .unwrap();
    assert!(
        response.status().is_success(),
        "{path}: {}",
        response.status()
    );
    response.text().await.unwrap()
}

/// Starts the trimtab program against the sandbox, optionally with a fault.
fn spawn_trimtab(
    env: &TestEnv,
    args: &[&str],
    fault: Option<&str>,
) -> std::thread::JoinHandle<Output> {
    let dir: &Path = env.dir.path();
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

/// Waits until the program ends. Meanwhile the sandbox's clock is advanced, so that leases and
/// locks expire quickly.
async fn wait_for_exit(env: &TestEnv, run: std::thread::JoinHandle<Output>) -> Output {
    let fly = env.readers(None).await.fly;
    while !run.is_finished() {
        fly.sleep_scaled(Duration::from_secs(1)).await;
        env.sandbox
            .advance_clock(Duration::from_millis(50))
            .unwrap();
    }
    run.join().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The OIDC token that Fly issues to a machine of an app.
async fn oidc_token(env: &TestEnv, app: &str) -> String {
    let name = env.desired().fly_app[app].name.clone();
    let machines = env
        .send_manual_request("GET", &format!("/v1/apps/{name}/machines"), json!(null))
        .await;
    post_admin(
        env,
        "oidc",
        json!({ "app": name, "machine": machines[0]["id"], "aud": "sts.amazonaws.com" }),
    )
    .await
}
