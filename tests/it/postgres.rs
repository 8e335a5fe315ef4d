//! Postgres clusters and databases: made, left alone, repaired and removed, with one role, one database and a URL that logs in.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use trimtab::{
    kinds::Desired,
    model::Address,
    plan::{Limits, refusals},
};

use crate::support::{TestEnv, plan_summary};

mod crash;
mod deep;
mod managed;

const IMAGE: &str = "flyio/postgres-flex:17.7@sha256:3f1ac2b0c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f70";

/// An app with a database in a cluster that may sleep.
pub(crate) fn manifest() -> String {
    format!(
        r#"
project = "harbor"
[fly]
org = "harbor-test"
[postgres.db]
name = "harbor-db"
region = "iad"
image = "{IMAGE}"
auto_sleep = "1h"
[apps.web]
name = "harbor-web"
primary_region = "iad"
image = "registry.fly.io/harbor-web:v1"
processes = {{ app = "serve" }}
[apps.web.databases.main]
cluster = "db"
scheme = "postgresql+asyncpg"
extensions = ["pg_trgm"]
[apps.web.secrets]
SECRET_KEY = {{ generate = 32 }}
"#
    )
}

const DATABASE: &str = "postgres.database/web/main";

/// The value of a secret in the sandbox.
fn secret(env: &TestEnv, app: &str, name: &str) -> Option<String> {
    let state = env.sandbox.state();
    let value = &state["apps"][app]["secrets"][name]["value"];
    value.as_str().map(str::to_owned)
}

/// The parts of a URL: user, password, host, database.
fn url_parts(url: &str) -> (String, String, String, String) {
    let (_, rest) = url.split_once("://").unwrap();
    let (user, rest) = rest.split_once('@').unwrap();
    let (role, password) = user.split_once(':').unwrap();
    let (host, database) = rest.split_once('/').unwrap();
    let database = database.split('?').next().unwrap();
    let parts = [role, password, host, database].map(str::to_owned);
    let [role, password, host, database] = parts;
    (role, password, host, database)
}

/// Tries a login with the URL that an app has.
async fn log_in(env: &TestEnv, app: &str) -> Value {
    let url = secret(env, app, "DATABASE_URL").expect("the app has a URL");
    let (role, password, host, database) = url_parts(&url);
    let cluster = host.split('.').next().unwrap();
    env.connect_to_cluster(cluster).await;
    let body = json!({ "app": cluster, "role": role, "password": password, "database": database });
    env.send_admin("POST", "postgres/login", body).await
}

async fn run_sql(env: &TestEnv, cluster: &str, script: &str) {
    env.connect_to_cluster(cluster).await;
    let body = json!({ "app": cluster, "script": script });
    let answer = env.send_admin("POST", "postgres/script", body).await;
    assert_eq!(answer["exit_code"], 0, "{answer}");
}

/// The databases and the roles of a cluster besides its own.
async fn contents(env: &TestEnv, cluster: &str) -> (BTreeSet<String>, BTreeSet<String>) {
    let cluster = env
        .send_admin("GET", &format!("postgres/{cluster}"), json!(null))
        .await;
    let server = &cluster["nodes"][0]["server"];
    let names = |key: &str, own: &[&str]| -> BTreeSet<String> {
        let all = server[key].as_object().unwrap().keys();
        all.filter(|name| !own.contains(&name.as_str()) && !name.starts_with("pg_"))
            .cloned()
            .collect()
    };
    (
        names(
            "databases",
            &["postgres", "template0", "template1", "repmgr"],
        ),
        names("roles", &["postgres", "flypgadmin", "repmgr"]),
    )
}

fn only(name: &str) -> BTreeSet<String> {
    BTreeSet::from([name.to_owned()])
}

async fn assert_one_database(env: &TestEnv) {
    assert_eq!(
        contents(env, "harbor-db").await,
        (only("harbor_web"), only("harbor_web"))
    );
    assert_eq!(log_in(env, "harbor-web").await["ok"], true);
}

/// The requests that run something in a machine.
fn exec_count(env: &TestEnv) -> usize {
    let requests = env.sandbox.requests();
    requests
        .iter()
        .filter(|request| request.path.ends_with("/exec"))
        .count()
}

