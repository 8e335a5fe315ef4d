//! The roots of queries.

use serde_json::{Value, json};

use super::{Problem, connection, fields, text};
use crate::access::Grant;
use crate::answer::Call;
use crate::v1::platform;
use crate::world::{App, Object, Org, World};

/// The Postgres image that new clusters run.
const POSTGRES_TAG: &str = "17.2";
/// How many applications a page holds at most.
const PAGE_MAX: usize = 200;

/// Resolves one root field.
///
/// # Errors
/// What Fly puts into `errors`.
pub(super) fn resolve(
    world: &World,
    call: &Call,
    root: &str,
    arguments: &Object,
) -> Result<Value, Problem> {
    match root {
        "app" => app(world, call, text(arguments, "name")).map(fields::app),
        "apps" => apps(world, call, arguments),
        "appNameAvailable" => Ok((!world.apps.contains_key(text(arguments, "name"))).into()),
        "organizations" => Ok(connection(visible(world, call).map(fields::org))),
        "organization" => organization(world, call, arguments),
        "personalOrganization" => org(world, call, "personal").map(fields::org),
        "platform" => Ok(regions()),
        "nearestRegion" => Ok(platform::REGIONS
            .iter()
            .find(|region| region.code == platform::NEAREST)
            .map(region)
            .into()),
        "latestImageTag" => Ok(format!("{}:{POSTGRES_TAG}", text(arguments, "repository")).into()),
        "latestImageDetails" => image_details(text(arguments, "image")),
        "canPerformBluegreenDeployment" => {
            app(world, call, text(arguments, "name")).map(|_| true.into())
        }
        "viewer" => Ok(viewer(call)),
        "volume" => volume(world, call, text(arguments, "id")),
        "machine" => machine(world, call, text(arguments, "machineId")),
        // Redis, object storage and other extensions are not imitated; there are none.
        "postgresAttachments" | "addOns" => Ok(connection([])),
        _ => Err(Problem::new(
            format!("Field '{root}' doesn't exist on type 'Query'"),
            "undefinedField",
        )),
    }
}

/// An application by name. flyctl looks for the words, whatever the reason.
///
/// # Errors
/// When there is none that the caller may see.
pub(super) fn app<'a>(world: &'a World, call: &Call, name: &str) -> Result<&'a App, Problem> {
    world
        .app_named(name, &call.who)
        .map_err(|_| Problem::missing("App"))
}

/// An organisation by slug or identifier.
///
/// # Errors
/// When there is none that the caller may see.
pub(super) fn org<'a>(world: &'a World, call: &Call, slug: &str) -> Result<&'a Org, Problem> {
    world
        .org(slug, &call.who)
        .map_err(|_| Problem::missing("Organization"))
}

fn visible<'a>(world: &'a World, call: &'a Call) -> impl Iterator<Item = &'a Org> {
    world
        .root
        .orgs
        .values()
        .filter(|org| call.who.sees_org(&org.slug))
}

/// A token for one application may still read what its organisation is called: every deployment asks.
fn organization(world: &World, call: &Call, arguments: &Object) -> Result<Value, Problem> {
    let slug = [text(arguments, "slug"), text(arguments, "id")].concat();
    let own = |org: &&Org| {
        call.who
            .tokens
            .iter()
            .any(|token| matches!(&token.grant, Grant::App { org: own, .. } if *own == org.slug))
    };
    match world.find_org(&slug).filter(own) {
        Some(org) => Ok(fields::org(org)),
        None => org(world, call, &slug).map(fields::org),
    }
}

fn apps(world: &World, call: &Call, arguments: &Object) -> Result<Value, Problem> {
    let wanted = text(arguments, "organizationId");
    let wanted = if wanted.is_empty() {
        None
    } else {
        Some(org(world, call, wanted)?.slug.as_str())
    };
    let (role, after) = (text(arguments, "role"), text(arguments, "after"));
    let first = arguments
        .get("first")
        .and_then(Value::as_u64)
        .map_or(PAGE_MAX, |first| first as usize);
    let mut apps = world.apps.values().filter(|app| {
        call.who.sees_app(app)
            && wanted.is_none_or(|org| app.org == org)
            && (role.is_empty() || app.role == role)
            && app.name.as_str() > after
            && world.listed(app.created_ms)
    });
    let page: Vec<&App> = apps.by_ref().take(first.min(PAGE_MAX)).collect();
    let more = apps.next().is_some();
    let mut shown = connection(page.iter().map(|app| fields::app(app)));
    shown["pageInfo"]["hasNextPage"] = more.into();
    shown["pageInfo"]["endCursor"] = page.last().map_or("", |app| app.name.as_str()).into();
    Ok(shown)
}

fn region(region: &platform::Region) -> Value {
    json!({
        "__typename": "Region",
        "code": region.code,
        "name": region.name,
        "latitude": region.latitude,
        "longitude": region.longitude,
        "gatewayAvailable": region.gateway,
        "requiresPaidPlan": false,
        "deprecated": false,
        "geoRegion": region.area,
    })
}

fn regions() -> Value {
    json!({
        "__typename": "PlatformQuery",
        "requestRegion": platform::NEAREST,
        "regions": platform::REGIONS.iter().map(region).collect::<Vec<_>>(),
    })
}

/// Only Fly's own images have a newer one; about all others Fly says that it does not know them.
fn image_details(image: &str) -> Result<Value, Problem> {
    let repository = image.split([':', '@']).next().unwrap_or_default();
    if !repository.starts_with("flyio/") {
        return Err(Problem::new("Unknown repository", "UNPROCESSABLE"));
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
pub(super) fn viewer(call: &Call) -> Value {
    json!({
        "__typename": "User",
        "id": "user-1",
        "name": "Sandbox",
        "email": call.who.email(),
        "enablePaidHobby": true,
    })
}

fn volume(world: &World, call: &Call, id: &str) -> Result<Value, Problem> {
    let apps = world.apps.values().filter(|app| call.who.sees_app(app));
    let mut found = apps.filter(|app| app.volume(id).is_ok());
    let app = found.next().ok_or_else(|| Problem::missing("Volume"))?;
    Ok(fields::volume(app, app.volume(id)?))
}

fn machine(world: &World, call: &Call, id: &str) -> Result<Value, Problem> {
    let mut apps = world.apps.values().filter(|app| call.who.sees_app(app));
    let found = apps.find_map(|app| Some(fields::machine(app, app.machines.get(id)?)));
    found.ok_or_else(|| Problem::missing("Machine"))
}
