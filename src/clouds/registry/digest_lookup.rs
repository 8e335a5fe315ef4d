//! One look at one manifest: the redirects, the challenge, and the digest in the answer.

use std::sync::atomic::Ordering;

use reqwest::{
    Method, Response, StatusCode, Url,
    header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue, LOCATION, WWW_AUTHENTICATE},
};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::{RegistryClientInner, challenge::BearerChallenge};
use crate::clouds::{
    CloudError, ErrorKind,
    endpoint::{self, is_loopback},
    http::connection_error,
};

/// What a manifest may be. A registry that is not told would answer with a form that has another digest.
const MANIFEST_MEDIA_TYPES: &str = "application/vnd.oci.image.index.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, \
    application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json";
/// Where registries put the digest of what they answer with.
const DIGEST_HEADER: &str = "docker-content-digest";
/// Redirects and challenges before a registry counts as broken. The longest known way is a redirect to a region and
/// a challenge there.
const MAX_HOPS: usize = 5;
/// The largest manifest that registries take (distribution specification, "pushing manifests").
const MAX_MANIFEST_BYTES: usize = 4 << 20;

/// One look.
pub(super) struct DigestLookup<'a> {
    client: &'a RegistryClientInner,
    operation: &'a str,
    manifest_url: &'a Url,
    /// For where it may be sent, and for nowhere else.
    authorization: Option<(Url, HeaderValue)>,
    /// The same as it was at first: a token may be asked for with it, at the same place.
    registry_credentials: Option<&'a HeaderValue>,
    has_authenticated: bool,
}

/// What a realm gives out; registries differ in the key.
#[derive(Deserialize)]
struct TokenResponse {
    token: Option<String>,
    access_token: Option<String>,
}

impl<'a> DigestLookup<'a> {
    pub(super) fn new(
        inner: &'a RegistryClientInner,
        doing: &'a str,
        home: &'a Url,
        account: Option<&'a HeaderValue>,
    ) -> Self {
        let authorization = account.map(|header| (home.clone(), header.clone()));
        Self {
            client: inner,
            operation: doing,
            manifest_url: home,
            authorization,
            registry_credentials: account,
            has_authenticated: false,
        }
    }

    /// The digest: from the header, or of the manifest itself where a registry sends no header.
    pub(super) async fn resolve(mut self) -> Result<String, CloudError> {
        let answer = self.send_following(&Method::HEAD).await?;
        let headless = matches!(
            answer.status(),
            StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED
        );
        if !headless {
            let answer = self.require_success(answer)?;
            if let Some(digest) = digest_from_headers(answer.headers()) {
                return Ok(digest);
            }
        }
        let answer = self.send_following(&Method::GET).await?;
        let answer = self.require_success(answer)?;
        match digest_from_headers(answer.headers()) {
            Some(digest) => Ok(digest),
            None => self.hash_manifest(answer).await,
        }
    }

    async fn hash_manifest(&self, mut answer: Response) -> Result<String, CloudError> {
        let (mut hash, mut size) = (Sha256::new(), 0);
        while let Some(part) = answer
            .chunk()
            .await
            .map_err(|error| connection_error(self.operation, &error))?
        {
            size += part.len();
            if size > MAX_MANIFEST_BYTES {
                return Err(self.error(
                    ErrorKind::InvalidResponse,
                    "the answer is too large for a manifest",
                ));
            }
            hash.update(&part);
        }
        let digits: String = hash
            .finalize()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Ok(format!("sha256:{digits}"))
    }

    /// Sends a request, goes where it is pointed to, and gets a token where one is asked for.
    async fn send_following(&mut self, method: &Method) -> Result<Response, CloudError> {
        let mut url = self.manifest_url.clone();
        for _ in 0..MAX_HOPS {
            let answer = self
                .send_once(method, &url, self.authorization_for(&url))
                .await?;
            if let Some(next) = self.redirect_target(&answer, &url)? {
                url = next;
                continue;
            }
            match bearer_challenge(&answer).filter(|_| !self.has_authenticated) {
                Some(challenge) => self.authenticate(&challenge, &url).await?,
                None => return Ok(answer),
            }
        }
        Err(self.error(
            ErrorKind::InvalidResponse,
            "the registry points from one place to the next without end",
        ))
    }

    fn authorization_for(&self, url: &Url) -> Option<HeaderValue> {
        let here = self
            .authorization
            .as_ref()
            .filter(|(place, _)| place.origin() == url.origin());
        here.map(|(_, header)| header.clone())
    }

