//! Decodes a configuration by the schema, as Go would: unknown keys and zero values are dropped,
//! wrong types are errors.

use serde_json::{Map, Value};

use super::duration;
use super::schema::{FieldSchema, FieldType};
use crate::api::ApiError;
use crate::world::JsonObject;

/// Decodes an object; null counts as empty.
///
/// # Errors
/// `400` with the path and the expected type.
pub(super) fn decode_object(
    path: &str,
    fields: &[FieldSchema],
    value: &Value,
) -> Result<JsonObject, ApiError> {
    let empty = Map::new();
    let object = match value {
        Value::Null => &empty,
        Value::Object(object) => object,
        _ => return Err(type_error(path, "an object")),
    };
    let mut decoded = Map::new();
    // Iterating over the schema, not over the input, drops unknown keys.
    for (name, field_type) in fields {
        let value = object.get(*name).unwrap_or(&Value::Null);
        if let Some(value) = decode_field(&format!("{path}.{name}"), *field_type, value)? {
            decoded.insert((*name).to_owned(), value);
        }
    }
    Ok(decoded)
}

fn type_error(path: &str, expected: &str) -> ApiError {
    ApiError::bad_request(format!("invalid request body: {path} must be {expected}"))
}

fn decode_field(
    path: &str,
    field_type: FieldType,
    value: &Value,
) -> Result<Option<Value>, ApiError> {
    // For Go, an absent key and null are the same: the field keeps its zero value.
    if value.is_null() {
        return Ok(match field_type {
            FieldType::StrOrNull => Some(Value::Null),
            FieldType::StrAlways => Some(Value::from("")),
            FieldType::ObjectAlways(_) => Some(Value::Object(Map::new())),
            _ => None,
        });
    }
    match field_type {
        FieldType::Any => Ok(Some(value.clone())),
        FieldType::Object(fields) | FieldType::ObjectAlways(fields) => {
            decode_object(path, fields, value)
                .map(Value::Object)
                .map(Some)
        }
        FieldType::List(fields) => decode_list(path, value, |path, item| {
            decode_object(path, fields, item).map(Value::Object)
        }),
        FieldType::Map(fields) => decode_map(path, value, |path, item| {
            decode_object(path, fields, item).map(Value::Object)
        }),
        FieldType::StrList => decode_list(path, value, decode_string),
        FieldType::StrMap => decode_map(path, value, decode_string),
        _ => decode_scalar(path, field_type, value),
    }
}

fn decode_scalar(
    path: &str,
    field_type: FieldType,
    value: &Value,
) -> Result<Option<Value>, ApiError> {
    match field_type {
        FieldType::Str => {
            decode_string(path, value).map(|text| Some(text).filter(|text| text != ""))
        }
        FieldType::Enum(choices) => decode_enum(path, choices, value),
        FieldType::Bool => decode_bool(path, value).map(|flag| flag.then_some(Value::Bool(true))),
        FieldType::OptionalBool => decode_bool(path, value).map(|flag| Some(Value::Bool(flag))),
        FieldType::Integer => {
            decode_integer(path, value).map(|number| (number != 0).then(|| number.into()))
        }
        FieldType::OptionalInteger => decode_integer(path, value).map(|number| Some(number.into())),
        FieldType::Float if value.is_number() => {
            Ok(Some(value.clone()).filter(|value| value.as_f64() != Some(0.0)))
        }
        FieldType::Float => Err(type_error(path, "a number")),
        FieldType::Duration => {
            let nanos = duration::parse_duration_nanos(value);
            nanos
                .map(|nanos| Some(duration::format_duration(nanos).into()))
                .ok_or_else(|| type_error(path, "a duration"))
        }
        FieldType::Autostop => decode_autostop(path, value).map(Some),
        FieldType::Persist => decode_persist(path, value),
        _ => decode_string(path, value).map(Some),
    }
}

fn decode_list<F>(path: &str, value: &Value, item: F) -> Result<Option<Value>, ApiError>
where
    F: Fn(&str, &Value) -> Result<Value, ApiError>,
{
    let elements = value.as_array().ok_or_else(|| type_error(path, "a list"))?;
    let items = elements
        .iter()
        .enumerate()
        .map(|(index, value)| item(&format!("{path}[{index}]"), value));
    let items = items.collect::<Result<Vec<Value>, ApiError>>()?;
    Ok((!items.is_empty()).then_some(Value::Array(items)))
}

fn decode_map<F>(path: &str, value: &Value, item: F) -> Result<Option<Value>, ApiError>
where
    F: Fn(&str, &Value) -> Result<Value, ApiError>,
{
    let object = value
        .as_object()
        .ok_or_else(|| type_error(path, "an object"))?;
    let items = object
        .iter()
        .map(|(name, value)| Ok((name.clone(), item(&format!("{path}.{name}"), value)?)));
    let items = items.collect::<Result<JsonObject, ApiError>>()?;
    Ok((!items.is_empty()).then_some(Value::Object(items)))
}

fn decode_string(path: &str, value: &Value) -> Result<Value, ApiError> {
    if value.is_string() {
        Ok(value.clone())
    } else {
        Err(type_error(path, "a string"))
    }
}

fn decode_bool(path: &str, value: &Value) -> Result<bool, ApiError> {
    value.as_bool().ok_or_else(|| type_error(path, "a boolean"))
}

fn decode_integer(path: &str, value: &Value) -> Result<i64, ApiError> {
    value.as_i64().ok_or_else(|| type_error(path, "an integer"))
}

fn decode_enum(path: &str, choices: &[&str], value: &Value) -> Result<Option<Value>, ApiError> {
    match value.as_str() {
        Some("") => Ok(None),
        Some(text) if choices.contains(&text) => Ok(Some(value.clone())),
        _ => Err(type_error(path, &format!("one of {}", choices.join(", ")))),
    }
}

/// Fly returns booleans for `off` and `stop`, the values of the old boolean form, and a string only
/// for `suspend`.
fn decode_autostop(path: &str, value: &Value) -> Result<Value, ApiError> {
    match value {
        Value::Bool(flag) => Ok(Value::Bool(*flag)),
        Value::String(text) => match text.as_str() {
            "off" | "" => Ok(Value::Bool(false)),
            "stop" => Ok(Value::Bool(true)),
            "suspend" => Ok(value.clone()),
            _ => Err(type_error(path, "one of off, stop, suspend")),
        },
        _ => Err(type_error(path, "one of off, stop, suspend")),
    }
}

/// The integers are the values of an enumeration whose first value means "unset".
fn decode_persist(path: &str, value: &Value) -> Result<Option<Value>, ApiError> {
    const NAMES: [&str; 3] = ["never", "restart", "always"];
    match value.as_u64() {
        Some(0) => Ok(None),
        Some(index @ 1..=3) => Ok(Some(NAMES[index as usize - 1].into())),
        _ => decode_enum(path, &NAMES, value),
    }
}
