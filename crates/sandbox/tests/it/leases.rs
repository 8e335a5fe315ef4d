//! Leases: envelope, conflict, refresh, release, expiry.

use serde_json::{Value, json};

use crate::kit::{Box, Got, nginx};

async fn leased(sandbox: &Box) -> (String, Value) {
    sandbox.app().await;
    let (_, path) = sandbox.machine(nginx()).await;
    sandbox.pass(2_000);
    let lease = sandbox
        .post(&format!("{path}/lease?ttl=13"), Value::Null)
        .await
        .is(201);
    assert_eq!(lease["status"], "success");
    (path, lease["data"].clone())
}

async fn with_nonce(sandbox: &Box, method: &str, path: &str, nonce: &Value) -> Got {
    let request = sandbox
        .request(method, path)
        .header("fly-machine-lease-nonce", nonce.as_str().unwrap());
    sandbox.send(request).await
}

#[tokio::test]
async fn a_lease_keeps_others_out_and_its_holder_in() {
    let sandbox = Box::scripted().await;
    let (path, lease) = leased(&sandbox).await;
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
        got.refused(
            409,
            "lease currently held by acme@tokens.fly.io, expires at 2026-01-01 00:00:15 +0000 UTC",
        );
        assert_eq!(got.is(409)["code"], "invalid");
    }
    sandbox
        .post(&path, nginx())
        .await
        .refused(409, "lease currently held by");
    with_nonce(&sandbox, "POST", &format!("{path}/stop"), &lease["nonce"])
        .await
        .is(200);
    // Metadata is not guarded.
    sandbox
        .post(&format!("{path}/metadata/a"), json!({ "value": "1" }))
        .await
        .is(204);
}

#[tokio::test]
async fn a_lease_is_refreshed_under_the_same_nonce_and_released() {
    let sandbox = Box::scripted().await;
    let (path, lease) = leased(&sandbox).await;
    let at = format!("{path}/lease");
    sandbox.pass(10_000);
    let refreshed = with_nonce(&sandbox, "POST", &format!("{at}?ttl=13"), &lease["nonce"])
        .await
        .is(201);
    assert_eq!(refreshed["data"]["nonce"], lease["nonce"]);
    assert_eq!(
        refreshed["data"]["expires_at"].as_i64().unwrap(),
        lease["expires_at"].as_i64().unwrap() + 10
    );
    sandbox.delete(&at).await.refused(409, "currently held by");
    with_nonce(&sandbox, "DELETE", &at, &lease["nonce"])
        .await
        .is(200);
    sandbox.get(&at).await.refused(404, "lease not found");
}

#[tokio::test]
async fn a_lease_ends_by_itself_and_its_nonce_with_it() {
    let sandbox = Box::scripted().await;
    let (path, lease) = leased(&sandbox).await;
    sandbox
        .post(&format!("{path}/lease"), json!({ "ttl": 5 }))
        .await
        .refused(409, "currently held by");
    sandbox.pass(13_000);
    sandbox
        .get(&format!("{path}/lease"))
        .await
        .refused(404, "lease not found");
    with_nonce(&sandbox, "POST", &format!("{path}/lease"), &lease["nonce"])
        .await
        .refused(404, "lease not found");
    let again = sandbox
        .post(
            &format!("{path}/lease"),
            json!({ "ttl": 5, "description": "mine" }),
        )
        .await
        .is(201);
    assert_ne!(again["data"]["nonce"], lease["nonce"]);
    assert_eq!(again["data"]["description"], "mine");
}

#[tokio::test]
async fn a_launch_may_take_a_lease_and_only_its_answer_shows_the_nonce() {
    let sandbox = Box::scripted().await;
    sandbox.app().await;
    let mut body = nginx();
    body["lease_ttl"] = 300.into();
    let (machine, path) = sandbox.machine(body).await;
    assert!(machine["nonce"].is_string());
    let read = sandbox.get(&path).await.is(200);
    assert_eq!(read.get("nonce"), None);
    assert_eq!(read["lease"]["owner"], "acme@tokens.fly.io");
    with_nonce(
        &sandbox,
        "DELETE",
        &format!("{path}?force=true"),
        &machine["nonce"],
    )
    .await
    .is(200);
}

/// flyctl gives a canary's lease back, then destroys the canary with the nonce of that lease.
#[tokio::test]
async fn a_nonce_without_a_lease_may_destroy_and_nothing_else() {
    let sandbox = Box::scripted().await;
    let (path, lease) = leased(&sandbox).await;
    with_nonce(
        &sandbox,
        "DELETE",
        &format!("{path}?kill=true"),
        &json!("ffffffffffff"),
    )
    .await
    .refused(409, "currently held by");
    with_nonce(
        &sandbox,
        "DELETE",
        &format!("{path}/lease"),
        &lease["nonce"],
    )
    .await
    .is(200);
    with_nonce(&sandbox, "POST", &format!("{path}/cordon"), &lease["nonce"])
        .await
        .refused(409, "lease not found");
    with_nonce(
        &sandbox,
        "DELETE",
        &format!("{path}?kill=true"),
        &lease["nonce"],
    )
    .await
    .is(200);
}
