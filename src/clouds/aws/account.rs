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

use super::{GitHubJob, watch::Watch};
use crate::{
    clouds::{CloudError, Trouble, gauge::Gauge, http::bounded, reach},
    model::Secret,
};

/// How long a connection may take to be made, an answer to begin, and an attempt to end. The SDK sets only the first.
const CONNECT: Duration = Duration::from_secs(5);
const READ: Duration = Duration::from_secs(30);
const ATTEMPT: Duration = Duration::from_secs(45);
/// How often a request is tried where the SDK calls that safe; as often as requests to Fly.
const TRIES: u32 = 5;

/// How the clients are set up.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The account that the manifest names, twelve digits. Every call on a bucket names it as the expected owner.
    pub account: String,
    /// The region of what states none.
    pub region: String,
    /// Where all three services are, instead of at their own addresses.
    pub endpoint: Option<String>,
    /// Where single services are; these come before `endpoint`.
    pub endpoints: Endpoints,
    /// Whether an address of the SDK's own settings (`AWS_ENDPOINT_URL_S3` and the like) points at something that is not
    /// S3 itself, where a bucket's name cannot be a part of the host's.
    pub by_path: bool,
    /// Keys that were given; without them the SDK's chain is asked.
    pub keys: Option<Keys>,
    /// The job whose identity is exchanged for credentials, where no keys are given.
    pub github: Option<GitHubJob>,
    /// How much faster than AWS to wait; 1.0 against AWS.
    pub speed: f64,
}

/// Addresses of single services.
#[derive(Clone, Debug, Default)]
pub struct Endpoints {
    /// `AWS_ENDPOINT_URL_S3`.
    pub s3: Option<String>,
    /// `AWS_ENDPOINT_URL_IAM`.
    pub iam: Option<String>,
    /// `AWS_ENDPOINT_URL_STS`.
    pub sts: Option<String>,
}

/// Static credentials.
#[derive(Clone, Debug)]
pub struct Keys {
    /// `AWS_ACCESS_KEY_ID`.
    pub id: String,
    /// `AWS_SECRET_ACCESS_KEY`.
    pub secret: Secret,
    /// `AWS_SESSION_TOKEN`, when they are temporary.
    pub session: Option<Secret>,
}

impl Settings {
    /// An imitation that serves everything at one place.
    #[must_use]
    pub fn imitation(account: &str, region: &str, url: String, keys: Keys, speed: f64) -> Self {
        let (account, region) = (account.to_owned(), region.to_owned());
        let (endpoint, keys, endpoints) = (Some(url), Some(keys), Endpoints::default());
        Self {
            account,
            region,
            endpoint,
            endpoints,
            by_path: true,
            keys,
            github: None,
            speed,
        }
    }
}

/// What connects to an address of this machine. Plain HTTP is spoken to no other one, see [`reach::safe`], and no proxy of
/// another one may read it.
fn direct(address: &str) -> Option<SharedHttpClient> {
    reach::is_plain(address).then(|| aws_smithy_http_client::Builder::new().build_http())
}

/// The clients of one run. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct Account(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    settings: Settings,
    sdk: SdkConfig,
    watch: Watch,
    iam: aws_sdk_iam::Client,
    sts: aws_sdk_sts::Client,
    /// A bucket is reached at its own region.
    s3: Mutex<BTreeMap<String, aws_sdk_s3::Client>>,
}

impl Account {
    /// Sets the clients up; no request is sent before one is needed.
    pub(super) async fn new(settings: Settings, gauge: &Gauge) -> Result<Self, CloudError> {
        let wrong =
            |what: String| CloudError::aws("set up the clients of AWS", Trouble::Refused, what);
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT)
            .read_timeout(READ)
            .operation_attempt_timeout(ATTEMPT)
            .build();
        let tries = RetryConfig::standard().with_max_attempts(TRIES);
        let watch = Watch::new(gauge.clone());
        let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
            .region(Region::new(settings.region.clone()))
            .timeout_config(timeouts.clone())
            .retry_config(tries.clone())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
        if let Some(url) = &settings.endpoint {
            loader = loader.endpoint_url(url);
        }
        if let Some(keys) = &settings.keys {
            let Keys {
                id,
                secret,
                session,
            } = keys;
            let session = session.as_ref().map(|token| token.expose().to_owned());
            loader = loader.credentials_provider(Credentials::new(
                id,
                secret.expose(),
                session,
                None,
                "given",
            ));
        } else if let Some(job) = &settings.github {
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
                sts.set_http_client(direct(url));
            }
            let sts = aws_sdk_sts::Client::from_conf(sts.build());
            let exchange = job.exchange(sts, bounded(settings.speed)).map_err(wrong)?;
            loader = loader.credentials_provider(SharedCredentialsProvider::new(exchange));
        }
        let sdk = loader.load().await;
        let Endpoints { s3, iam, sts } = &settings.endpoints;
        let stated = [
            settings.endpoint.as_deref(),
            s3.as_deref(),
            iam.as_deref(),
            sts.as_deref(),
            sdk.endpoint_url(),
        ];
        for address in stated.into_iter().flatten() {
            reach::safe(address).map_err(wrong)?;
        }
        // An address that is set above counts for the SDK before those of single services.
        let mut iam = aws_sdk_iam::config::Builder::from(&sdk).interceptor(watch.clone());
        let mut sts = aws_sdk_sts::config::Builder::from(&sdk).interceptor(watch.clone());
        if let Some(url) = settings.endpoints.iam.as_deref().or(sdk.endpoint_url()) {
            iam = iam.endpoint_url(url);
            iam.set_http_client(direct(url).or(sdk.http_client()));
        }
        if let Some(url) = settings.endpoints.sts.as_deref().or(sdk.endpoint_url()) {
            sts = sts.endpoint_url(url);
            sts.set_http_client(direct(url).or(sdk.http_client()));
        }
        Ok(Self(Arc::new(Inner {
            iam: aws_sdk_iam::Client::from_conf(iam.build()),
            sts: aws_sdk_sts::Client::from_conf(sts.build()),
            s3: Mutex::default(),
            settings,
            sdk,
            watch,
        })))
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.0.settings
    }

    pub(super) fn watch(&self) -> &Watch {
        &self.0.watch
    }

    pub(super) fn iam(&self) -> &aws_sdk_iam::Client {
        &self.0.iam
    }

    pub(super) fn sts(&self) -> &aws_sdk_sts::Client {
        &self.0.sts
    }

    /// The client of S3 in a region.
    pub(super) fn s3(&self, region: &str) -> aws_sdk_s3::Client {
        let Inner {
            settings,
            sdk,
            watch,
            s3,
            ..
        } = &*self.0;
        let mut clients = s3.lock().unwrap_or_else(PoisonError::into_inner);
        let made = || {
            let mut config = aws_sdk_s3::config::Builder::from(sdk)
                .region(Region::new(region.to_owned()))
                .force_path_style(settings.by_path)
                .interceptor(watch.clone());
            if let Some(url) = settings.endpoints.s3.as_deref().or(sdk.endpoint_url()) {
                config = config.endpoint_url(url);
                config.set_http_client(direct(url).or(sdk.http_client()));
            }
            aws_sdk_s3::Client::from_conf(config.build())
        };
        clients
            .entry(region.to_owned())
            .or_insert_with(made)
            .clone()
    }
}
