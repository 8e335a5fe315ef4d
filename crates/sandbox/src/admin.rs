//! `/_sandbox`: what a test or a person tells the imitation itself. Loopback only, no token.

use serde::Deserialize;
use serde_json::{Value, json};

use super::api::{ApiError, ApiResponse, ApiResult};
use super::aws;
use super::behaviour::Rule;
use super::faults::{FAULT_HELP, Fault};
use super::server::SharedState;

/// Answers a request to `/_sandbox/…`.
///
/// # Errors
/// `404` for what is not there, `400` for a body that says nothing sensible.
pub(crate) fn handle_request(
    core: &mut SharedState,
    method: &str,
    path: &str,
    body: &Value,
) -> ApiResult {
    match (method, path) {
        ("GET", "state") => Ok(ApiResponse::ok(core.state_json())),
        ("GET", "requests") => Ok(ApiResponse::ok(json!(core.requests))),
        ("GET", "clock") => Ok(show_clock(core)),
        ("POST", "clock") => advance_clock(core, body),
        ("GET", "faults") => Ok(list_faults(core)),
        ("POST", "faults") => add_faults(core, body),
        ("DELETE", "faults") => {
            core.faults.list.clear();
            Ok(list_faults(core))
        }
        ("POST", "release") => {
            core.gate.release();
            Ok(list_faults(core))
        }
        ("GET", "rules") => Ok(ApiResponse::ok(json!(core.world.global.rules))),
        ("POST", "rules") => add_rules(core, body),
        ("DELETE", "rules") => {
            core.world.global.rules.clear();
            core.world.global_dirty = true;
            Ok(ApiResponse::ok(json!([])))
        }
        ("GET", "images") => Ok(ApiResponse::ok(json!(core.world.global.images))),
        ("POST", "images") => override_images(core, body),
        ("DELETE", "images") => {
            core.world.global.images.clear();
            core.world.global_dirty = true;
            Ok(ApiResponse::ok(json!({})))
        }
        ("POST", "tokens") => create_token(core, body),
        ("POST", "hosts") => update_hosts(core, body),
        ("POST", "aws/keys") => create_aws_keys(core, body),
        ("POST", "oidc") => aws::issue_machine_token(&mut core.world, body),
        ("POST", "github") => aws::start_workflow(&mut core.world, &core.url, body),
        ("GET", path) if path.starts_with("oidc/") => {
            aws::serve_oidc_discovery(&mut core.world, path.trim_start_matches("oidc/"))
        }
        _ => Err(ApiError::not_found("endpoint")),
    }
}

fn show_clock(core: &SharedState) -> ApiResponse {
    ApiResponse::ok(
        json!({ "now": super::clock::format_millis(core.world.now_ms), "now_ms": core.world.now_ms }),
    )
}

fn parse_body<T: serde::de::DeserializeOwned>(body: &Value) -> Result<T, ApiError> {
    serde_json::from_value(body.clone()).map_err(|error| ApiError::bad_request(error.to_string()))
}

fn advance_clock(core: &mut SharedState, body: &Value) -> ApiResult {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Advance {
        advance_ms: i64,
    }
    let Advance { advance_ms } = parse_body(body)?;
    if advance_ms < 0 {
        return Err(ApiError::bad_request("time does not go back"));
    }
    core.clock.advance(advance_ms);
    core.catch_up_with_clock();
    core.world.global_dirty = true;
    Ok(show_clock(core))
}

fn list_faults(core: &SharedState) -> ApiResponse {
    let list: Vec<String> = core.faults.list.iter().map(ToString::to_string).collect();
    let help: Vec<Value> = FAULT_HELP
        .iter()
        .map(|(name, does)| json!({ "fault": name, "does": does }))
        .collect();
    ApiResponse::ok(json!({ "faults": list, "help": help }))
}

fn add_faults(core: &mut SharedState, body: &Value) -> ApiResult {
    let texts: Vec<String> = parse_body(body)?;
    let parse = |text: &String| {
        text.parse::<Fault>()
            .map_err(|error| ApiError::bad_request(error.to_string()))
    };
    let list = texts.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
    core.faults.list.extend(list);
    Ok(list_faults(core))
}

