//! What a Postgres cluster and the databases of apps become.

use serde_json::{Value, json};
use trimtab::{
    kinds::{Desired, fly::secrets::SecretGenerator},
    model::Address,
};

use crate::manifest::support::{load_text, unchecked_inputs};

const HEAD: &str = "project = \"p\"\n[fly]\norg = \"o\"\n";
const CLUSTER: &str = "[postgres.db]\nregion = \"iad\"\nimage = \"flyio/postgres-flex:17.7@sha256:\
     3f1ac2b0c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f70\"\n";
const APP: &str = "[apps.web]\nprimary_region = \"iad\"\nimage = \"web:1\"\n";

fn load_desired(sections: &str) -> Desired {
    let loaded = load_text(&format!("{HEAD}{sections}"), &unchecked_inputs());
    loaded
        .unwrap_or_else(|diagnostics| panic!("{diagnostics}"))
        .desired
}

/// The machine of flyctl, field by field (flyctl, `internal/flypg/launcher.go`).
#[test]
fn node_is_what_flyctl_makes() {
    let desired = load_desired(&format!("{CLUSTER}auto_sleep = \"1h\"\n"));
    let machine = &desired.fly_machine["db/app/iad/0"];
    let config = serde_json::to_value(&machine.workload.config).unwrap();
    assert_eq!(config["env"]["FLY_SCALE_TO_ZERO"], "1h");
    assert_eq!(config["env"]["PRIMARY_REGION"], "iad");
    assert_eq!(
        config["guest"],
        json!({ "cpu_kind": "shared", "cpus": 1, "memory_mb": 1024 })
    );
    assert_eq!(
        config["restart"],
        json!({ "policy": "on-failure", "max_retries": 50 })
    );
    assert_eq!(
        config["stop_config"],
        json!({ "signal": "SIGINT", "timeout": "30s" })
    );
    assert_eq!(config["mounts"][0]["path"], "/data");
    for check in ["pg", "role", "vm"] {
        let expected = json!({
            "type": "http", "port": 5500, "path": format!("/flycheck/{check}"), "interval": "15s", "timeout": "10s",
        });
        assert_eq!(config["checks"][check], expected, "{check}");
    }
    let ports: Vec<&Value> = config["services"]
        .as_array()
        .unwrap()
        .iter()
        .map(|service| &service["ports"][0])
        .collect();
    assert_eq!(
        ports,
        [
            &json!({ "port": 5432, "handlers": ["pg_tls"] }),
            &json!({ "port": 5433, "handlers": ["pg_tls"] })
        ]
    );
    assert!(
        config["services"]
            .as_array()
            .unwrap()
            .iter()
            .all(|service| service["autostart"] == true)
    );
    assert_eq!(machine.workload.labels["fly-managed-postgres"], "true");
    assert_eq!(desired.fly_app["db"].role, Some("postgres_cluster"));
    let ips: Vec<String> = desired.fly_ip.keys().map(ToString::to_string).collect();
    assert_eq!(ips, ["db/private_v6"]);
    assert_eq!(desired.fly_volume["db/pg_data/iad/0"].volume, "pg_data");
    let secrets: Vec<&String> = desired.fly_secrets["db"].values.keys().collect();
    assert_eq!(
        secrets,
        [
            "FLY_CONSUL_URL",
            "OPERATOR_PASSWORD",
            "REPL_PASSWORD",
            "SSH_CERT",
            "SSH_KEY",
            "SU_PASSWORD"
        ]
    );
}

/// A node that never sleeps is started again whenever it ends.
#[test]
fn node_that_never_sleeps_always_restarts() {
    let desired = load_desired(&format!("{CLUSTER}nodes = 3\n"));
    let nodes: Vec<_> = desired.fly_machine.values().collect();
    assert_eq!(nodes.len(), 3);
    let config = serde_json::to_value(&nodes[0].workload.config).unwrap();
    assert_eq!(config["restart"]["policy"], "always");
    assert_eq!(nodes[0].rollout_policy.at_once, 1);
}

