//! Diffs JSON trees, and merges them while keeping unknown fields.
//!
//! Lists of services, ports, files and the like are compared as sets with a key, so that a change
//! of one port is one line, and an unknown field stays with its element.

use serde_json::{Map, Value};

use crate::model::DiffLine;

/// Compares two trees; one line for each leaf that differs.
#[must_use]
pub fn diff(desired: &Value, live: &Value) -> Vec<DiffLine> {
    let mut lines = Vec::new();
    diff_values(&mut lines, "", desired, live);
    lines
}

fn diff_values(lines: &mut Vec<DiffLine>, path: &str, desired: &Value, live: &Value) {
    match (desired, live) {
        (Value::Object(desired), Value::Object(live)) => {
            let keys: std::collections::BTreeSet<_> = desired.keys().chain(live.keys()).collect();
            for key in keys {
                let inner = if path.is_empty() {
                    key.clone()
                } else {
                    format!("{path}.{key}")
                };
                diff_optional(lines, &inner, desired.get(key), live.get(key));
            }
        }
        (Value::Array(desired), Value::Array(live))
            if has_unique_keys(path, desired) && has_unique_keys(path, live) =>
        {
            let (desired, live) = (index_by_key(path, desired), index_by_key(path, live));
            let keys: std::collections::BTreeSet<_> = desired.keys().chain(live.keys()).collect();
            for key in keys {
                diff_optional(
                    lines,
                    &format!("{path}[{key}]"),
                    desired.get(key),
                    live.get(key),
                );
            }
        }
        (desired, live) if desired != live => {
            lines.push(DiffLine::change(path, live.clone(), desired.clone()));
        }
        _ => {}
    }
}

fn diff_optional(
    lines: &mut Vec<DiffLine>,
    path: &str,
    desired: Option<&Value>,
    live: Option<&Value>,
) {
    match (desired, live) {
        (Some(desired), Some(live)) => diff_values(lines, path, desired, live),
        (Some(desired), None) => push_leaves(lines, path, desired, &|path, value| {
            DiffLine::add(path, value)
        }),
        (None, Some(live)) => push_leaves(lines, path, live, &|path, value| {
            DiffLine::remove(path, value)
        }),
        (None, None) => {}
    }
}

/// Pushes a line for each leaf of an object that was added or removed as a whole. A keyed list
/// element stays one line.
fn push_leaves(
    lines: &mut Vec<DiffLine>,
    path: &str,
    value: &Value,
    line: &dyn Fn(String, Value) -> DiffLine,
) {
    match value {
        Value::Object(map) if !path.ends_with(']') => {
            for (key, value) in map {
                push_leaves(lines, &format!("{path}.{key}"), value, line);
            }
        }
        Value::Array(list) if !list.is_empty() && has_unique_keys(path, list) => {
            for (key, value) in index_by_key(path, list) {
                push_leaves(lines, &format!("{path}[{key}]"), &value, line);
            }
        }
        other => lines.push(line(path.to_owned(), other.clone())),
    }
}

/// Merges into `desired` the parts of `raw` (the live document) that are not in `known` (its parsed
/// form), so that an update loses no unknown field.
#[must_use]
pub fn merge_unknown(desired: &Value, raw: &Value, known: &Value) -> Value {
    merge_unknown_at("", desired, raw, known)
}

fn merge_unknown_at(path: &str, desired: &Value, raw: &Value, known: &Value) -> Value {
    match (desired, raw) {
        (Value::Object(desired), Value::Object(live)) => {
            let nothing = Map::new();
            let known = known.as_object().unwrap_or(&nothing);
            let mut out = desired.clone();
            for (key, value) in live {
                let inner = if path.is_empty() {
                    key.clone()
                } else {
                    format!("{path}.{key}")
                };
                match (desired.get(key), known.get(key)) {
                    (None, None) => drop(out.insert(key.clone(), value.clone())),
                    (Some(desired), Some(known)) => {
                        out.insert(key.clone(), merge_unknown_at(&inner, desired, value, known));
                    }
                    _ => {}
                }
            }
            Value::Object(out)
        }
        (Value::Array(desired), Value::Array(live))
            if has_unique_keys(path, desired) && has_unique_keys(path, live) =>
        {
            let nothing = Vec::new();
            let (raw, known) = (
                index_by_key(path, live),
                index_by_key(path, known.as_array().unwrap_or(&nothing)),
            );
            let one = |element: &Value| {
                let key = element_key(path, element).unwrap_or_default();
                match (raw.get(&key), known.get(&key)) {
                    (Some(raw), Some(known)) => {
                        merge_unknown_at(&format!("{path}[{key}]"), element, raw, known)
                    }
                    _ => element.clone(),
                }
            };
            Value::Array(desired.iter().map(one).collect())
        }
        _ => desired.clone(),
    }
}

/// The paths in `raw` that `known` does not cover. Empty strings and `false` do not count: the API
/// sends them for unset fields.
#[must_use]
pub fn unknown_paths(raw: &Value, known: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    diff_values(&mut lines, "", &without_defaults(&prune(raw)), known);
    let extra = lines.into_iter().filter(|line| line.from.is_none());
    extra.map(|line| line.path).collect()
}

