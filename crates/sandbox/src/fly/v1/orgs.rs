//! `/v1/orgs/{slug}/…`: machines and volumes of all apps of an organization, in pages.

use serde_json::{Value, json};

use super::machines::{MachineFilter, org_list_view};
use super::{Route, route, volumes};
use crate::api::{ApiCall, ApiError, ApiResponse, ApiResult};
use crate::clock;
use crate::json;
use crate::world::{App, SimulatedWorld};

/// The maximum page size, which is also the default.
const MAX_PAGE_SIZE: i64 = 1_000;

pub(super) fn routes() -> [Route; 2] {
    [
        route("GET", "/v1/orgs/{org}/machines", list_machines),
        route("GET", "/v1/orgs/{org}/volumes", list_volumes),
    ]
}

/// An entry of a list: its id, when it was updated, and its representation.
type ListRow = (String, i64, Value);

/// A page of rows sorted by id, and the cursor of the next page (empty on the last one). Rows in
/// regions that are declared unreachable are left out; the list of machines reports them in
/// `error_regions`, the list of volumes has no such field.
fn paginate(
    world: &SimulatedWorld,
    call: &ApiCall,
    mut rows: Vec<ListRow>,
) -> Result<(Vec<ListRow>, String), ApiError> {
    let limit = call
        .query_number("limit")?
        .filter(|limit| *limit > 0)
        .unwrap_or(MAX_PAGE_SIZE)
        .min(MAX_PAGE_SIZE)
        .unsigned_abs() as usize;
    if let Some(after) = call.query("updated_after") {
        let after = clock::parse_timestamp(after)
            .ok_or_else(|| ApiError::bad_request("invalid updated_after"))?;
        rows.retain(|(_, updated, _)| *updated > after);
    }
    if let Some(cursor) = call.query("cursor") {
        rows.retain(|(id, _, _)| id.as_str() > cursor);
    }
    rows.retain(|(_, _, body)| {
        let region = json::string(body.get("region"));
        !world.global.error_regions.contains(region)
    });
    // Ids never change, so pages stay consistent while rows are updated between two requests.
    rows.sort_by(|a, b| a.0.cmp(&b.0));
    let has_more = rows.len() > limit;
    rows.truncate(limit);
    let next_cursor = rows
        .last()
        .filter(|_| has_more)
        .map(|(id, _, _)| id.clone())
        .unwrap_or_default();
    Ok((rows, next_cursor))
}

fn org_apps<'a>(world: &'a SimulatedWorld, call: &ApiCall) -> Result<Vec<&'a App>, ApiError> {
    let org = world.org(call.path_param("org"), &call.caller)?;
    Ok(world
        .apps
        .values()
        .filter(|app| app.org == org.slug)
        .collect())
}

/// The last id and the newest update of a page. Clients pass the latter as `updated_after` later.
fn last_id_and_update(rows: &[ListRow]) -> (String, String) {
    let id = rows.last().map(|(id, _, _)| id.clone()).unwrap_or_default();
    let updated = rows.iter().map(|(_, updated, _)| *updated).max();
    (id, updated.map(clock::format_seconds).unwrap_or_default())
}

fn list_machines(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    let filter = MachineFilter::from_call(call)?;
    let mut rows = Vec::new();
    for app in org_apps(world, call)? {
        let machines = app
            .machines
            .values()
            .filter(|m| filter.matches(m) && world.is_listed(m.created_ms));
        rows.extend(machines.map(|machine| {
            let mut body = org_list_view(app, machine);
            if call.query_flag("summary") {
                body.as_object_mut().and_then(|body| body.remove("config"));
            }
            (machine.id.clone(), machine.updated_ms, body)
        }));
    }
    let (rows, next_cursor) = paginate(world, call, rows)?;
    let (id, updated) = last_id_and_update(&rows);
    Ok(ApiResponse::ok(json!({
        "machines": rows.into_iter().map(|(_, _, body)| body).collect::<Vec<_>>(),
        "next_cursor": next_cursor,
        "last_machine_id": id,
        "last_updated_at": updated,
        "error_regions": world.global.error_regions,
    })))
}

fn list_volumes(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    let (region, states) = (call.query("region"), call.query_list("state"));
    let include_deleted = call.query_flag("include_deleted");
    let mut rows = Vec::new();
    for app in org_apps(world, call)? {
        let volumes = app.volumes.values().filter(|volume| {
            (include_deleted || volume.state != "destroyed")
                && region.is_none_or(|region| volume.region == region)
                && (states.is_empty() || states.contains(&volume.state.as_str()))
                && world.is_listed(volume.created_ms)
        });
        rows.extend(volumes.map(|volume| {
            let mut body = volumes::volume_view(volume);
            body["app_name"] = app.name.clone().into();
            body["updated_at"] = clock::format_millis(volume.updated_ms).into();
            (volume.id.clone(), volume.updated_ms, body)
        }));
    }
    let (rows, next_cursor) = paginate(world, call, rows)?;
    let (id, updated) = last_id_and_update(&rows);
    Ok(ApiResponse::ok(json!({
        "volumes": rows.into_iter().map(|(_, _, body)| body).collect::<Vec<_>>(),
        "next_cursor": next_cursor,
        "last_volume_id": id,
        "last_updated_at": updated,
    })))
}
