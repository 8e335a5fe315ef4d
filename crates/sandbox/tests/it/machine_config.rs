//! Machine configurations: defaults, dropped values, and validation.

use serde_json::{Value, json};

use crate::support::{TestSandbox, nginx_machine};

async fn create_machine(config: Value) -> Value {
    let sandbox = TestSandbox::scripted().await;
    sandbox.create_app().await;
    sandbox
        .create_machine(json!({ "config": config, "region": "fra" }))
        .await
        .0
}

#[tokio::test]
async fn defaults_are_filled_in() {
    let machine = create_machine(json!({ "image": "nginx" })).await;
    let expected = json!({
        "image": "nginx",
        "init": {},
        "dns": {},
        "guest": { "cpu_kind": "shared", "cpus": 1, "memory_mb": 256 },
        "restart": { "policy": "on-failure", "max_retries": 10 },
    });
    assert_eq!(machine["config"], expected);
    assert_eq!(machine["host_status"], "ok");
    assert_eq!(machine["cordoned"], false);
    assert_eq!(machine["image_ref"]["registry"], "docker-hub-mirror.fly.io");
    assert_eq!(machine["image_ref"]["repository"], "library/nginx");
    assert_eq!(machine["image_ref"]["tag"], "latest");
    let digest = machine["image_ref"]["digest"].as_str().unwrap();
    assert!(
        digest.starts_with("sha256:") && digest.len() == 71,
        "{digest}"
    );
}

#[tokio::test]
async fn image_digest_is_kept() {
    let digest = format!("sha256:{}", "a".repeat(64));
    let machine = create_machine(json!({ "image": format!("registry.fly.io/web@{digest}") })).await;
    let expected = json!({
        "registry": "registry.fly.io", "repository": "web", "tag": "", "digest": digest, "labels": {},
    });
    assert_eq!(machine["image_ref"], expected);
}

#[tokio::test]
async fn zero_values_and_unknown_keys_are_dropped() {
    let machine = create_machine(json!({
        "image": "nginx", "nonsense": 1, "auto_destroy": false, "env": {}, "schedule": "",
        "stop_config": { "timeout": 90_000_000_000u64, "signal": "SIGTERM" },
        "services": [{
            "protocol": "tcp", "internal_port": 80, "autostop": "off", "autostart": false,
            "min_machines_running": 0, "force_https": true,
            "ports": [{ "port": 80, "force_https": false, "handlers": ["http"] }],
            "checks": [{ "type": "http", "interval": "100ms", "timeout": "2m", "grace_period": "90s", "path": "/" }],
        }],
    }))
    .await;
    let config = &machine["config"];
    for gone in ["nonsense", "auto_destroy", "env", "schedule"] {
        assert_eq!(config.get(gone), None, "{gone}");
    }
    assert_eq!(
        config["stop_config"],
        json!({ "timeout": "1m30s", "signal": "SIGTERM" })
    );
    let expected = json!([{
        "protocol": "tcp", "internal_port": 80, "autostop": false, "autostart": false,
        "min_machines_running": 0, "force_instance_key": null,
        "ports": [{ "port": 80, "handlers": ["http"] }],
        "checks": [{ "type": "http", "interval": "1s", "timeout": "1m0s", "grace_period": "1m0s", "path": "/" }],
    }]);
    assert_eq!(config["services"], expected);
}

/// Fly makes one minute of 300 seconds (adcontextprotocol/adcp#1653); no grace period stays none.
#[tokio::test]
async fn times_of_service_checks_are_clamped() {
    for (sent, kept) in [
        (json!("5m"), json!("1m0s")),
        (json!("100ms"), json!("1s")),
        (json!("30s"), json!("30s")),
        (json!("0s"), json!("0s")),
    ] {
        let check = json!({ "type": "tcp", "grace_period": sent });
        let service = json!({ "protocol": "tcp", "internal_port": 80, "checks": [check] });
        let machine = create_machine(json!({ "image": "nginx", "services": [service] })).await;
        let check = &machine["config"]["services"][0]["checks"][0];
        assert_eq!(check["grace_period"], kept, "{sent}");
    }
}

