//! What holds data is never lost in silence: it stays in use, or stays as a spare, or is named by its own address and needs its own
//! permission.

use serde_json::{Value, json};
use trimtab::{
    model::Address,
    plan::{DeferralReason, Limits, Plan, refusals},
};

use crate::support::{TestEnv, plan_summary};

const MANIFEST: &str = r#"
project = "harbor"
[fly]
org = "harbor-test"
[apps.web]
name = "harbor-web"
primary_region = "iad"
image = "registry.fly.io/harbor-web:v1"
processes = { app = "serve" }
[[apps.web.mounts]]
source = "data"
destination = "/data"
processes = ["app"]
[apps.web.machines.app]
count = 2
"#;

/// The addresses that the guard refuses without any permission.
fn refused_addresses(plan: &Plan) -> Vec<String> {
    let refusals = refusals(plan, &Limits::default()).into_iter();
    refusals
        .filter_map(|refusal| Some(refusal.address?.to_string()))
        .collect()
}

async fn volume_ids(env: &TestEnv) -> Vec<String> {
    let volumes = env
        .send_manual_request("GET", "/v1/apps/harbor-web/volumes", json!(null))
        .await;
    let volumes = volumes.as_array().unwrap().iter();
    let mut ids: Vec<String> = volumes
        .filter(|volume| volume["state"] == "created")
        .map(|volume| volume["id"].as_str().unwrap().to_owned())
        .collect();
    ids.sort();
    ids
}

async fn create_volume(env: &TestEnv, name: &str) -> String {
    let body = json!({ "name": name, "region": "iad", "size_gb": 1 });
    let volume = env
        .send_manual_request("POST", "/v1/apps/harbor-web/volumes", body)
        .await;
    volume["id"].as_str().unwrap().to_owned()
}

async fn set_host(env: &TestEnv, kind: &str, id: &str, status: &str) {
    let body = json!({ kind: id, "status": status });
    env.send_manual_request("POST", "/_sandbox/hosts", body)
        .await;
}

/// The manifest with its process group `app` called `web`.
fn renamed_group(manifest: &str) -> String {
    manifest
        .replace("app = \"serve\"", "web = \"serve\"")
        .replace("[\"app\"]", "[\"web\"]")
        .replace("machines.app", "machines.web")
}

async fn destroy_machine(env: &TestEnv, id: &str) {
    let path = format!("/v1/apps/harbor-web/machines/{id}");
    env.send_manual_request("DELETE", &format!("{path}?force=true"), Value::Null)
        .await;
    env.send_manual_request("GET", &format!("{path}/wait?state=destroyed"), Value::Null)
        .await;
}

