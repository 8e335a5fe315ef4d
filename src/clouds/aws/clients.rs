//! Sets up the AWS clients: credentials, endpoints, timeouts, and one client for each service and
//! region. Credentials and regions come from the SDK's default chain and the environment variables
//! that AWS users know. The sandbox passes its own URL and static credentials instead.

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

/// Timeouts of one attempt: to connect, until the response begins, and until it is complete. By
/// default the SDK sets only the first.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const READ_TIMEOUT: Duration = Duration::from_secs(30);
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(45);
/// The time for all attempts of a request, so that a run soon says that a server does not answer. The Fly client ends about then
/// too.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(130);
/// Attempts of a request, the first one included, where the SDK considers a retry safe. The Fly
/// client uses the same number.
const MAX_ATTEMPTS: u32 = 5;

/// What the clients need to know before the first request.
#[derive(Clone, Debug)]
pub struct AwsSettings {
    /// The account ID of the manifest, twelve digits. Every request to a bucket sends it as
    /// `x-amz-expected-bucket-owner`.
    pub account: String,
    /// The default region: for IAM, STS and `ListBuckets`, and where a resource sets none.
    pub region: String,
    /// The URL of all three services, instead of AWS's own endpoints.
    pub endpoint: Option<String>,
    /// URLs of single services. They take precedence over `endpoint`.
    pub endpoints: ServiceEndpoints,
    /// Whether bucket names go into the path and not into the host name. Needed when
    /// `AWS_ENDPOINT_URL_S3` (or a similar setting) points at a server that is not S3 and has no
    /// host name for each bucket.
    pub force_path_style: bool,
    /// Explicit credentials. Without them the SDK's default chain is used.
    pub credentials: Option<StaticCredentials>,
    /// The GitHub Actions job whose identity is exchanged for credentials, if `credentials` is not
    /// set.
    pub github_job: Option<GitHubJob>,
    /// By how much to shorten every wait: 1.0 against AWS, more against a sandbox with a fast
    /// clock.
    pub speed: f64,
}

/// Endpoint URLs of single services.
#[derive(Clone, Debug, Default)]
pub struct ServiceEndpoints {
    /// `AWS_ENDPOINT_URL_S3`.
    pub s3: Option<String>,
    /// `AWS_ENDPOINT_URL_IAM`.
    pub iam: Option<String>,
    /// `AWS_ENDPOINT_URL_STS`.
    pub sts: Option<String>,
}

/// A static access key.
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
    /// Settings for a sandbox that serves all three services at one URL.
    #[must_use]
    pub fn for_sandbox(
        account: &str,
        region: &str,
        url: String,
        credentials: StaticCredentials,
        speed: f64,
    ) -> Self {
        Self {
            account: account.to_owned(),
            region: region.to_owned(),
            endpoint: Some(url),
            endpoints: ServiceEndpoints::default(),
            force_path_style: true,
            credentials: Some(credentials),
            github_job: None,
            speed,
        }
    }
}

/// An HTTP client without TLS and without proxies, if the URL is plain HTTP. [`endpoint::parse_token_url`]
/// allows plain HTTP only to this machine, so no proxy may see these requests.
fn plain_http_client(url: &str) -> Option<SharedHttpClient> {
    endpoint::is_plain_http(url).then(|| aws_smithy_http_client::Builder::new().build_http())
}

/// The clients of one run. Clones share connections and credentials.
#[derive(Clone, Debug)]
pub(super) struct AwsClients(Arc<ClientSet>);

#[derive(Debug)]
struct ClientSet {
    settings: AwsSettings,
    sdk_config: SdkConfig,
    interceptor: RequestInterceptor,
    iam: aws_sdk_iam::Client,
    sts: aws_sdk_sts::Client,
    /// By region: S3 serves a bucket only in its own region.
    s3: Mutex<BTreeMap<String, aws_sdk_s3::Client>>,
}

