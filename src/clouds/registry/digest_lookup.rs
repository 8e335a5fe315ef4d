//! The lookup of one image's digest: follows redirects, authenticates if the registry asks for it,
//! and reads the digest from the response.

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
    http_errors::connection_error,
};

/// The accepted media types. Without them, a registry may return an older manifest format, which
/// has another digest.
const MANIFEST_MEDIA_TYPES: &str = "application/vnd.oci.image.index.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, \
    application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json";
/// The response header with the digest of the manifest.
const DIGEST_HEADER: &str = "docker-content-digest";
/// The most redirects and challenges of one lookup. The longest known chain is a redirect to a
/// region and a challenge there.
const MAX_HOPS: usize = 5;
/// The largest manifest that registries accept, in bytes (distribution specification, "pushing
/// manifests").
const MAX_MANIFEST_BYTES: usize = 4 << 20;

/// The lookup of one digest.
pub(super) struct DigestLookup<'a> {
    client: &'a RegistryClientInner,
    operation: &'a str,
    manifest_url: &'a Url,
    /// The `Authorization` header, and the only origin that it may be sent to.
    authorization: Option<(Url, HeaderValue)>,
    /// The credentials for the registry itself. They may also be used to request a token at the
    /// same origin.
    registry_credentials: Option<&'a HeaderValue>,
    has_authenticated: bool,
}

/// The response of a token endpoint; registries differ in the key.
#[derive(Deserialize)]
struct TokenResponse {
    token: Option<String>,
    access_token: Option<String>,
}

impl<'a> DigestLookup<'a> {
    pub(super) fn new(
        client: &'a RegistryClientInner,
        operation: &'a str,
        manifest_url: &'a Url,
        credentials: Option<&'a HeaderValue>,
    ) -> Self {
        let authorization = credentials.map(|header| (manifest_url.clone(), header.clone()));
        Self {
            client,
            operation,
            manifest_url,
            authorization,
            registry_credentials: credentials,
            has_authenticated: false,
        }
    }

    /// Resolves the digest: from the response header, or by hashing the manifest if a registry
    /// sends no header.
    pub(super) async fn resolve(mut self) -> Result<String, CloudError> {
        let response = self.send_following(&Method::HEAD).await?;
        // HEAD does not count against Docker Hub's pull limit (Docker's documentation), but some registries
        // do not support it.
        let head_unsupported = matches!(
            response.status(),
            StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED
        );
        if !head_unsupported {
            let response = self.require_success(response)?;
            if let Some(digest) = digest_from_headers(response.headers()) {
                return Ok(digest);
            }
        }
        let response = self.send_following(&Method::GET).await?;
        let response = self.require_success(response)?;
        match digest_from_headers(response.headers()) {
            Some(digest) => Ok(digest),
            None => self.hash_manifest(response).await,
        }
    }

    /// Asks only whether the registry accepts the credentials; the URL is that of its API.
    pub(super) async fn check_access(mut self) -> Result<(), CloudError> {
        let response = self.send_following(&Method::GET).await?;
        self.require_success(response).map(drop)
    }

