//! Any manifest, with every key of the schema and every form of value. Contradictions are fixed
//! afterwards in `consistency`, so that shrinking stays simple: a manifest with a key less is still
//! valid.

use proptest::{prelude::*, sample::select};
use serde_json::{Map, Value, json};

use super::{
    aws, consistency, postgres,
    service::{self, GROUPS, processes},
    strategies::{
        ValueStrategy, any_string as any_text, boolean, command, key_with_probability, list,
        number, one_or_list, one_string_of, one_value_of, optional_key, required_key, subset_of,
        table, table_of,
    },
    toml_files,
};

pub(super) const REGIONS: &[&str] = &["ewr", "fra", "iad"];
/// The keys of apps. `web-2` sorts before `web/…`, so that names with a common prefix are tested.
pub(super) const APPS: &[&str] = &["web", "web-2", "under_score"];

/// A manifest as the tree of its TOML.
#[derive(Clone, PartialEq)]
pub(super) struct GeneratedManifest(pub(super) Value);

impl std::fmt::Debug for GeneratedManifest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        toml_files::manifest_files(self, 0)
            .iter()
            .try_for_each(|(name, text)| write!(f, "\n# {name}\n{text}"))
    }
}

/// Complete sizes, so that another layer cannot make them invalid.
pub(super) fn machine_sizes() -> Vec<Value> {
    let all = json!([
        { "size": "shared-cpu-1x" }, { "size": "shared-cpu-2x", "memory": "1gb" }, { "size": "performance-1x" },
        { "cpu_kind": "shared", "cpus": 4, "memory": "2048mb" }, { "cpu_kind": "performance", "cpus": 1, "memory": 4096 },
    ]);
    serde_json::from_value(all).unwrap()
}

/// A table with one of these tables merged into it.
pub(super) fn with_one_of(part: ValueStrategy, sizes: Vec<Value>) -> ValueStrategy {
    let joined = |(part, size): (Value, Value)| match (part, size) {
        (Value::Object(mut part), Value::Object(size)) => {
            part.extend(size);
            Value::Object(part)
        }
        (part, _) => part,
    };
    (part, select(sizes)).prop_map(joined).boxed()
}

fn vm() -> ValueStrategy {
    let mut sizes = machine_sizes();
    sizes.push(json!({ "memory_mb": 512, "cpus": 1, "cpu_kind": "shared" }));
    let keys = vec![
        optional_key(
            "kernel_args",
            list(one_string_of(&["quiet", "panic=1"]), 1..=2),
        ),
        optional_key("host_dedication_id", one_string_of(&["dedicated"])),
        optional_key(
            "persist_rootfs",
            one_string_of(&["never", "restart", "always"]),
        ),
        optional_key("processes", processes()),
    ];
    with_one_of(table(keys), sizes)
}

fn group() -> ValueStrategy {
    let regions = table_of(REGIONS, 1..=2, number(0..3));
    let count = prop_oneof![number(0..4), regions].boxed();
    let keys = vec![
        key_with_probability("count", 0.8, count),
        optional_key("command", command()),
        optional_key("standby", boolean()),
    ];
    let plain = table(keys);
    prop_oneof![plain.clone(), with_one_of(plain, machine_sizes())].boxed()
}

fn mount() -> ValueStrategy {
    let growth = json!([
        {}, {}, { "auto_extend_size_threshold": 80, "auto_extend_size_increment": "1gb" },
        { "auto_extend_size_threshold": 90, "auto_extend_size_increment": 2, "auto_extend_size_limit": "20gb" },
        { "initial_size": "3gb" }, { "size": 2 }, { "size": "2gb" },
    ]);
    let keys = vec![
        required_key("source", one_string_of(&["data", "other_2"])),
        required_key("destination", one_string_of(&["/data", "/var/lib/x"])),
        optional_key("snapshot_retention", number(1..9)),
        optional_key("scheduled_snapshots", boolean()),
        optional_key("encrypted", boolean()),
        optional_key("processes", processes()),
    ];
    with_one_of(table(keys), serde_json::from_value(growth).unwrap())
}

fn file() -> ValueStrategy {
    let content = json!([
        { "raw_value": "content\n" }, { "raw_value": "" }, { "raw_value": "ü\u{1b}" }, { "local_path": "content.txt" },
        { "secret_name": "SECRET_KEY" },
    ]);
    let keys = vec![
        required_key("guest_path", one_string_of(&["/etc/one", "/etc/two"])),
        optional_key("mode", number(0..512)),
        optional_key("processes", processes()),
    ];
    with_one_of(table(keys), serde_json::from_value(content).unwrap())
}

