//! Clients of a sandbox, for a run of ours and for requests by hand.

use std::sync::OnceLock;

use serde_json::Value;
use trimtab::{clouds::{Fuse, Readers, Settings, aws, fly::Reader}, kinds::Desired, model::Secret};
use trimtab_sandbox::{self as sandbox, Running};

/// How Fly is asked with the token of an organization.
pub(crate) fn settings(sandbox: &Running, org: &str, speed: f64, fuse: Option<Fuse>) -> Settings {
    let token = Secret::new(sandbox.org_token(org).unwrap());
    Settings {
        fuse,
        ..Settings::imitation(sandbox.url(), token, speed)
    }
}

/// The clients of all clouds that a manifest names.
pub(crate) async fn readers(
    sandbox: &Running,
    desired: &Desired,
    speed: f64,
    fuse: Option<Fuse>,
) -> Readers {
    let fly = Reader::new(&settings(sandbox, &desired.meta.org, speed, fuse)).unwrap();
    let Some(meta) = &desired.meta.aws else {
        return Readers { fly, aws: None };
    };
    let sandbox::AwsKeys { id, secret } = sandbox.aws_keys(&meta.account).unwrap();
    let keys = aws::Keys {
        id,
        secret: Secret::new(secret),
        session: None,
    };
    let settings =
        aws::Settings::imitation(&meta.account, &meta.region, sandbox.aws_url(), keys, speed);
    let aws = aws::Reader::new(settings, &fly).await.unwrap();
    Readers {
        fly,
        aws: Some(aws),
    }
}

/// A request as somebody with a token would send it by hand; where it is refused, the status and what was said.
pub(crate) async fn ask(
    sandbox: &Running,
    method: &str,
    path: &str,
    body: &Value,
) -> Result<Value, (reqwest::StatusCode, String)> {
    let url = format!("{}{path}", sandbox.url());
    let request = client()
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
fn client() -> &'static reqwest::Client {
    static CLIENT: OnceLock<reqwest::Client> = OnceLock::new();
    CLIENT.get_or_init(|| {
        reqwest::Client::builder()
            .pool_max_idle_per_host(0)
            .build()
            .unwrap()
    })
}
