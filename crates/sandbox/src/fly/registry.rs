//! `/v2`: the part of the OCI distribution API that resolves an image reference to a digest, for
//! all registries at one address. The query parameter `ns` names the registry, as containerd does
//! when it uses a mirror; without it, the registry is Fly's own.

use serde_json::json;

use super::images::{ImageReference, MANIFEST_TYPE, is_digest};
use super::routes::{Route, route};
use crate::api::{ApiCall, ApiResponse, ApiResult, ResponseBody};
use crate::world::SimulatedWorld;

/// Fly's own registry, which requires a token.
const FLY_REGISTRY: &str = "registry.fly.io";

pub(crate) fn routes() -> Vec<Route> {
    let anonymous_route = |path, run| Route {
        allows_anonymous: true,
        ..route("GET", path, run).without_rate_limit()
    };
    vec![
        anonymous_route("/v2/", check_api_version),
        anonymous_route("/v2/{*path}", show_manifest),
    ]
}

/// An error response as the specification defines it.
fn registry_error(status: u16, code: &str, message: &str) -> ApiResponse {
    let errors = json!([{ "code": code, "message": message, "detail": null }]);
    ApiResponse::json(status, json!({ "errors": errors }))
}

fn unauthorized() -> ApiResponse {
    let challenge = format!("Basic realm=\"{FLY_REGISTRY}\"");
    registry_error(401, "UNAUTHORIZED", "authentication required")
        .with_header("www-authenticate", challenge)
}

/// `GET /v2/`: the API version check, which also checks the token.
fn check_api_version(_: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    Ok(if call.caller.tokens.is_empty() {
        unauthorized()
    } else {
        ApiResponse::ok(json!({}))
    })
}

fn show_manifest(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    let Some((repository, tag_or_digest)) = call.path_param("path").rsplit_once("/manifests/")
    else {
        // Blobs, tags and uploads are not simulated.
        return Ok(registry_error(
            404,
            "UNSUPPORTED",
            "only manifests are served here",
        ));
    };
    let registry = call.query("ns").unwrap_or(FLY_REGISTRY);
    if let Some(denied) = deny_pull(world, call, registry, repository) {
        return Ok(denied);
    }
    // The path names a tag or a digest, which a reference separates differently.
    let separator = if is_digest(tag_or_digest) { '@' } else { ':' };
    let reference = ImageReference::parse(&format!(
        "{registry}/{repository}{separator}{tag_or_digest}"
    ));
    let Some(digest) = reference.current_digest(&world.global.images) else {
        return Ok(registry_error(404, "MANIFEST_UNKNOWN", "manifest unknown"));
    };
    // The response needs the manifest's own media type, so the body is sent as text.
    let response = ApiResponse {
        body: ResponseBody::Text(reference.manifest().to_string()),
        ..ApiResponse::empty(200)
    };
    Ok(response
        .with_header("content-type", MANIFEST_TYPE)
        .with_header("docker-content-digest", digest))
}

/// In Fly's registry a repository belongs to an app: who may see the app may pull the image. A
/// repository whose app does not exist is treated as one that may be pulled.
fn deny_pull(
    world: &SimulatedWorld,
    call: &ApiCall,
    registry: &str,
    repository: &str,
) -> Option<ApiResponse> {
    if registry != FLY_REGISTRY {
        return None;
    }
    if call.caller.tokens.is_empty() {
        return Some(unauthorized());
    }
    let app = world
        .apps
        .get(repository.split('/').next().unwrap_or_default())?;
    (!call.caller.can_see_app(app))
        .then(|| registry_error(403, "DENIED", "requested access to the resource is denied"))
}
