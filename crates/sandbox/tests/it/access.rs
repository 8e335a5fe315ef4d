//! Tokens, apps of other organizations, unknown paths, and rate limits.

use serde_json::{Value, json};

use crate::support::{TestSandbox, nginx_machine};

#[tokio::test]
async fn token_is_required_in_either_scheme() {
    let sandbox = TestSandbox::scripted().await;
    let url = format!("{}/v1/apps?org_slug=acme", sandbox.running.url());
    let client = reqwest::Client::new();
    let status = async |header: Option<String>| {
        let mut request = client.get(&url);
        if let Some(header) = header {
            request = request.header("authorization", header);
        }
        sandbox.advance_ms(1_000);
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
async fn unknown_path_is_plain_404() {
    let sandbox = TestSandbox::scripted().await;
    for (method, path) in [("GET", "/v1/nonsense"), ("PATCH", "/v1/apps")] {
        let url = format!("{}{path}", sandbox.running.url());
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let response = reqwest::Client::new()
            .request(method, url)
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), 404);
        assert!(
            response.headers()["content-type"]
                .to_str()
                .unwrap()
                .starts_with("text/plain")
        );
        assert_eq!(response.text().await.unwrap(), "404 page not found\n");
    }
}

#[tokio::test]
async fn app_names_are_global_and_foreign_apps_forbidden() {
    let mut sandbox = TestSandbox::scripted().await;
    sandbox.create_app().await;
    let mine = std::mem::take(&mut sandbox.token);
    sandbox.token = sandbox.running.org_token("other").unwrap();
    let taken = sandbox
        .post("/v1/apps", json!({ "name": "web", "org_slug": "other" }))
        .await;
    taken.assert_error(422, "Validation failed: Name has already been taken");
    assert_eq!(taken.assert_status(422)["status"], "name_taken");
    sandbox
        .get("/v1/apps/web")
        .await
        .assert_error(403, "unauthorized");
    sandbox
        .get("/v1/apps/free")
        .await
        .assert_error(404, "app not found");
    sandbox
        .get("/v1/apps?org_slug=acme")
        .await
        .assert_error(403, "unauthorized");
    sandbox
        .get("/v1/orgs/acme/machines")
        .await
        .assert_error(403, "unauthorized");
    sandbox.token = mine;
    sandbox.advance_ms(5_000);
    for wrong in ["Web", "-web", "a_b", &"x".repeat(64)] {
        let got = sandbox
            .post("/v1/apps", json!({ "name": wrong, "org_slug": "acme" }))
            .await;
        got.assert_error(422, "Validation failed: Name under 63 chars");
        sandbox.advance_ms(1_000);
    }
}

#[tokio::test]
async fn limited_tokens_are_limited() {
    let mut sandbox = TestSandbox::scripted().await;
    sandbox.create_app().await;
    sandbox
        .post("/v1/apps", json!({ "name": "db", "org_slug": "acme" }))
        .await
        .assert_status(201);
    sandbox.token = sandbox.running.app_token("acme", "web").unwrap();
    sandbox.get("/v1/apps/web").await.assert_status(200);
    sandbox
        .get("/v1/apps/db")
        .await
        .assert_error(403, "unauthorized");
    sandbox
        .get("/v1/apps?org_slug=acme")
        .await
        .assert_error(403, "unauthorized");
    sandbox.create_machine(nginx_machine()).await;
    let current = sandbox.get("/v1/tokens/current").await.assert_status(200);
    assert_eq!(current["tokens"][0]["apps"], json!(["web"]));
    sandbox.token = sandbox.running.read_only_token("acme").unwrap();
    sandbox
        .get("/v1/apps/web/machines")
        .await
        .assert_status(200);
    sandbox
        .post("/v1/apps/web/machines", nginx_machine())
        .await
        .assert_error(403, "unauthorized");
    sandbox
        .delete("/v1/apps/web")
        .await
        .assert_error(403, "unauthorized");
}

#[tokio::test]
async fn rate_limit_is_per_object_and_action() {
    let sandbox = TestSandbox::scripted().await;
    sandbox.create_app().await;
    let (_, path) = sandbox.create_machine(nginx_machine()).await;
    let (_, other) = sandbox.create_machine(nginx_machine()).await;
    let act = async |path: &str, action: &str| {
        sandbox.post(&format!("{path}/{action}"), Value::Null).await
    };
    for _ in 0..3 {
        act(&path, "cordon").await.assert_status(200);
    }
    act(&path, "cordon").await.assert_error(429, "rate limit");
    // Other machines and other actions have rate limits of their own.
    act(&other, "cordon").await.assert_status(200);
    act(&path, "uncordon").await.assert_status(200);
    sandbox.advance_ms(1_000);
    act(&path, "cordon").await.assert_status(200);
    act(&path, "cordon").await.assert_error(429, "rate limit");
    let limited = sandbox
        .running
        .requests()
        .iter()
        .filter(|request| request.rate_limited)
        .count();
    assert_eq!(limited, 2);
    // Reads have a higher limit: single commands of flyctl list an app's machines four times.
    for read in [path.as_str(), "/v1/apps/web/machines", "/v1/apps/web"] {
        for _ in 0..10 {
            sandbox.get(read).await.assert_status(200);
        }
        sandbox.get(read).await.assert_error(429, "rate limit");
    }
    sandbox.advance_ms(1_000);
    for _ in 0..5 {
        sandbox.get(&path).await.assert_status(200);
    }
    sandbox.get(&path).await.assert_error(429, "rate limit");
    let _: Value = sandbox.get("/_sandbox/requests").await.assert_status(200);
}
