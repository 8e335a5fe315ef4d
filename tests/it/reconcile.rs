//! Apply, an empty plan, and every kind of drift: each change from outside is reported by name, and
//! repaired by exactly that step.

use serde_json::json;

use trimtab::ops::{Completion, OperationError};

use crate::support::{TestEnv, operations::apply_with_interruption, plan_summary};

/// An app with everything: two regions, volumes, secrets, a cron machine.
pub(crate) const MANIFEST: &str = r#"
project = "harbor"

[fly]
org = "harbor-test"

[apps.web]
name = "harbor-web"
primary_region = "ewr"
image = "registry.fly.io/harbor-web:v1"

[apps.web.env]
LOG_LEVEL = "info"

[apps.web.secrets]
SECRET_KEY = { env = "SECRET_KEY" }
DATABASE_URL = { env = "DATABASE_URL" }

[apps.web.http_service]
internal_port = 8080
force_https = true

[[apps.web.http_service.checks]]
interval = "15s"
timeout = "2s"
path = "/up"

[apps.web.machines.app]
memory = "512mb"
count = { ewr = 2, iad = 1 }

[[apps.web.mounts]]
source = "data"
destination = "/data"
initial_size = "3gb"

[apps.web.cron.nightly]
schedule = "daily"
command = ["bin/nightly"]
"#;

