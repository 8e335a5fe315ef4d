//! The roots of queries.

use serde_json::{Value, json};

use super::{GraphqlError, connection, fields, string_argument};
use crate::access::TokenGrant;
use crate::api::ApiCall;
use crate::v1::platform;
use crate::world::{App, JsonObject, Org, SimulatedWorld};

/// The Postgres image that new clusters run.
const POSTGRES_TAG: &str = "17.2";
/// How many applications a page holds at most.
const MAX_PAGE_SIZE: usize = 200;

/// Resolves one root field.
///
/// # Errors
/// What Fly puts into `errors`.
pub(super) fn resolve(
    world: &SimulatedWorld,
    call: &ApiCall,
    root: &str,
    arguments: &JsonObject,
) -> Result<Value, GraphqlError> {
    match root {
        "app" => find_app(world, call, string_argument(arguments, "name")).map(fields::app_object),
        "apps" => list_apps(world, call, arguments),
        "appNameAvailable" => {
            Ok((!world.apps.contains_key(string_argument(arguments, "name"))).into())
        }
        "organizations" => Ok(connection(
            visible_orgs(world, call).map(fields::org_object),
        )),
        "organization" => resolve_organization(world, call, arguments),
        "personalOrganization" => find_org(world, call, "personal").map(fields::org_object),
        "platform" => Ok(platform_object()),
        "nearestRegion" => Ok(platform::REGIONS
            .iter()
            .find(|region| region.code == platform::NEAREST_REGION)
            .map(region_object)
            .into()),
        "latestImageTag" => Ok(format!(
            "{}:{POSTGRES_TAG}",
            string_argument(arguments, "repository")
        )
        .into()),
        "latestImageDetails" => image_details(string_argument(arguments, "image")),
        "canPerformBluegreenDeployment" => {
            find_app(world, call, string_argument(arguments, "name")).map(|_| true.into())
        }
        "viewer" => Ok(viewer_object(call)),
        "volume" => resolve_volume(world, call, string_argument(arguments, "id")),
        "machine" => resolve_machine(world, call, string_argument(arguments, "machineId")),
        // Redis, object storage and other extensions are not imitated; there are none.
        "postgresAttachments" | "addOns" => Ok(connection([])),
        _ => Err(GraphqlError::new(
            format!("Field '{root}' doesn't exist on type 'Query'"),
            "undefinedField",
        )),
    }
}

/// An application by name. flyctl looks for the words, whatever the reason.
///
/// # Errors
/// When there is none that the caller may see.
pub(super) fn find_app<'a>(
    world: &'a SimulatedWorld,
    call: &ApiCall,
    name: &str,
) -> Result<&'a App, GraphqlError> {
    world
        .app_named(name, &call.caller)
        .map_err(|_| GraphqlError::not_found("App"))
}

/// An organisation by slug or identifier.
///
/// # Errors
/// When there is none that the caller may see.
pub(super) fn find_org<'a>(
    world: &'a SimulatedWorld,
    call: &ApiCall,
    slug: &str,
) -> Result<&'a Org, GraphqlError> {
    world
        .org(slug, &call.caller)
        .map_err(|_| GraphqlError::not_found("Organization"))
}

fn visible_orgs<'a>(world: &'a SimulatedWorld, call: &'a ApiCall) -> impl Iterator<Item = &'a Org> {
    world
        .global
        .orgs
        .values()
        .filter(|org| call.caller.can_see_org(&org.slug))
}

/// A token for one application may still read what its organisation is called: every deployment asks.
fn resolve_organization(
    world: &SimulatedWorld,
    call: &ApiCall,
    arguments: &JsonObject,
) -> Result<Value, GraphqlError> {
    let slug = [
        string_argument(arguments, "slug"),
        string_argument(arguments, "id"),
    ]
    .concat();
    let own = |org: &&Org| {
        call.caller.tokens.iter().any(
            |token| matches!(&token.grant, TokenGrant::App { org: own, .. } if *own == org.slug),
        )
    };
    match world.find_org(&slug).filter(own) {
        Some(org) => Ok(fields::org_object(org)),
        None => find_org(world, call, &slug).map(fields::org_object),
    }
}

