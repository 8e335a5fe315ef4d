//! `/v1/tokens/current`: what a token may do.

use serde_json::{Value, json};

use super::{Route, route};
use crate::access::{Grant, Token};
use crate::answer::{Answer, Call, Reply};
use crate::world::World;

pub(super) fn routes() -> [Route; 1] {
    [route("GET", "/v1/tokens/current", current)]
}

fn view(world: &World, token: &Token) -> Value {
    let org = match &token.grant {
        Grant::User => "personal",
        Grant::Org { org } | Grant::ReadOnly { org } | Grant::App { org, .. } => org,
    };
    let name = world.find_org(org).map_or(org, |org| org.name.as_str());
    let mut shown =
        json!({ "token_id": token.id, "org_slug": org, "organization": name, "apps": [] });
    match &token.grant {
        Grant::User => shown["user"] = "me@example.com".into(),
        Grant::App { app, .. } => shown["apps"] = json!([app]),
        Grant::Org { .. } | Grant::ReadOnly { .. } => {}
    }
    shown
}

fn current(world: &mut World, call: &Call) -> Reply {
    let shown: Vec<Value> = call
        .who
        .tokens
        .iter()
        .map(|token| view(world, token))
        .collect();
    Ok(Answer::ok(json!({ "tokens": shown })))
}
