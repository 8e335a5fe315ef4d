//! The HTTP client of the Fly APIs: base URL, token, rate limits, timeouts, retries of requests
//! that are safe to repeat, and the request id in every error.

use std::{sync::Arc, time::Duration};

use reqwest::Method;
use serde::de::DeserializeOwned;
use serde_json::Value;

pub(super) use super::http_errors::connection_error;
use super::{
    CloudError, CrashPoint, ErrorKind, RateLimitedAction, RateLimiter, endpoint,
    format_error_chain,
    http_errors::{invalid_response_error, status_error},
    in_flight::InFlightLimits,
    request_counter::RequestCounter,
    url::has_plain_segments,
};
use crate::model::redact;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest time to wait for a response. Fly's proxy itself gives up after a minute.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(65);
/// Attempts of a request that is safe to repeat, and the pause before the second. Five attempts
/// with doubling pauses span about 4 seconds, which outlasts a burst limit and a proxy restart.
const MAX_ATTEMPTS: u32 = 5;
const INITIAL_BACKOFF: Duration = Duration::from_millis(250);
/// How long after the first attempt another one may begin. A server that never answers costs two attempts, so that a run says so
/// after about two minutes.
const RETRY_WINDOW: Duration = Duration::from_secs(75);

/// The header that carries the nonce of a machine's lease (fly-go's `NonceHeader`).
const LEASE_NONCE_HEADER: &str = "fly-machine-lease-nonce";

/// Limits of a sandbox's speed relative to Fly; beyond them, scaled durations overflow.
const MIN_SPEED: f64 = 0.01;
const MAX_SPEED: f64 = 100_000.0;

/// Limits a speed to a range that durations can be divided by.
pub(crate) fn clamp_speed(speed: f64) -> f64 {
    speed.clamp(MIN_SPEED, MAX_SPEED)
}

/// Whether a request may be repeated when its outcome is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Idempotency {
    /// Repeating it has no further effect.
    Idempotent,
    /// Repeating it could do it twice; the caller must look up the result first.
    NotIdempotent,
}

/// A request to a Fly API.
#[derive(Clone, Debug)]
pub(crate) struct ApiRequest<'a> {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) body: Option<Value>,
    pub(crate) action: RateLimitedAction,
    /// The machine or app whose rate limit applies.
    pub(crate) identifier: &'a str,
    pub(crate) idempotency: Idempotency,
    /// The operation, for error messages.
    pub(crate) operation: String,
}

/// The configuration of the clients of Fly and of image registries.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// The base URL of the Machines API, without a path, such as `https://api.machines.dev`.
    pub base_url: String,
    /// The base URL of the logs API and of the GraphQL API, such as `https://api.fly.io` (flyctl's
    /// `FLY_API_BASE_URL`). Without it no logs are read.
    pub logs_url: Option<String>,
    /// The base URL of the organizations API, such as `https://api.fly.io` (flyctl's
    /// `FLY_UIEX_BASE_URL`).
    pub uiex_url: Option<String>,
    /// Where a sandbox serves the public pages of all apps; `None` for their real host names.
    pub public_url: Option<String>,
    /// The API token as the user gave it.
    pub token: crate::model::Secret,
    /// The speed of the server's clock relative to Fly; 1.0 against Fly itself.
    pub speed: f64,
    /// Where to crash, in tests of crash recovery.
    pub crash_point: Option<CrashPoint>,
    /// Where a sandbox serves all image registries; `None` for their real addresses.
    pub registry_url: Option<String>,
}

impl ClientConfig {
    /// The configuration for a sandbox that serves all APIs at one URL.
    #[must_use]
    pub fn for_sandbox(url: String, token: crate::model::Secret, speed: f64) -> Self {
        let same_url = || Some(url.clone());
        Self {
            logs_url: same_url(),
            uiex_url: same_url(),
            public_url: same_url(),
            registry_url: same_url(),
            token,
            speed,
            crash_point: None,
            base_url: url,
        }
    }
}

/// The underlying HTTP clients, with and without TLS.
#[derive(Clone, Debug)]
pub(super) struct HttpClients {
    plain: reqwest::Client,
    tls: Option<reqwest::Client>,
}