#[tokio::test(flavor = "multi_thread")]
async fn plan_after_apply_is_empty() {
    let env = TestEnv::new(MANIFEST).await;
    let first = env.plan().await;
    assert_eq!(
        plan_summary(&first),
        [
            "create fly.app/web",
            "create fly.cron/web/nightly",
            "create fly.ip/web/shared_v4",
            "create fly.ip/web/v6",
            "create fly.machine/web/app/ewr/0",
            "create fly.machine/web/app/ewr/1",
            "create fly.machine/web/app/iad/0",
            "create fly.secrets/web",
            "create fly.volume/web/data/ewr/0",
            "create fly.volume/web/data/ewr/1",
            "create fly.volume/web/data/iad/0",
        ]
    );
    env.apply().await;
    assert_eq!(env.summary().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn drift_is_detected_and_repaired() {
    let env = TestEnv::new(MANIFEST).await;
    env.apply().await;
    let world = env.world().await;
    let id = |name: &str| world.fly_machine[name].workload.id.clone();
    let app = "/v1/apps/harbor-web";
    env.change_machine("harbor-web", &id("web/app/ewr/0"), |config| {
        config["guest"]["memory_mb"] = 1024.into();
    })
    .await;
    env.change_machine("harbor-web", &id("web/app/ewr/1"), |config| {
        config["env"]["EXTRA"] = "1".into();
    })
    .await;
    env.change_machine("harbor-web", &id("web/app/iad/0"), |config| {
        config["image"] = "nginx:1".into();
    })
    .await;
    let cron = world.fly_cron["web/nightly"].workload.id.clone();
    env.change_machine("harbor-web", &cron, |config| {
        config["image"] = "old:1".into();
    })
    .await;
    let ip = world.fly_ip["web/v6"].address.clone();
    env.send_manual_request("DELETE", &format!("{app}/ip_assignments/{ip}"), json!(null))
        .await;
    env.send_manual_request(
        "POST",
        &format!("{app}/secrets"),
        json!({"values": {"SECRET_KEY": "tampered"}}),
    )
    .await;
    let extra = json!({"region": "ewr", "config": {"image": "nginx:1"}});
    let extra = env
        .send_manual_request("POST", &format!("{app}/machines"), extra)
        .await;
    let extra = extra["id"].as_str().unwrap();

    assert_eq!(
        env.summary().await,
        [
            format!("destroy fly.machine/web/app/ewr/{extra}"),
            "restart fly.machine/web/app/ewr/0 vm.memory,secrets.SECRET_KEY".to_owned(),
            "restart fly.machine/web/app/ewr/1 env.EXTRA,secrets.SECRET_KEY".to_owned(),
            "restart fly.machine/web/app/iad/0 image,secrets.SECRET_KEY".to_owned(),
            "update fly.cron/web/nightly image,secrets.SECRET_KEY".to_owned(),
            "update fly.secrets/web SECRET_KEY".to_owned(),
            "create fly.ip/web/v6".to_owned(),
        ]
    );
    env.apply().await;
    assert_eq!(env.summary().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn cron_machine_is_not_started_by_update() {
    let env = TestEnv::new(MANIFEST).await;
    env.apply().await;
    let id = env.world().await.fly_cron["web/nightly"]
        .workload
        .id
        .clone();
    let starts = || async {
        let events = env
            .send_manual_request(
                "GET",
                &format!("/v1/apps/harbor-web/machines/{id}/events"),
                json!(null),
            )
            .await;
        events
            .as_array()
            .unwrap()
            .iter()
            .filter(|event| event["type"] == "start")
            .count()
    };
    // The first run belongs to its creation, and ends by itself.
    env.send_manual_request(
        "GET",
        &format!("/v1/apps/harbor-web/machines/{id}/wait?state=stopped"),
        json!(null),
    )
    .await;
    let before = starts().await;
    env.write_manifest(&MANIFEST.replace("harbor-web:v1", "harbor-web:v2"));
    env.apply().await;
    assert_eq!(starts().await, before);
    assert_eq!(
        env.world().await.fly_cron["web/nightly"].workload.state,
        "stopped"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_fields_survive_update() {
    let env = TestEnv::new(MANIFEST).await;
    env.apply().await;
    let id = env.world().await.fly_machine["web/app/iad/0"]
        .workload
        .id
        .clone();
    let dns = json!({"skip_registration": true});
    env.change_machine("harbor-web", &id, |config| {
        config["dns"] = dns.clone();
        config["env"]["LOG_LEVEL"] = "debug".into();
    })
    .await;
    env.apply().await;
    let machine = env
        .send_manual_request(
            "GET",
            &format!("/v1/apps/harbor-web/machines/{id}"),
            json!(null),
        )
        .await;
    assert_eq!(machine["config"]["dns"], dns);
    assert_eq!(machine["config"]["env"]["LOG_LEVEL"], "info");
}

#[tokio::test(flavor = "multi_thread")]
async fn foreign_app_needs_adopt() {
    let env = TestEnv::new(MANIFEST).await;
    env.sandbox.org_token("harbor-test").unwrap();
    env.send_manual_request(
        "POST",
        "/v1/apps",
        json!({"name": "harbor-web", "org_slug": "harbor-test"}),
    )
    .await;
    let config =
        json!({"image": "registry.fly.io/harbor-web:v0", "metadata": {"fly_process_group": "app"}});
    env.send_manual_request(
        "POST",
        "/v1/apps/harbor-web/machines",
        json!({"region": "iad", "config": config}),
    )
    .await;
    let plan = env.plan().await;
    assert_eq!(plan.steps().count(), 0, "nothing in it is touched");
    assert!(plan.blocked[0].blocker.hint.contains("--adopt fly.app/web"));
}

#[tokio::test(flavor = "multi_thread")]
async fn plan_id_covers_hidden_values() {
    let env = TestEnv::new(MANIFEST).await;
    let reviewed = env.plan().await.id();
    // The plan shows only the names of a new machine's variables.
    env.write_manifest(&MANIFEST.replace("LOG_LEVEL = \"info\"", "LOG_LEVEL = \"debug\""));
    assert!(!reviewed.covers(&env.plan().await.id()));
    env.write_manifest(MANIFEST);
    assert!(reviewed.covers(&env.plan().await.id()));
    let half = env.plan().await.only(&["fly.secrets/web".parse_address()]);
    assert!(
        reviewed.covers(&half.id()),
        "a part of a reviewed plan may run"
    );
    assert!(!half.id().covers(&reviewed));
}

/// A shorthand for tests.
trait ParseAddress {
    fn parse_address(&self) -> trimtab::model::Address;
}

impl ParseAddress for str {
    fn parse_address(&self) -> trimtab::model::Address {
        trimtab::model::Address::parse(self).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn adopted_app_keeps_its_machines() {
    let mut env = TestEnv::new(MANIFEST).await;
    env.adopt = true;
    env.sandbox.org_token("harbor-test").unwrap();
    env.send_manual_request(
        "POST",
        "/v1/apps",
        json!({"name": "harbor-web", "org_slug": "harbor-test"}),
    )
    .await;
    let config =
        json!({"image": "registry.fly.io/harbor-web:v0", "metadata": {"fly_process_group": "app"}});
    let body = json!({"region": "iad", "config": config});
    let old = env
        .send_manual_request("POST", "/v1/apps/harbor-web/machines", body)
        .await;
    // The machine lacks the volume of its slot, so it is replaced; the app and its addresses stay.
    assert!(
        env.summary()
            .await
            .contains(&"replace fly.machine/web/app/iad/0 mounts.volume".to_owned())
    );
    env.apply().await;
    assert_eq!(env.summary().await, Vec::<String>::new());
    assert_ne!(
        env.world().await.fly_machine["web/app/iad/0"].workload.id,
        old["id"].as_str().unwrap()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn protection_survives_removal_from_manifest() {
    let protected = MANIFEST.replace("[apps.web]\n", "[apps.web]\nprotected = true\n");
    let env = TestEnv::new(&protected).await;
    env.apply().await;
    let before = env.world().await.fly_machine["web/app/ewr/0"]
        .workload
        .version
        .clone();
    env.write_manifest("project = \"harbor\"\n[fly]\norg = \"harbor-test\"\n[apps.other]\nname = \"harbor-other\"\nprimary_region = \"ewr\"\nimage = \"x:1\"\n");
    let refusals = trimtab::plan::refusals(&env.plan().await, &trimtab::plan::Limits::default());
    assert!(
        refusals
            .iter()
            .any(|refusal| refusal.reason == "fly.app/web (harbor-web) is protected"),
        "{refusals:#?}"
    );
    // Removing the protection changes only metadata: nothing restarts.
    env.write_manifest(MANIFEST);
    assert_eq!(env.summary().await, ["update fly.app/web protected"]);
    env.apply().await;
    assert_eq!(
        env.world().await.fly_machine["web/app/ewr/0"]
            .workload
            .version,
        before
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn volume_grows_but_never_shrinks() {
    let env = TestEnv::new(MANIFEST).await;
    env.apply().await;
    env.write_manifest(&MANIFEST.replace("3gb", "5gb"));
    assert_eq!(
        env.summary().await[0],
        "update fly.volume/web/data/ewr/0 size"
    );
    env.apply().await;
    assert_eq!(env.summary().await, Vec::<String>::new());
    // A smaller size is a difference that only the user can remove. The rest of the plan goes on.
    let smaller = MANIFEST.replace("3gb", "2gb");
    env.write_manifest(&smaller.replace("harbor-web:v1", "harbor-web:v2"));
    let plan = env.plan().await;
    assert_eq!(plan.changes().len(), 4, "three machines and a cron machine");
    assert!(trimtab::plan::refusals(&plan, &trimtab::plan::Limits::default()).is_empty());
    env.apply().await;
    let plan = env.plan().await;
    assert!(plan.is_empty() && !plan.is_converged() && !plan.is_incomplete());
    let reasons: Vec<&str> = plan
        .deferred
        .iter()
        .map(|change| change.blocker.reason.as_str())
        .collect();
    assert!(
        reasons[0].contains("is 5 GB and cannot shrink to 2 GB"),
        "{reasons:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn unreachable_machine_is_skipped() {
    let env = TestEnv::new(MANIFEST).await;
    env.apply().await;
    let id = env.world().await.fly_machine["web/app/iad/0"]
        .workload
        .id
        .clone();
    env.send_manual_request(
        "POST",
        "/_sandbox/hosts",
        json!({"machine": id, "status": "unreachable"}),
    )
    .await;
    env.write_manifest(&MANIFEST.replace("harbor-web:v1", "harbor-web:v2"));
    let plan = env.plan().await;
    assert!(
        plan.findings.warnings[0].starts_with("fly.machine/web/app/iad/0 is held back"),
        "{:?}",
        plan.findings.warnings
    );
    assert_eq!(
        plan_summary(&plan),
        [
            "restart fly.machine/web/app/ewr/0 image",
            "restart fly.machine/web/app/ewr/1 image",
            "update fly.cron/web/nightly image"
        ]
    );
    env.apply().await;
    env.send_manual_request(
        "POST",
        "/_sandbox/hosts",
        json!({"machine": id, "status": "ok"}),
    )
    .await;
    assert_eq!(
        env.summary().await,
        ["restart fly.machine/web/app/iad/0 image"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn app_token_is_enough_with_warning() {
    let env = TestEnv::new(MANIFEST).await;
    env.apply().await;
    let token = env.sandbox.app_token("harbor-test", "harbor-web").unwrap();
    let desired = env.desired();
    let world = trimtab::observe::observe(&env.reader_with(&token).into(), &desired)
        .await
        .unwrap();
    assert!(trimtab::plan::plan(&desired, &world).unwrap().is_empty());
    assert!(world.findings.warnings[0].contains("cannot list the organization"));
}

#[test]
fn known_regions_match_platform() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let listed = runtime.block_on(async {
        let env = TestEnv::new(MANIFEST).await;
        env.send_manual_request("GET", "/v1/platform/regions", json!(null))
            .await
    });
    let rows = listed["regions"]
        .as_array()
        .or_else(|| listed["Regions"].as_array())
        .unwrap();
    let mut codes: Vec<&str> = rows
        .iter()
        .map(|row| row["code"].as_str().unwrap())
        .collect();
    codes.sort_unstable();
    assert_eq!(codes, trimtab::model::KNOWN_REGIONS.map(|(code, _)| code));
}

#[tokio::test(flavor = "multi_thread")]
async fn crashing_image_stops_rollout_and_fix_recovers() {
    let env = TestEnv::new(MANIFEST).await;
    env.apply().await;
    let rule =
        json!([{"match": {"image_contains": ":bad"}, "behave": {"exit_code": 1, "after_ms": 1}}]);
    env.send_manual_request("POST", "/_sandbox/rules", rule)
        .await;
    env.write_manifest(&MANIFEST.replace("harbor-web:v1", "harbor-web:bad"));
    let report = env.try_apply(None).await.unwrap();
    assert!(!report.is_complete());
    let image = |world: &trimtab::kinds::World, name: &str| {
        let image = world.fly_machine[name]
            .workload
            .config
            .image
            .clone()
            .unwrap();
        image.tag().unwrap_or_default().to_owned()
    };
    let world = env.world().await;
    assert!(image(&world, "web/app/ewr/0") == "bad");
    assert!(
        image(&world, "web/app/ewr/1") == "v1",
        "the next machine is not touched"
    );
    // Another apply of the same is not "no changes": the machine that did not come up is retried
    // first.
    assert!(
        env.summary().await[0].contains("fly.machine/web/app/ewr/0 start"),
        "{:?}",
        env.summary().await
    );
    assert!(!env.try_apply(None).await.unwrap().is_complete());
    assert_eq!(image(&env.world().await, "web/app/ewr/1"), "v1");
    env.write_manifest(&MANIFEST.replace("harbor-web:v1", "harbor-web:v2"));
    env.apply().await;
    assert_eq!(env.summary().await, Vec::<String>::new());
    assert!(
        env.world()
            .await
            .fly_machine
            .values()
            .all(|machine| machine.workload.state == "started")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn failing_checks_fail_the_apply() {
    let env = TestEnv::new(MANIFEST).await;
    env.apply().await;
    let rule = json!([{"match": {"image_contains": ":sick"}, "behave": {"checks": "critical", "check_output": "500"}}]);
    env.send_manual_request("POST", "/_sandbox/rules", rule)
        .await;
    env.write_manifest(&MANIFEST.replace("harbor-web:v1", "harbor-web:sick"));
    let report = env.try_apply(None).await.unwrap();
    assert!(format!("{report:?}").contains("is critical"), "{report:?}");
    assert!(!env.summary().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn empty_unlabelled_app_is_foreign() {
    let env = TestEnv::new(MANIFEST).await;
    env.sandbox.org_token("harbor-test").unwrap();
    env.send_manual_request(
        "POST",
        "/v1/apps",
        json!({"name": "harbor-web", "org_slug": "harbor-test"}),
    )
    .await;
    env.send_manual_request(
        "POST",
        "/v1/apps/harbor-web/secrets/THEIRS",
        json!({"value": "x"}),
    )
    .await;
    let plan = env.plan().await;
    assert_eq!(plan.steps().count(), 0);
    assert!(plan.blocked[0].blocker.hint.contains("--adopt fly.app/web"));
}

#[tokio::test(flavor = "multi_thread")]
async fn oldest_machine_keeps_the_slot() {
    let env = TestEnv::new(MANIFEST).await;
    env.apply().await;
    let old = env.world().await.fly_machine["web/app/iad/0"]
        .workload
        .clone();
    let mut config = old.raw.clone();
    config["mounts"] = json!([]);
    // Fly's times are whole seconds, and the sandbox's clock runs faster, so the two differ.
    env.send_manual_request(
        "POST",
        "/v1/apps/harbor-web/machines",
        json!({"region": "iad", "config": config}),
    )
    .await;
    let world = env.world().await;
    assert_eq!(world.fly_machine["web/app/iad/0"].workload.id, old.id);
    assert_eq!(env.summary().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn old_machines_are_deleted_after_new_ones_start() {
    let plain = MANIFEST.replace(
        "[[apps.web.mounts]]\nsource = \"data\"\ndestination = \"/data\"\ninitial_size = \"3gb\"\n",
        "",
    );
    let env = TestEnv::new(&plain).await;
    env.apply().await;
    env.write_manifest(
        &plain
            .replace("count = { ewr = 2, iad = 1 }", "count = { fra = 2 }")
            .replace("\"ewr\"", "\"fra\""),
    );
    let plan = env.plan().await;
    let order: Vec<String> = plan
        .steps()
        .map(|step| format!("{:?} {}", step.action, step.address))
        .collect();
    let first_gone = order
        .iter()
        .position(|step| step.starts_with("Delete fly.machine"))
        .unwrap();
    let last_made = order
        .iter()
        .rposition(|step| step.starts_with("Create fly.machine"))
        .unwrap();
    assert!(last_made < first_gone, "{order:#?}");
    env.apply().await;
    assert_eq!(env.summary().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn plan_id_survives_interruption() {
    let env = TestEnv::new(MANIFEST).await;
    let reviewed = env.plan().await.id();
    let at = trimtab::clouds::RequestOrdinal::Write(7);
    let crash = trimtab::clouds::CrashPoint {
        request: at,
        after_response: true,
        mode: trimtab::clouds::CrashMode::Simulate,
    };
    assert!(!env.try_apply(Some(crash)).await.unwrap().is_complete());
    assert!(
        reviewed.covers(&env.plan().await.id()),
        "what is left of a reviewed plan may run"
    );
    let other =
        TestEnv::new(&MANIFEST.replace("project = \"harbor\"", "project = \"other\"")).await;
    assert!(!reviewed.covers(&other.plan().await.id()));
}

#[tokio::test(flavor = "multi_thread")]
async fn apply_is_not_rate_limited() {
    // At this speed the spacing of requests is far larger than the delays of a busy machine.
    const SPEED: f64 = 10.0;
    let dir = tempfile::tempdir().unwrap();
    let plain = MANIFEST.replace("count = { ewr = 2, iad = 1 }", "count = { ewr = 6 }");
    std::fs::write(dir.path().join("test.toml"), plain).unwrap();
    let inputs = crate::support::inputs_with(&[("SECRET_KEY", "a"), ("DATABASE_URL", "b")]);
    let env = TestEnv::with_speed(dir, "test", inputs, Vec::new(), SPEED).await;
    env.apply().await;
    let refused: Vec<_> = env
        .sandbox
        .requests()
        .into_iter()
        .filter(|request| request.rate_limited)
        .collect();
    assert!(refused.is_empty(), "{refused:#?}");
}

/// Reported in superfly/flyctl#2084: a private app must not keep public addresses.
#[tokio::test(flavor = "multi_thread")]
async fn an_empty_list_of_addresses_means_none() {
    let manifest = |ips: &str| {
        format!(
            "project = \"p\"\n[fly]\norg = \"personal\"\n[apps.web]\nprimary_region = \"ewr\"\nimage = \"web:1\"\n{ips}\
             [apps.web.http_service]\ninternal_port = 80\n"
        )
    };
    let env = TestEnv::new(&manifest("")).await;
    env.apply().await;
    assert_eq!(env.world().await.fly_ip.len(), 2);
    env.write_manifest(&manifest("ips = []\n"));
    let planned = env.summary().await;
    assert!(
        planned.len() == 2
            && planned
                .iter()
                .all(|line| line.starts_with("destroy fly.ip/web/")),
        "{planned:?}"
    );
    env.apply().await;
    assert_eq!(env.summary().await, Vec::<String>::new());
    assert!(env.world().await.fly_ip.is_empty());
}

/// Another run does the same between the plan and the first lease. Nothing is left to do, and nothing has failed.
#[tokio::test(flavor = "multi_thread")]
async fn run_that_finds_its_work_done_is_complete() {
    let env = TestEnv::new(MANIFEST).await;
    env.apply().await;
    env.write_manifest(&MANIFEST.replace("harbor-web:v1", "harbor-web:v2"));
    let other_run = Box::pin(async {
        env.apply().await;
    });
    let completion = apply_with_interruption(&env, other_run).await.unwrap();
    assert_eq!(completion, Completion::Complete);
    assert_eq!(env.summary().await, Vec::<String>::new());
}

/// Somebody changes a machine between the plan and the first lease, in a way that the plan did not show.
#[tokio::test(flavor = "multi_thread")]
async fn run_stops_when_something_else_is_left_to_do() {
    let env = TestEnv::new(MANIFEST).await;
    env.apply().await;
    env.write_manifest(&MANIFEST.replace("harbor-web:v1", "harbor-web:v2"));
    let change = Box::pin(async {
        let world = env.world().await;
        let mut machines = world.fly_machine.values();
        let id = machines.next().unwrap().workload.id.clone();
        let by_hand = |config: &mut serde_json::Value| config["env"]["BY_HAND"] = "1".into();
        env.change_machine("harbor-web", &id, by_hand).await;
    });
    let error = apply_with_interruption(&env, change).await.unwrap_err();
    assert!(
        matches!(error, OperationError::PlanChanged { .. }),
        "{error}"
    );
}