    async fn hash_manifest(&self, mut response: Response) -> Result<String, CloudError> {
        let (mut hash, mut size) = (Sha256::new(), 0);
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|error| connection_error(self.operation, &error))?
        {
            size += chunk.len();
            if size > MAX_MANIFEST_BYTES {
                return Err(self.error(
                    ErrorKind::InvalidResponse,
                    "the answer is too large for a manifest",
                ));
            }
            hash.update(&chunk);
        }
        let digest: String = hash
            .finalize()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Ok(format!("sha256:{digest}"))
    }

    /// Sends a request, follows redirects, and authenticates if the registry asks for it.
    async fn send_following(&mut self, method: &Method) -> Result<Response, CloudError> {
        let mut url = self.manifest_url.clone();
        for _ in 0..MAX_HOPS {
            let response = self
                .send_once(method, &url, self.authorization_for(&url))
                .await?;
            if let Some(next) = self.redirect_target(&response, &url)? {
                url = next;
                continue;
            }
            match bearer_challenge(&response).filter(|_| !self.has_authenticated) {
                Some(challenge) => self.authenticate(&challenge, &url).await?,
                None => return Ok(response),
            }
        }
        Err(self.error(
            ErrorKind::InvalidResponse,
            "the registry points from one place to the next without end",
        ))
    }

    fn authorization_for(&self, url: &Url) -> Option<HeaderValue> {
        let matching = self
            .authorization
            .as_ref()
            .filter(|(origin_url, _)| origin_url.origin() == url.origin());
        matching.map(|(_, header)| header.clone())
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
        let response = request
            .send()
            .await
            .map_err(|error| connection_error(self.operation, &error))?;
        tracing::debug!(%method, host = url.host_str(), path = url.path(), status = response.status().as_u16());
        Ok(response)
    }

    /// The target of a redirect, if the response is one.
    fn redirect_target(&self, response: &Response, from: &Url) -> Result<Option<Url>, CloudError> {
        let location = response
            .headers()
            .get(LOCATION)
            .and_then(|location| location.to_str().ok());
        match location.filter(|_| response.status().is_redirection()) {
            None => Ok(None),
            Some(location) => self.require_safe_url(from.join(location).ok()).map(Some),
        }
    }

    /// Requires TLS, or plain HTTP on this machine if the registry itself is there.
    fn require_safe_url(&self, url: Option<Url>) -> Result<Url, CloudError> {
        let is_local = |url: &Url| {
            url.scheme() == "http" && is_loopback(url) && is_loopback(self.manifest_url)
        };
        url.filter(|url| url.scheme() == "https" || is_local(url))
            .ok_or_else(|| {
                self.error(
                    ErrorKind::Rejected,
                    "the registry points to an address that is not safe to ask",
                )
            })
    }

    /// Requests the token that a challenge asks for. The token is only sent to the origin of the
    /// challenge.
    async fn authenticate(
        &mut self,
        challenge: &BearerChallenge,
        challenged_url: &Url,
    ) -> Result<(), CloudError> {
        self.has_authenticated = true;
        let mut realm = self.require_safe_url(Url::parse(&challenge.realm).ok())?;
        for (name, value) in [("service", &challenge.service), ("scope", &challenge.scope)] {
            if let Some(value) = value {
                realm.query_pairs_mut().append_pair(name, value);
            }
        }
        // The Fly token may only be presented to a token endpoint of the registry itself.
        let is_same_origin = challenged_url.origin() == self.manifest_url.origin()
            && realm.origin() == self.manifest_url.origin();
        let credentials = self
            .registry_credentials
            .filter(|_| is_same_origin)
            .cloned();
        let response = self.send_once(&Method::GET, &realm, credentials).await?;
        let response = self.require_success(response)?;
        let token_response = endpoint::read_body(self.operation, response).await?;
        let token_response: TokenResponse =
            serde_json::from_slice(&token_response).map_err(|_| {
                self.error(
                    ErrorKind::InvalidResponse,
                    "the registry gave no token where it points to",
                )
            })?;
        let token = token_response
            .token
            .or(token_response.access_token)
            .unwrap_or_default();
        let mut header = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| {
            self.error(
                ErrorKind::InvalidResponse,
                "the registry gave a token that cannot be sent",
            )
        })?;
        header.set_sensitive(true);
        self.authorization = Some((challenged_url.clone(), header));
        Ok(())
    }

    /// Turns a response with an error status into an error.
    fn require_success(&self, response: Response) -> Result<Response, CloudError> {
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let reason = status.canonical_reason().unwrap_or_default().to_lowercase();
        let request_id = response
            .headers()
            .get("fly-request-id")
            .and_then(|id| id.to_str().ok());
        Err(CloudError {
            status: Some(status.as_u16()),
            request_id: request_id.map(str::to_owned),
            cloud: crate::clouds::CloudProvider::Fly,
            ..self.error(
                ErrorKind::from_status(status.as_u16()),
                format!("{} {reason}", status.as_u16()).trim_end(),
            )
        })
    }

    fn error(&self, kind: ErrorKind, message: &str) -> CloudError {
        CloudError::new(self.operation, kind, message)
    }
}

fn digest_from_headers(headers: &HeaderMap) -> Option<String> {
    let digest = headers.get(DIGEST_HEADER)?.to_str().ok()?;
    crate::model::Image::parse(&format!("x@{digest}"))
        .ok()
        .map(|_| digest.to_owned())
}

fn bearer_challenge(response: &Response) -> Option<BearerChallenge> {
    if response.status() != StatusCode::UNAUTHORIZED {
        return None;
    }
    let headers = response.headers().get_all(WWW_AUTHENTICATE).into_iter();
    headers
        .filter_map(|header| header.to_str().ok())
        .find_map(BearerChallenge::parse)
}
