//! `wait` blocks, answers, and gives up.

use std::time::Duration;

use serde_json::{Value, json};

use crate::kit::{Box, nginx};

#[tokio::test]
async fn it_blocks_until_the_state_is_there() {
    let sandbox = Box::scripted().await;
    sandbox.app().await;
    let (machine, path) = sandbox.machine(nginx()).await;
    let at = format!("{path}/wait?state=started&timeout=60");
    let waiting = sandbox.get(&at);
    tokio::pin!(waiting);
    let early = tokio::time::timeout(Duration::from_millis(30), &mut waiting).await;
    assert!(early.is_err(), "it answered while time stood still");
    sandbox.pass(2_000);
    let answer = waiting.await.is(200);
    assert_eq!(answer["ok"], true);
    assert_eq!(answer["state"], "started");
    assert_eq!(answer["version"], machine["instance_id"]);
}

#[tokio::test]
async fn it_gives_up_with_408_and_says_what_is() {
    let sandbox = Box::with(|options| options.speed = 500.0).await;
    sandbox.app().await;
    let (_, path) = sandbox.machine(nginx()).await;
    let got = sandbox
        .get(&format!("{path}/wait?state=stopped&timeout=5"))
        .await;
    got.refused(
        408,
        "deadline_exceeded: machine failed to reach desired state, stopped, currently started",
    );
}

#[tokio::test]
async fn in_stepped_time_it_never_sleeps() {
    let sandbox = Box::with(|options| options.clock = trimtab_sandbox::ClockMode::Stepped).await;
    sandbox.app().await;
    let (_, path) = sandbox.machine(nginx()).await;
    sandbox
        .get(&format!("{path}/wait?state=settled"))
        .await
        .is(200);
    sandbox
        .get(&format!("{path}/wait?state=suspended&timeout=30"))
        .await
        .refused(408, "currently started");
}

#[tokio::test]
async fn a_state_that_came_and_went_still_counts_and_a_destroyed_machine_is_gone() {
    let sandbox = Box::scripted().await;
    sandbox.app().await;
    let mut body = nginx();
    body["skip_launch"] = true.into();
    body["config"]["restart"] = json!({ "policy": "no" });
    body["config"]["auto_destroy"] = true.into();
    let (_, path) = sandbox.machine(body).await;
    sandbox.pass(1_000);
    sandbox
        .get(&format!("{path}/wait?state=stopped"))
        .await
        .is(200);
    sandbox
        .post(&format!("{path}/start"), Value::Null)
        .await
        .is(200);
    sandbox.pass(10_000);
    sandbox
        .get(&format!("{path}/wait?state=destroyed"))
        .await
        .is(200);
    sandbox
        .get(&format!("{path}/wait?state=started"))
        .await
        .refused(404, "not_found: machine not found");
    let machine = sandbox.get(&path).await.is(200);
    let kinds: Vec<&str> = machine["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["type"].as_str().unwrap())
        .collect();
    assert_eq!(
        kinds,
        [
            "destroy", "destroy", "exit", "start", "start", "launch", "launch"
        ]
    );
    assert_eq!(
        machine["events"][2]["request"]["exit_event"]["exit_code"],
        0
    );
}

#[tokio::test]
async fn what_cannot_be_waited_for_is_refused() {
    let sandbox = Box::scripted().await;
    sandbox.app().await;
    let (machine, path) = sandbox.machine(nginx()).await;
    sandbox
        .get(&format!("{path}/wait?state=nonsense"))
        .await
        .refused(400, "invalid state");
    sandbox
        .get("/v1/apps/web/machines/0000/wait")
        .await
        .refused(404, "not_found: machine not found");
    sandbox.pass(2_000);
    let both = sandbox
        .get(&format!("{path}/wait?state=stopped&state=started"))
        .await
        .is(200);
    assert_eq!(both["state"], "started");
    sandbox.post(&path, nginx()).await.is(200);
    let old = machine["instance_id"].as_str().unwrap();
    sandbox.pass(1_000);
    sandbox
        .get(&format!("{path}/wait?state=stopped&instance_id={old}"))
        .await
        .is(200);
}