/// superfly/flyctl#1917, #2189: process groups change, and the volume goes with the old group.
#[tokio::test(flavor = "multi_thread")]
async fn renamed_group_keeps_its_volumes() {
    let env = TestEnv::new(MANIFEST).await;
    env.apply().await;
    let before = volume_ids(&env).await;
    env.write_manifest(&renamed_group(MANIFEST));
    let plan = env.plan().await;
    assert_eq!(
        plan_summary(&plan),
        [
            "destroy fly.machine/web/app/iad/0",
            "destroy fly.machine/web/app/iad/1",
            "create fly.machine/web/web/iad/0",
            "create fly.machine/web/web/iad/1",
        ]
    );
    assert_eq!(refused_addresses(&plan), Vec::<String>::new());
    env.apply().await;
    assert_eq!(volume_ids(&env).await, before);
    assert_eq!(env.summary().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn mount_that_moves_to_another_group_takes_its_volume_along() {
    let two_groups = MANIFEST
        .replace(
            "{ app = \"serve\" }",
            "{ app = \"serve\", jobs = \"work\" }",
        )
        .replace("count = 2", "count = 1");
    let env = TestEnv::new(&two_groups).await;
    env.apply().await;
    let before = volume_ids(&env).await;
    assert_eq!(before.len(), 1);
    env.write_manifest(&two_groups.replace("processes = [\"app\"]", "processes = [\"jobs\"]"));
    let plan = env.plan().await;
    assert_eq!(
        plan_summary(&plan),
        [
            "replace fly.machine/web/app/iad/0 mounts.volume",
            "replace fly.machine/web/jobs/iad/0 mounts.volume",
        ]
    );
    env.apply().await;
    assert_eq!(volume_ids(&env).await, before);
    assert_eq!(env.summary().await, Vec::<String>::new());
}

/// superfly/flyctl#2547: scaling down leaves the volume to the user.
#[tokio::test(flavor = "multi_thread")]
async fn scale_down_leaves_a_spare_that_scale_up_takes() {
    let env = TestEnv::new(MANIFEST).await;
    env.apply().await;
    let before = volume_ids(&env).await;
    env.write_manifest(&MANIFEST.replace("count = 2", "count = 1"));
    let plan = env.plan().await;
    assert_eq!(plan_summary(&plan), ["destroy fly.machine/web/app/iad/1"]);
    assert_eq!(refused_addresses(&plan), Vec::<String>::new());
    env.apply().await;
    assert_eq!(env.summary().await, Vec::<String>::new());
    assert_eq!(volume_ids(&env).await, before);
    let [spare] = env.plan().await.findings.unmanaged.try_into().unwrap();
    let address = spare.address.unwrap().to_string();
    assert!(
        spare
            .why
            .ends_with(&format!("--allow-destroy {address} deletes it")),
        "{}",
        spare.why
    );
    env.write_manifest(MANIFEST);
    env.apply().await;
    assert_eq!(volume_ids(&env).await, before);

    // It goes when its own address is named.
    env.write_manifest(&MANIFEST.replace("count = 2", "count = 1"));
    env.apply().await;
    let [spare] = env.plan().await.findings.unmanaged.try_into().unwrap();
    let address = spare.address.unwrap().to_string();
    env.allow_destroy(&address);
    assert_eq!(env.summary().await, [format!("destroy {address}")]);
    env.apply().await;
    assert_eq!(volume_ids(&env).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn group_that_moves_is_warned_of_its_empty_volume() {
    let env = TestEnv::new(MANIFEST).await;
    env.apply().await;
    env.write_manifest(&MANIFEST.replace("count = 2", "count = { fra = 1, iad = 1 }"));
    let plan = env.plan().await;
    let warning = &plan.findings.warnings[0];
    assert!(
        warning.starts_with("fly.volume/web/data/fra/0 will be a new, empty volume")
            && warning.contains("fly volumes fork vol_")
            && warning.contains("--region fra"),
        "{warning}"
    );
    env.apply().await;
    assert_eq!(volume_ids(&env).await.len(), 3);
}

/// The permission to remove an app is none to lose a volume in it that the plan does not name.
#[tokio::test(flavor = "multi_thread")]
async fn volumes_of_a_removed_app_need_their_own_permission() {
    let both = format!(
        "{MANIFEST}\n[apps.other]\nname = \"harbor-other\"\nprimary_region = \"iad\"\nimage = \"any:1\"\n"
    );
    let env = TestEnv::new(&both).await;
    env.apply().await;
    let precious = create_volume(&env, "precious").await;
    let managed = volume_ids(&env).await.len() - 1;
    let start = both.find("[apps.web]").unwrap();
    let end = both.find("[apps.other]").unwrap();
    env.write_manifest(&format!("{}{}", &both[..start], &both[end..]));
    let plan = env.plan().await;
    let precious = format!("fly.volume/web/precious/iad/{precious}");
    let cascade = plan
        .cascade_deletes
        .iter()
        .find(|deleted| deleted.address.to_string() == precious);
    assert!(cascade.is_some(), "{:?}", plan.cascade_deletes);
    assert!(
        plan.findings.unmanaged.is_empty(),
        "nothing in it is left alone"
    );
    let refused = refused_addresses(&plan);
    assert_eq!(
        refused.len(),
        1 + managed + 1,
        "the app and every volume: {refused:?}"
    );
    // With every other permission this one is still missing.
    let limits = Limits {
        allow_destroy: refused
            .iter()
            .filter(|address| **address != precious)
            .map(|address| Address::parse(address).unwrap())
            .collect(),
        destroy_all: true,
        max_destroy: 100,
    };
    let left = refusals(&plan, &limits);
    assert_eq!(left.len(), 1, "{left:?}");
    assert_eq!(left[0].address.as_ref().unwrap().to_string(), precious);
}

/// superfly/flyctl#4497: a volume on a host that is down is no free volume.
#[tokio::test(flavor = "multi_thread")]
async fn unreachable_volume_is_not_taken_for_an_additional_machine() {
    let one = MANIFEST.replace("count = 2", "count = 1");
    let env = TestEnv::new(&one).await;
    env.apply().await;
    let dead = create_volume(&env, "data").await;
    set_host(&env, "volume", &dead, "unreachable").await;
    env.write_manifest(MANIFEST);
    assert_eq!(
        env.summary().await,
        [
            "create fly.machine/web/app/iad/1",
            "create fly.volume/web/data/iad/1",
        ]
    );
    env.apply().await;
    assert_eq!(env.summary().await, Vec::<String>::new());
    assert_eq!(volume_ids(&env).await.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn machine_waits_for_the_host_of_its_only_volume() {
    let one = MANIFEST.replace("count = 2", "count = 1");
    let env = TestEnv::new(&one).await;
    env.apply().await;
    let machine = &env.world().await.fly_machine["web/app/iad/0"].workload.id;
    destroy_machine(&env, machine).await;
    let [only] = volume_ids(&env).await.try_into().unwrap();
    set_host(&env, "volume", &only, "unreachable").await;
    let plan = env.plan().await;
    assert!(
        plan.is_empty() && plan.is_incomplete(),
        "{:?}",
        plan_summary(&plan)
    );
    assert_eq!(
        plan.deferred[0].address.to_string(),
        "fly.machine/web/app/iad/0"
    );
    assert_eq!(plan.deferred[0].reason, DeferralReason::Unavailable);
    set_host(&env, "volume", &only, "ok").await;
    env.apply().await;
    assert_eq!(volume_ids(&env).await, [only]);
    assert_eq!(env.summary().await, Vec::<String>::new());
}

/// A run that dies between the deletion of a machine and the creation of the next one leaves the volume in use unattached, beside the
/// spares of earlier scale-downs.
#[tokio::test(flavor = "multi_thread")]
async fn interrupted_rename_takes_the_volume_that_was_in_use() {
    // Which ids Fly gives is chance, so several environments are tried.
    for count in 2..6 {
        let many = MANIFEST.replace("count = 2", &format!("count = {count}"));
        let env = TestEnv::new(&many).await;
        env.apply().await;
        let one = MANIFEST.replace("count = 2", "count = 1");
        env.write_manifest(&one);
        env.apply().await;
        let world = env.world().await;
        let in_use = world.fly_volume["web/data/iad/0"].id.clone();
        let machine = &world.fly_machine["web/app/iad/0"].workload.id;
        destroy_machine(&env, machine).await;
        env.write_manifest(&renamed_group(&one));
        assert_eq!(env.world().await.fly_volume["web/data/iad/0"].id, in_use);
        env.apply().await;
        let world = env.world().await;
        let (mounted, _) = world.fly_machine["web/web/iad/0"].volume.clone().unwrap();
        assert_eq!(mounted, in_use);
        assert_eq!(env.summary().await, Vec::<String>::new());
    }
}

/// Each machine gets the volume back that it had before a scale-down.
#[tokio::test(flavor = "multi_thread")]
async fn scale_up_gives_each_machine_its_own_volume_back() {
    let many = MANIFEST.replace("count = 2", "count = 4");
    let env = TestEnv::new(&many).await;
    env.apply().await;
    let ids = |world: &trimtab::kinds::World| {
        let volumes = world.fly_volume.iter();
        let ids = volumes.map(|(name, volume)| (name.to_string(), volume.id.clone()));
        ids.collect::<Vec<_>>()
    };
    let before = ids(&env.world().await);
    env.write_manifest(&MANIFEST.replace("count = 2", "count = 1"));
    env.apply().await;
    env.write_manifest(&many);
    assert_eq!(ids(&env.world().await), before);
}

/// Where nothing tells which of several volumes was used, the plan says so.
#[tokio::test(flavor = "multi_thread")]
async fn choice_among_unknown_volumes_is_a_warning() {
    let one = MANIFEST.replace("count = 2", "count = 1");
    let env = TestEnv::new(&one).await;
    env.apply().await;
    for _ in 0..2 {
        create_volume(&env, "data").await;
    }
    env.write_manifest(MANIFEST);
    let warning = &env.plan().await.findings.warnings[0];
    assert!(
        warning.starts_with("fly.volume/web/data/iad/1 will be vol_")
            && warning.contains("one of 2 volumes named data"),
        "{warning}"
    );
}
