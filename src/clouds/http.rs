//! The one request path: base URL, token, pacing, time limits, retries where they are safe, and the request id in
//! every error.

use std::{sync::Arc, time::Duration};

use reqwest::{Method, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::Semaphore;

use super::{
    CloudError, CloudProvider, CrashPoint, ErrorKind, RateLimitedAction, RateLimiter, endpoint,
    format_error_chain, request_counter::RequestCounter,
};
use crate::model::redact;

/// How many requests are under way at once. Every request has its own bucket (see [`Pacing`]), and over HTTP/2 they
/// share a connection, so this only bounds memory: with 256 a plan of fifty apps (six lists each) takes two waves.
const MAX_IN_FLIGHT: usize = 256;
/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an answer may take. Fly's proxy itself gives up after a minute.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(65);
/// How often a request is tried where that is safe, and the first pause between tries. Five tries with doubling
/// pauses span about 4 seconds, which outlasts a burst limit and a proxy restart.
const MAX_ATTEMPTS: u32 = 5;
const INITIAL_BACKOFF: Duration = Duration::from_millis(250);

/// The header that shows a machine's lease (fly-go's `NonceHeader`).
const LEASE_NONCE_HEADER: &str = "fly-machine-lease-nonce";

/// How far the speed of an imitation may be from Fly's; beyond it, durations no longer fit.
const MIN_SPEED: f64 = 0.01;
const MAX_SPEED: f64 = 100_000.0;

/// A speed that durations can be divided by.
pub(crate) fn clamp_speed(speed: f64) -> f64 {
    speed.clamp(MIN_SPEED, MAX_SPEED)
}

/// Whether a request may be sent again when nobody knows whether it was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Idempotency {
    /// Doing it twice is the same as doing it once.
    Idempotent,
    /// The caller must look before it tries again.
    NotIdempotent,
}

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct ApiRequest<'a> {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) body: Option<Value>,
    pub(crate) action: RateLimitedAction,
    /// The machine or app that the limit counts for.
    pub(crate) identifier: &'a str,
    pub(crate) idempotency: Idempotency,
    /// What is being done, for the error.
    pub(crate) operation: String,
}

/// How a client is set up.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// Where the API is, without a path, such as `https://api.machines.dev`.
    pub base_url: String,
    /// Where logs are read, such as `https://api.fly.io` (flyctl's `FLY_API_BASE_URL`); none are read without it.
    pub logs_url: Option<String>,
    /// Where organizations are looked up, such as `https://api.fly.io` (flyctl's `FLY_UIEX_BASE_URL`).
    pub uiex_url: Option<String>,
    /// Where the pages of apps are, in an imitation whose hosts have no names; nothing for the real ones.
    pub public_url: Option<String>,
    /// The token as the user gave it; it is never printed.
    pub token: crate::model::Secret,
    /// How much faster than Fly's limits to go; 1.0 against Fly.
    pub speed: f64,
    /// A point at which the process dies, for tests of recovery.
    pub crash_point: Option<CrashPoint>,
    /// Where every image registry is asked, when not at its own address: an imitation serves them all.
    pub registry_url: Option<String>,
}

impl ClientConfig {
    /// An imitation that serves everything at one place.
    #[must_use]
    pub fn for_sandbox(url: String, token: crate::model::Secret, speed: f64) -> Self {
        let also = || Some(url.clone());
        Self {
            logs_url: also(),
            uiex_url: also(),
            public_url: also(),
            registry_url: also(),
            token,
            speed,
            crash_point: None,
            base_url: url,
        }
    }
}

/// What connections are made with.
#[derive(Clone, Debug)]
pub(super) struct HttpClients {
    plain: reqwest::Client,
    tls: Option<reqwest::Client>,
}

impl HttpClients {
    /// One TLS stack, one set of time limits. A redirect is never followed by itself, so that no token goes where it was
    /// not meant to. Plain HTTP is spoken to this machine only, see [`endpoint::safe`]: no proxy of another one may read it.
    /// Nor does it need the certificates that the system trusts, and reading them takes longer than many a whole run
    /// against an imitation; so a client for TLS is made only where it is wanted.
    pub(super) fn new<'a>(addresses: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let builder = || {
            reqwest::Client::builder()
                .user_agent(concat!("trimtab/", env!("CARGO_PKG_VERSION")))
                .connect_timeout(CONNECT_TIMEOUT)
                .timeout(RESPONSE_TIMEOUT)
                .redirect(reqwest::redirect::Policy::none())
        };
        let made = |builder: reqwest::ClientBuilder| {
            builder.build().map_err(|error| format_error_chain(&error))
        };
        let wants_tls = addresses
            .into_iter()
            .any(|address| !endpoint::is_plain_http(address));
        let tls = wants_tls.then(|| made(builder())).transpose()?;
        Ok(Self {
            plain: made(builder().no_proxy().tls_certs_only([]))?,
            tls,
        })
    }

    /// The one for an address.
    pub(super) fn for_url(&self, address: &str) -> &reqwest::Client {
        self.tls
            .as_ref()
            .filter(|_| !endpoint::is_plain_http(address))
            .unwrap_or(&self.plain)
    }
}

