//! Rewrites old spellings of `env`, `processes`, `experimental` and `build`.

use super::{replace_value, set_entry};
use crate::manifest::{
    fly_toml::{diagnostics::FlyTomlDiagnostics, go_format, key_hints},
    syntax::node::{TomlEntry, TomlNode, TomlTable, TomlValue},
};

/// Merges `[[env]]` into one table, and converts every value to the string that Go prints for it.
pub(super) fn patch_env(node: TomlNode, diagnostics: &mut FlyTomlDiagnostics) -> Option<TomlNode> {
    let location = node.location.clone();
    let mut merged = TomlTable::default();
    collect_env(node, &mut merged, diagnostics);
    Some(TomlNode {
        location,
        value: TomlValue::Table(merged),
    })
}

fn collect_env(node: TomlNode, merged: &mut TomlTable, diagnostics: &mut FlyTomlDiagnostics) {
    match node.value {
        TomlValue::Array(items) => items
            .into_iter()
            .for_each(|item| collect_env(item, merged, diagnostics)),
        TomlValue::Table(TomlTable(entries)) => {
            entries
                .into_iter()
                .for_each(|entry| set_entry(merged, env_entry(entry, diagnostics)));
        }
        other => diagnostics.error(
            &node.location,
            "`env` must be a table",
            go_format::describe_type(&other),
            None,
        ),
    }
}

fn env_entry(entry: TomlEntry, diagnostics: &mut FlyTomlDiagnostics) -> TomlEntry {
    let printed = go_format::format_value(&entry.node.value);
    if matches!(entry.node.value, TomlValue::Table(_) | TomlValue::Array(_)) {
        diagnostics.warn(
            &entry.node.location,
            format!("the variable `{}` becomes the text `{printed}`", entry.key),
            go_format::describe_type(&entry.node.value),
            Some("a variable is one text; secrets are not named in fly.toml".to_owned()),
        );
    }
    let node = go_format::string_node(&entry.node.location, printed);
    TomlEntry { node, ..entry }
}

/// Converts `[[processes]]` with names and commands to a table from name to command.
pub(super) fn patch_processes(
    node: TomlNode,
    diagnostics: &mut FlyTomlDiagnostics,
) -> Option<TomlNode> {
    match node.value {
        TomlValue::Table(_) => Some(node),
        TomlValue::Array(items) => {
            let mut groups = TomlTable::default();
            items
                .into_iter()
                .filter_map(|item| process_group_entry(item, diagnostics))
                .for_each(|entry| set_entry(&mut groups, entry));
            Some(TomlNode {
                location: node.location,
                value: TomlValue::Table(groups),
            })
        }
        other => {
            diagnostics.error(
                &node.location,
                "`processes` must be a table",
                go_format::describe_type(&other),
                None,
            );
            None
        }
    }
}

/// Converts one item of `[[processes]]`. flyctl ignores items without a name.
fn process_group_entry(item: TomlNode, diagnostics: &mut FlyTomlDiagnostics) -> Option<TomlEntry> {
    let TomlValue::Table(mut table) = item.value else {
        return None;
    };
    let Some(name) = table.remove("name") else {
        if !table.0.is_empty() {
            diagnostics.warn(
                &item.location,
                "a process group has no `name`",
                "flyctl ignores it",
                None,
            );
        }
        return None;
    };
    let command = table.remove("command");
    for entry in &table.0 {
        let help = key_hints::key_hint("processes", &entry.key).map(str::to_owned);
        let message = format!("there is no key `{}` in `processes`", entry.key);
        diagnostics.warn(&entry.key_location, message, "flyctl ignores it", help);
    }
    let node = command.map_or_else(
        || go_format::string_node(&item.location, ""),
        |command| {
            go_format::string_node(
                &command.node.location,
                go_format::format_value(&command.node.value),
            )
        },
    );
    Some(TomlEntry {
        key: go_format::format_value(&name.node.value),
        key_location: name.node.location,
        node,
    })
}

/// Wraps strings in lists, and moves keys to their current section unless that is already set.
pub(super) fn patch_experimental(root: &mut TomlTable, diagnostics: &mut FlyTomlDiagnostics) {
    let mut moved = Vec::new();
    replace_value(root, "experimental", diagnostics, |node, diagnostics| {
        let TomlValue::Table(mut table) = node.value else {
            let message = "`experimental` must be a table";
            diagnostics.error(
                &node.location,
                message,
                go_format::describe_type(&node.value),
                None,
            );
            return None;
        };
        for key in ["cmd", "entrypoint", "exec"] {
            replace_value(&mut table, key, diagnostics, |node, _| {
                Some(wrap_in_list(node))
            });
        }
        moved = ["kill_timeout", "metrics_port", "metrics_path"]
            .into_iter()
            .filter_map(|key| table.remove(key))
            .collect();
        Some(TomlNode {
            location: node.location,
            value: TomlValue::Table(table),
        })
    });
    let (timeout, metrics): (Vec<TomlEntry>, Vec<TomlEntry>) = moved
        .into_iter()
        .partition(|entry| entry.key == "kill_timeout");
    if root.get("kill_timeout").is_none() {
        root.0.extend(timeout);
    }
    if root.get("metrics").is_none() {
        root.0.extend(metrics_section(metrics));
    }
}

/// Makes a `metrics` section of `metrics_port` and `metrics_path`.
fn metrics_section(entries: Vec<TomlEntry>) -> Option<TomlEntry> {
    let (key_location, location) = entries
        .first()
        .map(|entry| (entry.key_location.clone(), entry.node.location.clone()))?;
    let short = |entry: TomlEntry| TomlEntry {
        key: entry.key.trim_start_matches("metrics_").to_owned(),
        ..entry
    };
    Some(TomlEntry {
        key: "metrics".to_owned(),
        key_location,
        node: TomlNode {
            location,
            value: TomlValue::Table(TomlTable(entries.into_iter().map(short).collect())),
        },
    })
}

/// Wraps a string in a list. flyctl does not split it at spaces.
fn wrap_in_list(node: TomlNode) -> TomlNode {
    match node.value {
        TomlValue::String(_) => TomlNode {
            location: node.location.clone(),
            value: TomlValue::Array(vec![node]),
        },
        _ => node,
    }
}

/// Renames `build_target` to `build-target`.
pub(super) fn patch_build(mut node: TomlNode, _: &mut FlyTomlDiagnostics) -> Option<TomlNode> {
    if let TomlValue::Table(table) = &mut node.value
        && let Some(entry) = table.remove("build_target")
    {
        let key = "build-target".to_owned();
        set_entry(table, TomlEntry { key, ..entry });
    }
    Some(node)
}
