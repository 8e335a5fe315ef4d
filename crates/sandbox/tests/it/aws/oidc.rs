//! OIDC tokens of machines and of GitHub workflows, and exchanging them for AWS credentials.

use aws_sdk_sts::error::SdkError;
use aws_sdk_sts::operation::assume_role_with_web_identity::{
    AssumeRoleWithWebIdentityError, AssumeRoleWithWebIdentityOutput,
};
use base64::Engine as _;
use serde_json::{Value, json};
use trimtab_sandbox::AwsAccessKey;

use super::support::{
    ACCOUNT, OTHER_ACCOUNT, SandboxAwsClients, US_EAST, admin_clients, assert_error,
    clients_with_keys,
};
use crate::support::{TestResponse, TestSandbox, nginx_machine};

const AUDIENCE: &str = "sts.amazonaws.com";

/// A sandbox with a machine `worker` of the app `web`, and a role for machines of `web`.
async fn sandbox_with_role() -> (TestSandbox, SandboxAwsClients) {
    let sandbox = TestSandbox::scripted().await;
    sandbox.create_app().await;
    let mut body = nginx_machine();
    body["name"] = json!("worker");
    sandbox.create_machine(body).await;
    let aws = admin_clients(&sandbox, ACCOUNT, US_EAST);
    create_provider(&aws, "https://oidc.fly.io/acme").await;
    create_role(&aws, "oidc.fly.io/acme", "acme:web:*").await;
    (sandbox, aws)
}

async fn create_provider(aws: &SandboxAwsClients, url: &str) {
    aws.iam
        .create_open_id_connect_provider()
        .url(url)
        .client_id_list(AUDIENCE)
        .send()
        .await
        .unwrap();
}

async fn create_role(aws: &SandboxAwsClients, issuer: &str, sub: &str) {
    let trust = json!({ "Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Action": "sts:AssumeRoleWithWebIdentity",
        "Principal": { "Federated": format!("arn:aws:iam::{ACCOUNT}:oidc-provider/{issuer}") },
        "Condition": {
            "StringEquals": { format!("{issuer}:aud"): AUDIENCE },
            "StringLike": { format!("{issuer}:sub"): sub },
        },
    }] });
    let role = aws
        .iam
        .create_role()
        .role_name("backup")
        .assume_role_policy_document(trust.to_string());
    role.send().await.unwrap();
}

async fn request_token(sandbox: &TestSandbox, app: &str, machine: &str, aud: &str) -> TestResponse {
    sandbox
        .post(
            "/_sandbox/oidc",
            json!({ "app": app, "machine": machine, "aud": aud }),
        )
        .await
}

async fn machine_token(sandbox: &TestSandbox, aud: &str) -> String {
    let got = request_token(sandbox, "web", "worker", aud).await;
    assert_eq!(
        (got.status, got.headers["content-type"].to_str().unwrap()),
        (200, "text/plain; charset=utf-8")
    );
    got.text
}

fn token_claims(token: &str) -> Value {
    let part = token.split('.').nth(1).unwrap();
    serde_json::from_slice(
        &base64::engine::general_purpose::URL_SAFE_NO_PAD
            .decode(part)
            .unwrap(),
    )
    .unwrap()
}

async fn assume_role(
    aws: &SandboxAwsClients,
    token: &str,
) -> Result<AssumeRoleWithWebIdentityOutput, SdkError<AssumeRoleWithWebIdentityError>> {
    let arn = format!("arn:aws:iam::{ACCOUNT}:role/backup");
    let request = aws
        .sts
        .assume_role_with_web_identity()
        .role_arn(arn)
        .role_session_name("worker");
    request.web_identity_token(token).send().await
}

