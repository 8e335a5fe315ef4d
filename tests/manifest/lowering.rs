//! The desired state that manifests become: machines, volumes, addresses, and the references
//! between them.

use serde_json::{Value, json};
use trimtab::{
    kinds::Desired,
    kinds::fly::ip::IpKind,
    model::{Gib, Name},
};

use crate::manifest::support::{load_text, unchecked_inputs};

const HEAD: &str = "project = \"p\"\n[fly]\norg = \"o\"\n";

fn load_desired(sections: &str) -> Desired {
    let loaded = load_text(&format!("{HEAD}{sections}"), &unchecked_inputs());
    loaded
        .unwrap_or_else(|diagnostics| panic!("{diagnostics}"))
        .desired
}

fn machine_config(desired: &Desired, name: &str) -> Value {
    serde_json::to_value(&desired.fly_machine[name].workload.config).unwrap()
}

/// The worked example of Fly's API reference, as a manifest.
const WORKED_EXAMPLE: &str = r#"
[apps.demo]
name = "demo"
primary_region = "ord"
image = "registry.fly.io/demo:deployment-01"
kill_signal = "SIGTERM"
kill_timeout = 30
[apps.demo.env]
LOG_LEVEL = "info"
[apps.demo.processes]
app = "serve --port 8080"
worker = "work"
[apps.demo.http_service]
internal_port = 8080
force_https = true
auto_stop_machines = "stop"
auto_start_machines = true
min_machines_running = 0
processes = ["app"]
[[apps.demo.http_service.checks]]
interval = "15s"
timeout = "2s"
path = "/up"
[apps.demo.mounts]
source = "data"
destination = "/data"
processes = ["worker"]
[[apps.demo.vm]]
size = "shared-cpu-1x"
memory = "512mb"
"#;

#[test]
fn machine_config_matches_flyctl() {
    let desired = load_desired(WORKED_EXAMPLE);
    let app = json!({
        "env": {"LOG_LEVEL": "info", "FLY_PROCESS_GROUP": "app", "PRIMARY_REGION": "ord"},
        "init": {"cmd": ["serve", "--port", "8080"]},
        "guest": {"cpu_kind": "shared", "cpus": 1, "memory_mb": 512},
        "services": [{
            "protocol": "tcp", "internal_port": 8080, "autostop": "stop", "autostart": true, "min_machines_running": 0,
            "ports": [
                {"port": 80, "handlers": ["http"], "force_https": true},
                {"port": 443, "handlers": ["http", "tls"]},
            ],
            "checks": [{"type": "http", "interval": "15s", "timeout": "2s", "path": "/up"}],
        }],
        "image": "registry.fly.io/demo:deployment-01",
        "stop_config": {"timeout": "30s", "signal": "SIGTERM"},
    });
    assert_eq!(machine_config(&desired, "demo/app/ord/0"), app);
    let labels = &desired.fly_machine["demo/app/ord/0"].workload.labels;
    assert_eq!(labels["fly_platform_version"], "v2");
    assert_eq!(labels["fly_process_group"], "app");
    assert_eq!(labels["trimtab_name"], "demo/app/ord/0");

    let worker = machine_config(&desired, "demo/worker/ord/0");
    assert_eq!(worker["init"]["cmd"], json!(["work"]));
    assert_eq!(worker["mounts"], json!([{"path": "/data", "name": "data"}]));
    assert_eq!(worker.get("services"), None);
    let volume = desired.fly_machine["demo/worker/ord/0"]
        .volume
        .as_ref()
        .unwrap();
    assert_eq!(volume.name().as_str(), "demo/data/ord/0");
    assert_eq!(desired.fly_machine.len(), 2);
}

#[test]
fn each_slot_has_its_own_volume() {
    let desired = load_desired(
        r#"
[apps.db]
[apps.db.machines.app]
count = { ewr = 2, fra = 1, iad = 0 }
[apps.db.mounts]
source = "data"
destination = "/data"
size = 10
snapshot_retention = 14
auto_extend_size_threshold = 80
auto_extend_size_increment = "1gb"
"#,
    );
    let machines: Vec<&str> = desired.fly_machine.keys().map(Name::as_str).collect();
    assert_eq!(machines, ["db/app/ewr/0", "db/app/ewr/1", "db/app/fra/0"]);
    let volumes: Vec<&str> = desired.fly_volume.keys().map(Name::as_str).collect();
    assert_eq!(volumes, ["db/data/ewr/0", "db/data/ewr/1", "db/data/fra/0"]);
    let volume = &desired.fly_volume["db/data/ewr/0"];
    assert_eq!(
        (volume.size, volume.snapshot_retention, volume.auto_extends),
        (Some(Gib(10)), Some(14), true)
    );
}

