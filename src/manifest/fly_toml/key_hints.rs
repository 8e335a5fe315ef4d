//! What to write instead of keys that people invent: names borrowed from other sections, from the Machines API or from
//! command-line flags, which no distance between words would find.

/// Why no key with "max" helps: the nearest word would be `min_machines_running`, which does the opposite.
const NO_MAX_MACHINES_HELP: &str =
    "the most that can run is as many machines as exist; the manifest says how many";

/// Section, key that flyctl does not know there, and what was probably meant.
const KEY_HINTS: [(&str, &str, &str); 24] = [
    ("", "image", "write it into `[build]` as `image`"),
    ("", "resources", "the size of machines goes into `[[vm]]`"),
    ("", "machines", "the size of machines goes into `[[vm]]`"),
    (
        "",
        "scale",
        "how many machines there are is not part of fly.toml; the manifest says it",
    ),
    (
        "",
        "schedule",
        "fly.toml has no schedules; the manifest says them as `cron`",
    ),
    (
        "",
        "secrets",
        "fly.toml holds no secrets; the manifest says where they come from",
    ),
    ("", "region", "did you mean `primary_region`?"),
    (
        "",
        "regions",
        "fly.toml only has `primary_region`; the manifest says the others",
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

/// What was probably meant by a key that is unknown in a section.
pub(super) fn key_hint(section: &str, key: &str) -> Option<&'static str> {
    let found = KEY_HINTS
        .iter()
        .find(|(place, wrong, _)| *place == section && *wrong == key);
    found.map(|(_, _, help)| *help)
}
