//! `/v1/apps/{app}/network_policies`: which traffic machines may send and receive directly. Nothing
//! is sent in the sandbox, so policies are only checked and kept.
//!
//! The documentation (fly.io/docs/machines/guides-examples/network-policies) describes the requests
//! and shows no responses: here they have the form of the other resources of an app.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Route, route};
use crate::api::{ApiCall, ApiError, ApiResponse, ApiResult, non_empty};
use crate::ids;
use crate::json;
use crate::world::SimulatedWorld;

/// A network policy of an app.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct NetworkPolicy {
    pub(crate) id: String,
    pub(crate) name: String,
    /// The machines that it applies to: all, some by id, or those with this metadata.
    pub(crate) selector: Value,
    pub(crate) rules: Value,
}

pub(super) fn routes() -> [Route; 4] {
    [
        route("GET", "/v1/apps/{app}/network_policies", list),
        // The documentation writes the list with a slash at the end.
        route("GET", "/v1/apps/{app}/network_policies/", list),
        route("POST", "/v1/apps/{app}/network_policies", create_or_update),
        route("DELETE", "/v1/apps/{app}/network_policies/{policy}", delete),
    ]
}

fn list(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    let policies = world.app(call)?.network_policies.values();
    Ok(ApiResponse::ok(json!(policies.collect::<Vec<_>>())))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct NetworkPolicyRequest {
    id: Option<String>,
    name: Option<String>,
    selector: Value,
    rules: Value,
}

/// Creates a policy, or replaces the one with the `id` of the request.
fn create_or_update(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    let request: NetworkPolicyRequest = call.body()?;
    let name = non_empty(request.name).ok_or_else(|| ApiError::bad_request("name is required"))?;
    check_selector(&request.selector)?;
    for rule in json::items(Some(&request.rules)) {
        check_rule(rule)?;
    }
    let id = non_empty(request.id);
    let known = |id: &String| Ok(world.app(call)?.network_policies.contains_key(id));
    if !id.as_ref().map_or(Ok(true), known)? {
        return Err(ApiError::not_found("network policy"));
    }
    let app = world.app_mut(call)?;
    let id = id.unwrap_or_else(|| ids::base32_id(&app.next_id_bytes("network policy")));
    let policy = NetworkPolicy {
        id: id.clone(),
        name,
        selector: request.selector,
        rules: request.rules,
    };
    let body = json!(policy);
    app.network_policies.insert(id, policy);
    Ok(ApiResponse::ok(body))
}

/// A selector names at least one way to choose machines; several narrow the choice.
fn check_selector(selector: &Value) -> Result<(), ApiError> {
    let names_all = selector.get("all") == Some(&Value::Bool(true));
    let names_machines = !json::items(selector.get("machines")).is_empty();
    let names_metadata = json::members(selector.get("metadata")).next().is_some();
    match names_all || names_machines || names_metadata {
        true => Ok(()),
        false => Err(ApiError::bad_request(
            "selector must have all, machines or metadata",
        )),
    }
}

fn check_rule(rule: &Value) -> Result<(), ApiError> {
    let text = |key: &str| json::string(rule.get(key));
    if text("action") != "allow" {
        return Err(ApiError::bad_request("action must be allow"));
    }
    if !matches!(text("direction"), "ingress" | "egress") {
        return Err(ApiError::bad_request("direction must be ingress or egress"));
    }
    let is_port = |port: &Value| {
        let number = port.get("port").and_then(Value::as_u64);
        let protocol = json::string(port.get("protocol"));
        matches!(protocol, "tcp" | "udp")
            && number.is_none_or(|number| (1..=65_535).contains(&number))
    };
    match json::items(rule.get("ports")).iter().all(is_port) {
        true => Ok(()),
        false => Err(ApiError::bad_request(
            "ports must have a protocol, tcp or udp, and a port",
        )),
    }
}

fn delete(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    let id = call.path_param("policy");
    if !world.app(call)?.network_policies.contains_key(id) {
        return Err(ApiError::not_found("network policy"));
    }
    world.app_mut(call)?.network_policies.remove(id);
    Ok(ApiResponse::empty(204))
}