#[test]
fn cron_machine_inherits_from_app_not_group() {
    let desired = load_desired(
        r#"
[apps.web]
primary_region = "ewr"
image = "registry.fly.io/web:1"
env = { A = "app", B = "app" }
[apps.web.http_service]
internal_port = 8080
[apps.web.cron.news]
schedule = "daily"
memory = "512mb"
entrypoint = ["/app/.venv/bin/python"]
command = "-m app.cli.cron_runner"
env = { B = "cron" }
"#,
    );
    let cron = &desired.fly_cron["web/news"];
    assert_eq!(cron.machine, "news");
    let config = json!({
        "image": "registry.fly.io/web:1",
        "env": {"A": "app", "B": "cron", "PRIMARY_REGION": "ewr"},
        "init": {"entrypoint": ["/app/.venv/bin/python"], "cmd": ["-m", "app.cli.cron_runner"]},
        "guest": {"cpu_kind": "shared", "cpus": 1, "memory_mb": 512},
        "restart": {"policy": "on-failure"},
        "schedule": "daily",
    });
    assert_eq!(serde_json::to_value(&cron.workload.config).unwrap(), config);
    assert_eq!(cron.workload.labels.get("fly_process_group"), None);
    assert_eq!(cron.workload.labels["trimtab_name"], "web/news");
}

#[test]
fn default_addresses_match_flyctl() {
    let kinds = |sections: &str| -> Vec<(IpKind, bool)> {
        load_desired(&format!("[apps.web]\nprimary_region = \"ewr\"\n{sections}"))
            .fly_ip
            .values()
            .map(|ip| (ip.kind, ip.declared))
            .collect()
    };
    assert_eq!(kinds(""), []);
    let http = "http_service = { internal_port = 80 }\n";
    assert_eq!(
        kinds(http),
        [(IpKind::SharedV4, false), (IpKind::V6, false)]
    );
    let ssh = "services = [{ internal_port = 22, ports = [{ port = 22 }] }]\n";
    assert_eq!(kinds(ssh), [(IpKind::V4, false), (IpKind::V6, false)]);
    assert_eq!(kinds(&format!("{http}ips = []\n")), []);
    let desired = load_desired(
        "[apps.web]\nprimary_region = \"ewr\"\nips = [\"private_v6\", { type = \"v4\", region = \"fra\" }]\n",
    );
    let names: Vec<&str> = desired.fly_ip.keys().map(Name::as_str).collect();
    assert_eq!(names, ["web/private_v6", "web/v4/fra"]);
}

#[test]
fn sections_apply_to_their_process_groups() {
    let desired = load_desired(
        r#"
[apps.web]
primary_region = "ewr"
swap_size_mb = 512
restart = [{ policy = "never", processes = ["worker"] }]
metrics = { port = 9091, path = "/metrics" }
files = [{ guest_path = "/motd", raw_value = "hi" }]
[apps.web.processes]
app = "serve"
worker = ["sh", "-c", "echo $HOME"]
[[apps.web.vm]]
memory = "512mb"
[[apps.web.vm]]
size = "performance-1x"
processes = ["worker"]
[apps.web.machines.app]
count = 2
size = "shared-cpu-2x"
[apps.web.checks.alive]
type = "tcp"
port = 1234
interval = "15s"
"#,
    );
    let (app, worker) = (
        machine_config(&desired, "web/app/ewr/1"),
        machine_config(&desired, "web/worker/ewr/0"),
    );
    assert_eq!(
        app["guest"],
        json!({"cpu_kind": "shared", "cpus": 2, "memory_mb": 512})
    );
    assert_eq!(
        worker["guest"],
        json!({"cpu_kind": "performance", "cpus": 1, "memory_mb": 2048})
    );
    assert_eq!(
        worker["init"],
        json!({"cmd": ["sh", "-c", "echo $HOME"], "swap_size_mb": 512})
    );
    assert_eq!(
        (app.get("restart"), &worker["restart"]),
        (None, &json!({"policy": "no"}))
    );
    assert_eq!(
        app["files"],
        json!([{"guest_path": "/motd", "raw_value": "aGk="}])
    );
    assert_eq!(worker["files"], app["files"], "files are for all groups");
    for key in ["metrics", "checks"] {
        assert!(app.get(key).is_some() && worker.get(key).is_none(), "{key}");
    }
}

