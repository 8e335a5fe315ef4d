//! Tokens, foreign applications, unknown paths, and the rate limits.

use serde_json::{Value, json};

use crate::kit::{Box, nginx};

#[tokio::test]
async fn a_token_is_needed_and_both_schemes_are_understood() {
    let sandbox = Box::scripted().await;
    let at = format!("{}/v1/apps?org_slug=acme", sandbox.running.url());
    let client = reqwest::Client::new();
    let status = async |header: Option<String>| {
        let mut request = client.get(&at);
        if let Some(header) = header {
            request = request.header("authorization", header);
        }
        sandbox.pass(1_000);
        request.send().await.unwrap().status().as_u16()
    };
    let token = &sandbox.token;
    assert_eq!(status(None).await, 401);
    assert_eq!(status(Some("Bearer nonsense".to_owned())).await, 401);
    for good in [
        format!("Bearer {token}"),
        format!("FlyV1 {token}"),
        format!("Bearer FlyV1 junk,{token}"),
    ] {
        assert_eq!(status(Some(good)).await, 200);
    }
}

#[tokio::test]
async fn an_unknown_path_is_plain_text_before_anybody_asks_for_a_token() {
    let sandbox = Box::scripted().await;
    for (method, path) in [("GET", "/v1/nonsense"), ("PATCH", "/v1/apps")] {
        let at = format!("{}{path}", sandbox.running.url());
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let answer = reqwest::Client::new()
            .request(method, at)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 404);
        assert!(
            answer.headers()["content-type"]
                .to_str()
                .unwrap()
                .starts_with("text/plain")
        );
        assert_eq!(answer.text().await.unwrap(), "404 page not found\n");
    }
}

#[tokio::test]
async fn names_are_unique_over_organisations_and_foreign_ones_are_forbidden() {
    let mut sandbox = Box::scripted().await;
    sandbox.app().await;
    let mine = std::mem::take(&mut sandbox.token);
    sandbox.token = sandbox.running.org_token("other").unwrap();
    let taken = sandbox
        .post("/v1/apps", json!({ "name": "web", "org_slug": "other" }))
        .await;
    taken.refused(422, "Validation failed: Name has already been taken");
    assert_eq!(taken.is(422)["status"], "name_taken");
    sandbox
        .get("/v1/apps/web")
        .await
        .refused(403, "unauthorized");
    sandbox
        .get("/v1/apps/free")
        .await
        .refused(404, "app not found");
    sandbox
        .get("/v1/apps?org_slug=acme")
        .await
        .refused(403, "unauthorized");
    sandbox
        .get("/v1/orgs/acme/machines")
        .await
        .refused(403, "unauthorized");
    sandbox.token = mine;
    sandbox.pass(5_000);
    for wrong in ["Web", "-web", "a_b", &"x".repeat(64)] {
        let got = sandbox
            .post("/v1/apps", json!({ "name": wrong, "org_slug": "acme" }))
            .await;
        got.refused(422, "Validation failed: Name under 63 chars");
        sandbox.pass(1_000);
    }
}

#[tokio::test]
async fn a_token_for_one_application_or_for_reading_goes_no_further() {
    let mut sandbox = Box::scripted().await;
    sandbox.app().await;
    sandbox
        .post("/v1/apps", json!({ "name": "db", "org_slug": "acme" }))
        .await
        .is(201);
    sandbox.token = sandbox.running.app_token("acme", "web").unwrap();
    sandbox.get("/v1/apps/web").await.is(200);
    sandbox
        .get("/v1/apps/db")
        .await
        .refused(403, "unauthorized");
    sandbox
        .get("/v1/apps?org_slug=acme")
        .await
        .refused(403, "unauthorized");
    sandbox.machine(nginx()).await;
    let current = sandbox.get("/v1/tokens/current").await.is(200);
    assert_eq!(current["tokens"][0]["apps"], json!(["web"]));
    sandbox.token = sandbox.running.read_only_token("acme").unwrap();
    sandbox.get("/v1/apps/web/machines").await.is(200);
    sandbox
        .post("/v1/apps/web/machines", nginx())
        .await
        .refused(403, "unauthorized");
    sandbox
        .delete("/v1/apps/web")
        .await
        .refused(403, "unauthorized");
}

#[tokio::test]
async fn one_request_a_second_with_a_burst_of_three_for_each_thing() {
    let sandbox = Box::scripted().await;
    sandbox.app().await;
    let (_, path) = sandbox.machine(nginx()).await;
    let (_, other) = sandbox.machine(nginx()).await;
    let events = format!("{path}/events");
    for _ in 0..3 {
        sandbox.get(&events).await.is(200);
    }
    sandbox.get(&events).await.refused(429, "rate limit");
    // Another machine and another action have buckets of their own.
    sandbox.get(&format!("{other}/events")).await.is(200);
    sandbox.get(&format!("{path}/versions")).await.is(200);
    sandbox.pass(1_000);
    sandbox.get(&events).await.is(200);
    sandbox.get(&events).await.refused(429, "rate limit");
    let limited = sandbox
        .running
        .requests()
        .iter()
        .filter(|request| request.rate_limited)
        .count();
    assert_eq!(limited, 2);
    for _ in 0..10 {
        sandbox.get(&path).await.is(200);
    }
    sandbox.get(&path).await.refused(429, "rate limit");
    let _: Value = sandbox.get("/_sandbox/requests").await.is(200);
}
