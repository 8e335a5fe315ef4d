//! Updates of machines: the events that tell when the new version started.

use serde_json::{Value, json};

use crate::support::{TestSandbox, nginx_machine};

/// The events of a machine, oldest first, as `type/status/source`.
async fn events(sandbox: &TestSandbox, path: &str) -> Vec<String> {
    let machine = sandbox.get(path).await.assert_status(200);
    let show = |event: &Value| {
        let text = |key: &str| event[key].as_str().unwrap().to_owned();
        format!("{}/{}/{}", text("type"), text("status"), text("source"))
    };
    let events = machine["events"].as_array().unwrap();
    events.iter().rev().map(show).collect()
}

/// When flyctl counts the machine's uptime from: `MostRecentStartTimeAfterLaunch` of fly-go. The newest
/// `start`, unless a `launch` or an `exit` is newer.
async fn uptime_since(sandbox: &TestSandbox, path: &str) -> Option<i64> {
    let machine = sandbox.get(path).await.assert_status(200);
    let events = machine["events"].as_array().unwrap();
    let (mut start, mut launch, mut exit) = (None, None, None);
    for (index, event) in events.iter().enumerate() {
        match event["type"].as_str().unwrap() {
            "start" => start = Some(index),
            "launch" => launch = Some(index),
            "exit" => exit = Some(index),
            _ => {}
        }
        if start.is_some() && launch.is_some() {
            break;
        }
    }
    let start = start?;
    let newer = |other: Option<usize>| other.is_some_and(|other| other <= start);
    (!newer(launch) && !newer(exit)).then(|| events[start]["timestamp"].as_i64().unwrap())
}

async fn update(sandbox: &TestSandbox, path: &str, body: Value) {
    sandbox.post(path, body).await.assert_status(200);
    sandbox.advance_ms(2_000);
}

/// superfly/fly-go has the order exit, launch, start as a case of its test of
/// `MostRecentStartTimeAfterLaunch`.
#[tokio::test]
async fn update_ends_old_version_and_launches_new_one() {
    let sandbox = TestSandbox::scripted().await;
    sandbox.create_app().await;
    let (_, path) = sandbox.create_machine(nginx_machine()).await;
    sandbox.advance_ms(60_000);
    let before = uptime_since(&sandbox, &path).await.unwrap();
    let first = [
        "launch/pending/user",
        "launch/created/user",
        "start/starting/flyd",
        "start/started/flyd",
    ];
    assert_eq!(events(&sandbox, &path).await, first);
    update(&sandbox, &path, nginx_machine()).await;
    let second = [
        "update/replacing/user",
        "exit/stopped/flyd",
        "update/replaced/flyd",
        "launch/created/user",
        "start/starting/flyd",
        "start/started/flyd",
    ];
    let all = events(&sandbox, &path).await;
    assert_eq!(all[first.len()..], second);
    let machine = sandbox.get(&path).await.assert_status(200);
    let exit = &machine["events"][4]["request"]["exit_event"];
    assert_eq!(
        (
            &exit["requested_stop"],
            &exit["exit_code"],
            &exit["restarting"]
        ),
        (&json!(true), &json!(0), &json!(false))
    );
    let after = uptime_since(&sandbox, &path).await.unwrap();
    assert!(after >= before + 60_000, "{before} {after}");
}

#[tokio::test]
async fn crash_after_update_leaves_no_uptime() {
    let sandbox = TestSandbox::scripted().await;
    sandbox.create_app().await;
    let rule = json!({ "match": { "image_contains": "crash" }, "behave": { "exit_code": 1, "after_ms": 300 } });
    sandbox.post_admin("rules", rule).await;
    let (_, path) = sandbox.create_machine(nginx_machine()).await;
    sandbox.advance_ms(60_000);
    let restart = json!({ "policy": "on-failure", "max_retries": 3 });
    let body = json!({ "config": { "image": "crash:1", "restart": restart } });
    update(&sandbox, &path, body).await;
    sandbox.advance_ms(2_000);
    let machine = sandbox.get(&path).await.assert_status(200);
    let newest = machine["events"]
        .as_array()
        .unwrap()
        .iter()
        .find(|event| event["type"] == "exit")
        .unwrap();
    // What flyctl's smoke checks call a crash loop.
    assert_eq!(newest["request"]["exit_event"]["restarting"], true);
    assert!(newest["request"]["restart_count"].as_i64().unwrap() > 1);
    sandbox.advance_ms(60_000);
    assert_eq!(sandbox.machine_state(&path).await, "stopped");
    assert_eq!(uptime_since(&sandbox, &path).await, None);
}

#[tokio::test]
async fn update_of_stopped_machine_has_no_exit() {
    let sandbox = TestSandbox::scripted().await;
    sandbox.create_app().await;
    let mut body = nginx_machine();
    body["skip_launch"] = true.into();
    let (_, path) = sandbox.create_machine(body.clone()).await;
    sandbox.advance_ms(1_000);
    update(&sandbox, &path, body).await;
    let expected = [
        "launch/pending/user",
        "launch/created/user",
        "launch/stopped/flyd",
        "update/replacing/user",
        "update/replaced/flyd",
        "launch/created/user",
        "update/stopped/flyd",
    ];
    assert_eq!(events(&sandbox, &path).await, expected);
}

#[tokio::test]
async fn second_update_ends_old_version_once() {
    let sandbox = TestSandbox::scripted().await;
    sandbox.create_app().await;
    let (_, path) = sandbox.create_machine(nginx_machine()).await;
    sandbox.advance_ms(2_000);
    sandbox
        .post(&path, nginx_machine())
        .await
        .assert_status(200);
    update(&sandbox, &path, nginx_machine()).await;
    let all = events(&sandbox, &path).await;
    let exits = all.iter().filter(|event| event.starts_with("exit/"));
    assert_eq!(exits.count(), 1, "{all:?}");
}