#[test]
fn references_become_dependencies() {
    let desired = load_desired(
        r#"
[apps.api]
name = "harbor-api"
primary_region = "ewr"
[apps.web]
primary_region = "ewr"
env = { API = "http://${apps.api.name}.internal", SELF = "${apps.web.name}" }
[apps.job]
primary_region = "ewr"
depends_on = ["api"]
"#,
    );
    let needs = |name: &str| -> Vec<String> {
        desired.fly_machine[name]
            .workload
            .needs
            .iter()
            .map(ToString::to_string)
            .collect()
    };
    assert_eq!(
        machine_config(&desired, "web/app/ewr/0")["env"]["API"],
        "http://harbor-api.internal"
    );
    assert_eq!(
        machine_config(&desired, "web/app/ewr/0")["env"]["SELF"],
        "p-web-x"
    );
    assert_eq!(needs("web/app/ewr/0"), ["fly.app/api"]);
    assert_eq!(needs("job/app/ewr/0"), ["fly.machine/api/app/ewr/0"]);
}

#[test]
fn ineffective_settings_are_warnings() {
    let desired = load_desired(
        r#"
[apps.web]
primary_region = "ewr"
env = { DATABASE_URL = "postgres://app:hunter2@db/app", FLY_REGION = "ewr" }
swap_size_mb = 256
vm = { size = "shared-cpu-2x", memory = "4gb" }
http_service = { internal_port = 8080, auto_stop_machines = "suspend" }
services = [{ internal_port = 9090, ports = [{ port = 443, handlers = ["tls"] }] }]
[apps.web.deploy]
release_command = "migrate"
wait_timeout = "90s"
"#,
    );
    let text = desired.meta.warnings.join("\n");
    assert!(
        text.contains("x.toml:7: `DATABASE_URL` looks like a secret in the open"),
        "{text}"
    );
    for part in [
        "port 443 (tcp) is served twice",
        "`FLY_REGION` is set by Fly itself",
        "machines with swap",
        "more than 2 GB",
    ] {
        assert!(text.contains(part), "{text}");
    }
    assert!(!text.contains("hunter2"), "{text}");
    assert_eq!(desired.fly_machine["web/app/ewr/0"].workload.wait_secs, 90);
}

#[test]
fn groups_share_volume_name_but_not_volumes() {
    let desired = load_desired(
        "[apps.web]\nprimary_region = \"ewr\"\nmachines.app.count = { ewr = 2 }\nmachines.worker.count = { ewr = 1, fra = 1 }\n[apps.web.processes]\napp = \"serve\"\nworker = \"work\"\n[apps.web.mounts]\nsource = \"data\"\ndestination = \"/data\"\nprocesses = [\"app\", \"worker\"]\n",
    );
    let disk = |machine: &str| {
        desired.fly_machine[machine]
            .volume
            .as_ref()
            .unwrap()
            .name()
            .to_string()
    };
    assert_eq!(
        [
            "web/app/ewr/0",
            "web/app/ewr/1",
            "web/worker/ewr/0",
            "web/worker/fra/0"
        ]
        .map(disk),
        [
            "web/data/ewr/0",
            "web/data/ewr/1",
            "web/data/ewr/2",
            "web/data/fra/0"
        ]
    );
    assert_eq!(desired.fly_volume.len(), 4);
}

#[test]
fn min_machines_running_sets_default_count() {
    let machines = |service: &str, sections: &str| {
        let text = format!(
            "[apps.web]\nprimary_region = \"ewr\"\n{sections}[apps.web.http_service]\ninternal_port = 80\nauto_stop_machines = \"stop\"\n{service}"
        );
        load_desired(&text)
            .fly_machine
            .keys()
            .map(Name::to_string)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        machines("min_machines_running = 2\n", ""),
        ["web/app/ewr/0", "web/app/ewr/1"]
    );
    assert_eq!(
        machines("min_machines_running = 0\n", ""),
        ["web/app/ewr/0"]
    );
    assert_eq!(
        machines("min_machines_running = 1\n", "machines.app.count = 2\n").len(),
        2
    );
    let grouped = "processes = { app = \"serve\", worker = \"work\" }\n";
    assert_eq!(
        machines("min_machines_running = 2\nprocesses = [\"app\"]\n", grouped),
        ["web/app/ewr/0", "web/app/ewr/1", "web/worker/ewr/0"]
    );
}

