//! Which images there are. Nothing is pulled here, so every reference that is well formed names one, and its digest is
//! made from what the reference means; `/_sandbox/images` says otherwise for those that it names.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::api::ApiError;
use super::ids;

/// Where images come from whose reference names no registry.
const DOCKER_HUB_MIRROR: &str = "docker-hub-mirror.fly.io";
/// The names of the registry that Fly mirrors.
const DOCKER_HUB_HOSTS: [&str; 3] = ["docker.io", "index.docker.io", "registry-1.docker.io"];

/// What was said of an image, by its full reference.
pub(crate) type ImageOverrides = BTreeMap<String, ImageOverride>;

/// What a reference means, other than what it would mean by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ImageOverride {
    /// There is no such image.
    Missing,
    /// The tag means this digest now.
    Digest(String),
}

/// A reference, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ImageReference {
    pub(crate) registry: String,
    pub(crate) repository: String,
    /// Empty when the reference has a digest only.
    pub(crate) tag: String,
    pub(crate) digest: Option<String>,
}

impl ImageReference {
    /// Takes a reference apart, so that the short and the full way to write it are the same image.
    pub(crate) fn parse(image: &str) -> Self {
        let (rest, digest) = match image.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.to_owned())),
            None => (image, None),
        };
        let (path, tag) = match rest.rsplit_once(':') {
            Some((path, tag)) if !tag.contains('/') => (path, tag),
            // A reference by digest alone has no tag; any other means `latest`.
            _ => (rest, if digest.is_some() { "" } else { "latest" }),
        };
        let (registry, repository) = match path.split_once('/') {
            Some((host, rest)) if host.contains(['.', ':']) || host == "localhost" => (host, rest),
            _ => (DOCKER_HUB_MIRROR, path),
        };
        let registry = if DOCKER_HUB_HOSTS.contains(&registry) {
            DOCKER_HUB_MIRROR
        } else {
            registry
        };
        let short = registry == DOCKER_HUB_MIRROR && !repository.contains('/');
        let repository = if short {
            format!("library/{repository}")
        } else {
            repository.to_owned()
        };
        Self {
            registry: registry.to_owned(),
            repository,
            tag: tag.to_owned(),
            digest,
        }
    }

    /// The full reference that rules go by: a digest decides where there is one.
    fn override_key(&self) -> String {
        let Self {
            registry,
            repository,
            tag,
            digest,
        } = self;
        match digest {
            Some(digest) => format!("{registry}/{repository}@{digest}"),
            None => format!("{registry}/{repository}:{tag}"),
        }
    }

    /// The manifest of the image. It lists nothing that could be pulled.
    pub(crate) fn manifest(&self) -> Value {
        let title = format!("{}/{}:{}", self.registry, self.repository, self.tag);
        json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "manifests": [],
            "annotations": { "org.opencontainers.image.ref.name": title },
        })
    }

    /// The digest that the reference means by itself: the one that it names, or its manifest's.
    fn default_digest(&self) -> String {
        let of_manifest = || {
            format!(
                "sha256:{}",
                ids::hex(&Sha256::digest(self.manifest().to_string()))
            )
        };
        self.digest.clone().unwrap_or_else(of_manifest)
    }

    /// The digest that the reference means now; `None` when there is no such image.
    pub(crate) fn current_digest(&self, images: &ImageOverrides) -> Option<String> {
        match images.get(&self.override_key()) {
            Some(ImageOverride::Missing) => None,
            Some(ImageOverride::Digest(digest)) => Some(digest.clone()),
            None => Some(self.default_digest()),
        }
    }
}

/// The media type of the manifests that are served.
pub(crate) const MANIFEST_TYPE: &str = "application/vnd.oci.image.index.v1+json";

/// An image as the API shows it; `digest` is what its tag meant when the machine was made.
pub(crate) fn image_ref(image: &str, digest: Option<&str>) -> Value {
    let reference = ImageReference::parse(image);
    let digest = digest.map_or_else(|| reference.default_digest(), str::to_owned);
    let ImageReference {
        registry,
        repository,
        tag,
        digest: _,
    } = reference;
    json!({ "registry": registry, "repository": repository, "tag": tag, "digest": digest, "labels": {} })
}

/// The digest of the image that a machine is to run.
///
/// # Errors
/// `400` when there is no such image; the code is the registry's, the words around it are not documented.
pub(crate) fn resolve_config_image(
    images: &ImageOverrides,
    config: &super::world::JsonObject,
) -> Result<Option<String>, ApiError> {
    let Some(image) = config
        .get("image")
        .and_then(Value::as_str)
        .filter(|image| !image.is_empty())
    else {
        return Ok(None);
    };
    ImageReference::parse(image)
        .current_digest(images)
        .map(Some)
        .ok_or_else(|| {
            ApiError::bad_request(format!(
                "failed to get manifest {image}: MANIFEST_UNKNOWN: manifest unknown"
            ))
        })
}

/// What somebody says of an image.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SetImageOverride {
    reference: String,
    #[serde(default)]
    missing: bool,
    digest: Option<String>,
}

/// Takes in what is said of an image; neither `missing` nor `digest` makes it an ordinary one again.
///
/// # Errors
/// `400` for what says nothing sensible.
pub(crate) fn set_override(images: &mut ImageOverrides, body: &Value) -> Result<(), ApiError> {
    let said: SetImageOverride = serde_json::from_value(body.clone())
        .map_err(|error| ApiError::bad_request(format!("not about an image: {error}")))?;
    let key = ImageReference::parse(&said.reference).override_key();
    match (said.missing, said.digest) {
        (true, Some(_)) => {
            return Err(ApiError::bad_request(
                "an image that is missing has no digest",
            ));
        }
        (false, Some(digest)) if !is_digest(&digest) => {
            return Err(ApiError::bad_request(
                "digest must be sha256: and 64 hexadecimal digits",
            ));
        }
        (true, None) => drop(images.insert(key, ImageOverride::Missing)),
        (false, Some(digest)) => drop(images.insert(key, ImageOverride::Digest(digest))),
        (false, None) => drop(images.remove(&key)),
    }
    Ok(())
}

/// Whether a text is a digest that registries take.
pub(crate) fn is_digest(text: &str) -> bool {
    let digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    text.strip_prefix("sha256:")
        .is_some_and(|hash| hash.len() == 64 && hash.bytes().all(digit))
}
