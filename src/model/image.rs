//! References to container images, taken apart the way Docker does it, and told from each other by digest where both
//! sides have one: a tag can mean another image tomorrow.

use std::{borrow::Cow, fmt};

use serde::{Deserialize, Serialize};

/// The registry that is meant where a reference names none.
const DOCKER_HUB: &str = "docker.io";
/// Other names of Docker Hub. Fly pulls through a mirror of its own and shows that in the machine.
const DOCKER_HUB_ALIASES: [&str; 3] = [
    "index.docker.io",
    "registry-1.docker.io",
    "docker-hub-mirror.fly.io",
];
/// The tag that is meant where a reference has neither tag nor digest.
const DEFAULT_TAG: &str = "latest";
/// The limits of the distribution specification.
const MAX_REPOSITORY_LEN: usize = 255;
const MAX_TAG_LEN: usize = 128;
/// The digests that registries use, and how many digits they have.
const DIGEST_ALGORITHMS: [(&str, usize); 2] = [("sha256", 64), ("sha512", 128)];

/// A container image reference, such as `registry.fly.io/web:v1`, `…@sha256:…`, or both.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct Image {
    reference: String,
    /// The reference as it was asked for, where the digest was found by looking its tag up.
    asked: Option<String>,
}

/// Why a text is no image reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseImageError {
    /// Spaces, a scheme, or characters that no reference holds.
    #[error("it holds characters that no reference holds")]
    InvalidCharacters,
    /// A repository has lower-case words between slashes.
    #[error(
        "a repository is lower-case words, with single dots, dashes, underscores and slashes between them"
    )]
    InvalidRepository,
    /// A tag that no registry takes.
    #[error("a tag is up to 128 letters, digits, dots, dashes and underscores")]
    InvalidTag,
    /// A digest that is none.
    #[error("a digest is `sha256:` and 64 hexadecimal digits")]
    InvalidDigest,
}

impl Image {
    /// Keeps the reference as it is written; a machine may run one that we would not accept.
    #[must_use]
    pub fn new(reference: impl Into<String>) -> Self {
        Self {
            reference: reference.into(),
            asked: None,
        }
    }

    /// Reads a reference.
    ///
    /// # Errors
    /// When no registry could have it.
    pub fn parse(reference: &str) -> Result<Self, ParseImageError> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:/@[]".contains(c);
        if !reference.chars().all(plain) || reference.contains("://") {
            return Err(ParseImageError::InvalidCharacters);
        }
        let image = Self::new(reference);
        let (host, path, tag) = image.parts();
        let fits =
            path.len() <= MAX_REPOSITORY_LEN && path.split('/').all(is_repository_path_component);
        if !fits || host == Some("") {
            return Err(ParseImageError::InvalidRepository);
        }
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err(ParseImageError::InvalidTag);
        }
        match image.digest() {
            Some(digest) if !is_digest(digest) => Err(ParseImageError::InvalidDigest),
            _ => Ok(image),
        }
    }

    /// The host of the registry, `docker.io` for all names of Docker Hub.
    #[must_use]
    pub fn registry(&self) -> &str {
        match self.parts().0 {
            Some(host) if !DOCKER_HUB_ALIASES.contains(&host) => host,
            _ => DOCKER_HUB,
        }
    }

    /// The repository within its registry; Docker Hub keeps those of one word under `library`.
    #[must_use]
    pub fn repository(&self) -> Cow<'_, str> {
        let (_, path, _) = self.parts();
        if self.registry() == DOCKER_HUB && !path.contains('/') {
            return Cow::Owned(format!("library/{path}"));
        }
        Cow::Borrowed(path)
    }

    /// The tag; `latest` where the reference has neither tag nor digest, and none where it has a digest only.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        let (_, _, tag) = self.parts();
        tag.or_else(|| self.digest().is_none().then_some(DEFAULT_TAG))
    }

    /// The `sha256:…` part, where the reference has one.
    #[must_use]
    pub fn digest(&self) -> Option<&str> {
        self.reference.split_once('@').map(|(_, digest)| digest)
    }

    /// The same image by digest, its tag kept for the reader: `web:v1@sha256:…`. One that names a digest stays.
    #[must_use]
    pub fn pinned(&self, digest: &str) -> Self {
        if self.digest().is_some() {
            return self.clone();
        }
        let (_, _, tag) = self.parts();
        let latest = if tag.is_none() { ":latest" } else { "" };
        let reference = format!("{}{latest}@{digest}", self.reference);
        Self {
            reference,
            asked: Some(self.reference.clone()),
        }
    }

    /// The reference without a digest that was looked up: what the manifest says, whatever its tag means today.
    #[must_use]
    pub fn unpinned(&self) -> Self {
        Self::new(self.asked.as_ref().unwrap_or(&self.reference))
    }

    /// Whether both name the same tag of the same repository.
    #[must_use]
    pub fn has_same_tag(&self, other: &Self) -> bool {
        let names = |image: &Self| Some((image.registry().to_owned(), image.tag()?.to_owned()));
        names(self).is_some()
            && names(self) == names(other)
            && self.repository() == other.repository()
    }

    /// The reference as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.reference
    }

    /// Host, path and tag as written. The first part is a host when it cannot be a repository's.
    fn parts(&self) -> (Option<&str>, &str, Option<&str>) {
        let name = self.reference.split('@').next().unwrap_or_default();
        let (name, tag) = match name.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (name, None),
        };
        match name.split_once('/') {
            Some((host, path))
                if host.contains(['.', ':']) || host == "localhost" || host.is_empty() =>
            {
                (Some(host), path, tag)
            }
            _ => (None, name, tag),
        }
    }
}

