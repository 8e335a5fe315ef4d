//! `/v1/apps`: apps, which contain all other resources. App names are unique across all
//! organizations.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Value, json};

use super::{RateLimit, RateLimitKey, Route, route};
use crate::api::{ApiCall, ApiError, ApiResponse, ApiResult, non_empty};
use crate::fly::access::{Token, TokenGrant, forbidden};
use crate::fly::config;
use crate::ids;
use crate::world::{App, DEFAULT_NETWORK, SimulatedWorld};

/// An app's name becomes a label of a host name, which has at most 63 characters.
const MAX_NAME_LENGTH: usize = 63;

pub(super) fn routes() -> [Route; 5] {
    [
        route("GET", "/v1/apps", list),
        route("POST", "/v1/apps", create),
        route("GET", "/v1/apps/{app}", show),
        route("DELETE", "/v1/apps/{app}", delete)
            .with_rate_limit(RateLimit::DELETE_APP, RateLimitKey::Token),
        route("POST", "/v1/apps/{app}/deploy_token", deploy_token),
    ]
}

/// An app as the API returns it.
pub(crate) fn app_view(world: &SimulatedWorld, app: &App) -> Value {
    let org = world.global.orgs.get(&app.org);
    let mut body = json!({
        "id": app.id,
        "internal_numeric_id": app.number,
        "name": app.name,
        "network": app.network,
        "status": app.status(),
        "machine_count": app.machines.values().filter(|machine| !machine.is_gone()).count(),
        "volume_count": app.volumes.values().filter(|volume| !volume.is_deleted()).count(),
        "organization": {
            "name": org.map_or(app.org.as_str(), |org| org.name.as_str()),
            "slug": app.org,
            "internal_numeric_id": org.map_or(0, |org| org.number),
        },
        "cname_target": app.cname_target(),
    });
    if !app.role.is_empty() {
        body["app_role"] = app.role.clone().into();
    }
    body
}

