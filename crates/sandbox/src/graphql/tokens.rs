//! Tokens that are limited to an organisation or to one application: made, listed and revoked over GraphQL, as
//! `fly tokens` does it.

use serde_json::{Map, Value, json};

use super::{Problem, connection, queries, text};
use crate::access::{Grant, Token};
use crate::answer::Call;
use crate::clock;
use crate::config;
use crate::v1::mint;
use crate::world::{Object, World};

/// Tokens for one application name it in their profile; all other profiles are for the organisation.
pub(super) fn create(world: &mut World, call: &Call, input: &Object) -> Result<Value, Problem> {
    let org = queries::org(world, call, text(input, "organizationId"))?
        .slug
        .clone();
    let none = Map::new();
    let profile = input
        .get("profileParams")
        .and_then(Value::as_object)
        .unwrap_or(&none);
    let grant = match (text(profile, "app_id"), text(input, "profile")) {
        ("", _) => Grant::Org { org },
        (id, _) => {
            let named = world
                .apps
                .values()
                .find(|app| app.name == id || app.id == id);
            let app = named
                .filter(|app| call.who.sees_app(app))
                .ok_or_else(|| Problem::missing("App"))?;
            Grant::App {
                org,
                app: app.name.clone(),
            }
        }
    };
    let expiry = input
        .get("expiry")
        .filter(|expiry| expiry.as_str().is_some_and(|expiry| !expiry.is_empty()));
    let nanos = expiry.map(|expiry| {
        config::parse_or_nanos(expiry)
            .ok_or_else(|| Problem::new("Expiry is invalid", "UNPROCESSABLE"))
    });
    let expires_ms = nanos
        .transpose()?
        .map(|nanos| world.now + (nanos / 1_000_000).cast_signed());
    let header = mint(world, grant, expires_ms);
    let name = text(input, "name").to_owned();
    let token = world.root.tokens.get_mut(&header).map(|token| {
        token.name = Some(name);
        view(token, call)
    });
    let mut shown = token.unwrap_or_default();
    // The text is told once: no list shows it.
    shown["tokenHeader"] = header.into();
    Ok(json!({ "limitedAccessToken": shown }))
}

/// Revokes one by its identifier, or by its text. It stays in the lists, with the time of it.
pub(super) fn delete(world: &mut World, call: &Call, input: &Object) -> Result<Value, Problem> {
    let (id, now) = (text(input, "id"), world.now);
    let named = |(header, token): &(&String, &Token)| {
        token.name.is_some() && (token.id == id || *header == text(input, "token"))
    };
    let header = world
        .root
        .tokens
        .iter()
        .find(named)
        .filter(|(_, token)| sees(world, call, token));
    let header = header
        .map(|(header, _)| header.clone())
        .ok_or_else(|| Problem::missing("Token"))?;
    world.root_dirty = true;
    if let Some(token) = world.root.tokens.get_mut(&header) {
        token.revoked_ms.get_or_insert(now);
    }
    Ok(json!({ "token": null, "revokedBy": input.get("revokedBy").cloned().unwrap_or_default() }))
}

fn sees(world: &World, call: &Call, token: &Token) -> bool {
    match &token.grant {
        Grant::User => false,
        Grant::Org { org } | Grant::ReadOnly { org } => call.who.sees_org(org),
        Grant::App { app, .. } => world
            .apps
            .get(app)
            .is_some_and(|app| call.who.sees_app(app)),
    }
}

/// The tokens of one application, or those of an organisation as a whole.
pub(super) fn list(world: &World, call: &Call, wanted: impl Fn(&Grant) -> bool) -> Value {
    let tokens = world.root.tokens.values();
    let mut tokens: Vec<&Token> = tokens
        .filter(|token| token.name.is_some() && wanted(&token.grant))
        .collect();
    tokens.sort_by(|a, b| a.name.cmp(&b.name).then_with(|| a.id.cmp(&b.id)));
    connection(tokens.into_iter().map(|token| view(token, call)))
}

fn view(token: &Token, call: &Call) -> Value {
    json!({
        "__typename": "LimitedAccessToken",
        "id": token.id,
        "name": token.name,
        "token": "",
        "expiresAt": token.expires_ms.map(clock::seconds),
        "revokedAt": token.revoked_ms.map(clock::seconds),
        "user": queries::viewer(call),
    })
}
