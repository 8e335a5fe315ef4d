//! Lines of a diff as the user reads them: paths in the manifest's vocabulary, and file contents by size and hash.

use serde_json::{Value, json};

use crate::model::{DiffLine, DisplayValue, Mib};

/// The paths of a machine configuration in the API, and in the manifest. An entry with a leading
/// dot is a suffix, any other a prefix.
const MANIFEST_PATHS: [(&str, &str); 9] = [
    ("guest.memory_mb", "vm.memory"),
    ("guest.", "vm."),
    ("init.swap_size_mb", "swap_size_mb"),
    ("init.cmd", "command"),
    ("init.", ""),
    ("stop_config.signal", "kill_signal"),
    ("stop_config.timeout", "kill_timeout"),
    (".autostop", ".auto_stop_machines"),
    (".autostart", ".auto_start_machines"),
];

/// Translates a path of the API to the manifest's vocabulary.
fn to_manifest_path(path: &str) -> String {
    MANIFEST_PATHS
        .iter()
        .fold(path.to_owned(), |path, (api, manifest)| {
            let at_start = !api.starts_with('.');
            match at_start {
                true if path.starts_with(api) => path.replacen(api, manifest, 1),
                false if path.ends_with(api) => format!("{}{manifest}", path.trim_end_matches(api)),
                _ => path,
            }
        })
}

/// Converts a line for display: paths in the manifest's vocabulary, and file contents by size and
/// hash.
pub(super) fn for_display(mut line: DiffLine) -> DiffLine {
    if line.path.ends_with(".raw_value") || line.path.starts_with("files[") {
        let content = |value: Option<DisplayValue>| match value {
            Some(DisplayValue::Value(value)) => {
                Some(DisplayValue::Value(summarize_content(&value)))
            }
            other => other,
        };
        line.from = content(line.from);
        line.to = content(line.to);
    }
    line.path = to_manifest_path(&line.path);
    if line.path == "vm.memory" {
        line.from = line.from.map(memory_with_unit);
        line.to = line.to.map(memory_with_unit);
    }
    line
}

/// Formats memory with its unit, as in manifests.
fn memory_with_unit(value: DisplayValue) -> DisplayValue {
    let megabytes = |value: &Value| value.as_u64().and_then(|number| u32::try_from(number).ok());
    match &value {
        DisplayValue::Value(number) => megabytes(number).map_or(value.clone(), |number| {
            DisplayValue::Value(Mib(number).to_string().into())
        }),
        _ => value,
    }
}

/// Summarizes base64-encoded file content by size and hash.
fn summarize_content(value: &Value) -> Value {
    use sha2::{Digest as _, Sha256};
    match value {
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| (key.clone(), summarize_entry(key, value)))
            .collect(),
        Value::String(text) => {
            let hash: String = Sha256::digest(text)
                .iter()
                .take(4)
                .map(|byte| format!("{byte:02x}"))
                .collect();
            json!(format!("{} bytes, sha256 {hash}…", text.len() / 4 * 3))
        }
        other => other.clone(),
    }
}

fn summarize_entry(key: &str, value: &Value) -> Value {
    if key == "raw_value" {
        summarize_content(value)
    } else {
        value.clone()
    }
}
