//! The client of image registries (OCI distribution API): resolves image references to digests.
//!
//! Requests are anonymous except to Fly's own registry, which gets the Fly token as from flyctl. The token
//! is sent to no other host: not along a redirect, and not to a token endpoint elsewhere.

mod challenge;
mod digest_lookup;

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use base64::Engine as _;
use reqwest::{Url, header::HeaderValue};

use self::digest_lookup::DigestLookup;
use super::{
    CloudError, ErrorKind, endpoint,
    http::{self, ClientConfig, HttpClients, Idempotency},
};
use crate::model::Image;

/// Fly's own registry.
const FLY_REGISTRY: &str = "registry.fly.io";
/// The registry name of Docker Hub in references, and the host that serves it.
const DOCKER_HUB_HOST: (&str, &str) = ("docker.io", "registry-1.docker.io");
/// The user name of the basic authentication, as in flyctl. The registry only checks the token.
const BASIC_AUTH_USER: &str = "x";

/// A client of all image registries.
#[derive(Clone, Debug)]
pub struct RegistryClient(Arc<RegistryClientInner>);

#[derive(Debug)]
struct RegistryClientInner {
    clients: HttpClients,
    /// Where a sandbox serves all registries; `None` for their own addresses.
    base_url: Option<String>,
    /// The `Authorization` header for Fly's own registry.
    authorization: HeaderValue,
    speed: f64,
    requests: AtomicU64,
}

impl RegistryClient {
    /// A client that uses the Machines API token at Fly's registry.
    ///
    /// # Errors
    /// When a token must not be sent to the sandbox's address, or TLS cannot be set up.
    pub fn new(config: &ClientConfig) -> Result<Self, CloudError> {
        let rejected = |reason: String| {
            CloudError::new(
                "set up the client of the registries",
                ErrorKind::Rejected,
                reason,
            )
        };
        if let Some(base) = &config.registry_url {
            endpoint::parse_token_url(base).map_err(rejected)?;
        }
        let token = strip_auth_scheme(config.token.expose());
        let basic =
            base64::engine::general_purpose::STANDARD.encode(format!("{BASIC_AUTH_USER}:{token}"));
        let mut authorization = HeaderValue::from_str(&format!("Basic {basic}"))
            .map_err(|error| rejected(error.to_string()))?;
        authorization.set_sensitive(true);
        Ok(Self(Arc::new(RegistryClientInner {
            // Without a sandbox, registries are reached over TLS.
            clients: HttpClients::new([config.registry_url.as_deref().unwrap_or("https://")])
                .map_err(rejected)?,
            base_url: config
                .registry_url
                .as_ref()
                .map(|base| base.trim_end_matches('/').to_owned()),
            authorization,
            speed: http::clamp_speed(config.speed),
            requests: AtomicU64::new(0),
        })))
    }

    /// The number of requests sent so far.
    #[must_use]
    pub fn request_count(&self) -> u64 {
        self.0.requests.load(Ordering::Relaxed)
    }

    /// Resolves a reference to its digest. A reference with a digest is looked up by it.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if there is no such image; otherwise as for every request.
    pub async fn resolve_digest(&self, image: &Image) -> Result<String, CloudError> {
        let operation = format!("look up the image {image}");
        let manifest_url = self
            .manifest_url(image)
            .map_err(|reason| CloudError::new(&operation, ErrorKind::Rejected, reason))?;
        let authorization = (image.registry() == FLY_REGISTRY).then_some(&self.0.authorization);
        let attempt =
            || DigestLookup::new(&self.0, &operation, &manifest_url, authorization).resolve();
        let digest =
            http::retry_with_backoff(self.0.speed, Idempotency::Idempotent, attempt).await?;
        match image.digest() {
            Some(requested) if requested != digest => {
                let message = format!("the registry answered with another image, {digest}");
                Err(CloudError::new(
                    operation,
                    ErrorKind::InvalidResponse,
                    message,
                ))
            }
            _ => Ok(digest),
        }
    }

