//! Operators and type conversions.

use regex::Regex;
use serde_json::Value;

use super::error::SqlError;
use super::session::SqlSession;
use super::state::truncate_name;
use super::value::{SqlValue, parse_bool};

/// `~` and its variants.
///
/// # Errors
/// `2201B` for an invalid pattern.
pub(super) fn matches_regex(
    operator: &str,
    text: &SqlValue,
    pattern: &SqlValue,
) -> Result<bool, SqlError> {
    let prefix = if operator.ends_with('*') { "(?i)" } else { "" };
    let pattern = format!("{prefix}{}", pattern.print().unwrap_or_default());
    let regex =
        Regex::new(&pattern).map_err(|_| SqlError::new("2201B", "invalid regular expression"))?;
    let found = regex.is_match(&text.print().unwrap_or_default());
    Ok(found != operator.starts_with('!'))
}

/// `LIKE`.
///
/// # Errors
/// `22025` for an invalid pattern.
pub(super) fn matches_like(text: &SqlValue, pattern: &SqlValue) -> Result<bool, SqlError> {
    let mut regex = String::from("^(?s)");
    let mut characters = pattern.print().unwrap_or_default();
    characters.push('\0');
    let mut escaped = false;
    for c in characters.chars().take_while(|c| *c != '\0') {
        match c {
            '\\' if !escaped => {
                escaped = true;
                continue;
            }
            '%' if !escaped => regex.push_str(".*"),
            '_' if !escaped => regex.push('.'),
            other => regex.push_str(&regex::escape(&other.to_string())),
        }
        escaped = false;
    }
    regex.push('$');
    let regex = Regex::new(&regex).map_err(|_| SqlError::new("22025", "invalid pattern"))?;
    Ok(regex.is_match(&text.print().unwrap_or_default()))
}

/// The operators whose sides are not null and whose result is no condition.
///
/// # Errors
/// `42883` for types that it does not take.
pub(super) fn apply_operator(
    operator: &str,
    left: &SqlValue,
    right: &SqlValue,
    position: usize,
) -> Result<SqlValue, SqlError> {
    match (operator, left, right) {
        ("||", SqlValue::Array(left), SqlValue::Array(right)) => {
            Ok(SqlValue::Array([left.clone(), right.clone()].concat()))
        }
        ("||", _, _) => Ok(SqlValue::Text(
            [left, right]
                .map(|v| v.print().unwrap_or_default())
                .concat(),
        )),
        ("->" | "->>", SqlValue::Json(document), key) => Ok(json_member(operator, document, key)),
        (_, SqlValue::Int(left), SqlValue::Int(right)) => integer_operator(operator, *left, *right),
        (_, SqlValue::Int(_) | SqlValue::Float(_), SqlValue::Int(_) | SqlValue::Float(_)) => {
            let number = |value: &SqlValue| match value {
                SqlValue::Int(number) => *number as f64,
                SqlValue::Float(number) => *number,
                _ => 0.0,
            };
            let (left, right) = (number(left), number(right));
            Ok(SqlValue::Float(match operator {
                "+" => left + right,
                "-" => left - right,
                "*" => left * right,
                _ if right == 0.0 => return Err(division_by_zero()),
                _ => left / right,
            }))
        }
        _ => {
            let (left, right) = (left.type_name(), right.type_name());
            let message = format!("operator does not exist: {left} {operator} {right}");
            Err(SqlError::new("42883", message).at(position).with_hint(
                "No operator matches the given name and argument types. You might need to add explicit type casts.",
            ))
        }
    }
}

fn division_by_zero() -> SqlError {
    SqlError::new("22012", "division by zero")
}

fn integer_operator(operator: &str, left: i64, right: i64) -> Result<SqlValue, SqlError> {
    let result = match operator {
        "+" => left.checked_add(right),
        "-" => left.checked_sub(right),
        "*" => left.checked_mul(right),
        _ if right == 0 => return Err(division_by_zero()),
        "/" => left.checked_div(right),
        _ => left.checked_rem(right),
    };
    result
        .map(SqlValue::Int)
        .ok_or_else(|| SqlError::new("22003", "bigint out of range"))
}

fn json_member(operator: &str, document: &Value, key: &SqlValue) -> SqlValue {
    let member = match key {
        SqlValue::Int(index) => usize::try_from(*index).ok().and_then(|at| document.get(at)),
        key => document.get(key.print().unwrap_or_default()),
    };
    match (member, operator) {
        (None, _) => SqlValue::Null,
        (Some(value), "->") => SqlValue::Json(value.clone()),
        (Some(Value::Null), _) => SqlValue::Null,
        (Some(Value::String(text)), _) => SqlValue::text(text.clone()),
        (Some(value), _) => SqlValue::Text(value.to_string()),
    }
}

/// Converts a value to a type.
///
/// # Errors
/// `22P02` for a text that is none of this type.
pub(super) fn cast(
    session: &SqlSession<'_>,
    value: SqlValue,
    target: &str,
) -> Result<SqlValue, SqlError> {
    let Some(text) = value.print() else {
        return Ok(SqlValue::Null);
    };
    let invalid = |kind: &str| {
        let message = format!("invalid input syntax for type {kind}: \"{text}\"");
        SqlError::new("22P02", message)
    };
    Ok(match target {
        "text" | "varchar" => match value {
            SqlValue::Bool(flag) => SqlValue::text(flag.to_string()),
            _ => SqlValue::Text(text),
        },
        "name" => SqlValue::name(truncate_name(&text)),
        "bool" | "boolean" => parse_bool(&text)
            .map(SqlValue::Bool)
            .ok_or_else(|| invalid("boolean"))?,
        "int" | "integer" | "int4" | "bigint" | "int8" | "oid" => match value {
            SqlValue::Float(number) => SqlValue::Int(number.round() as i64),
            SqlValue::Bool(flag) => SqlValue::Int(i64::from(flag)),
            _ => SqlValue::Int(text.trim().parse().map_err(|_| invalid("bigint"))?),
        },
        "numeric" | "float8" | "real" => match value {
            SqlValue::Int(_) => value,
            _ => SqlValue::Float(text.trim().parse().map_err(|_| invalid("numeric"))?),
        },
        "json" | "jsonb" => match value {
            SqlValue::Json(_) => value,
            _ => SqlValue::Json(serde_json::from_str(&text).map_err(|_| invalid("json"))?),
        },
        "regrole" => session
            .server
            .roles
            .contains_key(&text)
            .then(|| SqlValue::name(&*text))
            .ok_or_else(|| SqlError::no_role(&text))?,
        "text[]" | "name[]" => value,
        other => return Err(SqlError::unsupported(&format!("the type {other}"))),
    })
}
