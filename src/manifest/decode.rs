//! A checked document as typed values.

use serde_json::Value as Json;

use super::{
    node::{Node, Problem, Value},
    shape::Document,
};

/// Decodes what passed the check of the shape.
///
/// # Errors
/// When the check let something through that the types refuse: a mistake of ours, told plainly.
pub(super) fn decode(root: &Node) -> Result<Document, Problem> {
    serde_json::from_value(json(root)).map_err(|error| Problem {
        message: format!("the manifest cannot be read: {error}"),
        at: None,
        label: String::new(),
        help: None,
    })
}

fn json(node: &Node) -> Json {
    match &node.value {
        Value::String(text) | Value::Datetime(text) => Json::from(text.as_str()),
        Value::Integer(number) => Json::from(*number),
        Value::Float(number) => Json::from(*number),
        Value::Boolean(truth) => Json::from(*truth),
        Value::Array(items) => items.iter().map(json).collect(),
        Value::Table(table) => table
            .0
            .iter()
            .map(|entry| (entry.key.clone(), json(&entry.node)))
            .collect(),
    }
}
