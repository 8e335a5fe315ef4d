//! `/api/v1`: what flyctl calls "uiex" (releases, builds, organisations), and the logs.

use serde::Deserialize;
use serde_json::{Value, json};

use super::access::forbidden;
use super::api::{ApiCall, ApiError, ApiResponse, ApiResult};
use super::clock;
use super::ids;
use super::routes::{Route, route};
use super::world::{App, JsonObject, Org, Release, SimulatedWorld};

pub(crate) fn routes() -> Vec<Route> {
    [
        route("GET", "/api/v1/organizations", list_organizations),
        route("GET", "/api/v1/organizations/{org}", show_organization),
        route(
            "GET",
            "/api/v1/organizations/{org}/postgres",
            list_postgres_clusters,
        ),
        route("POST", "/api/v1/builds", start_build),
        route("POST", "/api/v1/builds/finish", finish_build),
        route("POST", "/api/v1/releases", create_release),
        route("PATCH", "/api/v1/releases/{release}", update_release),
        route("GET", "/api/v1/releases/all_current", list_current_releases),
        route("GET", "/api/v1/apps/{app}/releases", list_releases),
        route(
            "GET",
            "/api/v1/apps/{app}/releases/current",
            show_current_release,
        ),
        route(
            "POST",
            "/api/v1/apps/{app}/egress_ips/{ip}/promote",
            promote_egress_ip,
        ),
        route("GET", "/api/v1/apps/{app}/logs", show_logs),
    ]
    .map(Route::without_rate_limit)
    .into()
}

fn org_view(org: &Org) -> Value {
    json!({
        "id": org.id,
        "internal_numeric_id": org.number,
        "slug": org.slug,
        "raw_slug": org.raw_slug,
        "name": org.name,
        "personal": org.slug == "personal",
        "paid_plan": true,
        "billable": true,
        "billing_status": "CURRENT",
        "provisions_beta_extensions": false,
        "remote_builder_image": "",
    })
}

fn list_organizations(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    let orgs = world
        .global
        .orgs
        .values()
        .filter(|org| call.caller.can_see_org(&org.slug));
    Ok(ApiResponse::ok(
        json!({ "organizations": orgs.map(org_view).collect::<Vec<_>>() }),
    ))
}

/// Every deployment asks this, also with a token for one application, so such a token may see its organisation here.
fn show_organization(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    let org = world
        .find_org(call.path_param("org"))
        .ok_or_else(|| ApiError::not_found("organization"))?;
    let own = world
        .apps
        .values()
        .any(|app| app.org == org.slug && call.caller.can_see_app(app));
    if !own && !call.caller.can_see_org(&org.slug) {
        return Err(forbidden());
    }
    Ok(ApiResponse::ok(json!({ "organization": org_view(org) })))
}

/// Managed Postgres is not imitated; an organisation has none.
fn list_postgres_clusters(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    world.org(call.path_param("org"), &call.caller)?;
    Ok(ApiResponse::ok(json!({ "data": [] })))
}

fn start_build(world: &mut SimulatedWorld, _: &ApiCall) -> ApiResult {
    let id = ids::to_u31(&world.next_id_bytes("build"));
    Ok(ApiResponse::ok(
        json!({ "id": id, "status": "started", "wallclock_time_ms": 0 }),
    ))
}

fn finish_build(_: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    let part = |key: &str| call.body.get(key).cloned().unwrap_or_default();
    Ok(ApiResponse::ok(
        json!({ "id": part("build_id"), "status": part("status"), "wallclock_time_ms": 1 }),
    ))
}

fn release_view(release: &Release) -> Value {
    json!({
        "id": release.id,
        "version": release.version,
        "status": release.status,
        "in_progress": matches!(release.status.as_str(), "pending" | "running"),
        "stable": release.status == "complete",
        "strategy": release.strategy,
        "user": release.user,
        // As fine as the times of secrets: flyctl compares the two to say which secrets are deployed.
        "created_at": clock::format_millis(release.created_ms),
        "image_ref": release.image,
    })
}

/// A release to be.
#[derive(Debug)]
pub(crate) struct NewRelease<'a> {
    pub(crate) image: &'a str,
    pub(crate) strategy: &'a str,
    pub(crate) definition: Value,
}

/// Records a release of an application; nothing when there is no such application.
pub(crate) fn add_release(
    world: &mut SimulatedWorld,
    call: &ApiCall,
    app: &str,
    draft: NewRelease<'_>,
) -> Option<Release> {
    let now = world.now_ms;
    world.dirty_apps.insert(app.to_owned());
    let app = world.apps.get_mut(app)?;
    let id = ids::base32_id(&app.next_id_bytes("release"));
    let release = Release {
        id,
        version: app.releases.last().map_or(0, |release| release.version) + 1,
        status: "pending".to_owned(),
        strategy: draft.strategy.to_owned(),
        image: draft.image.to_owned(),
        definition: draft.definition,
        metadata: Value::Null,
        user: call.caller.email(),
        created_ms: now,
    };
    app.releases.push(release.clone());
    Some(release)
}

