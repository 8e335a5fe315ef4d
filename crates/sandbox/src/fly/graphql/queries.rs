//! The root fields of queries.

use serde_json::{Value, json};

use super::{GraphqlError, connection, fields, string_argument};
use crate::api::ApiCall;
use crate::fly::access::TokenGrant;
use crate::fly::images::POSTGRES_FLEX_VERSION;
use crate::fly::v1::platform;
use crate::world::{App, JsonObject, Org, SimulatedWorld};

/// The repositories of Fly's Postgres images, the tag for new clusters, and the version of the image
/// itself. Fly moves the tag along, so two clusters that were created a month apart differ in it.
const POSTGRES_IMAGES: [(&str, &str, &str); 2] = [
    ("flyio/postgres-flex", "18.1", POSTGRES_FLEX_VERSION),
    ("flyio/postgres", "14.6", "v0.0.41"),
];
/// The maximum page size of `apps`.
const MAX_PAGE_SIZE: usize = 200;

/// Resolves a root field.
///
/// # Errors
/// The error that Fly returns in `errors`.
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
        "latestImageTag" => {
            let (repository, tag, _) =
                find_postgres_image(string_argument(arguments, "repository"))?;
            Ok(format!("{repository}:{tag}").into())
        }
        "latestImageDetails" => image_details(string_argument(arguments, "image")),
        "canPerformBluegreenDeployment" => {
            find_app(world, call, string_argument(arguments, "name")).map(|_| true.into())
        }
        "viewer" => Ok(viewer_object(call)),
        "volume" => resolve_volume(world, call, string_argument(arguments, "id")),
        "machine" => resolve_machine(world, call, string_argument(arguments, "machineId")),
        // Redis, object storage and other extensions are not simulated; there are none.
        "postgresAttachments" | "addOns" => Ok(connection([])),
        _ => Err(GraphqlError::new(
            format!("Field '{root}' doesn't exist on type 'Query'"),
            "undefinedField",
        )),
    }
}

/// An app by name. flyctl matches on the wording of the error, whatever the cause.
///
/// # Errors
/// When the caller may see none with this name.
pub(super) fn find_app<'a>(
    world: &'a SimulatedWorld,
    call: &ApiCall,
    name: &str,
) -> Result<&'a App, GraphqlError> {
    world
        .app_named(name, &call.caller)
        .map_err(|_| GraphqlError::not_found("App"))
}

/// An organization by slug or id.
///
/// # Errors
/// When the caller may see none with this name.
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

/// flyctl reads the organization's name in every deployment, so a token for one app may read its
/// organization.
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
    let is_own = |org: &&Org| {
        call.caller.tokens.iter().any(
            |token| matches!(&token.grant, TokenGrant::App { org: slug, .. } if *slug == org.slug),
        )
    };
    match world.find_org(&slug).filter(is_own) {
        Some(org) => Ok(fields::org_object(org)),
        None => find_org(world, call, &slug).map(fields::org_object),
    }
}

fn list_apps(
    world: &SimulatedWorld,
    call: &ApiCall,
    arguments: &JsonObject,
) -> Result<Value, GraphqlError> {
    let org = match string_argument(arguments, "organizationId") {
        "" => None,
        id => Some(find_org(world, call, id)?.slug.as_str()),
    };
    let (role, after) = (
        string_argument(arguments, "role"),
        string_argument(arguments, "after"),
    );
    let first = arguments
        .get("first")
        .and_then(Value::as_u64)
        .map_or(MAX_PAGE_SIZE, |first| first as usize);
    // The map is sorted by name, so the last name of a page serves as its cursor.
    let mut apps = world.visible_apps(&call.caller).filter(|app| {
        org.is_none_or(|org| app.org == org)
            && (role.is_empty() || app.role == role)
            && app.name.as_str() > after
            && world.is_listed(app.created_ms)
    });
    let page: Vec<&App> = apps.by_ref().take(first.min(MAX_PAGE_SIZE)).collect();
    let has_next_page = apps.next().is_some();
    let mut page_connection = connection(page.iter().map(|app| fields::app_object(app)));
    page_connection["pageInfo"]["hasNextPage"] = has_next_page.into();
    page_connection["pageInfo"]["endCursor"] =
        page.last().map_or("", |app| app.name.as_str()).into();
    Ok(page_connection)
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

/// Only Fly's own images have a latest version; for all others Fly returns an error.
fn find_postgres_image(
    repository: &str,
) -> Result<&'static (&'static str, &'static str, &'static str), GraphqlError> {
    POSTGRES_IMAGES
        .iter()
        .find(|(known, _, _)| *known == repository)
        .ok_or_else(|| GraphqlError::new("Unknown repository", "UNPROCESSABLE"))
}

/// The newest image of a repository, for the image of a machine.
fn image_details(image: &str) -> Result<Value, GraphqlError> {
    let (repository, tag, version) =
        find_postgres_image(image.split([':', '@']).next().unwrap_or_default())?;
    let image_ref = crate::fly::images::image_ref(&format!("{repository}:{tag}"), None);
    Ok(json!({
        "__typename": "ImageVersion",
        "registry": image_ref["registry"],
        "repository": image_ref["repository"],
        "tag": image_ref["tag"],
        "digest": image_ref["digest"],
        "version": version,
    }))
}

/// The caller as a `User`.
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
    let apps = world.visible_apps(&call.caller);
    let mut matching = apps.filter(|app| app.volume(id).is_ok());
    let app = matching
        .next()
        .ok_or_else(|| GraphqlError::not_found("Volume"))?;
    Ok(fields::volume_object(app, app.volume(id)?))
}

fn resolve_machine(
    world: &SimulatedWorld,
    call: &ApiCall,
    id: &str,
) -> Result<Value, GraphqlError> {
    let mut apps = world.visible_apps(&call.caller);
    let found = apps.find_map(|app| Some(fields::machine_object(app, app.machines.get(id)?)));
    found.ok_or_else(|| GraphqlError::not_found("Machine"))
}
