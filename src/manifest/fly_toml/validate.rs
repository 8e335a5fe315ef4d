//! The rules of `flyctl config validate`, with the location of each violation. Whether a machine of
//! some size exists, or whether a check without a port can take that of an `http_service`, is
//! checked in lowering, which knows the groups.

use super::{diagnostics::FlyTomlDiagnostics, go_format, mounts};
use crate::manifest::syntax::node::{SourceLocation, TomlEntry, TomlNode, TomlTable, TomlValue};

/// The process groups that sections may name.
#[derive(Debug)]
pub(super) enum DeclaredGroups {
    /// `[processes]` is invalid, so references to groups cannot be checked.
    Unknown,
    /// The declared groups; none declared means the implicit group `app`.
    Named(Vec<String>),
}

impl DeclaredGroups {
    /// Reads the groups of a patched tree. The patches have removed `processes` when it was
    /// `declared` but invalid.
    pub(super) fn from_root(root: &TomlTable, declared: bool) -> Self {
        match root.get("processes").map(|node| &node.value) {
            None if !declared => Self::Named(Vec::new()),
            Some(TomlValue::Table(table)) => {
                Self::Named(table.0.iter().map(|entry| entry.key.clone()).collect())
            }
            _ => Self::Unknown,
        }
    }

    fn contains(&self, name: &str) -> bool {
        match self {
            Self::Unknown => true,
            Self::Named(names) if names.is_empty() => name == "app",
            Self::Named(names) => names.iter().any(|group| group == name),
        }
    }

    fn has_names(&self) -> bool {
        matches!(self, Self::Named(names) if !names.is_empty())
    }
}

/// Validates a canonical tree.
pub(super) fn validate(
    root: &TomlTable,
    groups: &DeclaredGroups,
    diagnostics: &mut FlyTomlDiagnostics,
) {
    warn_placeholders(root, diagnostics);
    validate_commands(root, diagnostics);
    validate_strategy(root, diagnostics);
    validate_checks(root, diagnostics);
    validate_services(root, groups, diagnostics);
    validate_restart(root, groups, diagnostics);
    for mount in list_items(root, "mounts") {
        mounts::validate_mount(mount, diagnostics);
    }
}

/// The items of a list.
fn list_items<'a>(table: &'a TomlTable, key: &str) -> Vec<&'a TomlNode> {
    match table.get(key).map(|node| &node.value) {
        Some(TomlValue::Array(items)) => items.iter().collect(),
        _ => Vec::new(),
    }
}

/// The entries of a table at a key.
fn table_entries<'a>(table: &'a TomlTable, key: &str) -> &'a [TomlEntry] {
    match table.get(key).map(|node| &node.value) {
        Some(TomlValue::Table(TomlTable(entries))) => entries,
        _ => &[],
    }
}

/// Warns of templates that were never filled in: flyctl would look for a region of that name.
fn warn_placeholders(root: &TomlTable, diagnostics: &mut FlyTomlDiagnostics) {
    for key in ["app", "primary_region"] {
        let Some(node) = root.get(key) else { continue };
        if node
            .as_str()
            .is_some_and(|text| text.contains(['{', '$', '<']))
        {
            let message = format!("`{key}` looks like a placeholder of a template");
            diagnostics.warn(&node.location, message, "flyctl takes it literally", None);
        }
    }
}

/// Commands in `processes` must be valid shell syntax; other commands are checked in decoding.
fn validate_commands(root: &TomlTable, diagnostics: &mut FlyTomlDiagnostics) {
    for TomlEntry { key, node, .. } in table_entries(root, "processes") {
        if node
            .as_str()
            .is_some_and(|text| shell_words::split(text).is_err())
        {
            let message =
                format!("the command of `{key}` in `processes` must have its quotes closed");
            diagnostics.error(&node.location, message, "a quote is not closed", None);
        }
    }
}

fn validate_strategy(root: &TomlTable, diagnostics: &mut FlyTomlDiagnostics) {
    let deploy = root.get("deploy").and_then(TomlNode::as_table);
    let Some(strategy) = deploy.and_then(|deploy| deploy.get("strategy")) else {
        return;
    };
    if strategy.as_str() == Some("canary") && !list_items(root, "mounts").is_empty() {
        let help = "`rolling` works with volumes".to_owned();
        let message = "the strategy `canary` does not work with mounts";
        diagnostics.error(
            &strategy.location,
            message,
            "a canary would need the volume",
            Some(help),
        );
    }
}

fn validate_checks(root: &TomlTable, diagnostics: &mut FlyTomlDiagnostics) {
    for entry in table_entries(root, "checks") {
        let TomlValue::Table(check) = &entry.node.value else {
            continue;
        };
        let kind = check.get("type");
        if !matches!(kind.and_then(TomlNode::as_str), Some("http" | "tcp")) {
            let location = kind.map_or(&entry.key_location, |kind| &kind.location);
            let message = format!("the check `{}` needs a `type`", entry.key);
            diagnostics.error(location, message, "neither `http` nor `tcp`", None);
        }
        validate_time_bound(
            check,
            "interval",
            |seconds| seconds < 2.0,
            "at least 2 seconds",
            diagnostics,
        );
        validate_time_bound(
            check,
            "timeout",
            |seconds| seconds > 60.0,
            "at most 60 seconds",
            diagnostics,
        );
    }
}

