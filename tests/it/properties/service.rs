//! Strategies for services, ports and checks with every option.

use proptest::strategy::Strategy as _;
use serde_json::json;

use super::strategies::{
    ValueStrategy, any_string, boolean, command, key_with_probability, list, number, one_or_list,
    one_string_of, one_value_of, optional_key, required_key, scalar, subset_of, table, table_of,
};

/// The names of process groups. `app-2` sorts before `app/…`, so that names with a common prefix
/// are tested.
pub(super) const GROUPS: &[&str] = &["app", "app-2", "worker"];

/// The groups that a section applies to.
pub(super) fn processes() -> ValueStrategy {
    subset_of(GROUPS, 1..=2)
}

fn duration(most: u32) -> ValueStrategy {
    if most <= 60 {
        one_string_of(&["1500ms", "5s", "15s", "1m"])
    } else {
        one_string_of(&["2s", "90s", "1m30s", "0s"])
    }
}

/// A check of a service, or with `of_machine` a named check of the machine.
fn check(kind: &'static str, of_machine: bool) -> ValueStrategy {
    let interval = if of_machine {
        one_string_of(&["2s", "15s", "1m"])
    } else {
        duration(60)
    };
    let mut keys = vec![
        optional_key("interval", interval),
        optional_key("timeout", duration(60)),
        optional_key("grace_period", duration(300)),
        optional_key("tls_skip_verify", boolean()),
        optional_key("tls_server_name", one_string_of(&["inner.example.com"])),
        if of_machine {
            required_key("type", one_value_of(json!([kind])))
        } else {
            optional_key("type", one_value_of(json!([kind])))
        },
    ];
    if kind == "http" {
        keys.extend([
            optional_key("method", one_string_of(&["GET", "head"])),
            optional_key("path", one_string_of(&["/", "/health?deep=1"])),
            optional_key("protocol", one_string_of(&["http", "https"])),
            optional_key(
                "headers",
                table_of(
                    &["X-One", "x-two"],
                    1..=2,
                    one_or_list(one_string_of(&["a", "b c"])),
                ),
            ),
        ]);
    }
    if of_machine {
        keys.extend([
            required_key("port", number(8000..8003)),
            optional_key("kind", one_string_of(&["informational", "readiness"])),
            optional_key("processes", processes()),
        ]);
    }
    table(keys)
}

/// Named checks of the machine.
pub(super) fn checks() -> ValueStrategy {
    table_of(
        &["alive", "well"],
        1..=2,
        either(check("http", true), check("tcp", true)),
    )
}

fn either(one: ValueStrategy, other: ValueStrategy) -> ValueStrategy {
    proptest::prop_oneof![one, other].boxed()
}

fn concurrency() -> ValueStrategy {
    one_value_of(json!([
        { "type": "requests", "soft_limit": 20, "hard_limit": 25 }, { "type": "connections", "hard_limit": 9 },
        { "soft_limit": 5 }, { "type": "requests" }
    ]))
}

fn tls_options() -> ValueStrategy {
    table(vec![
        optional_key("alpn", subset_of(&["h2", "http/1.1"], 1..=2)),
        optional_key("versions", subset_of(&["TLSv1.2", "TLSv1.3"], 1..=2)),
        optional_key("default_self_signed", boolean()),
    ])
}

fn http_options() -> ValueStrategy {
    let replay = table(vec![
        required_key("path_prefix", one_string_of(&["/users", "/x"])),
        optional_key("ttl_seconds", number(1..99)),
        optional_key("type", one_string_of(&["cookie", "header"])),
        optional_key("name", one_string_of(&["session"])),
        optional_key("allow_bypass", boolean()),
    ]);
    let header = one_value_of(json!([true, false, "value", ["a", "b"]]));
    let response = table(vec![
        optional_key("pristine", boolean()),
        optional_key("headers", table_of(&["X-A", "X-B"], 1..=2, header)),
    ]);
    table(vec![
        optional_key("compress", boolean()),
        optional_key("h2_backend", boolean()),
        optional_key("headers_read_timeout", number(0..99)),
        optional_key("idle_timeout", number(0..99)),
        optional_key("replay_cache", list(replay, 1..=2)),
        optional_key("response", response),
    ])
}