#[tokio::test]
async fn machine_token_assumes_role() {
    let (sandbox, aws) = sandbox_with_role().await;
    let token = machine_token(&sandbox, AUDIENCE).await;
    let claims = token_claims(&token);
    assert_eq!(claims["iss"], "https://oidc.fly.io/acme");
    assert_eq!(claims["sub"], "acme:web:worker");
    assert_eq!(
        (claims["aud"].as_str(), claims["app_name"].as_str()),
        (Some(AUDIENCE), Some("web"))
    );
    assert_eq!(
        claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(),
        600
    );
    let session = assume_role(&aws, &token).await.unwrap();
    assert_eq!(
        session.subject_from_web_identity_token(),
        Some("acme:web:worker")
    );
    let credentials = session.credentials().unwrap();
    let keys = AwsAccessKey {
        id: credentials.access_key_id.clone(),
        secret: credentials.secret_access_key.clone(),
    };
    let machine = clients_with_keys(
        &sandbox,
        &keys,
        Some(credentials.session_token.clone()),
        US_EAST,
    );
    let who = machine.sts.get_caller_identity().send().await.unwrap();
    assert_eq!(
        who.arn(),
        Some("arn:aws:sts::123456789012:assumed-role/backup/worker")
    );
    aws.s3.create_bucket().bucket("box").send().await.unwrap();
    let put = || machine.s3.put_object().bucket("box").key("a");
    assert_error(put().send().await, 403, "AccessDenied");
    let grant = json!({ "Statement": { "Effect": "Allow", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::box/*" } });
    let policy = aws
        .iam
        .put_role_policy()
        .role_name("backup")
        .policy_name("p")
        .policy_document(grant.to_string());
    policy.send().await.unwrap();
    put().send().await.unwrap();
    sandbox.advance_ms(3_600_000);
    assert_error(put().send().await, 400, "ExpiredToken");
    assert_error(
        machine.sts.get_caller_identity().send().await,
        403,
        "ExpiredToken",
    );
}

#[tokio::test]
async fn mismatched_token_is_rejected() {
    let (sandbox, aws) = sandbox_with_role().await;
    assert_error(
        assume_role(&aws, &machine_token(&sandbox, "other").await).await,
        400,
        "InvalidIdentityToken",
    );
    assert_error(
        assume_role(&aws, "not.a.token").await,
        400,
        "InvalidIdentityToken",
    );
    let good = machine_token(&sandbox, AUDIENCE).await;
    let mut parts: Vec<&str> = good.split('.').collect();
    let forged = token_claims(&good)
        .to_string()
        .replace("web:worker", "web:admin");
    let forged = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(forged);
    parts[1] = &forged;
    assert_error(
        assume_role(&aws, &parts.join(".")).await,
        400,
        "InvalidIdentityToken",
    );
    let (other, _) = sandbox_with_role().await;
    assert_error(
        assume_role(&aws, &machine_token(&other, AUDIENCE).await).await,
        400,
        "InvalidIdentityToken",
    );
    sandbox
        .post("/v1/apps", json!({ "name": "web-two", "org_slug": "acme" }))
        .await
        .assert_status(201);
    sandbox
        .post(
            "/v1/apps/web-two/machines",
            json!({ "name": "m", "config": { "image": "nginx:1" } }),
        )
        .await
        .assert_status(200);
    let foreign = request_token(&sandbox, "web-two", "m", AUDIENCE).await;
    assert_error(assume_role(&aws, &foreign.text).await, 403, "AccessDenied");
    assume_role(&aws, &good).await.unwrap();
    sandbox.advance_ms(600_000);
    assert_error(assume_role(&aws, &good).await, 400, "ExpiredTokenException");
    let fresh = machine_token(&sandbox, AUDIENCE).await;
    let elsewhere = format!("arn:aws:iam::{OTHER_ACCOUNT}:role/backup");
    let request = aws
        .sts
        .assume_role_with_web_identity()
        .role_arn(elsewhere)
        .role_session_name("worker");
    assert_error(
        request.web_identity_token(&fresh).send().await,
        400,
        "InvalidIdentityToken",
    );
    let provider = format!("arn:aws:iam::{ACCOUNT}:oidc-provider/oidc.fly.io/acme");
    aws.iam
        .delete_open_id_connect_provider()
        .open_id_connect_provider_arn(provider)
        .send()
        .await
        .unwrap();
    assert_error(assume_role(&aws, &fresh).await, 400, "InvalidIdentityToken");
    request_token(&sandbox, "web", "nobody", AUDIENCE)
        .await
        .assert_error(404, "machine not found");
    request_token(&sandbox, "nothing", "worker", AUDIENCE)
        .await
        .assert_error(404, "app not found");
}

#[tokio::test]
async fn personal_org_tokens_use_raw_slug() {
    let sandbox = TestSandbox::scripted().await;
    let user = sandbox.running.user_token().unwrap();
    let body = json!({ "name": "mine", "org_slug": "personal" });
    sandbox
        .send(
            sandbox
                .request("POST", "/v1/apps")
                .bearer_auth(&user)
                .json(&body),
        )
        .await;
    let client = reqwest::Client::new();
    let post = async |path: &str, body: Value| {
        let url = format!("{}{path}", sandbox.running.url());
        let response = client
            .post(url)
            .bearer_auth(&user)
            .json(&body)
            .send()
            .await
            .unwrap();
        response.text().await.unwrap()
    };
    post("/v1/apps", body).await;
    post(
        "/v1/apps/mine/machines",
        json!({ "name": "m", "config": { "image": "nginx:1" } }),
    )
    .await;
    let query = json!({ "query": "query { organization(slug: \"personal\") { slug rawSlug } }" });
    let org: Value = serde_json::from_str(&post("/graphql", query).await).unwrap();
    let raw = org["data"]["organization"]["rawSlug"].as_str().unwrap();
    assert_ne!(raw, "personal");
    let claims = token_claims(&request_token(&sandbox, "mine", "m", AUDIENCE).await.text);
    assert_eq!(claims["iss"], format!("https://oidc.fly.io/{raw}"));
    assert_eq!(claims["sub"], format!("{raw}:mine:m"));
    let found = sandbox
        .get(&format!(
            "/_sandbox/oidc/{raw}/.well-known/openid-configuration"
        ))
        .await
        .assert_status(200);
    assert_eq!(found["issuer"], claims["iss"]);
    let keys = sandbox
        .get(&format!("/_sandbox/oidc/{raw}/.well-known/jwks"))
        .await
        .assert_status(200);
    assert_eq!(
        (
            keys["keys"][0]["kty"].as_str(),
            keys["keys"][0]["use"].as_str()
        ),
        (Some("RSA"), Some("sig"))
    );
}

#[tokio::test]
async fn github_token_assumes_role() {
    let sandbox = TestSandbox::scripted().await;
    let aws = admin_clients(&sandbox, ACCOUNT, US_EAST);
    let issuer = "token.actions.githubusercontent.com";
    create_provider(&aws, &format!("https://{issuer}")).await;
    create_role(&aws, issuer, "repo:acme/shop:ref:refs/heads/main").await;
    let begin = async |sub: &str| {
        sandbox
            .post_admin("github", json!({ "repository": "acme/shop", "sub": sub }))
            .await
    };
    let ask = async |run: &Value, bearer: &str| {
        let url = format!("{}&audience={AUDIENCE}", run["url"].as_str().unwrap());
        reqwest::Client::new()
            .get(url)
            .header("authorization", format!("bearer {bearer}"))
            .send()
            .await
            .unwrap()
    };
    let run = begin("repo:acme/shop:ref:refs/heads/main").await;
    assert_eq!(ask(&run, "wrong").await.status(), 401);
    let token: Value = ask(&run, run["token"].as_str().unwrap())
        .await
        .json()
        .await
        .unwrap();
    let token = token["value"].as_str().unwrap();
    let claims = token_claims(token);
    assert_eq!(
        claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(),
        300
    );
    assume_role(&aws, token).await.unwrap();
    let run = begin("repo:acme/shop:pull_request").await;
    let token: Value = ask(&run, run["token"].as_str().unwrap())
        .await
        .json()
        .await
        .unwrap();
    assert_error(
        assume_role(&aws, token["value"].as_str().unwrap()).await,
        403,
        "AccessDenied",
    );
}