#[tokio::test(flavor = "multi_thread")]
async fn app_gets_a_database_of_its_own() {
    let env = TestEnv::new(&manifest()).await;
    env.apply().await;
    assert_eq!(env.summary().await, Vec::<String>::new());
    assert_one_database(&env).await;
    let url = secret(&env, "harbor-web", "DATABASE_URL").unwrap();
    let (role, password, host, database) = url_parts(&url);
    assert!(url.starts_with("postgresql+asyncpg://") && url.ends_with("?ssl=disable"));
    assert_eq!(
        (role.as_str(), host.as_str(), database.as_str()),
        ("harbor_web", "harbor-db.flycast:5432", "harbor_web")
    );
    assert_eq!(password.len(), 32);
    assert_eq!(secret(&env, "harbor-web", "SECRET_KEY").unwrap().len(), 32);

    // The role owns its database and has no other right, and nobody else may connect.
    let cluster = env
        .send_admin("GET", "postgres/harbor-db", json!(null))
        .await;
    let server = &cluster["nodes"][0]["server"];
    let role = &server["roles"]["harbor_web"];
    for right in ["superuser", "createdb", "createrole", "replication"] {
        assert_eq!(role[right], false, "{right}: {role}");
    }
    run_sql(
        &env,
        "harbor-db",
        "CREATE ROLE other LOGIN PASSWORD 'of-another-tenant';",
    )
    .await;
    let body = json!({ "app": "harbor-db", "role": "other", "password": "of-another-tenant", "database": "harbor_web" });
    let other = env.send_admin("POST", "postgres/login", body).await;
    assert_eq!(
        (&other["ok"], &other["sqlstate"]),
        (&json!(false), &json!("42501")),
        "{other}"
    );
}

/// The password is in the secret, in the request that sets it, and nowhere else: not in a command, a log, metadata, or a plan.
#[tokio::test(flavor = "multi_thread")]
async fn password_is_in_the_secret_only() {
    let env = TestEnv::new(&manifest()).await;
    let report = env.apply().await;
    let url = secret(&env, "harbor-web", "DATABASE_URL").unwrap();
    let (_, password, ..) = url_parts(&url);
    let commands = env
        .send_admin("GET", "execs", json!(null))
        .await
        .to_string();
    assert!(commands.contains("SCRAM-SHA-256$4096:") && !commands.contains(&password));
    let log = env
        .send_admin("GET", "postgres/harbor-db/log", json!(null))
        .await
        .to_string();
    assert!(
        !log.contains(&password) && !log.contains("SCRAM-SHA-256"),
        "{log}"
    );
    let mut state = env.sandbox.state();
    for app in state["apps"].as_object_mut().unwrap().values_mut() {
        app["secrets"] = Value::Null;
    }
    assert!(!state.to_string().contains(&password));
    assert!(!format!("{report:?}").contains(&password));
    assert!(!format!("{:?}", env.plan().await).contains(&password));
}

/// Reading wakes nothing: a plan of a cluster that sleeps runs no command and starts no machine.
#[tokio::test(flavor = "multi_thread")]
async fn plan_does_not_wake_a_cluster() {
    let env = TestEnv::new(&manifest()).await;
    env.apply().await;
    env.fall_asleep("harbor-db").await;
    let (execs, writes) = (exec_count(&env), env.sandbox.write_count());
    assert_eq!(env.summary().await, Vec::<String>::new());
    assert_eq!(
        (exec_count(&env), env.sandbox.write_count()),
        (execs, writes)
    );
    let status = trimtab::status::EnvironmentStatus::from_world(&env.desired(), &env.world().await);
    let cluster = status.apps.iter().find(|app| app.app == "db").unwrap();
    assert_eq!(cluster.groups[0].asleep, 1);
    // An apply with statements to run wakes it.
    env.rotate(DATABASE);
    env.apply().await;
    assert!(exec_count(&env) > execs);
    env.stop_rotating();
    assert_eq!(env.summary().await, Vec::<String>::new());
    assert_one_database(&env).await;
}