#[tokio::test]
async fn invalid_config_is_rejected_with_reason() {
    let sandbox = TestSandbox::scripted().await;
    sandbox.create_app().await;
    let guest = |kind: &str, cpus: i64, memory: i64| json!({ "image": "x", "guest": { "cpu_kind": kind, "cpus": cpus, "memory_mb": memory } });
    for (config, part) in [
        (json!({}), "config.image is required"),
        (guest("shared", 3, 768), "cpus"),
        (guest("shared", 2, 256), "minimum required 512 MiB"),
        (guest("shared", 1, 4096), "maximum allowed 2048 MiB"),
        (guest("shared", 1, 300), "multiple of 256"),
        (guest("performance", 1, 512), "minimum required 2048 MiB"),
        (guest("quantum", 1, 256), "cpu_kind"),
        (json!({ "image": "x", "size": "huge" }), "machine size"),
        (
            json!({ "image": "x", "size": "shared-cpu-1x", "guest": { "cpus": 1 } }),
            "mutually exclusive",
        ),
        (
            json!({ "image": "x", "schedule": "yearly" }),
            "config.schedule must be one of",
        ),
        (
            json!({ "image": "x", "env": { "A": 1 } }),
            "config.env.A must be a string",
        ),
        (
            json!({ "image": "x", "mounts": [{ "volume": "vol_1", "path": "/" }] }),
            "absolute and not /",
        ),
        (
            json!({ "image": "x", "services": [{ "protocol": "tcp" }] }),
            "internal_port",
        ),
        (
            json!({ "image": "x", "checks": { "a": { "port": 1, "interval": "1s" } } }),
            "at least 2s",
        ),
        (
            json!({ "image": "x", "stop_config": { "timeout": "6m" } }),
            "at most 5m0s",
        ),
        (
            json!({ "image": "x", "files": [{ "guest_path": "/a", "raw_value": "?" }] }),
            "not base64",
        ),
        (
            json!({ "image": "x", "stop_config": { "timeout": "soon" } }),
            "a duration",
        ),
    ] {
        let got = sandbox
            .post(
                "/v1/apps/web/machines",
                json!({ "config": config, "region": "fra" }),
            )
            .await;
        got.assert_error(400, part);
        sandbox.advance_ms(1_000);
    }
    let body = json!({ "config": { "image": "x" }, "region": "xyz" });
    sandbox
        .post("/v1/apps/web/machines", body)
        .await
        .assert_error(400, "invalid region");
}

#[tokio::test]
async fn update_replaces_config_and_keeps_identity() {
    let sandbox = TestSandbox::scripted().await;
    sandbox.create_app().await;
    let config = json!({ "image": "nginx:1", "env": { "A": "1" } });
    let (machine, path) = sandbox
        .create_machine(json!({ "config": config, "region": "fra", "name": "one" }))
        .await;
    sandbox.advance_ms(2_000);
    let wrong = |key: &str, value: &str| json!({ "config": { "image": "nginx:2" }, key: value });
    sandbox
        .post(&path, wrong("region", "ams"))
        .await
        .assert_error(400, "region");
    sandbox
        .post(&path, wrong("current_version", "01J"))
        .await
        .assert_error(412, "failed_precondition");
    sandbox.advance_ms(1_000);
    let right = wrong("current_version", machine["instance_id"].as_str().unwrap());
    let updated = sandbox.post(&path, right).await.assert_status(200);
    assert_eq!(updated["id"], machine["id"]);
    assert_ne!(updated["instance_id"], machine["instance_id"]);
    assert_eq!(updated["state"], "replacing");
    assert_eq!(updated["config"].get("env"), None);
    sandbox.advance_ms(2_000);
    assert_eq!(sandbox.machine_state(&path).await, "started");
    let versions = sandbox
        .get(&format!("{path}/versions"))
        .await
        .assert_status(200);
    assert_eq!(versions.as_array().unwrap().len(), 2);
    sandbox
        .post(
            &path,
            json!({ "config": { "image": "nginx:3" }, "skip_launch": true }),
        )
        .await
        .assert_status(200);
    sandbox.advance_ms(2_000);
    assert_eq!(sandbox.machine_state(&path).await, "stopped");
}

#[tokio::test]
async fn update_ignores_new_name() {
    let sandbox = TestSandbox::scripted().await;
    sandbox.create_app().await;
    let (machine, path) = sandbox.create_machine(nginx_machine()).await;
    let mut body = nginx_machine();
    body["name"] = "another".into();
    let updated = sandbox.post(&path, body).await.assert_status(200);
    assert_eq!(updated["name"], machine["name"]);
}
