//! The state folder: durability, exclusive use, and errors about broken files.

use serde_json::{Value, json};
use trimtab_sandbox::{ClockMode, SandboxOptions, StartError, start};

use crate::support::{TestSandbox, nginx_machine};

#[tokio::test]
async fn state_survives_restart() {
    let sandbox = TestSandbox::scripted().await;
    sandbox.create_app().await;
    sandbox
        .post("/v1/apps/web/secrets", json!({ "values": { "A": "1" } }))
        .await
        .assert_status(200);
    let (machine, path) = sandbox.create_machine(nginx_machine()).await;
    let token = sandbox.token.clone();
    let sandbox = sandbox
        .restart(|options| options.clock = ClockMode::Manual)
        .await;
    assert_eq!(sandbox.token, token);
    assert_eq!(sandbox.machine_state(&path).await, "created");
    sandbox.advance_ms(2_000);
    let after = sandbox.get(&path).await.assert_status(200);
    assert_eq!(after["state"], "started");
    assert_eq!(after["created_at"], machine["created_at"]);
    let secrets = sandbox.get("/v1/apps/web/secrets").await.assert_status(200);
    assert_eq!(secrets["secrets"][0]["name"], "A");
}

#[tokio::test]
async fn responses_follow_durable_writes() {
    let sandbox = TestSandbox::scripted().await;
    sandbox.create_app().await;
    let (machine, _) = sandbox.create_machine(nginx_machine()).await;
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
async fn state_folder_is_locked() {
    let sandbox = TestSandbox::scripted().await;
    let second = start(SandboxOptions::new(sandbox.dir.path())).await;
    let Err(StartError::InUse { url }) = second else {
        panic!("{second:?}")
    };
    assert_eq!(url, sandbox.running.url());
}

#[tokio::test]
async fn corrupt_file_is_named() {
    let dir = tempfile::TempDir::new().unwrap();
    std::fs::create_dir(dir.path().join("apps")).unwrap();
    std::fs::write(dir.path().join("apps/web.json"), "{").unwrap();
    let error = start(SandboxOptions::new(dir.path())).await.unwrap_err();
    assert!(error.to_string().contains("web.json"), "{error}");
}

#[cfg(unix)]
#[tokio::test]
async fn existing_folder_keeps_its_mode() {
    use std::os::unix::fs::PermissionsExt as _;
    let mode =
        |path: std::path::PathBuf| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let dir = tempfile::TempDir::new().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    for folder in [dir.path().to_owned(), dir.path().join("new/state")] {
        let running = start(SandboxOptions::new(&folder)).await.unwrap();
        running.org_token("acme").unwrap();
        // What contains secrets is private, whatever the folder is.
        assert_eq!(mode(folder.join("world.json")), 0o600);
        assert_eq!(mode(folder.join("server.json")), 0o600);
        assert_eq!(mode(folder.join("apps")), 0o700);
        assert_eq!(mode(folder.join("aws")), 0o700);
        running.stop().await;
    }
    assert_eq!(mode(dir.path().to_owned()), 0o755);
    assert_eq!(mode(dir.path().join("new/state")), 0o700);
}

#[tokio::test]
async fn folder_of_something_else_is_refused() {
    let dir = tempfile::TempDir::new().unwrap();
    std::fs::write(dir.path().join("README.md"), "mine").unwrap();
    let error = start(SandboxOptions::new(dir.path())).await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("is not empty and holds no sandbox"),
        "{error}"
    );
    let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

#[tokio::test]
async fn only_loopback_addresses_are_allowed() {
    let dir = tempfile::TempDir::new().unwrap();
    let mut options = SandboxOptions::new(dir.path());
    options.listen = "0.0.0.0:0".parse().unwrap();
    assert!(matches!(
        start(options).await,
        Err(StartError::NotLoopback(_))
    ));
}

#[tokio::test]
async fn same_seed_gives_same_responses() {
    let run = async |seed| {
        let sandbox = TestSandbox::with_options(|options| {
            options.clock = ClockMode::Manual;
            options.seed = seed;
        })
        .await;
        sandbox.create_app().await;
        sandbox.create_machine(nginx_machine()).await.0
    };
    assert_eq!(run(1).await, run(1).await);
    assert_ne!(run(1).await["id"], run(2).await["id"]);
}

#[tokio::test]
async fn clock_is_monotonic_across_restarts() {
    // A thousand times faster, so that restarting takes longer than a boot.
    let fast = |options: &mut SandboxOptions| options.speed = 1_000.0;
    let sandbox = TestSandbox::with_options(fast).await;
    sandbox.create_app().await;
    let (_, path) = sandbox.create_machine(nginx_machine()).await;
    let before = sandbox.get("/_sandbox/clock").await.assert_status(200)["now_ms"].as_i64();
    let sandbox = sandbox.restart(fast).await;
    let after = sandbox.get("/_sandbox/clock").await.assert_status(200)["now_ms"].as_i64();
    assert!(after >= before, "{before:?} {after:?}");
    sandbox
        .get(&format!("{path}/wait?state=started"))
        .await
        .assert_status(200);
}

#[tokio::test]
async fn concurrent_creates_of_name_have_one_winner() {
    let sandbox = TestSandbox::with_options(|options| options.speed = 1_000.0).await;
    sandbox.create_app().await;
    let mut body = nginx_machine();
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
