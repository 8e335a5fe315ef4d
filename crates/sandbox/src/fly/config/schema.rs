//! The keys of a machine configuration, as Fly's own Go types declare them.
//!
//! Fly decodes a configuration into these types and encodes it again. Therefore unknown keys
//! disappear, zero values of plain fields disappear, and zero values of pointer fields stay. This
//! table describes all of that.

/// The type of a field, and whether its zero value is kept.
#[derive(Clone, Copy, Debug)]
pub(super) enum FieldType {
    /// A string; omitted when empty.
    Str,
    /// A pointer to a string: the empty string is kept.
    OptionalStr,
    /// A string, included even when empty.
    StrAlways,
    /// A string or null, always included.
    StrOrNull,
    /// One of these strings; omitted when empty.
    Enum(&'static [&'static str]),
    /// A boolean; omitted when false.
    Bool,
    /// A pointer to a boolean: false is kept.
    OptionalBool,
    /// An integer; omitted when zero.
    Integer,
    /// A pointer to an integer: zero is kept.
    OptionalInteger,
    /// Any number; omitted when zero.
    Float,
    /// A duration: a Go duration string or integer nanoseconds, returned as a string.
    Duration,
    /// A list of strings; omitted when empty.
    StrList,
    /// A map from strings to strings; omitted when empty.
    StrMap,
    /// `off`, `stop`, `suspend` or a boolean; returned as a boolean except for `suspend`.
    Autostop,
    /// `never`, `restart`, `always`, or 0 to 3.
    Persist,
    /// Any value, kept unchanged.
    Any,
    /// An object; omitted when absent.
    Object(&'static [FieldSchema]),
    /// An object, included even when empty.
    ObjectAlways(&'static [FieldSchema]),
    /// A list of objects; omitted when empty.
    List(&'static [FieldSchema]),
    /// A map from names to objects; omitted when empty.
    Map(&'static [FieldSchema]),
}

/// A field's key and type.
pub(super) type FieldSchema = (&'static str, FieldType);

use FieldType::{
    Any, Autostop, Bool, Duration, Enum, Float, Integer, List, Map, Object, ObjectAlways,
    OptionalBool, OptionalInteger, OptionalStr, Persist, Str, StrAlways, StrList, StrMap,
    StrOrNull,
};

/// The fields of `config`.
pub(super) const CONFIG: &[FieldSchema] = &[
    ("env", StrMap),
    ("init", ObjectAlways(INIT)),
    ("guest", Object(GUEST)),
    ("metadata", StrMap),
    ("mounts", List(MOUNT)),
    ("services", List(SERVICE)),
    ("metrics", Object(METRICS)),
    ("checks", Map(CHECK)),
    ("statics", List(STATIC)),
    ("image", Str),
    ("files", List(FILE)),
    ("schedule", Enum(&["hourly", "daily", "weekly", "monthly"])),
    ("restart", Object(RESTART)),
    ("auto_destroy", Bool),
    ("dns", Object(DNS)),
    ("processes", List(PROCESS)),
    ("containers", List(CONTAINER)),
    ("volumes", Any),
    ("standbys", StrList),
    ("stop_config", Object(STOP)),
    (
        "rootfs",
        Object(&[("persist", Persist), ("size_gb", Integer)]),
    ),
    ("cache_drive", Object(&[("size_mb", Integer)])),
    ("spot", Object(&[("max_price_fraction", Float)])),
    ("size", Str),
    ("disable_machine_autostart", OptionalBool),
];

const INIT: &[FieldSchema] = &[
    ("exec", StrList),
    ("entrypoint", StrList),
    ("cmd", StrList),
    ("tty", Bool),
    ("swap_size_mb", OptionalInteger),
    ("kernel_args", StrList),
];

const GUEST: &[FieldSchema] = &[
    ("cpu_kind", Str),
    ("cpus", Integer),
    ("memory_mb", Integer),
    ("max_memory_mb", Integer),
    ("gpus", Integer),
    ("gpu_kind", Str),
    ("host_dedication_id", Str),
    ("kernel_args", StrList),
    ("persist_rootfs", Persist),
];

const MOUNT: &[FieldSchema] = &[
    ("encrypted", Bool),
    ("path", Str),
    ("size_gb", Integer),
    ("volume", Str),
    ("name", Str),
    ("extend_threshold_percent", Integer),
    ("add_size_gb", Integer),
    ("size_gb_limit", Integer),
];

const SERVICE: &[FieldSchema] = &[
    ("protocol", Str),
    ("internal_port", Integer),
    ("autostop", Autostop),
    ("autostart", OptionalBool),
    ("min_machines_running", OptionalInteger),
    ("ports", List(PORT)),
    ("checks", List(SERVICE_CHECK)),
    (
        "concurrency",
        Object(&[
            ("type", Str),
            ("hard_limit", Integer),
            ("soft_limit", Integer),
        ]),
    ),
    ("force_instance_key", StrOrNull),
    ("force_instance_description", Str),
];

const PORT: &[FieldSchema] = &[
    ("port", OptionalInteger),
    ("start_port", OptionalInteger),
    ("end_port", OptionalInteger),
    ("handlers", StrList),
    ("force_https", Bool),
    (
        "tls_options",
        Object(&[
            ("alpn", StrList),
            ("versions", StrList),
            ("default_self_signed", OptionalBool),
        ]),
    ),
    ("http_options", Object(HTTP)),
    ("proxy_proto_options", Object(&[("version", Str)])),
];

const HTTP: &[FieldSchema] = &[
    ("compress", OptionalBool),
    (
        "response",
        Object(&[("headers", Any), ("pristine", OptionalBool)]),
    ),
    ("h2_backend", OptionalBool),
    ("idle_timeout", OptionalInteger),
    ("headers_read_timeout", OptionalInteger),
    ("replay_cache", List(REPLAY)),
];

const REPLAY: &[FieldSchema] = &[
    ("path_prefix", StrAlways),
    ("ttl_seconds", Integer),
    ("type", Enum(&["cookie", "header"])),
    ("name", Str),
    ("allow_bypass", Bool),
];

const HEADER: &[FieldSchema] = &[("name", Str), ("values", StrList)];

const SERVICE_CHECK: &[FieldSchema] = &[
    ("port", OptionalInteger),
    ("type", Enum(&["tcp", "http"])),
    ("interval", Duration),
    ("timeout", Duration),
    ("grace_period", Duration),
    ("method", OptionalStr),
    ("path", OptionalStr),
    ("protocol", OptionalStr),
    ("tls_skip_verify", OptionalBool),
    ("tls_server_name", OptionalStr),
    ("headers", List(HEADER)),
];

const CHECK: &[FieldSchema] = &[
    ("port", OptionalInteger),
    ("type", Enum(&["tcp", "http"])),
    ("kind", Enum(&["informational", "readiness"])),
    ("interval", Duration),
    ("timeout", Duration),
    ("grace_period", Duration),
    ("method", OptionalStr),
    ("path", OptionalStr),
    ("protocol", OptionalStr),
    ("tls_skip_verify", OptionalBool),
    ("tls_server_name", OptionalStr),
    ("headers", List(HEADER)),
];

const METRICS: &[FieldSchema] = &[("port", Integer), ("path", Str), ("https", Bool)];

const STATIC: &[FieldSchema] = &[
    ("guest_path", StrAlways),
    ("url_prefix", StrAlways),
    ("tigris_bucket", StrAlways),
    ("index_document", StrAlways),
];

const FILE: &[FieldSchema] = &[
    ("guest_path", Str),
    ("raw_value", OptionalStr),
    ("secret_name", OptionalStr),
    ("image_config", Str),
    ("mode", Integer),
];

const RESTART: &[FieldSchema] = &[
    (
        "policy",
        Enum(&["no", "on-failure", "always", "spot-price"]),
    ),
    ("max_retries", Integer),
    ("gpu_bid_price", Float),
];

const DNS: &[FieldSchema] = &[
    ("skip_registration", Bool),
    ("nameservers", StrList),
    ("searches", StrList),
    ("options", List(&[("name", Str), ("value", Str)])),
    (
        "dns_forward_rules",
        List(&[("basename", Str), ("addr", Str)]),
    ),
    ("hostname", Str),
    ("hostname_fqdn", Str),
];

const SECRET: &[FieldSchema] = &[("env_var", StrAlways), ("name", Str)];
const FIELD_REFS: &[&str] = &["id", "version", "app_name", "private_ip", "region", "image"];
const ENV_FROM: &[FieldSchema] = &[("env_var", StrAlways), ("field_ref", Enum(FIELD_REFS))];
const SIGNALS: &[&str] = &[
    "SIGHUP", "SIGINT", "SIGQUIT", "SIGKILL", "SIGUSR1", "SIGUSR2", "SIGTERM",
];
const STOP: &[FieldSchema] = &[("timeout", Duration), ("signal", Enum(SIGNALS))];

const PROCESS: &[FieldSchema] = &[
    ("exec", StrList),
    ("entrypoint", StrList),
    ("cmd", StrList),
    ("user", Str),
    ("env", StrMap),
    ("secrets", List(SECRET)),
    ("ignore_app_secrets", Bool),
    ("env_from", List(ENV_FROM)),
];

const CONTAINER: &[FieldSchema] = &[
    ("name", Str),
    ("image", Str),
    ("exec", StrList),
    ("entrypoint", StrList),
    ("cmd", StrList),
    ("user", Str),
    ("env", StrMap),
    ("secrets", List(SECRET)),
    ("env_from", List(ENV_FROM)),
    ("files", List(FILE)),
    ("restart", Object(RESTART)),
    ("stop", Object(STOP)),
    ("depends_on", List(DEPENDS)),
    ("healthchecks", List(HEALTHCHECK)),
    ("mounts", List(&[("name", Str), ("path", Str)])),
];

const DEPENDS: &[FieldSchema] = &[
    ("name", Str),
    (
        "condition",
        Enum(&["exited_successfully", "healthy", "started"]),
    ),
];

const HEALTHCHECK: &[FieldSchema] = &[
    ("name", Str),
    ("interval", Integer),
    ("grace_period", Integer),
    ("success_threshold", Integer),
    ("failure_threshold", Integer),
    ("timeout", Integer),
    ("kind", Enum(&["readiness", "liveness"])),
    ("unhealthy", Enum(&["stop"])),
    ("http", Any),
    ("tcp", Object(&[("port", Integer)])),
    ("exec", Object(&[("command", StrList)])),
];
