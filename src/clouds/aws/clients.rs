//! Credentials, endpoints, and one client for each service and region. Everything comes from the SDK's own chain, with
//! the names that users know; an imitation brings its own address and keys.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_s3::config::SharedHttpClient;
use aws_sdk_s3::config::{
    Credentials, SharedCredentialsProvider, StalledStreamProtectionConfig, retry::RetryConfig,
    timeout::TimeoutConfig,
};

use super::{GitHubJob, interceptor::RequestInterceptor};
use crate::{
    clouds::{CloudError, ErrorKind, endpoint, http::clamp_speed, request_counter::RequestCounter},
    model::Secret,
};

/// How long a connection may take to be made, an answer to begin, and an attempt to end. The SDK sets only the first.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const READ_TIMEOUT: Duration = Duration::from_secs(30);
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(45);
/// How often a request is tried where the SDK calls that safe; as often as requests to Fly.
const MAX_ATTEMPTS: u32 = 5;

/// How the clients are set up.
#[derive(Clone, Debug)]
pub struct AwsSettings {
    /// The account that the manifest names, twelve digits. Every call on a bucket names it as the expected owner.
    pub account: String,
    /// The region of what states none.
    pub region: String,
    /// Where all three services are, instead of at their own addresses.
    pub endpoint: Option<String>,
    /// Where single services are; these come before `endpoint`.
    pub endpoints: ServiceEndpoints,
    /// Whether an address of the SDK's own settings (`AWS_ENDPOINT_URL_S3` and the like) points at something that is not
    /// S3 itself, where a bucket's name cannot be a part of the host's.
    pub force_path_style: bool,
    /// Keys that were given; without them the SDK's chain is asked.
    pub credentials: Option<StaticCredentials>,
    /// The job whose identity is exchanged for credentials, where no keys are given.
    pub github_job: Option<GitHubJob>,
    /// How much faster than AWS to wait; 1.0 against AWS.
    pub speed: f64,
}

/// Addresses of single services.
#[derive(Clone, Debug, Default)]
pub struct ServiceEndpoints {
    /// `AWS_ENDPOINT_URL_S3`.
    pub s3: Option<String>,
    /// `AWS_ENDPOINT_URL_IAM`.
    pub iam: Option<String>,
    /// `AWS_ENDPOINT_URL_STS`.
    pub sts: Option<String>,
}

/// Static credentials.
#[derive(Clone, Debug)]
pub struct StaticCredentials {
    /// `AWS_ACCESS_KEY_ID`.
    pub access_key_id: String,
    /// `AWS_SECRET_ACCESS_KEY`.
    pub secret_access_key: Secret,
    /// `AWS_SESSION_TOKEN`, when they are temporary.
    pub session_token: Option<Secret>,
}

impl AwsSettings {
    /// An imitation that serves everything at one place.
    #[must_use]
    pub fn for_sandbox(
        account: &str,
        region: &str,
        url: String,
        keys: StaticCredentials,
        speed: f64,
    ) -> Self {
        let (account, region) = (account.to_owned(), region.to_owned());
        let (endpoint, keys, endpoints) = (Some(url), Some(keys), ServiceEndpoints::default());
        Self {
            account,
            region,
            endpoint,
            endpoints,
            force_path_style: true,
            credentials: keys,
            github_job: None,
            speed,
        }
    }
}

/// What connects to an address of this machine. Plain HTTP is spoken to no other one, see [`endpoint::safe`], and no proxy of
/// another one may read it.
fn plain_http_client(address: &str) -> Option<SharedHttpClient> {
    endpoint::is_plain_http(address).then(|| aws_smithy_http_client::Builder::new().build_http())
}

/// The clients of one run. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct AwsClients(Arc<ClientSet>);

#[derive(Debug)]
struct ClientSet {
    settings: AwsSettings,
    sdk_config: SdkConfig,
    interceptor: RequestInterceptor,
    iam: aws_sdk_iam::Client,
    sts: aws_sdk_sts::Client,
    /// A bucket is reached at its own region.
    s3: Mutex<BTreeMap<String, aws_sdk_s3::Client>>,
}

