//! Every key that flyctl knows in a fly.toml, with its type: `Config` and the types beneath it in flyctl's
//! `internal/appconfig` and in `fly-go`, read at flyctl ad0172fa. Keys that old generators wrote and no flyctl reads any
//! more are listed as dropped, because a warning for each generated file would teach users to skip warnings.

use super::schema::{Key, Section, Shape, drop, keep, note};

const BUILT_ELSEWHERE: &str =
    "tests of a deployment are flyctl's; trimtab starts no machine for them";
const NO_COMPOSE: &str =
    "trimtab reads no compose file; write the containers into `machine_config`";

/// The top level.
pub(super) static ROOT: Section = Section {
    name: "",
    keys: &[
        keep("app", Shape::Text),
        keep("primary_region", Shape::Text),
        keep("kill_signal", Shape::Text),
        keep("kill_timeout", Shape::Duration),
        keep("swap_size_mb", Shape::Whole),
        drop("console_command", Shape::Command),
        keep("experimental", Shape::One(&EXPERIMENTAL)),
        keep("build", Shape::One(&BUILD)),
        keep("deploy", Shape::One(&DEPLOY)),
        keep("env", Shape::TextMap),
        keep("processes", Shape::TextMap),
        keep("mounts", Shape::Many(&MOUNTS)),
        keep("http_service", Shape::One(&HTTP_SERVICE)),
        keep("services", Shape::Many(&SERVICES)),
        keep("checks", Shape::Named(&CHECKS)),
        keep("files", Shape::Many(&FILES)),
        keep("host_dedication_id", Shape::Text),
        keep("machine_config", Shape::Text),
        keep("container", Shape::Text),
        note(
            "machine_checks",
            Shape::Many(&MACHINE_CHECKS),
            BUILT_ELSEWHERE,
        ),
        keep("restart", Shape::Many(&RESTART)),
        keep("vm", Shape::Many(&VM)),
        keep("statics", Shape::Many(&STATICS)),
        keep("metrics", Shape::Many(&METRICS)),
    ],
};

static EXPERIMENTAL: Section = Section {
    name: "experimental",
    keys: &[
        keep("cmd", Shape::Texts),
        keep("entrypoint", Shape::Texts),
        keep("exec", Shape::Texts),
        keep("machine_config", Shape::Text),
        drop("auto_rollback", Shape::Truth),
        drop("enable_consul", Shape::Truth),
        drop("enable_etcd", Shape::Truth),
        drop("lazy_load_images", Shape::Truth),
        drop("attached", Shape::One(&ATTACHED)),
        // Moved elsewhere by the patches.
        drop("kill_timeout", Shape::Anything),
        drop("metrics_port", Shape::Anything),
        drop("metrics_path", Shape::Anything),
        // Written by generators of the Nomad days.
        drop("allowed_public_ports", Shape::Anything),
        drop("private_network", Shape::Anything),
    ],
};

static ATTACHED: Section = Section {
    name: "experimental.attached",
    keys: &[drop("secrets", Shape::One(&ATTACHED_SECRETS))],
};

static ATTACHED_SECRETS: Section = Section {
    name: "experimental.attached.secrets",
    keys: &[drop("export", Shape::TextMap)],
};

static BUILD: Section = Section {
    name: "build",
    keys: &[
        keep("image", Shape::Text),
        drop("builder", Shape::Text),
        drop("args", Shape::TextMap),
        drop("buildpacks", Shape::Texts),
        drop("settings", Shape::Free),
        drop("builtin", Shape::Text),
        drop("dockerfile", Shape::Text),
        drop("ignorefile", Shape::Text),
        drop("build-target", Shape::Text),
        note("compose", Shape::One(&COMPOSE), NO_COMPOSE),
        drop("compression", Shape::OneOf(&["gzip", "zstd"])),
        drop("compression_level", Shape::Between(0, 9)),
    ],
};

static COMPOSE: Section = Section {
    name: "build.compose",
    keys: &[drop("file", Shape::Text)],
};

static DEPLOY: Section = Section {
    name: "deploy",
    keys: &[
        keep(
            "strategy",
            Shape::OneOf(&["canary", "rolling", "immediate", "bluegreen"]),
        ),
        keep("max_unavailable", Shape::Number),
        keep("wait_timeout", Shape::Duration),
        keep("release_command", Shape::Command),
        keep("release_command_timeout", Shape::Duration),
        keep("release_command_vm", Shape::One(&RELEASE_VM)),
        keep("seed_command", Shape::Text),
    ],
};

