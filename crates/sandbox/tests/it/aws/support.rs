//! AWS clients for a sandbox, and helpers that look at their errors.

use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::{RequestId, RequestIdExt};
use serde_json::Value;
use trimtab_sandbox::AwsAccessKey;

use crate::support::TestSandbox;

pub(crate) const ACCOUNT: &str = "123456789012";
pub(crate) const OTHER_ACCOUNT: &str = "210987654321";
pub(crate) const US_EAST: &str = "us-east-1";
pub(crate) const EU_CENTRAL: &str = "eu-central-1";

/// Clients that share credentials and a region. They do not retry, so that tests see every
/// response.
pub(crate) struct SandboxAwsClients {
    pub(crate) s3: aws_sdk_s3::Client,
    pub(crate) iam: aws_sdk_iam::Client,
    pub(crate) sts: aws_sdk_sts::Client,
}

/// Clients of an account's administrator.
pub(crate) fn admin_clients(
    sandbox: &TestSandbox,
    account: &str,
    region: &str,
) -> SandboxAwsClients {
    clients_with_keys(
        sandbox,
        &sandbox.running.aws_keys(account).unwrap(),
        None,
        region,
    )
}

pub(crate) fn clients_with_keys(
    sandbox: &TestSandbox,
    keys: &AwsAccessKey,
    token: Option<String>,
    region: &str,
) -> SandboxAwsClients {
    let AwsAccessKey { id, secret } = keys;
    let credentials = Credentials::new(id, secret, token, None, "test");
    let (url, region) = (sandbox.running.aws_url(), region.to_owned());
    macro_rules! config {
        ($sdk:ident) => {
            $sdk::config::Builder::new()
                .behavior_version(BehaviorVersion::v2026_01_12())
                .region(Region::new(region.clone()))
                .endpoint_url(url.clone())
                .retry_config(RetryConfig::disabled())
                .credentials_provider(credentials.clone())
        };
    }
    SandboxAwsClients {
        s3: aws_sdk_s3::Client::from_conf(config!(aws_sdk_s3).force_path_style(true).build()),
        iam: aws_sdk_iam::Client::from_conf(config!(aws_sdk_iam).build()),
        sts: aws_sdk_sts::Client::from_conf(config!(aws_sdk_sts).build()),
    }
}

/// Clients with the credentials of a session.
pub(crate) fn session_clients(
    sandbox: &TestSandbox,
    credentials: &aws_sdk_sts::types::Credentials,
) -> SandboxAwsClients {
    let keys = AwsAccessKey {
        id: credentials.access_key_id().to_owned(),
        secret: credentials.secret_access_key().to_owned(),
    };
    let token = Some(credentials.session_token().to_owned());
    clients_with_keys(sandbox, &keys, token, US_EAST)
}

/// A policy document with these statements.
pub(crate) fn policy_with(statements: Value) -> Value {
    let mut policy = serde_json::json!({ "Version": "2012-10-17" });
    policy["Statement"] = statements;
    policy
}

pub(crate) fn iam_tag(key: &str, value: &str) -> aws_sdk_iam::types::Tag {
    aws_sdk_iam::types::Tag::builder()
        .key(key)
        .value(value)
        .build()
        .unwrap()
}

/// Clients of a new user with this policy.
pub(crate) async fn clients_with_policy(sandbox: &TestSandbox, policy: Value) -> SandboxAwsClients {
    let body = serde_json::json!({ "account": ACCOUNT, "policy": policy });
    let keys = sandbox.post_admin("aws/keys", body).await;
    let text = |name: &str| keys[name].as_str().unwrap().to_owned();
    let keys = AwsAccessKey {
        id: text("access_key_id"),
        secret: text("secret_access_key"),
    };
    clients_with_keys(sandbox, &keys, None, US_EAST)
}

/// The status, code and message of a request that must have failed.
#[track_caller]
pub(crate) fn error_parts<T: std::fmt::Debug, E>(
    result: Result<T, SdkError<E>>,
) -> (u16, String, String)
where
    E: ProvideErrorMetadata + std::fmt::Debug,
{
    let error = result.unwrap_err();
    let status = error
        .raw_response()
        .map_or(0, |response| response.status().as_u16());
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    (status, text(error.code()), text(error.message()))
}

/// Asserts that a request failed with this status and code.
#[track_caller]
pub(crate) fn assert_error<T: std::fmt::Debug, E>(
    result: Result<T, SdkError<E>>,
    status: u16,
    code: &str,
) where
    E: ProvideErrorMetadata + std::fmt::Debug,
{
    let (got, name, message) = error_parts(result);
    assert_eq!((got, name.as_str()), (status, code), "{message}");
}

/// Whether a response has a request id, and S3's extended request id.
pub(crate) fn has_request_ids(response: &(impl RequestId + RequestIdExt)) -> (bool, bool) {
    (
        response.request_id().is_some(),
        response.extended_request_id().is_some(),
    )
}
