//! `/v1/tokens/current`: what the caller's tokens grant.

use serde_json::{Value, json};

use super::{Route, route};
use crate::api::{ApiCall, ApiResponse, ApiResult};
use crate::fly::access::{Token, TokenGrant};
use crate::world::SimulatedWorld;

pub(super) fn routes() -> [Route; 1] {
    [route("GET", "/v1/tokens/current", show_current)]
}

fn token_view(world: &SimulatedWorld, token: &Token) -> Value {
    let org = match &token.grant {
        TokenGrant::User => "personal",
        TokenGrant::Org { org } | TokenGrant::ReadOnly { org } | TokenGrant::App { org, .. } => org,
    };
    let name = world.find_org(org).map_or(org, |org| org.name.as_str());
    let mut body =
        json!({ "token_id": token.id, "org_slug": org, "organization": name, "apps": [] });
    match &token.grant {
        TokenGrant::User => body["user"] = "me@example.com".into(),
        TokenGrant::App { app, .. } => body["apps"] = json!([app]),
        TokenGrant::Org { .. } | TokenGrant::ReadOnly { .. } => {}
    }
    body
}

fn show_current(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    let body: Vec<Value> = call
        .caller
        .tokens
        .iter()
        .map(|token| token_view(world, token))
        .collect();
    Ok(ApiResponse::ok(json!({ "tokens": body })))
}
