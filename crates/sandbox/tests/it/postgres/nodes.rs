//! Nodes: what they need to boot, how they find their cluster, and what is on their volumes.

use serde_json::{Value, json};

use super::support::{
    READY_MS, admin, check, create_app, create_cluster, create_node, create_volume, login,
    node_config, passwords, run_script, send_script, set_secrets,
};
use crate::support::TestSandbox;

/// The exit codes in the events of a machine, newest first.
async fn exit_codes(sandbox: &TestSandbox, path: &str) -> Vec<i64> {
    let machine = sandbox.get(path).await.assert_status(200);
    let events = machine["events"].as_array().unwrap();
    let exits = events.iter().filter(|event| event["type"] == "exit");
    exits
        .map(|event| {
            event["request"]["exit_event"]["exit_code"]
                .as_i64()
                .unwrap()
        })
        .collect()
}

async fn logs(sandbox: &TestSandbox) -> String {
    sandbox.get("/api/v1/apps/db/logs").await.text
}

#[tokio::test]
async fn first_node_becomes_primary_after_delay() {
    let sandbox = TestSandbox::scripted().await;
    create_app(&sandbox).await;
    set_secrets(&sandbox).await;
    let volume = create_volume(&sandbox).await;
    let path = create_node(&sandbox, node_config(&volume)).await;
    sandbox.advance_ms(2_000);
    assert_eq!(sandbox.machine_state(&path).await, "started");
    for name in ["role", "pg"] {
        assert!(check(&sandbox, &path, name).await.starts_with("critical: "));
    }
    let early = send_script(&sandbox, &path, "SELECT 1;")
        .await
        .assert_status(200);
    assert_eq!(early["exit_code"], 2);
    sandbox.advance_ms(READY_MS);
    assert_eq!(check(&sandbox, &path, "role").await, "passing: primary");
    assert!(
        check(&sandbox, &path, "pg")
            .await
            .starts_with("passing: [✓] connections")
    );
    assert!(
        check(&sandbox, &path, "vm")
            .await
            .starts_with("passing: [✓] checkDisk")
    );
    let machine = sandbox.get(&path).await.assert_status(200);
    assert_eq!(machine["image_ref"]["labels"]["fly.version"], "v0.2.0");
    assert_eq!(machine["image_ref"]["labels"]["fly.pg-version"], "17.7");
}

/// The image panics without what it needs, and the restart policy decides how often.
#[tokio::test]
async fn node_without_what_it_needs_does_not_boot() {
    let missing = [
        ("SU_PASSWORD", "SU_PASSWORD is required"),
        ("OPERATOR_PASSWORD", "OPERATOR_PASSWORD is required"),
        ("REPL_PASSWORD", "REPL_PASSWORD is required"),
        ("FLY_CONSUL_URL", "consul token not set"),
        (
            "PRIMARY_REGION",
            "PRIMARY_REGION environment variable must be set",
        ),
        ("mounts", "failed to set /data ownership"),
    ];
    for (name, message) in missing {
        let sandbox = TestSandbox::scripted().await;
        create_app(&sandbox).await;
        set_secrets(&sandbox).await;
        let volume = create_volume(&sandbox).await;
        let mut config = node_config(&volume);
        config["env"].as_object_mut().unwrap().remove(name);
        config.as_object_mut().unwrap().remove(name);
        let unset = json!({ "values": { name: null } });
        sandbox
            .post("/v1/apps/db/secrets", unset)
            .await
            .assert_status(200);
        let path = create_node(&sandbox, config).await;
        sandbox.advance_ms(60_000);
        assert_eq!(sandbox.machine_state(&path).await, "stopped", "{name}");
        assert_eq!(exit_codes(&sandbox, &path).await, [2, 2, 2], "{name}");
        let logs = logs(&sandbox).await;
        assert!(logs.contains(message), "{message}: {logs}");
    }
}