fn deploy() -> ValueStrategy {
    let verify = table(vec![
        optional_key("path", one_string_of(&["/", "/health?x=1"])),
        optional_key("host", one_string_of(&["own"])),
        optional_key("status", one_value_of(json!([200]))),
        optional_key("body", one_string_of(&["machine", "."])),
        optional_key("retries", number(1..9)),
        optional_key("interval", one_string_of(&["1s", "5s"])),
    ]);
    table(vec![
        optional_key(
            "strategy",
            one_string_of(&["rolling", "immediate", "canary", "bluegreen"]),
        ),
        optional_key(
            "max_unavailable",
            one_value_of(json!([0.33, 0.5, 1, 2, 1.0])),
        ),
        optional_key("on_failure", one_string_of(&["stop", "rollback"])),
        optional_key("release_command", command()),
        optional_key("release_command_timeout", one_string_of(&["5m", "0s"])),
        optional_key("release_command_vm", vm()),
        key_with_probability("verify", 0.5, verify),
        optional_key("wait_timeout", one_string_of(&["5m", "90s"])),
    ])
}

fn app() -> ValueStrategy {
    let statics = table(vec![
        required_key("guest_path", one_string_of(&["/app/static", "/app/s2"])),
        required_key("url_prefix", one_string_of(&["/static", "/s2"])),
        optional_key("tigris_bucket", one_string_of(&["assets"])),
        optional_key("index_document", one_string_of(&["index.html"])),
    ]);
    let restart = table(vec![
        required_key("policy", one_string_of(&["always", "never", "on-failure"])),
        optional_key("retries", number(1..9)),
        optional_key("processes", processes()),
    ]);
    let metrics = table(vec![
        required_key("port", number(9091..9093)),
        required_key("path", one_string_of(&["/metrics", "/m"])),
        optional_key("https", boolean()),
        optional_key("processes", processes()),
    ]);
    let digest = format!("ghcr.io/any/app@sha256:{}", "ab".repeat(32));
    let image = one_value_of(
        json!(["any:1", "any:2", "registry.fly.io/any:main", "docker.io/library/any:3", digest, { "var": "image" }]),
    );
    let ips = prop::sample::subsequence(
        vec![
            json!("shared_v4"),
            json!("v6"),
            json!("private_v6"),
            json!("v4"),
            json!({ "type": "v4", "region": "fra" }),
            json!({ "type": "v6", "region": "iad" }),
        ],
        0..4,
    );
    let config = json!([
        consistency::MACHINE_CONFIG,
        "machine.json",
        consistency::CONTAINERS_CONFIG
    ]);
    let first = vec![
        optional_key("name", one_string_of(&["any"])),
        key_with_probability("primary_region", 0.9, one_string_of(REGIONS)),
        required_key("image", image),
        key_with_probability("config", 0.1, one_string_of(&["fly.part.toml"])),
        key_with_probability("network", 0.1, one_string_of(&["own-network"])),
        key_with_probability("protected", 0.2, boolean()),
        key_with_probability("adopt", 0.2, boolean()),
        optional_key("depends_on", subset_of(APPS, 0..=2)),
        optional_key("ips", ips.prop_map(Value::from).boxed()),
        optional_key(
            "certificates",
            subset_of(&["*.example.com", "example.com", "www.example.com"], 1..=2),
        ),
        optional_key("env", service::env()),
        key_with_probability("secrets", 0.2, secrets()),
        key_with_probability("http_service", 0.5, service::http_service()),
        optional_key("services", list(service::service(), 1..=2)),
        optional_key("checks", service::checks()),
        key_with_probability("processes", 0.3, table_of(GROUPS, 1..=2, command())),
    ];
    let second = vec![
        optional_key("vm", one_or_list(vm())),
        optional_key("mounts", one_or_list(mount())),
        optional_key("statics", one_or_list(statics)),
        optional_key("files", list(file(), 1..=2)),
        optional_key("restart", one_or_list(restart)),
        optional_key("metrics", one_or_list(metrics)),
        optional_key(
            "kill_signal",
            one_string_of(&["SIGINT", "SIGTERM", "SIGQUIT", "SIGHUP"]),
        ),
        optional_key(
            "kill_timeout",
            one_value_of(json!([0, 5, 300, "30s", "1m30s"])),
        ),
        optional_key("swap_size_mb", number(0..1025)),
        key_with_probability("host_dedication_id", 0.1, one_string_of(&["dedicated"])),
        key_with_probability("deploy", 0.5, deploy()),
        key_with_probability("machines", 0.7, table_of(GROUPS, 1..=2, group())),
        key_with_probability(
            "cron",
            0.3,
            table_of(&["digest", "app"], 1..=2, service::cron()),
        ),
        key_with_probability("machine_config", 0.2, one_value_of(config)),
        key_with_probability("container", 0.2, one_string_of(&["app", "side"])),
        key_with_probability("experimental", 0.2, service::experimental()),
    ];
    table(first.into_iter().chain(second).collect())
}

