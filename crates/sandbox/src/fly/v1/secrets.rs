//! `/v1/apps/{app}/secrets`: secrets with their digests, and the version that counts changes.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Route, route};
use crate::api::{ApiCall, ApiError, ApiResponse, ApiResult};
use crate::clock;
use crate::ids;
use crate::world::{App, Secret, SimulatedWorld};

pub(super) fn routes() -> [Route; 5] {
    [
        route("GET", "/v1/apps/{app}/secrets", list),
        route("POST", "/v1/apps/{app}/secrets", update_batch),
        route("GET", "/v1/apps/{app}/secrets/{secret}", show),
        route("POST", "/v1/apps/{app}/secrets/{secret}", set),
        route("DELETE", "/v1/apps/{app}/secrets/{secret}", unset),
    ]
}

fn secret_view(name: &str, secret: &Secret, reveal: bool) -> Value {
    let mut body = json!({
        "name": name,
        "digest": secret.digest,
        "created_at": clock::format_millis(secret.created_ms),
        "updated_at": clock::format_millis(secret.updated_ms),
    });
    if reveal {
        body["value"] = secret.value.clone().into();
    }
    body
}

/// Checks the minimum version of a request, which is called `min_version` in the specification and
/// `version` in Fly's own client.
fn check_min_version(app: &App, call: &ApiCall) -> Result<(), ApiError> {
    let wanted = call
        .query_number("min_version")?
        .or(call.query_number("version")?)
        .unwrap_or(0);
    check_version_available(app, u64::try_from(wanted).unwrap_or(0))
}

/// Checks that the app's secrets have at least this version: a host boots a machine only once it
/// knows the secrets that the request depends on.
///
/// # Errors
/// `412` otherwise.
pub(crate) fn check_version_available(app: &App, wanted: u64) -> Result<(), ApiError> {
    let newest = app.secrets_version;
    if newest < wanted {
        let text = format!("secrets version {wanted} is not available, the newest is {newest}");
        return Err(ApiError::failed_precondition(text));
    }
    Ok(())
}

fn list(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    let app = world.app(call)?;
    check_min_version(app, call)?;
    let reveal = call.query_flag("show_secrets");
    let secrets = app
        .secrets
        .iter()
        .filter(|(_, secret)| world.is_listed(secret.created_ms));
    let body: Vec<Value> = secrets
        .map(|(name, secret)| secret_view(name, secret, reveal))
        .collect();
    Ok(ApiResponse::ok(json!({ "secrets": body })))
}

fn show(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    let app = world.app(call)?;
    check_min_version(app, call)?;
    let name = call.path_param("secret");
    let secret = app
        .secrets
        .get(name)
        .ok_or_else(|| ApiError::not_found("secret"))?;
    Ok(ApiResponse::ok(secret_view(
        name,
        secret,
        call.query_flag("show_secrets"),
    )))
}

/// A secret becomes an environment variable, so its name must be a valid variable name.
fn check_secret_name(name: &str) -> Result<(), ApiError> {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if !name.is_empty()
        && name.chars().all(is_allowed)
        && !name.starts_with(|c: char| c.is_ascii_digit())
    {
        return Ok(());
    }
    Err(ApiError::bad_request(format!(
        "invalid secret name: {name:?}"
    )))
}

/// Sets one secret, without changing the version.
pub(crate) fn set_secret(app: &mut App, name: &str, value: String, now: i64) {
    // Salted with the app's id, so that equal values in two apps have different digests.
    let digest = ids::hex(&ids::derive_bytes(&["secret", &app.id, &value])[..8]);
    let created_ms = app
        .secrets
        .get(name)
        .map_or(now, |secret| secret.created_ms);
    app.secrets.insert(
        name.to_owned(),
        Secret {
            value,
            digest,
            created_ms,
            updated_ms: now,
        },
    );
}

/// Changes any number of secrets under one new version; null deletes, and deleting a missing secret
/// is no error.
fn update_batch(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Request {
        values: Option<BTreeMap<String, Option<String>>>,
    }
    let request: Request = call.body()?;
    let values = request
        .values
        .ok_or_else(|| ApiError::bad_request("values is required"))?;
    // All names are checked before the first change, so an invalid one leaves the secrets untouched.
    values.keys().try_for_each(|name| check_secret_name(name))?;
    let now = world.now_ms;
    let app = world.app_mut(call)?;
    for (name, value) in values {
        match value {
            Some(value) => set_secret(app, &name, value, now),
            None => drop(app.secrets.remove(&name)),
        }
    }
    app.secrets_version += 1;
    let body: Vec<Value> = app
        .secrets
        .iter()
        .map(|(name, secret)| secret_view(name, secret, false))
        .collect();
    Ok(ApiResponse::ok(with_version(
        json!({ "secrets": body }),
        app,
    )))
}

/// `Version` is an old spelling that the real responses still contain.
fn with_version(mut body: Value, app: &App) -> Value {
    body["version"] = app.secrets_version.into();
    body["Version"] = app.secrets_version.into();
    body
}

fn set(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Request {
        value: Option<String>,
    }
    let request: Request = call.body()?;
    let name = call.path_param("secret");
    check_secret_name(name)?;
    let value = request
        .value
        .ok_or_else(|| ApiError::bad_request("value is required"))?;
    let now = world.now_ms;
    let app = world.app_mut(call)?;
    set_secret(app, name, value, now);
    app.secrets_version += 1;
    let body = app
        .secrets
        .get(name)
        .map(|secret| secret_view(name, secret, false))
        .unwrap_or_default();
    Ok(ApiResponse::json(201, with_version(body, app)))
}

fn unset(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    let app = world.app_mut(call)?;
    app.secrets.remove(call.path_param("secret"));
    app.secrets_version += 1;
    Ok(ApiResponse::ok(with_version(json!({}), app)))
}
