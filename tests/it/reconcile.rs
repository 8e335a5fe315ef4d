//! The main story: apply, an empty plan, every sort of change from outside found by name and repaired by exactly that.

use serde_json::json;

use crate::support::{TestEnv, plan_summary};

/// One app with everything: two regions, a volume, secrets, a cron machine.
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
    let team = TestEnv::new(MANIFEST).await;
    let first = team.plan().await;
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
    team.apply().await;
    assert_eq!(team.summary().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn drift_is_detected_and_repaired() {
    let team = TestEnv::new(MANIFEST).await;
    team.apply().await;
    let world = team.world().await;
    let id = |name: &str| world.fly_machine[name].workload.id.clone();
    let app = "/v1/apps/harbor-web";
    team.change_machine("harbor-web", &id("web/app/ewr/0"), |config| {
        config["guest"]["memory_mb"] = 1024.into();
    })
    .await;
    team.change_machine("harbor-web", &id("web/app/ewr/1"), |config| {
        config["env"]["EXTRA"] = "1".into();
    })
    .await;
    team.change_machine("harbor-web", &id("web/app/iad/0"), |config| {
        config["image"] = "nginx:1".into();
    })
    .await;
    let cron = world.fly_cron["web/nightly"].workload.id.clone();
    team.change_machine("harbor-web", &cron, |config| {
        config["image"] = "old:1".into();
    })
    .await;
    let ip = world.fly_ip["web/v6"].address.clone();
    team.send_manual_request("DELETE", &format!("{app}/ip_assignments/{ip}"), json!(null))
        .await;
    team.send_manual_request(
        "POST",
        &format!("{app}/secrets"),
        json!({"values": {"SECRET_KEY": "tampered"}}),
    )
    .await;
    let extra = json!({"region": "ewr", "config": {"image": "nginx:1"}});
    let extra = team
        .send_manual_request("POST", &format!("{app}/machines"), extra)
        .await;
    let extra = extra["id"].as_str().unwrap();

    assert_eq!(
        team.summary().await,
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
    team.apply().await;
    assert_eq!(team.summary().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn cron_machine_is_not_started_by_update() {
    let team = TestEnv::new(MANIFEST).await;
    team.apply().await;
    let id = team.world().await.fly_cron["web/nightly"]
        .workload
        .id
        .clone();
    let starts = || async {
        let events = team
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
    // The first run belongs to its creation; it ends by itself.
    team.send_manual_request(
        "GET",
        &format!("/v1/apps/harbor-web/machines/{id}/wait?state=stopped"),
        json!(null),
    )
    .await;
    let before = starts().await;
    team.write_manifest(&MANIFEST.replace("harbor-web:v1", "harbor-web:v2"));
    team.apply().await;
    assert_eq!(starts().await, before);
    assert_eq!(
        team.world().await.fly_cron["web/nightly"].workload.state,
        "stopped"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_fields_survive_update() {
    let team = TestEnv::new(MANIFEST).await;
    team.apply().await;
    let id = team.world().await.fly_machine["web/app/iad/0"]
        .workload
        .id
        .clone();
    let dns = json!({"skip_registration": true});
    team.change_machine("harbor-web", &id, |config| {
        config["dns"] = dns.clone();
        config["env"]["LOG_LEVEL"] = "debug".into();
    })
    .await;
    team.apply().await;
    let machine = team
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
async fn scale_down_requires_allow_destroy_for_volume() {
    let team = TestEnv::new(MANIFEST).await;
    team.apply().await;
    team.write_manifest(&MANIFEST.replace(
        "count = { ewr = 2, iad = 1 }",
        "count = { ewr = 1, iad = 1 }",
    ));
    let plan = team.plan().await;
    // A volume without a slot is called by its id, so that what is allowed to be lost is this very disk.
    let id = team.world().await.fly_machine["web/app/ewr/1"]
        .volume
        .clone()
        .unwrap()
        .0;
    let volume = format!("fly.volume/web/data/ewr/{id}");
    assert_eq!(
        plan_summary(&plan),
        [
            "destroy fly.machine/web/app/ewr/1".to_owned(),
            format!("destroy {volume}")
        ]
    );
    let refusals = trimtab::plan::refusals(&plan, &trimtab::plan::Limits::default());
    assert_eq!(refusals.len(), 1);
    assert!(refusals[0].hint.starts_with(&format!(
        "--allow-destroy {volume}; a volume stays in its region"
    )));
    team.apply().await;
    assert_eq!(team.summary().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn foreign_app_needs_adopt() {
    let team = TestEnv::new(MANIFEST).await;
    team.sandbox.org_token("harbor-test").unwrap();
    team.send_manual_request(
        "POST",
        "/v1/apps",
        json!({"name": "harbor-web", "org_slug": "harbor-test"}),
    )
    .await;
    let config =
        json!({"image": "registry.fly.io/harbor-web:v0", "metadata": {"fly_process_group": "app"}});
    team.send_manual_request(
        "POST",
        "/v1/apps/harbor-web/machines",
        json!({"region": "iad", "config": config}),
    )
    .await;
    let plan = team.plan().await;
    assert_eq!(plan.steps().count(), 0, "nothing in it is touched");
    assert!(plan.blocked[0].refused.hint.contains("--adopt fly.app/web"));
}

#[tokio::test(flavor = "multi_thread")]
async fn plan_id_covers_hidden_values() {
    let team = TestEnv::new(MANIFEST).await;
    let reviewed = team.plan().await.id();
    // A new machine shows the names of its variables only.
    team.write_manifest(&MANIFEST.replace("LOG_LEVEL = \"info\"", "LOG_LEVEL = \"debug\""));
    assert!(!reviewed.covers(&team.plan().await.id()));
    team.write_manifest(MANIFEST);
    assert!(reviewed.covers(&team.plan().await.id()));
    let half = team.plan().await.only(&["fly.secrets/web".parse_address()]);
    assert!(
        reviewed.covers(&half.id()),
        "a part of a reviewed plan may run"
    );
    assert!(!half.id().covers(&reviewed));
}

/// Shorter to read in a test.
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
    let mut team = TestEnv::new(MANIFEST).await;
    team.adopt = true;
    team.sandbox.org_token("harbor-test").unwrap();
    team.send_manual_request(
        "POST",
        "/v1/apps",
        json!({"name": "harbor-web", "org_slug": "harbor-test"}),
    )
    .await;
    let config =
        json!({"image": "registry.fly.io/harbor-web:v0", "metadata": {"fly_process_group": "app"}});
    let body = json!({"region": "iad", "config": config});
    let old = team
        .send_manual_request("POST", "/v1/apps/harbor-web/machines", body)
        .await;
    // It lacks the volume of its slot, so it gives way to one that has it; the app, its name and addresses stay.
    assert!(
        team.summary()
            .await
            .contains(&"replace fly.machine/web/app/iad/0 mounts.volume".to_owned())
    );
    team.apply().await;
    assert_eq!(team.summary().await, Vec::<String>::new());
    assert_ne!(
        team.world().await.fly_machine["web/app/iad/0"].workload.id,
        old["id"].as_str().unwrap()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn protection_survives_removal_from_manifest() {
    let protected = MANIFEST.replace("[apps.web]\n", "[apps.web]\nprotected = true\n");
    let team = TestEnv::new(&protected).await;
    team.apply().await;
    let before = team.world().await.fly_machine["web/app/ewr/0"]
        .workload
        .version
        .clone();
    team.write_manifest("project = \"harbor\"\n[fly]\norg = \"harbor-test\"\n[apps.other]\nname = \"harbor-other\"\nprimary_region = \"ewr\"\nimage = \"x:1\"\n");
    let refusals = trimtab::plan::refusals(&team.plan().await, &trimtab::plan::Limits::default());
    assert!(
        refusals
            .iter()
            .any(|refusal| refusal.reason == "fly.app/web (harbor-web) is protected"),
        "{refusals:#?}"
    );
    // Taking the protection away is a change of marks: nothing restarts.
    team.write_manifest(MANIFEST);
    assert_eq!(team.summary().await, ["update fly.app/web protected"]);
    team.apply().await;
    assert_eq!(
        team.world().await.fly_machine["web/app/ewr/0"]
            .workload
            .version,
        before
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn volume_grows_but_never_shrinks() {
    let team = TestEnv::new(MANIFEST).await;
    team.apply().await;
    team.write_manifest(&MANIFEST.replace("3gb", "5gb"));
    assert_eq!(
        team.summary().await[0],
        "update fly.volume/web/data/ewr/0 size"
    );
    team.apply().await;
    assert_eq!(team.summary().await, Vec::<String>::new());
    team.write_manifest(&MANIFEST.replace("3gb", "2gb"));
    assert!(
        team.summary().await[0].contains("is 5 GB and cannot shrink to 2 GB"),
        "{:?}",
        team.summary().await
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn unreachable_machine_is_skipped() {
    let team = TestEnv::new(MANIFEST).await;
    team.apply().await;
    let id = team.world().await.fly_machine["web/app/iad/0"]
        .workload
        .id
        .clone();
    team.send_manual_request(
        "POST",
        "/_sandbox/hosts",
        json!({"machine": id, "status": "unreachable"}),
    )
    .await;
    team.write_manifest(&MANIFEST.replace("harbor-web:v1", "harbor-web:v2"));
    let plan = team.plan().await;
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
    team.apply().await;
    team.send_manual_request(
        "POST",
        "/_sandbox/hosts",
        json!({"machine": id, "status": "ok"}),
    )
    .await;
    assert_eq!(
        team.summary().await,
        ["restart fly.machine/web/app/iad/0 image"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn app_token_is_enough_with_warning() {
    let team = TestEnv::new(MANIFEST).await;
    team.apply().await;
    let token = team.sandbox.app_token("harbor-test", "harbor-web").unwrap();
    let desired = team.desired();
    let world = trimtab::observe::observe(&team.reader_with(&token).into(), &desired)
        .await
        .unwrap();
    assert!(trimtab::plan::plan(&desired, &world).unwrap().is_empty());
    assert!(world.findings.warnings[0].contains("cannot list the organization"));
}

#[test]
fn known_regions_match_platform() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let listed = runtime.block_on(async {
        let team = TestEnv::new(MANIFEST).await;
        team.send_manual_request("GET", "/v1/platform/regions", json!(null))
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
    let team = TestEnv::new(MANIFEST).await;
    team.apply().await;
    let rule =
        json!([{"match": {"image_contains": ":bad"}, "behave": {"exit_code": 1, "after_ms": 1}}]);
    team.send_manual_request("POST", "/_sandbox/rules", rule)
        .await;
    team.write_manifest(&MANIFEST.replace("harbor-web:v1", "harbor-web:bad"));
    let report = team.try_apply(None).await.unwrap();
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
    let world = team.world().await;
    assert!(image(&world, "web/app/ewr/0") == "bad");
    assert!(
        image(&world, "web/app/ewr/1") == "v1",
        "the next machine is not touched"
    );
    // The same again is not "no changes": the machine that did not come up is tried first.
    assert!(
        team.summary().await[0].contains("fly.machine/web/app/ewr/0 start"),
        "{:?}",
        team.summary().await
    );
    assert!(!team.try_apply(None).await.unwrap().is_complete());
    assert_eq!(image(&team.world().await, "web/app/ewr/1"), "v1");
    team.write_manifest(&MANIFEST.replace("harbor-web:v1", "harbor-web:v2"));
    team.apply().await;
    assert_eq!(team.summary().await, Vec::<String>::new());
    assert!(
        team.world()
            .await
            .fly_machine
            .values()
            .all(|machine| machine.workload.state == "started")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn failing_checks_fail_the_apply() {
    let team = TestEnv::new(MANIFEST).await;
    team.apply().await;
    let rule = json!([{"match": {"image_contains": ":sick"}, "behave": {"checks": "critical", "check_output": "500"}}]);
    team.send_manual_request("POST", "/_sandbox/rules", rule)
        .await;
    team.write_manifest(&MANIFEST.replace("harbor-web:v1", "harbor-web:sick"));
    let report = team.try_apply(None).await.unwrap();
    assert!(format!("{report:?}").contains("is critical"), "{report:?}");
    assert!(!team.summary().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn empty_unlabelled_app_is_foreign() {
    let team = TestEnv::new(MANIFEST).await;
    team.sandbox.org_token("harbor-test").unwrap();
    team.send_manual_request(
        "POST",
        "/v1/apps",
        json!({"name": "harbor-web", "org_slug": "harbor-test"}),
    )
    .await;
    team.send_manual_request(
        "POST",
        "/v1/apps/harbor-web/secrets/THEIRS",
        json!({"value": "x"}),
    )
    .await;
    let plan = team.plan().await;
    assert_eq!(plan.steps().count(), 0);
    assert!(plan.blocked[0].refused.hint.contains("--adopt fly.app/web"));
}

#[tokio::test(flavor = "multi_thread")]
async fn oldest_machine_keeps_the_slot() {
    let team = TestEnv::new(MANIFEST).await;
    team.apply().await;
    let old = team.world().await.fly_machine["web/app/iad/0"]
        .workload
        .clone();
    let mut config = old.raw.clone();
    config["mounts"] = json!([]);
    // Times are whole seconds on Fly; the sandbox's clock runs ahead a thousandfold.
    team.send_manual_request(
        "POST",
        "/v1/apps/harbor-web/machines",
        json!({"region": "iad", "config": config}),
    )
    .await;
    let world = team.world().await;
    assert_eq!(world.fly_machine["web/app/iad/0"].workload.id, old.id);
    assert_eq!(team.summary().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn old_machines_are_deleted_after_new_ones_start() {
    let plain = MANIFEST.replace(
        "[[apps.web.mounts]]\nsource = \"data\"\ndestination = \"/data\"\ninitial_size = \"3gb\"\n",
        "",
    );
    let team = TestEnv::new(&plain).await;
    team.apply().await;
    team.write_manifest(
        &plain
            .replace("count = { ewr = 2, iad = 1 }", "count = { fra = 2 }")
            .replace("\"ewr\"", "\"fra\""),
    );
    let plan = team.plan().await;
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
    team.apply().await;
    assert_eq!(team.summary().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn plan_id_survives_interruption() {
    let team = TestEnv::new(MANIFEST).await;
    let reviewed = team.plan().await.id();
    let at = trimtab::clouds::RequestOrdinal::Write(7);
    let fuse = trimtab::clouds::CrashPoint {
        request: at,
        after_response: true,
        mode: trimtab::clouds::CrashMode::Simulate,
    };
    assert!(!team.try_apply(Some(fuse)).await.unwrap().is_complete());
    assert!(
        reviewed.covers(&team.plan().await.id()),
        "what is left of a reviewed plan may run"
    );
    let other =
        TestEnv::new(&MANIFEST.replace("project = \"harbor\"", "project = \"other\"")).await;
    assert!(!reviewed.covers(&other.plan().await.id()));
}

#[tokio::test(flavor = "multi_thread")]
async fn apply_is_not_rate_limited() {
    // At this speed the spacing of requests is far longer than what a busy machine delays them by.
    const SPEED: f64 = 10.0;
    let dir = tempfile::tempdir().unwrap();
    let plain = MANIFEST.replace("count = { ewr = 2, iad = 1 }", "count = { ewr = 6 }");
    std::fs::write(dir.path().join("test.toml"), plain).unwrap();
    let inputs = crate::support::inputs_with(&[("SECRET_KEY", "a"), ("DATABASE_URL", "b")]);
    let team = TestEnv::with_speed(dir, "test", inputs, Vec::new(), SPEED).await;
    team.apply().await;
    let refused: Vec<_> = team
        .sandbox
        .requests()
        .into_iter()
        .filter(|request| request.rate_limited)
        .collect();
    assert!(refused.is_empty(), "{refused:#?}");
}
