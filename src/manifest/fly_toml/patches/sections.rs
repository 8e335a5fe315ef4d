//! The old spellings of `env`, `processes`, `experimental` and `build`.

use super::{put, replace};
use crate::manifest::{
    fly_toml::{mistakes, report::Report, text},
    node::{Entry, Node, Table, Value},
};

/// `[[env]]` becomes one table, and every value the text that Go prints for it.
pub(super) fn env(node: Node, report: &mut Report) -> Option<Node> {
    let at = node.at.clone();
    let mut merged = Table::default();
    collect_env(node, &mut merged, report);
    Some(Node {
        at,
        value: Value::Table(merged),
    })
}

fn collect_env(node: Node, merged: &mut Table, report: &mut Report) {
    match node.value {
        Value::Array(items) => items
            .into_iter()
            .for_each(|item| collect_env(item, merged, report)),
        Value::Table(Table(entries)) => {
            entries
                .into_iter()
                .for_each(|entry| put(merged, variable(entry, report)));
        }
        other => report.wrong(&node.at, "`env` must be a table", text::kind(&other), None),
    }
}

fn variable(entry: Entry, report: &mut Report) -> Entry {
    let printed = text::printed(&entry.node.value);
    if matches!(entry.node.value, Value::Table(_) | Value::Array(_)) {
        report.odd(
            &entry.node.at,
            format!("the variable `{}` becomes the text `{printed}`", entry.key),
            text::kind(&entry.node.value),
            Some("a variable is one text; secrets are not named in fly.toml".to_owned()),
        );
    }
    let node = text::node(&entry.node.at, printed);
    Entry { node, ..entry }
}

/// `[[processes]]` with names and commands becomes a table from one to the other.
pub(super) fn processes(node: Node, report: &mut Report) -> Option<Node> {
    match node.value {
        Value::Table(_) => Some(node),
        Value::Array(items) => {
            let mut groups = Table::default();
            items
                .into_iter()
                .filter_map(|item| group(item, report))
                .for_each(|entry| put(&mut groups, entry));
            Some(Node {
                at: node.at,
                value: Value::Table(groups),
            })
        }
        other => {
            report.wrong(
                &node.at,
                "`processes` must be a table",
                text::kind(&other),
                None,
            );
            None
        }
    }
}

/// One item of `[[processes]]`. flyctl passes over items without a name.
fn group(item: Node, report: &mut Report) -> Option<Entry> {
    let Value::Table(mut table) = item.value else {
        return None;
    };
    let Some(name) = table.remove("name") else {
        if !table.0.is_empty() {
            report.odd(
                &item.at,
                "a process group has no `name`",
                "flyctl ignores it",
                None,
            );
        }
        return None;
    };
    let command = table.remove("command");
    for entry in &table.0 {
        let help = mistakes::meant("processes", &entry.key).map(str::to_owned);
        let message = format!("there is no key `{}` in `processes`", entry.key);
        report.odd(&entry.key_at, message, "flyctl ignores it", help);
    }
    let node = command.map_or_else(
        || text::node(&item.at, ""),
        |command| text::node(&command.node.at, text::printed(&command.node.value)),
    );
    Some(Entry {
        key: text::printed(&name.node.value),
        key_at: name.node.at,
        node,
    })
}

/// Texts become lists of one, and what has moved elsewhere goes there unless something is there already.
pub(super) fn experimental(root: &mut Table, report: &mut Report) {
    let mut moved = Vec::new();
    replace(root, "experimental", report, |node, report| {
        let Value::Table(mut table) = node.value else {
            let message = "`experimental` must be a table";
            report.wrong(&node.at, message, text::kind(&node.value), None);
            return None;
        };
        for key in ["cmd", "entrypoint", "exec"] {
            replace(&mut table, key, report, |node, _| Some(listed(node)));
        }
        moved = ["kill_timeout", "metrics_port", "metrics_path"]
            .into_iter()
            .filter_map(|key| table.remove(key))
            .collect();
        Some(Node {
            at: node.at,
            value: Value::Table(table),
        })
    });
    let (timeout, metrics): (Vec<Entry>, Vec<Entry>) = moved
        .into_iter()
        .partition(|entry| entry.key == "kill_timeout");
    if root.get("kill_timeout").is_none() {
        root.0.extend(timeout);
    }
    if root.get("metrics").is_none() {
        root.0.extend(scrape(metrics));
    }
}

/// `metrics_port` and `metrics_path` as a section.
fn scrape(entries: Vec<Entry>) -> Option<Entry> {
    let (key_at, at) = entries
        .first()
        .map(|entry| (entry.key_at.clone(), entry.node.at.clone()))?;
    let short = |entry: Entry| Entry {
        key: entry.key.trim_start_matches("metrics_").to_owned(),
        ..entry
    };
    Some(Entry {
        key: "metrics".to_owned(),
        key_at,
        node: Node {
            at,
            value: Value::Table(Table(entries.into_iter().map(short).collect())),
        },
    })
}

/// One text becomes a list of it. flyctl does not split it at spaces.
fn listed(node: Node) -> Node {
    match node.value {
        Value::String(_) => Node {
            at: node.at.clone(),
            value: Value::Array(vec![node]),
        },
        _ => node,
    }
}

/// `build_target` becomes `build-target`.
pub(super) fn build(mut node: Node, _: &mut Report) -> Option<Node> {
    if let Value::Table(table) = &mut node.value
        && let Some(entry) = table.remove("build_target")
    {
        let key = "build-target".to_owned();
        put(table, Entry { key, ..entry });
    }
    Some(node)
}