#[test]
fn database_has_the_names_of_flyctl() {
    let database = "[apps.web.databases.main]\ncluster = \"db\"\n";
    let desired = load_desired(&format!("{CLUSTER}{APP}{database}"));
    let spec = &desired.postgres_database["web/main"];
    assert_eq!(
        (spec.database.as_str(), spec.role.as_str()),
        ("p_web_x", "p_web_x")
    );
    assert_eq!(
        spec.display_url(),
        "postgres://p_web_x@p-db-x.flycast:5432/p_web_x?sslmode=disable"
    );
    let secret = &desired.fly_secrets["web"].values["DATABASE_URL"];
    assert!(
        matches!(&secret.generator, Some(SecretGenerator::Database(name)) if name.name().as_str() == "web/main")
    );
    // Cluster before database before secret before machines.
    let has = |address: &str, references: Vec<Address>| {
        references.iter().any(|to| to.to_string() == address)
    };
    use trimtab::kinds::References as _;
    assert!(has("fly.machine/db/app/iad/0", spec.references()));
    assert!(has(
        "postgres.database/web/main",
        desired.fly_secrets["web"].references()
    ));
    assert!(has(
        "fly.secrets/web",
        desired.fly_machine["web/app/iad/0"].references()
    ));
}

#[test]
fn url_has_the_form_that_a_driver_expects() {
    let url = |keys: &str| {
        let database = format!(
            "[apps.web.databases.main]\ncluster = \"db\"\nrole = \"u\"\ndatabase = \"d\"\n{keys}"
        );
        load_desired(&format!("{CLUSTER}{APP}{database}")).postgres_database["web/main"]
            .display_url()
    };
    assert_eq!(
        url("scheme = \"postgresql+asyncpg\""),
        "postgresql+asyncpg://u@p-db-x.flycast:5432/d?ssl=disable"
    );
    assert_eq!(
        url("scheme = \"ecto\"\nparams = {}"),
        "ecto://u@p-db-x.flycast:5432/d"
    );
    assert_eq!(
        url("params = { application_name = \"a b\" }"),
        "postgres://u@p-db-x.flycast:5432/d?application%5Fname=a%20b"
    );
}

#[test]
fn external_cluster_is_not_ours() {
    let external = "[postgres.db]\nexternal = \"shared-db\"\n";
    let database = "[apps.web.databases.main]\ncluster = \"db\"\nephemeral = true\n";
    let desired = load_desired(&format!("{external}{APP}{database}"));
    assert_eq!(desired.fly_app.len(), 1);
    let spec = &desired.postgres_database["web/main"];
    assert_eq!(spec.url.host, "shared-db.flycast:5432");
    assert!(spec.ephemeral && spec.cluster.app.is_none());
}

#[test]
fn managed_cluster_has_its_own_kind() {
    let managed = "[postgres.db]\nengine = \"managed\"\nregion = \"fra\"\nplan = \"basic\"\n";
    let database = "[apps.web.databases.main]\ncluster = \"db\"\npooled = false\n";
    let desired = load_desired(&format!("{managed}{APP}{database}"));
    let cluster = &desired.postgres_managed_cluster["db"];
    assert_eq!(
        (
            cluster.name.as_str(),
            cluster.disk_gb,
            cluster.version.as_str()
        ),
        ("p-db-x", 10, "17")
    );
    assert!(!desired.fly_app.keys().any(|key| key.as_str() == "db"));
    let spec = &desired.postgres_database["web/main"];
    assert!(!spec.url.pooled && spec.url.query.is_empty());
}

/// What is only worth a warning.
#[test]
fn loose_tag_and_little_memory_are_warnings() {
    let loose = "[postgres.db]\nregion = \"iad\"\nimage = \"flyio/postgres-flex:17.7\"\nmemory = \"256mb\"\n";
    let warnings = load_desired(loose).meta.warnings;
    assert!(
        warnings
            .iter()
            .any(|warning| warning.contains("when this tag moves")),
        "{warnings:?}"
    );
    assert!(
        warnings
            .iter()
            .any(|warning| warning.contains("below 512 MB")),
        "{warnings:?}"
    );
}
