//! Decodes a validated document to typed values.

use serde_json::Value as Json;

use super::Manifest;
use crate::manifest::syntax::node::{Diagnostic, TomlNode, TomlValue};

/// Decodes a document that has passed [`validate`](super::validate::validate).
///
/// # Errors
/// When validation accepted something that the types refuse, which is a bug in trimtab.
pub(crate) fn decode_manifest(root: &TomlNode) -> Result<Manifest, Diagnostic> {
    serde_json::from_value(to_json(root)).map_err(|error| Diagnostic {
        message: format!("the manifest cannot be read: {error}"),
        location: None,
        label: String::new(),
        help: None,
    })
}

/// A value without its locations.
pub(crate) fn to_json(node: &TomlNode) -> Json {
    match &node.value {
        TomlValue::String(text) | TomlValue::Datetime(text) | TomlValue::OutOfRange(text) => {
            Json::from(text.as_str())
        }
        TomlValue::Integer(number) => Json::from(*number),
        TomlValue::Float(number) => Json::from(*number),
        TomlValue::Boolean(boolean) => Json::from(*boolean),
        TomlValue::Array(items) => items.iter().map(to_json).collect(),
        TomlValue::Table(table) => table
            .0
            .iter()
            .map(|entry| (entry.key.clone(), to_json(&entry.node)))
            .collect(),
    }
}
