//! `/v1/tokens/current`: what a token may do.

use serde_json::{Value, json};

use super::{Route, route};
use crate::access::{Token, TokenGrant};
use crate::api::{ApiCall, ApiResponse, ApiResult};
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
    let mut shown =
        json!({ "token_id": token.id, "org_slug": org, "organization": name, "apps": [] });
    match &token.grant {
        TokenGrant::User => shown["user"] = "me@example.com".into(),
        TokenGrant::App { app, .. } => shown["apps"] = json!([app]),
        TokenGrant::Org { .. } | TokenGrant::ReadOnly { .. } => {}
    }
    shown
}

fn show_current(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    let shown: Vec<Value> = call
        .caller
        .tokens
        .iter()
        .map(|token| token_view(world, token))
        .collect();
    Ok(ApiResponse::ok(json!({ "tokens": shown })))
}
