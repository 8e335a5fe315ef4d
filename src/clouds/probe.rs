//! HTTP probes of what an app serves, as any visitor would see it: at its public host name, without
//! our token.

use std::time::Duration;

use reqwest::{StatusCode, Url, header};

use super::{ClientConfig, CloudError, ErrorKind, endpoint, format_error_chain};

/// The longest time for a probe including redirects. It is not scaled by the sandbox's speed, since
/// network latency is not.
const PROBE_TIMEOUT: Duration = Duration::from_secs(10);
/// The most redirects that are followed. Browsers follow some twenty; a page that is worth probing
/// needs fewer.
const MAX_REDIRECTS: usize = 5;
/// How much of a response body is read, in bytes.
const MAX_BODY_BYTES: usize = 64 * 1024;

/// The response to a probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeResponse {
    /// The HTTP status, after redirects.
    pub status: u16,
    /// The first 64 KiB of the body. It is not redacted.
    pub body: String,
}

/// An HTTP client without a token.
#[derive(Clone, Debug)]
pub(crate) struct ProbeClient {
    client: reqwest::Client,
    /// Where a sandbox serves all hosts; `None` for the real hosts.
    base_url: Option<Url>,
}

impl ProbeClient {
    /// A client for the real hosts or for those of a sandbox.
    ///
    /// # Errors
    /// When TLS cannot be set up, or the sandbox's address is not a URL.
    pub(crate) fn new(config: &ClientConfig) -> Result<Self, CloudError> {
        let rejected = |message: String| {
            CloudError::new("set up looking at pages", ErrorKind::Rejected, message)
        };
        let base_url = config
            .public_url
            .as_deref()
            .map(endpoint::parse_token_url)
            .transpose()
            .map_err(rejected)?;
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("trimtab/", env!("CARGO_PKG_VERSION")))
            // Redirects are followed in `follow_redirects`, because a sandbox's host names do not
            // resolve.
            .redirect(reqwest::redirect::Policy::none());
        if base_url.is_some() {
            builder = builder.no_proxy().tls_certs_only([]);
        }
        let client = builder
            .build()
            .map_err(|error| rejected(format_error_chain(&error)))?;
        Ok(Self { client, base_url })
    }

    /// Requests a path of a host, such as `draft-app.fly.dev` and `/health`.
    ///
    /// # Errors
    /// When there is no response within ten seconds, or after more than five redirects. A response
    /// with an error status is a response.
    pub(crate) async fn probe(&self, host: &str, path: &str) -> Result<ProbeResponse, CloudError> {
        // Without the slash, the path would become part of the host.
        let address = format!("https://{host}/{}", path.trim_start_matches('/'));
        let operation = format!("look at {address}");
        let url = Url::parse(&address)
            .map_err(|error| CloudError::new(&operation, ErrorKind::Rejected, error.to_string()))?;
        match tokio::time::timeout(PROBE_TIMEOUT, self.follow_redirects(url, &operation)).await {
            Ok(response) => response,
            Err(_) => {
                let message = format!("no answer within {} s", PROBE_TIMEOUT.as_secs());
                Err(CloudError::new(operation, ErrorKind::Ambiguous, message))
            }
        }
    }

    async fn follow_redirects(
        &self,
        mut url: Url,
        operation: &str,
    ) -> Result<ProbeResponse, CloudError> {
        for _ in 0..=MAX_REDIRECTS {
            let mut response = self.get_once(&url).await.map_err(|error| {
                let kind = if error.is_connect() {
                    ErrorKind::Unreachable
                } else {
                    ErrorKind::Ambiguous
                };
                CloudError::new(operation, kind, format_error_chain(&error.without_url()))
            })?;
            let status = response.status();
            match redirect_target(&url, status, response.headers()) {
                Some(target) => url = target,
                None => {
                    let body = read_body(&mut response).await.map_err(|error| {
                        CloudError::new(
                            operation,
                            ErrorKind::Ambiguous,
                            format_error_chain(&error.without_url()),
                        )
                    })?;
                    return Ok(ProbeResponse {
                        status: status.as_u16(),
                        body,
                    });
                }
            }
        }
        let message = format!("it was redirected more than {MAX_REDIRECTS} times");
        Err(CloudError::new(operation, ErrorKind::Failed, message))
    }

    async fn get_once(&self, url: &Url) -> reqwest::Result<reqwest::Response> {
        let Some(base_url) = &self.base_url else {
            return self.client.get(url.clone()).send().await;
        };
        let mut address = base_url.clone();
        address.set_path(url.path());
        address.set_query(url.query());
        let host = url.host_str().unwrap_or_default();
        self.client
            .get(address)
            .header(header::HOST, host)
            .send()
            .await
    }
}

/// The target of a redirect; `None` unless it is an HTTP or HTTPS URL.
fn redirect_target(from: &Url, status: StatusCode, headers: &header::HeaderMap) -> Option<Url> {
    let location = headers
        .get(header::LOCATION)
        .filter(|_| status.is_redirection())?
        .to_str()
        .ok()?;
    from.join(location)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https"))
}

async fn read_body(response: &mut reqwest::Response) -> reqwest::Result<String> {
    let mut body = Vec::new();
    while body.len() < MAX_BODY_BYTES {
        match response.chunk().await? {
            Some(chunk) => body.extend_from_slice(&chunk),
            None => break,
        }
    }
    body.truncate(MAX_BODY_BYTES);
    Ok(String::from_utf8_lossy(&body).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redirect_to(location: &str) -> Option<String> {
        let mut headers = header::HeaderMap::new();
        headers.insert(header::LOCATION, location.parse().unwrap());
        let from = Url::parse("https://web.fly.dev/a").unwrap();
        redirect_target(&from, StatusCode::FOUND, &headers).map(String::from)
    }

    #[test]
    fn redirect_target_must_be_http() {
        assert_eq!(redirect_to("/b").unwrap(), "https://web.fly.dev/b");
        assert_eq!(
            redirect_to("https://other.example/c").unwrap(),
            "https://other.example/c"
        );
        assert_eq!(redirect_to("file:///etc/passwd"), None);
    }
}