static MOUNTS: Section = Section {
    name: "mounts",
    keys: &[
        keep("source", Shape::Text),
        keep("destination", Shape::Text),
        keep("initial_size", Shape::Text),
        keep("snapshot_retention", Shape::Between(1, 60)),
        keep("scheduled_snapshots", Shape::Truth),
        keep("auto_extend_size_threshold", Shape::Count),
        keep("auto_extend_size_increment", Shape::Text),
        keep("auto_extend_size_limit", Shape::Text),
        keep("processes", Shape::Texts),
    ],
};

static HTTP_SERVICE: Section = Section {
    name: "http_service",
    keys: &[
        keep("internal_port", Shape::Count),
        keep("force_https", Shape::Truth),
        keep("auto_stop_machines", Shape::Autostop),
        keep("auto_start_machines", Shape::Truth),
        keep("min_machines_running", Shape::Whole),
        keep("processes", Shape::Texts),
        keep("concurrency", Shape::One(&CONCURRENCY)),
        keep("tls_options", Shape::One(&TLS_OPTIONS)),
        keep("http_options", Shape::One(&HTTP_OPTIONS)),
        keep("checks", Shape::Many(&HTTP_SERVICE_CHECKS)),
        note(
            "machine_checks",
            Shape::Many(&MACHINE_CHECKS),
            BUILT_ELSEWHERE,
        ),
    ],
};

static SERVICES: Section = Section {
    name: "services",
    keys: &[
        keep("protocol", Shape::Text),
        keep("internal_port", Shape::Count),
        keep("auto_stop_machines", Shape::Autostop),
        keep("auto_start_machines", Shape::Truth),
        keep("min_machines_running", Shape::Whole),
        keep("ports", Shape::Many(&PORTS)),
        keep("concurrency", Shape::One(&CONCURRENCY)),
        keep("tcp_checks", Shape::Many(&TCP_CHECKS)),
        keep("http_checks", Shape::Many(&HTTP_CHECKS)),
        note(
            "machine_checks",
            Shape::Many(&MACHINE_CHECKS),
            BUILT_ELSEWHERE,
        ),
        keep("processes", Shape::Texts),
        drop("script_checks", Shape::Anything),
    ],
};

static PORTS: Section = Section {
    name: "services.ports",
    keys: &[
        keep("port", Shape::Whole),
        keep("start_port", Shape::Whole),
        keep("end_port", Shape::Whole),
        keep("handlers", Shape::Texts),
        keep("force_https", Shape::Truth),
        keep("tls_options", Shape::One(&TLS_OPTIONS)),
        keep("http_options", Shape::One(&HTTP_OPTIONS)),
        keep("proxy_proto_options", Shape::One(&PROXY_PROTO)),
    ],
};

static CONCURRENCY: Section = Section {
    name: "concurrency",
    keys: &[
        keep("type", Shape::Text),
        keep("soft_limit", Shape::Count),
        keep("hard_limit", Shape::Count),
    ],
};

static TLS_OPTIONS: Section = Section {
    name: "tls_options",
    keys: &[
        keep("alpn", Shape::Texts),
        keep("versions", Shape::Texts),
        keep("default_self_signed", Shape::Truth),
    ],
};

static HTTP_OPTIONS: Section = Section {
    name: "http_options",
    keys: &[
        keep("compress", Shape::Truth),
        keep("response", Shape::One(&HTTP_RESPONSE)),
        keep("h2_backend", Shape::Truth),
        keep("idle_timeout", Shape::Between(0, U32)),
        keep("headers_read_timeout", Shape::Between(0, U32)),
        keep("replay_cache", Shape::Many(&REPLAY_CACHE)),
    ],
};

/// The largest number that flyctl reads into its unsigned fields.
const U32: i64 = 4_294_967_295;

static HTTP_RESPONSE: Section = Section {
    name: "http_options.response",
    keys: &[keep("headers", Shape::Free), keep("pristine", Shape::Truth)],
};