fn list(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    let slug = call
        .query("org_slug")
        .ok_or_else(|| ApiError::bad_request("org_slug is required"))?;
    let org = world.org(slug, &call.caller)?.slug.clone();
    let role = call.query("app_role");
    let apps = world
        .apps
        .values()
        .filter(|app| app.org == org && world.is_listed(app.created_ms));
    let apps: Vec<Value> = apps
        .filter(|app| role.is_none_or(|role| app.role == role))
        .map(|app| app_view(world, app))
        .collect();
    Ok(ApiResponse::ok(
        json!({ "total_apps": apps.len(), "apps": apps }),
    ))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct CreateAppRequest {
    name: Option<String>,
    /// The older name of `name`, which the documentation still shows.
    app_name: Option<String>,
    org_slug: Option<String>,
    network: Option<String>,
    app_role_id: Option<String>,
    /// Only in the newer specification: a request with the same key and name returns the first app
    /// again.
    idempotency_key: Option<String>,
}

fn create(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    let request: CreateAppRequest = call.body()?;
    let slug =
        non_empty(request.org_slug).ok_or_else(|| ApiError::bad_request("org_slug is required"))?;
    let new_app = NewApp {
        org: world.org(&slug, &call.caller)?.slug.clone(),
        name: non_empty(request.name)
            .or(request.app_name)
            .unwrap_or_default(),
        network: non_empty(request.network),
        role: request.app_role_id.unwrap_or_default(),
        idempotency_key: non_empty(request.idempotency_key),
    };
    // The documentation shows only `id` and `created_at`, flyctl decodes a whole app; the response
    // satisfies both.
    let app = add_app(world, new_app)?;
    let mut body = app_view(world, &app);
    body["created_at"] = app.created_ms.into();
    Ok(ApiResponse::json(201, body))
}

/// An app to be created.
#[derive(Debug)]
pub(crate) struct NewApp {
    pub(crate) org: String,
    pub(crate) name: String,
    pub(crate) network: Option<String>,
    pub(crate) role: String,
    pub(crate) idempotency_key: Option<String>,
}

/// Creates an app, or returns the one that a request with the same idempotency key created.
///
/// # Errors
/// `422` when the name is invalid or taken, in any organization, or when the key was used for
/// another name.
pub(crate) fn add_app(world: &mut SimulatedWorld, new_app: NewApp) -> Result<App, ApiError> {
    let key = new_app.idempotency_key;
    // A repeated request with the same key must not fail because the name is now taken.
    let mut apps = world.apps.values().filter(|app| app.org == new_app.org);
    if let Some(app) = apps.find(|app| key.is_some() && app.idempotency_key == key) {
        let same = app.name == new_app.name;
        let error = || {
            ApiError::new(
                422,
                "Validation failed: idempotency key was used for another name",
            )
        };
        return if same { Ok(app.clone()) } else { Err(error()) };
    }
    let id_bytes = world.next_id_bytes("app");
    let name = if new_app.name.is_empty() {
        ids::generated_name(&id_bytes)
    } else {
        new_app.name
    };
    if !is_app_name(&name) {
        let rule =
            "Validation failed: Name under 63 chars using numbers, lowercase letters and dashes";
        return Err(ApiError::new(422, rule));
    }
    // Names are unique across organizations, so this looks beyond what the caller may see.
    if world.apps.contains_key(&name) {
        return Err(ApiError::with_code(
            422,
            "Validation failed: Name has already been taken",
            "name_taken",
        ));
    }
    let app = App {
        id: ids::base32_id(&id_bytes),
        number: ids::to_u31(&id_bytes),
        name: name.clone(),
        org: new_app.org,
        network: new_app
            .network
            .unwrap_or_else(|| DEFAULT_NETWORK.to_owned()),
        role: new_app.role,
        idempotency_key: key,
        created_ms: world.now_ms,
        drawn: 0,
        machines: BTreeMap::new(),
        volumes: BTreeMap::new(),
        secrets: BTreeMap::new(),
        secrets_version: 0,
        ips: Vec::new(),
        certificates: BTreeMap::new(),
        releases: Vec::new(),
        network_policies: BTreeMap::new(),
        initialized_consul_urls: BTreeSet::new(),
    };
    world.dirty_apps.insert(name.clone());
    world.apps.insert(name, app.clone());
    Ok(app)
}

/// The name becomes a file name in the state folder and a label of a host name, so no other
/// characters are allowed.
fn is_app_name(name: &str) -> bool {
    let is_allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (1..=MAX_NAME_LENGTH).contains(&name.len())
        && name.chars().all(is_allowed)
        && !name.starts_with('-')
        && !name.ends_with('-')
}

fn show(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    let app = world.app(call)?;
    Ok(ApiResponse::ok(app_view(world, app)))
}

/// Deletes the app with its machines, volumes, secrets, IP addresses and certificates, even if
/// machines are running: flyctl deletes without `force`.
fn delete(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    let Some(app) = world.apps.get(call.path_param("app")) else {
        return Err(ApiError::new(404, "Could not find App"));
    };
    if !call.caller.can_see_app(app) {
        return Err(forbidden());
    }
    let name = app.name.clone();
    world.apps.remove(&name);
    world.dirty_apps.insert(name);
    Ok(ApiResponse::empty(202))
}

fn deploy_token(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Request {
        expiry: Option<String>,
    }
    let request: Request = call.body()?;
    let lifetime_ms = non_empty(request.expiry).map(|expiry| {
        config::parse_duration_ms(&expiry.into())
            .ok_or_else(|| ApiError::bad_request("invalid expiry"))
    });
    let expires_ms = lifetime_ms
        .transpose()?
        .map(|lifetime| world.now_ms + lifetime);
    let app = world.app(call)?;
    let grant = TokenGrant::App {
        org: app.org.clone(),
        app: app.name.clone(),
    };
    let token = issue_token(world, grant, expires_ms);
    Ok(ApiResponse::ok(json!({ "token": token })))
}

/// Creates a token, in the format of an OAuth token: flyctl rejects macaroons that it cannot
/// decode.
pub(crate) fn issue_token(
    world: &mut SimulatedWorld,
    grant: TokenGrant,
    expires_ms: Option<i64>,
) -> String {
    let id_bytes = world.next_id_bytes("token");
    let text = format!("fo1_{}", ids::hex(&id_bytes[..20]));
    let token = Token {
        id: ids::base32_id(&id_bytes),
        grant,
        expires_ms,
        name: None,
        revoked_ms: None,
    };
    world.global.tokens.insert(text.clone(), token);
    text
}