/// The client side of one API.
#[derive(Clone, Debug)]
pub struct ApiClient(Arc<ApiClientInner>);

#[derive(Debug)]
struct ApiClientInner {
    clients: HttpClients,
    base_url: String,
    authorization: reqwest::header::HeaderValue,
    rate_limiter: RateLimiter,
    in_flight: Semaphore,
    speed: f64,
    request_counter: RequestCounter,
}

impl ApiClient {
    /// A client for one API.
    ///
    /// # Errors
    /// When the token holds characters that no header may hold, an address is one that no token may be sent to, or TLS
    /// cannot be set up.
    pub fn new(settings: &ClientConfig) -> Result<Self, CloudError> {
        let doing = "set up the client of the Fly API";
        let wrong = |what: &str| CloudError::new(doing, ErrorKind::Rejected, what.to_owned());
        let mut authorization =
            reqwest::header::HeaderValue::from_str(&authorization_value(settings.token.expose()))
                .map_err(|_| wrong("the token holds characters that no header may hold"))?;
        authorization.set_sensitive(true);
        let addresses = [
            Some(&settings.base_url),
            settings.logs_url.as_ref(),
            settings.uiex_url.as_ref(),
        ];
        let addresses = addresses.into_iter().flatten().map(String::as_str);
        for address in addresses.clone() {
            endpoint::parse_token_url(address).map_err(|why| wrong(&why))?;
        }
        Ok(Self(Arc::new(ApiClientInner {
            clients: HttpClients::new(addresses).map_err(|why| wrong(&why))?,
            base_url: settings.base_url.trim_end_matches('/').to_owned(),
            authorization,
            rate_limiter: RateLimiter::new(settings.speed),
            in_flight: Semaphore::new(MAX_IN_FLIGHT),
            speed: clamp_speed(settings.speed),
            request_counter: RequestCounter::new(settings.crash_point),
        })))
    }

    /// The same client at another base, with limits of its own.
    pub(crate) fn with_base_url(&self, base: &str) -> Self {
        let ApiClientInner {
            clients,
            authorization,
            speed,
            request_counter: gauge,
            ..
        } = &*self.0;
        Self(Arc::new(ApiClientInner {
            clients: clients.clone(),
            base_url: base.trim_end_matches('/').to_owned(),
            authorization: authorization.clone(),
            rate_limiter: RateLimiter::new(*speed),
            in_flight: Semaphore::new(MAX_IN_FLIGHT),
            speed: *speed,
            request_counter: gauge.clone(),
        }))
    }

    /// The same client with the token as the APIs beside the Machines API want it: as a bearer's, whatever it is
    /// (flyctl's `internal/uiex`).
    pub(crate) fn with_bearer_auth(&self, base: &str) -> Self {
        let there = self.with_base_url(base);
        let value = self.0.authorization.to_str().unwrap_or_default();
        let value = value.replacen("FlyV1 ", "Bearer ", 1);
        match (
            Arc::into_inner(there.0),
            reqwest::header::HeaderValue::from_str(&value),
        ) {
            (Some(inner), Ok(mut authorization)) => {
                authorization.set_sensitive(true);
                Self(Arc::new(ApiClientInner {
                    authorization,
                    ..inner
                }))
            }
            _ => self.with_base_url(base),
        }
    }

    /// How many requests were sent so far.
    #[must_use]
    pub fn request_count(&self) -> u64 {
        self.0.request_counter.request_count()
    }

    pub(super) fn has_crashed(&self) -> bool {
        self.0.request_counter.has_crashed()
    }

    /// How much faster than Fly the server runs.
    pub(crate) fn speed(&self) -> f64 {
        self.0.speed
    }

    /// A moment that is so many seconds away, scaled by the speed.
    pub(crate) fn deadline_in(&self, secs: u64) -> Deadline {
        let speed = self.0.speed;
        Deadline {
            at: tokio::time::Instant::now() + Duration::from_secs(secs).div_f64(speed),
            speed,
        }
    }

