//! GitHub as an OIDC issuer: the token endpoint for workflows with the permission `id-token: write`.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::jwt::TokenIssuer;
use crate::api::{ApiError, ApiResponse, ApiResult};
use crate::ids;
use crate::world::SimulatedWorld;

const ISSUER_URL: &str = "https://token.actions.githubusercontent.com";
/// How long a token is valid, in seconds.
const TOKEN_LIFETIME_S: i64 = 300;

/// A running workflow, stored by the number in its request URL.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WorkflowRun {
    repository: String,
    sub: String,
    token: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WorkflowRequest {
    repository: String,
    sub: String,
}

/// Starts a workflow and returns the values of `ACTIONS_ID_TOKEN_REQUEST_URL` and
/// `ACTIONS_ID_TOKEN_REQUEST_TOKEN`. `base` is the URL of the sandbox.
///
/// # Errors
/// `400` if the body is malformed.
pub(crate) fn start_workflow(world: &mut SimulatedWorld, base: &str, body: &Value) -> ApiResult {
    let WorkflowRequest { repository, sub } = serde_json::from_value(body.clone())
        .map_err(|error| ApiError::bad_request(error.to_string()))?;
    let token = ids::hex(&world.draw_aws_bytes("workflow"));
    let number = (world.aws.global.workflows.len() + 1).to_string();
    let url = format!("{base}/_github/token?x={number}");
    world.aws.global.workflows.insert(
        number,
        WorkflowRun {
            repository,
            sub,
            token: token.clone(),
        },
    );
    Ok(ApiResponse::ok(json!({ "url": url, "token": token })))
}

/// Issues the token of a workflow: `GET /_github/token?x=1&audience=sts.amazonaws.com`.
///
/// # Errors
/// `401` without the bearer token of the workflow.
pub(crate) fn issue_workflow_token(
    world: &mut SimulatedWorld,
    query: &[(String, String)],
    authorization: Option<&str>,
) -> ApiResult {
    let parameter = |name: &str| {
        query
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, parameter)| parameter.as_str())
    };
    let workflow = parameter("x")
        .and_then(|number| world.aws.global.workflows.get(number))
        .cloned();
    let bearer = authorization.and_then(|header| header.split_once(' '));
    let bearer = bearer
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim());
    let workflow = workflow.filter(|workflow| bearer == Some(workflow.token.as_str()));
    let workflow = workflow.ok_or_else(|| ApiError {
        status: 401,
        body: json!({ "message": "Unauthorized" }),
    })?;
    let owner = workflow.repository.split('/').next().unwrap_or_default();
    let now = world.now_ms.div_euclid(1000);
    let claims = json!({
        "iss": ISSUER_URL,
        "aud": parameter("audience").map_or_else(|| format!("https://github.com/{owner}"), str::to_owned),
        "sub": workflow.sub,
        "iat": now,
        "nbf": now,
        "exp": now + TOKEN_LIFETIME_S,
        "jti": ids::hex(&world.draw_aws_bytes("jti")[..16]),
        "repository": workflow.repository,
        "repository_owner": owner,
    });
    let token =
        TokenIssuer::get_or_create(world, ISSUER_URL).and_then(|issuer| issuer.sign(&claims));
    let token = token.ok_or_else(|| ApiError::new(500, "the sandbox could not sign the token"))?;
    Ok(ApiResponse::ok(json!({ "value": token })))
}
