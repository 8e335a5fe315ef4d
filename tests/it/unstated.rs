//! Settings that a manifest leaves open: kept from what runs, and drift when somebody changes them after an apply.

use serde_json::{Value, json};

use crate::support::{TestEnv, plan_summary};

const MANIFEST: &str = r#"
project = "harbor"
[fly]
org = "harbor-test"
[apps.web]
name = "harbor-web"
primary_region = "iad"
image = "registry.fly.io/harbor-web:v1"
adopt = true
[apps.web.http_service]
internal_port = 8080
[apps.web.machines.app]
count = 1
"#;

const LARGE: &str = r#"{ "cpu_kind": "performance", "cpus": 2, "memory_mb": 4096 }"#;

/// Makes the app as flyctl would: a large machine without our marks.
async fn make_app_of_flyctl(env: &TestEnv, config: Value) -> String {
    env.sandbox.org_token("harbor-test").unwrap();
    env.send_manual_request(
        "POST",
        "/v1/apps",
        json!({ "name": "harbor-web", "org_slug": "harbor-test" }),
    )
    .await;
    let body = json!({ "region": "iad", "config": config });
    let machine = env
        .send_manual_request("POST", "/v1/apps/harbor-web/machines", body)
        .await;
    let id = machine["id"].as_str().unwrap().to_owned();
    let wait = format!("/v1/apps/harbor-web/machines/{id}/wait?state=started");
    env.send_manual_request("GET", &wait, Value::Null).await;
    id
}

fn flyctl_config() -> Value {
    let guest: Value = serde_json::from_str(LARGE).unwrap();
    json!({
        "image": "registry.fly.io/harbor-web:v1",
        "guest": guest,
        "restart": { "policy": "always" },
        "metadata": { "fly_process_group": "app" },
        "env": { "FLY_PROCESS_GROUP": "app", "PRIMARY_REGION": "iad" },
        "services": [{ "protocol": "tcp", "internal_port": 8080, "ports": [
            { "port": 80, "handlers": ["http"] }, { "port": 443, "handlers": ["http", "tls"] }] }],
    })
}

async fn guest(env: &TestEnv, slot: &str) -> Value {
    let world = env.world().await;
    json!(world.fly_machine[slot].workload.config.guest)
}

/// superfly/flyctl#4544: an app keeps its size when the file says nothing of it, and new machines get the size of their siblings.
#[tokio::test(flavor = "multi_thread")]
async fn taken_over_app_keeps_its_size_and_restart_policy() {
    let env = TestEnv::new(MANIFEST).await;
    make_app_of_flyctl(&env, flyctl_config()).await;
    let summary = env.summary().await;
    assert!(
        !summary
            .iter()
            .any(|line| line.contains("vm") || line.contains("restart fly.machine")),
        "{summary:?}"
    );
    env.apply().await;
    assert_eq!(env.summary().await, Vec::<String>::new());
    env.write_manifest(&MANIFEST.replace("count = 1", "count = 2"));
    env.apply().await;
    let large: Value = serde_json::from_str(LARGE).unwrap();
    assert_eq!(guest(&env, "web/app/iad/0").await, large);
    assert_eq!(guest(&env, "web/app/iad/1").await, large);
    // An update keeps them as well.
    env.write_manifest(&MANIFEST.replace("harbor-web:v1", "harbor-web:v2"));
    env.apply().await;
    assert_eq!(guest(&env, "web/app/iad/0").await, large);
    let world = env.world().await;
    let restart = &world.fly_machine["web/app/iad/0"].workload.config.restart;
    assert_eq!(restart.as_ref().unwrap().policy, "always");
}

/// What nobody stated is still a difference once somebody changes it after an apply.
#[tokio::test(flavor = "multi_thread")]
async fn change_by_hand_of_an_unstated_setting_is_drift() {
    let env = TestEnv::new(MANIFEST).await;
    env.apply().await;
    let id = env.world().await.fly_machine["web/app/iad/0"]
        .workload
        .id
        .clone();
    env.change_machine("harbor-web", &id, |config| {
        config["restart"] = json!({ "policy": "no" });
        config["services"][0]["autostart"] = json!(false);
        config["guest"]["memory_mb"] = json!(512);
    })
    .await;
    let plan = env.plan().await;
    let [line] = plan_summary(&plan).try_into().unwrap();
    for path in ["restart.policy", "auto_start_machines", "vm.memory"] {
        assert!(line.contains(path), "{path} is missing: {line}");
    }
    env.apply().await;
    assert_eq!(env.summary().await, Vec::<String>::new());
    assert_eq!(guest(&env, "web/app/iad/0").await["memory_mb"], 256);
}

/// A size that the manifest stated and states no more is kept, and not the one of before.
#[tokio::test(flavor = "multi_thread")]
async fn setting_that_leaves_the_manifest_is_kept() {
    let env = TestEnv::new(MANIFEST).await;
    env.apply().await;
    env.write_manifest(&MANIFEST.replace("count = 1", "count = 1\nmemory = \"1gb\""));
    env.apply().await;
    env.write_manifest(MANIFEST);
    assert_eq!(env.summary().await, Vec::<String>::new());
    assert_eq!(guest(&env, "web/app/iad/0").await["memory_mb"], 1024);
}