/// Removes nulls, empty objects and empty lists.
#[must_use]
pub fn prune(value: &Value) -> Value {
    let full = |value: &Value| !matches!(value, Value::Null) && value != &Value::Array(vec![]);
    match value {
        Value::Object(map) => {
            let pruned = map.iter().map(|(key, value)| (key.clone(), prune(value)));
            let empty = Value::Object(Map::new());
            Value::Object(
                pruned
                    .filter(|(_, value)| full(value) && *value != empty)
                    .collect(),
            )
        }
        Value::Array(list) => Value::Array(list.iter().map(prune).collect()),
        other => other.clone(),
    }
}

/// Removes empty strings and `false`.
fn without_defaults(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let stated = map
                .iter()
                .filter(|(_, value)| **value != Value::Bool(false) && *value != "");
            Value::Object(
                stated
                    .map(|(key, value)| (key.clone(), without_defaults(value)))
                    .collect(),
            )
        }
        Value::Array(list) => Value::Array(list.iter().map(without_defaults).collect()),
        other => other.clone(),
    }
}

/// The last segment of a path.
fn last_segment(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or_default()
}

fn element_key(path: &str, element: &Value) -> Option<String> {
    let text = |key: &str| match element.get(key) {
        Some(Value::String(text)) => Some(text.clone()),
        Some(Value::Number(number)) => Some(number.to_string()),
        _ => None,
    };
    match last_segment(path) {
        "services" => Some(format!("{}/{}", text("internal_port")?, text("protocol")?)),
        "ports" => {
            text("port").or_else(|| Some(format!("{}-{}", text("start_port")?, text("end_port")?)))
        }
        "checks" => {
            let target = text("path").or_else(|| text("port")).unwrap_or_default();
            Some(format!("{} {target}", text("type")?).trim_end().to_owned())
        }
        "files" => text("guest_path"),
        "statics" => text("url_prefix"),
        "mounts" => text("path"),
        "headers" => text("name"),
        _ => None,
    }
}

/// Whether every element has a key, and all keys are different.
fn has_unique_keys(path: &str, list: &[Value]) -> bool {
    let keys: Option<std::collections::BTreeSet<_>> = list
        .iter()
        .map(|element| element_key(path, element))
        .collect();
    keys.is_some_and(|keys| keys.len() == list.len())
}

fn index_by_key(path: &str, list: &[Value]) -> std::collections::BTreeMap<String, Value> {
    list.iter()
        .filter_map(|element| Some((element_key(path, element)?, element.clone())))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn ports_are_matched_by_number() {
        let desired = json!({"services": [{"internal_port": 8080, "protocol": "tcp",
            "ports": [{"port": 443, "handlers": ["http", "tls"]}, {"port": 80, "handlers": ["http"]}]}]});
        let live = json!({"services": [{"internal_port": 8080, "protocol": "tcp",
            "ports": [{"port": 80, "handlers": ["http"]}, {"port": 443, "handlers": ["tls"]}]}]});
        let lines = diff(&desired, &live);
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0].path, "services[8080/tcp].ports[443].handlers");
    }

    #[test]
    fn added_table_has_one_line_per_key() {
        let lines = diff(&json!({"env": {"A": "1", "B": "2"}}), &json!({}));
        assert_eq!(
            lines
                .iter()
                .map(|line| line.path.as_str())
                .collect::<Vec<_>>(),
            ["env.A", "env.B"]
        );
    }

    #[test]
    fn merge_keeps_unknown_fields_and_drops_known_ones() {
        let raw = json!({"env": {"OLD": "1"}, "dns": {"skip_registration": true},
            "services": [{"internal_port": 80, "protocol": "tcp", "future": 7, "autostart": true}]});
        let known = json!({"env": {"OLD": "1"},
            "services": [{"internal_port": 80, "protocol": "tcp", "autostart": true}]});
        let desired =
            json!({"env": {"NEW": "2"}, "services": [{"internal_port": 80, "protocol": "tcp"}]});
        assert_eq!(
            merge_unknown(&desired, &raw, &known),
            json!({"env": {"NEW": "2"}, "dns": {"skip_registration": true},
                "services": [{"internal_port": 80, "protocol": "tcp", "future": 7}]})
        );
    }

    #[test]
    fn unknown_paths_are_listed() {
        let raw = json!({"image": "x", "dns": {}, "rootfs": {"size_gb": 4}, "init": {}});
        assert_eq!(
            unknown_paths(&raw, &json!({"image": "x"})),
            ["rootfs.size_gb"]
        );
    }

    #[test]
    fn default_values_are_not_unknown() {
        let raw = json!({"services": [{"internal_port": 80, "protocol": "tcp", "autostop": false, "future": true}],
            "statics": [{"guest_path": "/public", "url_prefix": "/", "tigris_bucket": ""}]});
        let known = json!({"services": [{"internal_port": 80, "protocol": "tcp"}],
            "statics": [{"guest_path": "/public", "url_prefix": "/"}]});
        assert_eq!(unknown_paths(&raw, &known), ["services[80/tcp].future"]);
    }
}
