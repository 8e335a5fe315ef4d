//! Authentication and authorization: tokens, what they grant, and Fly's errors for callers without
//! access.

use base64::Engine as _;
use serde::{Deserialize, Serialize};

use crate::api::ApiError;
use crate::world::{App, SimulatedWorld};

/// What a token grants access to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum TokenGrant {
    /// A user: every organization.
    User,
    /// Everything in one organization (`fly tokens create org`).
    Org {
        /// The organization's slug.
        org: String,
    },
    /// Read access to everything in one organization (`fly tokens create readonly`).
    ReadOnly {
        /// The organization's slug.
        org: String,
    },
    /// One app (`fly tokens create deploy`).
    App {
        /// The organization's slug.
        org: String,
        /// The app's name.
        app: String,
    },
}

/// A stored token; its secret text is the key of the map that contains it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Token {
    pub(crate) id: String,
    pub(crate) grant: TokenGrant,
    /// When it expires; `None` for never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) expires_ms: Option<i64>,
    /// The name given when it was created over GraphQL. Tokens created by the sandbox have no name
    /// and are not listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    /// When it was revoked. Lists still show revoked tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) revoked_ms: Option<i64>,
}

impl Token {
    /// Whether it is neither revoked nor expired.
    pub(crate) fn is_valid(&self, now: i64) -> bool {
        self.revoked_ms.is_none() && self.expires_ms.is_none_or(|at| at > now)
    }
}

/// The caller of a request, with all its tokens; their grants add up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ApiCaller {
    pub(crate) tokens: Vec<Token>,
}

impl ApiCaller {
    /// Whether the caller may see an app.
    pub(crate) fn can_see_app(&self, app: &App) -> bool {
        self.tokens.iter().any(|token| match &token.grant {
            TokenGrant::User => true,
            TokenGrant::Org { org } | TokenGrant::ReadOnly { org } => *org == app.org,
            TokenGrant::App { app: name, .. } => *name == app.name,
        })
    }

    /// Whether the caller may see an organization as a whole; a token for one app does not suffice.
    pub(crate) fn can_see_org(&self, slug: &str) -> bool {
        self.tokens.iter().any(|token| match &token.grant {
            TokenGrant::User => true,
            TokenGrant::Org { org } | TokenGrant::ReadOnly { org } => org == slug,
            TokenGrant::App { .. } => false,
        })
    }

    /// Whether the caller may write at all.
    pub(crate) fn can_write(&self) -> bool {
        self.tokens
            .iter()
            .any(|token| !matches!(token.grant, TokenGrant::ReadOnly { .. }))
    }

    /// The caller's email address, which leases show as their owner.
    pub(crate) fn email(&self) -> String {
        match self.tokens.first().map(|token| &token.grant) {
            Some(
                TokenGrant::Org { org }
                | TokenGrant::ReadOnly { org }
                | TokenGrant::App { org, .. },
            ) => {
                format!("{org}@tokens.fly.io")
            }
            Some(TokenGrant::User) | None => "me@example.com".to_owned(),
        }
    }
}

/// Authenticates an `Authorization` header: `Bearer` or `FlyV1`, then one or more tokens separated
/// by commas.
///
/// # Errors
/// `401` when none of the tokens is known and valid.
pub(crate) fn authenticate(
    world: &SimulatedWorld,
    header: Option<&str>,
) -> Result<ApiCaller, ApiError> {
    let header =
        header.ok_or_else(|| ApiError::new(401, "Authenticate: missing authorization header"))?;
    let find_valid = |text: &str| {
        world
            .global
            .tokens
            .get(text)
            .filter(|token| token.is_valid(world.now_ms))
            .cloned()
    };
    let tokens: Vec<Token> = strip_scheme(header)
        .split(',')
        .filter_map(|text| find_valid(text.trim()))
        .collect();
    // Invalid tokens do no harm as long as one of them is valid.
    if tokens.is_empty() {
        return Err(ApiError::new(401, "Authenticate: token validation error"));
    }
    Ok(ApiCaller { tokens })
}

/// Like [`authenticate`] for endpoints that need no token: without a valid one, the caller is
/// anonymous. Docker sends the token as the password of basic authentication, with any user name.
pub(crate) fn authenticate_optional(world: &SimulatedWorld, header: Option<&str>) -> ApiCaller {
    let password = header.and_then(|header| {
        let encoded = header.trim().strip_prefix("Basic ")?;
        let text = base64::engine::general_purpose::STANDARD
            .decode(encoded.trim())
            .ok()?;
        Some(String::from_utf8(text).ok()?.split_once(':')?.1.to_owned())
    });
    authenticate(world, password.as_deref().or(header)).unwrap_or_default()
}

/// `fly tokens create` prints tokens with their scheme, so the scheme may appear twice.
fn strip_scheme(header: &str) -> &str {
    let mut rest = header.trim();
    while let Some((scheme, tail)) = rest.split_once(' ') {
        if !scheme.eq_ignore_ascii_case("bearer") && !scheme.eq_ignore_ascii_case("flyv1") {
            break;
        }
        rest = tail.trim_start();
    }
    rest
}

/// Fly's error for a valid token without access to the resource.
pub(crate) fn forbidden() -> ApiError {
    ApiError::new(403, "unauthorized")
}
