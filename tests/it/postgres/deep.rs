//! `--deep`: what the cluster itself says, compared and repaired.

use serde_json::json;

use super::{DATABASE, assert_one_database, exec_count, manifest, run_sql};
use crate::support::TestEnv;

/// What somebody did in the database, and the attributes that the plan names.
const TAMPERING: [(&str, &str); 6] = [
    ("ALTER ROLE harbor_web SUPERUSER;", "role.superuser"),
    (
        "ALTER ROLE harbor_web NOLOGIN CREATEDB;",
        "role.login,role.create_db",
    ),
    (
        "ALTER ROLE harbor_web PASSWORD 'known-to-somebody';",
        "password",
    ),
    ("ALTER DATABASE harbor_web OWNER TO postgres;", "owner"),
    (
        "GRANT CONNECT ON DATABASE harbor_web TO PUBLIC;",
        "public_connect",
    ),
    ("DROP DATABASE harbor_web;", "database"),
];

#[tokio::test(flavor = "multi_thread")]
async fn what_was_changed_inside_is_named_and_repaired() {
    let env = TestEnv::new(&manifest()).await;
    env.apply().await;
    env.look_deeper();
    assert_eq!(env.summary().await, Vec::<String>::new());
    for (script, paths) in TAMPERING {
        run_sql(&env, "harbor-db", script).await;
        let summary = env.summary().await;
        assert!(
            summary.contains(&format!("update {DATABASE} {paths}")),
            "{script}: {summary:?}"
        );
        env.apply().await;
        assert_eq!(env.summary().await, Vec::<String>::new(), "{script}");
        assert_one_database(&env).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn role_that_is_gone_is_made_again() {
    let env = TestEnv::new(&manifest()).await;
    env.apply().await;
    env.look_deeper();
    run_sql(
        &env,
        "harbor-db",
        "DROP DATABASE harbor_web; DROP ROLE harbor_web;",
    )
    .await;
    env.apply().await;
    assert_eq!(env.summary().await, Vec::<String>::new());
    assert_one_database(&env).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cluster_that_sleeps_is_not_asked() {
    let env = TestEnv::new(&manifest()).await;
    env.apply().await;
    env.look_deeper();
    env.fall_asleep("harbor-db").await;
    let before = exec_count(&env);
    assert_eq!(env.summary().await, Vec::<String>::new());
    assert_eq!(exec_count(&env), before);
    let machines = env
        .send_manual_request("GET", "/v1/apps/harbor-db/machines", json!(null))
        .await;
    assert_eq!(machines[0]["state"], "stopped");
}
