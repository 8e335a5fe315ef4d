//! The keys of a machine configuration, as Fly's own Go types declare them.
//!
//! Fly decodes a configuration into these types and encodes it again, which is why unknown keys disappear, zero
//! values of plain fields disappear, and zero values of pointer fields stay. One table carries all of that.

/// How a key decodes, and whether its zero value survives.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// A string; gone when empty.
    Text,
    /// A string behind a pointer: the empty one stays.
    MaybeText,
    /// A string, shown even when empty.
    TextAlways,
    /// A string or null, always shown.
    TextOrNull,
    /// One of a few strings; gone when empty.
    Choice(&'static [&'static str]),
    /// A boolean; gone when false.
    Flag,
    /// A boolean behind a pointer: false stays.
    MaybeFlag,
    /// An integer; gone when zero.
    Number,
    /// An integer behind a pointer: zero stays.
    MaybeNumber,
    /// Any number; gone when zero.
    Real,
    /// A duration: a string or integer nanoseconds, shown as a string.
    Time,
    /// A list of strings; gone when empty.
    Texts,
    /// A map from strings to strings; gone when empty.
    TextMap,
    /// `off`, `stop`, `suspend` or a boolean; shown as a boolean except for `suspend`.
    Autostop,
    /// `never`, `restart`, `always` or 0 to 3.
    Persist,
    /// Kept as it is.
    Any,
    /// An object; gone when absent.
    Object(&'static [Field]),
    /// An object, shown even when empty.
    ObjectAlways(&'static [Field]),
    /// A list of objects; gone when empty.
    List(&'static [Field]),
    /// A map from names to objects; gone when empty.
    Map(&'static [Field]),
}

/// A key and its kind.
pub(super) type Field = (&'static str, Kind);

use Kind::{
    Any, Autostop, Choice, Flag, List, Map, MaybeFlag, MaybeNumber, MaybeText, Number, Object,
    ObjectAlways, Persist, Real, Text, TextAlways, TextMap, TextOrNull, Texts, Time,
};

/// `config`.
pub(super) const CONFIG: &[Field] = &[
    ("env", TextMap),
    ("init", ObjectAlways(INIT)),
    ("guest", Object(GUEST)),
    ("metadata", TextMap),
    ("mounts", List(MOUNT)),
    ("services", List(SERVICE)),
    ("metrics", Object(METRICS)),
    ("checks", Map(CHECK)),
    ("statics", List(STATIC)),
    ("image", Text),
    ("files", List(FILE)),
    (
        "schedule",
        Choice(&["hourly", "daily", "weekly", "monthly"]),
    ),
    ("restart", Object(RESTART)),
    ("auto_destroy", Flag),
    ("dns", Object(DNS)),
    ("processes", List(PROCESS)),
    ("containers", List(CONTAINER)),
    ("volumes", Any),
    ("standbys", Texts),
    ("stop_config", Object(STOP)),
    (
        "rootfs",
        Object(&[("persist", Persist), ("size_gb", Number)]),
    ),
    ("cache_drive", Object(&[("size_mb", Number)])),
    ("spot", Object(&[("max_price_fraction", Real)])),
    ("size", Text),
    ("disable_machine_autostart", MaybeFlag),
];

const INIT: &[Field] = &[
    ("exec", Texts),
    ("entrypoint", Texts),
    ("cmd", Texts),
    ("tty", Flag),
    ("swap_size_mb", MaybeNumber),
    ("kernel_args", Texts),
];

const GUEST: &[Field] = &[
    ("cpu_kind", Text),
    ("cpus", Number),
    ("memory_mb", Number),
    ("max_memory_mb", Number),
    ("gpus", Number),
    ("gpu_kind", Text),
    ("host_dedication_id", Text),
    ("kernel_args", Texts),
    ("persist_rootfs", Persist),
];

const MOUNT: &[Field] = &[
    ("encrypted", Flag),
    ("path", Text),
    ("size_gb", Number),
    ("volume", Text),
    ("name", Text),
    ("extend_threshold_percent", Number),
    ("add_size_gb", Number),
    ("size_gb_limit", Number),
];

const SERVICE: &[Field] = &[
    ("protocol", Text),
    ("internal_port", Number),
    ("autostop", Autostop),
    ("autostart", MaybeFlag),
    ("min_machines_running", MaybeNumber),
    ("ports", List(PORT)),
    ("checks", List(SERVICE_CHECK)),
    (
        "concurrency",
        Object(&[
            ("type", Text),
            ("hard_limit", Number),
            ("soft_limit", Number),
        ]),
    ),
    ("force_instance_key", TextOrNull),
    ("force_instance_description", Text),
];

const PORT: &[Field] = &[
    ("port", MaybeNumber),
    ("start_port", MaybeNumber),
    ("end_port", MaybeNumber),
    ("handlers", Texts),
    ("force_https", Flag),
    (
        "tls_options",
        Object(&[
            ("alpn", Texts),
            ("versions", Texts),
            ("default_self_signed", MaybeFlag),
        ]),
    ),
    ("http_options", Object(HTTP)),
    ("proxy_proto_options", Object(&[("version", Text)])),
];

const HTTP: &[Field] = &[
    ("compress", MaybeFlag),
    (
        "response",
        Object(&[("headers", Any), ("pristine", MaybeFlag)]),
    ),
    ("h2_backend", MaybeFlag),
    ("idle_timeout", MaybeNumber),
    ("headers_read_timeout", MaybeNumber),
    ("replay_cache", List(REPLAY)),
];

const REPLAY: &[Field] = &[
    ("path_prefix", TextAlways),
    ("ttl_seconds", Number),
    ("type", Choice(&["cookie", "header"])),
    ("name", Text),
    ("allow_bypass", Flag),
];

const HEADER: &[Field] = &[("name", Text), ("values", Texts)];

const SERVICE_CHECK: &[Field] = &[
    ("port", MaybeNumber),
    ("type", Choice(&["tcp", "http"])),
    ("interval", Time),
    ("timeout", Time),
    ("grace_period", Time),
    ("method", MaybeText),
    ("path", MaybeText),
    ("protocol", MaybeText),
    ("tls_skip_verify", MaybeFlag),
    ("tls_server_name", MaybeText),
    ("headers", List(HEADER)),
];

const CHECK: &[Field] = &[
    ("port", MaybeNumber),
    ("type", Choice(&["tcp", "http"])),
    ("kind", Choice(&["informational", "readiness"])),
    ("interval", Time),
    ("timeout", Time),
    ("grace_period", Time),
    ("method", MaybeText),
    ("path", MaybeText),
    ("protocol", MaybeText),
    ("tls_skip_verify", MaybeFlag),
    ("tls_server_name", MaybeText),
    ("headers", List(HEADER)),
];

const METRICS: &[Field] = &[("port", Number), ("path", Text), ("https", Flag)];

const STATIC: &[Field] = &[
    ("guest_path", TextAlways),
    ("url_prefix", TextAlways),
    ("tigris_bucket", TextAlways),
    ("index_document", TextAlways),
];

const FILE: &[Field] = &[
    ("guest_path", Text),
    ("raw_value", MaybeText),
    ("secret_name", MaybeText),
    ("image_config", Text),
    ("mode", Number),
];

const RESTART: &[Field] = &[
    (
        "policy",
        Choice(&["no", "on-failure", "always", "spot-price"]),
    ),
    ("max_retries", Number),
    ("gpu_bid_price", Real),
];

const DNS: &[Field] = &[
    ("skip_registration", Flag),
    ("nameservers", Texts),
    ("searches", Texts),
    ("options", List(&[("name", Text), ("value", Text)])),
    (
        "dns_forward_rules",
        List(&[("basename", Text), ("addr", Text)]),
    ),
    ("hostname", Text),
    ("hostname_fqdn", Text),
];

const SECRET: &[Field] = &[("env_var", TextAlways), ("name", Text)];
const FIELD_REFS: &[&str] = &["id", "version", "app_name", "private_ip", "region", "image"];
const ENV_FROM: &[Field] = &[("env_var", TextAlways), ("field_ref", Choice(FIELD_REFS))];
const SIGNALS: &[&str] = &[
    "SIGHUP", "SIGINT", "SIGQUIT", "SIGKILL", "SIGUSR1", "SIGUSR2", "SIGTERM",
];
const STOP: &[Field] = &[("timeout", Time), ("signal", Choice(SIGNALS))];

const PROCESS: &[Field] = &[
    ("exec", Texts),
    ("entrypoint", Texts),
    ("cmd", Texts),
    ("user", Text),
    ("env", TextMap),
    ("secrets", List(SECRET)),
    ("ignore_app_secrets", Flag),
    ("env_from", List(ENV_FROM)),
];

const CONTAINER: &[Field] = &[
    ("name", Text),
    ("image", Text),
    ("exec", Texts),
    ("entrypoint", Texts),
    ("cmd", Texts),
    ("user", Text),
    ("env", TextMap),
    ("secrets", List(SECRET)),
    ("env_from", List(ENV_FROM)),
    ("files", List(FILE)),
    ("restart", Object(RESTART)),
    ("stop", Object(STOP)),
    ("depends_on", List(DEPENDS)),
    ("healthchecks", List(HEALTHCHECK)),
    ("mounts", List(&[("name", Text), ("path", Text)])),
];

const DEPENDS: &[Field] = &[
    ("name", Text),
    (
        "condition",
        Choice(&["exited_successfully", "healthy", "started"]),
    ),
];

const HEALTHCHECK: &[Field] = &[
    ("name", Text),
    ("interval", Number),
    ("grace_period", Number),
    ("success_threshold", Number),
    ("failure_threshold", Number),
    ("timeout", Number),
    ("kind", Choice(&["readiness", "liveness"])),
    ("unhealthy", Choice(&["stop"])),
    ("http", Any),
    ("tcp", Object(&[("port", Number)])),
    ("exec", Object(&[("command", Texts)])),
];
