//! The states of a machine, as documented and in order.

use serde_json::{Value, json};

use crate::kit::{Box, nginx};

fn events(machine: &Value) -> Vec<String> {
    let events = machine["events"].as_array().unwrap();
    let show = |event: &Value| {
        let text = |key: &str| event[key].as_str().unwrap().to_owned();
        format!("{}/{}/{}", text("type"), text("status"), text("source"))
    };
    events.iter().rev().map(show).collect()
}

#[tokio::test]
async fn a_machine_is_created_boots_and_runs() {
    let sandbox = Box::scripted().await;
    sandbox.app().await;
    let (machine, path) = sandbox.machine(nginx()).await;
    assert_eq!(machine["state"], "created");
    sandbox.pass(300);
    assert_eq!(sandbox.state(&path).await, "starting");
    sandbox.pass(1_000);
    let machine = sandbox.get(&path).await.is(200);
    assert_eq!(machine["state"], "started");
    let expected = ["launch/created/user", "start/starting/flyd", "start/started/flyd"];
    assert_eq!(events(&machine), expected);
}

#[tokio::test]
async fn a_machine_that_is_not_launched_ends_stopped_and_cannot_be_started_before() {
    let sandbox = Box::scripted().await;
    sandbox.app().await;
    let mut body = nginx();
    body["skip_launch"] = true.into();
    let (_, path) = sandbox.machine(body).await;
    sandbox
        .post(&format!("{path}/start"), json!({}))
        .await
        .refused(412, "failed_precondition: unable to start machine from current state: 'created'");
    sandbox.pass(1_000);
    assert_eq!(sandbox.state(&path).await, "stopped");
    let started = sandbox.post(&format!("{path}/start"), json!({})).await.is(200);
    assert_eq!(started, json!({ "previous_state": "stopped", "migrated": false, "new_host": "" }));
    sandbox.pass(1_000);
    assert_eq!(sandbox.state(&path).await, "started");
}
