//! Tokens for an organization or an app, created, listed and revoked over GraphQL by `fly tokens`.

use serde_json::{Map, Value, json};

use super::{GraphqlError, connection, queries, string_argument};
use crate::api::ApiCall;
use crate::clock;
use crate::fly::access::{Token, TokenGrant};
use crate::fly::config;
use crate::fly::v1::issue_token;
use crate::world::{JsonObject, SimulatedWorld};

/// Creates a token. The profile of a token for one app contains `app_id`; all other profiles are
/// for the organization.
pub(super) fn create(
    world: &mut SimulatedWorld,
    call: &ApiCall,
    input: &JsonObject,
) -> Result<Value, GraphqlError> {
    let org = queries::find_org(world, call, string_argument(input, "organizationId"))?
        .slug
        .clone();
    let none = Map::new();
    let profile = input
        .get("profileParams")
        .and_then(Value::as_object)
        .unwrap_or(&none);
    let grant = match string_argument(profile, "app_id") {
        "" => TokenGrant::Org { org },
        id => {
            let app = world
                .visible_apps(&call.caller)
                .find(|app| app.name == id || app.id == id)
                .ok_or_else(|| GraphqlError::not_found("App"))?;
            TokenGrant::App {
                org,
                app: app.name.clone(),
            }
        }
    };
    let expiry = input
        .get("expiry")
        .filter(|expiry| expiry.as_str().is_some_and(|expiry| !expiry.is_empty()));
    let lifetime_ms = expiry.map(|expiry| {
        config::parse_duration_ms(expiry)
            .ok_or_else(|| GraphqlError::new("Expiry is invalid", "UNPROCESSABLE"))
    });
    let expires_ms = lifetime_ms
        .transpose()?
        .map(|lifetime| world.now_ms + lifetime);
    let token_text = issue_token(world, grant, expires_ms);
    let name = string_argument(input, "name").to_owned();
    let token = world.global.tokens.get_mut(&token_text).map(|token| {
        token.name = Some(name);
        token_object(token, call)
    });
    let mut created = token.unwrap_or_default();
    // The token itself is returned only here; lists do not contain it.
    created["tokenHeader"] = token_text.into();
    Ok(json!({ "limitedAccessToken": created }))
}

/// Revokes a token by its id or its text. It stays in the lists, with the time of its revocation.
pub(super) fn delete(
    world: &mut SimulatedWorld,
    call: &ApiCall,
    input: &JsonObject,
) -> Result<Value, GraphqlError> {
    let (id, now) = (string_argument(input, "id"), world.now_ms);
    let matches = |(token_text, token): &(&String, &Token)| {
        // Tokens without a name were created by the sandbox and cannot be revoked.
        token.name.is_some() && (token.id == id || *token_text == string_argument(input, "token"))
    };
    let token_text = world
        .global
        .tokens
        .iter()
        .find(matches)
        .filter(|(_, token)| can_see_token(world, call, token));
    let token_text = token_text
        .map(|(token_text, _)| token_text.clone())
        .ok_or_else(|| GraphqlError::not_found("Token"))?;
    world.global_dirty = true;
    if let Some(token) = world.global.tokens.get_mut(&token_text) {
        token.revoked_ms.get_or_insert(now);
    }
    Ok(json!({ "token": null, "revokedBy": input.get("revokedBy").cloned().unwrap_or_default() }))
}

fn can_see_token(world: &SimulatedWorld, call: &ApiCall, token: &Token) -> bool {
    match &token.grant {
        TokenGrant::User => false,
        TokenGrant::Org { org } | TokenGrant::ReadOnly { org } => call.caller.can_see_org(org),
        TokenGrant::App { app, .. } => world
            .apps
            .get(app)
            .is_some_and(|app| call.caller.can_see_app(app)),
    }
}

/// The tokens that match, of an app or of an organization as a whole.
pub(super) fn list(
    world: &SimulatedWorld,
    call: &ApiCall,
    wanted: impl Fn(&TokenGrant) -> bool,
) -> Value {
    let tokens = world.global.tokens.values();
    let mut tokens: Vec<&Token> = tokens
        .filter(|token| token.name.is_some() && wanted(&token.grant))
        .collect();
    tokens.sort_by(|a, b| a.name.cmp(&b.name).then_with(|| a.id.cmp(&b.id)));
    connection(tokens.into_iter().map(|token| token_object(token, call)))
}

fn token_object(token: &Token, call: &ApiCall) -> Value {
    json!({
        "__typename": "LimitedAccessToken",
        "id": token.id,
        "name": token.name,
        "token": "",
        "expiresAt": token.expires_ms.map(clock::format_seconds),
        "revokedAt": token.revoked_ms.map(clock::format_seconds),
        "user": queries::viewer_object(call),
    })
}
