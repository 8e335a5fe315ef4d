//! The values of SQL expressions.

use std::cmp::Ordering;

use serde_json::Value;

/// A value, with as much of its type as the supported expressions distinguish.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum SqlValue {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    /// A `name`: text of at most 63 bytes. What it is compared with is cut as well.
    Name(String),
    Bytes(Vec<u8>),
    Json(Value),
    Array(Vec<SqlValue>),
    /// What functions without a result return.
    Void,
}

impl SqlValue {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    pub(super) fn name(text: impl Into<String>) -> Self {
        Self::Name(text.into())
    }

    /// The text, or null.
    pub(super) fn optional(text: Option<&str>) -> Self {
        text.map_or(Self::Null, Self::text)
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// Whether a condition holds; null counts as false.
    pub(super) fn is_true(&self) -> bool {
        matches!(self, Self::Bool(true))
    }

    /// The name of its type, as messages write it.
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "unknown",
            Self::Bool(_) => "boolean",
            Self::Int(_) => "integer",
            Self::Float(_) => "numeric",
            Self::Text(_) => "text",
            Self::Name(_) => "name",
            Self::Bytes(_) => "bytea",
            Self::Json(_) => "json",
            Self::Array(_) => "text[]",
            Self::Void => "void",
        }
    }

    /// The value as `psql` prints it; `None` for null.
    pub(super) fn print(&self) -> Option<String> {
        Some(match self {
            Self::Null => return None,
            Self::Bool(flag) => if *flag { "t" } else { "f" }.to_owned(),
            Self::Int(number) => number.to_string(),
            Self::Float(number) => number.to_string(),
            Self::Text(text) | Self::Name(text) => text.clone(),
            Self::Bytes(bytes) => format!("\\x{}", crate::ids::hex(bytes)),
            Self::Json(value) => print_json(value),
            Self::Array(items) => {
                let items: Vec<String> = items.iter().map(print_array_item).collect();
                format!("{{{}}}", items.join(","))
            }
            Self::Void => String::new(),
        })
    }

    /// The value as a part of a JSON document.
    pub(super) fn to_json(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(flag) => (*flag).into(),
            Self::Int(number) => (*number).into(),
            Self::Float(number) => (*number).into(),
            Self::Json(value) => value.clone(),
            Self::Array(items) => items.iter().map(Self::to_json).collect(),
            other => other.print().unwrap_or_default().into(),
        }
    }

    fn number(&self) -> Option<f64> {
        match self {
            Self::Int(number) => Some(*number as f64),
            Self::Float(number) => Some(*number),
            Self::Text(text) => text.trim().parse().ok(),
            _ => None,
        }
    }

    /// The order of two values; `None` when one of them is null or they cannot be compared.
    pub(super) fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Null, _) | (_, Self::Null) => None,
            (Self::Bool(a), Self::Bool(b)) => Some(a.cmp(b)),
            (Self::Int(a), Self::Int(b)) => Some(a.cmp(b)),
            (Self::Int(_) | Self::Float(_), _) | (_, Self::Int(_) | Self::Float(_)) => {
                self.number()?.partial_cmp(&other.number()?)
            }
            (Self::Bool(flag), Self::Text(text)) => Some(flag.cmp(&parse_bool(text)?)),
            (Self::Text(text), Self::Bool(flag)) => Some(parse_bool(text)?.cmp(flag)),
            _ => Some(self.print()?.cmp(&other.print()?)),
        }
    }
}

/// A boolean as SQL and configuration settings write it.
pub(super) fn parse_bool(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "t" | "true" | "on" | "yes" | "y" | "1" => Some(true),
        "f" | "false" | "off" | "no" | "n" | "0" => Some(false),
        _ => None,
    }
}

/// PostgreSQL puts spaces around the colons of objects that it builds, and after commas.
fn print_json(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let members = members.iter().map(|(key, value)| {
                format!("{} : {}", Value::from(key.as_str()), print_json(value))
            });
            format!("{{{}}}", members.collect::<Vec<_>>().join(", "))
        }
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(print_json).collect();
            format!("[{}]", items.join(", "))
        }
        other => other.to_string(),
    }
}

fn print_array_item(item: &SqlValue) -> String {
    let Some(text) = item.print() else {
        return "NULL".to_owned();
    };
    let is_plain = !text.is_empty()
        && !text.eq_ignore_ascii_case("null")
        && !text.contains(['{', '}', ',', '"', '\\'])
        && !text.contains(char::is_whitespace);
    if is_plain {
        text
    } else {
        format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
    }
}