fn secrets() -> ValueStrategy {
    let sources = json!([
        { "SECRET_KEY": { "env": "SECRET_KEY" } }, { "SECRET_KEY": { "file": "secret.txt" } },
        { "SECRET_KEY": { "dotenv": "values.env", "key": "FIRST" } },
        { "SECRET_KEY": { "env": "ELSEWHERE" }, "NOT_THERE": { "env": "NOT_THERE", "optional": true } },
        { "DATABASE_URL": { "dotenv": "values.env", "optional": false } },
    ]);
    one_value_of(sources)
}

/// Any manifest, with or without AWS.
pub(super) fn manifest(with_aws: bool) -> BoxedStrategy<GeneratedManifest> {
    let token = one_value_of(json!([{ "env": "FLY_API_TOKEN_ANY" }]));
    let described = table(vec![
        required_key("default", one_string_of(&["any:4"])),
        optional_key("description", any_text()),
        optional_key("example", one_string_of(&["any:5"])),
    ]);
    let keys = vec![
        required_key("project", one_value_of(json!(["any"]))),
        optional_key("name", one_string_of(&["test", "${var.stage}"])),
        optional_key(
            "extends",
            one_value_of(json!(["_base.toml", ["_base.toml"]])),
        ),
        required_key(
            "vars",
            table(vec![
                required_key("stage", one_value_of(json!(["test"]))),
                required_key(
                    "image",
                    prop_oneof![one_string_of(&["any:4"]), described].boxed(),
                ),
            ]),
        ),
        required_key(
            "fly",
            table(vec![
                required_key("org", one_value_of(json!(["any"]))),
                optional_key("token", token),
            ]),
        ),
        optional_key("dotenv", one_string_of(&["values.env"])),
        required_key("apps", table_of(APPS, 1..=2, app())),
    ];
    let aws = if with_aws {
        aws::aws_sections()
    } else {
        Just(json!({})).boxed()
    };
    let joined = |(fly, aws): (Value, Value)| {
        let (Value::Object(mut document), Value::Object(aws)) = (fly, aws) else {
            panic!("two tables")
        };
        document.extend(aws);
        consistency::make_consistent(&mut document);
        GeneratedManifest(Value::Object(document))
    };
    (table(keys), aws).prop_map(joined).boxed()
}

/// Mostly without AWS, because runs with AWS take longer.
pub(super) fn any_manifest() -> BoxedStrategy<GeneratedManifest> {
    let postgres = postgres::with_postgres(manifest(false));
    prop_oneof![3 => manifest(false), 1 => manifest(true), 1 => postgres].boxed()
}

/// A manifest with some parts of another: an edit rarely changes everything at once.
pub(super) fn mix_manifests(
    one: &GeneratedManifest,
    other: &GeneratedManifest,
    seed: u64,
) -> GeneratedManifest {
    let (mut rng, mut document) = (toml_files::SeededRng(seed), Map::new());
    let (one, other) = (one.0.as_object().unwrap(), other.0.as_object().unwrap());
    for (key, value) in one {
        let mixed = match key.as_str() {
            "apps" => mix_tables(value, &other[key], &mut rng, true),
            "buckets" | "identities" | "roles" => mix_tables(
                value,
                other.get(key).unwrap_or(&Value::Null),
                &mut rng,
                true,
            ),
            _ => value.clone(),
        };
        document.insert(key.clone(), mixed);
    }
    consistency::make_consistent(&mut document);
    GeneratedManifest(Value::Object(document))
}

/// Takes each entry from one of two tables. Tables that are in both are mixed, one level deep.
fn mix_tables(one: &Value, other: &Value, rng: &mut toml_files::SeededRng, deeper: bool) -> Value {
    let (Some(one), Some(other)) = (one.as_object(), other.as_object()) else {
        return one.clone();
    };
    let names: std::collections::BTreeSet<&String> = one.keys().chain(other.keys()).collect();
    let mut mixed = Map::new();
    for name in names {
        let chosen = match (one.get(name), other.get(name)) {
            (Some(one), Some(other)) if deeper => Some(mix_tables(one, other, rng, false)),
            (one, other) => {
                if rng.below(3) == 0 {
                    other.cloned()
                } else {
                    one.cloned()
                }
            }
        };
        mixed.extend(chosen.map(|value| (name.clone(), value)));
    }
    if mixed.is_empty() {
        Value::Object(one.clone())
    } else {
        Value::Object(mixed)
    }
}
