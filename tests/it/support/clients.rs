//! Clients of a sandbox, for a run of ours and for requests by hand.

use std::sync::OnceLock;

use serde_json::Value;
use trimtab::{
    clouds::{ClientConfig, CloudReaders, CrashPoint, aws, fly::FlyReader},
    kinds::Desired,
    model::Secret,
};
use trimtab_sandbox::{self as sandbox, RunningSandbox};

/// How Fly is asked with the token of an organization.
pub(crate) fn fly_settings(
    sandbox: &RunningSandbox,
    org: &str,
    speed: f64,
    fuse: Option<CrashPoint>,
) -> ClientConfig {
    let token = Secret::new(sandbox.org_token(org).unwrap());
    ClientConfig {
        crash_point: fuse,
        ..ClientConfig::for_sandbox(sandbox.url(), token, speed)
    }
}

/// The clients of all clouds that a manifest names.
pub(crate) async fn sandbox_readers(
    sandbox: &RunningSandbox,
    desired: &Desired,
    speed: f64,
    fuse: Option<CrashPoint>,
) -> CloudReaders {
    let fly = FlyReader::new(&fly_settings(sandbox, &desired.meta.org, speed, fuse)).unwrap();
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

/// A request as somebody with a token would send it by hand; where it is refused, the status and what was said.
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
    // Nothing is no body: `null` would be one.
    let request = if body.is_null() {
        request
    } else {
        request.json(body)
    };
    let answer = request.send().await.unwrap();
    let (status, text) = (answer.status(), answer.text().await.unwrap());
    if !status.is_success() {
        return Err((status, text));
    }
    Ok(serde_json::from_str(&text).unwrap_or(Value::Null))
}

/// One for each runtime would be tidier; but making one takes longer than most requests, and without idle connections
/// none outlives the runtime that it was made in.
fn http_client() -> &'static reqwest::Client {
    static CLIENT: OnceLock<reqwest::Client> = OnceLock::new();
    CLIENT.get_or_init(|| {
        reqwest::Client::builder()
            .pool_max_idle_per_host(0)
            .build()
            .unwrap()
    })
}
