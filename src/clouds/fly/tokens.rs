//! What the token of a client is for, as Fly says it (`/v1/tokens/current`).

use serde::Deserialize;

use super::FlyReader;
use crate::clouds::{CloudError, RateLimitedAction};

/// What one token is for.
#[derive(Clone, Debug, Deserialize)]
pub struct CurrentToken {
    /// The organization.
    #[serde(default)]
    pub org_slug: String,
    /// The only apps that it is for, where it is not for all of them.
    #[serde(default)]
    pub apps: Option<Vec<String>>,
    /// The user, where it is the token of one: it is for all of that user's organizations.
    #[serde(default)]
    pub user: Option<String>,
}

/// The tokens of the caller. A header may hold several.
#[derive(Deserialize)]
struct CurrentTokens {
    #[serde(default)]
    tokens: Vec<CurrentToken>,
}

impl FlyReader {
    /// What the token is for.
    ///
    /// # Errors
    /// When the request fails; [`PermissionDenied`](crate::clouds::ErrorKind::PermissionDenied) if the token is not valid, or no
    /// longer.
    pub async fn current_tokens(&self) -> Result<Vec<CurrentToken>, CloudError> {
        let current: CurrentTokens = self
            .get(
                RateLimitedAction::Other("token get"),
                "current",
                "/v1/tokens/current".to_owned(),
                "read what the token is for".to_owned(),
            )
            .await?;
        Ok(current.tokens)
    }
}
