//! The rules of `flyctl config validate`, with the place of each violation. Whether a machine of this size exists, or a
//! check without a port has an `http_service` to take it from, is left to the lowering, which knows the groups.

use super::{diagnostics::FlyTomlDiagnostics, go_format, mounts};
use crate::manifest::syntax::node::{SourceLocation, TomlEntry, TomlNode, TomlTable, TomlValue};

/// The process groups that sections may name.
#[derive(Debug)]
pub(super) enum DeclaredGroups {
    /// `[processes]` is wrong, so nothing can be said about who names what.
    Unknown,
    /// These, and `app` when there are none.
    Named(Vec<String>),
}

impl DeclaredGroups {
    /// The groups of a patched tree; the patches have taken out what was `declared` but wrong.
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

/// Applies the rules to a canonical tree.
pub(super) fn validate(root: &TomlTable, groups: &DeclaredGroups, report: &mut FlyTomlDiagnostics) {
    warn_placeholders(root, report);
    validate_commands(root, report);
    validate_strategy(root, report);
    validate_checks(root, report);
    validate_services(root, groups, report);
    validate_restart(root, groups, report);
    for mount in list_items(root, "mounts") {
        mounts::validate_mount(mount, report);
    }
}

/// The tables of a list.
fn list_items<'a>(table: &'a TomlTable, key: &str) -> Vec<&'a TomlNode> {
    match table.get(key).map(|node| &node.value) {
        Some(TomlValue::Array(items)) => items.iter().collect(),
        _ => Vec::new(),
    }
}

/// The fields of a table at a key.
fn table_entries<'a>(table: &'a TomlTable, key: &str) -> &'a [TomlEntry] {
    match table.get(key).map(|node| &node.value) {
        Some(TomlValue::Table(TomlTable(entries))) => entries,
        _ => &[],
    }
}

/// A template that was never filled in: flyctl would look for a region of that name.
fn warn_placeholders(root: &TomlTable, report: &mut FlyTomlDiagnostics) {
    for key in ["app", "primary_region"] {
        let Some(node) = root.get(key) else { continue };
        if node
            .as_str()
            .is_some_and(|text| text.contains(['{', '$', '<']))
        {
            let message = format!("`{key}` looks like a placeholder of a template");
            report.warn(&node.location, message, "flyctl takes it literally", None);
        }
    }
}

/// What is split into words must split; the other commands have been decoded as such.
fn validate_commands(root: &TomlTable, report: &mut FlyTomlDiagnostics) {
    for TomlEntry { key, node, .. } in table_entries(root, "processes") {
        if node
            .as_str()
            .is_some_and(|text| shell_words::split(text).is_err())
        {
            let message =
                format!("the command of `{key}` in `processes` must have its quotes closed");
            report.error(&node.location, message, "a quote is not closed", None);
        }
    }
}

fn validate_strategy(root: &TomlTable, report: &mut FlyTomlDiagnostics) {
    let deploy = root.get("deploy").and_then(TomlNode::as_table);
    let Some(strategy) = deploy.and_then(|deploy| deploy.get("strategy")) else {
        return;
    };
    if strategy.as_str() == Some("canary") && !list_items(root, "mounts").is_empty() {
        let help = "`rolling` works with volumes".to_owned();
        let message = "the strategy `canary` does not work with mounts";
        report.error(
            &strategy.location,
            message,
            "a canary would need the volume",
            Some(help),
        );
    }
}

fn validate_checks(root: &TomlTable, report: &mut FlyTomlDiagnostics) {
    for entry in table_entries(root, "checks") {
        let TomlValue::Table(check) = &entry.node.value else {
            continue;
        };
        let kind = check.get("type");
        if !matches!(kind.and_then(TomlNode::as_str), Some("http" | "tcp")) {
            let at = kind.map_or(&entry.key_location, |kind| &kind.location);
            let message = format!("the check `{}` needs a `type`", entry.key);
            report.error(at, message, "neither `http` nor `tcp`", None);
        }
        validate_time_bound(
            check,
            "interval",
            |seconds| seconds < 2.0,
            "at least 2 seconds",
            report,
        );
        validate_time_bound(
            check,
            "timeout",
            |seconds| seconds > 60.0,
            "at most 60 seconds",
            report,
        );
    }
}

