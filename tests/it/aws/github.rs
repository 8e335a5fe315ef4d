//! Credentials from the identity of a GitHub job, where GitHub does not always answer.

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

#[tokio::test]
async fn an_identity_that_does_not_come_at_once_is_asked_for_again() {
    let team = Team::new(HARBOR).await;
    let Clients { iam, .. } = Clients::of(&team);
    let (host, arn) = ("token.actions.githubusercontent.com", "arn:aws:iam::123456789012:oidc-provider");
    let provider = iam.create_open_id_connect_provider().url(format!("https://{host}"));
    provider.client_id_list("sts.amazonaws.com").send().await.unwrap();
    let trust = json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Effect": "Allow",
            "Principal": { "Federated": format!("{arn}/{host}") },
            "Action": "sts:AssumeRoleWithWebIdentity",
            "Condition": { "StringEquals": { format!("{host}:aud"): "sts.amazonaws.com" } },
        }],
    });
    iam.create_role()
        .role_name("deploy")
        .assume_role_policy_document(trust.to_string())
        .send()
        .await
        .unwrap();
    let job =
        admin(&team, "github", json!({ "repository": "acme/shop", "sub": "repo:acme/shop:ref:x" })).await;
    let job: Value = serde_json::from_str(&job).unwrap();
    let text = |name: &str| job[name].as_str().unwrap().to_owned();
    let identity = reqwest::Client::new().get(text("url")).query(&[("audience", "sts.amazonaws.com")]);
    let identity: Value = identity.bearer_auth(text("token")).send().await.unwrap().json().await.unwrap();
    for (times, comes) in [(3, true), (usize::MAX, false)] {
        let (url, asked) = flaky(times, identity.clone()).await;
        let settings = aws::Settings {
            account: ACCOUNT.to_owned(),
            region: REGION.to_owned(),
            endpoint: Some(team.sandbox.aws_url()),
            endpoints: aws::Endpoints::default(),
            by_path: true,
            keys: None,
            github: Some(aws::GitHubJob {
                url,
                token: Secret::new(text("token")),
                role: format!("arn:aws:iam::{ACCOUNT}:role/deploy"),
                session: "trimtab-1".to_owned(),
            }),
            speed: 200.0,
        };
        let reader = aws::Reader::new(settings, &team.readers(None).await.fly).await.unwrap();
        let caller = reader.caller().await;
        let asked = asked.load(Ordering::Relaxed);
        if comes {
            assert_eq!((caller.unwrap().account.as_str(), asked), (ACCOUNT, 4));
            continue;
        }
        let error = caller.unwrap_err();
        // It may come at the next try, unlike credentials that are refused.
        assert_eq!(error.trouble, Trouble::Ambiguous, "{error}");
        assert!(error.answer.contains("ask GitHub for the job's identity: 503"), "{error}");
        assert!((5..50).contains(&asked), "{asked}");
    }
}
