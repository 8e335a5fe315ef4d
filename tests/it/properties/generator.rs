//! Any manifest: every key that the schema knows, and every sort of value that it may have. What contradicts itself is
//! put right in `fit`, so that shrinking stays simple: a key less is a manifest again.

use proptest::{prelude::*, sample::select};
use serde_json::{Map, Value, json};

use super::{
    aws, fit,
    service::{self, GROUPS, processes},
    text,
    words::{
        Part, command, flag, list, may, must, named, number, often, one_of, one_or_many, some_of,
        table, text as any_text, word,
    },
};

/// Where machines run.
pub(super) const REGIONS: &[&str] = &["ewr", "fra", "iad"];
/// The keys of apps. `web-2` sorts before `web/…`.
pub(super) const APPS: &[&str] = &["web", "web-2", "under_score"];

/// A manifest, as the tree that its text has.
#[derive(Clone, PartialEq)]
pub(super) struct Manifest(pub(super) Value);

impl std::fmt::Debug for Manifest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        text::files(self, 0)
            .iter()
            .try_for_each(|(name, text)| write!(f, "\n# {name}\n{text}"))
    }
}

/// CPUs and memory, whole, so that no other layer can spoil them.
pub(super) fn size() -> Vec<Value> {
    let all = json!([
        { "size": "shared-cpu-1x" }, { "size": "shared-cpu-2x", "memory": "1gb" }, { "size": "performance-1x" },
        { "cpu_kind": "shared", "cpus": 4, "memory": "2048mb" }, { "cpu_kind": "performance", "cpus": 1, "memory": 4096 },
    ]);
    serde_json::from_value(all).unwrap()
}

/// A table with one of these added.
pub(super) fn with(part: Part, sizes: Vec<Value>) -> Part {
    let joined = |(part, size): (Value, Value)| match (part, size) {
        (Value::Object(mut part), Value::Object(size)) => {
            part.extend(size);
            Value::Object(part)
        }
        (part, _) => part,
    };
    (part, select(sizes)).prop_map(joined).boxed()
}

fn vm() -> Part {
    let mut sizes = size();
    sizes.push(json!({ "memory_mb": 512, "cpus": 1, "cpu_kind": "shared" }));
    let keys = vec![
        may("kernel_args", list(word(&["quiet", "panic=1"]), 1..=2)),
        may("host_dedication_id", word(&["dedicated"])),
        may("persist_rootfs", word(&["never", "restart", "always"])),
        may("processes", processes()),
    ];
    with(table(keys), sizes)
}

fn group() -> Part {
    let regions = named(REGIONS, 1..=2, number(0..3));
    let count = prop_oneof![number(0..4), regions].boxed();
    let keys = vec![
        often("count", 0.8, count),
        may("command", command()),
        may("standby", flag()),
    ];
    let plain = table(keys);
    prop_oneof![plain.clone(), with(plain, size())].boxed()
}

fn mount() -> Part {
    let growth = json!([
        {}, {}, { "auto_extend_size_threshold": 80, "auto_extend_size_increment": "1gb" },
        { "auto_extend_size_threshold": 90, "auto_extend_size_increment": 2, "auto_extend_size_limit": "20gb" },
        { "initial_size": "3gb" }, { "size": 2 }, { "size": "2gb" },
    ]);
    let keys = vec![
        must("source", word(&["data", "other_2"])),
        must("destination", word(&["/data", "/var/lib/x"])),
        may("snapshot_retention", number(1..9)),
        may("scheduled_snapshots", flag()),
        may("encrypted", flag()),
        may("processes", processes()),
    ];
    with(table(keys), serde_json::from_value(growth).unwrap())
}

fn file() -> Part {
    let content = json!([
        { "raw_value": "content\n" }, { "raw_value": "" }, { "raw_value": "ü\u{1b}" }, { "local_path": "content.txt" },
        { "secret_name": "SECRET_KEY" },
    ]);
    let keys = vec![
        must("guest_path", word(&["/etc/one", "/etc/two"])),
        may("mode", number(0..512)),
        may("processes", processes()),
    ];
    with(table(keys), serde_json::from_value(content).unwrap())
}

fn deploy() -> Part {
    let verify = table(vec![
        may("path", word(&["/", "/health?x=1"])),
        may("host", word(&["own"])),
        may("status", one_of(json!([200]))),
        may("body", word(&["machine", "."])),
        may("retries", number(1..9)),
        may("interval", word(&["1s", "5s"])),
    ]);
    table(vec![
        may(
            "strategy",
            word(&["rolling", "immediate", "canary", "bluegreen"]),
        ),
        may("max_unavailable", one_of(json!([0.33, 0.5, 1, 2, 1.0]))),
        may("on_failure", word(&["stop", "rollback"])),
        may("release_command", command()),
        may("release_command_timeout", word(&["5m", "0s"])),
        may("release_command_vm", vm()),
        often("verify", 0.5, verify),
        may("wait_timeout", word(&["5m", "90s"])),
    ])
}

