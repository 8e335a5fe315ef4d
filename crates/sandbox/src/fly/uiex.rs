//! `/api/v1`: the API that flyctl calls "uiex" (releases, builds, organizations), and the logs.

use serde::Deserialize;
use serde_json::{Value, json};

use super::access::forbidden;
use super::routes::{Route, route};
use crate::api::{ApiCall, ApiError, ApiResponse, ApiResult};
use crate::clock;
use crate::ids;
use crate::world::{App, JsonObject, Org, Release, SimulatedWorld};

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

/// flyctl reads the organization in every deployment, also with a deploy token, so a token for one
/// app may read its organization here.
fn show_organization(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    let org = world
        .find_org(call.path_param("org"))
        .ok_or_else(|| ApiError::not_found("organization"))?;
    let has_app = world
        .apps
        .values()
        .any(|app| app.org == org.slug && call.caller.can_see_app(app));
    if !has_app && !call.caller.can_see_org(&org.slug) {
        return Err(forbidden());
    }
    Ok(ApiResponse::ok(json!({ "organization": org_view(org) })))
}

/// The clusters of Managed Postgres are not shown here: flyctl asks for a macaroon before it reads them.
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
    let field = |key: &str| call.body.get(key).cloned().unwrap_or_default();
    Ok(ApiResponse::ok(
        json!({ "id": field("build_id"), "status": field("status"), "wallclock_time_ms": 1 }),
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
        // In milliseconds, like the times of secrets: flyctl compares the two to find out which
        // secrets are deployed.
        "created_at": clock::format_millis(release.created_ms),
        "image_ref": release.image,
    })
}

/// A release to be recorded.
#[derive(Debug)]
pub(crate) struct NewRelease<'a> {
    pub(crate) image: &'a str,
    pub(crate) strategy: &'a str,
    pub(crate) definition: Value,
}

/// Records a release of an app; `None` when the app does not exist.
pub(crate) fn add_release(
    world: &mut SimulatedWorld,
    call: &ApiCall,
    app: &str,
    new_release: NewRelease<'_>,
) -> Option<Release> {
    let now = world.now_ms;
    let app = world.changed_app(app)?;
    let id = ids::base32_id(&app.next_id_bytes("release"));
    let release = Release {
        id,
        version: app.releases.last().map_or(0, |release| release.version) + 1,
        status: "pending".to_owned(),
        strategy: new_release.strategy.to_owned(),
        image: new_release.image.to_owned(),
        definition: new_release.definition,
        metadata: Value::Null,
        user: call.caller.email(),
        created_ms: now,
    };
    app.releases.push(release.clone());
    Some(release)
}

/// Changes the status and metadata of a release.
///
/// # Errors
/// `404` when the caller may see no such release, `400` for an unknown status.
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
    // Release ids are unique across apps, so the path does not name the app.
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

/// The response wraps the release here, but not when it is updated: flyctl decodes exactly that.
fn create_release(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    let request: CreateReleaseRequest = call.body()?;
    let app = world
        .app_named(&request.app_name, &call.caller)?
        .name
        .clone();
    let new_release = NewRelease {
        image: request.image.as_deref().unwrap_or_default(),
        strategy: request.strategy.as_deref().unwrap_or("ROLLING"),
        definition: request.definition,
    };
    let release =
        add_release(world, call, &app, new_release).ok_or_else(|| ApiError::not_found("app"))?;
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
    let apps = world.visible_apps(&call.caller);
    let dates = apps.filter_map(|app| {
        let release = latest_complete_release(app)?;
        Some((
            app.name.clone(),
            clock::format_seconds(release.created_ms).into(),
        ))
    });
    Ok(ApiResponse::ok(Value::Object(dates.collect())))
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
        .any(|assigned| assigned.ip == ip && assigned.kind.starts_with("egress"));
    if found {
        Ok(ApiResponse::empty(204))
    } else {
        Err(ApiError::not_found("egress ip"))
    }
}

/// The logs of the machines. Without `next_token`, they begin with the oldest stored line.
fn show_logs(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    let app = world.app(call)?;
    let (after, machine_id, region) = (
        call.query("next_token"),
        call.query("instance"),
        call.query("region"),
    );
    let machines = app.machines.values().filter(|machine| {
        machine_id.is_none_or(|id| id == machine.id)
            && region.is_none_or(|region| region == machine.region)
    });
    let mut lines: Vec<(&str, Value)> = machines
        .flat_map(|machine| machine.logs.iter().map(move |line| (machine, line)))
        .filter(|(_, line)| after.is_none_or(|after| line.id.as_str() > after))
        .map(|(machine, line)| (line.id.as_str(), line.view(machine)))
        .collect();
    // Ids are ULIDs, so sorting by id interleaves the machines by time, and the last id is the token
    // from which the next request continues.
    lines.sort_by(|a, b| a.0.cmp(b.0));
    let next_token = lines
        .last()
        .map_or(after.unwrap_or_default(), |(id, _)| id)
        .to_owned();
    let data: Vec<Value> = lines.into_iter().map(|(_, line)| line).collect();
    Ok(ApiResponse::ok(
        json!({ "data": data, "meta": { "next_token": next_token } }),
    ))
}