    /// Checks that Fly's own registry accepts the token (distribution specification, "Determining Support").
    ///
    /// # Errors
    /// [`ErrorKind::PermissionDenied`] if it does not; otherwise as for every request.
    pub async fn check_access(&self) -> Result<(), CloudError> {
        let operation = format!("ask {FLY_REGISTRY} whether it accepts the token");
        let base = self
            .0
            .base_url
            .clone()
            .unwrap_or_else(|| registry_url(FLY_REGISTRY));
        let url = Url::parse(&format!("{base}/v2/"))
            .map_err(|error| CloudError::new(&operation, ErrorKind::Rejected, error.to_string()))?;
        let authorization = Some(&self.0.authorization);
        let attempt = || DigestLookup::new(&self.0, &operation, &url, authorization).check_access();
        http::retry_with_backoff(self.0.speed, Idempotency::Idempotent, attempt).await
    }

    /// The URL of an image's manifest. A sandbox gets the registry's name in `ns`, like a mirror.
    fn manifest_url(&self, image: &Image) -> Result<Url, String> {
        let (registry, repository) = (image.registry(), image.repository());
        let reference = image.digest().or_else(|| image.tag()).unwrap_or_default();
        let path = format!("v2/{repository}/manifests/{reference}");
        let url = match &self.0.base_url {
            Some(base) => format!("{base}/{path}?ns={registry}"),
            None => format!("{}/{path}", registry_url(registry)),
        };
        Url::parse(&url).map_err(|error| error.to_string())
    }
}

/// The URL of a registry: plain HTTP only for registries on this machine, as in Docker.
fn registry_url(registry: &str) -> String {
    let host = if registry == DOCKER_HUB_HOST.0 {
        DOCKER_HUB_HOST.1
    } else {
        registry
    };
    match Url::parse(&format!("http://{host}")) {
        Ok(url) if endpoint::is_loopback(&url) => format!("http://{host}"),
        _ => format!("https://{host}"),
    }
}

/// The token without an authorization scheme that was pasted along.
fn strip_auth_scheme(token: &str) -> &str {
    let token = token.trim();
    ["FlyV1 ", "Bearer "]
        .iter()
        .find_map(|scheme| token.strip_prefix(scheme))
        .unwrap_or(token)
        .trim()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Secret;

    fn registry(base: Option<&str>) -> RegistryClient {
        let config = ClientConfig {
            logs_url: None,
            uiex_url: None,
            public_url: None,
            base_url: String::new(),
            token: Secret::new("FlyV1 fm2_abc"),
            speed: 1.0,
            crash_point: None,
            registry_url: base.map(str::to_owned),
        };
        RegistryClient::new(&config).expect("the settings are sound")
    }

    #[test]
    fn sandbox_url_replaces_every_registry() {
        let url_of = |base, image: &str| {
            registry(base)
                .manifest_url(&Image::new(image))
                .map(|url| url.to_string())
        };
        let digest = format!("sha256:{}", "ab".repeat(32));
        for (image, url) in [
            (
                "registry.fly.io/web:v1",
                "https://registry.fly.io/v2/web/manifests/v1".to_owned(),
            ),
            (
                "nginx",
                "https://registry-1.docker.io/v2/library/nginx/manifests/latest".to_owned(),
            ),
            (
                "localhost:5000/a/b:1",
                "http://localhost:5000/v2/a/b/manifests/1".to_owned(),
            ),
            (
                &format!("ghcr.io/a/b:1@{digest}"),
                format!("https://ghcr.io/v2/a/b/manifests/{digest}"),
            ),
        ] {
            assert_eq!(url_of(None, image), Ok(url), "{image}");
        }
        let mirrored = "http://127.0.0.1:7/v2/library/nginx/manifests/1?ns=docker.io";
        assert_eq!(
            url_of(Some("http://127.0.0.1:7/"), "nginx:1"),
            Ok(mirrored.to_owned())
        );
    }

    #[test]
    fn sends_the_token_as_flyctl_does() {
        assert_eq!(registry(None).0.authorization, "Basic eDpmbTJfYWJj");
        assert!(registry(None).0.authorization.is_sensitive());
    }
}
