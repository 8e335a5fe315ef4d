//! Tokens, and what a request needs to be allowed.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::response::GithubError;
use super::state::{GithubFile, GithubRepository};

/// The kinds of tokens, which differ in their rights and in the words of their refusals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum GithubTokenKind {
    /// `GITHUB_TOKEN` of a job.
    Actions,
    /// A fine-grained personal access token.
    Fine,
    /// A classic personal access token, or that of `gh auth login`.
    Classic,
}

/// How much of a resource a token may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum GithubLevel {
    Read,
    Write,
}

/// A token.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct GithubToken {
    pub(crate) kind: GithubTokenKind,
    pub(crate) login: String,
    /// The repositories that it is for. A private one that is not among them does not exist for it.
    pub(crate) repositories: BTreeSet<u64>,
    pub(crate) permissions: BTreeMap<String, GithubLevel>,
    /// Whether its user may push; without it, labels of new issues are dropped, and a locked
    /// conversation is closed to the user.
    pub(crate) can_push: bool,
    pub(crate) expired: bool,
}

/// The names that `permissions:` of a workflow can give to `GITHUB_TOKEN`. There is none for secrets,
/// variables, environments and administration.
pub(crate) const ACTIONS_PERMISSIONS: [&str; 13] = [
    "actions",
    "attestations",
    "checks",
    "contents",
    "deployments",
    "discussions",
    "issues",
    "models",
    "packages",
    "pages",
    "pull_requests",
    "security_events",
    "statuses",
];

/// The further permissions of personal access tokens.
pub(crate) const PERSONAL_PERMISSIONS: [&str; 5] = [
    "administration",
    "environments",
    "metadata",
    "secrets",
    "actions_variables",
];

/// Who sends a request.
#[derive(Clone, Debug)]
pub(crate) enum GithubCaller {
    Anonymous,
    Token(GithubToken),
}

/// The alternatives of permissions that an endpoint accepts, each of which suffices.
pub(crate) type Requirement = &'static [(&'static str, GithubLevel)];

/// The page about permissions of personal and other tokens.
const DOCUMENTATION: &str = "https://docs.github.com/rest";

impl GithubCaller {
    /// The caller with this `Authorization` header.
    ///
    /// # Errors
    /// `401` when the token is unknown or has expired.
    pub(crate) fn authenticate(
        file: &GithubFile,
        authorization: Option<&str>,
    ) -> Result<Self, GithubError> {
        let Some(header) = authorization else {
            return Ok(Self::Anonymous);
        };
        let (scheme, token) = header.split_once(' ').unwrap_or(("", header));
        let is_known_scheme = ["bearer", "token"]
            .iter()
            .any(|known| scheme.eq_ignore_ascii_case(known));
        file.tokens
            .get(token.trim())
            .filter(|token| is_known_scheme && !token.expired)
            .map(|token| Self::Token(token.clone()))
            .ok_or_else(bad_credentials)
    }

    pub(crate) fn login(&self) -> &str {
        match self {
            Self::Anonymous => "",
            Self::Token(token) => &token.login,
        }
    }

    pub(crate) fn is_actions(&self) -> bool {
        matches!(self, Self::Token(token) if token.kind == GithubTokenKind::Actions)
    }

    /// Whether the user of the token may push.
    pub(crate) fn can_push(&self) -> bool {
        matches!(self, Self::Token(token) if token.can_push)
    }

    /// Whether the repository exists for the caller.
    pub(crate) fn can_see(&self, repository: &GithubRepository) -> bool {
        !repository.private || self.is_for(repository)
    }

    /// Whether the repository is one of those that the token is for.
    fn is_for(&self, repository: &GithubRepository) -> bool {
        matches!(self, Self::Token(token) if token.repositories.contains(&repository.id))
    }

    /// Whether the token has one of these permissions on a repository.
    pub(crate) fn has(&self, repository: &GithubRepository, requirement: Requirement) -> bool {
        let Self::Token(token) = self else {
            return false;
        };
        // Every token may read the metadata of its repositories.
        let level = |name: &str| match name {
            "metadata" => Some(GithubLevel::Read),
            _ => token.permissions.get(name).copied(),
        };
        self.is_for(repository)
            && requirement
                .iter()
                .any(|(name, needed)| level(name).is_some_and(|level| level >= *needed))
    }

    /// Checks that the caller may use an endpoint on a repository that it can see.
    ///
    /// # Errors
    /// `403` with the permissions that would suffice; for anonymous callers `401`.
    pub(crate) fn check(
        &self,
        repository: &GithubRepository,
        requirement: Requirement,
        is_public: bool,
    ) -> Result<(), GithubError> {
        if is_public && !repository.private || self.has(repository, requirement) {
            return Ok(());
        }
        match self {
            Self::Anonymous => Err(requires_authentication()),
            Self::Token(token) => Err(inaccessible(token.kind, requirement)),
        }
    }
}

/// `401` for a token that does not exist, or no longer.
pub(crate) fn bad_credentials() -> GithubError {
    GithubError::new(401, "Bad credentials").with_documentation(DOCUMENTATION)
}

/// `401` for a request without a token.
pub(crate) fn requires_authentication() -> GithubError {
    GithubError::new(401, "Requires authentication")
}

/// `403` for a token that lacks the permission.
pub(crate) fn inaccessible(kind: GithubTokenKind, requirement: Requirement) -> GithubError {
    let message = match kind {
        GithubTokenKind::Actions => "Resource not accessible by integration",
        GithubTokenKind::Fine => "Resource not accessible by personal access token",
        GithubTokenKind::Classic => "Must have admin rights to Repository.",
    };
    let accepted: Vec<String> = requirement
        .iter()
        .map(|(name, level)| match level {
            GithubLevel::Read => format!("{name}=read"),
            GithubLevel::Write => format!("{name}=write"),
        })
        .collect();
    let error = GithubError::new(403, message);
    // Classic tokens have scopes instead of permissions.
    if accepted.is_empty() || kind == GithubTokenKind::Classic {
        return error;
    }
    error.with_header("x-accepted-github-permissions", accepted.join("; "))
}