#[tokio::test]
async fn later_node_copies_primary() {
    let sandbox = TestSandbox::scripted().await;
    let (primary, _) = create_cluster(&sandbox).await;
    run_script(&sandbox, &primary, "CREATE ROLE web LOGIN;").await;
    let volume = create_volume(&sandbox).await;
    let replica = create_node(&sandbox, node_config(&volume)).await;
    sandbox.advance_ms(20_000);
    assert_eq!(check(&sandbox, &replica, "role").await, "passing: replica");
    assert_eq!(check(&sandbox, &primary, "role").await, "passing: primary");
    let query =
        "SELECT pg_is_in_recovery(), count(*) FROM pg_roles WHERE rolname IN ('web', 'late');";
    assert_eq!(run_script(&sandbox, &replica, query).await, "t|1\n");
    let refused = send_script(&sandbox, &replica, "CREATE ROLE x;").await;
    let refused = refused.assert_status(200);
    assert_eq!(refused["exit_code"], 3);
    assert_eq!(
        refused["stderr"],
        "psql:<stdin>:1: ERROR:  cannot execute CREATE ROLE in a read-only transaction\n"
    );
    // It receives changes while it runs, and its slot keeps them while it does not.
    run_script(&sandbox, &primary, "CREATE ROLE late;").await;
    assert_eq!(run_script(&sandbox, &replica, query).await, "t|2\n");
    let streaming = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming' AND \
                     pg_wal_lsn_diff(sent_lsn, replay_lsn) < 16e6;";
    assert_eq!(run_script(&sandbox, &primary, streaming).await, "1\n");
    sandbox
        .post(&format!("{replica}/stop"), json!({}))
        .await
        .assert_status(200);
    sandbox.advance_ms(2_000);
    run_script(&sandbox, &primary, "CREATE ROLE later;").await;
    let slots = "SELECT active, pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn) > 0 FROM pg_replication_slots;";
    assert_eq!(run_script(&sandbox, &primary, slots).await, "f|t\n");
    assert_eq!(run_script(&sandbox, &primary, streaming).await, "0\n");
}

/// A client must wait for the check `role` of the first node before it creates the second one.
#[tokio::test]
async fn second_node_too_early_becomes_second_primary() {
    let sandbox = TestSandbox::scripted().await;
    create_app(&sandbox).await;
    set_secrets(&sandbox).await;
    let mut nodes = Vec::new();
    for _ in 0..2 {
        let volume = create_volume(&sandbox).await;
        nodes.push(create_node(&sandbox, node_config(&volume)).await);
        sandbox.advance_ms(2_000);
    }
    sandbox.advance_ms(60_000);
    for node in &nodes {
        assert_eq!(check(&sandbox, node, "role").await, "passing: primary");
    }
    run_script(&sandbox, &nodes[0], "CREATE ROLE web;").await;
    let query = "SELECT count(*) FROM pg_roles WHERE rolname = 'web';";
    assert_eq!(run_script(&sandbox, &nodes[1], query).await, "0\n");
}

#[tokio::test]
async fn data_stay_on_the_volume() {
    let sandbox = TestSandbox::scripted().await;
    let (first, volume) = create_cluster(&sandbox).await;
    run_script(
        &sandbox,
        &first,
        "CREATE ROLE web; CREATE DATABASE shop OWNER web;",
    )
    .await;
    sandbox
        .delete(&format!("{first}?force=true"))
        .await
        .assert_status(200);
    sandbox.advance_ms(2_000);
    let second = create_node(&sandbox, node_config(&volume)).await;
    sandbox.advance_ms(READY_MS);
    let query = "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = 'shop';";
    assert_eq!(run_script(&sandbox, &second, query).await, "web\n");
    // An update keeps the volume as well, and a restart of the sandbox changes nothing.
    sandbox
        .post(&second, json!({ "config": node_config(&volume) }))
        .await
        .assert_status(200);
    sandbox.advance_ms(READY_MS);
    let sandbox = sandbox
        .restart(|options| options.clock = trimtab_sandbox::ClockMode::Manual)
        .await;
    assert_eq!(run_script(&sandbox, &second, query).await, "web\n");
    let state = sandbox.running.state();
    let data = &state["apps"]["db"]["volumes"][&volume]["postgres"];
    assert_eq!(data["databases"]["shop"]["owner"], "web");
    assert_eq!(data["databases"]["shop"]["public"]["connect"], true);
}

