//! A look at what an app serves, as any visitor would: over its public name, without our token.

use std::time::Duration;

use reqwest::{StatusCode, Url, header};

use super::{ClientConfig, CloudError, ErrorKind, format_error_chain};

/// How long a look may take, redirects and all. It is not scaled: a network takes its time at any speed.
const PROBE_TIMEOUT: Duration = Duration::from_secs(10);
/// How many redirects are followed; browsers follow some twenty, and a page worth looking at is nearer than that.
const MAX_REDIRECTS: usize = 5;
/// How much of a page is read, in bytes.
const MAX_BODY_BYTES: usize = 64 * 1024;

/// What a page said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeResponse {
    /// Its HTTP status, after redirects.
    pub status: u16,
    /// The first 64 KiB of it. It is foreign text, and nothing was taken out of it.
    pub body: String,
}

/// A client that has no token to send.
#[derive(Clone, Debug)]
pub(crate) struct ProbeClient {
    client: reqwest::Client,
    /// Where all hosts are, in an imitation; nothing for the real ones.
    base_url: Option<Url>,
}

impl ProbeClient {
    /// A visitor, to the real hosts or to those of an imitation.
    ///
    /// # Errors
    /// When TLS cannot be set up, or the imitation's base is no URL.
    pub(crate) fn new(settings: &ClientConfig) -> Result<Self, CloudError> {
        let wrong =
            |what: String| CloudError::new("set up looking at pages", ErrorKind::Rejected, what);
        let base = settings.public_url.as_deref().map(Url::parse).transpose();
        let base = base.map_err(|error| wrong(error.to_string()))?;
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("trimtab/", env!("CARGO_PKG_VERSION")))
            // They are followed here, because an imitation's hosts have no names.
            .redirect(reqwest::redirect::Policy::none());
        if base.is_some() {
            builder = builder.no_proxy().tls_certs_only([]);
        }
        let client = builder
            .build()
            .map_err(|error| wrong(format_error_chain(&error)))?;
        Ok(Self {
            client,
            base_url: base,
        })
    }

    /// Looks at a path of a host, such as `draft-app.fly.dev` and `/health`.
    ///
    /// # Errors
    /// When there is no answer within ten seconds, or no page at the end of five redirects. A page that says 503 is an
    /// answer.
    pub(crate) async fn probe(&self, host: &str, path: &str) -> Result<ProbeResponse, CloudError> {
        // Without the slash, a path would be a part of the host.
        let address = format!("https://{host}/{}", path.trim_start_matches('/'));
        let doing = format!("look at {address}");
        let url = Url::parse(&address)
            .map_err(|error| CloudError::new(&doing, ErrorKind::Rejected, error.to_string()))?;
        match tokio::time::timeout(PROBE_TIMEOUT, self.follow_redirects(url, &doing)).await {
            Ok(answer) => answer,
            Err(_) => {
                let text = format!("no answer within {} s", PROBE_TIMEOUT.as_secs());
                Err(CloudError::new(doing, ErrorKind::Ambiguous, text))
            }
        }
    }

    async fn follow_redirects(
        &self,
        mut url: Url,
        doing: &str,
    ) -> Result<ProbeResponse, CloudError> {
        for _ in 0..=MAX_REDIRECTS {
            let mut answer = self.get_once(&url).await.map_err(|error| {
                let trouble = if error.is_connect() {
                    ErrorKind::Unreachable
                } else {
                    ErrorKind::Ambiguous
                };
                CloudError::new(doing, trouble, format_error_chain(&error.without_url()))
            })?;
            let status = answer.status();
            match redirect_target(&url, status, answer.headers()) {
                Some(next) => url = next,
                None => {
                    let body = read_body(&mut answer).await.map_err(|error| {
                        CloudError::new(
                            doing,
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
        let text = format!("it was redirected more than {MAX_REDIRECTS} times");
        Err(CloudError::new(doing, ErrorKind::Failed, text))
    }

    async fn get_once(&self, url: &Url) -> reqwest::Result<reqwest::Response> {
        let Some(base) = &self.base_url else {
            return self.client.get(url.clone()).send().await;
        };
        let mut there = base.clone();
        there.set_path(url.path());
        there.set_query(url.query());
        let host = url.host_str().unwrap_or_default();
        self.client
            .get(there)
            .header(header::HOST, host)
            .send()
            .await
    }
}

/// Where a redirect leads: only to other pages of the web.
fn redirect_target(from: &Url, status: StatusCode, headers: &header::HeaderMap) -> Option<Url> {
    let to = headers
        .get(header::LOCATION)
        .filter(|_| status.is_redirection())?
        .to_str()
        .ok()?;
    from.join(to)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https"))
}

async fn read_body(answer: &mut reqwest::Response) -> reqwest::Result<String> {
    let mut body = Vec::new();
    while body.len() < MAX_BODY_BYTES {
        match answer.chunk().await? {
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

    fn after(location: &str) -> Option<String> {
        let mut headers = header::HeaderMap::new();
        headers.insert(header::LOCATION, location.parse().unwrap());
        let from = Url::parse("https://web.fly.dev/a").unwrap();
        redirect_target(&from, StatusCode::FOUND, &headers).map(String::from)
    }

    #[test]
    fn a_redirect_leads_to_a_page() {
        assert_eq!(after("/b").unwrap(), "https://web.fly.dev/b");
        assert_eq!(
            after("https://other.example/c").unwrap(),
            "https://other.example/c"
        );
        assert_eq!(after("file:///etc/passwd"), None);
    }
}