impl HttpClients {
    /// One client for each scheme that `addresses` need, with the same timeouts. Redirects are
    /// never followed automatically, so that the token is not sent to another host. Plain HTTP is
    /// only used on this machine, see [`endpoint::parse_token_url`], so no proxy may read it.
    /// Loading the system's TLS certificates takes longer than a whole run against a sandbox, so
    /// the TLS client is only created if an address needs it.
    pub(super) fn new<'a>(addresses: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let builder = || {
            reqwest::Client::builder()
                .user_agent(concat!("trimtab/", env!("CARGO_PKG_VERSION")))
                .connect_timeout(CONNECT_TIMEOUT)
                .timeout(RESPONSE_TIMEOUT)
                .redirect(reqwest::redirect::Policy::none())
        };
        let build = |builder: reqwest::ClientBuilder| {
            builder.build().map_err(|error| format_error_chain(&error))
        };
        let wants_tls = addresses
            .into_iter()
            .any(|address| !endpoint::is_plain_http(address));
        let tls = wants_tls.then(|| build(builder())).transpose()?;
        Ok(Self {
            plain: build(builder().no_proxy().tls_certs_only([]))?,
            tls,
        })
    }

    /// The client for an address, by its scheme.
    pub(super) fn for_url(&self, address: &str) -> &reqwest::Client {
        self.tls
            .as_ref()
            .filter(|_| !endpoint::is_plain_http(address))
            .unwrap_or(&self.plain)
    }
}

/// A client of one API. Clones share its rate limits and counters.
#[derive(Clone, Debug)]
pub struct ApiClient(Arc<ApiClientInner>);

#[derive(Debug)]
struct ApiClientInner {
    clients: HttpClients,
    base_url: String,
    authorization: reqwest::header::HeaderValue,
    rate_limiter: RateLimiter,
    in_flight: InFlightLimits,
    speed: f64,
    request_counter: RequestCounter,
}

impl ApiClient {
    /// A client of the Machines API.
    ///
    /// # Errors
    /// When the token contains characters that are not allowed in a header, a token must not be
    /// sent to one of the addresses, or TLS cannot be set up.
    pub fn new(config: &ClientConfig) -> Result<Self, CloudError> {
        let operation = "set up the client of the Fly API";
        let rejected =
            |message: &str| CloudError::new(operation, ErrorKind::Rejected, message.to_owned());
        let mut authorization =
            reqwest::header::HeaderValue::from_str(&authorization_value(config.token.expose()))
                .map_err(|_| rejected("the token holds characters that no header may hold"))?;
        authorization.set_sensitive(true);
        let addresses = [
            Some(&config.base_url),
            config.logs_url.as_ref(),
            config.uiex_url.as_ref(),
        ];
        let addresses = addresses.into_iter().flatten().map(String::as_str);
        for address in addresses.clone() {
            endpoint::parse_token_url(address).map_err(|reason| rejected(&reason))?;
        }
        Ok(Self(Arc::new(ApiClientInner {
            clients: HttpClients::new(addresses).map_err(|reason| rejected(&reason))?,
            base_url: config.base_url.trim_end_matches('/').to_owned(),
            authorization,
            rate_limiter: RateLimiter::new(config.speed),
            in_flight: InFlightLimits::new(),
            speed: clamp_speed(config.speed),
            request_counter: RequestCounter::new(config.crash_point),
        })))
    }

    /// The same client for another base URL, with rate limits of its own.
    pub(crate) fn with_base_url(&self, base_url: &str) -> Self {
        let ApiClientInner {
            clients,
            authorization,
            speed,
            request_counter,
            ..
        } = &*self.0;
        Self(Arc::new(ApiClientInner {
            clients: clients.clone(),
            base_url: base_url.trim_end_matches('/').to_owned(),
            authorization: authorization.clone(),
            rate_limiter: RateLimiter::new(*speed),
            in_flight: InFlightLimits::new(),
            speed: *speed,
            request_counter: request_counter.clone(),
        }))
    }

    /// The same, with the token as the APIs other than the Machines API expect it: always with the
    /// `Bearer` scheme (flyctl's `internal/uiex`).
    pub(crate) fn with_bearer_auth(&self, base_url: &str) -> Self {
        let client = self.with_base_url(base_url);
        let value = self.0.authorization.to_str().unwrap_or_default();
        let value = value.replacen("FlyV1 ", "Bearer ", 1);
        match (
            Arc::into_inner(client.0),
            reqwest::header::HeaderValue::from_str(&value),
        ) {
            (Some(inner), Ok(mut authorization)) => {
                authorization.set_sensitive(true);
                Self(Arc::new(ApiClientInner {
                    authorization,
                    ..inner
                }))
            }
            _ => self.with_base_url(base_url),
        }
    }

