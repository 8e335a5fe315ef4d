//! The state folder: what it remembers, who may use it, and what it says when it is broken.

use serde_json::{Value, json};
use trimtab_sandbox::{ClockMode, Options, StartError, start};

use crate::kit::{Box, nginx};

#[tokio::test]
async fn everything_survives_a_restart_and_time_goes_on() {
    let sandbox = Box::scripted().await;
    sandbox.app().await;
    sandbox
        .post("/v1/apps/web/secrets", json!({ "values": { "A": "1" } }))
        .await
        .is(200);
    let (machine, path) = sandbox.machine(nginx()).await;
    let token = sandbox.token.clone();
    let sandbox = sandbox
        .again(|options| options.clock = ClockMode::Scripted)
        .await;
    assert_eq!(sandbox.token, token);
    assert_eq!(sandbox.state(&path).await, "created");
    sandbox.pass(2_000);
    let after = sandbox.get(&path).await.is(200);
    assert_eq!(after["state"], "started");
    assert_eq!(after["created_at"], machine["created_at"]);
    let secrets = sandbox.get("/v1/apps/web/secrets").await.is(200);
    assert_eq!(secrets["secrets"][0]["name"], "A");
}

#[tokio::test]
async fn what_was_answered_is_on_the_disk_already() {
    let sandbox = Box::scripted().await;
    sandbox.app().await;
    let (machine, _) = sandbox.machine(nginx()).await;
    let read = |name: &str| -> Value {
        let text = std::fs::read_to_string(sandbox.dir.path().join(name)).unwrap();
        serde_json::from_str(&text).unwrap()
    };
    let app = read("apps/web.json");
    assert!(
        app["machines"]
            .get(machine["id"].as_str().unwrap())
            .is_some()
    );
    assert_eq!(read("server.json")["url"], sandbox.running.url());
    sandbox.delete("/v1/apps/web").await;
    assert!(!sandbox.dir.path().join("apps/web.json").exists());
    let left = std::fs::read_dir(sandbox.dir.path())
        .unwrap()
        .filter_map(Result::ok);
    let names: Vec<String> = left
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    assert!(
        names.iter().all(|name| !name.ends_with(".new")),
        "{names:?}"
    );
}

#[tokio::test]
async fn a_folder_is_served_once() {
    let sandbox = Box::scripted().await;
    let second = start(Options::new(sandbox.dir.path())).await;
    let Err(StartError::InUse { url }) = second else {
        panic!("{second:?}")
    };
    assert_eq!(url, sandbox.running.url());
}

#[tokio::test]
async fn a_broken_file_is_named() {
    let dir = tempfile::TempDir::new().unwrap();
    std::fs::create_dir(dir.path().join("apps")).unwrap();
    std::fs::write(dir.path().join("apps/web.json"), "{").unwrap();
    let error = start(Options::new(dir.path())).await.unwrap_err();
    assert!(error.to_string().contains("web.json"), "{error}");
}

#[tokio::test]
async fn it_only_listens_where_nobody_else_reaches_it() {
    let dir = tempfile::TempDir::new().unwrap();
    let mut options = Options::new(dir.path());
    options.listen = "0.0.0.0:0".parse().unwrap();
    assert!(matches!(
        start(options).await,
        Err(StartError::NotLoopback(_))
    ));
}

#[tokio::test]
async fn the_same_seed_and_requests_give_the_same_answers() {
    let run = async |seed| {
        let sandbox = Box::with(|options| {
            options.clock = ClockMode::Scripted;
            options.seed = seed;
        })
        .await;
        sandbox.app().await;
        sandbox.machine(nginx()).await.0
    };
    assert_eq!(run(1).await, run(1).await);
    assert_ne!(run(1).await["id"], run(2).await["id"]);
}

#[tokio::test]
async fn real_time_goes_on_while_nobody_serves_and_never_back() {
    // A thousand times faster: starting anew takes long enough for a boot.
    let fast = |options: &mut Options| options.speed = 1_000.0;
    let sandbox = Box::with(fast).await;
    sandbox.app().await;
    let (_, path) = sandbox.machine(nginx()).await;
    let before = sandbox.get("/_sandbox/clock").await.is(200)["now_ms"].as_i64();
    let sandbox = sandbox.again(fast).await;
    let after = sandbox.get("/_sandbox/clock").await.is(200)["now_ms"].as_i64();
    assert!(after >= before, "{before:?} {after:?}");
    sandbox
        .get(&format!("{path}/wait?state=started"))
        .await
        .is(200);
}

#[tokio::test]
async fn of_many_that_want_one_name_one_gets_it() {
    let sandbox = Box::with(|options| options.speed = 1_000.0).await;
    sandbox.app().await;
    let mut body = nginx();
    body["name"] = "one".into();
    let launch = async |_: usize| {
        sandbox
            .post("/v1/apps/web/machines", body.clone())
            .await
            .status
    };
    let statuses = futures_util::future::join_all((0..8).map(launch)).await;
    assert_eq!(
        statuses.iter().filter(|status| **status == 200).count(),
        1,
        "{statuses:?}"
    );
    assert!(
        statuses
            .iter()
            .all(|status| matches!(status, 200 | 409 | 429)),
        "{statuses:?}"
    );
}
