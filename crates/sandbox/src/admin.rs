//! `/_sandbox`: the administration endpoints, with which tests and people control the sandbox.
//! Loopback only. Those that show or make secrets need a token.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::{ApiError, ApiResponse, ApiResult};
use crate::aws;
use crate::faults::{FAULT_HELP, Fault};
use crate::fly;
use crate::fly::access::authenticate;
use crate::fly::behaviour::Rule;
use crate::github;
use crate::shared_state::SharedState;

/// Checks the token of a request to an endpoint that shows or makes secrets: any valid token of the
/// imitated Fly, or that of `server.json`, which only the user of the state folder can read.
///
/// # Errors
/// `401` when the endpoint needs a token and the request has none.
pub(crate) fn authorize(
    state: &SharedState,
    method: &str,
    path: &str,
    authorization: Option<&str>,
) -> Result<(), ApiError> {
    let shows_secrets = matches!(
        (method, path),
        ("GET", "state" | "execs") | ("POST", "tokens" | "aws/keys" | "oidc" | "github")
    ) || path.starts_with("postgres/")
        || path.starts_with("github/");
    let has_own_token = authorization
        .and_then(|text| text.strip_prefix("Bearer "))
        .is_some_and(|token| !token.is_empty() && token == state.admin_token);
    if !shows_secrets || has_own_token || authenticate(&state.world, authorization).is_ok() {
        return Ok(());
    }
    Err(ApiError::new(
        401,
        "this endpoint needs a token: send `Authorization: Bearer …` with a token of an organization, or with \
         `admin_token` of server.json in the state folder",
    ))
}

/// Handles a request to `/_sandbox/…`.
///
/// # Errors
/// `404` for an unknown endpoint, `400` for an invalid body.
pub(crate) fn handle_request(
    state: &mut SharedState,
    method: &str,
    path: &str,
    body: &Value,
) -> ApiResult {
    match (method, path) {
        ("GET", "state") => Ok(ApiResponse::ok(state.state_json())),
        ("GET", "requests") => Ok(ApiResponse::ok(json!(state.requests))),
        ("GET", "execs") => Ok(ApiResponse::ok(json!(state.world.execs))),
        ("POST", "execs") => change_exec_settings(state, body),
        ("GET", "clock") => Ok(show_clock(state)),
        ("POST", "clock") => advance_clock(state, body),
        ("GET", "faults") => Ok(list_faults(state)),
        ("POST", "faults") => add_faults(state, body),
        ("DELETE", "faults") => {
            state.faults.list.clear();
            Ok(list_faults(state))
        }
        ("POST", "release") => {
            state.gate.release();
            Ok(list_faults(state))
        }
        ("GET", "rules") => Ok(ApiResponse::ok(json!(state.world.global.rules))),
        ("POST", "rules") => add_rules(state, body),
        ("DELETE", "rules") => {
            state.world.global.rules.clear();
            state.world.global_dirty = true;
            Ok(ApiResponse::ok(json!([])))
        }
        ("GET", "images") => Ok(ApiResponse::ok(json!(state.world.global.images))),
        ("POST", "images") => override_images(state, body),
        ("DELETE", "images") => {
            state.world.global.images.clear();
            state.world.global_dirty = true;
            Ok(ApiResponse::ok(json!({})))
        }
        ("POST", "tokens") => create_token(state, body),
        ("POST", "hosts") => update_hosts(state, body),
        ("POST", "managed-postgres") => fly::v1::managed::change_behaviour(&mut state.world, body),
        ("POST", "aws/keys") => create_aws_keys(state, body),
        ("POST", "aws/system-tags") => set_system_tags(state, body),
        ("POST", "oidc") => aws::issue_machine_token(&mut state.world, body),
        ("POST", "github") => aws::start_workflow(&mut state.world, &state.url, body),
        (method, path) if path.starts_with("postgres/") => fly::postgres::handle_request(
            &mut state.world,
            method,
            path.trim_start_matches("postgres/"),
            body,
        ),
        ("POST", path) if path.starts_with("github/") => github::admin::run(
            &mut state.world,
            &state.url,
            path.trim_start_matches("github/"),
            body,
        )
        .map(ApiResponse::ok),
        ("GET", path) if path.starts_with("oidc/") => {
            aws::serve_oidc_discovery(&mut state.world, path.trim_start_matches("oidc/"))
        }
        _ => Err(ApiError::not_found("endpoint")),
    }
}

fn show_clock(state: &SharedState) -> ApiResponse {
    ApiResponse::ok(
        json!({ "now": crate::clock::format_millis(state.world.now_ms), "now_ms": state.world.now_ms }),
    )
}

fn parse_body<T: serde::de::DeserializeOwned>(body: &Value) -> Result<T, ApiError> {
    serde_json::from_value(body.clone()).map_err(|error| ApiError::bad_request(error.to_string()))
}

fn advance_clock(state: &mut SharedState, body: &Value) -> ApiResult {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct AdvanceRequest {
        advance_ms: i64,
    }
    let AdvanceRequest { advance_ms } = parse_body(body)?;
    if advance_ms < 0 {
        return Err(ApiError::bad_request(
            "advance_ms must not be negative: the clock only moves forward",
        ));
    }
    state.clock.advance(advance_ms);
    state.catch_up_with_clock();
    state.world.global_dirty = true;
    Ok(show_clock(state))
}

fn list_faults(state: &SharedState) -> ApiResponse {
    let list: Vec<String> = state.faults.list.iter().map(ToString::to_string).collect();
    let help: Vec<Value> = FAULT_HELP
        .iter()
        .map(|(syntax, effect)| json!({ "fault": syntax, "does": effect }))
        .collect();
    ApiResponse::ok(json!({ "faults": list, "help": help }))
}

