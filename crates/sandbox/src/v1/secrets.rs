//! `/v1/apps/{app}/secrets`: write-only values with digests, and a version that counts their changes.

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
    let mut shown = json!({
        "name": name,
        "digest": secret.digest,
        "created_at": clock::format_millis(secret.created_ms),
        "updated_at": clock::format_millis(secret.updated_ms),
    });
    if reveal {
        shown["value"] = secret.value.clone().into();
    }
    shown
}

/// The minimum version goes by one name in the specification and by another in Fly's own client.
fn check_min_version(app: &App, call: &ApiCall) -> Result<(), ApiError> {
    let wanted = call
        .query_number("min_version")?
        .or(call.query_number("version")?)
        .unwrap_or(0);
    let have = app.secrets_version;
    if i64::try_from(have).is_ok_and(|have| have < wanted) {
        let text = format!("secrets version {wanted} is not available, the newest is {have}");
        return Err(ApiError::failed_precondition(text));
    }
    Ok(())
}

fn list(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    let app = world.app(call)?;
    check_min_version(app, call)?;
    let reveal = call.query_flag("show_secrets");
    let shown = app
        .secrets
        .iter()
        .filter(|(_, secret)| world.is_listed(secret.created_ms));
    let shown: Vec<Value> = shown
        .map(|(name, secret)| secret_view(name, secret, reveal))
        .collect();
    Ok(ApiResponse::ok(json!({ "secrets": shown })))
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

/// A secret becomes an environment variable.
fn check_secret_name(name: &str) -> Result<(), ApiError> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if !name.is_empty() && name.chars().all(fits) && !name.starts_with(|c: char| c.is_ascii_digit())
    {
        return Ok(());
    }
    Err(ApiError::bad_request(format!(
        "invalid secret name: {name:?}"
    )))
}

/// Sets one secret, without a new version.
pub(crate) fn set_secret(app: &mut App, name: &str, value: String, now: i64) {
    // Salted with the application, so that equal values of two applications do not show as equal.
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

/// Many at once, one version; null deletes, and deleting what is not there is no error.
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
    let shown: Vec<Value> = app
        .secrets
        .iter()
        .map(|(name, secret)| secret_view(name, secret, false))
        .collect();
    Ok(ApiResponse::ok(with_version(
        json!({ "secrets": shown }),
        app,
    )))
}

/// The capital `Version` is an old spelling that the real answers still carry.
fn with_version(mut shown: Value, app: &App) -> Value {
    shown["version"] = app.secrets_version.into();
    shown["Version"] = app.secrets_version.into();
    shown
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
    let shown = app
        .secrets
        .get(name)
        .map(|secret| secret_view(name, secret, false))
        .unwrap_or_default();
    Ok(ApiResponse::json(201, with_version(shown, app)))
}

fn unset(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    let app = world.app_mut(call)?;
    app.secrets.remove(call.path_param("secret"));
    app.secrets_version += 1;
    Ok(ApiResponse::ok(with_version(json!({}), app)))
}
