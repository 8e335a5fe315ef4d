//! What changes an organisation: it comes and goes, and says whose requests its applications may replay.

use serde_json::{Value, json};

use super::{GraphqlError, fields, queries, string_argument};
use crate::access::TokenGrant;
use crate::api::ApiCall;
use crate::world::{JsonObject, Org, SimulatedWorld};

fn require_user_token(call: &ApiCall, may: &str) -> Result<(), GraphqlError> {
    if call
        .caller
        .tokens
        .iter()
        .any(|token| token.grant == TokenGrant::User)
    {
        return Ok(());
    }
    Err(GraphqlError::new(
        format!("Not authorized to {may}"),
        "UNAUTHORIZED",
    ))
}

pub(super) fn create(
    world: &mut SimulatedWorld,
    call: &ApiCall,
    input: &JsonObject,
) -> Result<Value, GraphqlError> {
    require_user_token(call, "create organizations")?;
    let name = string_argument(input, "name");
    let letters = name.chars().map(|c| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_lowercase()
        } else {
            '-'
        }
    });
    let slug: String = letters.collect();
    if slug.trim_matches('-').is_empty() {
        return Err(GraphqlError::new(
            "Validation failed: Name can't be blank",
            "UNPROCESSABLE",
        ));
    }
    let org = world.ensure_org(slug.trim_matches('-'));
    Ok(json!({ "organization": fields::org_object(&org), "token": "" }))
}

/// Only an empty one goes, and the person's own never.
pub(super) fn delete(
    world: &mut SimulatedWorld,
    call: &ApiCall,
    input: &JsonObject,
) -> Result<Value, GraphqlError> {
    require_user_token(call, "delete this organization")?;
    let org = queries::find_org(world, call, string_argument(input, "organizationId"))?.clone();
    if org.slug == "personal" || world.apps.values().any(|app| app.org == org.slug) {
        return Err(GraphqlError::new(
            "Organization must not be personal, and have no apps, to be deleted",
            "UNPROCESSABLE",
        ));
    }
    world.global.orgs.remove(&org.slug);
    world.global_dirty = true;
    Ok(json!({ "deletedOrganizationId": org.id }))
}

/// Changes what an organisation allows, and shows it.
fn update_org(
    world: &mut SimulatedWorld,
    call: &ApiCall,
    input: &JsonObject,
    edit: impl FnOnce(&mut Org),
) -> Result<Value, GraphqlError> {
    let slug = queries::find_org(world, call, string_argument(input, "organizationSlug"))?
        .slug
        .clone();
    world.global_dirty = true;
    let org = world
        .global
        .orgs
        .get_mut(&slug)
        .ok_or_else(|| GraphqlError::not_found("Organization"))?;
    edit(org);
    Ok(json!({ "organization": fields::org_object(org) }))
}

fn slug_list(input: &JsonObject, key: &str) -> Vec<String> {
    let slugs = input
        .get(key)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str);
    slugs.map(str::to_owned).collect()
}

pub(super) fn allow_replays(
    world: &mut SimulatedWorld,
    call: &ApiCall,
    input: &JsonObject,
) -> Result<Value, GraphqlError> {
    let allowed = slug_list(input, "allowedOrgSlugs");
    for slug in &allowed {
        world
            .find_org(slug)
            .ok_or_else(|| GraphqlError::not_found("Organization"))?;
    }
    update_org(world, call, input, |org| org.replay_sources.extend(allowed))
}

pub(super) fn disallow_replays(
    world: &mut SimulatedWorld,
    call: &ApiCall,
    input: &JsonObject,
) -> Result<Value, GraphqlError> {
    let forbidden = slug_list(input, "orgSlugsToRemove");
    update_org(world, call, input, |org| {
        org.replay_sources.retain(|slug| !forbidden.contains(slug));
    })
}

pub(super) fn set_cross_network_replays(
    world: &mut SimulatedWorld,
    call: &ApiCall,
    input: &JsonObject,
) -> Result<Value, GraphqlError> {
    let allow = input.get("allow").is_some_and(|allow| *allow == true);
    update_org(world, call, input, |org| org.cross_network_replays = allow)
}