impl AwsClients {
    /// Sets the clients up; no request is sent before one is needed.
    pub(super) async fn new(
        settings: AwsSettings,
        gauge: &RequestCounter,
    ) -> Result<Self, CloudError> {
        let wrong = |what: String| {
            CloudError::new_aws("set up the clients of AWS", ErrorKind::Rejected, what)
        };
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            .operation_attempt_timeout(ATTEMPT_TIMEOUT)
            .build();
        let tries = RetryConfig::standard().with_max_attempts(MAX_ATTEMPTS);
        let watch = RequestInterceptor::new(gauge.clone());
        let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
            .region(Region::new(settings.region.clone()))
            .timeout_config(timeouts.clone())
            .retry_config(tries.clone())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
        if let Some(url) = &settings.endpoint {
            loader = loader.endpoint_url(url);
        }
        if let Some(keys) = &settings.credentials {
            let StaticCredentials {
                access_key_id: id,
                secret_access_key: secret,
                session_token: session,
            } = keys;
            let session = session.as_ref().map(|token| token.expose().to_owned());
            loader = loader.credentials_provider(Credentials::new(
                id,
                secret.expose(),
                session,
                None,
                "given",
            ));
        } else if let Some(job) = &settings.github_job {
            let mut sts = aws_sdk_sts::config::Builder::new()
                .behavior_version(BehaviorVersion::v2026_01_12())
                .region(Region::new(settings.region.clone()))
                .timeout_config(timeouts)
                .retry_config(tries)
                .interceptor(watch.clone());
            if let Some(url) = settings
                .endpoints
                .sts
                .as_ref()
                .or(settings.endpoint.as_ref())
            {
                sts = sts.endpoint_url(url);
                sts.set_http_client(plain_http_client(url));
            }
            let sts = aws_sdk_sts::Client::from_conf(sts.build());
            let exchange = job
                .credentials_provider(sts, clamp_speed(settings.speed))
                .map_err(wrong)?;
            loader = loader.credentials_provider(SharedCredentialsProvider::new(exchange));
        }
        let sdk = loader.load().await;
        let ServiceEndpoints { s3, iam, sts } = &settings.endpoints;
        let stated = [
            settings.endpoint.as_deref(),
            s3.as_deref(),
            iam.as_deref(),
            sts.as_deref(),
            sdk.endpoint_url(),
        ];
        for address in stated.into_iter().flatten() {
            endpoint::parse_token_url(address).map_err(wrong)?;
        }
        // An address that is set above counts for the SDK before those of single services.
        let mut iam = aws_sdk_iam::config::Builder::from(&sdk).interceptor(watch.clone());
        let mut sts = aws_sdk_sts::config::Builder::from(&sdk).interceptor(watch.clone());
        if let Some(url) = settings.endpoints.iam.as_deref().or(sdk.endpoint_url()) {
            iam = iam.endpoint_url(url);
            iam.set_http_client(plain_http_client(url).or(sdk.http_client()));
        }
        if let Some(url) = settings.endpoints.sts.as_deref().or(sdk.endpoint_url()) {
            sts = sts.endpoint_url(url);
            sts.set_http_client(plain_http_client(url).or(sdk.http_client()));
        }
        Ok(Self(Arc::new(ClientSet {
            iam: aws_sdk_iam::Client::from_conf(iam.build()),
            sts: aws_sdk_sts::Client::from_conf(sts.build()),
            s3: Mutex::default(),
            settings,
            sdk_config: sdk,
            interceptor: watch,
        })))
    }

    pub(super) fn settings(&self) -> &AwsSettings {
        &self.0.settings
    }

    pub(super) fn interceptor(&self) -> &RequestInterceptor {
        &self.0.interceptor
    }

    pub(super) fn iam(&self) -> &aws_sdk_iam::Client {
        &self.0.iam
    }

    pub(super) fn sts(&self) -> &aws_sdk_sts::Client {
        &self.0.sts
    }

    /// The client of S3 in a region.
    pub(super) fn s3(&self, region: &str) -> aws_sdk_s3::Client {
        let ClientSet {
            settings,
            sdk_config: sdk,
            interceptor: watch,
            s3,
            ..
        } = &*self.0;
        let mut clients = s3.lock().unwrap_or_else(PoisonError::into_inner);
        let made = || {
            let mut config = aws_sdk_s3::config::Builder::from(sdk)
                .region(Region::new(region.to_owned()))
                .force_path_style(settings.force_path_style)
                .interceptor(watch.clone());
            if let Some(url) = settings.endpoints.s3.as_deref().or(sdk.endpoint_url()) {
                config = config.endpoint_url(url);
                config.set_http_client(plain_http_client(url).or(sdk.http_client()));
            }
            aws_sdk_s3::Client::from_conf(config.build())
        };
        clients
            .entry(region.to_owned())
            .or_insert_with(made)
            .clone()
    }
}
