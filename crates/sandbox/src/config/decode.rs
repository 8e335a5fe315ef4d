//! Decodes a configuration along the schema, as Go would: unknown keys and zero values vanish, wrong types are errors.

use serde_json::{Map, Value};

use super::duration;
use super::schema::{Field, Kind};
use crate::answer::Refusal;
use crate::world::Object;

/// Decodes an object; null counts as empty.
///
/// # Errors
/// `400` naming the path and what was expected there.
pub(super) fn object(path: &str, fields: &[Field], value: &Value) -> Result<Object, Refusal> {
    let empty = Map::new();
    let given = match value {
        Value::Null => &empty,
        Value::Object(given) => given,
        _ => return Err(wrong(path, "an object")),
    };
    let mut kept = Map::new();
    for (name, kind) in fields {
        let value = given.get(*name).unwrap_or(&Value::Null);
        if let Some(value) = field(&format!("{path}.{name}"), *kind, value)? {
            kept.insert((*name).to_owned(), value);
        }
    }
    Ok(kept)
}

fn wrong(path: &str, expected: &str) -> Refusal {
    Refusal::invalid(format!("invalid request body: {path} must be {expected}"))
}

fn field(path: &str, kind: Kind, value: &Value) -> Result<Option<Value>, Refusal> {
    if value.is_null() {
        return Ok(match kind {
            Kind::TextOrNull => Some(Value::Null),
            Kind::TextAlways => Some(Value::from("")),
            Kind::ObjectAlways(_) => Some(Value::Object(Map::new())),
            _ => None,
        });
    }
    match kind {
        Kind::Any => Ok(Some(value.clone())),
        Kind::Object(fields) | Kind::ObjectAlways(fields) => {
            object(path, fields, value).map(Value::Object).map(Some)
        }
        Kind::List(fields) => list(path, value, |path, item| {
            object(path, fields, item).map(Value::Object)
        }),
        Kind::Map(fields) => map(path, value, |path, item| {
            object(path, fields, item).map(Value::Object)
        }),
        Kind::Texts => list(path, value, text),
        Kind::TextMap => map(path, value, text),
        _ => scalar(path, kind, value),
    }
}

fn scalar(path: &str, kind: Kind, value: &Value) -> Result<Option<Value>, Refusal> {
    match kind {
        Kind::Text => text(path, value).map(|text| Some(text).filter(|text| text != "")),
        Kind::Choice(among) => choice(path, among, value),
        Kind::Flag => flag(path, value).map(|on| on.then_some(Value::Bool(true))),
        Kind::MaybeFlag => flag(path, value).map(|on| Some(Value::Bool(on))),
        Kind::Number => number(path, value).map(|number| (number != 0).then(|| number.into())),
        Kind::MaybeNumber => number(path, value).map(|number| Some(number.into())),
        Kind::Real if value.is_number() => {
            Ok(Some(value.clone()).filter(|value| value.as_f64() != Some(0.0)))
        }
        Kind::Real => Err(wrong(path, "a number")),
        Kind::Time => {
            let nanos = duration::parse_or_nanos(value);
            nanos
                .map(|nanos| Some(duration::format(nanos).into()))
                .ok_or_else(|| wrong(path, "a duration"))
        }
        Kind::Autostop => autostop(path, value).map(Some),
        Kind::Persist => persist(path, value),
        _ => text(path, value).map(Some),
    }
}

fn list<F>(path: &str, value: &Value, item: F) -> Result<Option<Value>, Refusal>
where
    F: Fn(&str, &Value) -> Result<Value, Refusal>,
{
    let given = value.as_array().ok_or_else(|| wrong(path, "a list"))?;
    let items = given
        .iter()
        .enumerate()
        .map(|(at, value)| item(&format!("{path}[{at}]"), value));
    let items = items.collect::<Result<Vec<Value>, Refusal>>()?;
    Ok((!items.is_empty()).then_some(Value::Array(items)))
}

fn map<F>(path: &str, value: &Value, item: F) -> Result<Option<Value>, Refusal>
where
    F: Fn(&str, &Value) -> Result<Value, Refusal>,
{
    let given = value.as_object().ok_or_else(|| wrong(path, "an object"))?;
    let items = given
        .iter()
        .map(|(name, value)| Ok((name.clone(), item(&format!("{path}.{name}"), value)?)));
    let items = items.collect::<Result<Object, Refusal>>()?;
    Ok((!items.is_empty()).then_some(Value::Object(items)))
}

fn text(path: &str, value: &Value) -> Result<Value, Refusal> {
    if value.is_string() {
        Ok(value.clone())
    } else {
        Err(wrong(path, "a string"))
    }
}

fn flag(path: &str, value: &Value) -> Result<bool, Refusal> {
    value.as_bool().ok_or_else(|| wrong(path, "a boolean"))
}

fn number(path: &str, value: &Value) -> Result<i64, Refusal> {
    value.as_i64().ok_or_else(|| wrong(path, "an integer"))
}

fn choice(path: &str, among: &[&str], value: &Value) -> Result<Option<Value>, Refusal> {
    match value.as_str() {
        Some("") => Ok(None),
        Some(text) if among.contains(&text) => Ok(Some(value.clone())),
        _ => Err(wrong(path, &format!("one of {}", among.join(", ")))),
    }
}

/// Fly answers with booleans where the old form was boolean, and with the one new word.
fn autostop(path: &str, value: &Value) -> Result<Value, Refusal> {
    match value {
        Value::Bool(on) => Ok(Value::Bool(*on)),
        Value::String(text) => match text.as_str() {
            "off" | "" => Ok(Value::Bool(false)),
            "stop" => Ok(Value::Bool(true)),
            "suspend" => Ok(value.clone()),
            _ => Err(wrong(path, "one of off, stop, suspend")),
        },
        _ => Err(wrong(path, "one of off, stop, suspend")),
    }
}

/// The integers are the positions of an enumeration whose first value means "not said".
fn persist(path: &str, value: &Value) -> Result<Option<Value>, Refusal> {
    const NAMES: [&str; 3] = ["never", "restart", "always"];
    match value.as_u64() {
        Some(0) => Ok(None),
        Some(at @ 1..=3) => Ok(Some(NAMES[at as usize - 1].into())),
        _ => choice(path, &NAMES, value),
    }
}
