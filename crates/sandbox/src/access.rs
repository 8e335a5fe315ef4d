//! Who is asking: tokens, what they may see, and Fly's answers to those who may not.

use base64::Engine as _;
use serde::{Deserialize, Serialize};

use super::api::ApiError;
use super::world::{App, SimulatedWorld};

/// What a token is good for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum TokenGrant {
    /// A person: every organisation.
    User,
    /// `fly tokens create org`.
    Org {
        /// The organisation's slug.
        org: String,
    },
    /// `fly tokens create readonly`.
    ReadOnly {
        /// The organisation's slug.
        org: String,
    },
    /// `fly tokens create deploy`: one application.
    App {
        /// The organisation's slug.
        org: String,
        /// The application's name.
        app: String,
    },
}

/// A token as the state keeps it, by its text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Token {
    pub(crate) id: String,
    pub(crate) grant: TokenGrant,
    /// When it stops being valid; never, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) expires_ms: Option<i64>,
    /// What whoever made it over GraphQL called it; tokens that come with the sandbox have no name, and no list has them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    /// When it was revoked. Lists still show it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) revoked_ms: Option<i64>,
}

impl Token {
    /// Whether it still opens anything.
    pub(crate) fn is_valid(&self, now: i64) -> bool {
        self.revoked_ms.is_none() && self.expires_ms.is_none_or(|at| at > now)
    }
}

/// The tokens of one request; their rights add up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ApiCaller {
    pub(crate) tokens: Vec<Token>,
}

impl ApiCaller {
    /// Whether an application may be seen.
    pub(crate) fn can_see_app(&self, app: &App) -> bool {
        self.tokens.iter().any(|token| match &token.grant {
            TokenGrant::User => true,
            TokenGrant::Org { org } | TokenGrant::ReadOnly { org } => *org == app.org,
            TokenGrant::App { app: own, .. } => *own == app.name,
        })
    }

    /// Whether an organisation as a whole may be seen, which a token for one application may not.
    pub(crate) fn can_see_org(&self, slug: &str) -> bool {
        self.tokens.iter().any(|token| match &token.grant {
            TokenGrant::User => true,
            TokenGrant::Org { org } | TokenGrant::ReadOnly { org } => org == slug,
            TokenGrant::App { .. } => false,
        })
    }

    /// Whether anything may be changed at all.
    pub(crate) fn can_write(&self) -> bool {
        self.tokens
            .iter()
            .any(|token| !matches!(token.grant, TokenGrant::ReadOnly { .. }))
    }

    /// The address that leases show as their owner.
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

/// Reads an `Authorization` header: `Bearer` or `FlyV1`, and several tokens between commas.
///
/// # Errors
/// `401` when no part is a token that the sandbox gave out.
pub(crate) fn authenticate(
    world: &SimulatedWorld,
    header: Option<&str>,
) -> Result<ApiCaller, ApiError> {
    let header =
        header.ok_or_else(|| ApiError::new(401, "Authenticate: missing authorization header"))?;
    let known = |text: &str| {
        world
            .global
            .tokens
            .get(text)
            .filter(|token| token.is_valid(world.now_ms))
            .cloned()
    };
    let tokens: Vec<Token> = strip_scheme(header)
        .split(',')
        .filter_map(|part| known(part.trim()))
        .collect();
    if tokens.is_empty() {
        return Err(ApiError::new(401, "Authenticate: token validation error"));
    }
    Ok(ApiCaller { tokens })
}

/// The same where nobody needs a token: without one that is known, the caller is a stranger. Docker sends it as the
/// password of any user.
pub(crate) fn authenticate_optional(world: &SimulatedWorld, header: Option<&str>) -> ApiCaller {
    let password = header.and_then(|header| {
        let coded = header.trim().strip_prefix("Basic ")?;
        let text = base64::engine::general_purpose::STANDARD
            .decode(coded.trim())
            .ok()?;
        Some(String::from_utf8(text).ok()?.split_once(':')?.1.to_owned())
    });
    authenticate(world, password.as_deref().or(header)).unwrap_or_default()
}

/// A token may itself begin with its scheme, as `fly tokens create` prints it, so the scheme may stand there twice.
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

/// What Fly says to a valid token about somebody else's things.
pub(crate) fn forbidden() -> ApiError {
    ApiError::new(403, "unauthorized")
}