/// New rules come before old ones, because the first that matches decides.
fn add_rules(core: &mut SharedState, body: &Value) -> ApiResult {
    let mut rules: Vec<Rule> = if body.is_array() {
        parse_body(body)?
    } else {
        vec![parse_body(body)?]
    };
    rules.append(&mut core.world.global.rules);
    core.world.global.rules = rules;
    core.world.global_dirty = true;
    Ok(ApiResponse::ok(json!(core.world.global.rules)))
}

/// One image, or a list of them.
fn override_images(core: &mut SharedState, body: &Value) -> ApiResult {
    let one = std::slice::from_ref(body);
    for said in body.as_array().map_or(one, Vec::as_slice) {
        super::images::set_override(&mut core.world.global.images, said)?;
    }
    core.world.global_dirty = true;
    Ok(ApiResponse::ok(json!(core.world.global.images)))
}

/// An access key of an account: its administrator's, or a new user's who may do what a policy says.
fn create_aws_keys(core: &mut SharedState, body: &Value) -> ApiResult {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Wanted {
        account: String,
        policy: Option<Value>,
    }
    let Wanted { account, policy } = parse_body(body)?;
    if !aws::is_account_id(&account) {
        return Err(ApiError::bad_request("account must have twelve digits"));
    }
    let keys = match policy {
        Some(policy) => aws::create_key_with_policy(&mut core.world, &account, &policy)
            .map_err(ApiError::bad_request)?,
        None => aws::ensure_administrator_key(&mut core.world, &account),
    };
    Ok(ApiResponse::ok(
        json!({ "access_key_id": keys.id, "secret_access_key": keys.secret }),
    ))
}

/// The token for everything in an organisation, which is made if it is missing.
fn create_token(core: &mut SharedState, body: &Value) -> ApiResult {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Wanted {
        org: String,
    }
    let Wanted { org } = parse_body(body)?;
    let token = super::running::ensure_token(&mut core.world, &org, |org| {
        super::access::TokenGrant::Org { org }
    });
    Ok(ApiResponse::ok(json!({ "token": token })))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct HostUpdate {
    app: Option<String>,
    machine: Option<String>,
    volume: Option<String>,
    region: Option<String>,
    /// `ok`, `unknown` or `unreachable`.
    status: Option<String>,
    /// Lists over an organisation report this region as unanswered.
    error: Option<bool>,
    /// The region takes no more machines or volumes.
    full: Option<bool>,
}

fn update_hosts(core: &mut SharedState, body: &Value) -> ApiResult {
    let request: HostUpdate = parse_body(body)?;
    let world = &mut core.world;
    if let Some(region) = &request.region {
        world.global_dirty = true;
        set_region_flag(&mut world.global.error_regions, region, request.error);
        set_region_flag(&mut world.global.full_regions, region, request.full);
    }
    let Some(status) = &request.status else {
        return Ok(ApiResponse::ok_true());
    };
    if !matches!(status.as_str(), "ok" | "unknown" | "unreachable") {
        return Err(ApiError::bad_request(
            "status must be ok, unknown or unreachable",
        ));
    }
    let is = |want: &Option<String>, have: &str| want.as_deref().is_none_or(|want| want == have);
    for app in world
        .apps
        .values_mut()
        .filter(|app| is(&request.app, &app.name))
    {
        for machine in app
            .machines
            .values_mut()
            .filter(|_| request.volume.is_none())
        {
            if is(&request.machine, &machine.id) && is(&request.region, &machine.region) {
                machine.host_status.clone_from(status);
            }
        }
        for volume in app
            .volumes
            .values_mut()
            .filter(|_| request.machine.is_none())
        {
            if is(&request.volume, &volume.id) && is(&request.region, &volume.region) {
                volume.host_status.clone_from(status);
            }
        }
        world.dirty_apps.insert(app.name.clone());
    }
    Ok(ApiResponse::ok_true())
}

fn set_region_flag(set: &mut std::collections::BTreeSet<String>, region: &str, on: Option<bool>) {
    match on {
        Some(true) => drop(set.insert(region.to_owned())),
        Some(false) => drop(set.remove(region)),
        None => {}
    }
}
