//! The states of a machine and their order.

use serde_json::{Value, json};

use crate::support::{TestSandbox, nginx_machine};

fn event_summaries(machine: &Value) -> Vec<String> {
    let events = machine["events"].as_array().unwrap();
    let show = |event: &Value| {
        let text = |key: &str| event[key].as_str().unwrap().to_owned();
        format!("{}/{}/{}", text("type"), text("status"), text("source"))
    };
    events.iter().rev().map(show).collect()
}

#[tokio::test]
async fn machine_is_created_and_starts() {
    let sandbox = TestSandbox::scripted().await;
    sandbox.create_app().await;
    let (machine, path) = sandbox.create_machine(nginx_machine()).await;
    assert_eq!(machine["state"], "created");
    sandbox.advance_ms(300);
    assert_eq!(sandbox.machine_state(&path).await, "starting");
    sandbox.advance_ms(1_000);
    let machine = sandbox.get(&path).await.assert_status(200);
    assert_eq!(machine["state"], "started");
    let expected = [
        "launch/pending/user",
        "launch/created/user",
        "start/starting/flyd",
        "start/started/flyd",
    ];
    assert_eq!(event_summaries(&machine), expected);
}

#[tokio::test]
async fn skip_launch_machine_ends_stopped() {
    let sandbox = TestSandbox::scripted().await;
    sandbox.create_app().await;
    let mut body = nginx_machine();
    body["skip_launch"] = true.into();
    let (_, path) = sandbox.create_machine(body).await;
    sandbox
        .post(&format!("{path}/start"), json!({}))
        .await
        .assert_error(
            412,
            "failed_precondition: unable to start machine from current state: 'created'",
        );
    sandbox.advance_ms(1_000);
    assert_eq!(sandbox.machine_state(&path).await, "stopped");
    let started = sandbox
        .post(&format!("{path}/start"), json!({}))
        .await
        .assert_status(200);
    assert_eq!(
        started,
        json!({ "previous_state": "stopped", "migrated": false, "new_host": "" })
    );
    sandbox.advance_ms(1_000);
    assert_eq!(sandbox.machine_state(&path).await, "started");
}

