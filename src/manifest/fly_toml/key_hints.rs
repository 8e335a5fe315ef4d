//! Hints for invented keys: names borrowed from other sections, from the Machines API or from
//! command-line flags, which are too far from the right key to be found by edit distance.

/// A key with "max" gets this instead of the nearest key, `min_machines_running`, which does the
/// opposite.
const NO_MAX_MACHINES_HELP: &str =
    "no more machines run than exist; set their number in the manifest";

/// Section, key that flyctl does not know there, and the hint.
const KEY_HINTS: [(&str, &str, &str); 24] = [
    ("", "image", "write it into `[build]` as `image`"),
    ("", "resources", "set the size of machines in `[[vm]]`"),
    ("", "machines", "set the size of machines in `[[vm]]`"),
    (
        "",
        "scale",
        "the number of machines is not part of fly.toml; set it in the manifest",
    ),
    (
        "",
        "schedule",
        "fly.toml has no schedules; use `cron` in the manifest",
    ),
    (
        "",
        "secrets",
        "fly.toml has no secrets; set their sources in the manifest",
    ),
    ("", "region", "did you mean `primary_region`?"),
    (
        "",
        "regions",
        "fly.toml only has `primary_region`; set the others in the manifest",
    ),
    ("", "volumes", "did you mean `[[mounts]]`?"),
    ("processes", "cmd", "did you mean `command`?"),
    (
        "vm",
        "swap_size_mb",
        "write it at the top of the file, outside of `[[vm]]`",
    ),
    ("restart", "max_retries", "did you mean `retries`?"),
    (
        "services",
        "checks",
        "did you mean `http_checks` or `tcp_checks`?",
    ),
    ("services", "healthcheck", "did you mean `http_checks`?"),
    (
        "services",
        "force_https",
        "write it into `[[services.ports]]`",
    ),
    (
        "services",
        "handlers",
        "write them into `[[services.ports]]`",
    ),
    ("http_service", "max_machines_running", NO_MAX_MACHINES_HELP),
    (
        "http_service",
        "max_machines_per_region",
        NO_MAX_MACHINES_HELP,
    ),
    ("services", "max_machines_running", NO_MAX_MACHINES_HELP),
    (
        "http_service",
        "compression",
        "did you mean `http_options = { compress = true }`?",
    ),
    ("http_service", "http_checks", "did you mean `checks`?"),
    (
        "http_service",
        "tcp_checks",
        "an `http_service` only has `checks`; tcp checks need `[[services]]`",
    ),
    (
        "http_service",
        "ports",
        "an `http_service` always has ports 80 and 443; others need `[[services]]`",
    ),
    (
        "http_service",
        "protocol",
        "an `http_service` is always tcp; udp needs `[[services]]`",
    ),
];

/// The hint for a key that is unknown in a section.
pub(super) fn key_hint(section: &str, key: &str) -> Option<&'static str> {
    let actual = KEY_HINTS
        .iter()
        .find(|(hint_section, hint_key, _)| *hint_section == section && *hint_key == key);
    actual.map(|(_, _, help)| *help)
}
