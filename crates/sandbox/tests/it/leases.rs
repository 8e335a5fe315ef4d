//! Leases: envelope, conflict, refresh, release, expiry.

use serde_json::{Value, json};

use crate::support::{TestResponse, TestSandbox, nginx_machine};

async fn leased_machine(sandbox: &TestSandbox) -> (String, Value) {
    sandbox.create_app().await;
    let (_, path) = sandbox.create_machine(nginx_machine()).await;
    sandbox.advance_ms(2_000);
    let lease = sandbox
        .post(&format!("{path}/lease?ttl=13"), Value::Null)
        .await
        .assert_status(201);
    assert_eq!(lease["status"], "success");
    (path, lease["data"].clone())
}

async fn send_with_nonce(
    sandbox: &TestSandbox,
    method: &str,
    path: &str,
    nonce: &Value,
) -> TestResponse {
    let request = sandbox
        .request(method, path)
        .header("fly-machine-lease-nonce", nonce.as_str().unwrap());
    sandbox.send(request).await
}

#[tokio::test]
async fn lease_has_bounded_lifetime() {
    let sandbox = TestSandbox::scripted().await;
    let (path, _) = leased_machine(&sandbox).await;
    for ttl in [i64::MAX, 86_401, -1] {
        sandbox
            .post(&format!("{path}/lease?ttl={ttl}"), Value::Null)
            .await
            .assert_error(400, "invalid ttl");
        let mut body = nginx_machine();
        body["lease_ttl"] = ttl.into();
        sandbox
            .post("/v1/apps/web/machines", body)
            .await
            .assert_error(400, "invalid ttl");
        sandbox.advance_ms(2_000);
    }
}

#[tokio::test]
async fn lease_excludes_others() {
    let sandbox = TestSandbox::scripted().await;
    let (path, lease) = leased_machine(&sandbox).await;
    let actions = [
        ("POST", "/stop"),
        ("POST", "/cordon"),
        ("POST", "/restart"),
        ("POST", "/suspend"),
        ("DELETE", ""),
    ];
    for (method, action) in actions {
        let got = sandbox
            .send(sandbox.request(method, &format!("{path}{action}")))
            .await;
        got.assert_error(
            409,
            "lease currently held by acme@tokens.fly.io, expires at 2026-01-01 00:00:15 +0000 UTC",
        );
        assert_eq!(got.assert_status(409)["code"], "invalid");
    }
    sandbox
        .post(&path, nginx_machine())
        .await
        .assert_error(409, "lease currently held by");
    send_with_nonce(&sandbox, "POST", &format!("{path}/stop"), &lease["nonce"])
        .await
        .assert_status(200);
    // Metadata is not protected by leases.
    sandbox
        .post(&format!("{path}/metadata/a"), json!({ "value": "1" }))
        .await
        .assert_status(204);
}

#[tokio::test]
async fn lease_is_refreshed_and_released() {
    let sandbox = TestSandbox::scripted().await;
    let (path, lease) = leased_machine(&sandbox).await;
    let at = format!("{path}/lease");
    sandbox.advance_ms(10_000);
    let refreshed = send_with_nonce(&sandbox, "POST", &format!("{at}?ttl=13"), &lease["nonce"])
        .await
        .assert_status(201);
    assert_eq!(refreshed["data"]["nonce"], lease["nonce"]);
    assert_eq!(
        refreshed["data"]["expires_at"].as_i64().unwrap(),
        lease["expires_at"].as_i64().unwrap() + 10
    );
    sandbox
        .delete(&at)
        .await
        .assert_error(409, "currently held by");
    send_with_nonce(&sandbox, "DELETE", &at, &lease["nonce"])
        .await
        .assert_status(200);
    sandbox.get(&at).await.assert_error(404, "lease not found");
}

#[tokio::test]
async fn lease_expires() {
    let sandbox = TestSandbox::scripted().await;
    let (path, lease) = leased_machine(&sandbox).await;
    sandbox
        .post(&format!("{path}/lease"), json!({ "ttl": 5 }))
        .await
        .assert_error(409, "currently held by");
    sandbox.advance_ms(13_000);
    sandbox
        .get(&format!("{path}/lease"))
        .await
        .assert_error(404, "lease not found");
    send_with_nonce(&sandbox, "POST", &format!("{path}/lease"), &lease["nonce"])
        .await
        .assert_error(404, "lease not found");
    let again = sandbox
        .post(
            &format!("{path}/lease"),
            json!({ "ttl": 5, "description": "mine" }),
        )
        .await
        .assert_status(201);
    assert_ne!(again["data"]["nonce"], lease["nonce"]);
    assert_eq!(again["data"]["description"], "mine");
}

#[tokio::test]
async fn create_with_lease_returns_nonce_once() {
    let sandbox = TestSandbox::scripted().await;
    sandbox.create_app().await;
    let mut body = nginx_machine();
    body["lease_ttl"] = 300.into();
    let (machine, path) = sandbox.create_machine(body).await;
    assert!(machine["nonce"].is_string());
    let read = sandbox.get(&path).await.assert_status(200);
    assert_eq!(read.get("nonce"), None);
    assert_eq!(read["lease"]["owner"], "acme@tokens.fly.io");
    send_with_nonce(
        &sandbox,
        "DELETE",
        &format!("{path}?force=true"),
        &machine["nonce"],
    )
    .await
    .assert_status(200);
}

/// flyctl releases the lease of a canary machine, and then destroys the machine with that lease's
/// nonce.
#[tokio::test]
async fn released_nonce_may_only_destroy() {
    let sandbox = TestSandbox::scripted().await;
    let (path, lease) = leased_machine(&sandbox).await;
    send_with_nonce(
        &sandbox,
        "DELETE",
        &format!("{path}?kill=true"),
        &json!("ffffffffffff"),
    )
    .await
    .assert_error(409, "currently held by");
    send_with_nonce(
        &sandbox,
        "DELETE",
        &format!("{path}/lease"),
        &lease["nonce"],
    )
    .await
    .assert_status(200);
    send_with_nonce(&sandbox, "POST", &format!("{path}/cordon"), &lease["nonce"])
        .await
        .assert_error(409, "lease not found");
    send_with_nonce(
        &sandbox,
        "DELETE",
        &format!("{path}?kill=true"),
        &lease["nonce"],
    )
    .await
    .assert_status(200);
}