fn app() -> Part {
    let statics = table(vec![
        must("guest_path", word(&["/app/static", "/app/s2"])),
        must("url_prefix", word(&["/static", "/s2"])),
        may("tigris_bucket", word(&["assets"])),
        may("index_document", word(&["index.html"])),
    ]);
    let restart = table(vec![
        must("policy", word(&["always", "never", "on-failure"])),
        may("retries", number(1..9)),
        may("processes", processes()),
    ]);
    let metrics = table(vec![
        must("port", number(9091..9093)),
        must("path", word(&["/metrics", "/m"])),
        may("https", flag()),
        may("processes", processes()),
    ]);
    let digest = format!("ghcr.io/any/app@sha256:{}", "ab".repeat(32));
    let image = one_of(
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
    let config = json!([fit::MACHINE, "machine.json", fit::CONTAINERS]);
    let first = vec![
        may("name", word(&["any"])),
        often("primary_region", 0.9, word(REGIONS)),
        must("image", image),
        often("config", 0.1, word(&["fly.part.toml"])),
        often("network", 0.1, word(&["own-network"])),
        often("protected", 0.2, flag()),
        often("adopt", 0.2, flag()),
        may("depends_on", some_of(APPS, 0..=2)),
        may("ips", ips.prop_map(Value::from).boxed()),
        may(
            "certificates",
            some_of(&["*.example.com", "example.com", "www.example.com"], 1..=2),
        ),
        may("env", service::env()),
        often("secrets", 0.2, secrets()),
        often("http_service", 0.5, service::http_service()),
        may("services", list(service::service(), 1..=2)),
        may("checks", service::checks()),
        often("processes", 0.3, named(GROUPS, 1..=2, command())),
    ];
    let second = vec![
        may("vm", one_or_many(vm())),
        may("mounts", one_or_many(mount())),
        may("statics", one_or_many(statics)),
        may("files", list(file(), 1..=2)),
        may("restart", one_or_many(restart)),
        may("metrics", one_or_many(metrics)),
        may(
            "kill_signal",
            word(&["SIGINT", "SIGTERM", "SIGQUIT", "SIGHUP"]),
        ),
        may("kill_timeout", one_of(json!([0, 5, 300, "30s", "1m30s"]))),
        may("swap_size_mb", number(0..1025)),
        often("host_dedication_id", 0.1, word(&["dedicated"])),
        often("deploy", 0.5, deploy()),
        often("machines", 0.7, named(GROUPS, 1..=2, group())),
        often(
            "cron",
            0.3,
            named(&["digest", "app"], 1..=2, service::cron()),
        ),
        often("machine_config", 0.2, one_of(config)),
        often("container", 0.2, word(&["app", "side"])),
        often("experimental", 0.2, service::experimental()),
    ];
    table(first.into_iter().chain(second).collect())
}

fn secrets() -> Part {
    let sources = json!([
        { "SECRET_KEY": { "env": "SECRET_KEY" } }, { "SECRET_KEY": { "file": "secret.txt" } },
        { "SECRET_KEY": { "dotenv": "values.env", "key": "FIRST" } },
        { "SECRET_KEY": { "env": "ELSEWHERE" }, "NOT_THERE": { "env": "NOT_THERE", "optional": true } },
        { "DATABASE_URL": { "dotenv": "values.env", "optional": false } },
    ]);
    one_of(sources)
}

/// Any manifest, about AWS as well or not.
pub(super) fn manifest(with_aws: bool) -> BoxedStrategy<Manifest> {
    let token = one_of(json!([{ "env": "FLY_API_TOKEN_ANY" }]));
    let described = table(vec![
        must("default", word(&["any:4"])),
        may("description", any_text()),
        may("example", word(&["any:5"])),
    ]);
    let keys = vec![
        must("project", one_of(json!(["any"]))),
        may("name", word(&["test", "${var.stage}"])),
        may("extends", one_of(json!(["_base.toml", ["_base.toml"]]))),
        must(
            "vars",
            table(vec![
                must("stage", one_of(json!(["test"]))),
                must("image", prop_oneof![word(&["any:4"]), described].boxed()),
            ]),
        ),
        must(
            "fly",
            table(vec![
                must("org", one_of(json!(["any"]))),
                may("token", token),
            ]),
        ),
        may("dotenv", word(&["values.env"])),
        must("apps", named(APPS, 1..=2, app())),
    ];
    let aws = if with_aws {
        aws::aws()
    } else {
        Just(json!({})).boxed()
    };
    let joined = |(fly, aws): (Value, Value)| {
        let (Value::Object(mut whole), Value::Object(aws)) = (fly, aws) else {
            panic!("two tables")
        };
        whole.extend(aws);
        fit::fit(&mut whole);
        Manifest(Value::Object(whole))
    };
    (table(keys), aws).prop_map(joined).boxed()
}

/// Mostly without AWS, whose runs take longer.
pub(super) fn any_manifest() -> BoxedStrategy<Manifest> {
    prop_oneof![3 => manifest(false), 1 => manifest(true)].boxed()
}

/// A manifest with some of the other's parts: what somebody edits is rarely everything at once.
pub(super) fn mixed(one: &Manifest, other: &Manifest, seed: u64) -> Manifest {
    let (mut dice, mut whole) = (text::Dice(seed), Map::new());
    let (one, other) = (one.0.as_object().unwrap(), other.0.as_object().unwrap());
    for (key, value) in one {
        let mixed = match key.as_str() {
            "apps" => parts(value, &other[key], &mut dice, true),
            "buckets" | "identities" | "roles" => parts(
                value,
                other.get(key).unwrap_or(&Value::Null),
                &mut dice,
                true,
            ),
            _ => value.clone(),
        };
        whole.insert(key.clone(), mixed);
    }
    fit::fit(&mut whole);
    Manifest(Value::Object(whole))
}

/// Every entry from one of two tables; what both have is mixed in turn, once.
fn parts(one: &Value, other: &Value, dice: &mut text::Dice, deeper: bool) -> Value {
    let (Some(one), Some(other)) = (one.as_object(), other.as_object()) else {
        return one.clone();
    };
    let names: std::collections::BTreeSet<&String> = one.keys().chain(other.keys()).collect();
    let mut mixed = Map::new();
    for name in names {
        let chosen = match (one.get(name), other.get(name)) {
            (Some(one), Some(other)) if deeper => Some(parts(one, other, dice, false)),
            (one, other) => {
                if dice.below(3) == 0 {
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