    /// The number of requests sent so far.
    #[must_use]
    pub fn request_count(&self) -> u64 {
        self.0.request_counter.request_count()
    }

    pub(super) fn has_crashed(&self) -> bool {
        self.0.request_counter.has_crashed()
    }

    /// The speed of the server's clock relative to Fly.
    pub(crate) fn speed(&self) -> f64 {
        self.0.speed
    }

    /// The deadline in `secs` seconds of the server's clock.
    pub(crate) fn deadline_in(&self, secs: u64) -> Deadline {
        let speed = self.0.speed;
        Deadline {
            at: tokio::time::Instant::now() + Duration::from_secs(secs).div_f64(speed),
            speed,
        }
    }

    /// Sleeps for a duration of the server's clock, which a sandbox may run faster.
    pub async fn sleep_scaled(&self, duration: Duration) {
        tokio::time::sleep(duration.div_f64(self.0.speed)).await;
    }

    /// Sends a request and parses the JSON response.
    ///
    /// # Flow
    /// Wait for the rate limit, send, parse. A throttled request, or one whose connection failed,
    /// is always retried, since nothing was done. Any other failure of the server is retried only
    /// if the request is idempotent.
    ///
    /// # Errors
    /// The server's error, or why there was no response.
    pub(crate) async fn send<T: DeserializeOwned>(
        &self,
        request: &ApiRequest<'_>,
    ) -> Result<T, CloudError> {
        self.send_with_nonce(request, None).await
    }

    /// The same with the nonce of a machine's lease.
    ///
    /// # Errors
    /// As [`ApiClient::send`].
    pub(crate) async fn send_with_nonce<T: DeserializeOwned>(
        &self,
        request: &ApiRequest<'_>,
        nonce: Option<&str>,
    ) -> Result<T, CloudError> {
        let (text, request_id) = self.send_with_retries(request, nonce).await?;
        let text = if text.trim().is_empty() {
            "null"
        } else {
            &text
        };
        serde_json::from_str(text).map_err(|error| {
            let reason = endpoint::summarize_html(text)
                .unwrap_or_else(|| endpoint::to_single_line(&redact(&error.to_string())));
            invalid_response_error(request, &reason, request_id)
        })
    }

    async fn send_with_retries(
        &self,
        request: &ApiRequest<'_>,
        nonce: Option<&str>,
    ) -> Result<(String, Option<String>), CloudError> {
        retry_with_backoff(self.0.speed, request.idempotency, || {
            self.send_once(request, nonce)
        })
        .await
    }

    async fn send_once(
        &self,
        request: &ApiRequest<'_>,
        nonce: Option<&str>,
    ) -> Result<(String, Option<String>), CloudError> {
        let ApiClientInner {
            clients,
            base_url,
            authorization,
            rate_limiter,
            in_flight,
            request_counter,
            ..
        } = &*self.0;
        if !has_plain_segments(&request.path) {
            return Err(CloudError::new(
                &request.operation,
                ErrorKind::Rejected,
                "a name or an id in it is empty, `.` or `..`, so the request would go to another object; nothing was sent",
            ));
        }
        let slot = rate_limiter
            .acquire(request.action, request.identifier)
            .await;
        let _place = in_flight.acquire(request.action).await;
        let numbers =
            request_counter.begin_request(&request.operation, request.method != Method::GET)?;
        let mut builder = clients
            .for_url(base_url)
            .request(
                request.method.clone(),
                format!("{base_url}{}", request.path),
            )
            .header(reqwest::header::AUTHORIZATION, authorization.clone());
        if let Some(nonce) = nonce {
            builder = builder.header(LEASE_NONCE_HEADER, nonce);
        }
        if let Some(body) = &request.body {
            builder = builder.json(body);
        }
        let response = builder
            .send()
            .await
            .map_err(|error| connection_error(&request.operation, &error))?;
        rate_limiter.record_response(request.action, request.identifier, slot);
        let status = response.status();
        // A server could put what it was sent even into its request id.
        let request_id = response
            .headers()
            .get("fly-request-id")
            .and_then(|id| id.to_str().ok())
            .map(redact);
        tracing::debug!(method = %request.method, path = request.path, status = status.as_u16(), request_id);
        if !status.is_success() {
            let redirect_target = endpoint::redirect_target(&response);
            let text = endpoint::read_error_body(&request.operation, response).await?;
            request_counter.end_request(&request.operation, numbers)?;
            return Err(status_error(
                request,
                status,
                &text,
                redirect_target,
                request_id,
            ));
        }
        // The crash point after a response comes even if its body cannot be read.
        let body = endpoint::read_body(&request.operation, response).await;
        request_counter.end_request(&request.operation, numbers)?;
        match body.map(String::from_utf8) {
            Ok(Ok(text)) => Ok((text, request_id)),
            Ok(Err(_)) => Err(invalid_response_error(
                request,
                "it is not UTF-8",
                request_id,
            )),
            Err(error) => Err(CloudError {
                request_id,
                ..error
            }),
        }
    }

