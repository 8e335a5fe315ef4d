//! Moves keys to the top level that flyctl nests for historical reasons, and removes empty
//! sections.

use crate::manifest::syntax::node::{TomlEntry, TomlTable, TomlValue};

/// Flattens nested keys and removes empty sections: the last step towards the canonical form.
pub(super) fn flatten(root: &mut TomlTable) {
    if let Some(image) = root
        .remove("build")
        .and_then(|build| take_key(build, "image"))
    {
        root.0.push(image);
    }
    let experimental = root.0.iter_mut().find(|entry| entry.key == "experimental");
    let machine_config = experimental.and_then(|entry| match &mut entry.node.value {
        TomlValue::Table(table) => table.remove("machine_config"),
        _ => None,
    });
    // flyctl prefers the nested one when both are set.
    if let Some(entry) = machine_config {
        root.remove("machine_config");
        root.0.push(entry);
    }
    // `flyctl config save` writes `[[metrics]]` without keys for machines without metrics, which
    // means none.
    let metrics = root.0.iter_mut().find(|entry| entry.key == "metrics");
    if let Some(TomlValue::Array(items)) = metrics.map(|entry| &mut entry.node.value) {
        items.retain(
            |item| !matches!(&item.value, TomlValue::Table(table) if is_empty_metrics(table)),
        );
    }
    // An `[http_service]` without keys is still a service.
    root.0
        .retain(|entry| entry.key == "http_service" || !is_empty(&entry.node.value));
    root.0.sort_by_key(|entry| entry.key_location.span.start);
}

fn take_key(entry: TomlEntry, key: &str) -> Option<TomlEntry> {
    match entry.node.value {
        TomlValue::Table(mut table) => table.remove(key),
        _ => None,
    }
}

fn is_empty_metrics(metrics: &TomlTable) -> bool {
    metrics.0.iter().all(|entry| entry.key == "processes")
}

fn is_empty(value: &TomlValue) -> bool {
    match value {
        TomlValue::Array(items) => items.is_empty(),
        TomlValue::Table(TomlTable(entries)) => entries.is_empty(),
        _ => false,
    }
}
