//! Every key that flyctl knows in a fly.toml, with its type: `Config` and the types below it in
//! flyctl's `internal/appconfig` and in `fly-go`, as of flyctl ad0172fa. Keys that old generators
//! wrote and no flyctl reads any more are ignored silently, because a warning for each generated
//! file would teach users to ignore warnings.

use super::schema::{KeySchema, SectionSchema, ValueType, ignore, keep, warn};

const NO_MACHINE_CHECKS: &str =
    "tests of a deployment are flyctl's; trimtab starts no machine for them";
const NO_SCRIPT_CHECKS: &str =
    "Fly runs no scripts as checks any more; use `http_checks` or `tcp_checks`";
const NO_COMPOSE: &str =
    "trimtab reads no compose file; write the containers into `machine_config`";

/// The top level.
pub(super) static ROOT: SectionSchema = SectionSchema {
    name: "",
    keys: &[
        keep("app", ValueType::String),
        keep("primary_region", ValueType::String),
        keep("kill_signal", ValueType::String),
        keep("kill_timeout", ValueType::Duration),
        keep("swap_size_mb", ValueType::Integer),
        ignore("console_command", ValueType::Command),
        keep("experimental", ValueType::Table(&EXPERIMENTAL)),
        keep("build", ValueType::Table(&BUILD)),
        keep("deploy", ValueType::Table(&DEPLOY)),
        keep("env", ValueType::StringMap),
        keep("processes", ValueType::StringMap),
        keep("mounts", ValueType::TableList(&MOUNTS)),
        keep("http_service", ValueType::Table(&HTTP_SERVICE)),
        keep("services", ValueType::TableList(&SERVICES)),
        keep("checks", ValueType::TableMap(&CHECKS)),
        keep("files", ValueType::TableList(&FILES)),
        keep("host_dedication_id", ValueType::String),
        keep("machine_config", ValueType::String),
        keep("container", ValueType::String),
        warn(
            "machine_checks",
            ValueType::TableList(&MACHINE_CHECKS),
            NO_MACHINE_CHECKS,
        ),
        keep("restart", ValueType::TableList(&RESTART)),
        keep("vm", ValueType::TableList(&VM)),
        keep("statics", ValueType::TableList(&STATICS)),
        keep("metrics", ValueType::TableList(&METRICS)),
    ],
};

static EXPERIMENTAL: SectionSchema = SectionSchema {
    name: "experimental",
    keys: &[
        keep("cmd", ValueType::StringList),
        keep("entrypoint", ValueType::StringList),
        keep("exec", ValueType::StringList),
        keep("machine_config", ValueType::String),
        ignore("auto_rollback", ValueType::Boolean),
        ignore("enable_consul", ValueType::Boolean),
        ignore("enable_etcd", ValueType::Boolean),
        ignore("lazy_load_images", ValueType::Boolean),
        ignore("attached", ValueType::Table(&ATTACHED)),
        // The patches have moved these to other sections.
        ignore("kill_timeout", ValueType::Any),
        ignore("metrics_port", ValueType::Any),
        ignore("metrics_path", ValueType::Any),
        // Written by generators when Fly ran on Nomad.
        ignore("allowed_public_ports", ValueType::Any),
        ignore("private_network", ValueType::Any),
    ],
};

static ATTACHED: SectionSchema = SectionSchema {
    name: "experimental.attached",
    keys: &[ignore("secrets", ValueType::Table(&ATTACHED_SECRETS))],
};

static ATTACHED_SECRETS: SectionSchema = SectionSchema {
    name: "experimental.attached.secrets",
    keys: &[ignore("export", ValueType::StringMap)],
};

static BUILD: SectionSchema = SectionSchema {
    name: "build",
    keys: &[
        keep("image", ValueType::String),
        ignore("builder", ValueType::String),
        ignore("args", ValueType::StringMap),
        ignore("buildpacks", ValueType::StringList),
        ignore("settings", ValueType::AnyTable),
        ignore("builtin", ValueType::String),
        ignore("dockerfile", ValueType::String),
        ignore("ignorefile", ValueType::String),
        ignore("build-target", ValueType::String),
        warn("compose", ValueType::Table(&COMPOSE), NO_COMPOSE),
        ignore("compression", ValueType::OneOf(&["gzip", "zstd"])),
        ignore("compression_level", ValueType::IntegerRange(0, 9)),
    ],
};

static COMPOSE: SectionSchema = SectionSchema {
    name: "build.compose",
    keys: &[ignore("file", ValueType::String)],
};

static DEPLOY: SectionSchema = SectionSchema {
    name: "deploy",
    keys: &[
        keep(
            "strategy",
            ValueType::OneOf(&["canary", "rolling", "immediate", "bluegreen"]),
        ),
        keep("max_unavailable", ValueType::Number),
        keep("wait_timeout", ValueType::Duration),
        keep("release_command", ValueType::Command),
        keep("release_command_timeout", ValueType::Duration),
        keep("release_command_vm", ValueType::Table(&RELEASE_VM)),
        keep("seed_command", ValueType::String),
    ],
};

