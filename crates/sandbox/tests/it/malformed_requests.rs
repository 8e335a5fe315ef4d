//! Malformed requests get an error response; none of them crashes an endpoint.

use serde_json::{Value, json};

use crate::openapi;
use crate::support::TestSandbox;

fn malformed_bodies() -> Vec<Value> {
    let huge = i64::MAX;
    vec![
        json!([]),
        json!("text"),
        json!(-1),
        json!({ "config": [], "values": 1, "ttl": "x", "name": {}, "metadata": [], "hostname": 0 }),
        json!({ "config": { "image": "a@b", "guest": { "cpus": huge, "memory_mb": huge } }, "lease_ttl": huge }),
        json!({ "config": { "image": ":/@", "services": [{ "protocol": "tcp", "internal_port": huge }] } }),
        json!({ "config": { "image": "x", "stop_config": { "timeout": "99999999999999999999h" } } }),
        json!({ "ttl": huge, "size_gb": huge, "limit_mb": huge, "amount_mb": huge, "signal": huge, "value": "" }),
        json!({ "name": "../../etc/passwd", "app_name": "..", "org_slug": "acme", "hostname": "..", "type": "v9" }),
        json!({ "name": "\u{0}\u{1f980}", "region": "\u{1f980}", "cmd": " ", "expiry": "9223372036854775807ns" }),
    ]
}

#[tokio::test]
async fn malformed_bodies_are_rejected() {
    let sandbox = TestSandbox::scripted().await;
    sandbox.create_app().await;
    let (machine, _) = sandbox
        .create_machine(crate::support::nginx_machine())
        .await;
    let volume = sandbox
        .post(
            "/v1/apps/web/volumes",
            json!({ "name": "d", "region": "fra" }),
        )
        .await
        .assert_status(200);
    let id = |value: &Value| value["id"].as_str().unwrap().to_owned();
    sandbox.advance_ms(2_000);
    for operation in openapi::operations()
        .iter()
        .filter(|operation| *operation != "DELETE /apps/{app_name}")
    {
        let (method, path) = operation.split_once(' ').unwrap();
        let path = path
            .replace("{app_name}", "web")
            .replace("{machine_id}", &id(&machine))
            .replace("{volume_id}", &id(&volume))
            .replace("{org_slug}", "acme")
            .replace(['{', '}'], "%00");
        for body in malformed_bodies() {
            let at = format!("/v1{path}?limit=x&ttl=&timeout=0&state=stopped&cursor=%F0%9F%A6%80");
            let response = sandbox.request(method, &at).json(&body).send().await;
            let status = response
                .unwrap_or_else(|error| panic!("{operation} {body}: {error}"))
                .status();
            assert!(!status.is_server_error(), "{operation} {body}: {status}");
            sandbox.advance_ms(1_000);
        }
    }
    let left = std::fs::read_dir(sandbox.dir.path().join("apps"))
        .unwrap()
        .count();
    assert_eq!(left, 1);
}

#[tokio::test]
async fn recursive_documents_terminate() {
    let sandbox = TestSandbox::scripted().await;
    let query =
        "{ organizations { ...A } } fragment A on Connection { ...A ...A ...A nodes { id } }";
    let response = sandbox
        .post("/graphql", json!({ "query": query }))
        .await
        .assert_status(200);
    assert!(response["data"].is_object());
    let deep = format!("{}{}", "{ app ".repeat(500), "}".repeat(500));
    sandbox
        .post("/graphql", json!({ "query": deep }))
        .await
        .assert_status(200);
    sandbox
        .post("/graphql", json!({ "query": 1 }))
        .await
        .assert_error(400, "invalid request body");
    sandbox
        .post_admin(
            "rules",
            json!({ "behave": { "exit_code": 1, "after_ms": i64::MAX, "boot_ms": i64::MIN } }),
        )
        .await;
    sandbox.create_app().await;
    sandbox
        .create_machine(crate::support::nginx_machine())
        .await;
    sandbox
        .post_admin("clock", json!({ "advance_ms": i64::MAX }))
        .await;
    sandbox
        .get("/v1/apps/web/machines")
        .await
        .assert_status(200);
}
