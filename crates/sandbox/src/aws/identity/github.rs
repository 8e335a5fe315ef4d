//! GitHub's side: what a workflow with `id-token: write` asks for its token.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::jwt::Issuer;
use crate::answer::{Answer, Refusal, Reply};
use crate::ids;
use crate::world::World;

const ISSUER: &str = "https://token.actions.githubusercontent.com";
/// How long a token lives.
const LIFE_S: i64 = 300;

/// A running workflow, by the number in its address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Workflow {
    repository: String,
    sub: String,
    token: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    repository: String,
    sub: String,
}

/// Begins a workflow: `ACTIONS_ID_TOKEN_REQUEST_URL` and `ACTIONS_ID_TOKEN_REQUEST_TOKEN` of its jobs. The address is
/// relative; only the server knows where it is.
///
/// # Errors
/// `400` for a body that says nothing sensible.
pub(crate) fn begin(world: &mut World, base: &str, body: &Value) -> Reply {
    let Wanted { repository, sub } = serde_json::from_value(body.clone())
        .map_err(|error| Refusal::invalid(error.to_string()))?;
    let token = ids::hex(&world.draw_aws("workflow"));
    let number = (world.aws.root.workflows.len() + 1).to_string();
    let url = format!("{base}/_github/token?x={number}");
    world.aws.root.workflows.insert(
        number,
        Workflow {
            repository,
            sub,
            token: token.clone(),
        },
    );
    Ok(Answer::ok(json!({ "url": url, "token": token })))
}

/// The token of a workflow: `GET /_github/token?x=1&audience=sts.amazonaws.com`.
///
/// # Errors
/// `401` without the right to it.
pub(crate) fn workflow_token(
    world: &mut World,
    query: &[(String, String)],
    authorization: Option<&str>,
) -> Reply {
    let value = |name: &str| {
        query
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    };
    let workflow = value("x")
        .and_then(|number| world.aws.root.workflows.get(number))
        .cloned();
    let said = authorization.and_then(|header| header.split_once(' '));
    let said = said
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim());
    let workflow = workflow.filter(|workflow| said == Some(workflow.token.as_str()));
    let workflow = workflow.ok_or_else(|| Refusal {
        status: 401,
        body: json!({ "message": "Unauthorized" }),
    })?;
    let owner = workflow.repository.split('/').next().unwrap_or_default();
    let now = world.now.div_euclid(1000);
    let claims = json!({
        "iss": ISSUER,
        "aud": value("audience").map_or_else(|| format!("https://github.com/{owner}"), str::to_owned),
        "sub": workflow.sub,
        "iat": now,
        "nbf": now,
        "exp": now + LIFE_S,
        "jti": ids::hex(&world.draw_aws("jti")[..16]),
        "repository": workflow.repository,
        "repository_owner": owner,
    });
    let token = Issuer::ensure(world, ISSUER).and_then(|issuer| issuer.sign(&claims));
    let token = token.ok_or_else(|| Refusal::new(500, "the sandbox could not sign the token"))?;
    Ok(Answer::ok(json!({ "value": token })))
}
