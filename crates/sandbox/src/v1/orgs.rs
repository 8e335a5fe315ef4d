//! `/v1/orgs/{slug}/…`: machines and volumes of all applications of an organisation, page by page.

use serde_json::{Value, json};

use super::machines::{Filter, overview};
use super::{Route, route, volumes};
use crate::answer::{Answer, Call, Refusal, Reply};
use crate::clock;
use crate::world::{App, World};

/// The most that a page holds; also what it holds without `limit`.
const PAGE_MAX: i64 = 1_000;

pub(super) fn routes() -> [Route; 2] {
    [
        route("GET", "/v1/orgs/{org}/machines", machines),
        route("GET", "/v1/orgs/{org}/volumes", all_volumes),
    ]
}

/// One thing of a list: what it is called, when it changed, and how it is shown.
type Row = (String, i64, Value);

/// A page of rows in the order of their identifiers, which the cursor points into. Rows of regions that do not
/// answer are missing; machines say so in `error_regions`, volumes have no such field.
fn page(world: &World, call: &Call, mut rows: Vec<Row>) -> Result<(Vec<Row>, String), Refusal> {
    let limit = call
        .number("limit")?
        .filter(|limit| *limit > 0)
        .unwrap_or(PAGE_MAX)
        .min(PAGE_MAX);
    if let Some(after) = call.query("updated_after") {
        let after = clock::parse(after).ok_or_else(|| Refusal::invalid("invalid updated_after"))?;
        rows.retain(|(_, updated, _)| *updated > after);
    }
    if let Some(cursor) = call.query("cursor") {
        rows.retain(|(id, _, _)| id.as_str() > cursor);
    }
    rows.retain(|(_, _, shown)| {
        let region = shown
            .get("region")
            .and_then(Value::as_str)
            .unwrap_or_default();
        !world.root.error_regions.contains(region)
    });
    rows.sort_by(|a, b| a.0.cmp(&b.0));
    let more = rows.len() > limit.unsigned_abs() as usize;
    rows.truncate(limit.unsigned_abs() as usize);
    let next = rows
        .last()
        .filter(|_| more)
        .map(|(id, _, _)| id.clone())
        .unwrap_or_default();
    Ok((rows, next))
}

fn apps<'a>(world: &'a World, call: &Call) -> Result<Vec<&'a App>, Refusal> {
    let org = world.org(call.param("org"), &call.who)?;
    Ok(world
        .apps
        .values()
        .filter(|app| app.org == org.slug)
        .collect())
}

fn last(rows: &[Row]) -> (String, String) {
    let id = rows.last().map(|(id, _, _)| id.clone()).unwrap_or_default();
    let updated = rows.iter().map(|(_, updated, _)| *updated).max();
    (id, updated.map(clock::seconds).unwrap_or_default())
}

fn machines(world: &mut World, call: &Call) -> Reply {
    let filter = Filter::of(call)?;
    let mut rows = Vec::new();
    for app in apps(world, call)? {
        let machines = app
            .machines
            .values()
            .filter(|m| filter.passes(m) && world.listed(m.created_ms));
        rows.extend(machines.map(|machine| {
            let mut shown = overview(app, machine);
            if call.flag("summary") {
                shown
                    .as_object_mut()
                    .and_then(|shown| shown.remove("config"));
            }
            (machine.id.clone(), machine.updated_ms, shown)
        }));
    }
    let (rows, next) = page(world, call, rows)?;
    let (id, updated) = last(&rows);
    Ok(Answer::ok(json!({
        "machines": rows.into_iter().map(|(_, _, shown)| shown).collect::<Vec<_>>(),
        "next_cursor": next,
        "last_machine_id": id,
        "last_updated_at": updated,
        "error_regions": world.root.error_regions,
    })))
}

fn all_volumes(world: &mut World, call: &Call) -> Reply {
    let (region, states) = (call.query("region"), call.query_list("state"));
    let deleted = call.flag("include_deleted");
    let mut rows = Vec::new();
    for app in apps(world, call)? {
        let volumes = app.volumes.values().filter(|volume| {
            (deleted || volume.state != "destroyed")
                && region.is_none_or(|region| volume.region == region)
                && (states.is_empty() || states.contains(&volume.state.as_str()))
                && world.listed(volume.created_ms)
        });
        rows.extend(volumes.map(|volume| {
            let mut shown = volumes::view(volume);
            shown["app_name"] = app.name.clone().into();
            shown["updated_at"] = clock::millis(volume.updated_ms).into();
            (volume.id.clone(), volume.updated_ms, shown)
        }));
    }
    let (rows, next) = page(world, call, rows)?;
    let (id, updated) = last(&rows);
    Ok(Answer::ok(json!({
        "volumes": rows.into_iter().map(|(_, _, shown)| shown).collect::<Vec<_>>(),
        "next_cursor": next,
        "last_volume_id": id,
        "last_updated_at": updated,
    })))
}
