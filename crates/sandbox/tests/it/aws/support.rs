//! AWS's clients for one sandbox, and short ways to look at their errors.

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

/// Clients that share a key and a region. They try once: what the sandbox answers is what is looked at.
pub(crate) struct SandboxAwsClients {
    pub(crate) s3: aws_sdk_s3::Client,
    pub(crate) iam: aws_sdk_iam::Client,
    pub(crate) sts: aws_sdk_sts::Client,
}

/// The clients of an account's administrator.
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

/// The clients of whoever has a key.
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

/// The clients of a new user with this policy.
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

/// Why a request failed: status, code, and message.
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

/// A request that must have failed so.
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

/// Both of S3's names of a request.
pub(crate) fn has_request_ids(answer: &(impl RequestId + RequestIdExt)) -> (bool, bool) {
    (
        answer.request_id().is_some(),
        answer.extended_request_id().is_some(),
    )
}
