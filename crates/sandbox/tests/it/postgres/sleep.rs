//! Nodes that go to sleep without clients.

use serde_json::json;

use super::support::{
    READY_MS, admin, check, create_app, create_node, create_volume, node_config, psql_request,
    set_secrets,
};
use crate::support::TestSandbox;

/// A cluster that sleeps after an hour.
async fn create_sleeper(sandbox: &TestSandbox) -> String {
    create_app(sandbox).await;
    set_secrets(sandbox).await;
    let volume = create_volume(sandbox).await;
    let mut config = node_config(&volume);
    config["env"]["FLY_SCALE_TO_ZERO"] = "1h".into();
    let path = create_node(sandbox, config).await;
    sandbox.advance_ms(READY_MS);
    assert_eq!(check(sandbox, &path, "role").await, "passing: primary");
    path
}

#[tokio::test]
async fn idle_node_stops_and_only_the_proxy_wakes_it() {
    let sandbox = TestSandbox::scripted().await;
    let path = create_sleeper(&sandbox).await;
    sandbox.advance_ms(3_600_000);
    let machine = sandbox.get(&path).await.assert_status(200);
    assert_eq!(machine["state"], "stopped");
    let exit = &machine["events"][0]["request"]["exit_event"];
    assert_eq!(
        (&exit["exit_code"], &exit["requested_stop"]),
        (&json!(0), &json!(false))
    );
    sandbox
        .post(&format!("{path}/exec"), psql_request("SELECT 1;"))
        .await
        .assert_error(412, "failed_precondition: machine not running");
    // Reads do not wake it.
    sandbox
        .get(&format!("{path}/metadata"))
        .await
        .assert_status(200);
    assert_eq!(sandbox.machine_state(&path).await, "stopped");
    let woken = admin(&sandbox, "connect", json!({ "app": "db" })).await;
    assert_eq!((&woken["ok"], &woken["woke"]), (&json!(true), &json!(true)));
    sandbox.advance_ms(3_000);
    assert_eq!(check(&sandbox, &path, "role").await, "passing: primary");
    let again = admin(&sandbox, "connect", json!({ "app": "db" })).await;
    assert_eq!(
        (&again["ok"], &again["woke"]),
        (&json!(true), &json!(false))
    );
    let events = sandbox
        .get(&format!("{path}/events"))
        .await
        .assert_status(200);
    assert!(
        events
            .as_array()
            .unwrap()
            .iter()
            .any(|event| event["source"] == "proxy")
    );
}

#[tokio::test]
async fn session_keeps_the_node_awake() {
    let sandbox = TestSandbox::scripted().await;
    let path = create_sleeper(&sandbox).await;
    let body = json!({ "app": "db", "role": "postgres", "database": "postgres" });
    let session = admin(&sandbox, "session", body).await;
    sandbox.advance_ms(3 * 3_600_000);
    assert_eq!(sandbox.machine_state(&path).await, "started");
    admin(
        &sandbox,
        "session/close",
        json!({ "app": "db", "pid": session["pid"] }),
    )
    .await;
    // It counts its clients once an hour, not since the last one left.
    sandbox.advance_ms(1_800_000);
    assert_eq!(sandbox.machine_state(&path).await, "started");
    sandbox.advance_ms(1_800_000);
    assert_eq!(sandbox.machine_state(&path).await, "stopped");
}

/// Without a private address the name of the app does not resolve, so the proxy sees no connection.
#[tokio::test]
async fn node_without_flycast_address_stays_asleep() {
    let sandbox = TestSandbox::scripted().await;
    let path = create_sleeper(&sandbox).await;
    sandbox.advance_ms(3_600_000);
    let ips = sandbox
        .get("/v1/apps/db/ip_assignments")
        .await
        .assert_status(200);
    let ip = ips["ips"][0]["ip"].as_str().unwrap();
    sandbox
        .delete(&format!("/v1/apps/db/ip_assignments/{ip}"))
        .await
        .assert_status(204);
    let refused = admin(&sandbox, "connect", json!({ "app": "db" })).await;
    assert_eq!(refused["ok"], false);
    assert_eq!(sandbox.machine_state(&path).await, "stopped");
    sandbox
        .post(&format!("{path}/start"), json!({}))
        .await
        .assert_status(200);
    sandbox.advance_ms(3_000);
    assert_eq!(check(&sandbox, &path, "role").await, "passing: primary");
}

/// With restart policy `always` a node that exits by itself starts again at once.
#[tokio::test]
async fn restart_policy_always_prevents_sleep() {
    let sandbox = TestSandbox::scripted().await;
    create_app(&sandbox).await;
    set_secrets(&sandbox).await;
    let volume = create_volume(&sandbox).await;
    let mut config = node_config(&volume);
    config["env"]["FLY_SCALE_TO_ZERO"] = "10m".into();
    config["restart"] = json!({ "policy": "always" });
    let path = create_node(&sandbox, config).await;
    sandbox.advance_ms(620_000);
    assert_eq!(sandbox.machine_state(&path).await, "started");
    let events = sandbox
        .get(&format!("{path}/events"))
        .await
        .assert_status(200);
    assert!(
        events
            .as_array()
            .unwrap()
            .iter()
            .any(|event| event["type"] == "exit")
    );
}
