//! The wording of validation errors: types and values in words, and help on what to write instead.

use serde_json::Value as Json;

use crate::{
    manifest::syntax::{
        node::{TomlNode, TomlValue},
        suggest,
    },
    model::RETIRED_REGIONS,
};

/// Help for keys that are written in another place, or under another name: those of fly.toml's other
/// sections, of flyctl's options, of Terraform and of Kubernetes. Edit distance would suggest a word
/// that looks alike and means something else.
pub(super) fn misplaced_key_help(path: &str, key: &str) -> Option<String> {
    let place = place_of(path);
    let own = KEY_SYNONYMS
        .iter()
        .find(|(within, keys, _)| *within == place && keys.contains(&key));
    let anywhere = || {
        KEY_SYNONYMS
            .iter()
            .find(|(within, keys, _)| *within == "*" && keys.contains(&key))
    };
    own.or_else(anywhere).map(|(_, _, help)| (*help).to_owned())
}

/// The sort of table at a path: empty for the top level, `app`, or the name of the section.
fn place_of(path: &str) -> &str {
    let parts: Vec<&str> = path.split('.').collect();
    match parts.as_slice() {
        ["apps", _] => "app",
        ["apps", _, section @ ("machines" | "cron"), _] => section,
        _ => parts
            .last()
            .and_then(|last| last.split('[').next())
            .unwrap_or_default(),
    }
}

/// Where a key is written (see [`place_of`], or `*` for anywhere), other words for it, and the help.
const KEY_SYNONYMS: [(&str, &[&str], &str); 36] = [
    (
        "",
        &["app", "application", "applications"],
        "did you mean `apps`? Each app is a table: [apps.KEY]",
    ),
    (
        "",
        &["variable", "variables", "locals", "var"],
        "did you mean `vars`?",
    ),
    (
        "",
        &["environment", "env_name"],
        "the environment's name is `name`, or else the name of the file",
    ),
    (
        "",
        &[
            "env",
            "secrets",
            "http_service",
            "services",
            "processes",
            "vm",
            "mounts",
            "machines",
            "image",
            "primary_region",
        ],
        "it belongs to an app: write it into [apps.KEY]",
    ),
    (
        "",
        &["token", "access_token"],
        "the token's variable is `token = { env = \"…\" }` in [fly]",
    ),
    ("", &["account"], "it belongs into [aws]"),
    (
        "github",
        &["on", "push", "trigger", "triggers"],
        "what starts a deployment is `branches`, `tags` or `dispatch`",
    ),
    (
        "github",
        &["workflow_dispatch", "manual"],
        "did you mean `dispatch`?",
    ),
    (
        "github",
        &["cancel-in-progress", "cancel_in_progress"],
        "did you mean `concurrency = \"cancel\"`?",
    ),
    ("github", &["steps"], "did you mean `setup`?"),
    ("github", &["runs-on", "runs_on"], "did you mean `runner`?"),
    (
        "workflows",
        &["runs-on", "runs_on"],
        "did you mean `runner`?",
    ),
    (
        "workflows",
        &["schedule", "cron"],
        "did you mean `drift`? It takes a schedule in cron's format",
    ),
    ("workflows", &["ci", "tests"], "did you mean `test`?"),
    (
        "fly",
        &["access_token", "api_token"],
        "the token's variable is `token = { env = \"…\" }`",
    ),
    (
        "app",
        &["app", "app_name"],
        "the app's name on Fly is `name`",
    ),
    (
        "app",
        &["volume", "volumes", "disk", "disks"],
        "did you mean `mounts`?",
    ),
    (
        "app",
        &[
            "domain",
            "domains",
            "host",
            "hostname",
            "hostnames",
            "certs",
            "certificate",
        ],
        "did you mean `certificates`?",
    ),
    (
        "app",
        &["environment", "environment_variables", "envs"],
        "did you mean `env`?",
    ),
    (
        "app",
        &["health_check", "health_checks", "healthcheck", "check"],
        "write `checks` into `http_service` or a service, or `[apps.KEY.checks.NAME]`",
    ),
    (
        "app",
        &[
            "port",
            "ports",
            "internal_port",
            "force_https",
            "min_machines_running",
            "auto_stop_machines",
            "auto_start_machines",
            "concurrency",
        ],
        "it belongs to a service: write it into `http_service` or `services`",
    ),
    (
        "app",
        &[
            "cpu",
            "cpus",
            "cpu_kind",
            "memory",
            "memory_mb",
            "size",
            "guest",
            "resources",
        ],
        "write it into `vm`, or into [apps.KEY.machines.GROUP]",
    ),
    (
        "app",
        &["command", "cmd", "entrypoint"],
        "the command of a process group is `processes = { app = \"…\" }`",
    ),
    (
        "app",
        &[
            "strategy",
            "release_command",
            "max_unavailable",
            "wait_timeout",
            "verify",
            "on_failure",
        ],
        "write it into `deploy`",
    ),
    (
        "app",
        &["schedule", "schedules", "jobs"],
        "a machine on a schedule is [apps.KEY.cron.NAME]",
    ),
    (
        "app",
        &["prevent_destroy", "deletion_protection", "lifecycle"],
        "did you mean `protected`?",
    ),
    (
        "app",
        &["ip", "ip_addresses", "addresses"],
        "did you mean `ips`?",
    ),
    (
        "http_service",
        &["port", "target_port", "container_port"],
        "the port that the app listens on is `internal_port`",
    ),
    (
        "services",
        &["port", "handlers"],
        "write it into `ports`; the port that the app listens on is `internal_port`",
    ),
    (
        "http_service",
        &[
            "health_check",
            "health_checks",
            "healthcheck",
            "http_checks",
            "check",
        ],
        "did you mean `checks`?",
    ),
    (
        "services",
        &["health_check", "health_checks", "healthcheck", "checks"],
        "did you mean `http_checks` or `tcp_checks`?",
    ),
    (
        "*",
        &["app"],
        "the app's name on Fly is `name` in [apps.KEY]",
    ),
    (
        "*",
        &["build"],
        "an app says how it is built in [apps.KEY.build]",
    ),
    (
        "*",
        &["scale", "replicas", "instances"],
        "set `count` in [apps.KEY.machines.GROUP]",
    ),
    (
        "*",
        &["organization", "org"],
        "the organization is `org` in [fly]",
    ),
    (
        "*",
        &["region", "regions"],
        "set `primary_region`, or `count = { ewr = 1 }` in [apps.KEY.machines.GROUP]",
    ),
];