fn add_faults(state: &mut SharedState, body: &Value) -> ApiResult {
    let texts: Vec<String> = parse_body(body)?;
    let parse = |text: &String| {
        text.parse::<Fault>()
            .map_err(|error| ApiError::bad_request(error.to_string()))
    };
    // Either all faults are added or, when one is invalid, none.
    let list = texts.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
    state.faults.list.extend(list);
    Ok(list_faults(state))
}

/// Adds rules before the existing ones, because the first rule that matches decides.
fn add_rules(state: &mut SharedState, body: &Value) -> ApiResult {
    let mut rules: Vec<Rule> = if body.is_array() {
        parse_body(body)?
    } else {
        vec![parse_body(body)?]
    };
    rules.append(&mut state.world.global.rules);
    state.world.global.rules = rules;
    state.world.global_dirty = true;
    Ok(ApiResponse::ok(json!(state.world.global.rules)))
}

/// The body is one image override or a list of them.
fn override_images(state: &mut SharedState, body: &Value) -> ApiResult {
    let single = std::slice::from_ref(body);
    for image_override in body.as_array().map_or(single, Vec::as_slice) {
        fly::images::set_override(&mut state.world.global.images, image_override)?;
    }
    state.world.global_dirty = true;
    Ok(ApiResponse::ok(json!(state.world.global.images)))
}

/// Returns the access key of an account's administrator, or with a policy, of a new user with this
/// policy.
fn create_aws_keys(state: &mut SharedState, body: &Value) -> ApiResult {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct AccessKeyRequest {
        account: String,
        policy: Option<Value>,
    }
    let AccessKeyRequest { account, policy } = parse_body(body)?;
    if !aws::is_account_id(&account) {
        return Err(ApiError::bad_request("account must be twelve digits"));
    }
    let keys = match policy {
        Some(policy) => aws::create_key_with_policy(&mut state.world, &account, &policy)
            .map_err(ApiError::bad_request)?,
        None => aws::ensure_administrator_key(&mut state.world, &account),
    };
    Ok(ApiResponse::ok(
        json!({ "access_key_id": keys.id, "secret_access_key": keys.secret }),
    ))
}

/// Changes what `exec` does: whether it passes standard input on, and how long a request may be.
fn change_exec_settings(state: &mut SharedState, body: &Value) -> ApiResult {
    state.world.global.exec = parse_body(body)?;
    state.world.global_dirty = true;
    Ok(ApiResponse::ok(json!(state.world.global.exec)))
}

/// Gives a bucket the tags that a service of AWS sets, such as those of CloudFormation.
fn set_system_tags(state: &mut SharedState, body: &Value) -> ApiResult {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct SystemTagsRequest {
        bucket: String,
        tags: BTreeMap<String, String>,
    }
    let request: SystemTagsRequest = parse_body(body)?;
    if let Some(key) = request.tags.keys().find(|key| !key.starts_with("aws:")) {
        return Err(ApiError::bad_request(format!(
            "{key:?} is no key of a system tag: it does not begin with aws:"
        )));
    }
    let now = state.world.now_ms;
    let aws = &mut state.world.aws;
    let bucket = aws
        .buckets
        .get_mut(&request.bucket)
        .ok_or_else(|| ApiError::not_found("bucket"))?;
    bucket.set_system_tags(now, request.tags);
    aws.dirty_buckets.insert(request.bucket);
    Ok(ApiResponse::ok_true())
}

/// Returns a token for everything in an organization, which is created if it does not exist.
fn create_token(state: &mut SharedState, body: &Value) -> ApiResult {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct TokenRequest {
        org: String,
    }
    let TokenRequest { org } = parse_body(body)?;
    let token = crate::running::ensure_token(&mut state.world, &org, |org| {
        fly::access::TokenGrant::Org { org }
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
    /// Whether organization-wide lists leave out this region and report it in `error_regions`.
    error: Option<bool>,
    /// Whether the region has no capacity for more machines or volumes.
    full: Option<bool>,
}

fn update_hosts(state: &mut SharedState, body: &Value) -> ApiResult {
    let request: HostUpdate = parse_body(body)?;
    let world = &mut state.world;
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
    // A filter that is not set matches everything. Naming a machine selects no volumes, and naming a
    // volume selects no machines.
    let matches = |wanted: &Option<String>, actual: &str| {
        wanted.as_deref().is_none_or(|wanted| wanted == actual)
    };
    for app in world
        .apps
        .values_mut()
        .filter(|app| matches(&request.app, &app.name))
    {
        for machine in app
            .machines
            .values_mut()
            .filter(|_| request.volume.is_none())
        {
            if matches(&request.machine, &machine.id) && matches(&request.region, &machine.region) {
                machine.host_status.clone_from(status);
            }
        }
        for volume in app
            .volumes
            .values_mut()
            .filter(|_| request.machine.is_none())
        {
            if matches(&request.volume, &volume.id) && matches(&request.region, &volume.region) {
                volume.host_status.clone_from(status);
            }
        }
        world.dirty_apps.insert(app.name.clone());
    }
    Ok(ApiResponse::ok_true())
}

fn set_region_flag(
    set: &mut std::collections::BTreeSet<String>,
    region: &str,
    is_set: Option<bool>,
) {
    match is_set {
        Some(true) => drop(set.insert(region.to_owned())),
        Some(false) => drop(set.remove(region)),
        None => {}
    }
}
