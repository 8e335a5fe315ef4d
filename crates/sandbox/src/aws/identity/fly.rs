//! Fly as an OIDC issuer: tokens of machines, and the discovery documents.

use serde::Deserialize;
use serde_json::{Value, json};

use super::jwt::TokenIssuer;
use crate::api::{ApiError, ApiResponse, ApiResult, ResponseBody};
use crate::ids;
use crate::world::SimulatedWorld;

/// How long a token is valid, in seconds.
const TOKEN_LIFETIME_S: i64 = 600;

/// `https://oidc.fly.io/acme`
fn issuer_url(raw_slug: &str) -> String {
    format!("https://oidc.fly.io/{raw_slug}")
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct MachineTokenRequest {
    app: String,
    /// The name or id of the machine.
    machine: String,
    aud: Option<String>,
}

/// Issues the token that a machine gets from `POST /v1/tokens/oidc` on its socket `/.fly/api`.
///
/// # Errors
/// `404` if the app or the machine does not exist.
pub(crate) fn issue_machine_token(world: &mut SimulatedWorld, body: &Value) -> ApiResult {
    let parameters: MachineTokenRequest = serde_json::from_value(body.clone())
        .map_err(|error| ApiError::bad_request(error.to_string()))?;
    let now = world.now_ms.div_euclid(1000);
    let jti = ids::hex(&world.draw_aws_bytes("jti")[..16]);
    let app = world
        .apps
        .get(&parameters.app)
        .ok_or_else(|| ApiError::not_found("app"))?;
    let machine = app.machines.values().find(|machine| {
        !machine.is_gone()
            && (machine.id == parameters.machine || machine.name == parameters.machine)
    });
    let machine = machine.ok_or_else(|| ApiError::not_found("machine"))?;
    let org = world
        .find_org(&app.org)
        .ok_or_else(|| ApiError::not_found("organization"))?;
    let (org_name, iss) = (&org.raw_slug, issuer_url(&org.raw_slug));
    let claims = json!({
        "iss": iss,
        "aud": parameters.aud.unwrap_or_else(|| format!("https://fly.io/{org_name}")),
        "sub": format!("{org_name}:{}:{}", app.name, machine.name),
        "iat": now,
        "nbf": now,
        "exp": now + TOKEN_LIFETIME_S,
        "jti": jti,
        "app_id": app.number.to_string(),
        "app_name": app.name,
        "image": machine.image(),
        "image_digest": machine.image_digest.clone().unwrap_or_default(),
        "machine_id": machine.id,
        "machine_name": machine.name,
        "machine_version": machine.instance_id,
        "org_id": org.number.to_string(),
        "org_name": org_name,
        "region": machine.region,
    });
    let token = TokenIssuer::get_or_create(world, &iss).and_then(|issuer| issuer.sign(&claims));
    let token = token.ok_or_else(|| ApiError::new(500, "the sandbox could not sign the token"))?;
    Ok(ApiResponse {
        body: ResponseBody::Text(token),
        ..ApiResponse::empty(200)
    })
}

/// Serves `ORG/.well-known/openid-configuration` and `ORG/.well-known/jwks`. As on Fly, the alias of an
/// organization works too, though no token has it as issuer.
///
/// # Errors
/// `404` for any other path.
pub(crate) fn serve_oidc_discovery(world: &mut SimulatedWorld, path: &str) -> ApiResult {
    let no_endpoint = || ApiError::not_found("endpoint");
    let (slug, file) = path.split_once("/.well-known/").ok_or_else(no_endpoint)?;
    let org = world
        .find_org(slug)
        .ok_or_else(|| ApiError::not_found("organization"))?;
    let (requested_issuer, raw_issuer) = (issuer_url(slug), issuer_url(&org.raw_slug));
    match file {
        "openid-configuration" => Ok(ApiResponse::ok(json!({
            "issuer": requested_issuer,
            "jwks_uri": format!("{requested_issuer}/.well-known/jwks"),
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "claims_supported": ["sub", "aud", "exp", "iat", "iss", "jti", "nbf", "app_id", "app_name", "image",
                "image_digest", "machine_id", "machine_name", "machine_version", "org_id", "org_name", "region"],
        }))),
        "jwks" => {
            let keys = TokenIssuer::get_or_create(world, &raw_issuer).and_then(TokenIssuer::jwks);
            keys.map(ApiResponse::ok)
                .ok_or_else(|| ApiError::new(500, "the sandbox could not make a key"))
        }
        _ => Err(no_endpoint()),
    }
}
