//! `/v2`: the part of the distribution API of the OCI that says which image a reference means, for every registry at
//! once. Which one is meant stands in `?ns=`, as containerd tells it to a mirror; without it, Fly's own is.

use serde_json::json;

use super::answer::{Answer, Body, Call, Reply};
use super::images::{MANIFEST_TYPE, Reference, is_digest};
use super::routes::{Route, route};
use super::world::World;

/// Fly's own registry, which wants a token.
const FLY: &str = "registry.fly.io";

pub(crate) fn routes() -> Vec<Route> {
    let open = |path, run| Route {
        open: true,
        ..route("GET", path, run).unlimited()
    };
    vec![open("/v2/", base), open("/v2/{*path}", manifest)]
}

/// The error body of the specification.
fn error(status: u16, code: &str, message: &str) -> Answer {
    let errors = json!([{ "code": code, "message": message, "detail": null }]);
    Answer::json(status, json!({ "errors": errors }))
}

fn unauthorized() -> Answer {
    let challenge = format!("Basic realm=\"{FLY}\"");
    error(401, "UNAUTHORIZED", "authentication required").with_header("www-authenticate", challenge)
}

/// Whether this is a registry, and whether the caller is let in.
fn base(_: &mut World, call: &Call) -> Reply {
    Ok(if call.who.tokens.is_empty() {
        unauthorized()
    } else {
        Answer::ok(json!({}))
    })
}

fn manifest(world: &mut World, call: &Call) -> Reply {
    let Some((repository, wanted)) = call.param("path").rsplit_once("/manifests/") else {
        return Ok(error(404, "UNSUPPORTED", "only manifests are served here"));
    };
    let registry = call.query("ns").unwrap_or(FLY);
    if let Some(refused) = refused(world, call, registry, repository) {
        return Ok(refused);
    }
    let separator = if is_digest(wanted) { '@' } else { ':' };
    let reference = Reference::read(&format!("{registry}/{repository}{separator}{wanted}"));
    let Some(digest) = reference.digest_now(&world.root.images) else {
        return Ok(error(404, "MANIFEST_UNKNOWN", "manifest unknown"));
    };
    // The type is the manifest's own, so the body is sent as text.
    let answer = Answer {
        body: Body::Text(reference.manifest().to_string()),
        ..Answer::empty(200)
    };
    Ok(answer
        .with_header("content-type", MANIFEST_TYPE)
        .with_header("docker-content-digest", digest))
}

/// In Fly's registry a repository is an application: whoever may see the one may pull the other. A repository that is
/// no application here is taken for one that was there before.
fn refused(world: &World, call: &Call, registry: &str, repository: &str) -> Option<Answer> {
    if registry != FLY {
        return None;
    }
    if call.who.tokens.is_empty() {
        return Some(unauthorized());
    }
    let app = world
        .apps
        .get(repository.split('/').next().unwrap_or_default())?;
    (!call.who.sees_app(app))
        .then(|| error(403, "DENIED", "requested access to the resource is denied"))
}