static MOUNTS: SectionSchema = SectionSchema {
    name: "mounts",
    keys: &[
        keep("source", ValueType::String),
        keep("destination", ValueType::String),
        keep("initial_size", ValueType::String),
        keep("snapshot_retention", ValueType::IntegerRange(1, 60)),
        keep("scheduled_snapshots", ValueType::Boolean),
        keep("auto_extend_size_threshold", ValueType::NonZeroInteger),
        keep("auto_extend_size_increment", ValueType::String),
        keep("auto_extend_size_limit", ValueType::String),
        keep("processes", ValueType::StringList),
    ],
};

static HTTP_SERVICE: SectionSchema = SectionSchema {
    name: "http_service",
    keys: &[
        keep("internal_port", ValueType::NonZeroInteger),
        keep("force_https", ValueType::Boolean),
        keep("auto_stop_machines", ValueType::Autostop),
        keep("auto_start_machines", ValueType::Boolean),
        keep("min_machines_running", ValueType::Integer),
        keep("processes", ValueType::StringList),
        keep("concurrency", ValueType::Table(&CONCURRENCY)),
        keep("tls_options", ValueType::Table(&TLS_OPTIONS)),
        keep("http_options", ValueType::Table(&HTTP_OPTIONS)),
        keep("checks", ValueType::TableList(&HTTP_SERVICE_CHECKS)),
        warn(
            "machine_checks",
            ValueType::TableList(&MACHINE_CHECKS),
            NO_MACHINE_CHECKS,
        ),
    ],
};

static SERVICES: SectionSchema = SectionSchema {
    name: "services",
    keys: &[
        keep("protocol", ValueType::String),
        keep("internal_port", ValueType::NonZeroInteger),
        keep("auto_stop_machines", ValueType::Autostop),
        keep("auto_start_machines", ValueType::Boolean),
        keep("min_machines_running", ValueType::Integer),
        keep("ports", ValueType::TableList(&PORTS)),
        keep("concurrency", ValueType::Table(&CONCURRENCY)),
        keep("tcp_checks", ValueType::TableList(&TCP_CHECKS)),
        keep("http_checks", ValueType::TableList(&HTTP_CHECKS)),
        warn(
            "machine_checks",
            ValueType::TableList(&MACHINE_CHECKS),
            NO_MACHINE_CHECKS,
        ),
        keep("processes", ValueType::StringList),
        warn("script_checks", ValueType::Any, NO_SCRIPT_CHECKS),
    ],
};

static PORTS: SectionSchema = SectionSchema {
    name: "services.ports",
    keys: &[
        keep("port", ValueType::Integer),
        keep("start_port", ValueType::Integer),
        keep("end_port", ValueType::Integer),
        keep("handlers", ValueType::StringList),
        keep("force_https", ValueType::Boolean),
        keep("tls_options", ValueType::Table(&TLS_OPTIONS)),
        keep("http_options", ValueType::Table(&HTTP_OPTIONS)),
        keep("proxy_proto_options", ValueType::Table(&PROXY_PROTO)),
    ],
};

static CONCURRENCY: SectionSchema = SectionSchema {
    name: "concurrency",
    keys: &[
        keep("type", ValueType::String),
        keep("soft_limit", ValueType::NonZeroInteger),
        keep("hard_limit", ValueType::NonZeroInteger),
    ],
};

static TLS_OPTIONS: SectionSchema = SectionSchema {
    name: "tls_options",
    keys: &[
        keep("alpn", ValueType::StringList),
        keep("versions", ValueType::StringList),
        keep("default_self_signed", ValueType::Boolean),
    ],
};

static HTTP_OPTIONS: SectionSchema = SectionSchema {
    name: "http_options",
    keys: &[
        keep("compress", ValueType::Boolean),
        keep("response", ValueType::Table(&HTTP_RESPONSE)),
        keep("h2_backend", ValueType::Boolean),
        keep("idle_timeout", ValueType::IntegerRange(0, U32_MAX)),
        keep("headers_read_timeout", ValueType::IntegerRange(0, U32_MAX)),
        keep("replay_cache", ValueType::TableList(&REPLAY_CACHE)),
    ],
};

/// The largest number in flyctl's unsigned 32-bit fields.
const U32_MAX: i64 = 4_294_967_295;

static HTTP_RESPONSE: SectionSchema = SectionSchema {
    name: "http_options.response",
    keys: &[
        keep("headers", ValueType::AnyTable),
        keep("pristine", ValueType::Boolean),
    ],
};

