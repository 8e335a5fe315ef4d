//! Who is asking: tokens, what they may see, and Fly's answers to those who may not.

use base64::Engine as _;
use serde::{Deserialize, Serialize};

use super::answer::Refusal;
use super::world::{App, World};

/// What a token is good for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Grant {
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
    pub(crate) grant: Grant,
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
    pub(crate) fn valid(&self, now: i64) -> bool {
        self.revoked_ms.is_none() && self.expires_ms.is_none_or(|at| at > now)
    }
}

/// The tokens of one request; their rights add up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) tokens: Vec<Token>,
}

impl Identity {
    /// Whether an application may be seen.
    pub(crate) fn sees_app(&self, app: &App) -> bool {
        self.tokens.iter().any(|token| match &token.grant {
            Grant::User => true,
            Grant::Org { org } | Grant::ReadOnly { org } => *org == app.org,
            Grant::App { app: own, .. } => *own == app.name,
        })
    }

    /// Whether an organisation as a whole may be seen, which a token for one application may not.
    pub(crate) fn sees_org(&self, slug: &str) -> bool {
        self.tokens.iter().any(|token| match &token.grant {
            Grant::User => true,
            Grant::Org { org } | Grant::ReadOnly { org } => org == slug,
            Grant::App { .. } => false,
        })
    }

    /// Whether anything may be changed at all.
    pub(crate) fn writes(&self) -> bool {
        self.tokens
            .iter()
            .any(|token| !matches!(token.grant, Grant::ReadOnly { .. }))
    }

    /// The address that leases show as their owner.
    pub(crate) fn email(&self) -> String {
        match self.tokens.first().map(|token| &token.grant) {
            Some(Grant::Org { org } | Grant::ReadOnly { org } | Grant::App { org, .. }) => {
                format!("{org}@tokens.fly.io")
            }
            Some(Grant::User) | None => "me@example.com".to_owned(),
        }
    }
}

/// Reads an `Authorization` header: `Bearer` or `FlyV1`, and several tokens between commas.
///
/// # Errors
/// `401` when no part is a token that the sandbox gave out.
pub(crate) fn authenticate(world: &World, header: Option<&str>) -> Result<Identity, Refusal> {
    let header =
        header.ok_or_else(|| Refusal::new(401, "Authenticate: missing authorization header"))?;
    let known = |text: &str| {
        world
            .root
            .tokens
            .get(text)
            .filter(|token| token.valid(world.now))
            .cloned()
    };
    let tokens: Vec<Token> = strip_scheme(header)
        .split(',')
        .filter_map(|part| known(part.trim()))
        .collect();
    if tokens.is_empty() {
        return Err(Refusal::new(401, "Authenticate: token validation error"));
    }
    Ok(Identity { tokens })
}

/// The same where nobody needs a token: without one that is known, the caller is a stranger. Docker sends it as the
/// password of any user.
pub(crate) fn visitor(world: &World, header: Option<&str>) -> Identity {
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
pub(crate) fn forbidden() -> Refusal {
    Refusal::new(403, "unauthorized")
}
