//! The client of image registries (the distribution API of the OCI): which image a reference means now.
//!
//! It asks every registry as somebody without an account, except Fly's own, which gets the Fly token as flyctl's
//! Docker configuration has it. That token goes to no other host: not along a redirect, and not where a challenge points.

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
/// Where Docker Hub serves what is named `docker.io`.
const DOCKER_HUB_HOST: (&str, &str) = ("docker.io", "registry-1.docker.io");
/// The user that flyctl names beside the token; the registry looks at the token only.
const BASIC_AUTH_USER: &str = "x";

/// A client of every registry there is.
#[derive(Clone, Debug)]
pub struct RegistryClient(Arc<RegistryClientInner>);

#[derive(Debug)]
struct RegistryClientInner {
    clients: HttpClients,
    /// Where all registries are asked instead of at their own addresses.
    base_url: Option<String>,
    /// For Fly's own registry.
    authorization: HeaderValue,
    speed: f64,
    requests: AtomicU64,
}

impl RegistryClient {
    /// A client with the token of the Machines API.
    ///
    /// # Errors
    /// When the address of an imitation is one that no token may be sent to, or TLS cannot be set up.
    pub fn new(settings: &ClientConfig) -> Result<Self, CloudError> {
        let wrong = |why: String| {
            CloudError::new(
                "set up the client of the registries",
                ErrorKind::Rejected,
                why,
            )
        };
        if let Some(base) = &settings.registry_url {
            endpoint::parse_token_url(base).map_err(wrong)?;
        }
        let token = strip_auth_scheme(settings.token.expose());
        let basic =
            base64::engine::general_purpose::STANDARD.encode(format!("{BASIC_AUTH_USER}:{token}"));
        let mut authorization = HeaderValue::from_str(&format!("Basic {basic}"))
            .map_err(|error| wrong(error.to_string()))?;
        authorization.set_sensitive(true);
        Ok(Self(Arc::new(RegistryClientInner {
            // A registry without a place is asked at its own.
            clients: HttpClients::new([settings.registry_url.as_deref().unwrap_or("https://")])
                .map_err(wrong)?,
            base_url: settings
                .registry_url
                .as_ref()
                .map(|base| base.trim_end_matches('/').to_owned()),
            authorization,
            speed: http::clamp_speed(settings.speed),
            requests: AtomicU64::new(0),
        })))
    }

    /// How many requests were sent so far.
    #[must_use]
    pub fn request_count(&self) -> u64 {
        self.0.requests.load(Ordering::Relaxed)
    }

    /// The digest that a reference means now. A reference with a digest is looked up by it.
    ///
    /// # Errors
    /// [`Trouble::NotFound`] when there is no such image, and as every request.
    pub async fn resolve_digest(&self, image: &Image) -> Result<String, CloudError> {
        let doing = format!("look up the image {image}");
        let home = self
            .manifest_url(image)
            .map_err(|why| CloudError::new(&doing, ErrorKind::Rejected, why))?;
        let authorization = (image.registry() == FLY_REGISTRY).then_some(&self.0.authorization);
        let once = || DigestLookup::new(&self.0, &doing, &home, authorization).resolve();
        let digest = http::retry_with_backoff(self.0.speed, Idempotency::Idempotent, once).await?;
        match image.digest() {
            Some(asked) if asked != digest => {
                let what = format!("the registry answered with another image, {digest}");
                Err(CloudError::new(doing, ErrorKind::InvalidResponse, what))
            }
            _ => Ok(digest),
        }
    }

    /// Where an image's manifest is. An imitation is told the registry's name as containerd tells a mirror.
    fn manifest_url(&self, image: &Image) -> Result<Url, String> {
        let (registry, repository) = (image.registry(), image.repository());
        let reference = image.digest().or_else(|| image.tag()).unwrap_or_default();
        let path = format!("v2/{repository}/manifests/{reference}");
        let address = match &self.0.base_url {
            Some(base) => format!("{base}/{path}?ns={registry}"),
            None => format!("{}/{path}", registry_url(registry)),
        };
        Url::parse(&address).map_err(|error| error.to_string())
    }
}

/// The address of a registry: plain HTTP for what runs on this machine only, as Docker does it.
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

/// The token without the scheme that it may have been pasted with.
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
        let settings = ClientConfig {
            logs_url: None,
            uiex_url: None,
            public_url: None,
            base_url: String::new(),
            token: Secret::new("FlyV1 fm2_abc"),
            speed: 1.0,
            crash_point: None,
            registry_url: base.map(str::to_owned),
        };
        RegistryClient::new(&settings).expect("the settings are sound")
    }

    #[test]
    fn every_registry_has_its_address_and_an_imitation_has_them_all() {
        let at = |base, image: &str| {
            registry(base)
                .manifest_url(&Image::new(image))
                .map(|url| url.to_string())
        };
        let digest = format!("sha256:{}", "ab".repeat(32));
        for (image, address) in [
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
            assert_eq!(at(None, image), Ok(address), "{image}");
        }
        let mirrored = "http://127.0.0.1:7/v2/library/nginx/manifests/1?ns=docker.io";
        assert_eq!(
            at(Some("http://127.0.0.1:7/"), "nginx:1"),
            Ok(mirrored.to_owned())
        );
    }

    #[test]
    fn the_token_is_sent_as_flyctl_sends_it() {
        assert_eq!(registry(None).0.authorization, "Basic eDpmbTJfYWJj");
        assert!(registry(None).0.authorization.is_sensitive());
    }
}
