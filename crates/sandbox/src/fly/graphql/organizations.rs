//! Mutations of organizations: creation, deletion, and which requests may be replayed to their
//! apps.

use serde_json::{Value, json};

use super::{GraphqlError, fields, queries, string_argument};
use crate::api::ApiCall;
use crate::fly::access::TokenGrant;
use crate::json;
use crate::world::{JsonObject, Org, SimulatedWorld};

/// Only a user may create or delete organizations, not an organization's token.
fn require_user_token(call: &ApiCall, action: &str) -> Result<(), GraphqlError> {
    if call
        .caller
        .tokens
        .iter()
        .any(|token| token.grant == TokenGrant::User)
    {
        return Ok(());
    }
    Err(GraphqlError::new(
        format!("Not authorized to {action}"),
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
    let slug_characters = name.chars().map(|c| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_lowercase()
        } else {
            '-'
        }
    });
    let slug: String = slug_characters.collect();
    if slug.trim_matches('-').is_empty() {
        return Err(GraphqlError::new(
            "Validation failed: Name can't be blank",
            "UNPROCESSABLE",
        ));
    }
    let org = world.ensure_org(slug.trim_matches('-'));
    Ok(json!({ "organization": fields::org_object(&org), "token": "" }))
}

/// Deletes an organization, which must be empty and not personal.
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

/// Changes an organization and returns it.
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
    let slugs = json::items(input.get(key)).iter().filter_map(Value::as_str);
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