pub(super) const NO_GPU_HELP: &str = "choose CPUs and memory, such as `performance-8x`";

/// GPU presets that flyctl still knows.
const GPU_PRESETS: [&str; 4] = ["a10", "a100-40gb", "a100-80gb", "l40s"];

/// The message and help for an unknown value. Cron expressions get a message of their own.
pub(super) fn describe_unknown_value(text: &str, known: &[&str]) -> (String, Option<String>) {
    if known.contains(&"hourly") {
        let cron = text.split_whitespace().count() >= 5 || text.starts_with('@');
        let help =
            "Fly knows `hourly`, `daily`, `weekly` and `monthly`, and picks the minute itself";
        let message = if cron {
            format!("`{text}` is a cron expression, which Fly does not take")
        } else {
            format!("`{text}` is not a schedule")
        };
        return (message, Some(help.to_owned()));
    }
    let retired = RETIRED_REGIONS.iter().find(|(code, _, _)| *code == text);
    if let Some((code, city, nearest)) = retired.filter(|_| known.contains(&"ewr")) {
        return (
            format!("`{code}` ({city}) is no longer a region of Fly"),
            Some(format!("the nearest one is `{nearest}`")),
        );
    }
    if known.contains(&"ewr") {
        return (
            format!("`{text}` is not a region of Fly"),
            suggest::did_you_mean(text, known.iter().copied()),
        );
    }
    if known.contains(&"shared-cpu-1x") && GPU_PRESETS.contains(&text) {
        return (
            format!("`{text}` has a GPU, and Fly offers no GPUs any more"),
            Some(NO_GPU_HELP.to_owned()),
        );
    }
    (
        format!("`{text}` is not one of the values allowed here"),
        suggest::did_you_mean(text, known.iter().copied()),
    )
}