fn validate_time_bound(
    check: &TomlTable,
    key: &str,
    outside: impl Fn(f64) -> bool,
    rule: &str,
    diagnostics: &mut FlyTomlDiagnostics,
) {
    let node = check.get(key);
    if let Some((node, seconds)) =
        node.and_then(|node| Some((node, go_format::parse_duration_secs(node.as_str()?)?)))
        && outside(seconds)
    {
        diagnostics.error(
            &node.location,
            format!("`{key}` in `checks` must be {rule}"),
            "Fly refuses this",
            None,
        );
    }
}

fn validate_services(
    root: &TomlTable,
    groups: &DeclaredGroups,
    diagnostics: &mut FlyTomlDiagnostics,
) {
    if let Some(node) = root.get("http_service")
        && let TomlValue::Table(service) = &node.value
    {
        validate_service_processes(service, "http_service", &node.location, groups, diagnostics);
        warn_clamped_times(service, "checks", diagnostics);
    }
    for node in list_items(root, "services") {
        let TomlValue::Table(service) = &node.value else {
            continue;
        };
        validate_service_processes(service, "services", &node.location, groups, diagnostics);
        warn_clamped_times(service, "tcp_checks", diagnostics);
        warn_clamped_times(service, "http_checks", diagnostics);
        if service.get("ports").is_none() {
            let help = "add `[[services.ports]]`".to_owned();
            diagnostics.warn(
                &node.location,
                "a service has no ports",
                "nothing reaches it",
                Some(help),
            );
        }
    }
}

/// With `[processes]` a service must name its groups.
fn validate_service_processes(
    service: &TomlTable,
    section: &str,
    location: &SourceLocation,
    groups: &DeclaredGroups,
    diagnostics: &mut FlyTomlDiagnostics,
) {
    if groups.has_names() && service.get("processes").is_none() {
        let message = format!("`{section}` must set `processes`");
        let help = "add `processes = [\"GROUP\"]` with a name of `[processes]`".to_owned();
        diagnostics.error(
            location,
            message,
            "flyctl does not choose a group",
            Some(help),
        );
    }
    validate_group_names(service, section, groups, diagnostics);
}

fn validate_group_names(
    table: &TomlTable,
    section: &str,
    groups: &DeclaredGroups,
    diagnostics: &mut FlyTomlDiagnostics,
) {
    for name in list_items(table, "processes") {
        if name.as_str().is_some_and(|name| !groups.contains(name)) {
            let message = format!("`{section}` names a process group that does not exist");
            let help = "add it to `[processes]`, or correct the name".to_owned();
            diagnostics.error(&name.location, message, "no such group", Some(help));
        }
    }
}

/// Fly silently clamps the times of service checks to between 1 second and 1 minute.
fn warn_clamped_times(service: &TomlTable, checks: &str, diagnostics: &mut FlyTomlDiagnostics) {
    for check in list_items(service, checks) {
        for key in ["interval", "timeout", "grace_period"] {
            let Some(node) = check.as_table().and_then(|check| check.get(key)) else {
                continue;
            };
            // Bare nanoseconds already had their own warning.
            let written = node.as_str().filter(|written| !written.ends_with("ns"));
            let Some(seconds) = written.and_then(go_format::parse_duration_secs) else {
                continue;
            };
            let none = key == "grace_period" && seconds == 0.0;
            let instead = match seconds {
                seconds if seconds > 60.0 => "Fly lowers it to 1 minute",
                seconds if seconds < 1.0 && !none => "Fly raises it to 1 second",
                _ => continue,
            };
            let message =
                format!("`{key}` of a service's check is outside of 1 second to 1 minute");
            diagnostics.warn(&node.location, message, instead, None);
        }
    }
}

fn validate_restart(
    root: &TomlTable,
    groups: &DeclaredGroups,
    diagnostics: &mut FlyTomlDiagnostics,
) {
    for node in list_items(root, "restart") {
        let TomlValue::Table(restart) = &node.value else {
            continue;
        };
        validate_group_names(restart, "restart", groups, diagnostics);
        let policy = restart.get("policy");
        let word = policy.and_then(TomlNode::as_str);
        if !matches!(word, Some("always" | "never" | "on-failure")) {
            let location = policy.map_or(&node.location, |policy| &policy.location);
            let help = (word == Some("no")).then(|| "fly.toml says \"never\"".to_owned());
            let message = "`policy` in `restart` must be one of `always`, `never`, `on-failure`";
            diagnostics.error(location, message, "flyctl refuses this", help);
        }
    }
}