fn list_apps(
    world: &SimulatedWorld,
    call: &ApiCall,
    arguments: &JsonObject,
) -> Result<Value, GraphqlError> {
    let wanted = string_argument(arguments, "organizationId");
    let wanted = if wanted.is_empty() {
        None
    } else {
        Some(find_org(world, call, wanted)?.slug.as_str())
    };
    let (role, after) = (
        string_argument(arguments, "role"),
        string_argument(arguments, "after"),
    );
    let first = arguments
        .get("first")
        .and_then(Value::as_u64)
        .map_or(MAX_PAGE_SIZE, |first| first as usize);
    let mut apps = world.apps.values().filter(|app| {
        call.caller.can_see_app(app)
            && wanted.is_none_or(|org| app.org == org)
            && (role.is_empty() || app.role == role)
            && app.name.as_str() > after
            && world.is_listed(app.created_ms)
    });
    let page: Vec<&App> = apps.by_ref().take(first.min(MAX_PAGE_SIZE)).collect();
    let more = apps.next().is_some();
    let mut shown = connection(page.iter().map(|app| fields::app_object(app)));
    shown["pageInfo"]["hasNextPage"] = more.into();
    shown["pageInfo"]["endCursor"] = page.last().map_or("", |app| app.name.as_str()).into();
    Ok(shown)
}

fn region_object(region: &platform::RegionInfo) -> Value {
    json!({
        "__typename": "Region",
        "code": region.code,
        "name": region.name,
        "latitude": region.latitude,
        "longitude": region.longitude,
        "gatewayAvailable": region.gateway,
        "requiresPaidPlan": false,
        "deprecated": false,
        "geoRegion": region.geo_region,
    })
}

fn platform_object() -> Value {
    json!({
        "__typename": "PlatformQuery",
        "requestRegion": platform::NEAREST_REGION,
        "regions": platform::REGIONS.iter().map(region_object).collect::<Vec<_>>(),
    })
}

/// Only Fly's own images have a newer one; about all others Fly says that it does not know them.
fn image_details(image: &str) -> Result<Value, GraphqlError> {
    let repository = image.split([':', '@']).next().unwrap_or_default();
    if !repository.starts_with("flyio/") {
        return Err(GraphqlError::new("Unknown repository", "UNPROCESSABLE"));
    }
    let shown = crate::images::image_ref(&format!("{repository}:{POSTGRES_TAG}"), None);
    Ok(json!({
        "__typename": "ImageVersion",
        "registry": shown["registry"],
        "repository": shown["repository"],
        "tag": shown["tag"],
        "digest": shown["digest"],
        "version": format!("v{POSTGRES_TAG}"),
    }))
}

/// Whoever asks.
pub(super) fn viewer_object(call: &ApiCall) -> Value {
    json!({
        "__typename": "User",
        "id": "user-1",
        "name": "Sandbox",
        "email": call.caller.email(),
        "enablePaidHobby": true,
    })
}

fn resolve_volume(world: &SimulatedWorld, call: &ApiCall, id: &str) -> Result<Value, GraphqlError> {
    let apps = world
        .apps
        .values()
        .filter(|app| call.caller.can_see_app(app));
    let mut found = apps.filter(|app| app.volume(id).is_ok());
    let app = found
        .next()
        .ok_or_else(|| GraphqlError::not_found("Volume"))?;
    Ok(fields::volume_object(app, app.volume(id)?))
}

fn resolve_machine(
    world: &SimulatedWorld,
    call: &ApiCall,
    id: &str,
) -> Result<Value, GraphqlError> {
    let mut apps = world
        .apps
        .values()
        .filter(|app| call.caller.can_see_app(app));
    let found = apps.find_map(|app| Some(fields::machine_object(app, app.machines.get(id)?)));
    found.ok_or_else(|| GraphqlError::not_found("Machine"))
}
