//! Postgres clusters and databases of generated manifests.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{
    generator::GeneratedManifest,
    strategies::{
        ValueStrategy, boolean, key_with_probability, number, one_string_of, one_value_of,
        optional_key, required_key, subset_of, table,
    },
};

fn cluster_on_machines() -> ValueStrategy {
    table(vec![
        optional_key("engine", one_string_of(&["flex"])),
        optional_key("name", one_string_of(&["any-cluster"])),
        required_key("region", one_string_of(&["fra", "iad"])),
        required_key(
            "image",
            one_string_of(&["flyio/postgres-flex:17.7", "flyio/postgres-flex:16.11"]),
        ),
        required_key("nodes", one_value_of(json!([1, 3]))),
        optional_key("size", one_string_of(&["shared-cpu-1x", "shared-cpu-2x"])),
        optional_key("memory", one_value_of(json!(["1gb", 2048]))),
        optional_key("volume_size", one_value_of(json!(["3gb", 10]))),
        optional_key("snapshot_retention", number(1..30)),
        optional_key("scheduled_snapshots", boolean()),
        optional_key("auto_sleep", one_string_of(&["10m", "1h"])),
        key_with_probability("network", 0.1, one_string_of(&["own-network"])),
        optional_key("protected", boolean()),
        optional_key("adopt", boolean()),
    ])
}

fn cluster_of_other_size() -> ValueStrategy {
    table(vec![
        required_key("region", one_string_of(&["fra"])),
        required_key("image", one_string_of(&["flyio/postgres-flex:17.7"])),
        required_key("cpu_kind", one_string_of(&["shared"])),
        required_key("cpus", one_value_of(json!([1, 2]))),
        required_key("memory", one_string_of(&["2gb"])),
    ])
}

fn managed_cluster() -> ValueStrategy {
    table(vec![
        required_key("engine", one_string_of(&["managed"])),
        required_key("region", one_string_of(&["fra", "iad"])),
        required_key("plan", one_string_of(&["basic", "launch"])),
        optional_key("disk_size", one_value_of(json!(["20gb", 50]))),
        optional_key("version", one_value_of(json!([16, 17]))),
        optional_key("pool_mode", one_string_of(&["session", "transaction"])),
    ])
}

fn database() -> ValueStrategy {
    table(vec![
        required_key("cluster", one_string_of(&["db"])),
        optional_key("database", one_string_of(&["notes"])),
        optional_key("role", one_string_of(&["owner"])),
        required_key("variable", one_string_of(&["PG_URL", "OTHER_URL"])),
        optional_key(
            "scheme",
            one_string_of(&["postgresql", "postgresql+asyncpg"]),
        ),
        optional_key(
            "params",
            one_value_of(json!([{}, { "sslmode": "require" }])),
        ),
        key_with_probability("pooled", 0.6, boolean()),
        optional_key("extensions", subset_of(&["pg_trgm", "citext"], 1..=2)),
        optional_key("ephemeral", boolean()),
        optional_key("adopt", boolean()),
    ])
}

/// A manifest with a cluster, and a database of its first app in it.
pub(super) fn with_postgres(
    manifest: BoxedStrategy<GeneratedManifest>,
) -> BoxedStrategy<GeneratedManifest> {
    let external = table(vec![required_key(
        "external",
        one_string_of(&["of-another-team"]),
    )]);
    let cluster = prop_oneof![2 => cluster_on_machines(), 1 => cluster_of_other_size(), 2 => managed_cluster(), 1 => external];
    (manifest, cluster, database(), any::<bool>())
        .prop_map(|(manifest, mut cluster, mut database, is_used)| {
            let mut document = manifest.0;
            let (settings, keys) = (
                cluster.as_object_mut().unwrap(),
                database.as_object_mut().unwrap(),
            );
            make_consistent(settings, keys);
            let apps = document["apps"].as_object_mut().unwrap();
            let app = apps.values_mut().next().unwrap();
            if is_used {
                app["databases"] = json!({ "main": database });
                app["secrets"] = json!({ "GENERATED": { "generate": 32 } });
            }
            document["postgres"] = json!({ "db": cluster });
            GeneratedManifest(document)
        })
        .boxed()
}

fn make_consistent(cluster: &mut Map<String, Value>, database: &mut Map<String, Value>) {
    if cluster.get("nodes") == Some(&json!(3)) {
        cluster.remove("auto_sleep");
    }
    if cluster.get("engine") != Some(&json!("managed")) {
        database.remove("pooled");
    }
}