/// Words of lower-case letters and digits, with a dot, one or two underscores, or dashes between them.
fn is_repository_path_component(text: &str) -> bool {
    let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let between = |text: &str| matches!(text, "." | "_" | "__") || text.chars().all(|c| c == '-');
    text.starts_with(word)
        && text.ends_with(word)
        && text
            .split(word)
            .all(|separator| separator.is_empty() || between(separator))
}

fn is_tag(text: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.len() <= MAX_TAG_LEN
        && text.starts_with(word)
        && text.chars().all(|c| word(c) || c == '.' || c == '-')
}

fn is_digest(text: &str) -> bool {
    let digits = |text: &str| {
        text.bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    text.split_once(':').is_some_and(|(algorithm, hash)| {
        DIGEST_ALGORITHMS.contains(&(algorithm, hash.len())) && digits(hash)
    })
}

impl From<String> for Image {
    fn from(reference: String) -> Self {
        Self::new(reference)
    }
}

impl From<Image> for String {
    fn from(image: Image) -> Self {
        image.reference
    }
}

impl fmt::Display for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reference)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest() -> String {
        format!("sha256:{}", "ab".repeat(32))
    }

    #[test]
    fn a_reference_is_taken_apart_as_docker_does_it() {
        let by_digest = format!("web@{}", digest());
        let by_both = format!("registry.fly.io/web:v1@{}", digest());
        let table = [
            ("nginx", "docker.io", "library/nginx", Some("latest")),
            ("nginx:1.27", "docker.io", "library/nginx", Some("1.27")),
            ("grafana/loki:3", "docker.io", "grafana/loki", Some("3")),
            (
                "docker.io/nginx",
                "docker.io",
                "library/nginx",
                Some("latest"),
            ),
            (
                "docker-hub-mirror.fly.io/library/nginx:1",
                "docker.io",
                "library/nginx",
                Some("1"),
            ),
            (
                "registry.fly.io/web:v1",
                "registry.fly.io",
                "web",
                Some("v1"),
            ),
            (
                "ghcr.io/acme/team/web",
                "ghcr.io",
                "acme/team/web",
                Some("latest"),
            ),
            ("localhost/web:v1", "localhost", "web", Some("v1")),
            (
                "127.0.0.1:5000/web",
                "127.0.0.1:5000",
                "web",
                Some("latest"),
            ),
            ("[::1]:5000/web:v1", "[::1]:5000", "web", Some("v1")),
            (by_digest.as_str(), "docker.io", "library/web", None),
            (by_both.as_str(), "registry.fly.io", "web", Some("v1")),
        ];
        for (text, registry, repository, tag) in table {
            let image = Image::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(
                (image.registry(), &*image.repository(), image.tag()),
                (registry, repository, tag),
                "{text}"
            );
            assert_eq!(image.digest().is_some(), text.contains('@'), "{text}");
        }
    }

    #[test]
    fn what_no_registry_has_is_refused() {
        use ParseImageError::{InvalidCharacters, InvalidDigest, InvalidRepository, InvalidTag};
        let long = format!("web:{}", "v".repeat(129));
        for (text, why) in [
            ("https://registry.fly.io/web", InvalidCharacters),
            ("my web", InvalidCharacters),
            ("wéb", InvalidCharacters),
            ("", InvalidRepository),
            ("Web:v1", InvalidRepository),
            ("/web", InvalidRepository),
            ("registry.fly.io/", InvalidRepository),
            ("registry.fly.io/web//api", InvalidRepository),
            ("web..api", InvalidRepository),
            ("web-", InvalidRepository),
            ("web:", InvalidTag),
            ("web:-v1", InvalidTag),
            (&long, InvalidTag),
            ("web@sha256:abc", InvalidDigest),
            ("web@", InvalidDigest),
            ("web:v1@md5:00", InvalidDigest),
        ] {
            assert_eq!(Image::parse(text), Err(why), "{text}");
        }
    }

    #[test]
    fn a_digest_that_was_looked_up_keeps_the_tag_and_is_no_part_of_what_was_asked() {
        let digest = digest();
        for (asked, pinned) in [
            ("web:v1", "web:v1@"),
            ("web", "web:latest@"),
            ("r.io/a/web", "r.io/a/web:latest@"),
        ] {
            let image = Image::new(asked).pinned(&digest);
            assert_eq!(image.as_str(), format!("{pinned}{digest}"));
            assert_eq!(image.unpinned(), Image::new(asked));
            assert!(image.has_same_tag(&Image::new(asked)));
        }
        let named = Image::new(format!("web@{digest}"));
        assert_eq!(named.pinned("sha256:00"), named);
        assert_eq!(named.unpinned(), named);
        assert!(!named.has_same_tag(&named));
    }
}