#[test]
fn policy_is_independent_of_toml_style() {
    let head = "[aws]\naccount = \"123456789012\"\nregion = \"eu-central-1\"\n";
    let inline = r#"
        [roles.r.trust]
        Statement = { Effect = "Allow", Principal = { AWS = "123456789012" }, Action = "sts:AssumeRole", Condition = { Bool = { "aws:MultiFactorAuthPresent" = true } } }
        [[buckets.b.statements]]
        Effect = "Allow"
        Principal = { AWS = "123456789012" }
        Action = "s3:GetObject"
        Resource = "arn:aws:s3:::p-x-b-123456789012/*"
        Condition = { Null = { "s3:x-amz-acl" = false } }
    "#;
    let spread = r#"
        [[roles.r.trust.Statement]]
        Effect = "Allow"
        Action = ["sts:AssumeRole"]
        Principal.AWS = ["123456789012"]
        [roles.r.trust.Statement.Condition.Bool]
        "aws:MultiFactorAuthPresent" = "true"
        [[buckets.b.statements]]
        Effect = "Allow"
        Action = "s3:GetObject"
        Resource = "arn:aws:s3:::p-x-b-123456789012/*"
        [buckets.b.statements.Principal]
        AWS = "123456789012"
        [buckets.b.statements.Condition.Null]
        "s3:x-amz-acl" = false
    "#;
    let (inline, spread) = (
        load_desired(&format!("{head}{inline}")),
        load_desired(&format!("{head}{spread}")),
    );
    assert_eq!(inline.aws_bucket["b"].policy, spread.aws_bucket["b"].policy);
    assert_eq!(inline.aws_role["r"].trust, spread.aws_role["r"].trust);
    let text = inline.aws_bucket["b"]
        .policy
        .as_ref()
        .unwrap()
        .to_json_string();
    assert!(
        text.contains(r#""Null":{"s3:x-amz-acl""#) && text.contains("123456789012"),
        "{text}"
    );
}

#[test]
fn expiry_without_noncurrent_days_is_a_warning() {
    let warnings = |bucket: &str| {
        let head = "[aws]\naccount = \"123456789012\"\nregion = \"eu-central-1\"\n[buckets.b]\n";
        let all = load_desired(&format!("{head}{bucket}")).meta.warnings;
        all.into_iter()
            .filter(|warning| warning.contains("remain as noncurrent versions"))
            .count()
    };
    assert_eq!(
        warnings("lifecycle.old = { prefix = \"db/\", expire_days = 30 }"),
        1
    );
    assert_eq!(
        warnings("lifecycle.old = { expire_days = 30, noncurrent_days = 7 }"),
        0
    );
    assert_eq!(
        warnings("versioning = false\nlifecycle.old = { expire_days = 30 }"),
        0
    );
    let two = "lifecycle.old = { prefix = \"db/x\", expire_days = 30 }\n";
    assert_eq!(
        warnings(&format!(
            "{two}lifecycle.gone = {{ prefix = \"db/\", noncurrent_days = 7 }}"
        )),
        0
    );
    assert_eq!(
        warnings(&format!(
            "{two}lifecycle.gone = {{ prefix = \"db/y\", noncurrent_days = 7 }}"
        )),
        1
    );
}

#[test]
fn a_size_is_stated_by_vm_by_the_group_or_by_machine_config() {
    for (lines, stated) in [
        ("", false),
        ("swap_size_mb = 256\nmachines.app.count = 2\n", false),
        ("vm = { cpu_kind = \"shared\" }\n", true),
        (
            "vm = [{ size = \"shared-cpu-2x\", processes = [\"web\"] }]\nprocesses = { app = \"a\", web = \"w\" }\n",
            false,
        ),
        ("machines.app.memory = \"1gb\"\n", true),
        ("machine_config = '{\"guest\":{\"cpus\":2}}'\n", true),
    ] {
        let desired = load_desired(&format!("[apps.web]\nprimary_region = \"ewr\"\n{lines}"));
        let workload = &desired.fly_machine["web/app/ewr/0"].workload;
        assert_eq!(workload.guest_stated, stated, "{lines}");
    }
}
