//! The rules of `flyctl config validate`, with the place of each violation. Whether a machine of this size exists, or a
//! check without a port has an `http_service` to take it from, is left to the lowering, which knows the groups.

use super::{mounts, report::Report, text};
use crate::manifest::node::{Entry, Node, Place, Table, Value};

/// The process groups that sections may name.
#[derive(Debug)]
pub(super) enum Groups {
    /// `[processes]` is wrong, so nothing can be said about who names what.
    Unknown,
    /// These, and `app` when there are none.
    Named(Vec<String>),
}

impl Groups {
    /// The groups of a patched tree; the patches have taken out what was `declared` but wrong.
    pub(super) fn of(root: &Table, declared: bool) -> Self {
        match root.get("processes").map(|node| &node.value) {
            None if !declared => Self::Named(Vec::new()),
            Some(Value::Table(table)) => {
                Self::Named(table.0.iter().map(|entry| entry.key.clone()).collect())
            }
            _ => Self::Unknown,
        }
    }

    fn have(&self, name: &str) -> bool {
        match self {
            Self::Unknown => true,
            Self::Named(names) if names.is_empty() => name == "app",
            Self::Named(names) => names.iter().any(|group| group == name),
        }
    }

    fn defined(&self) -> bool {
        matches!(self, Self::Named(names) if !names.is_empty())
    }
}

/// Applies the rules to a canonical tree.
pub(super) fn validate(root: &Table, groups: &Groups, report: &mut Report) {
    placeholders(root, report);
    commands(root, report);
    strategy(root, report);
    top_level_checks(root, report);
    services(root, groups, report);
    restart(root, groups, report);
    for mount in items(root, "mounts") {
        mounts::validate(mount, report);
    }
}

/// The tables of a list.
fn items<'a>(table: &'a Table, key: &str) -> Vec<&'a Node> {
    match table.get(key).map(|node| &node.value) {
        Some(Value::Array(items)) => items.iter().collect(),
        _ => Vec::new(),
    }
}

/// The fields of a table at a key.
fn fields<'a>(table: &'a Table, key: &str) -> &'a [Entry] {
    match table.get(key).map(|node| &node.value) {
        Some(Value::Table(Table(entries))) => entries,
        _ => &[],
    }
}

/// A template that was never filled in: flyctl would look for a region of that name.
fn placeholders(root: &Table, report: &mut Report) {
    for key in ["app", "primary_region"] {
        let Some(node) = root.get(key) else { continue };
        if node
            .as_str()
            .is_some_and(|text| text.contains(['{', '$', '<']))
        {
            let message = format!("`{key}` looks like a placeholder of a template");
            report.odd(&node.at, message, "flyctl takes it literally", None);
        }
    }
}

/// What is split into words must split; the other commands have been decoded as such.
fn commands(root: &Table, report: &mut Report) {
    for Entry { key, node, .. } in fields(root, "processes") {
        if node
            .as_str()
            .is_some_and(|text| shell_words::split(text).is_err())
        {
            let message =
                format!("the command of `{key}` in `processes` must have its quotes closed");
            report.wrong(&node.at, message, "a quote is not closed", None);
        }
    }
}

fn strategy(root: &Table, report: &mut Report) {
    let deploy = root.get("deploy").and_then(Node::as_table);
    let Some(strategy) = deploy.and_then(|deploy| deploy.get("strategy")) else {
        return;
    };
    if strategy.as_str() == Some("canary") && !items(root, "mounts").is_empty() {
        let help = "`rolling` works with volumes".to_owned();
        let message = "the strategy `canary` does not work with mounts";
        report.wrong(
            &strategy.at,
            message,
            "a canary would need the volume",
            Some(help),
        );
    }
}