pub(super) fn type_help(
    schemas: &[&Json],
    expected: &[&str],
    node: &TomlNode,
    path: &str,
) -> Option<String> {
    let property = schemas
        .iter()
        .find_map(|schema| schema.get("description"))
        .and_then(Json::as_str);
    if property.is_some_and(|property| property.contains("with a unit"))
        && matches!(node.value, TomlValue::Integer(_))
    {
        return Some("write it with its unit, such as \"15s\" or \"500ms\"".to_owned());
    }
    if let Some((_, name)) = path.split_once(".secrets.")
        && !name.contains('.')
    {
        return Some(format!(
            "a manifest never contains secret values; set {name} = {{ env = \"{name}\" }}"
        ));
    }
    if expected == ["a list"] {
        return Some(match node.value {
            TomlValue::Table(_) => format!("write double brackets: [[{path}]]"),
            _ => "put it in brackets: [ … ]".to_owned(),
        });
    }
    let place = path.rsplit_once('.');
    if let (["a table"], Some((within, key))) = (expected, place) {
        if within.ends_with(".machines") || within.ends_with(".cron") {
            return Some(format!(
                "each of them is a table with a name: write [{within}.NAME], with `{key}` in it"
            ));
        }
        if key == "trust" || within.ends_with(".policies") {
            return Some(format!(
                "write the document itself, as a table: [{path}] with `Version` and `Statement`"
            ));
        }
    }
    quote_help(expected, &node.value)
}

/// Joins alternatives: "a text, a list or a table".
pub(super) fn join_with_or(words: &[&str]) -> String {
    match words {
        [] => "something else".to_owned(),
        [only] => (*only).to_owned(),
        [rest @ .., last] => format!("{} or {last}", rest.join(", ")),
    }
}

fn quote_help(expected: &[&str], value: &TomlValue) -> Option<String> {
    match value {
        TomlValue::Integer(number) if expected.contains(&"a string") => {
            Some(format!("put it in quotes: \"{number}\""))
        }
        TomlValue::Boolean(boolean) if expected.contains(&"a string") => {
            Some(format!("put it in quotes: \"{boolean}\""))
        }
        TomlValue::String(text)
            if expected == ["true or false"] && matches!(text.as_str(), "true" | "false") =>
        {
            Some(format!("leave the quotes out: {text}"))
        }
        TomlValue::String(text) if expected == ["an integer"] && text.parse::<i64>().is_ok() => {
            Some(format!("leave the quotes out: {text}"))
        }
        _ => None,
    }
}

pub(super) fn list_enum_values(words: &Json) -> String {
    let words: Vec<&str> = words
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Json::as_str)
        .collect();
    suggest::join_quoted(words).unwrap_or_default()
}

pub(super) fn has_type(name: &str, value: &TomlValue) -> bool {
    match value {
        TomlValue::String(_) => name == "string",
        TomlValue::Integer(_) => name == "integer" || name == "number",
        // JSON has no other numbers.
        TomlValue::Float(number) => name == "number" && number.is_finite(),
        TomlValue::Boolean(_) => name == "boolean",
        TomlValue::Array(_) => name == "array",
        TomlValue::Table(_) => name == "object",
        TomlValue::Datetime(_) | TomlValue::OutOfRange(_) => false,
    }
}

pub(super) fn type_names(schema: &Json) -> Vec<&'static str> {
    let word = |name: &str| match name {
        "string" => "a string",
        "integer" => "an integer",
        "number" => "a number",
        "boolean" => "true or false",
        "array" => "a list",
        _ => "a table",
    };
    match schema.get("type") {
        Some(Json::String(name)) => vec![word(name)],
        Some(Json::Array(names)) => names.iter().filter_map(Json::as_str).map(word).collect(),
        _ => Vec::new(),
    }
}

pub(super) fn describe_type(value: &TomlValue) -> &'static str {
    match value {
        TomlValue::String(_) => "a string",
        TomlValue::Integer(_) => "an integer",
        TomlValue::Float(number) if number.is_finite() => "a number",
        TomlValue::Float(_) => "no finite number",
        TomlValue::Boolean(_) => "true or false",
        TomlValue::OutOfRange(_) => "a number that is out of range",
        TomlValue::Datetime(_) => "a date",
        TomlValue::Array(_) => "a list",
        TomlValue::Table(_) => "a table",
    }
}

pub(super) fn display_path(path: &str) -> String {
    if path.is_empty() {
        "a manifest".to_owned()
    } else {
        format!("`{path}`")
    }
}

pub(super) fn join_path(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

pub(super) fn lowercase_first_sentence(text: &str) -> String {
    let sentence = text
        .split_once(". ")
        .map_or(text, |(first, _)| first)
        .trim_end_matches('.');
    let mut letters = sentence.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_lowercase().chain(letters).collect()
    })
}
