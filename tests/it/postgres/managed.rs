//! Clusters that Fly manages: created once, used as they are, and never changed or deleted.

use serde_json::json;

use super::{DATABASE, secret, url_parts};
use crate::support::{TestEnv, plan_summary};

const MANIFEST: &str = r#"
project = "harbor"
[fly]
org = "harbor-test"
[postgres.db]
engine = "managed"
name = "harbor-db"
region = "iad"
plan = "basic"
[apps.web]
name = "harbor-web"
primary_region = "iad"
image = "registry.fly.io/harbor-web:v1"
processes = { app = "serve" }
[apps.web.databases.main]
cluster = "db"
extensions = ["pg_trgm"]
"#;

#[tokio::test(flavor = "multi_thread")]
async fn app_gets_a_database_in_a_managed_cluster() {
    let env = TestEnv::new(MANIFEST).await;
    env.apply().await;
    assert_eq!(env.summary().await, Vec::<String>::new());
    let url = secret(&env, "harbor-web", "DATABASE_URL").unwrap();
    let (role, password, host, database) = url_parts(&url);
    assert_eq!(
        (role.as_str(), database.as_str()),
        ("harbor_web", "harbor_web")
    );
    assert!(host.starts_with("pgbouncer."), "{host}");

    // A changed secret is set again, with the password that the cluster has.
    let values = json!({ "values": { "DATABASE_URL": "set by hand" } });
    env.send_manual_request("POST", "/v1/apps/harbor-web/secrets", values)
        .await;
    let summary = env.summary().await;
    assert!(
        summary.contains(&format!("update {DATABASE} password")),
        "{summary:?}"
    );
    env.apply().await;
    assert_eq!(env.summary().await, Vec::<String>::new());
    assert_eq!(secret(&env, "harbor-web", "DATABASE_URL").unwrap(), url);

    // Another address is another URL of the same password.
    env.write_manifest(&MANIFEST.replace("cluster = \"db\"", "cluster = \"db\"\npooled = false"));
    env.apply().await;
    assert_eq!(env.summary().await, Vec::<String>::new());
    let (_, same, host, _) = url_parts(&secret(&env, "harbor-web", "DATABASE_URL").unwrap());
    assert!(host.starts_with("direct.") && same == password, "{host}");

    env.rotate(DATABASE);
    env.apply().await;
    env.stop_rotating();
    assert_eq!(env.summary().await, Vec::<String>::new());
    let (_, rotated, ..) = url_parts(&secret(&env, "harbor-web", "DATABASE_URL").unwrap());
    assert_ne!(rotated, password);
}

/// What the API cannot change is refused before anything is written.
#[tokio::test(flavor = "multi_thread")]
async fn another_plan_or_region_is_refused() {
    let env = TestEnv::new(MANIFEST).await;
    env.apply().await;
    for (from, to) in [
        ("plan = \"basic\"", "plan = \"launch\""),
        ("region = \"iad\"\nplan", "region = \"fra\"\nplan"),
        ("plan = \"basic\"", "plan = \"basic\"\ndisk_size = \"50gb\""),
        ("plan = \"basic\"", "plan = \"basic\"\nversion = 16"),
    ] {
        env.write_manifest(&MANIFEST.replace(from, to));
        let plan = env.plan().await;
        let [blocked] = &plan.blocked[..] else {
            panic!("{to}: {:?}", plan_summary(&plan));
        };
        assert!(
            blocked.blocker.reason.contains("cannot change it"),
            "{blocked:?}"
        );
    }
}

/// A cluster bears no mark, so it stays.
#[tokio::test(flavor = "multi_thread")]
async fn managed_cluster_outlives_its_environment() {
    let env = TestEnv::new(MANIFEST).await;
    env.apply().await;
    env.destroy().await;
    let clusters = env
        .send_manual_request("GET", "/v1/postgres?org_slug=harbor-test", json!(null))
        .await;
    assert_eq!(clusters["data"][0]["name"], "harbor-db");
    // The next environment of this name uses it.
    env.apply().await;
    assert_eq!(env.summary().await, Vec::<String>::new());
    let clusters = env
        .send_manual_request("GET", "/v1/postgres?org_slug=harbor-test", json!(null))
        .await;
    assert_eq!(clusters["data"].as_array().unwrap().len(), 1);
}
