//! Container image references, parsed by Docker's rules. Two references are compared by digest
//! where both have one, because a tag can point to another image tomorrow.

use std::{borrow::Cow, fmt};

use serde::{Deserialize, Serialize};

/// The registry of a reference that names none.
const DOCKER_HUB: &str = "docker.io";
/// Other host names of Docker Hub. Fly pulls through its own mirror and shows the mirror's name in
/// the machine.
const DOCKER_HUB_ALIASES: [&str; 3] = [
    "index.docker.io",
    "registry-1.docker.io",
    "docker-hub-mirror.fly.io",
];
/// The tag of a reference that has neither tag nor digest.
const DEFAULT_TAG: &str = "latest";
/// Length limits of the OCI distribution specification, in bytes.
const MAX_REPOSITORY_LEN: usize = 255;
const MAX_TAG_LEN: usize = 128;
/// The digest algorithms that registries use, and the number of hexadecimal digits of each.
const DIGEST_ALGORITHMS: [(&str, usize); 2] = [("sha256", 64), ("sha512", 128)];

/// A container image reference, such as `registry.fly.io/web:v1`, `…@sha256:…`, or both.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct Image {
    reference: String,
    /// The reference before [`Image::pinned`] added the digest that its tag pointed to.
    unpinned: Option<String>,
}

/// Why a text is not an image reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseImageError {
    /// Spaces, a URL scheme, or a character that no reference may contain.
    #[error("it holds characters that no reference holds")]
    InvalidCharacters,
    /// The repository path is malformed.
    #[error(
        "a repository is lower-case words, with single dots, dashes, underscores and slashes between them"
    )]
    InvalidRepository,
    /// The tag is malformed or too long.
    #[error("a tag is up to 128 letters, digits, dots, dashes and underscores")]
    InvalidTag,
    /// A slash in what was meant as the tag makes all of it a repository, as with a tag that is made
    /// from the name of a branch.
    #[error("a tag has no slash, so what follows the colon is not one")]
    SlashInTag,
    /// The digest is malformed.
    #[error("a digest is `sha256:` and 64 hexadecimal digits")]
    InvalidDigest,
}

impl Image {
    /// Wraps a reference without validating it: a live machine may run one that [`Image::parse`]
    /// would reject.
    #[must_use]
    pub fn new(reference: impl Into<String>) -> Self {
        Self {
            reference: reference.into(),
            unpinned: None,
        }
    }

    /// Parses and validates a reference.
    ///
    /// # Errors
    /// When the reference does not follow the syntax of the OCI distribution specification.
    pub fn parse(reference: &str) -> Result<Self, ParseImageError> {
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || "-_.:/@[]".contains(c);
        if !reference.chars().all(is_allowed) || reference.contains("://") {
            return Err(ParseImageError::InvalidCharacters);
        }
        let image = Self::new(reference);
        let (host, path, tag) = image.parts();
        let is_valid_path =
            path.len() <= MAX_REPOSITORY_LEN && path.split('/').all(is_repository_path_component);
        // A colon within the first word makes it a host, whose port is a number.
        let port = host.and_then(|host| host.rsplit_once(':'));
        if port.is_some_and(|(_, port)| !port.ends_with(']') && !is_port(port)) {
            return Err(ParseImageError::SlashInTag);
        }
        if !is_valid_path || host == Some("") {
            // The host, which may have a port, is not part of the path.
            let last = path.rsplit_once(':');
            return Err(if last.is_some_and(|(_, tag)| tag.contains('/')) {
                ParseImageError::SlashInTag
            } else {
                ParseImageError::InvalidRepository
            });
        }
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err(ParseImageError::InvalidTag);
        }
        match image.digest() {
            Some(digest) if !is_digest(digest) => Err(ParseImageError::InvalidDigest),
            _ => Ok(image),
        }
    }

    /// The host of the registry; `docker.io` for every alias of Docker Hub.
    #[must_use]
    pub fn registry(&self) -> &str {
        match self.parts().0 {
            Some(host) if !DOCKER_HUB_ALIASES.contains(&host) => host,
            _ => DOCKER_HUB,
        }
    }

    /// The repository within its registry. On Docker Hub a single-word repository lives under
    /// `library/`.
    #[must_use]
    pub fn repository(&self) -> Cow<'_, str> {
        let (_, path, _) = self.parts();
        if self.registry() == DOCKER_HUB && !path.contains('/') {
            return Cow::Owned(format!("library/{path}"));
        }
        Cow::Borrowed(path)
    }

    /// The tag: `latest` if the reference has neither tag nor digest, `None` if it has only a
    /// digest.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        let (_, _, tag) = self.parts();
        tag.or_else(|| self.digest().is_none().then_some(DEFAULT_TAG))
    }

    /// The digest (`sha256:…`), if the reference has one.
    #[must_use]
    pub fn digest(&self) -> Option<&str> {
        self.reference.split_once('@').map(|(_, digest)| digest)
    }

    /// The reference with `digest` appended, such as `web:v1@sha256:…`; the tag stays for the
    /// reader. A reference that already has a digest is returned unchanged.
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
            unpinned: Some(self.reference.clone()),
        }
    }

    /// The reference without a digest that [`Image::pinned`] added: what the manifest says,
    /// whatever its tag points to today.
    #[must_use]
    pub fn unpinned(&self) -> Self {
        Self::new(self.unpinned.as_ref().unwrap_or(&self.reference))
    }

    /// The reference without its digest, whoever wrote it.
    #[must_use]
    pub fn without_digest(&self) -> Self {
        Self::new(self.reference.split('@').next().unwrap_or_default())
    }

    /// Whether both name the same tag of the same repository. False if either has no tag.
    #[must_use]
    pub fn has_same_tag(&self, other: &Self) -> bool {
        let registry_and_tag =
            |image: &Self| Some((image.registry().to_owned(), image.tag()?.to_owned()));
        registry_and_tag(self).is_some()
            && registry_and_tag(self) == registry_and_tag(other)
            && self.repository() == other.repository()
    }

    /// The reference as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.reference
    }

    /// Splits the reference into host, repository path and tag. As in Docker, the first path
    /// component is a host if it contains a `.` or `:` or is `localhost`.
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