    /// The request counter of this run.
    pub(crate) fn request_counter(&self) -> &RequestCounter {
        &self.0.request_counter
    }
}

/// Calls `attempt` until it succeeds, up to [`MAX_ATTEMPTS`] times and within [`RETRY_WINDOW`], with
/// exponential backoff. Only errors after which repeating is safe are retried.
pub(super) async fn retry_with_backoff<T, F: Future<Output = Result<T, CloudError>>>(
    speed: f64,
    idempotency: Idempotency,
    attempt: impl Fn() -> F,
) -> Result<T, CloudError> {
    let mut backoff = INITIAL_BACKOFF;
    let started_at = tokio::time::Instant::now();
    for _ in 1..MAX_ATTEMPTS {
        let error = match attempt().await {
            Ok(response) => return Ok(response),
            Err(error) => error,
        };
        // After these two kinds of errors nothing was done, so even a create is safe to repeat.
        let is_retryable = match error.kind {
            ErrorKind::Throttled | ErrorKind::Unreachable => true,
            ErrorKind::Ambiguous => idempotency == Idempotency::Idempotent,
            _ => false,
        };
        if !is_retryable || !may_begin_after(started_at.elapsed() + backoff) {
            return Err(error);
        }
        tracing::debug!(%error, "trying again");
        tokio::time::sleep(backoff.div_f64(speed)).await;
        backoff *= 2;
    }
    attempt().await
}

/// Whether another attempt may begin this long after the first.
fn may_begin_after(elapsed: Duration) -> bool {
    elapsed <= RETRY_WINDOW
}

/// The end of a wait.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    at: tokio::time::Instant,
    speed: f64,
}

impl Deadline {
    /// Whether the deadline has passed.
    pub(crate) fn has_passed(self) -> bool {
        tokio::time::Instant::now() >= self.at
    }

    /// Whole seconds until the deadline, on the server's clock.
    pub(crate) fn remaining_secs(self) -> u64 {
        let remaining = self
            .at
            .saturating_duration_since(tokio::time::Instant::now());
        remaining.mul_f64(self.speed).as_secs()
    }
}

/// The `Authorization` header for a token: scheme `FlyV1` for macaroons, `Bearer` for other tokens.
/// A scheme that was pasted along with the token is kept.
fn authorization_value(token: &str) -> String {
    let token = token.trim();
    let is_macaroon = |part: &str| {
        ["fm1r_", "fm1a_", "fm2_"]
            .iter()
            .any(|prefix| part.trim().starts_with(prefix))
    };
    match token.split_once(' ') {
        Some(("FlyV1" | "Bearer", _)) => token.to_owned(),
        _ if token.split(',').any(is_macaroon) => format!("FlyV1 {token}"),
        _ => format!("Bearer {token}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_hangs_costs_two_attempts() {
        assert!(may_begin_after(RESPONSE_TIMEOUT + INITIAL_BACKOFF));
        assert!(!may_begin_after(2 * RESPONSE_TIMEOUT + 3 * INITIAL_BACKOFF));
    }

    #[test]
    fn auth_scheme_depends_on_the_token() {
        assert_eq!(authorization_value("fo1_abc"), "Bearer fo1_abc");
        assert_eq!(
            authorization_value("fm2_abc,fm2_def"),
            "FlyV1 fm2_abc,fm2_def"
        );
        assert_eq!(authorization_value("FlyV1 fm2_abc\n"), "FlyV1 fm2_abc");
    }
}
