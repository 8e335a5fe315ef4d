//! Credentials from the OIDC identity of a GitHub job: only for jobs that the role trusts, with
//! retries when GitHub does not answer, and renewed when they expire.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum::{Json, Router, http::StatusCode, response::IntoResponse as _, routing::get};
use serde_json::{Value, json};
use trimtab::{
    clouds::{ErrorKind, aws},
    model::Secret,
};

use super::{ACCOUNT, MANIFEST, REGION, SdkClients, post_admin};
use crate::support::TestEnv;

/// Starts a stand-in for GitHub that answers the first `times` requests with 503. Returns its URL
/// and the number of requests it received.
async fn start_flaky_github(times: usize, identity: Value) -> (String, Arc<AtomicUsize>) {
    let requests = Arc::new(AtomicUsize::new(0));
    let count = requests.clone();
    let response = get(move || async move {
        match count.fetch_add(1, Ordering::Relaxed) < times {
            true => StatusCode::SERVICE_UNAVAILABLE.into_response(),
            false => Json(identity).into_response(),
        }
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/token", listener.local_addr().unwrap());
    tokio::spawn(
        async move { axum::serve(listener, Router::new().route("/token", response)).await },
    );
    (url, requests)
}

/// The subject of the job that the role trusts.
const TRUSTED_SUBJECT: &str = "repo:acme/shop:ref:refs/heads/main";

/// Creates a role that a job with [`TRUSTED_SUBJECT`] may assume.
async fn create_role_for_github(env: &TestEnv) {
    let SdkClients { iam, .. } = SdkClients::administrator(env);
    let (host, arn) = (
        "token.actions.githubusercontent.com",
        "arn:aws:iam::123456789012:oidc-provider",
    );
    let provider = iam
        .create_open_id_connect_provider()
        .url(format!("https://{host}"));
    provider
        .client_id_list("sts.amazonaws.com")
        .send()
        .await
        .unwrap();
    let trust = json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Effect": "Allow",
            "Principal": { "Federated": format!("{arn}/{host}") },
            "Action": "sts:AssumeRoleWithWebIdentity",
            "Condition": { "StringEquals": {
                format!("{host}:aud"): "sts.amazonaws.com",
                format!("{host}:sub"): TRUSTED_SUBJECT,
            } },
        }],
    });
    let role = iam
        .create_role()
        .role_name("deploy")
        .assume_role_policy_document(trust.to_string());
    role.send().await.unwrap();
}

/// Starts a GitHub job in the sandbox; returns the URL and the token for its identity requests.
async fn start_github_job(env: &TestEnv, subject: &str) -> (String, Secret) {
    let job = post_admin(
        env,
        "github",
        json!({ "repository": "acme/shop", "sub": subject }),
    )
    .await;
    let job: Value = serde_json::from_str(&job).unwrap();
    let text = |name: &str| job[name].as_str().unwrap().to_owned();
    (text("url"), Secret::new(text("token")))
}

/// The response of the identity endpoint.
async fn fetch_identity_token((url, token): &(String, Secret)) -> Value {
    let requests = reqwest::Client::new()
        .get(url)
        .query(&[("audience", "sts.amazonaws.com")]);
    requests
        .bearer_auth(token.expose())
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap()
}

/// A client that requests the job's identity at this URL.
async fn reader_for_job(env: &TestEnv, url: String, token: Secret) -> aws::AwsReader {
    let (role, session) = (
        format!("arn:aws:iam::{ACCOUNT}:role/deploy"),
        "trimtab-1".to_owned(),
    );
    let settings = aws::AwsSettings {
        account: ACCOUNT.to_owned(),
        region: REGION.to_owned(),
        endpoint: Some(env.sandbox.aws_url()),
        endpoints: aws::ServiceEndpoints::default(),
        force_path_style: true,
        credentials: None,
        github_job: Some(aws::GitHubJob {
            request_url: url,
            request_token: token,
            role_arn: role,
            session_name: session,
        }),
        speed: 200.0,
    };
    aws::AwsReader::new(settings, &env.readers(None).await.fly)
        .await
        .unwrap()
}

#[tokio::test]
async fn identity_token_is_exchanged_for_trusted_subject() {
    let env = TestEnv::new(MANIFEST).await;
    create_role_for_github(&env).await;
    let (url, token) = start_github_job(&env, TRUSTED_SUBJECT).await;
    let caller = reader_for_job(&env, url, token)
        .await
        .caller_identity()
        .await
        .unwrap();
    assert_eq!(
        caller.arn,
        format!("arn:aws:sts::{ACCOUNT}:assumed-role/deploy/trimtab-1")
    );
    let (url, token) = start_github_job(&env, "repo:acme/shop:pull_request").await;
    let error = reader_for_job(&env, url, token)
        .await
        .caller_identity()
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::PermissionDenied);
    assert!(
        error.message.contains("AccessDenied") && error.message.contains("role/deploy"),
        "{error}"
    );
}

#[tokio::test]
async fn identity_token_request_is_retried() {
    let env = TestEnv::new(MANIFEST).await;
    create_role_for_github(&env).await;
    let job = start_github_job(&env, TRUSTED_SUBJECT).await;
    let identity = fetch_identity_token(&job).await;
    let (url, requests) = start_flaky_github(3, identity.clone()).await;
    let caller = reader_for_job(&env, url, job.1.clone())
        .await
        .caller_identity()
        .await;
    assert_eq!(
        (
            caller.unwrap().account.as_str(),
            requests.load(Ordering::Relaxed)
        ),
        (ACCOUNT, 4)
    );

    let (url, requests) = start_flaky_github(usize::MAX, identity).await;
    let error = reader_for_job(&env, url, job.1)
        .await
        .caller_identity()
        .await
        .unwrap_err();
    // Another attempt may succeed, unlike with rejected credentials.
    assert_eq!(error.kind, ErrorKind::Ambiguous, "{error}");
    assert!(
        error
            .message
            .contains("ask GitHub for the job's identity: 503"),
        "{error}"
    );
    let requests = requests.load(Ordering::Relaxed);
    assert!((5..50).contains(&requests), "{requests}");
}

/// By the local clock the session is expired as soon as it is issued, so every request needs a new
/// one.
#[tokio::test]
async fn expired_session_is_renewed() {
    let env = TestEnv::with_scripted_clock(MANIFEST).await;
    create_role_for_github(&env).await;
    let job = start_github_job(&env, TRUSTED_SUBJECT).await;
    let (url, requests) = start_flaky_github(0, fetch_identity_token(&job).await).await;
    let reader = reader_for_job(&env, url, job.1).await;
    for n in 1..=3 {
        reader.caller_identity().await.unwrap();
        assert_eq!(requests.load(Ordering::Relaxed), n);
    }
}