/// Keys that both kinds of service have.
fn common_service_keys() -> Vec<super::strategies::KeyStrategy> {
    vec![
        required_key("internal_port", number(8080..8083)),
        optional_key("auto_start_machines", boolean()),
        optional_key(
            "auto_stop_machines",
            one_value_of(json!([true, false, "off", "stop", "suspend"])),
        ),
        optional_key("min_machines_running", number(0..3)),
        optional_key("processes", processes()),
        optional_key("concurrency", concurrency()),
    ]
}

pub(super) fn http_service() -> ValueStrategy {
    let mut keys = common_service_keys();
    keys.extend([
        optional_key("force_https", boolean()),
        optional_key("checks", list(check("http", false), 1..=2)),
        optional_key("http_options", http_options()),
        optional_key("tls_options", tls_options()),
    ]);
    table(keys)
}

/// A port, with only those options that its handlers allow.
fn port() -> ValueStrategy {
    let plain = table(vec![required_key("port", number(5000..5003))]);
    let range = table(vec![
        required_key("start_port", number(7000..7003)),
        required_key("end_port", number(7010..7013)),
    ]);
    let web = table(vec![
        required_key("port", one_value_of(json!([80, 443, 8443]))),
        required_key(
            "handlers",
            one_value_of(json!([["http"], ["http", "tls"], ["tls", "http"]])),
        ),
        optional_key("force_https", boolean()),
        optional_key("http_options", http_options()),
    ]);
    let tls = table(vec![
        required_key("port", number(9000..9003)),
        required_key(
            "handlers",
            one_value_of(json!([
                ["tls"],
                ["pg_tls"],
                ["tls", "proxy_proto"],
                ["edge_http", "tls"]
            ])),
        ),
        optional_key("tls_options", tls_options()),
    ]);
    let proxy = table(vec![
        required_key("port", number(9100..9103)),
        required_key("handlers", one_value_of(json!([["proxy_proto"]]))),
        key_with_probability(
            "proxy_proto_options",
            0.7,
            table(vec![key_with_probability(
                "version",
                0.8,
                one_string_of(&["v1", "v2"]),
            )]),
        ),
    ]);
    proptest::prop_oneof![1 => plain, 1 => range, 3 => web, 2 => tls, 1 => proxy].boxed()
}

pub(super) fn service() -> ValueStrategy {
    let mut keys = common_service_keys();
    keys.extend([
        optional_key("protocol", one_string_of(&["tcp", "udp"])),
        key_with_probability("ports", 0.9, list(port(), 1..=3)),
        optional_key("tcp_checks", list(check("tcp", false), 1..=2)),
        optional_key("http_checks", list(check("http", false), 1..=2)),
    ]);
    table(keys)
}

/// Environment variables.
pub(super) fn env() -> ValueStrategy {
    table_of(&["LOG_LEVEL", "A", "b_2", "URL"], 1..=3, scalar())
}

/// fly.toml's way to override the command of an image.
pub(super) fn experimental() -> ValueStrategy {
    let words = || list(any_string(), 1..=2);
    table(vec![
        optional_key("cmd", words()),
        optional_key("entrypoint", words()),
        optional_key("exec", words()),
    ])
}

/// A scheduled machine.
pub(super) fn cron() -> ValueStrategy {
    let keys = vec![
        required_key(
            "schedule",
            one_string_of(&["hourly", "daily", "weekly", "monthly"]),
        ),
        optional_key("name", one_string_of(&["a-name"])),
        optional_key("region", one_string_of(super::generator::REGIONS)),
        optional_key("image", one_string_of(&["job:1", "job:2"])),
        optional_key("entrypoint", command()),
        optional_key("command", command()),
        optional_key("env", env()),
    ];
    let plain = table(keys);
    proptest::prop_oneof![
        plain.clone(),
        super::generator::with_one_of(plain, super::generator::machine_sizes())
    ]
    .boxed()
}
