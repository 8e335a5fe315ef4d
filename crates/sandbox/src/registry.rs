//! `/v2`: the part of the distribution API of the OCI that says which image a reference means, for every registry at
//! once. Which one is meant stands in `?ns=`, as containerd tells it to a mirror; without it, Fly's own is.

use serde_json::json;

use super::api::{ApiCall, ApiResponse, ApiResult, ResponseBody};
use super::images::{ImageReference, MANIFEST_TYPE, is_digest};
use super::routes::{Route, route};
use super::world::SimulatedWorld;

/// Fly's own registry, which wants a token.
const FLY_REGISTRY: &str = "registry.fly.io";

pub(crate) fn routes() -> Vec<Route> {
    let open = |path, run| Route {
        allows_anonymous: true,
        ..route("GET", path, run).without_rate_limit()
    };
    vec![
        open("/v2/", check_api_version),
        open("/v2/{*path}", show_manifest),
    ]
}

/// The error body of the specification.
fn registry_error(status: u16, code: &str, message: &str) -> ApiResponse {
    let errors = json!([{ "code": code, "message": message, "detail": null }]);
    ApiResponse::json(status, json!({ "errors": errors }))
}

fn unauthorized() -> ApiResponse {
    let challenge = format!("Basic realm=\"{FLY_REGISTRY}\"");
    registry_error(401, "UNAUTHORIZED", "authentication required")
        .with_header("www-authenticate", challenge)
}

/// Whether this is a registry, and whether the caller is let in.
fn check_api_version(_: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    Ok(if call.caller.tokens.is_empty() {
        unauthorized()
    } else {
        ApiResponse::ok(json!({}))
    })
}

fn show_manifest(world: &mut SimulatedWorld, call: &ApiCall) -> ApiResult {
    let Some((repository, wanted)) = call.path_param("path").rsplit_once("/manifests/") else {
        return Ok(registry_error(
            404,
            "UNSUPPORTED",
            "only manifests are served here",
        ));
    };
    let registry = call.query("ns").unwrap_or(FLY_REGISTRY);
    if let Some(refused) = deny_pull(world, call, registry, repository) {
        return Ok(refused);
    }
    let separator = if is_digest(wanted) { '@' } else { ':' };
    let reference = ImageReference::parse(&format!("{registry}/{repository}{separator}{wanted}"));
    let Some(digest) = reference.current_digest(&world.global.images) else {
        return Ok(registry_error(404, "MANIFEST_UNKNOWN", "manifest unknown"));
    };
    // The type is the manifest's own, so the body is sent as text.
    let answer = ApiResponse {
        body: ResponseBody::Text(reference.manifest().to_string()),
        ..ApiResponse::empty(200)
    };
    Ok(answer
        .with_header("content-type", MANIFEST_TYPE)
        .with_header("docker-content-digest", digest))
}

/// In Fly's registry a repository is an application: whoever may see the one may pull the other. A repository that is
/// no application here is taken for one that was there before.
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
