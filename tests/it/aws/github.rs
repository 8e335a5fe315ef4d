//! Credentials from the identity of a GitHub job: for the jobs that a role trusts, although GitHub does not always answer,
//! and anew when they run out.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum::{Json, Router, http::StatusCode, response::IntoResponse as _, routing::get};
use serde_json::{Value, json};
use trimtab::{
    clouds::{Trouble, aws},
    model::Secret,
};

use super::{ACCOUNT, Clients, HARBOR, REGION, admin};
use crate::support::Team;

/// GitHub, which answers so many requests with 503 first.
async fn flaky(times: usize, identity: Value) -> (String, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let answer = get(move || async move {
        match count.fetch_add(1, Ordering::Relaxed) < times {
            true => StatusCode::SERVICE_UNAVAILABLE.into_response(),
            false => Json(identity).into_response(),
        }
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/token", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/token", answer)).await });
    (url, asked)
}

/// A job that the role of a team may be taken by.
const SUBJECT: &str = "repo:acme/shop:ref:refs/heads/main";

/// Makes a role that a job of this subject may take.
async fn trusts(team: &Team) {
    let Clients { iam, .. } = Clients::of(team);
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
                format!("{host}:sub"): SUBJECT,
            } },
        }],
    });
    let role = iam
        .create_role()
        .role_name("deploy")
        .assume_role_policy_document(trust.to_string());
    role.send().await.unwrap();
}

/// A job as the sandbox begins it: where it asks for its identity, and with which token.
async fn job(team: &Team, subject: &str) -> (String, Secret) {
    let job = admin(
        team,
        "github",
        json!({ "repository": "acme/shop", "sub": subject }),
    )
    .await;
    let job: Value = serde_json::from_str(&job).unwrap();
    let text = |name: &str| job[name].as_str().unwrap().to_owned();
    (text("url"), Secret::new(text("token")))
}

/// What GitHub tells the job.
async fn identity((url, token): &(String, Secret)) -> Value {
    let asked = reqwest::Client::new()
        .get(url)
        .query(&[("audience", "sts.amazonaws.com")]);
    asked
        .bearer_auth(token.expose())
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap()
}

/// A client that asks here for the job's identity.
async fn reader(team: &Team, url: String, token: Secret) -> aws::Reader {
    let (role, session) = (
        format!("arn:aws:iam::{ACCOUNT}:role/deploy"),
        "trimtab-1".to_owned(),
    );
    let settings = aws::Settings {
        account: ACCOUNT.to_owned(),
        region: REGION.to_owned(),
        endpoint: Some(team.sandbox.aws_url()),
        endpoints: aws::Endpoints::default(),
        by_path: true,
        keys: None,
        github: Some(aws::GitHubJob {
            url,
            token,
            role,
            session,
        }),
        speed: 200.0,
    };
    aws::Reader::new(settings, &team.readers(None).await.fly)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_job_s_identity_is_exchanged_where_the_role_trusts_it() {
    let team = Team::new(HARBOR).await;
    trusts(&team).await;
    let (url, token) = job(&team, SUBJECT).await;
    let caller = reader(&team, url, token).await.caller().await.unwrap();
    assert_eq!(
        caller.arn,
        format!("arn:aws:sts::{ACCOUNT}:assumed-role/deploy/trimtab-1")
    );
    let (url, token) = job(&team, "repo:acme/shop:pull_request").await;
    let error = reader(&team, url, token).await.caller().await.unwrap_err();
    assert_eq!(error.trouble, Trouble::Denied);
    assert!(
        error.answer.contains("AccessDenied") && error.answer.contains("role/deploy"),
        "{error}"
    );
}

#[tokio::test]
async fn an_identity_that_does_not_come_at_once_is_asked_for_again() {
    let team = Team::new(HARBOR).await;
    trusts(&team).await;
    let job = job(&team, SUBJECT).await;
    let identity = identity(&job).await;
    let (url, asked) = flaky(3, identity.clone()).await;
    let caller = reader(&team, url, job.1.clone()).await.caller().await;
    assert_eq!(
        (
            caller.unwrap().account.as_str(),
            asked.load(Ordering::Relaxed)
        ),
        (ACCOUNT, 4)
    );

    let (url, asked) = flaky(usize::MAX, identity).await;
    let error = reader(&team, url, job.1).await.caller().await.unwrap_err();
    // It may come at the next try, unlike credentials that are refused.
    assert_eq!(error.trouble, Trouble::Ambiguous, "{error}");
    assert!(
        error
            .answer
            .contains("ask GitHub for the job's identity: 503"),
        "{error}"
    );
    let asked = asked.load(Ordering::Relaxed);
    assert!((5..50).contains(&asked), "{asked}");
}

/// By the local clock this session has run out as soon as it is given, so every request needs another.
#[tokio::test]
async fn a_session_that_runs_out_is_renewed() {
    let team = Team::scripted(HARBOR).await;
    trusts(&team).await;
    let job = job(&team, SUBJECT).await;
    let (url, asked) = flaky(0, identity(&job).await).await;
    let reader = reader(&team, url, job.1).await;
    for n in 1..=3 {
        reader.caller().await.unwrap();
        assert_eq!(asked.load(Ordering::Relaxed), n);
    }
}