static REPLAY_CACHE: Section = Section {
    name: "http_options.replay_cache",
    keys: &[
        keep("path_prefix", Shape::Text),
        keep("ttl_seconds", Shape::Whole),
        keep("type", Shape::Text),
        keep("name", Shape::Text),
        keep("allow_bypass", Shape::Truth),
    ],
};

static PROXY_PROTO: Section = Section {
    name: "services.ports.proxy_proto_options",
    keys: &[keep("version", Shape::Text)],
};

static TCP_CHECKS: Section = Section {
    name: "services.tcp_checks",
    keys: &[
        keep("interval", Shape::Duration),
        keep("timeout", Shape::Duration),
        keep("grace_period", Shape::Duration),
        drop("restart_limit", Shape::Anything),
    ],
};

static HTTP_SERVICE_CHECKS: Section = Section {
    name: "http_service.checks",
    keys: &HTTP_CHECK_KEYS,
};

static HTTP_CHECKS: Section = Section {
    name: "services.http_checks",
    keys: &HTTP_CHECK_KEYS,
};

static HTTP_CHECK_KEYS: [Key; 10] = [
    keep("interval", Shape::Duration),
    keep("timeout", Shape::Duration),
    keep("grace_period", Shape::Duration),
    keep("method", Shape::Text),
    keep("path", Shape::Text),
    keep("protocol", Shape::Text),
    keep("tls_skip_verify", Shape::Truth),
    keep("tls_server_name", Shape::Text),
    keep("headers", Shape::TextMap),
    drop("restart_limit", Shape::Anything),
];

static CHECKS: Section = Section {
    name: "checks",
    keys: &[
        keep("port", Shape::Whole),
        keep("type", Shape::Text),
        keep("interval", Shape::Duration),
        keep("timeout", Shape::Duration),
        keep("grace_period", Shape::Duration),
        keep("method", Shape::Capitals),
        keep("path", Shape::Text),
        keep("protocol", Shape::Text),
        keep("tls_skip_verify", Shape::Truth),
        keep("tls_server_name", Shape::Text),
        keep("headers", Shape::TextMap),
        keep("processes", Shape::Texts),
        drop("restart_limit", Shape::Anything),
    ],
};

static MACHINE_CHECKS: Section = Section {
    name: "machine_checks",
    keys: &[
        drop("command", Shape::Texts),
        drop("image", Shape::Text),
        drop("entrypoint", Shape::Texts),
        drop("kill_signal", Shape::Text),
        drop("kill_timeout", Shape::Duration),
    ],
};

static VM: Section = Section {
    name: "vm",
    keys: &VM_KEYS,
};

static RELEASE_VM: Section = Section {
    name: "deploy.release_command_vm",
    keys: &VM_KEYS,
};

static VM_KEYS: [Key; 12] = [
    keep("size", Shape::Text),
    keep("memory", Shape::Text),
    keep("cpu_kind", Shape::Text),
    keep("cpus", Shape::Count),
    keep("memory_mb", Shape::Count),
    keep("max_memory_mb", Shape::Count),
    keep("gpus", Shape::Count),
    keep("gpu_kind", Shape::Text),
    keep("host_dedication_id", Shape::Text),
    keep("persist_rootfs", Shape::Persist),
    keep("kernel_args", Shape::Texts),
    keep("processes", Shape::Texts),
];

static RESTART: Section = Section {
    name: "restart",
    keys: &[
        keep("policy", Shape::Text),
        keep("retries", Shape::Count),
        keep("processes", Shape::Texts),
    ],
};

static STATICS: Section = Section {
    name: "statics",
    keys: &[
        keep("guest_path", Shape::Text),
        keep("url_prefix", Shape::Text),
        keep("tigris_bucket", Shape::Text),
        keep("index_document", Shape::Text),
    ],
};

static FILES: Section = Section {
    name: "files",
    keys: &[
        keep("guest_path", Shape::Text),
        keep("local_path", Shape::Text),
        keep("secret_name", Shape::Text),
        keep("raw_value", Shape::Text),
        keep("processes", Shape::Texts),
    ],
};

static METRICS: Section = Section {
    name: "metrics",
    keys: &[
        keep("port", Shape::Count),
        keep("path", Shape::Text),
        keep("https", Shape::Truth),
        keep("processes", Shape::Texts),
    ],
};
