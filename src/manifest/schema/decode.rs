//! A checked document as typed values.

use serde_json::Value as Json;

use super::Manifest;
use crate::manifest::syntax::node::{Diagnostic, TomlNode, TomlValue};

/// Decodes what passed the check of the shape.
///
/// # Errors
/// When the check let something through that the types refuse: a mistake of ours, told plainly.
pub(crate) fn decode_manifest(root: &TomlNode) -> Result<Manifest, Diagnostic> {
    serde_json::from_value(to_json(root)).map_err(|error| Diagnostic {
        message: format!("the manifest cannot be read: {error}"),
        location: None,
        label: String::new(),
        help: None,
    })
}

fn to_json(node: &TomlNode) -> Json {
    match &node.value {
        TomlValue::String(text) | TomlValue::Datetime(text) => Json::from(text.as_str()),
        TomlValue::Integer(number) => Json::from(*number),
        TomlValue::Float(number) => Json::from(*number),
        TomlValue::Boolean(truth) => Json::from(*truth),
        TomlValue::Array(items) => items.iter().map(to_json).collect(),
        TomlValue::Table(table) => table
            .0
            .iter()
            .map(|entry| (entry.key.clone(), to_json(&entry.node)))
            .collect(),
    }
}
