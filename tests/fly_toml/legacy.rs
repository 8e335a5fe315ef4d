//! Every legacy spelling that flyctl accepts, and its canonical form.

use serde_json::{Value as Json, json};

use crate::fly_toml::common::parse_and_modernise;

/// Asserts that a text has no errors or warnings and this canonical form.
#[track_caller]
fn assert_modernised(text: &str, expected: &Json) {
    let read = parse_and_modernise("fly.toml", text);
    assert_eq!(read.errors(), [""; 0], "errors in {text}");
    assert_eq!(read.warnings(), [""; 0], "warnings in {text}");
    assert_eq!(read.json(), *expected, "{text}");
}

#[track_caller]
fn assert_all_modernised(table: &[(&str, Json)]) {
    for (text, expected) in table {
        assert_modernised(text, expected);
    }
}

#[test]
fn env() {
    assert_all_modernised(&[
        (
            "[[env]]\nA = \"x\"\nB = 1\n[[env]]\nB = 2",
            json!({"env": {"A": "x", "B": "2"}}),
        ),
        (
            "[env]\nA = 8090\nB = true\nC = 0.5\nD = 1e6",
            json!({"env": {"A": "8090", "B": "true", "C": "0.5", "D": "1e+06"}}),
        ),
        ("[env]\nA = \"\"", json!({"env": {"A": ""}})),
        ("[env]", json!({})),
    ]);
}

#[test]
fn processes() {
    assert_all_modernised(&[
        ("processes = []", json!({})),
        ("[[processes]]", json!({})),
        (
            "[[processes]]\nname = \"web\"\ncommand = \"run web\"",
            json!({"processes": {"web": "run web"}}),
        ),
        (
            "[[processes]]\nname = \"web\"",
            json!({"processes": {"web": ""}}),
        ),
        (
            "[processes]\nweb = \"run\"\ntask = \"\"",
            json!({"processes": {"web": "run", "task": ""}}),
        ),
    ]);
}

/// `flyctl config save` writes an empty section for machines without metrics.
#[test]
fn empty_metrics_are_dropped() {
    let metrics = json!({"metrics": [{"port": 9091, "path": "/metrics"}]});
    assert_all_modernised(&[
        ("[[metrics]]", json!({})),
        ("[[metrics]]\nprocesses = [\"app\"]", json!({})),
        (
            "[[metrics]]\n[[metrics]]\nport = 9091\npath = \"/metrics\"",
            metrics,
        ),
    ]);
}

#[test]
fn kill_timeout() {
    assert_all_modernised(&[
        ("kill_timeout = 120", json!({"kill_timeout": "120s"})),
        ("kill_timeout = \"5m\"", json!({"kill_timeout": "5m"})),
        ("kill_timeout = \"\"", json!({})),
        (
            "[experimental]\nkill_timeout = 3",
            json!({"kill_timeout": "3s"}),
        ),
        (
            "kill_timeout = 1\n[experimental]\nkill_timeout = 3",
            json!({"kill_timeout": "1s"}),
        ),
    ]);
}

#[test]
fn experimental() {
    assert_all_modernised(&[
        (
            "[experimental]\ncmd = \"start it.sh\"\nentrypoint = \"sh\"\nexec = [\"a\", \"b\"]",
            json!({"experimental": {"cmd": ["start it.sh"], "entrypoint": ["sh"], "exec": ["a", "b"]}}),
        ),
        (
            "[experimental]\nallowed_public_ports = []\nauto_rollback = true\nenable_consul = true\nprivate_network = true",
            json!({}),
        ),
        (
            "[experimental]\nmetrics_port = 9091\nmetrics_path = \"/m\"",
            json!({"metrics": [{"port": 9091, "path": "/m"}]}),
        ),
        (
            "[metrics]\nport = 1\n[experimental]\nmetrics_port = 2",
            json!({"metrics": [{"port": 1}]}),
        ),
        (
            "machine_config = \"outer\"\n[experimental]\nmachine_config = \"inner\"",
            json!({"machine_config": "inner"}),
        ),
    ]);
}

#[test]
fn build() {
    assert_all_modernised(&[
        ("[build]", json!({})),
        ("[build]\nimage = \"redis:7\"", json!({"image": "redis:7"})),
        ("build.image = \"redis:7\"", json!({"image": "redis:7"})),
        (
            "[build]\ndockerfile = \"D\"\nbuild_target = \"t\"\n[build.args]\nA = \"1\"",
            json!({}),
        ),
    ]);
}

