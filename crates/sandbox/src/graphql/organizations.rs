//! What changes an organisation: it comes and goes, and says whose requests its applications may replay.

use serde_json::{Value, json};

use super::{Problem, fields, queries, text};
use crate::access::Grant;
use crate::answer::Call;
use crate::world::{Object, Org, World};

fn person(call: &Call, may: &str) -> Result<(), Problem> {
    if call
        .who
        .tokens
        .iter()
        .any(|token| token.grant == Grant::User)
    {
        return Ok(());
    }
    Err(Problem::new(
        format!("Not authorized to {may}"),
        "UNAUTHORIZED",
    ))
}

pub(super) fn create(world: &mut World, call: &Call, input: &Object) -> Result<Value, Problem> {
    person(call, "create organizations")?;
    let name = text(input, "name");
    let letters = name.chars().map(|c| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_lowercase()
        } else {
            '-'
        }
    });
    let slug: String = letters.collect();
    if slug.trim_matches('-').is_empty() {
        return Err(Problem::new(
            "Validation failed: Name can't be blank",
            "UNPROCESSABLE",
        ));
    }
    let org = world.ensure_org(slug.trim_matches('-'));
    Ok(json!({ "organization": fields::org(&org), "token": "" }))
}

/// Only an empty one goes, and the person's own never.
pub(super) fn delete(world: &mut World, call: &Call, input: &Object) -> Result<Value, Problem> {
    person(call, "delete this organization")?;
    let org = queries::org(world, call, text(input, "organizationId"))?.clone();
    if org.slug == "personal" || world.apps.values().any(|app| app.org == org.slug) {
        return Err(Problem::new(
            "Organization must not be personal, and have no apps, to be deleted",
            "UNPROCESSABLE",
        ));
    }
    world.root.orgs.remove(&org.slug);
    world.root_dirty = true;
    Ok(json!({ "deletedOrganizationId": org.id }))
}

/// Changes what an organisation allows, and shows it.
fn change(
    world: &mut World,
    call: &Call,
    input: &Object,
    edit: impl FnOnce(&mut Org),
) -> Result<Value, Problem> {
    let slug = queries::org(world, call, text(input, "organizationSlug"))?
        .slug
        .clone();
    world.root_dirty = true;
    let org = world
        .root
        .orgs
        .get_mut(&slug)
        .ok_or_else(|| Problem::missing("Organization"))?;
    edit(org);
    Ok(json!({ "organization": fields::org(org) }))
}

fn slugs(input: &Object, key: &str) -> Vec<String> {
    let slugs = input
        .get(key)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str);
    slugs.map(str::to_owned).collect()
}

pub(super) fn allow_replays(
    world: &mut World,
    call: &Call,
    input: &Object,
) -> Result<Value, Problem> {
    let allowed = slugs(input, "allowedOrgSlugs");
    for slug in &allowed {
        world
            .find_org(slug)
            .ok_or_else(|| Problem::missing("Organization"))?;
    }
    change(world, call, input, |org| org.replay_sources.extend(allowed))
}

pub(super) fn forbid_replays(
    world: &mut World,
    call: &Call,
    input: &Object,
) -> Result<Value, Problem> {
    let forbidden = slugs(input, "orgSlugsToRemove");
    change(world, call, input, |org| {
        org.replay_sources.retain(|slug| !forbidden.contains(slug))
    })
}

pub(super) fn cross_networks(
    world: &mut World,
    call: &Call,
    input: &Object,
) -> Result<Value, Problem> {
    let allow = input.get("allow").is_some_and(|allow| *allow == true);
    change(world, call, input, |org| org.cross_network_replays = allow)
}