    /// Waits; scaled by the speed, so that an imitation that runs faster is waited for less.
    pub async fn sleep_scaled(&self, length: Duration) {
        tokio::time::sleep(length.div_f64(self.0.speed)).await;
    }

    /// Sends a request and reads its answer.
    ///
    /// # Flow
    /// Wait for the bucket, send, read. A refusal for too many requests, or a connection that was never made, is tried
    /// again, since nothing was done. Any other failure of the server is tried again only when that is safe.
    ///
    /// # Errors
    /// What the server answered, sorted.
    pub(crate) async fn send<T: DeserializeOwned>(
        &self,
        call: &ApiRequest<'_>,
    ) -> Result<T, CloudError> {
        self.send_with_nonce(call, None).await
    }

    /// The same with the nonce of a machine's lease.
    ///
    /// # Errors
    /// As [`Http::send`].
    pub(crate) async fn send_with_nonce<T: DeserializeOwned>(
        &self,
        call: &ApiRequest<'_>,
        nonce: Option<&str>,
    ) -> Result<T, CloudError> {
        let (text, request_id) = self.send_with_retries(call, nonce).await?;
        let text = if text.trim().is_empty() {
            "null"
        } else {
            &text
        };
        serde_json::from_str(text).map_err(|error| {
            let why = endpoint::summarize_html(text)
                .unwrap_or_else(|| endpoint::to_single_line(&redact(&error.to_string())));
            invalid_response_error(call, &why, request_id)
        })
    }

    async fn send_with_retries(
        &self,
        call: &ApiRequest<'_>,
        nonce: Option<&str>,
    ) -> Result<(String, Option<String>), CloudError> {
        retry_with_backoff(self.0.speed, call.idempotency, || {
            self.send_once(call, nonce)
        })
        .await
    }

    async fn send_once(
        &self,
        call: &ApiRequest<'_>,
        nonce: Option<&str>,
    ) -> Result<(String, Option<String>), CloudError> {
        let ApiClientInner {
            clients,
            base_url: base,
            authorization,
            rate_limiter: pacing,
            in_flight,
            request_counter: gauge,
            ..
        } = &*self.0;
        let slot = pacing.acquire(call.action, call.identifier).await;
        let _permit = in_flight.acquire().await;
        let turn = gauge.begin_request(&call.operation, call.method != Method::GET)?;
        let mut request = clients
            .for_url(base)
            .request(call.method.clone(), format!("{base}{}", call.path))
            .header(reqwest::header::AUTHORIZATION, authorization.clone());
        if let Some(nonce) = nonce {
            request = request.header(LEASE_NONCE_HEADER, nonce);
        }
        if let Some(body) = &call.body {
            request = request.json(body);
        }
        let answer = request
            .send()
            .await
            .map_err(|error| connection_error(&call.operation, &error))?;
        pacing.record_response(call.action, call.identifier, slot);
        let status = answer.status();
        let request_id = answer
            .headers()
            .get("fly-request-id")
            .and_then(|id| id.to_str().ok())
            .map(redact);
        tracing::debug!(method = %call.method, path = call.path, status = status.as_u16(), request_id);
        if !status.is_success() {
            let pointed = endpoint::redirect_target(&answer);
            let text = endpoint::read_error_body(&call.operation, answer).await?;
            gauge.end_request(&call.operation, turn)?;
            return Err(status_error(call, status, &text, pointed, request_id));
        }
        let body = endpoint::read_body(&call.operation, answer).await;
        gauge.end_request(&call.operation, turn)?;
        match body.map(String::from_utf8) {
            Ok(Ok(text)) => Ok((text, request_id)),
            Ok(Err(_)) => Err(invalid_response_error(call, "it is not UTF-8", request_id)),
            Err(error) => Err(CloudError {
                request_id,
                ..error
            }),
        }
    }

    /// The count of this run's requests.
    pub(crate) fn request_counter(&self) -> &RequestCounter {
        &self.0.request_counter
    }
}