/// Consul knows the cluster, so a node on a new volume looks for a primary to copy.
#[tokio::test]
async fn node_on_new_volume_needs_running_primary() {
    let sandbox = TestSandbox::scripted().await;
    let (first, volume) = create_cluster(&sandbox).await;
    sandbox
        .delete(&format!("{first}?force=true"))
        .await
        .assert_status(200);
    sandbox.advance_ms(2_000);
    sandbox
        .delete(&format!("/v1/apps/db/volumes/{volume}"))
        .await
        .assert_status(200);
    let volume = create_volume(&sandbox).await;
    let node = create_node(&sandbox, node_config(&volume)).await;
    sandbox.advance_ms(60_000);
    assert_eq!(sandbox.machine_state(&node).await, "stopped");
    let logs = logs(&sandbox).await;
    assert!(
        logs.contains("unable to resolve cloneable member"),
        "{logs}"
    );
    // With a new place in consul it makes a new, empty cluster.
    set_secrets(&sandbox).await;
    sandbox
        .post(&format!("{node}/start"), json!({}))
        .await
        .assert_status(200);
    sandbox.advance_ms(READY_MS);
    assert_eq!(check(&sandbox, &node, "role").await, "passing: primary");
    let query = "SELECT count(*) FROM pg_roles WHERE rolname = 'web';";
    assert_eq!(run_script(&sandbox, &node, query).await, "0\n");
}

#[tokio::test]
async fn other_major_version_does_not_boot_on_the_data() {
    let sandbox = TestSandbox::scripted().await;
    let (node, volume) = create_cluster(&sandbox).await;
    let mut config = node_config(&volume);
    config["image"] = "flyio/postgres-flex:18.1".into();
    sandbox
        .post(&node, json!({ "config": config }))
        .await
        .assert_status(200);
    sandbox.advance_ms(60_000);
    assert_eq!(sandbox.machine_state(&node).await, "stopped");
    let logs = logs(&sandbox).await;
    assert!(
        logs.contains("initialized by PostgreSQL version 17"),
        "{logs}"
    );
    let query = "SELECT current_setting('server_version_num');";
    config["image"] = "flyio/postgres-flex:17.2".into();
    sandbox
        .post(&node, json!({ "config": config }))
        .await
        .assert_status(200);
    sandbox.advance_ms(READY_MS);
    assert_eq!(run_script(&sandbox, &node, query).await, "170007\n");
}

/// The passwords are set up once. A node with others cannot log into its own server.
#[tokio::test]
async fn changed_password_breaks_the_node() {
    let sandbox = TestSandbox::scripted().await;
    let (node, _) = create_cluster(&sandbox).await;
    assert_eq!(
        login(&sandbox, "postgres", "operator-secret", "postgres").await,
        "ok"
    );
    let mut values = passwords();
    values["OPERATOR_PASSWORD"] = "another".into();
    sandbox
        .post("/v1/apps/db/secrets", json!({ "values": values }))
        .await
        .assert_status(200);
    sandbox
        .post(&format!("{node}/restart"), json!({}))
        .await
        .assert_status(200);
    sandbox.advance_ms(60_000);
    assert_eq!(sandbox.machine_state(&node).await, "started");
    assert!(
        check(&sandbox, &node, "role")
            .await
            .starts_with("critical: ")
    );
    assert!(logs(&sandbox).await.contains("28P01"));
}

#[tokio::test]
async fn node_outside_of_primary_region_waits_for_a_primary() {
    let sandbox = TestSandbox::scripted().await;
    create_app(&sandbox).await;
    set_secrets(&sandbox).await;
    let volume = create_volume(&sandbox).await;
    let mut config = node_config(&volume);
    config["env"]["PRIMARY_REGION"] = "ams".into();
    let node = create_node(&sandbox, config).await;
    sandbox.advance_ms(60_000);
    assert!(
        check(&sandbox, &node, "role")
            .await
            .starts_with("critical: ")
    );
    assert!(
        logs(&sandbox)
            .await
            .contains("primary region is 'ams' and we are in 'fra'")
    );
}