fn validate_time_bound(
    check: &TomlTable,
    key: &str,
    outside: impl Fn(f64) -> bool,
    rule: &str,
    report: &mut FlyTomlDiagnostics,
) {
    let node = check.get(key);
    if let Some((node, seconds)) =
        node.and_then(|node| Some((node, go_format::parse_duration_secs(node.as_str()?)?)))
        && outside(seconds)
    {
        report.error(
            &node.location,
            format!("`{key}` in `checks` must be {rule}"),
            "Fly refuses this",
            None,
        );
    }
}

fn validate_services(root: &TomlTable, groups: &DeclaredGroups, report: &mut FlyTomlDiagnostics) {
    if let Some(node) = root.get("http_service")
        && let TomlValue::Table(service) = &node.value
    {
        validate_service_processes(service, "http_service", &node.location, groups, report);
        warn_clamped_times(service, "checks", report);
    }
    for node in list_items(root, "services") {
        let TomlValue::Table(service) = &node.value else {
            continue;
        };
        validate_service_processes(service, "services", &node.location, groups, report);
        warn_clamped_times(service, "tcp_checks", report);
        warn_clamped_times(service, "http_checks", report);
        if service.get("ports").is_none() {
            let help = "add `[[services.ports]]`".to_owned();
            report.warn(
                &node.location,
                "a service has no ports",
                "nothing reaches it",
                Some(help),
            );
        }
    }
}

/// With `[processes]`, a service must say to which group it belongs.
fn validate_service_processes(
    service: &TomlTable,
    section: &str,
    at: &SourceLocation,
    groups: &DeclaredGroups,
    report: &mut FlyTomlDiagnostics,
) {
    if groups.has_names() && service.get("processes").is_none() {
        let message = format!("`{section}` must say its `processes`");
        let help = "add `processes = [\"GROUP\"]` with a name of `[processes]`".to_owned();
        report.error(at, message, "flyctl does not choose a group", Some(help));
    }
    validate_group_names(service, section, groups, report);
}

fn validate_group_names(
    table: &TomlTable,
    section: &str,
    groups: &DeclaredGroups,
    report: &mut FlyTomlDiagnostics,
) {
    for name in list_items(table, "processes") {
        if name.as_str().is_some_and(|name| !groups.contains(name)) {
            let message = format!("`{section}` names a process group that does not exist");
            let help = "add it to `[processes]`, or correct the name".to_owned();
            report.error(&name.location, message, "no such group", Some(help));
        }
    }
}

/// Fly raises and lowers the times of service checks to between a second and a minute.
fn warn_clamped_times(service: &TomlTable, checks: &str, report: &mut FlyTomlDiagnostics) {
    for check in list_items(service, checks) {
        for key in ["interval", "timeout", "grace_period"] {
            let Some(node) = check.as_table().and_then(|check| check.get(key)) else {
                continue;
            };
            // Nanoseconds have had their warning.
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
            report.warn(&node.location, message, instead, None);
        }
    }
}

fn validate_restart(root: &TomlTable, groups: &DeclaredGroups, report: &mut FlyTomlDiagnostics) {
    for node in list_items(root, "restart") {
        let TomlValue::Table(restart) = &node.value else {
            continue;
        };
        validate_group_names(restart, "restart", groups, report);
        let policy = restart.get("policy");
        let word = policy.and_then(TomlNode::as_str);
        if !matches!(word, Some("always" | "never" | "on-failure")) {
            let at = policy.map_or(&node.location, |policy| &policy.location);
            let help = (word == Some("no")).then(|| "fly.toml says \"never\"".to_owned());
            let message = "`policy` in `restart` must be one of `always`, `never`, `on-failure`";
            report.error(at, message, "flyctl refuses this", help);
        }
    }
}