fn top_level_checks(root: &Table, report: &mut Report) {
    for entry in fields(root, "checks") {
        let Value::Table(check) = &entry.node.value else {
            continue;
        };
        let kind = check.get("type");
        if !matches!(kind.and_then(Node::as_str), Some("http" | "tcp")) {
            let at = kind.map_or(&entry.key_at, |kind| &kind.at);
            let message = format!("the check `{}` needs a `type`", entry.key);
            report.wrong(at, message, "neither `http` nor `tcp`", None);
        }
        bound(
            check,
            "interval",
            |seconds| seconds < 2.0,
            "at least 2 seconds",
            report,
        );
        bound(
            check,
            "timeout",
            |seconds| seconds > 60.0,
            "at most 60 seconds",
            report,
        );
    }
}

fn bound(check: &Table, key: &str, outside: impl Fn(f64) -> bool, rule: &str, report: &mut Report) {
    let node = check.get(key);
    if let Some((node, seconds)) =
        node.and_then(|node| Some((node, text::seconds(node.as_str()?)?)))
        && outside(seconds)
    {
        report.wrong(
            &node.at,
            format!("`{key}` in `checks` must be {rule}"),
            "Fly refuses this",
            None,
        );
    }
}

fn services(root: &Table, groups: &Groups, report: &mut Report) {
    if let Some(node) = root.get("http_service")
        && let Value::Table(service) = &node.value
    {
        processes(service, "http_service", &node.at, groups, report);
        clamped(service, "checks", report);
    }
    for node in items(root, "services") {
        let Value::Table(service) = &node.value else {
            continue;
        };
        processes(service, "services", &node.at, groups, report);
        clamped(service, "tcp_checks", report);
        clamped(service, "http_checks", report);
        if service.get("ports").is_none() {
            let help = "add `[[services.ports]]`".to_owned();
            report.odd(
                &node.at,
                "a service has no ports",
                "nothing reaches it",
                Some(help),
            );
        }
    }
}

/// With `[processes]`, a service must say to which group it belongs.
fn processes(service: &Table, section: &str, at: &Place, groups: &Groups, report: &mut Report) {
    if groups.defined() && service.get("processes").is_none() {
        let message = format!("`{section}` must say its `processes`");
        let help = "add `processes = [\"GROUP\"]` with a name of `[processes]`".to_owned();
        report.wrong(at, message, "flyctl does not choose a group", Some(help));
    }
    named(service, section, groups, report);
}

fn named(table: &Table, section: &str, groups: &Groups, report: &mut Report) {
    for name in items(table, "processes") {
        if name.as_str().is_some_and(|name| !groups.have(name)) {
            let message = format!("`{section}` names a process group that does not exist");
            let help = "add it to `[processes]`, or correct the name".to_owned();
            report.wrong(&name.at, message, "no such group", Some(help));
        }
    }
}

/// Fly raises and lowers the times of service checks to between a second and a minute.
fn clamped(service: &Table, checks: &str, report: &mut Report) {
    for check in items(service, checks) {
        for key in ["interval", "timeout", "grace_period"] {
            let Some(node) = check.as_table().and_then(|check| check.get(key)) else {
                continue;
            };
            // Nanoseconds have had their warning.
            let written = node.as_str().filter(|written| !written.ends_with("ns"));
            let Some(seconds) = written.and_then(text::seconds) else {
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
            report.odd(&node.at, message, instead, None);
        }
    }
}

fn restart(root: &Table, groups: &Groups, report: &mut Report) {
    for node in items(root, "restart") {
        let Value::Table(restart) = &node.value else {
            continue;
        };
        named(restart, "restart", groups, report);
        let policy = restart.get("policy");
        let word = policy.and_then(Node::as_str);
        if !matches!(word, Some("always" | "never" | "on-failure")) {
            let at = policy.map_or(&node.at, |policy| &policy.at);
            let help = (word == Some("no")).then(|| "fly.toml says \"never\"".to_owned());
            let message = "`policy` in `restart` must be one of `always`, `never`, `on-failure`";
            report.wrong(at, message, "flyctl refuses this", help);
        }
    }
}