static REPLAY_CACHE: SectionSchema = SectionSchema {
    name: "http_options.replay_cache",
    keys: &[
        keep("path_prefix", ValueType::String),
        keep("ttl_seconds", ValueType::Integer),
        keep("type", ValueType::String),
        keep("name", ValueType::String),
        keep("allow_bypass", ValueType::Boolean),
    ],
};

static PROXY_PROTO: SectionSchema = SectionSchema {
    name: "services.ports.proxy_proto_options",
    keys: &[keep("version", ValueType::String)],
};

static TCP_CHECKS: SectionSchema = SectionSchema {
    name: "services.tcp_checks",
    keys: &[
        keep("interval", ValueType::Duration),
        keep("timeout", ValueType::Duration),
        keep("grace_period", ValueType::Duration),
        ignore("restart_limit", ValueType::Any),
    ],
};

static HTTP_SERVICE_CHECKS: SectionSchema = SectionSchema {
    name: "http_service.checks",
    keys: &HTTP_CHECK_KEYS,
};

static HTTP_CHECKS: SectionSchema = SectionSchema {
    name: "services.http_checks",
    keys: &HTTP_CHECK_KEYS,
};

static HTTP_CHECK_KEYS: [KeySchema; 10] = [
    keep("interval", ValueType::Duration),
    keep("timeout", ValueType::Duration),
    keep("grace_period", ValueType::Duration),
    keep("method", ValueType::String),
    keep("path", ValueType::String),
    keep("protocol", ValueType::String),
    keep("tls_skip_verify", ValueType::Boolean),
    keep("tls_server_name", ValueType::String),
    keep("headers", ValueType::StringMap),
    ignore("restart_limit", ValueType::Any),
];

static CHECKS: SectionSchema = SectionSchema {
    name: "checks",
    keys: &[
        keep("port", ValueType::Integer),
        keep("type", ValueType::String),
        keep("interval", ValueType::Duration),
        keep("timeout", ValueType::Duration),
        keep("grace_period", ValueType::Duration),
        keep("method", ValueType::UppercaseString),
        keep("path", ValueType::String),
        keep("protocol", ValueType::String),
        keep("tls_skip_verify", ValueType::Boolean),
        keep("tls_server_name", ValueType::String),
        keep("headers", ValueType::StringMap),
        keep("processes", ValueType::StringList),
        ignore("restart_limit", ValueType::Any),
    ],
};

static MACHINE_CHECKS: SectionSchema = SectionSchema {
    name: "machine_checks",
    keys: &[
        ignore("command", ValueType::StringList),
        ignore("image", ValueType::String),
        ignore("entrypoint", ValueType::StringList),
        ignore("kill_signal", ValueType::String),
        ignore("kill_timeout", ValueType::Duration),
    ],
};

static VM: SectionSchema = SectionSchema {
    name: "vm",
    keys: &VM_KEYS,
};

static RELEASE_VM: SectionSchema = SectionSchema {
    name: "deploy.release_command_vm",
    keys: &VM_KEYS,
};

static VM_KEYS: [KeySchema; 12] = [
    keep("size", ValueType::String),
    keep("memory", ValueType::String),
    keep("cpu_kind", ValueType::String),
    keep("cpus", ValueType::NonZeroInteger),
    keep("memory_mb", ValueType::NonZeroInteger),
    keep("max_memory_mb", ValueType::NonZeroInteger),
    keep("gpus", ValueType::NonZeroInteger),
    keep("gpu_kind", ValueType::String),
    keep("host_dedication_id", ValueType::String),
    keep("persist_rootfs", ValueType::PersistRootfs),
    keep("kernel_args", ValueType::StringList),
    keep("processes", ValueType::StringList),
];

static RESTART: SectionSchema = SectionSchema {
    name: "restart",
    keys: &[
        keep("policy", ValueType::String),
        keep("retries", ValueType::NonZeroInteger),
        keep("processes", ValueType::StringList),
    ],
};

static STATICS: SectionSchema = SectionSchema {
    name: "statics",
    keys: &[
        keep("guest_path", ValueType::String),
        keep("url_prefix", ValueType::String),
        keep("tigris_bucket", ValueType::String),
        keep("index_document", ValueType::String),
    ],
};

static FILES: SectionSchema = SectionSchema {
    name: "files",
    keys: &[
        keep("guest_path", ValueType::String),
        keep("local_path", ValueType::String),
        keep("secret_name", ValueType::String),
        keep("raw_value", ValueType::String),
        keep("processes", ValueType::StringList),
    ],
};

static METRICS: SectionSchema = SectionSchema {
    name: "metrics",
    keys: &[
        keep("port", ValueType::NonZeroInteger),
        keep("path", ValueType::String),
        keep("https", ValueType::Boolean),
        keep("processes", ValueType::StringList),
    ],
};