/// Above ninety percent the image makes the databases read-only, and lifts that again.
#[tokio::test]
async fn full_disk_makes_databases_read_only() {
    let sandbox = TestSandbox::scripted().await;
    let (node, volume) = create_cluster(&sandbox).await;
    admin(&sandbox, "disk", json!({ "app": "db", "percent": 91 })).await;
    let state = check(&sandbox, &node, "pg").await;
    assert!(
        state.starts_with("critical: ") && state.contains("disk-capacity: 91.0%"),
        "{state}"
    );
    assert!(check(&sandbox, &node, "vm").await.starts_with("critical: "));
    let refused = send_script(&sandbox, &node, "CREATE ROLE x;").await;
    let refused = refused.assert_status(200);
    assert!(
        refused["stderr"]
            .as_str()
            .unwrap()
            .contains("read-only transaction")
    );
    let setting = "SELECT setconfig FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase \
                   WHERE datname = 'postgres' AND setrole = 0;";
    assert_eq!(
        run_script(&sandbox, &node, setting).await,
        "{default_transaction_read_only=true}\n"
    );
    let used = sandbox
        .get(&format!("/v1/apps/db/volumes/{volume}"))
        .await
        .assert_status(200);
    assert_eq!(
        used["bytes_used"].as_u64().unwrap() * 100 / used["bytes_total"].as_u64().unwrap(),
        90
    );
    admin(&sandbox, "disk", json!({ "app": "db", "percent": 50 })).await;
    assert!(check(&sandbox, &node, "pg").await.starts_with("passing: "));
    run_script(&sandbox, &node, "CREATE ROLE x;").await;
}

/// A fork and a snapshot have the data of their source at the time.
#[tokio::test]
async fn copies_of_a_volume_have_its_data() {
    let sandbox = TestSandbox::scripted().await;
    let (node, volume) = create_cluster(&sandbox).await;
    run_script(&sandbox, &node, "CREATE ROLE before;").await;
    let snapshot = sandbox
        .post(
            &format!("/v1/apps/db/volumes/{volume}/snapshots"),
            Value::Null,
        )
        .await
        .assert_status(200);
    run_script(&sandbox, &node, "CREATE ROLE after;").await;
    sandbox.advance_ms(2_000);
    for (source, expected) in [
        (json!({ "source_volume_id": volume }), "after\nbefore\n"),
        (json!({ "snapshot_id": snapshot["id"] }), "before\n"),
    ] {
        let copy = sandbox
            .post("/v1/apps/db/volumes", source)
            .await
            .assert_status(200);
        sandbox.advance_ms(5_000);
        // A place in consul of its own, so that it does not join the old cluster.
        set_secrets(&sandbox).await;
        let restored = create_node(&sandbox, node_config(copy["id"].as_str().unwrap())).await;
        sandbox.advance_ms(READY_MS);
        assert_eq!(check(&sandbox, &restored, "role").await, "passing: primary");
        let query = "SELECT rolname FROM pg_roles WHERE rolname IN ('before', 'after') ORDER BY 1;";
        assert_eq!(run_script(&sandbox, &restored, query).await, expected);
    }
}

/// State files that were written before Postgres nodes and Managed Postgres existed.
#[tokio::test]
async fn older_state_is_loaded() {
    let sandbox = TestSandbox::scripted().await;
    sandbox.create_app().await;
    let path = sandbox.dir.path().join("world.json");
    let dir = sandbox.dir;
    sandbox.running.stop().await;
    let mut world: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    for key in ["exec", "managed_postgres"] {
        world.as_object_mut().unwrap().remove(key).unwrap();
    }
    std::fs::write(&path, world.to_string()).unwrap();
    let sandbox = TestSandbox::in_dir(dir, |options| {
        options.clock = trimtab_sandbox::ClockMode::Manual;
    })
    .await;
    sandbox.get("/v1/apps/web").await.assert_status(200);
}