#[test]
fn sections_under_other_names() {
    assert_all_modernised(&[
        (
            "[mount]\nsource = \"a\"\ninitial_size = 10\n[[mounts]]\nsource = \"b\"",
            json!({"mounts": [{"source": "a", "initial_size": "10"}, {"source": "b"}]}),
        ),
        (
            "[mounts]\nsource = \"a\"",
            json!({"mounts": [{"source": "a"}]}),
        ),
        (
            "vm.size = \"shared-cpu-1x\"\n[compute]\ncpus = 2\n[[computes]]\ncpus = 4",
            json!({"vm": [{"cpus": 2}, {"cpus": 4}, {"size": "shared-cpu-1x"}]}),
        ),
        (
            "[[vm]]\nmemory = 4096\npersist_rootfs = 3",
            json!({"vm": [{"memory": "4096", "persist_rootfs": "always"}]}),
        ),
        (
            "[metric]\nport = 1\n[[metrics]]\nport = 2",
            json!({"metrics": [{"port": 1}, {"port": 2}]}),
        ),
        (
            "[[checks]]\nname = \"up\"\ntype = \"http\"\ninterval = 10000\nmethod = \"get\"",
            json!({"checks": {"up": {"type": "http", "interval": "10s", "method": "GET"}}}),
        ),
    ]);
}

/// A service with a port and these additional lines.
fn service_with(lines: &str) -> String {
    format!("[[services]]\ninternal_port = 80\n{lines}\n[[services.ports]]\nport = 443")
}

#[test]
fn services() {
    let with = |key: &str, value: Json| {
        let mut service = json!({"internal_port": 80, "ports": [{"port": 443}]});
        service[key] = value;
        json!({"services": [service]})
    };
    assert_all_modernised(&[
        ("[[services]]", json!({})),
        (
            "[services]\ninternal_port = \"80\"\n[services.ports]\nport = \"443\"",
            json!({"services": [{"internal_port": 80, "ports": [{"port": 443}]}]}),
        ),
        (
            &service_with("concurrency = \"20,25\""),
            with(
                "concurrency",
                json!({"type": "requests", "soft_limit": 20, "hard_limit": 25}),
            ),
        ),
        (
            &service_with("auto_stop_machines = true"),
            with("auto_stop_machines", json!("stop")),
        ),
        (
            &service_with("auto_stop_machines = false"),
            with("auto_stop_machines", json!("off")),
        ),
        (
            &service_with("auto_stop_machines = \"suspend\""),
            with("auto_stop_machines", json!("suspend")),
        ),
        (
            &service_with("min_machines_running = 0"),
            with("min_machines_running", json!(0)),
        ),
        (
            &service_with(
                "tcp_checks = [{ interval = 10000, timeout = 2500, restart_limit = 6, grace_period = \"\" }]",
            ),
            with(
                "tcp_checks",
                json!([{"interval": "10s", "timeout": "2500ms"}]),
            ),
        ),
        (
            &service_with(
                "http_checks = { headers = [{ name = \"A\", value = 1 }, { name = \"B\" }] }",
            ),
            with("http_checks", json!([{"headers": {"A": "1", "B": ""}}])),
        ),
        (
            &service_with("http_checks = { headers = { a = 1, b = true } }"),
            with("http_checks", json!([{"headers": {"a": "1", "b": "true"}}])),
        ),
        (
            &service_with("script_checks = []\nhttp_checks = []\nprocesses = []"),
            json!({"services": [{"internal_port": 80, "ports": [{"port": 443}]}]}),
        ),
        (
            &service_with("processes = [\"app\"]"),
            with("processes", json!(["app"])),
        ),
    ]);
}

#[test]
fn modern_file_is_unchanged() {
    let text = "app = \"a\"\nprimary_region = \"ams\"\n[deploy]\nstrategy = \"rolling\"\nmax_unavailable = 0.5\n\
                [http_service]\ninternal_port = 8080\n[[http_service.checks]]\ninterval = \"15s\"\n\
                [http_service.http_options.response.headers]\nx = [\"a\", false]\n[[restart]]\npolicy = \"never\"";
    assert_modernised(
        text,
        &json!({
            "app": "a", "primary_region": "ams",
            "deploy": {"strategy": "rolling", "max_unavailable": 0.5},
            "http_service": {
                "internal_port": 8080, "checks": [{"interval": "15s"}],
                "http_options": {"response": {"headers": {"x": ["a", false]}}},
            },
            "restart": [{"policy": "never"}],
        }),
    );
}
