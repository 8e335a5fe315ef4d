//! `…/metadata`: machine metadata, which changes without a new version or a restart.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::json;

use super::{Route, find_machine, find_machine_mut, route};
use crate::api::{ApiCall, ApiError, ApiResponse, ApiResult};
use crate::fly::machine::Machine;
use crate::json;
use crate::world::SimulatedWorld;

pub(super) fn routes() -> [Route; 6] {
    [
        route("GET", "/v1/apps/{app}/machines/{machine}/metadata", show),
        route("PUT", "/v1/apps/{app}/machines/{machine}/metadata", replace),
        route("PATCH", "/v1/apps/{app}/machines/{machine}/metadata", merge),
        route(
            "GET",
            "/v1/apps/{app}/machines/{machine}/metadata/{key}",
            show_key,
        ),
        route(
            "POST",
            "/v1/apps/{app}/machines/{machine}/metadata/{key}",
            set_key,
        ),
        route(
            "DELETE",
            "/v1/apps/{app}/machines/{machine}/metadata/{key}",
            remove_key,
        ),
    ]
}

/// Applies metadata changes; leases do not apply to metadata.
fn apply_changes(
    world: &mut SimulatedWorld,
    call: &ApiCall,
    edit: impl FnOnce(&mut Machine) -> Result<Vec<(String, Option<String>)>, ApiError>,
) -> ApiResult {
    let now = world.now_ms;
    let machine = find_machine_mut(world, call)?;
    let edits = edit(machine)?;
    let metadata = machine
        .config
        .entry("metadata")
        .or_insert_with(|| json!({}));
    if let Some(metadata) = metadata.as_object_mut() {
        for (key, value) in edits {
            match value.filter(|value| !value.is_empty()) {
                Some(value) => metadata.insert(key, value.into()),
                None => metadata.remove(&key),
            };
        }
    }
    machine.updated_ms = now;
    Ok(ApiResponse::empty(204))
}

fn show(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    let metadata = find_machine(world, call)?.config.get("metadata").cloned();
    Ok(ApiResponse::ok(metadata.unwrap_or_else(|| json!({}))))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct MetadataUpdate {
    metadata: Option<BTreeMap<String, Option<String>>>,
    machine_version: Option<String>,
}

impl MetadataUpdate {
    fn into_changes(self, machine: &Machine) -> Result<BTreeMap<String, Option<String>>, ApiError> {
        let version = self.machine_version.filter(|version| !version.is_empty());
        if version.is_some_and(|version| version != machine.instance_id) {
            return Err(ApiError::failed_precondition("machine version mismatch"));
        }
        self.metadata
            .ok_or_else(|| ApiError::bad_request("metadata is required"))
    }
}

/// `PUT` replaces all metadata: keys that it leaves out are removed.
fn replace(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    let request: MetadataUpdate = call.body()?;
    apply_changes(world, call, |machine| {
        let wanted = request.into_changes(machine)?;
        let current = json::members(machine.config.get("metadata"));
        // Every present key is removed first; the edits that follow set the wanted ones again.
        let mut edits: Vec<_> = current.map(|(key, _)| (key.clone(), None)).collect();
        edits.extend(wanted);
        Ok(edits)
    })
}

/// `PATCH` changes single keys; null and the empty string remove a key.
fn merge(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    let request: MetadataUpdate = call.body()?;
    apply_changes(world, call, |machine| {
        Ok(request.into_changes(machine)?.into_iter().collect())
    })
}

fn show_key(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    let value = find_machine(world, call)?.metadata_value(call.path_param("key"));
    let value = value.ok_or_else(|| ApiError::not_found("metadata key"))?;
    Ok(ApiResponse::ok(json!({ "value": value })))
}

fn set_key(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Request {
        value: Option<String>,
    }
    let request: Request = call.body()?;
    let value = request
        .value
        .ok_or_else(|| ApiError::bad_request("value is required"))?;
    apply_changes(world, call, |_| {
        Ok(vec![(call.path_param("key").to_owned(), Some(value))])
    })
}

fn remove_key(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    apply_changes(world, call, |_| {
        Ok(vec![(call.path_param("key").to_owned(), None)])
    })
}
