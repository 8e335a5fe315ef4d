//! Tokens that are limited to an organisation or to one application: made, listed and revoked over GraphQL, as
//! `fly tokens` does it.

use serde_json::{Map, Value, json};

use super::{GraphqlError, connection, queries, string_argument};
use crate::access::{Token, TokenGrant};
use crate::api::ApiCall;
use crate::clock;
use crate::config;
use crate::v1::issue_token;
use crate::world::{JsonObject, SimulatedWorld};

/// Tokens for one application name it in their profile; all other profiles are for the organisation.
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
    let grant = match (
        string_argument(profile, "app_id"),
        string_argument(input, "profile"),
    ) {
        ("", _) => TokenGrant::Org { org },
        (id, _) => {
            let named = world
                .apps
                .values()
                .find(|app| app.name == id || app.id == id);
            let app = named
                .filter(|app| call.caller.can_see_app(app))
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
    let nanos = expiry.map(|expiry| {
        config::parse_duration_nanos(expiry)
            .ok_or_else(|| GraphqlError::new("Expiry is invalid", "UNPROCESSABLE"))
    });
    let expires_ms = nanos
        .transpose()?
        .map(|nanos| world.now_ms + (nanos / 1_000_000).cast_signed());
    let header = issue_token(world, grant, expires_ms);
    let name = string_argument(input, "name").to_owned();
    let token = world.global.tokens.get_mut(&header).map(|token| {
        token.name = Some(name);
        token_object(token, call)
    });
    let mut shown = token.unwrap_or_default();
    // The text is told once: no list shows it.
    shown["tokenHeader"] = header.into();
    Ok(json!({ "limitedAccessToken": shown }))
}

/// Revokes one by its identifier, or by its text. It stays in the lists, with the time of it.
pub(super) fn delete(
    world: &mut SimulatedWorld,
    call: &ApiCall,
    input: &JsonObject,
) -> Result<Value, GraphqlError> {
    let (id, now) = (string_argument(input, "id"), world.now_ms);
    let named = |(header, token): &(&String, &Token)| {
        token.name.is_some() && (token.id == id || *header == string_argument(input, "token"))
    };
    let header = world
        .global
        .tokens
        .iter()
        .find(named)
        .filter(|(_, token)| can_see_token(world, call, token));
    let header = header
        .map(|(header, _)| header.clone())
        .ok_or_else(|| GraphqlError::not_found("Token"))?;
    world.global_dirty = true;
    if let Some(token) = world.global.tokens.get_mut(&header) {
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

/// The tokens of one application, or those of an organisation as a whole.
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