/// Changes the status of a release, and adds to its metadata.
///
/// # Errors
/// `404` when there is none that the caller may see, `400` for a status that is none.
pub(crate) fn patch_release(
    world: &mut SimulatedWorld,
    call: &ApiCall,
    id: &str,
    change: &JsonObject,
) -> Result<Release, ApiError> {
    const STATUSES: [&str; 5] = ["pending", "running", "complete", "failed", "interrupted"];
    let mut apps = world
        .apps
        .values_mut()
        .filter(|app| call.caller.can_see_app(app));
    let found = apps.find(|app| app.releases.iter().any(|release| release.id == id));
    let app = found.ok_or_else(|| ApiError::not_found("release"))?;
    let name = app.name.clone();
    let release = app.releases.iter_mut().find(|release| release.id == id);
    let release = release.ok_or_else(|| ApiError::not_found("release"))?;
    if let Some(status) = change.get("status").and_then(Value::as_str) {
        if !STATUSES.contains(&status) {
            return Err(ApiError::bad_request(format!("invalid status: {status:?}")));
        }
        status.clone_into(&mut release.status);
    }
    if let Some(metadata) = change
        .get("metadata")
        .filter(|metadata| !metadata.is_null())
    {
        release.metadata = metadata.clone();
    }
    let changed = release.clone();
    world.dirty_apps.insert(name);
    Ok(changed)
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct CreateReleaseRequest {
    app_name: String,
    image: Option<String>,
    strategy: Option<String>,
    definition: Value,
}

/// Wrapped here, bare when updated: flyctl decodes exactly that.
fn create_release(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    let request: CreateReleaseRequest = call.body()?;
    let app = world
        .app_named(&request.app_name, &call.caller)?
        .name
        .clone();
    let draft = NewRelease {
        image: request.image.as_deref().unwrap_or_default(),
        strategy: request.strategy.as_deref().unwrap_or("ROLLING"),
        definition: request.definition,
    };
    let release =
        add_release(world, call, &app, draft).ok_or_else(|| ApiError::not_found("app"))?;
    Ok(ApiResponse::json(
        201,
        json!({ "release": release_view(&release) }),
    ))
}

fn update_release(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    let change: JsonObject = call.body()?;
    let release = patch_release(world, call, call.path_param("release"), &change)?;
    Ok(ApiResponse::ok(release_view(&release)))
}

fn latest_complete_release(app: &App) -> Option<&Release> {
    app.releases
        .iter()
        .rev()
        .find(|release| release.status == "complete")
}

fn list_current_releases(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    let apps = world
        .apps
        .values()
        .filter(|app| call.caller.can_see_app(app));
    let dated = apps.filter_map(|app| {
        let release = latest_complete_release(app)?;
        Some((
            app.name.clone(),
            clock::format_seconds(release.created_ms).into(),
        ))
    });
    Ok(ApiResponse::ok(Value::Object(dated.collect())))
}

fn list_releases(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    let limit = call
        .query_number("limit")?
        .unwrap_or(25)
        .max(0)
        .unsigned_abs() as usize;
    let newest = world.app(call)?.releases.iter().rev().take(limit);
    Ok(ApiResponse::ok(
        json!({ "releases": newest.map(release_view).collect::<Vec<_>>() }),
    ))
}

fn show_current_release(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    let release =
        latest_complete_release(world.app(call)?).ok_or_else(|| ApiError::not_found("release"))?;
    Ok(ApiResponse::ok(release_view(release)))
}

fn promote_egress_ip(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    let ip = call.path_param("ip");
    let found = world
        .app(call)?
        .ips
        .iter()
        .any(|have| have.ip == ip && have.kind.starts_with("egress"));
    if found {
        Ok(ApiResponse::empty(204))
    } else {
        Err(ApiError::not_found("egress ip"))
    }
}

/// What the machines print. Without a token it begins with the oldest lines that are kept.
fn show_logs(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    let app = world.app(call)?;
    let (after, only, region) = (
        call.query("next_token"),
        call.query("instance"),
        call.query("region"),
    );
    let machines = app.machines.values().filter(|machine| {
        only.is_none_or(|id| id == machine.id)
            && region.is_none_or(|region| region == machine.region)
    });
    let mut lines: Vec<(&str, Value)> = machines
        .flat_map(|machine| machine.logs.iter().map(move |line| (machine, line)))
        .filter(|(_, line)| after.is_none_or(|after| line.id.as_str() > after))
        .map(|(machine, line)| (line.id.as_str(), line.view(machine)))
        .collect();
    lines.sort_by(|a, b| a.0.cmp(b.0));
    let next = lines
        .last()
        .map_or(after.unwrap_or_default(), |(id, _)| id)
        .to_owned();
    let data: Vec<Value> = lines.into_iter().map(|(_, line)| line).collect();
    Ok(ApiResponse::ok(
        json!({ "data": data, "meta": { "next_token": next } }),
    ))
}