impl StaticCredentials {
    fn to_sdk(&self) -> Credentials {
        let session_token = self.session_token.as_ref();
        Credentials::new(
            &self.access_key_id,
            self.secret_access_key.expose(),
            session_token.map(|token| token.expose().to_owned()),
            None,
            "static",
        )
    }
}

impl AwsClients {
    /// Builds the clients. Requests are sent only when they are needed.
    pub(super) async fn new(
        settings: AwsSettings,
        request_counter: &RequestCounter,
    ) -> Result<Self, CloudError> {
        let setup_error = |what: String| {
            CloudError::new_aws("set up the clients of AWS", ErrorKind::Rejected, what)
        };
        let timeout_config = TimeoutConfig::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            .operation_attempt_timeout(ATTEMPT_TIMEOUT)
            .operation_timeout(OPERATION_TIMEOUT)
            .build();
        let retry_config = RetryConfig::standard().with_max_attempts(MAX_ATTEMPTS);
        let interceptor = RequestInterceptor::new(request_counter.clone());
        let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
            .region(Region::new(settings.region.clone()))
            .timeout_config(timeout_config.clone())
            .retry_config(retry_config.clone())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
        if let Some(url) = &settings.endpoint {
            loader = loader.endpoint_url(url);
        }
        if let Some(keys) = &settings.credentials {
            loader = loader.credentials_provider(keys.to_sdk());
        } else if let Some(job) = &settings.github_job {
            let mut sts = aws_sdk_sts::config::Builder::new()
                .behavior_version(BehaviorVersion::v2026_01_12())
                .region(Region::new(settings.region.clone()))
                .timeout_config(timeout_config)
                .retry_config(retry_config)
                .interceptor(interceptor.clone());
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
            // The exchange is an unsigned request, so this client must not ask the provider that it
            // is part of for credentials.
            let github_provider = job
                .credentials_provider(sts, clamp_speed(settings.speed))
                .map_err(setup_error)?;
            loader = loader.credentials_provider(SharedCredentialsProvider::new(github_provider));
        }
        let sdk = loader.load().await;
        let ServiceEndpoints { s3, iam, sts } = &settings.endpoints;
        let configured_urls = [
            settings.endpoint.as_deref(),
            s3.as_deref(),
            iam.as_deref(),
            sts.as_deref(),
            sdk.endpoint_url(),
        ];
        // Checked after loading: the profile and the environment may set an endpoint too.
        for url in configured_urls.into_iter().flatten() {
            endpoint::parse_token_url(url).map_err(setup_error)?;
        }
        // The SDK prefers `endpoint_url` of the shared config to the service-specific settings, so
        // the precedence has to be applied here.
        let mut iam = aws_sdk_iam::config::Builder::from(&sdk).interceptor(interceptor.clone());
        let mut sts = aws_sdk_sts::config::Builder::from(&sdk).interceptor(interceptor.clone());
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
            interceptor,
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

    /// The S3 client for a region, built on first use.
    pub(super) fn s3(&self, region: &str) -> aws_sdk_s3::Client {
        let ClientSet {
            settings,
            sdk_config: sdk,
            interceptor,
            s3,
            ..
        } = &*self.0;
        let mut clients = s3.lock().unwrap_or_else(PoisonError::into_inner);
        let build_client = || {
            let mut config = aws_sdk_s3::config::Builder::from(sdk)
                .region(Region::new(region.to_owned()))
                .force_path_style(settings.force_path_style)
                .interceptor(interceptor.clone());
            if let Some(url) = settings.endpoints.s3.as_deref().or(sdk.endpoint_url()) {
                config = config.endpoint_url(url);
                config.set_http_client(plain_http_client(url).or(sdk.http_client()));
            }
            aws_sdk_s3::Client::from_conf(config.build())
        };
        clients
            .entry(region.to_owned())
            .or_insert_with(build_client)
            .clone()
    }
}