    async fn send_once(
        &self,
        method: &Method,
        url: &Url,
        authorization: Option<HeaderValue>,
    ) -> Result<Response, CloudError> {
        self.client.requests.fetch_add(1, Ordering::Relaxed);
        let mut request = self
            .client
            .clients
            .for_url(url.as_str())
            .request(method.clone(), url.clone())
            .header(ACCEPT, MANIFEST_MEDIA_TYPES);
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        let answer = request
            .send()
            .await
            .map_err(|error| connection_error(self.operation, &error))?;
        tracing::debug!(%method, host = url.host_str(), path = url.path(), status = answer.status().as_u16());
        Ok(answer)
    }

    /// Where a redirect points.
    fn redirect_target(&self, answer: &Response, from: &Url) -> Result<Option<Url>, CloudError> {
        let location = answer
            .headers()
            .get(LOCATION)
            .and_then(|location| location.to_str().ok());
        match location.filter(|_| answer.status().is_redirection()) {
            None => Ok(None),
            Some(location) => self.require_safe_url(from.join(location).ok()).map(Some),
        }
    }

    /// An address that may be asked: over TLS, or on this machine where the registry itself is.
    fn require_safe_url(&self, url: Option<Url>) -> Result<Url, CloudError> {
        let local = |url: &Url| {
            url.scheme() == "http" && is_loopback(url) && is_loopback(self.manifest_url)
        };
        url.filter(|url| url.scheme() == "https" || local(url))
            .ok_or_else(|| {
                self.error(
                    ErrorKind::Rejected,
                    "the registry points to an address that is not safe to ask",
                )
            })
    }

    /// Gets the token that a challenge asks for; it counts where the challenge came from.
    async fn authenticate(
        &mut self,
        challenge: &BearerChallenge,
        at: &Url,
    ) -> Result<(), CloudError> {
        self.has_authenticated = true;
        let mut realm = self.require_safe_url(Url::parse(&challenge.realm).ok())?;
        for (name, value) in [("service", &challenge.service), ("scope", &challenge.scope)] {
            if let Some(value) = value {
                realm.query_pairs_mut().append_pair(name, value);
            }
        }
        let at_home = at.origin() == self.manifest_url.origin()
            && realm.origin() == self.manifest_url.origin();
        let account = self.registry_credentials.filter(|_| at_home).cloned();
        let answer = self.send_once(&Method::GET, &realm, account).await?;
        let answer = self.require_success(answer)?;
        let given = endpoint::read_body(self.operation, answer).await?;
        let given: TokenResponse = serde_json::from_slice(&given).map_err(|_| {
            self.error(
                ErrorKind::InvalidResponse,
                "the registry gave no token where it points to",
            )
        })?;
        let token = given.token.or(given.access_token).unwrap_or_default();
        let mut header = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| {
            self.error(
                ErrorKind::InvalidResponse,
                "the registry gave a token that cannot be sent",
            )
        })?;
        header.set_sensitive(true);
        self.authorization = Some((at.clone(), header));
        Ok(())
    }

    /// An answer that says yes.
    fn require_success(&self, answer: Response) -> Result<Response, CloudError> {
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let words = status.canonical_reason().unwrap_or_default().to_lowercase();
        let request_id = answer
            .headers()
            .get("fly-request-id")
            .and_then(|id| id.to_str().ok());
        Err(CloudError {
            status: Some(status.as_u16()),
            request_id: request_id.map(str::to_owned),
            cloud: crate::clouds::CloudProvider::Fly,
            ..self.error(
                ErrorKind::from_status(status.as_u16()),
                format!("{} {words}", status.as_u16()).trim_end(),
            )
        })
    }

    fn error(&self, trouble: ErrorKind, what: &str) -> CloudError {
        CloudError::new(self.operation, trouble, what)
    }
}

fn digest_from_headers(headers: &HeaderMap) -> Option<String> {
    let digest = headers.get(DIGEST_HEADER)?.to_str().ok()?;
    crate::model::Image::parse(&format!("x@{digest}"))
        .ok()
        .map(|_| digest.to_owned())
}

fn bearer_challenge(answer: &Response) -> Option<BearerChallenge> {
    if answer.status() != StatusCode::UNAUTHORIZED {
        return None;
    }
    let headers = answer.headers().get_all(WWW_AUTHENTICATE).into_iter();
    headers
        .filter_map(|header| header.to_str().ok())
        .find_map(BearerChallenge::parse)
}
