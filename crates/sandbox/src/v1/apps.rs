//! `/v1/apps`: the containers of everything else, whose names are unique over all organisations.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{RateLimit, RateLimitKey, Route, route};
use crate::access::{Token, TokenGrant, forbidden};
use crate::api::{ApiCall, ApiError, ApiResponse, ApiResult};
use crate::ids;
use crate::world::{App, SimulatedWorld};

/// A label of a host name, which an application's name becomes, holds at most 63 characters.
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

/// An application as the API shows it.
pub(crate) fn app_view(world: &SimulatedWorld, app: &App) -> Value {
    let org = world.global.orgs.get(&app.org);
    let mut shown = json!({
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
        "cname_target": format!("{}.{}.fly.dev", &app.id[..7.min(app.id.len())], app.name),
    });
    if !app.role.is_empty() {
        shown["app_role"] = app.role.clone().into();
    }
    shown
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
    /// The older spelling, which the documentation still shows.
    app_name: Option<String>,
    org_slug: Option<String>,
    network: Option<String>,
    app_role_id: Option<String>,
    /// Only the later specification has it: the same key and name give the first application again.
    idempotency_key: Option<String>,
}

fn create(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    let request: CreateAppRequest = call.body()?;
    let given = |text: Option<String>| text.filter(|text| !text.is_empty());
    let slug =
        given(request.org_slug).ok_or_else(|| ApiError::bad_request("org_slug is required"))?;
    let wanted = NewApp {
        org: world.org(&slug, &call.caller)?.slug.clone(),
        name: given(request.name).or(request.app_name).unwrap_or_default(),
        network: given(request.network),
        role: request.app_role_id.unwrap_or_default(),
        idempotency_key: given(request.idempotency_key),
    };
    // The documentation shows `id` and `created_at` only, flyctl reads a whole application: both get what they expect.
    let app = add_app(world, wanted)?;
    let mut shown = app_view(world, &app);
    shown["created_at"] = app.created_ms.into();
    Ok(ApiResponse::json(201, shown))
}

/// An application that somebody wants.
#[derive(Debug)]
pub(crate) struct NewApp {
    pub(crate) org: String,
    pub(crate) name: String,
    pub(crate) network: Option<String>,
    pub(crate) role: String,
    pub(crate) idempotency_key: Option<String>,
}

/// Makes an application, or finds the one that the same key made before.
///
/// # Errors
/// `422` when the name is taken by any organisation, or is none, or the key belongs to another name.
pub(crate) fn add_app(world: &mut SimulatedWorld, wanted: NewApp) -> Result<App, ApiError> {
    let key = wanted.idempotency_key;
    let mut apps = world.apps.values().filter(|app| app.org == wanted.org);
    if let Some(app) = apps.find(|app| key.is_some() && app.idempotency_key == key) {
        let same = app.name == wanted.name;
        let refusal = || {
            ApiError::new(
                422,
                "Validation failed: idempotency key was used for another name",
            )
        };
        return if same {
            Ok(app.clone())
        } else {
            Err(refusal())
        };
    }
    let draw = world.next_id_bytes("app");
    let name = if wanted.name.is_empty() {
        ids::generated_name(&draw)
    } else {
        wanted.name
    };
    if !is_app_name(&name) {
        let rule =
            "Validation failed: Name under 63 chars using numbers, lowercase letters and dashes";
        return Err(ApiError::new(422, rule));
    }
    if world.apps.contains_key(&name) {
        return Err(ApiError::with_code(
            422,
            "Validation failed: Name has already been taken",
            "name_taken",
        ));
    }
    let app = App {
        id: ids::base32_id(&draw),
        number: ids::to_u31(&draw),
        name: name.clone(),
        org: wanted.org,
        network: wanted.network.unwrap_or_else(|| "default".to_owned()),
        role: wanted.role,
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
    };
    world.dirty_apps.insert(name.clone());
    world.apps.insert(name, app.clone());
    Ok(app)
}

/// A name also becomes a file of the state folder and a host name, so nothing but these characters passes.
fn is_app_name(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (1..=MAX_NAME_LENGTH).contains(&name.len())
        && name.chars().all(fits)
        && !name.starts_with('-')
        && !name.ends_with('-')
}

fn show(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    let app = world.app(call)?;
    Ok(ApiResponse::ok(app_view(world, app)))
}

/// Machines, volumes, secrets, addresses and certificates go with it, running or not: flyctl deletes without `force`.
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
    let expiry = request
        .expiry
        .filter(|expiry| !expiry.is_empty())
        .map(Value::from);
    let nanos = expiry.map(|expiry| {
        crate::config::parse_duration_nanos(&expiry)
            .ok_or_else(|| ApiError::bad_request("invalid expiry"))
    });
    let expires_ms = nanos
        .transpose()?
        .map(|nanos| world.now_ms + (nanos / 1_000_000).cast_signed());
    let app = world.app(call)?;
    let grant = TokenGrant::App {
        org: app.org.clone(),
        app: app.name.clone(),
    };
    let token = issue_token(world, grant, expires_ms);
    Ok(ApiResponse::ok(json!({ "token": token })))
}

/// Makes a token. Its text is that of an OAuth token: flyctl throws away macaroons that do not decode.
pub(crate) fn issue_token(
    world: &mut SimulatedWorld,
    grant: TokenGrant,
    expires_ms: Option<i64>,
) -> String {
    let draw = world.next_id_bytes("token");
    let text = format!("fo1_{}", ids::hex(&draw[..20]));
    let token = Token {
        id: ids::base32_id(&draw),
        grant,
        expires_ms,
        name: None,
        revoked_ms: None,
    };
    world.global.tokens.insert(text.clone(), token);
    text
}
