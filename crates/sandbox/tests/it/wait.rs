//! The `wait` endpoint: it blocks until a state is reached, and times out.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{TestSandbox, nginx_machine};

#[tokio::test]
async fn wait_blocks_until_state_is_reached() {
    let sandbox = TestSandbox::scripted().await;
    sandbox.create_app().await;
    let (machine, path) = sandbox.create_machine(nginx_machine()).await;
    let at = format!("{path}/wait?state=started&timeout=60");
    let waiting = sandbox.get(&at);
    tokio::pin!(waiting);
    let early = tokio::time::timeout(Duration::from_millis(30), &mut waiting).await;
    assert!(early.is_err(), "it answered while time stood still");
    sandbox.advance_ms(2_000);
    let response = waiting.await.assert_status(200);
    assert_eq!(response["ok"], true);
    assert_eq!(response["state"], "started");
    assert_eq!(response["version"], machine["instance_id"]);
}

#[tokio::test]
async fn wait_times_out_with_408() {
    let sandbox = TestSandbox::with_options(|options| options.speed = 500.0).await;
    sandbox.create_app().await;
    let (_, path) = sandbox.create_machine(nginx_machine()).await;
    let got = sandbox
        .get(&format!("{path}/wait?state=stopped&timeout=5"))
        .await;
    got.assert_error(
        408,
        "deadline_exceeded: machine failed to reach desired state, stopped, currently started",
    );
}

#[tokio::test]
async fn wait_does_not_sleep_with_stepped_clock() {
    let sandbox =
        TestSandbox::with_options(|options| options.clock = trimtab_sandbox::ClockMode::Stepped)
            .await;
    sandbox.create_app().await;
    let (_, path) = sandbox.create_machine(nginx_machine()).await;
    sandbox
        .get(&format!("{path}/wait?state=settled"))
        .await
        .assert_status(200);
    sandbox
        .get(&format!("{path}/wait?state=suspended&timeout=30"))
        .await
        .assert_error(408, "currently started");
}

#[tokio::test]
async fn past_state_counts_and_destroyed_machine_is_gone() {
    let sandbox = TestSandbox::scripted().await;
    sandbox.create_app().await;
    let mut body = nginx_machine();
    body["skip_launch"] = true.into();
    body["config"]["restart"] = json!({ "policy": "no" });
    body["config"]["auto_destroy"] = true.into();
    let (_, path) = sandbox.create_machine(body).await;
    sandbox.advance_ms(1_000);
    sandbox
        .get(&format!("{path}/wait?state=stopped"))
        .await
        .assert_status(200);
    sandbox
        .post(&format!("{path}/start"), Value::Null)
        .await
        .assert_status(200);
    sandbox.advance_ms(10_000);
    sandbox
        .get(&format!("{path}/wait?state=destroyed"))
        .await
        .assert_status(200);
    sandbox
        .get(&format!("{path}/wait?state=started"))
        .await
        .assert_error(404, "not_found: machine not found");
    let machine = sandbox.get(&path).await.assert_status(200);
    let kinds: Vec<&str> = machine["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["type"].as_str().unwrap())
        .collect();
    assert_eq!(
        kinds,
        [
            "destroy", "destroy", "exit", "start", "start", "launch", "launch", "launch"
        ]
    );
    assert_eq!(
        machine["events"][2]["request"]["exit_event"]["exit_code"],
        0
    );
}

/// Fly says at once that a state cannot come anymore: flyctl's `machine wait` looks for "currently
/// replaced" and then waits for the new version.
#[tokio::test]
async fn impossible_state_conflicts_at_once() {
    let sandbox = TestSandbox::scripted().await;
    sandbox.create_app().await;
    let (machine, path) = sandbox.create_machine(nginx_machine()).await;
    sandbox.advance_ms(2_000);
    sandbox
        .post(&path, nginx_machine())
        .await
        .assert_status(200);
    let old = machine["instance_id"].as_str().unwrap();
    sandbox
        .get(&format!("{path}/wait?state=started&version={old}"))
        .await
        .assert_error(
            409,
            "machine failed to reach desired state, started, currently replaced",
        );
    sandbox.advance_ms(2_000);
    sandbox
        .delete(&format!("{path}?force=true"))
        .await
        .assert_status(200);
    sandbox
        .get(&format!("{path}/wait?state=started"))
        .await
        .assert_error(
            409,
            "machine failed to reach desired state, started, currently destroying",
        );
}

#[tokio::test]
async fn invalid_wait_is_rejected() {
    let sandbox = TestSandbox::scripted().await;
    sandbox.create_app().await;
    let (machine, path) = sandbox.create_machine(nginx_machine()).await;
    sandbox
        .get(&format!("{path}/wait?state=nonsense"))
        .await
        .assert_error(400, "invalid state");
    for timeout in ["0", "61", "-1"] {
        sandbox
            .get(&format!("{path}/wait?timeout={timeout}"))
            .await
            .assert_error(400, "value must be inside range [1s, 1m0s]");
    }
    sandbox
        .get("/v1/apps/web/machines/0000/wait")
        .await
        .assert_error(404, "not_found: machine not found");
    sandbox.advance_ms(2_000);
    let both = sandbox
        .get(&format!("{path}/wait?state=stopped&state=started"))
        .await
        .assert_status(200);
    assert_eq!(both["state"], "started");
    sandbox
        .post(&path, nginx_machine())
        .await
        .assert_status(200);
    let old = machine["instance_id"].as_str().unwrap();
    sandbox.advance_ms(1_000);
    sandbox
        .get(&format!("{path}/wait?state=stopped&instance_id={old}"))
        .await
        .assert_status(200);
}
