//! A Postgres cluster, created as clients create one.

use serde_json::{Value, json};

use crate::support::{TestResponse, TestSandbox, graphql};

/// The image of new clusters.
pub(super) const IMAGE: &str = "flyio/postgres-flex:17.7";
/// The time after which a first node is set up.
pub(super) const READY_MS: u64 = 10_000;

/// The secrets without which no node boots, besides the address in consul.
pub(super) fn passwords() -> Value {
    json!({ "SU_PASSWORD": "su-secret", "OPERATOR_PASSWORD": "operator-secret", "REPL_PASSWORD": "repl-secret" })
}

/// Creates the app `db` with its private address.
pub(super) async fn create_app(sandbox: &TestSandbox) {
    let app = json!({ "name": "db", "org_slug": "acme", "app_role_id": "postgres_cluster" });
    sandbox.post("/v1/apps", app).await.assert_status(201);
    sandbox
        .post(
            "/v1/apps/db/ip_assignments",
            json!({ "type": "private_v6" }),
        )
        .await
        .assert_status(200);
}

/// Sets all secrets, with a new place in consul.
pub(super) async fn set_secrets(sandbox: &TestSandbox) {
    let query = "mutation { enablePostgresConsul(input: { appId: \"db\" }) { consulUrl } }";
    let response = graphql(sandbox, query, json!({})).await;
    let mut values = passwords();
    values["FLY_CONSUL_URL"] = response["data"]["enablePostgresConsul"]["consulUrl"].clone();
    sandbox
        .post("/v1/apps/db/secrets", json!({ "values": values }))
        .await
        .assert_status(200);
}

/// Creates a volume and returns its id.
pub(super) async fn create_volume(sandbox: &TestSandbox) -> String {
    let volume = json!({ "name": "pg_data", "region": "fra", "size_gb": 1 });
    let volume = sandbox
        .post("/v1/apps/db/volumes", volume)
        .await
        .assert_status(200);
    sandbox.advance_ms(1_000);
    volume["id"].as_str().unwrap().to_owned()
}

/// The configuration of a node.
pub(super) fn node_config(volume: &str) -> Value {
    let check = |name: &str| json!({ "type": "http", "port": 5500, "path": format!("/flycheck/{name}"), "interval": "15s", "timeout": "10s" });
    let service = |port: i64| {
        json!({ "protocol": "tcp", "internal_port": port, "autostart": true,
            "ports": [{ "port": port, "handlers": ["pg_tls"] }] })
    };
    json!({
        "image": IMAGE,
        "guest": { "cpu_kind": "shared", "cpus": 1, "memory_mb": 1024 },
        "env": { "PRIMARY_REGION": "fra" },
        "mounts": [{ "volume": volume, "path": "/data" }],
        "checks": { "pg": check("pg"), "role": check("role"), "vm": check("vm") },
        "services": [service(5432), service(5433)],
        "restart": { "policy": "on-failure", "max_retries": 2 },
    })
}

/// Creates a node and returns the path to it.
pub(super) async fn create_node(sandbox: &TestSandbox, config: Value) -> String {
    let machine = sandbox
        .post(
            "/v1/apps/db/machines",
            json!({ "config": config, "region": "fra" }),
        )
        .await
        .assert_status(200);
    format!("/v1/apps/db/machines/{}", machine["id"].as_str().unwrap())
}

/// A cluster of one node that is set up: its path and its volume.
pub(super) async fn create_cluster(sandbox: &TestSandbox) -> (String, String) {
    create_app(sandbox).await;
    set_secrets(sandbox).await;
    let volume = create_volume(sandbox).await;
    let path = create_node(sandbox, node_config(&volume)).await;
    sandbox.advance_ms(READY_MS);
    assert_eq!(check(sandbox, &path, "role").await, "passing: primary");
    (path, volume)
}

/// Status and output of a check.
pub(super) async fn check(sandbox: &TestSandbox, path: &str, name: &str) -> String {
    let machine = sandbox.get(path).await.assert_status(200);
    let found = machine["checks"]
        .as_array()
        .unwrap()
        .iter()
        .find(|check| check["name"] == name)
        .unwrap();
    let text = |key: &str| found[key].as_str().unwrap();
    format!("{}: {}", text("status"), text("output"))
}

/// The request for a script, as the client sends it.
pub(super) fn psql_request(script: &str) -> Value {
    let command = [
        "psql",
        "-XqAt",
        "-v",
        "ON_ERROR_STOP=1",
        "-U",
        "postgres",
        "-p",
        "5433",
        "-d",
        "postgres",
        "-f",
        "-",
    ];
    json!({ "command": command, "stdin": script, "timeout": 60 })
}

/// Sends a script to a node.
pub(super) async fn send_script(sandbox: &TestSandbox, path: &str, script: &str) -> TestResponse {
    let response = sandbox
        .post(&format!("{path}/exec"), psql_request(script))
        .await;
    sandbox.advance_ms(1_000);
    response
}

/// What a script printed, which must succeed.
pub(super) async fn run_script(sandbox: &TestSandbox, path: &str, script: &str) -> String {
    let response = send_script(sandbox, path, script).await.assert_status(200);
    assert_eq!(response["exit_code"], 0, "{response}");
    assert_eq!(response["stderr"], "", "{response}");
    response["stdout"].as_str().unwrap().to_owned()
}

/// Sends a request to the administration endpoints about clusters.
pub(super) async fn admin(sandbox: &TestSandbox, path: &str, body: Value) -> Value {
    sandbox.post_admin(&format!("postgres/{path}"), body).await
}

/// Tries a login and returns the SQLSTATE, or `ok`.
pub(super) async fn login(
    sandbox: &TestSandbox,
    role: &str,
    password: &str,
    database: &str,
) -> String {
    let body = json!({ "app": "db", "role": role, "password": password, "database": database });
    let response = admin(sandbox, "login", body).await;
    match response["ok"].as_bool() {
        Some(true) => "ok".to_owned(),
        _ => response["sqlstate"].as_str().unwrap().to_owned(),
    }
}