#[tokio::test]
async fn machine_name_is_unique_while_it_exists() {
    let sandbox = TestSandbox::scripted().await;
    sandbox.create_app().await;
    let mut body = nginx_machine();
    body["name"] = "one".into();
    let (machine, path) = sandbox.create_machine(body.clone()).await;
    let id = machine["id"].as_str().unwrap();
    sandbox
        .post("/v1/apps/web/machines", body.clone())
        .await
        .assert_error(409, &format!("machine ID {id} already exists"));
    sandbox.advance_ms(2_000);
    sandbox.delete(&path).await.assert_error(
        412,
        "unable to destroy machine from current state: 'started'",
    );
    sandbox
        .delete(&format!("{path}?force=true"))
        .await
        .assert_status(200);
    sandbox.advance_ms(1_000);
    sandbox.create_machine(body).await;
    assert_eq!(
        sandbox.get(&path).await.assert_status(200)["state"],
        "destroyed"
    );
    sandbox
        .delete(&path)
        .await
        .assert_error(404, "machine not found");
    assert_eq!(
        sandbox
            .get("/v1/apps/web/machines")
            .await
            .assert_status(200)
            .as_array()
            .unwrap()
            .len(),
        1
    );
    let all = sandbox
        .get("/v1/apps/web/machines?include_deleted=true")
        .await
        .assert_status(200);
    assert_eq!(all.as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn stop_suspend_and_restart_states() {
    let sandbox = TestSandbox::scripted().await;
    sandbox.create_app().await;
    let (_, path) = sandbox.create_machine(nginx_machine()).await;
    sandbox.advance_ms(2_000);
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
            .assert_status(200);
        assert_eq!(sandbox.machine_state(&path).await, during, "{action}");
        sandbox.advance_ms(2_000);
        assert_eq!(sandbox.machine_state(&path).await, after, "{action}");
    }
    sandbox
        .post(&format!("{path}/stop"), json!({ "signal": "SIGWRONG" }))
        .await
        .assert_error(400, "invalid signal");
}

#[tokio::test]
async fn failing_program_is_restarted_up_to_max_retries() {
    let sandbox = TestSandbox::scripted().await;
    sandbox.create_app().await;
    let rule = json!({ "match": { "image_contains": "bad" }, "behave": { "exit_code": 3, "after_ms": 100 } });
    sandbox.post_admin("rules", rule).await;
    let restart = json!({ "policy": "on-failure", "max_retries": 2 });
    let (_, path) = sandbox
        .create_machine(json!({ "config": { "image": "bad:1", "restart": restart } }))
        .await;
    sandbox.advance_ms(60_000);
    let machine = sandbox.get(&path).await.assert_status(200);
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
async fn scheduled_machine_runs_once_per_period() {
    let sandbox = TestSandbox::scripted().await;
    sandbox.create_app().await;
    let mut body = nginx_machine();
    body["config"]["schedule"] = "hourly".into();
    let (_, path) = sandbox.create_machine(body).await;
    sandbox.advance_ms(5_000);
    assert_eq!(sandbox.machine_state(&path).await, "stopped");
    sandbox
        .post(&format!("{path}/start"), json!({}))
        .await
        .assert_error(412, "scheduled");
    sandbox.advance_ms(3 * 3_600_000);
    let machine = sandbox.get(&path).await.assert_status(200);
    let exits = machine["events"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|event| event["type"] == "exit")
        .count();
    assert_eq!((machine["state"].as_str(), exits), (Some("stopped"), 4));
}

#[tokio::test]
async fn checks_follow_rule_after_grace_period() {
    let sandbox = TestSandbox::scripted().await;
    sandbox.create_app().await;
    let check = json!({ "type": "http", "port": 80, "path": "/up", "grace_period": "10s" });
    let service = json!({ "protocol": "tcp", "internal_port": 80, "checks": [{ "type": "tcp" }] });
    let config = json!({ "image": "nginx", "checks": { "up": check }, "services": [service] });
    let (_, path) = sandbox.create_machine(json!({ "config": config })).await;
    let checks = async || {
        let machine = sandbox.get(&path).await.assert_status(200);
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
    sandbox.advance_ms(1_500);
    assert_eq!(
        checks().await,
        ["up=critical", "servicecheck-00-tcp-80=critical"]
    );
    sandbox.advance_ms(1_000);
    assert_eq!(
        checks().await,
        ["up=passing", "servicecheck-00-tcp-80=passing"]
    );
    sandbox
        .post_admin(
            "rules",
            json!({ "behave": { "checks": "critical", "check_output": "no" } }),
        )
        .await;
    sandbox.advance_ms(10_000);
    assert_eq!(
        checks().await,
        ["up=critical", "servicecheck-00-tcp-80=critical"]
    );
}

#[tokio::test]
async fn job_ends_under_rule_about_something_else() {
    let sandbox = TestSandbox::scripted().await;
    sandbox.create_app().await;
    let rule = json!({ "match": { "image_contains": "nginx" }, "behave": { "checks": "critical", "logs": ["hi"] } });
    sandbox.post_admin("rules", rule).await;
    let config = json!({ "image": "nginx:1", "auto_destroy": true, "restart": { "policy": "no" } });
    let (_, path) = sandbox.create_machine(json!({ "config": config })).await;
    sandbox.advance_ms(10_000);
    let machine = sandbox.get(&path).await.assert_status(200);
    assert_eq!(machine["state"], "destroyed");
    let exit = machine["events"]
        .as_array()
        .unwrap()
        .iter()
        .find(|event| event["type"] == "exit")
        .unwrap();
    assert_eq!(exit["request"]["exit_event"]["exit_code"], 0);
    // A rule can still keep a job running.
    let rule = json!({ "behave": { "after_ms": 3_600_000 } });
    sandbox.post_admin("rules", rule).await;
    let (_, path) = sandbox.create_machine(json!({ "config": config })).await;
    sandbox.advance_ms(60_000);
    assert_eq!(sandbox.machine_state(&path).await, "started");
}
