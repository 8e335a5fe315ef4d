//! Clients of a sandbox, for runs and for manual requests.

use std::sync::OnceLock;

use serde_json::Value;
use trimtab::{
    clouds::{ClientConfig, CloudReaders, CrashPoint, aws, fly::FlyReader},
    kinds::Desired,
    model::Secret,
};
use trimtab_sandbox::{self as sandbox, RunningSandbox};

/// The configuration of a Fly client with an organization token.
pub(crate) fn fly_settings(
    sandbox: &RunningSandbox,
    org: &str,
    speed: f64,
    crash: Option<CrashPoint>,
) -> ClientConfig {
    let token = Secret::new(sandbox.org_token(org).unwrap());
    ClientConfig {
        crash_point: crash,
        ..ClientConfig::for_sandbox(sandbox.url(), token, speed)
    }
}

/// Clients of all clouds that a manifest uses.
pub(crate) async fn sandbox_readers(
    sandbox: &RunningSandbox,
    desired: &Desired,
    speed: f64,
    crash: Option<CrashPoint>,
) -> CloudReaders {
    let fly = FlyReader::new(&fly_settings(sandbox, &desired.meta.org, speed, crash)).unwrap();
    let Some(meta) = &desired.meta.aws else {
        return CloudReaders { fly, aws: None };
    };
    let sandbox::AwsAccessKey { id, secret } = sandbox.aws_keys(&meta.account).unwrap();
    let keys = aws::StaticCredentials {
        access_key_id: id,
        secret_access_key: Secret::new(secret),
        session_token: None,
    };
    let settings =
        aws::AwsSettings::for_sandbox(&meta.account, &meta.region, sandbox.aws_url(), keys, speed);
    let aws = aws::AwsReader::new(settings, &fly).await.unwrap();
    CloudReaders {
        fly,
        aws: Some(aws),
    }
}

/// Sends an API request with a user's token. An error is the status and the text of the response.
pub(crate) async fn send_request(
    sandbox: &RunningSandbox,
    method: &str,
    path: &str,
    body: &Value,
) -> Result<Value, (reqwest::StatusCode, String)> {
    let url = format!("{}{path}", sandbox.url());
    let request = http_client()
        .request(method.parse().unwrap(), url)
        .bearer_auth(sandbox.user_token().unwrap());
    // A body of `null` would not be the same as no body.
    let request = if body.is_null() {
        request
    } else {
        request.json(body)
    };
    let response = request.send().await.unwrap();
    let (status, text) = (response.status(), response.text().await.unwrap());
    if !status.is_success() {
        return Err((status, text));
    }
    Ok(serde_json::from_str(&text).unwrap_or(Value::Null))
}

/// Sends a request to the sandbox's admin API, with its own token, and asserts that it succeeds.
pub(crate) async fn send_admin_request(
    sandbox: &RunningSandbox,
    method: &str,
    path: &str,
    body: &Value,
) -> Value {
    let url = format!("{}/_sandbox/{path}", sandbox.url());
    let request = http_client()
        .request(method.parse().unwrap(), url)
        .bearer_auth(sandbox.admin_token());
    let request = if body.is_null() {
        request
    } else {
        request.json(body)
    };
    let response = request.send().await.unwrap();
    let (status, text) = (response.status(), response.text().await.unwrap());
    assert!(status.is_success(), "{method} {path}: {status} {text}");
    serde_json::from_str(&text).unwrap_or(Value::Null)
}

/// Creating a client takes longer than most requests, so all tests share one. It keeps no idle
/// connections, because those would not outlive the runtime that opened them.
fn http_client() -> &'static reqwest::Client {
    static CLIENT: OnceLock<reqwest::Client> = OnceLock::new();
    CLIENT.get_or_init(|| {
        reqwest::Client::builder()
            .pool_max_idle_per_host(0)
            .build()
            .unwrap()
    })
}