/// What is changed by hand is named, and nothing else; one apply repairs it.
#[tokio::test(flavor = "multi_thread")]
async fn changed_or_missing_secret_gets_a_new_password() {
    let env = TestEnv::new(&manifest()).await;
    env.apply().await;
    let before = secret(&env, "harbor-web", "DATABASE_URL").unwrap();
    let secrets = "/v1/apps/harbor-web/secrets";
    for value in [json!("postgres://somebody-else"), json!(null)] {
        env.send_manual_request(
            "POST",
            secrets,
            json!({ "values": { "DATABASE_URL": value } }),
        )
        .await;
        let summary = env.summary().await;
        assert!(
            summary.contains(&format!("update {DATABASE} password")),
            "{summary:?}"
        );
        assert!(
            !summary
                .iter()
                .any(|line| line.contains("fly.app") || line.contains("/db/")),
            "{summary:?}"
        );
        env.apply().await;
        assert_eq!(env.summary().await, Vec::<String>::new());
        assert_one_database(&env).await;
    }
    assert_ne!(secret(&env, "harbor-web", "DATABASE_URL").unwrap(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn public_address_of_a_cluster_is_released() {
    let env = TestEnv::new(&manifest()).await;
    env.apply().await;
    env.send_manual_request(
        "POST",
        "/v1/apps/harbor-db/ip_assignments",
        json!({ "type": "shared_v4" }),
    )
    .await;
    let summary = env.summary().await;
    assert!(
        matches!(&summary[..], [line] if line.starts_with("destroy fly.ip/db/")),
        "{summary:?}"
    );
    env.apply().await;
    assert_eq!(env.summary().await, Vec::<String>::new());
}

/// The image reads its passwords at every start and writes them only once, so another value would keep the node from starting.
#[tokio::test(flavor = "multi_thread")]
async fn passwords_of_a_cluster_are_never_made_again() {
    let env = TestEnv::new(&manifest()).await;
    env.apply().await;
    let before = [
        "SU_PASSWORD",
        "OPERATOR_PASSWORD",
        "REPL_PASSWORD",
        "FLY_CONSUL_URL",
        "SSH_KEY",
        "SSH_CERT",
    ]
    .map(|name| secret(&env, "harbor-db", name));
    assert!(before.iter().all(Option::is_some));
    env.write_manifest(&manifest().replace(
        "auto_sleep = \"1h\"",
        "auto_sleep = \"2h\"\nmemory = \"2gb\"",
    ));
    let summary = env.summary().await;
    assert!(
        matches!(&summary[..], [line] if line.starts_with("restart fly.machine/db/app/iad/0 ")),
        "{summary:?}"
    );
    env.apply().await;
    let after = [
        "SU_PASSWORD",
        "OPERATOR_PASSWORD",
        "REPL_PASSWORD",
        "FLY_CONSUL_URL",
        "SSH_KEY",
        "SSH_CERT",
    ]
    .map(|name| secret(&env, "harbor-db", name));
    assert_eq!(before, after);
    assert_one_database(&env).await;
}

/// A second node that starts before the first has set up the cluster would set up another one.
#[tokio::test(flavor = "multi_thread")]
async fn nodes_are_created_one_after_the_other() {
    let three = manifest().replace("auto_sleep = \"1h\"", "nodes = 3");
    let env = TestEnv::new(&three).await;
    env.apply().await;
    let world = env.world().await;
    let roles: Vec<_> = world
        .fly_machine
        .iter()
        .filter(|(name, _)| name.root().as_str() == "db")
        .map(|(_, live)| {
            live.workload
                .health
                .postgres_role
                .clone()
                .unwrap_or_default()
        })
        .collect();
    assert_eq!(
        roles.iter().filter(|role| *role == "primary").count(),
        1,
        "{roles:?}"
    );
    assert_eq!(
        roles.iter().filter(|role| *role == "replica").count(),
        2,
        "{roles:?}"
    );
    assert_eq!(env.summary().await, Vec::<String>::new());
    // A change reaches the primary last.
    env.write_manifest(&three.replace("nodes = 3", "nodes = 3\nmemory = \"2gb\""));
    let plan = env.plan().await;
    let rollout = plan
        .rollouts
        .values()
        .find(|rollout| rollout.members.len() == 3)
        .expect("a rollout of three");
    let last = rollout.members.last().unwrap();
    let primary = world.fly_machine[last]
        .workload
        .health
        .postgres_role
        .clone();
    assert_eq!(primary.as_deref(), Some("primary"));
    // Fewer nodes are never removed by themselves.
    env.write_manifest(&manifest());
    let plan = env.plan().await;
    assert!(plan.blocked.len() >= 2, "{:?}", plan_summary(&plan));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_major_version_is_refused() {
    let env = TestEnv::new(&manifest()).await;
    env.apply().await;
    env.write_manifest(
        &manifest().replace("postgres-flex:17.7@sha256:3", "postgres-flex:18.1@sha256:4"),
    );
    let plan = env.plan().await;
    let [blocked] = &plan.blocked[..] else {
        panic!("{:?}", plan_summary(&plan));
    };
    assert!(
        blocked
            .blocker
            .reason
            .contains("version 18 cannot read its data"),
        "{blocked:?}"
    );
    // A minor version is an update in place.
    env.write_manifest(
        &manifest().replace("postgres-flex:17.7@sha256:3", "postgres-flex:17.8@sha256:4"),
    );
    env.apply().await;
    assert_eq!(env.summary().await, Vec::<String>::new());
    assert_one_database(&env).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn database_is_lost_only_with_permission() {
    let env = TestEnv::new(&manifest()).await;
    env.apply().await;
    let without = manifest();
    let (head, tail) = without.split_once("[apps.web.databases.main]").unwrap();
    let without = format!(
        "{head}{}",
        &tail[tail.find("[apps.web.secrets]").unwrap()..]
    );
    env.write_manifest(&without);
    let plan = env.plan().await;
    let refused: Vec<String> = refusals(&plan, &Limits::default())
        .into_iter()
        .filter_map(|refusal| Some(refusal.address?.to_string()))
        .collect();
    assert_eq!(refused, [DATABASE]);
    env.apply().await;
    assert_eq!(
        contents(&env, "harbor-db").await,
        (BTreeSet::new(), BTreeSet::new())
    );
    assert_eq!(secret(&env, "harbor-web", "DATABASE_URL"), None);
    assert_eq!(env.summary().await, Vec::<String>::new());
    // An ephemeral one needs none.
    let ephemeral = manifest().replace("cluster = \"db\"", "cluster = \"db\"\nephemeral = true");
    env.write_manifest(&ephemeral);
    env.apply().await;
    env.write_manifest(&without);
    assert_eq!(refusals(&env.plan().await, &Limits::default()), []);
}

/// A cluster of another environment: only the database and the role in it are ours, and only they go.
#[tokio::test(flavor = "multi_thread")]
async fn database_in_the_cluster_of_another_environment() {
    let env = TestEnv::new(&manifest()).await;
    env.apply().await;
    let review = r#"
project = "harbor"
name = "review"
[fly]
org = "harbor-test"
[postgres.shared]
external = "harbor-db"
[apps.web]
name = "harbor-review"
primary_region = "iad"
image = "registry.fly.io/harbor-web:v1"
processes = { app = "serve" }
[apps.web.databases.main]
cluster = "shared"
ephemeral = true
"#;
    env.write_manifest(review);
    env.apply().await;
    assert_eq!(env.summary().await, Vec::<String>::new());
    assert_eq!(log_in(&env, "harbor-review").await["ok"], true);
    let both = BTreeSet::from(["harbor_review".to_owned(), "harbor_web".to_owned()]);
    assert_eq!(contents(&env, "harbor-db").await, (both.clone(), both));
    env.destroy().await;
    assert_one_database(&env).await;
    env.write_manifest(&manifest());
    assert_eq!(env.summary().await, Vec::<String>::new());
}

/// What `fly postgres attach` made is not replaced by surprise.
#[tokio::test(flavor = "multi_thread")]
async fn secret_of_flyctl_is_adopted_only_when_asked() {
    let without = manifest().replace("[apps.web.databases.main]\ncluster = \"db\"\nscheme = \"postgresql+asyncpg\"\nextensions = [\"pg_trgm\"]\n", "");
    let env = TestEnv::new(&without).await;
    env.apply().await;
    run_sql(&env, "harbor-db", "CREATE ROLE harbor_web SUPERUSER LOGIN PASSWORD 'made-by-flyctl'; CREATE DATABASE harbor_web OWNER harbor_web;").await;
    let url =
        "postgres://harbor_web:made-by-flyctl@harbor-db.flycast:5432/harbor_web?sslmode=disable";
    let values = json!({ "values": { "DATABASE_URL": url } });
    env.send_manual_request("POST", "/v1/apps/harbor-web/secrets", values)
        .await;
    env.write_manifest(&manifest());
    let plan = env.plan().await;
    let conflicts: Vec<String> = plan
        .findings
        .ownership_conflicts
        .iter()
        .map(|conflict| conflict.address.to_string())
        .collect();
    assert_eq!(conflicts, [DATABASE]);
    env.write_manifest(&manifest().replace("cluster = \"db\"", "cluster = \"db\"\nadopt = true"));
    env.apply().await;
    assert_eq!(env.summary().await, Vec::<String>::new());
    assert_ne!(secret(&env, "harbor-web", "DATABASE_URL").unwrap(), url);
    assert_one_database(&env).await;
}

/// A role of the same name that bears no mark of ours is refused by the statements themselves.
#[tokio::test(flavor = "multi_thread")]
async fn role_of_somebody_else_is_refused() {
    let without = manifest().replace("[apps.web.databases.main]\ncluster = \"db\"\nscheme = \"postgresql+asyncpg\"\nextensions = [\"pg_trgm\"]\n", "");
    let env = TestEnv::new(&without).await;
    env.apply().await;
    run_sql(
        &env,
        "harbor-db",
        "CREATE ROLE harbor_web LOGIN PASSWORD 'of-somebody-else';",
    )
    .await;
    env.write_manifest(&manifest());
    let report = env.try_apply(None).await.unwrap();
    assert!(!report.is_complete());
    let text = format!("{report:?}");
    assert!(
        text.contains("bears no mark of this environment") && text.contains("--adopt"),
        "{text}"
    );
    assert_eq!(secret(&env, "harbor-web", "DATABASE_URL"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn database_is_not_renamed() {
    let env = TestEnv::new(&manifest()).await;
    env.apply().await;
    env.write_manifest(
        &manifest().replace("cluster = \"db\"", "cluster = \"db\"\ndatabase = \"other\""),
    );
    let plan = env.plan().await;
    assert_eq!(plan.blocked.len(), 1, "{:?}", plan_summary(&plan));
}

/// Another form of the URL needs another secret, and so a new password.
#[tokio::test(flavor = "multi_thread")]
async fn another_variable_or_scheme_is_a_new_url() {
    let env = TestEnv::new(&manifest()).await;
    env.apply().await;
    env.write_manifest(
        &manifest().replace("scheme = \"postgresql+asyncpg\"", "variable = \"PG_URL\""),
    );
    env.apply().await;
    assert_eq!(env.summary().await, Vec::<String>::new());
    assert_eq!(secret(&env, "harbor-web", "DATABASE_URL"), None);
    let url = secret(&env, "harbor-web", "PG_URL").unwrap();
    assert!(
        url.starts_with("postgres://") && url.ends_with("?sslmode=disable"),
        "{url}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn generated_secret_is_kept_until_it_is_rotated() {
    let env = TestEnv::new(&manifest()).await;
    env.apply().await;
    let first = secret(&env, "harbor-web", "SECRET_KEY").unwrap();
    env.write_manifest(&manifest().replace("harbor-web:v1", "harbor-web:v2"));
    env.apply().await;
    assert_eq!(secret(&env, "harbor-web", "SECRET_KEY").unwrap(), first);
    env.rotate("fly.secrets/web/SECRET_KEY");
    env.apply().await;
    env.stop_rotating();
    assert_eq!(env.summary().await, Vec::<String>::new());
    assert_ne!(secret(&env, "harbor-web", "SECRET_KEY").unwrap(), first);
    // A value that somebody set is told, and kept.
    let values = json!({ "values": { "SECRET_KEY": "set by hand" } });
    env.send_manual_request("POST", "/v1/apps/harbor-web/secrets", values)
        .await;
    let plan = env.plan().await;
    assert!(
        plan.is_empty() && !plan.is_converged(),
        "{:?}",
        plan_summary(&plan)
    );
}

/// The whole environment goes, the database with its cluster, when everything that is lost is allowed.
#[tokio::test(flavor = "multi_thread")]
async fn destroy_takes_the_cluster_along() {
    let env = TestEnv::new(&manifest()).await;
    env.apply().await;
    env.destroy().await;
    let state = env.sandbox.state();
    let left: Vec<&String> = state["apps"].as_object().unwrap().keys().collect();
    assert_eq!(left, Vec::<&String>::new());
}

/// The desired state with a change of its settings.
impl TestEnv {
    fn change_desired(&self, change: impl FnOnce(&mut Desired)) {
        let mut desired = self.desired();
        change(&mut desired);
        self.set_desired(desired);
    }

    fn rotate(&self, address: &str) {
        let address = Address::parse(address).unwrap();
        self.change_desired(|desired| desired.meta.rotate.extend([address]));
    }

    fn stop_rotating(&self) {
        self.change_desired(|desired| desired.meta.rotate.clear());
    }

    fn look_deeper(&self) {
        self.change_desired(|desired| desired.meta.deep = true);
    }

    /// Connects to a cluster through its private address, which wakes it, and waits until it takes statements.
    async fn connect_to_cluster(&self, cluster: &str) {
        for _ in 0..100 {
            let body = json!({ "app": cluster });
            let answer = self.send_admin("POST", "postgres/connect", body).await;
            if answer["ok"] == true && answer["woke"] == false {
                return;
            }
            self.sandbox
                .advance_clock(std::time::Duration::from_secs(1))
                .unwrap();
        }
        panic!("{cluster} does not answer");
    }

    /// Lets the time pass after which a cluster sleeps.
    async fn fall_asleep(&self, cluster: &str) {
        self.sandbox
            .advance_clock(std::time::Duration::from_secs(2 * 3600))
            .unwrap();
        let machines = self
            .send_manual_request("GET", &format!("/v1/apps/{cluster}/machines"), json!(null))
            .await;
        assert_eq!(machines[0]["state"], "stopped", "{machines}");
    }
}