/// A worker that somebody stopped is told, and not started: whoever stopped it had a reason.
#[tokio::test(flavor = "multi_thread")]
async fn worker_stopped_by_hand_is_a_difference() {
    let worker = MANIFEST.replace("[apps.web.http_service]\ninternal_port = 8080\n", "");
    let env = TestEnv::new(&worker).await;
    env.apply().await;
    let id = env.world().await.fly_machine["web/app/iad/0"]
        .workload
        .id
        .clone();
    let path = format!("/v1/apps/harbor-web/machines/{id}");
    env.send_manual_request("POST", &format!("{path}/stop"), json!({}))
        .await;
    env.send_manual_request("GET", &format!("{path}/wait?state=stopped"), Value::Null)
        .await;
    let plan = env.plan().await;
    assert!(plan.is_empty() && !plan.is_converged());
    assert_eq!(
        plan.deferred[0].address.to_string(),
        "fly.machine/web/app/iad/0"
    );
    assert!(!plan.is_incomplete(), "an apply has nothing left to do");
}

/// superfly/flyctl#2162: a standby whose group gets a second machine, or a service, becomes an ordinary machine.
#[tokio::test(flavor = "multi_thread")]
async fn standby_becomes_an_ordinary_machine() {
    let worker = MANIFEST.replace("[apps.web.http_service]\ninternal_port = 8080\n", "");
    let standby = worker.replace("count = 1", "count = 1\nstandby = true");
    for next in [
        worker.replace("count = 1", "count = 2"),
        MANIFEST.replace("count = 1", "count = 2"),
    ] {
        let env = TestEnv::new(&standby).await;
        env.apply().await;
        let world = env.world().await;
        let [first, spare] =
            ["web/app/iad/0", "web/app/iad/standby"].map(|slot| &world.fly_machine[slot].workload);
        assert_eq!(spare.config.standbys, [first.id.as_str()]);
        assert_eq!(spare.config.env["FLY_STANDBY_FOR"], first.id);
        env.write_manifest(&next);
        env.apply().await;
        assert_eq!(env.summary().await, Vec::<String>::new());
        let world = env.world().await;
        let second = &world.fly_machine["web/app/iad/1"].workload;
        assert_eq!(second.id, spare.id, "it is not replaced");
        assert!(second.config.standbys.is_empty() && second.is_running());
        assert!(!second.config.env.contains_key("FLY_STANDBY_FOR"));
    }
}

/// flyctl makes a standby by itself. Whoever takes the app over learns that it would go, and how to keep it.
#[tokio::test(flavor = "multi_thread")]
async fn standby_that_the_manifest_lacks_is_told() {
    let worker = MANIFEST.replace("[apps.web.http_service]\ninternal_port = 8080\n", "");
    let standby = worker.replace("count = 1", "count = 1\nstandby = true");
    let env = TestEnv::new(&standby).await;
    env.apply().await;
    env.write_manifest(&worker);
    let warnings = env.plan().await.findings.warnings;
    let told = |warning: &String| {
        warning.contains("is a standby")
            && warning.contains("`standby = true` in [apps.web.machines.app]")
    };
    assert!(warnings.iter().any(told), "{warnings:?}");
}

/// A cron machine runs when it is created, so it waits for a verification that is still due.
#[tokio::test(flavor = "multi_thread")]
async fn cron_machine_waits_for_a_verification_that_failed_before() {
    let verified = format!(
        "{MANIFEST}\n[apps.web.deploy]\nverify = {{ path = \"/health\", retries = 0 }}\n\
         [apps.web.cron.nightly]\nschedule = \"daily\"\n"
    );
    let env = TestEnv::new(&verified).await;
    let rule = json!({ "match": { "image_contains": "harbor-web" }, "behave": { "http": { "status": 503 } } });
    env.send_manual_request("POST", "/_sandbox/rules", rule)
        .await;
    for _ in 0..2 {
        assert!(!env.try_apply(None).await.unwrap().is_complete());
        assert!(env.world().await.fly_cron.is_empty(), "it would have run");
    }
}

/// `personal` is the organization of whoever asks, so an app elsewhere is not silently taken for one in it.
#[tokio::test(flavor = "multi_thread")]
async fn app_of_another_organization_is_refused_under_the_personal_alias() {
    let env = TestEnv::new(MANIFEST).await;
    make_app_of_flyctl(&env, flyctl_config()).await;
    env.apply().await;
    env.sandbox.org_token("personal").unwrap();
    env.write_manifest(&MANIFEST.replace("org = \"harbor-test\"", "org = \"personal\""));
    let desired = env.desired();
    let world = trimtab::observe::observe(
        &env.reader_with(&env.sandbox.org_token("harbor-test").unwrap())
            .into(),
        &desired,
    )
    .await;
    // A token of the other organization sees the app. It must not be changed under this manifest.
    let plan = trimtab::plan::plan(&desired, &world.unwrap()).unwrap();
    assert!(
        plan.blocked.iter().any(|blocked| blocked
            .blocker
            .reason
            .contains("in the organization `harbor-test`")),
        "{:?}",
        plan_summary(&plan)
    );
}

/// The app's key is stated even where the size is not.
#[tokio::test(flavor = "multi_thread")]
async fn stated_host_dedication_reaches_machines_that_run() {
    let env = TestEnv::new(MANIFEST).await;
    make_app_of_flyctl(&env, flyctl_config()).await;
    env.apply().await;
    let dedicated = MANIFEST.replace("adopt = true", "adopt = true\nhost_dedication_id = \"abc\"");
    env.write_manifest(&dedicated);
    assert_eq!(
        env.summary().await,
        ["restart fly.machine/web/app/iad/0 vm.host_dedication_id"]
    );
    env.apply().await;
    let mut expected: Value = serde_json::from_str(LARGE).unwrap();
    expected["host_dedication_id"] = "abc".into();
    assert_eq!(guest(&env, "web/app/iad/0").await, expected);
    assert_eq!(env.summary().await, Vec::<String>::new());
}
