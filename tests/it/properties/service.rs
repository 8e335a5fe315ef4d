//! Services, ports and checks, with every option that they have.

use proptest::strategy::Strategy as _;
use serde_json::json;

use super::words::{
    Part, command, flag, list, may, must, named, number, often, one_of, one_or_many, scalar,
    some_of, table, text, word,
};

/// The names of process groups. `app-2` sorts before `app/…`: names that begin alike must not be mixed up.
pub(super) const GROUPS: &[&str] = &["app", "app-2", "worker"];

/// The groups that a part is for.
pub(super) fn processes() -> Part {
    some_of(GROUPS, 1..=2)
}

fn times(most: u32) -> Part {
    if most <= 60 {
        word(&["1500ms", "5s", "15s", "1m"])
    } else {
        word(&["2s", "90s", "1m30s", "0s"])
    }
}

/// A check: of a service, unless it has a name.
fn check(kind: &'static str, of_machine: bool) -> Part {
    let interval = if of_machine {
        word(&["2s", "15s", "1m"])
    } else {
        times(60)
    };
    let mut keys = vec![
        may("interval", interval),
        may("timeout", times(60)),
        may("grace_period", times(300)),
        may("tls_skip_verify", flag()),
        may("tls_server_name", word(&["inner.example.com"])),
        if of_machine {
            must("type", one_of(json!([kind])))
        } else {
            may("type", one_of(json!([kind])))
        },
    ];
    if kind == "http" {
        keys.extend([
            may("method", word(&["GET", "head"])),
            may("path", word(&["/", "/health?deep=1"])),
            may("protocol", word(&["http", "https"])),
            may(
                "headers",
                named(&["X-One", "x-two"], 1..=2, one_or_many(word(&["a", "b c"]))),
            ),
        ]);
    }
    if of_machine {
        keys.extend([
            must("port", number(8000..8003)),
            may("kind", word(&["informational", "readiness"])),
            may("processes", processes()),
        ]);
    }
    table(keys)
}

/// Checks of the machine, by name.
pub(super) fn checks() -> Part {
    named(
        &["alive", "well"],
        1..=2,
        prop_oneof_boxed(check("http", true), check("tcp", true)),
    )
}

fn prop_oneof_boxed(one: Part, other: Part) -> Part {
    proptest::prop_oneof![one, other].boxed()
}

fn concurrency() -> Part {
    one_of(json!([
        { "type": "requests", "soft_limit": 20, "hard_limit": 25 }, { "type": "connections", "hard_limit": 9 },
        { "soft_limit": 5 }, { "type": "requests" }
    ]))
}

fn tls_options() -> Part {
    table(vec![
        may("alpn", some_of(&["h2", "http/1.1"], 1..=2)),
        may("versions", some_of(&["TLSv1.2", "TLSv1.3"], 1..=2)),
        may("default_self_signed", flag()),
    ])
}

fn http_options() -> Part {
    let replay = table(vec![
        must("path_prefix", word(&["/users", "/x"])),
        may("ttl_seconds", number(1..99)),
        may("type", word(&["cookie", "header"])),
        may("name", word(&["session"])),
        may("allow_bypass", flag()),
    ]);
    let header = one_of(json!([true, false, "value", ["a", "b"]]));
    let response = table(vec![
        may("pristine", flag()),
        may("headers", named(&["X-A", "X-B"], 1..=2, header)),
    ]);
    table(vec![
        may("compress", flag()),
        may("h2_backend", flag()),
        may("headers_read_timeout", number(0..99)),
        may("idle_timeout", number(0..99)),
        may("replay_cache", list(replay, 1..=2)),
        may("response", response),
    ])
}

/// What the proxy does for both sorts of service.
fn shared() -> Vec<super::words::Key> {
    vec![
        must("internal_port", number(8080..8083)),
        may("auto_start_machines", flag()),
        may(
            "auto_stop_machines",
            one_of(json!([true, false, "off", "stop", "suspend"])),
        ),
        may("min_machines_running", number(0..3)),
        may("processes", processes()),
        may("concurrency", concurrency()),
    ]
}

/// The HTTP service.
pub(super) fn http_service() -> Part {
    let mut keys = shared();
    keys.extend([
        may("force_https", flag()),
        may("checks", list(check("http", false), 1..=2)),
        may("http_options", http_options()),
        may("tls_options", tls_options()),
    ]);
    table(keys)
}

/// A port with handlers, and only with options that these allow.
fn port() -> Part {
    let plain = table(vec![must("port", number(5000..5003))]);
    let range = table(vec![
        must("start_port", number(7000..7003)),
        must("end_port", number(7010..7013)),
    ]);
    let web = table(vec![
        must("port", one_of(json!([80, 443, 8443]))),
        must(
            "handlers",
            one_of(json!([["http"], ["http", "tls"], ["tls", "http"]])),
        ),
        may("force_https", flag()),
        may("http_options", http_options()),
    ]);
    let tls = table(vec![
        must("port", number(9000..9003)),
        must(
            "handlers",
            one_of(json!([
                ["tls"],
                ["pg_tls"],
                ["tls", "proxy_proto"],
                ["edge_http", "tls"]
            ])),
        ),
        may("tls_options", tls_options()),
    ]);
    let proxy = table(vec![
        must("port", number(9100..9103)),
        must("handlers", one_of(json!([["proxy_proto"]]))),
        often(
            "proxy_proto_options",
            0.7,
            table(vec![often("version", 0.8, word(&["v1", "v2"]))]),
        ),
    ]);
    proptest::prop_oneof![1 => plain, 1 => range, 3 => web, 2 => tls, 1 => proxy].boxed()
}

/// A service on any port.
pub(super) fn service() -> Part {
    let mut keys = shared();
    keys.extend([
        may("protocol", word(&["tcp", "udp"])),
        often("ports", 0.9, list(port(), 1..=3)),
        may("tcp_checks", list(check("tcp", false), 1..=2)),
        may("http_checks", list(check("http", false), 1..=2)),
    ]);
    table(keys)
}

/// Variables.
pub(super) fn env() -> Part {
    named(&["LOG_LEVEL", "A", "b_2", "URL"], 1..=3, scalar())
}

/// fly.toml's way to replace what an image runs.
pub(super) fn experimental() -> Part {
    let words = || list(text(), 1..=2);
    table(vec![
        may("cmd", words()),
        may("entrypoint", words()),
        may("exec", words()),
    ])
}

/// A job that runs by the clock.
pub(super) fn cron() -> Part {
    let keys = vec![
        must("schedule", word(&["hourly", "daily", "weekly", "monthly"])),
        may("name", word(&["a-name"])),
        may("region", word(super::generator::REGIONS)),
        may("image", word(&["job:1", "job:2"])),
        may("entrypoint", command()),
        may("command", command()),
        may("env", env()),
    ];
    let plain = table(keys);
    proptest::prop_oneof![
        plain.clone(),
        super::generator::with(plain, super::generator::size())
    ]
    .boxed()
}