/// Tries again where that is safe, with pauses that double.
pub(super) async fn retry_with_backoff<T, F: Future<Output = Result<T, CloudError>>>(
    speed: f64,
    repeat: Idempotency,
    once: impl Fn() -> F,
) -> Result<T, CloudError> {
    let mut pause = INITIAL_BACKOFF;
    for _ in 1..MAX_ATTEMPTS {
        let error = match once().await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        let again = match error.kind {
            ErrorKind::Throttled | ErrorKind::Unreachable => true,
            ErrorKind::Ambiguous => repeat == Idempotency::Idempotent,
            _ => false,
        };
        if !again {
            return Err(error);
        }
        tracing::debug!(%error, "trying again");
        tokio::time::sleep(pause.div_f64(speed)).await;
        pause *= 2;
    }
    once().await
}

/// When waiting ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    at: tokio::time::Instant,
    speed: f64,
}

impl Deadline {
    /// Whether it is reached.
    pub(crate) fn has_passed(self) -> bool {
        tokio::time::Instant::now() >= self.at
    }

    /// Whole seconds until then, on the server's clock.
    pub(crate) fn remaining_secs(self) -> u64 {
        let left = self
            .at
            .saturating_duration_since(tokio::time::Instant::now());
        left.mul_f64(self.speed).as_secs()
    }
}

/// Macaroons go with `FlyV1`, other tokens with `Bearer`; a scheme that the user pasted along is kept.
fn authorization_value(token: &str) -> String {
    let token = token.trim();
    let macaroon = |part: &str| {
        ["fm1r_", "fm1a_", "fm2_"]
            .iter()
            .any(|prefix| part.trim().starts_with(prefix))
    };
    match token.split_once(' ') {
        Some(("FlyV1" | "Bearer", _)) => token.to_owned(),
        _ if token.split(',').any(macaroon) => format!("FlyV1 {token}"),
        _ => format!("Bearer {token}"),
    }
}

/// The cause of a lost connection. The error's own text would name the whole URL; the call says better what was done.
fn connection_error_cause(error: &reqwest::Error) -> String {
    std::error::Error::source(error)
        .map_or_else(|| "the connection was lost".to_owned(), format_error_chain)
}

/// No answer: either no connection was made, or nobody knows what happened. A certificate that is not to be trusted is
/// not tried again: it does not get better by itself.
pub(super) fn connection_error(doing: &str, error: &reqwest::Error) -> CloudError {
    let what = if error.is_timeout() {
        "no answer in time".to_owned()
    } else {
        connection_error_cause(error)
    };
    let trouble = match error.is_connect() {
        true if what.contains("certificate") => ErrorKind::Rejected,
        true => ErrorKind::Unreachable,
        false => ErrorKind::Ambiguous,
    };
    let host = error
        .url()
        .and_then(reqwest::Url::host_str)
        .filter(|_| error.is_connect());
    let what = host.map_or_else(
        || what.clone(),
        |host| format!("no connection to {host}: {what}"),
    );
    CloudError::new(doing, trouble, what)
}

/// An answer that says yes, and then nothing that can be understood.
fn invalid_response_error(
    call: &ApiRequest<'_>,
    why: &str,
    request_id: Option<String>,
) -> CloudError {
    let what = redact(&format!("the answer cannot be read: {why}"));
    CloudError {
        request_id,
        ..CloudError::new(&call.operation, ErrorKind::InvalidResponse, what)
    }
}

/// An answer that says no. Servers, and what stands before them, repeat what they were sent.
fn status_error(
    call: &ApiRequest<'_>,
    status: StatusCode,
    text: &str,
    pointed: Option<String>,
    request_id: Option<String>,
) -> CloudError {
    // Before it is shortened, so that no half of a secret is left.
    let text = &redact(text);
    let body: Value = serde_json::from_str(text).unwrap_or_default();
    let said = ["message", "error"]
        .iter()
        .find_map(|key| body.get(key).and_then(Value::as_str));
    let said = match pointed {
        Some(place) => format!(
            "it points to {place}, and a redirect is not followed, since the token would go along: use the address \
             that is meant"
        ),
        None => said.map_or_else(|| endpoint::summarize_text(text), endpoint::to_single_line),
    };
    CloudError {
        operation: call.operation.clone(),
        message: redact(format!("{} {said}", status.as_u16()).trim_end()),
        kind: ErrorKind::from_status(status.as_u16()),
        status: Some(status.as_u16()),
        request_id,
        cloud: CloudProvider::Fly,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheme_follows_the_token() {
        assert_eq!(authorization_value("fo1_abc"), "Bearer fo1_abc");
        assert_eq!(
            authorization_value("fm2_abc,fm2_def"),
            "FlyV1 fm2_abc,fm2_def"
        );
        assert_eq!(authorization_value("FlyV1 fm2_abc\n"), "FlyV1 fm2_abc");
    }
}
