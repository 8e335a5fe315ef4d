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
    let expected = [
        "launch/created/user",
        "start/starting/flyd",
        "start/started/flyd",
    ];
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
        .refused(
            412,
            "failed_precondition: unable to start machine from current state: 'created'",
        );
    sandbox.pass(1_000);
    assert_eq!(sandbox.state(&path).await, "stopped");
    let started = sandbox
        .post(&format!("{path}/start"), json!({}))
        .await
        .is(200);
    assert_eq!(
        started,
        json!({ "previous_state": "stopped", "migrated": false, "new_host": "" })
    );
    sandbox.pass(1_000);
    assert_eq!(sandbox.state(&path).await, "started");
}

#[tokio::test]
async fn a_name_belongs_to_one_living_machine() {
    let sandbox = Box::scripted().await;
    sandbox.app().await;
    let mut body = nginx();
    body["name"] = "one".into();
    let (machine, path) = sandbox.machine(body.clone()).await;
    let id = machine["id"].as_str().unwrap();
    sandbox
        .post("/v1/apps/web/machines", body.clone())
        .await
        .refused(409, &format!("machine ID {id} already exists"));
    sandbox.pass(2_000);
    sandbox.delete(&path).await.refused(
        412,
        "unable to destroy machine from current state: 'started'",
    );
    sandbox.delete(&format!("{path}?force=true")).await.is(200);
    sandbox.pass(1_000);
    sandbox.machine(body).await;
    assert_eq!(sandbox.get(&path).await.is(200)["state"], "destroyed");
    sandbox
        .delete(&path)
        .await
        .refused(404, "machine not found");
    assert_eq!(
        sandbox
            .get("/v1/apps/web/machines")
            .await
            .is(200)
            .as_array()
            .unwrap()
            .len(),
        1
    );
    let all = sandbox
        .get("/v1/apps/web/machines?include_deleted=true")
        .await
        .is(200);
    assert_eq!(all.as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn stop_suspend_and_restart_pass_through_their_states() {
    let sandbox = Box::scripted().await;
    sandbox.app().await;
    let (_, path) = sandbox.machine(nginx()).await;
    sandbox.pass(2_000);
    for (action, during, after) in [
        ("suspend", "suspending", "suspended"),
        ("start", "starting", "started"),
        ("restart", "restarting", "started"),
        ("stop", "stopping", "stopped"),
        ("stop", "stopped", "stopped"),
        ("start", "starting", "started"),
    ] {
        sandbox
            .post(&format!("{path}/{action}"), json!({}))
            .await
            .is(200);
        assert_eq!(sandbox.state(&path).await, during, "{action}");
        sandbox.pass(2_000);
        assert_eq!(sandbox.state(&path).await, after, "{action}");
    }
    sandbox
        .post(&format!("{path}/stop"), json!({ "signal": "SIGWRONG" }))
        .await
        .refused(400, "invalid signal");
}

#[tokio::test]
async fn a_failing_program_is_restarted_until_its_retries_are_used_up() {
    let sandbox = Box::scripted().await;
    sandbox.app().await;
    let rule = json!({ "match": { "image_contains": "bad" }, "behave": { "exit_code": 3, "after_ms": 100 } });
    sandbox.admin("rules", rule).await;
    let restart = json!({ "policy": "on-failure", "max_retries": 2 });
    let (_, path) = sandbox
        .machine(json!({ "config": { "image": "bad:1", "restart": restart } }))
        .await;
    sandbox.pass(60_000);
    let machine = sandbox.get(&path).await.is(200);
    assert_eq!(machine["state"], "stopped");
    let exits: Vec<&Value> = machine["events"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|event| event["type"] == "exit")
        .collect();
    assert_eq!(exits.len(), 3);
    assert_eq!(exits[0]["request"]["restart_count"], 2);
    assert_eq!(exits[0]["request"]["exit_event"]["restarting"], false);
    assert_eq!(exits[1]["request"]["exit_event"]["restarting"], true);
    assert_eq!(exits[1]["request"]["exit_event"]["exit_code"], 3);
    assert!(exits[0]["request"]["exit_event"]["exited_at"].is_string());
}

#[tokio::test]
async fn a_scheduled_machine_runs_once_a_period_and_not_by_hand() {
    let sandbox = Box::scripted().await;
    sandbox.app().await;
    let mut body = nginx();
    body["config"]["schedule"] = "hourly".into();
    let (_, path) = sandbox.machine(body).await;
    sandbox.pass(5_000);
    assert_eq!(sandbox.state(&path).await, "stopped");
    sandbox
        .post(&format!("{path}/start"), json!({}))
        .await
        .refused(412, "scheduled");
    sandbox.pass(3 * 3_600_000);
    let machine = sandbox.get(&path).await.is(200);
    let exits = machine["events"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|event| event["type"] == "exit")
        .count();
    assert_eq!((machine["state"].as_str(), exits), (Some("stopped"), 4));
}

#[tokio::test]
async fn checks_pass_or_not_as_the_rule_says_after_the_grace_period() {
    let sandbox = Box::scripted().await;
    sandbox.app().await;
    let check = json!({ "type": "http", "port": 80, "path": "/up", "grace_period": "10s" });
    let service = json!({ "protocol": "tcp", "internal_port": 80, "checks": [{ "type": "tcp" }] });
    let config = json!({ "image": "nginx", "checks": { "up": check }, "services": [service] });
    let (_, path) = sandbox.machine(json!({ "config": config })).await;
    let checks = async || {
        let machine = sandbox.get(&path).await.is(200);
        let show = |check: &Value| {
            format!(
                "{}={}",
                check["name"].as_str().unwrap(),
                check["status"].as_str().unwrap()
            )
        };
        machine["checks"]
            .as_array()
            .unwrap()
            .iter()
            .map(show)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        checks().await,
        ["up=warning", "servicecheck-00-tcp-80=warning"]
    );
    sandbox.pass(1_500);
    assert_eq!(
        checks().await,
        ["up=critical", "servicecheck-00-tcp-80=critical"]
    );
    sandbox.pass(1_000);
    assert_eq!(
        checks().await,
        ["up=passing", "servicecheck-00-tcp-80=passing"]
    );
    sandbox
        .admin(
            "rules",
            json!({ "behave": { "checks": "critical", "check_output": "no" } }),
        )
        .await;
    sandbox.pass(10_000);
    assert_eq!(
        checks().await,
        ["up=critical", "servicecheck-00-tcp-80=critical"]
    );
}
