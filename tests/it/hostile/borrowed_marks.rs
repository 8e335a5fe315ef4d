//! Machines that bear our mark in an app of somebody else: whoever may create a machine can copy a mark. An app outside the manifest
//! is ours by its owner label alone.

use serde_json::{Value, json};
use trimtab::{
    kinds::Desired,
    observe::observe,
    plan::{Plan, plan},
};

use crate::support::{TestEnv, apply_plan, plan_summary};

const MANIFEST: &str = r#"
project = "harbor"
[fly]
org = "harbor-test"
[apps.web]
name = "harbor-web"
primary_region = "iad"
image = "registry.fly.io/harbor-web:v1"
[apps.web.machines.app]
count = 1
"#;
const LABEL: &str = "TRIMTAB_OF_harbor__test";

/// Creates an app with a copy of a machine of ours and a machine of its own.
async fn create_stranger(env: &TestEnv, app: &str, name: Option<&str>) {
    let body = json!({ "app_name": app, "org_slug": "harbor-test" });
    env.send_manual_request("POST", "/v1/apps", body).await;
    let path = "/v1/apps/harbor-web/machines";
    let ours = env.send_manual_request("GET", path, Value::Null).await;
    let mut config = ours[0]["config"].clone();
    if let Some(name) = name {
        config["metadata"]["trimtab_name"] = name.into();
    }
    let mut own = config.clone();
    own["metadata"] = json!({});
    for config in [config, own] {
        let body = json!({ "region": "iad", "config": config });
        let path = format!("/v1/apps/{app}/machines");
        env.send_manual_request("POST", &path, body).await;
    }
}

async fn set_label(env: &TestEnv, app: &str, label: &str) {
    let path = format!("/v1/apps/{app}/secrets/{label}");
    env.send_manual_request("POST", &path, json!({ "value": "1" }))
        .await;
}

/// The plan that destroys the environment.
async fn plan_destroy(env: &TestEnv) -> Plan {
    let nothing = Desired::empty(env.desired().meta);
    let world = observe(&env.readers(None).await, &nothing).await.unwrap();
    plan(&nothing, &world).unwrap()
}

async fn destroy(env: &TestEnv) {
    let (readers, nothing) = (env.readers(None).await, Desired::empty(env.desired().meta));
    let world = observe(&readers, &nothing).await.unwrap();
    let report = apply_plan(plan(&nothing, &world).unwrap(), readers, world).await;
    assert!(report.is_complete(), "{report:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_of_a_stranger_is_named_and_left_alone() {
    let env = TestEnv::new(MANIFEST).await;
    env.apply().await;
    create_stranger(&env, "colleague", None).await;
    create_stranger(&env, "colleague-labelled", Some("../../x")).await;
    set_label(&env, "colleague-labelled", "TRIMTAB_OF_other__live").await;

    let current = env.plan().await;
    assert_eq!(plan_summary(&current), Vec::<String>::new());
    let [first, second] = &current.findings.warnings[..] else {
        panic!("{:?}", current.findings.warnings)
    };
    assert!(
        first.contains("of the app colleague bears the mark of this environment")
            && first.contains(&format!("does not have the owner label {LABEL}")),
        "{first}"
    );
    assert!(
        second.contains("has the owner label TRIMTAB_OF_other__live"),
        "{second}"
    );

    assert_eq!(
        plan_summary(&plan_destroy(&env).await),
        ["destroy fly.app/web"]
    );
    destroy(&env).await;
    for app in ["colleague", "colleague-labelled"] {
        let path = format!("/v1/apps/{app}/machines");
        let left = env.send_manual_request("GET", &path, Value::Null).await;
        assert_eq!(left.as_array().unwrap().len(), 2, "{app}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_left_the_manifest_has_one_address() {
    let env = TestEnv::new(MANIFEST).await;
    env.apply().await;
    for (app, name) in [("old-one", "../../x"), ("old-two", "web/app/iad/0")] {
        create_stranger(&env, app, Some(name)).await;
        set_label(&env, app, LABEL).await;
    }
    // A second key of the same app.
    let path = "/v1/apps/old-two/machines";
    let machines = env.send_manual_request("GET", path, Value::Null).await;
    let body = json!({ "region": "iad", "config": machines[0]["config"] });
    let copy = env.send_manual_request("POST", path, body).await;
    let id = copy["id"].as_str().unwrap();
    let path = format!("{path}/{id}/metadata/trimtab_name");
    env.send_manual_request("POST", &path, json!({ "value": "api/app/iad/0" }))
        .await;
    assert_eq!(
        plan_summary(&env.plan().await),
        [
            "destroy fly.app/old-one.gone",
            "destroy fly.app/old-two.gone"
        ]
    );
}

/// The marks of machines win over the label of their app.
#[tokio::test(flavor = "multi_thread")]
async fn machines_of_another_owner_in_our_app_are_a_conflict() {
    let env = TestEnv::new(&MANIFEST.replace("count = 1", "count = 2")).await;
    env.apply().await;
    let path = "/v1/apps/harbor-web/machines";
    let machines = env.send_manual_request("GET", path, Value::Null).await;
    let ids = machines.as_array().unwrap().iter();
    let ids: Vec<&str> = ids.map(|machine| machine["id"].as_str().unwrap()).collect();
    let set_owner = async |id: &str| {
        let path = format!("{path}/{id}/metadata/trimtab_project");
        env.send_manual_request("POST", &path, json!({ "value": "other" }))
            .await;
    };
    set_owner(ids[0]).await;
    let current = env.plan().await;
    assert_eq!(current.blocked, Vec::new());
    let unmanaged = &current.findings.unmanaged;
    assert!(
        unmanaged
            .iter()
            .any(|found| found.identity == ids[0] && found.why == "it belongs to other/test"),
        "{unmanaged:?}"
    );
    set_owner(ids[1]).await;
    let summary = env.summary().await;
    assert_eq!(summary.len(), 1, "{summary:?}");
    assert!(
        summary[0].contains("belongs to another environment: other/test"),
        "{summary:?}"
    );
}
