//! Which images exist. The sandbox pulls nothing: every well-formed reference names an image, with
//! a digest derived from the reference. `/_sandbox/images` overrides this for single images.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::api::ApiError;
use crate::ids;

/// The registry of images whose reference names none.
const DOCKER_HUB_MIRROR: &str = "docker-hub-mirror.fly.io";
/// The host names of Docker Hub, which Fly mirrors.
const DOCKER_HUB_HOSTS: [&str; 3] = ["docker.io", "index.docker.io", "registry-1.docker.io"];

/// The version of `flyio/postgres-flex` that its tags point to, which is not that of PostgreSQL.
pub(crate) const POSTGRES_FLEX_VERSION: &str = "v0.2.0";
/// The full versions of PostgreSQL that have a tag of `flyio/postgres-flex`; each major version has one
/// as well.
const POSTGRES_FLEX_TAGS: [&str; 5] = ["15.15", "16.11", "17.2", "17.7", "18.1"];

/// The overrides, by full reference.
pub(crate) type ImageOverrides = BTreeMap<String, ImageOverride>;

/// What an image reference resolves to, in place of its default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ImageOverride {
    /// The image does not exist.
    Missing,
    /// The tag points to this digest.
    Digest(String),
}

/// A parsed image reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ImageReference {
    pub(crate) registry: String,
    pub(crate) repository: String,
    /// Empty when the reference has only a digest.
    pub(crate) tag: String,
    pub(crate) digest: Option<String>,
}

impl ImageReference {
    /// Parses a reference, so that its short and full spellings are equal.
    pub(crate) fn parse(image: &str) -> Self {
        let (rest, digest) = match image.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.to_owned())),
            None => (image, None),
        };
        let (path, tag) = match rest.rsplit_once(':') {
            Some((path, tag)) if !tag.contains('/') => (path, tag),
            // A reference with only a digest has no tag; the default tag is `latest`.
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

    /// The full reference, which is the key of overrides. The digest takes precedence over the tag.
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

    /// The manifest of the image: an index without entries, since nothing can be pulled.
    pub(crate) fn manifest(&self) -> Value {
        let title = format!("{}/{}:{}", self.registry, self.repository, self.tag);
        json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "manifests": [],
            "annotations": { "org.opencontainers.image.ref.name": title },
        })
    }

    /// The digest without overrides: the one in the reference, or the digest of the manifest.
    fn default_digest(&self) -> String {
        let manifest_digest = || {
            format!(
                "sha256:{}",
                ids::hex(&Sha256::digest(self.manifest().to_string()))
            )
        };
        self.digest.clone().unwrap_or_else(manifest_digest)
    }

    /// The digest that the reference resolves to; `None` when the image does not exist.
    pub(crate) fn current_digest(&self, images: &ImageOverrides) -> Option<String> {
        match images.get(&self.override_key()) {
            Some(ImageOverride::Missing) => None,
            Some(ImageOverride::Digest(digest)) => Some(digest.clone()),
            None => Some(self.default_digest()),
        }
    }
}

/// The media type of all manifests.
pub(crate) const MANIFEST_TYPE: &str = "application/vnd.oci.image.index.v1+json";

/// The `image_ref` of a machine; `digest` is what the tag pointed to when the machine was created
/// or updated.
pub(crate) fn image_ref(image: &str, digest: Option<&str>) -> Value {
    let reference = ImageReference::parse(image);
    let digest = digest.map_or_else(|| reference.default_digest(), str::to_owned);
    let ImageReference {
        registry,
        repository,
        tag,
        digest: _,
    } = reference;
    let labels = match postgres_flex_version(image) {
        Some(version) => json!({
            "fly.app_role": "postgres_cluster",
            "fly.pg-manager": "repmgr",
            "fly.pg-version": version,
            "fly.version": POSTGRES_FLEX_VERSION,
        }),
        None => json!({}),
    };
    json!({ "registry": registry, "repository": repository, "tag": tag, "digest": digest, "labels": labels })
}

/// The version of PostgreSQL in Fly's image for Postgres clusters, such as `17.7` or `17`; `None` for
/// other images. Without a tag, the digest tells it: that of a tag which is not known here is taken for
/// the newest version.
pub(crate) fn postgres_flex_version(image: &str) -> Option<String> {
    let reference = ImageReference::parse(image);
    let is_flex = reference.registry == DOCKER_HUB_MIRROR
        && matches!(
            reference.repository.as_str(),
            "flyio/postgres-flex" | "flyio/postgres-flex-timescaledb"
        );
    if !is_flex {
        return None;
    }
    let starts_with_digit = reference.tag.starts_with(|c: char| c.is_ascii_digit());
    if starts_with_digit {
        return Some(reference.tag);
    }
    let majors = POSTGRES_FLEX_TAGS.map(|tag| tag.split('.').next().unwrap_or(tag));
    let mut tags = POSTGRES_FLEX_TAGS.into_iter().chain(majors);
    let has_digest = |tag: &&str| {
        let tagged = format!("{DOCKER_HUB_MIRROR}/{}:{tag}", reference.repository);
        Some(ImageReference::parse(&tagged).default_digest()) == reference.digest
    };
    let newest = POSTGRES_FLEX_TAGS.last().copied().unwrap_or_default();
    Some(tags.find(has_digest).unwrap_or(newest).to_owned())
}

/// The digest of the image in a machine configuration; `None` when it names no image.
///
/// # Errors
/// `400` when the image does not exist. The error code is the registry's; Fly's message around it
/// is not documented.
pub(crate) fn resolve_config_image(
    images: &ImageOverrides,
    config: &crate::world::JsonObject,
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

/// The body of `POST /_sandbox/images`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SetImageOverride {
    reference: String,
    #[serde(default)]
    missing: bool,
    digest: Option<String>,
}

/// Sets the override of an image; without `missing` and `digest` it is removed.
///
/// # Errors
/// `400` for an invalid body.
pub(crate) fn set_override(images: &mut ImageOverrides, body: &Value) -> Result<(), ApiError> {
    let request: SetImageOverride = serde_json::from_value(body.clone())
        .map_err(|error| ApiError::bad_request(format!("invalid image override: {error}")))?;
    let key = ImageReference::parse(&request.reference).override_key();
    match (request.missing, request.digest) {
        (true, Some(_)) => {
            return Err(ApiError::bad_request(
                "an image cannot be missing and have a digest; set only one of the two",
            ));
        }
        (false, Some(digest)) if !is_digest(&digest) => {
            return Err(ApiError::bad_request(
                "digest must be `sha256:` and 64 lower-case hexadecimal digits",
            ));
        }
        (true, None) => drop(images.insert(key, ImageOverride::Missing)),
        (false, Some(digest)) => drop(images.insert(key, ImageOverride::Digest(digest))),
        (false, None) => drop(images.remove(&key)),
    }
    Ok(())
}

/// Whether this is a digest as registries write them: `sha256:` and 64 lower-case hexadecimal
/// digits.
pub(crate) fn is_digest(text: &str) -> bool {
    let digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    text.strip_prefix("sha256:")
        .is_some_and(|hash| hash.len() == 64 && hash.bytes().all(digit))
}