/// Whether `text` is one component of a repository path: lower-case letters and digits, with `.`,
/// `_`, `__` or dashes as separators.
fn is_repository_path_component(text: &str) -> bool {
    let is_word_char = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let is_separator =
        |text: &str| matches!(text, "." | "_" | "__") || text.chars().all(|c| c == '-');
    text.starts_with(is_word_char)
        && text.ends_with(is_word_char)
        && text
            .split(is_word_char)
            .all(|separator| separator.is_empty() || is_separator(separator))
}

fn is_port(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit())
}

fn is_tag(text: &str) -> bool {
    let is_word_char = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.len() <= MAX_TAG_LEN
        && text.starts_with(is_word_char)
        && text
            .chars()
            .all(|c| is_word_char(c) || c == '.' || c == '-')
}

fn is_digest(text: &str) -> bool {
    let is_lower_hex = |text: &str| {
        text.bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    text.split_once(':').is_some_and(|(algorithm, hash)| {
        DIGEST_ALGORITHMS.contains(&(algorithm, hash.len())) && is_lower_hex(hash)
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
    fn parses_references_like_docker() {
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
    fn rejects_invalid_references() {
        use ParseImageError::{
            InvalidCharacters, InvalidDigest, InvalidRepository, InvalidTag, SlashInTag,
        };
        let long = format!("web:{}", "v".repeat(129));
        for (text, expected) in [
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
            ("ghcr.io/acme/app:feature/x", SlashInTag),
            ("app:feature/x", SlashInTag),
            ("web:", InvalidTag),
            ("web:-v1", InvalidTag),
            (&long, InvalidTag),
            ("web@sha256:abc", InvalidDigest),
            ("web@", InvalidDigest),
            ("web:v1@md5:00", InvalidDigest),
        ] {
            assert_eq!(Image::parse(text), Err(expected), "{text}");
        }
    }

    #[test]
    fn pinned_keeps_the_tag_and_unpinned_undoes_it() {
        let digest = digest();
        for (unpinned, pinned) in [
            ("web:v1", "web:v1@"),
            ("web", "web:latest@"),
            ("r.io/a/web", "r.io/a/web:latest@"),
        ] {
            let image = Image::new(unpinned).pinned(&digest);
            assert_eq!(image.as_str(), format!("{pinned}{digest}"));
            assert_eq!(image.unpinned(), Image::new(unpinned));
            assert!(image.has_same_tag(&Image::new(unpinned)));
        }
        let named = Image::new(format!("web@{digest}"));
        assert_eq!(named.pinned("sha256:00"), named);
        assert_eq!(named.unpinned(), named);
        assert!(!named.has_same_tag(&named));
    }
}
