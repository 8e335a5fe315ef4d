//! Parses policy documents. What AWS would reject as malformed is an error that names the place.
//! Unknown elements are kept.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use serde_json::{Map, Value};

use super::{
    DEFAULT_VERSION, PolicyDocument, Statement,
    policy_string::PolicyString,
    statement::{Conditions, Effect, ElementValues, PrincipalSet},
    unique_keys::UniqueKeysJson,
};

/// The longest document, in bytes. AWS's limit is 20 KB for a bucket policy; percent-encoding
/// triples that, and white space is not counted everywhere.
const MAX_BYTES: usize = 128 * 1024;
/// The largest number of JSON values: as many as fit into 20 KB in the shortest notation, and more.
const MAX_VALUES: usize = 32 * 1024;
/// The deepest nesting. The policy language itself needs five levels.
const MAX_DEPTH: usize = 32;
/// The largest number of statements: more than fit into 20 KB.
const MAX_STATEMENTS: usize = 1000;
/// From here on, a number that is not written as a string has lost digits in parsing (2^53).
const MAX_EXACT_NUMBER: f64 = 9_007_199_254_740_992.0;

/// The reason why a document is not a policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a policy document: {0}")]
pub struct InvalidPolicy(String);

type ParseResult<T> = Result<T, InvalidPolicy>;

fn invalid<T>(message: impl Into<String>) -> ParseResult<T> {
    Err(InvalidPolicy(message.into()))
}

/// Parses a document from text. IAM percent-encodes what it returns and S3 does not; the first
/// character tells.
pub(super) fn parse_text(text: &str) -> ParseResult<PolicyDocument> {
    if text.len() > MAX_BYTES {
        return invalid(format!(
            "it has {} bytes, and AWS accepts at most 20 KB",
            text.len()
        ));
    }
    let text = text.trim();
    let plain = if text.starts_with('{') {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(percent_decode(text)?)
    };
    match serde_json::from_str(&plain) {
        Ok(UniqueKeysJson(value)) => parse_document(&value),
        Err(error) => invalid(error.to_string()),
    }
}

/// Percent-decodes by RFC 3986, where a plus sign is just a plus sign.
fn percent_decode(text: &str) -> ParseResult<String> {
    let mut result = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let mut digit = || bytes.next().and_then(|byte| char::from(byte).to_digit(16));
        match byte {
            b'%' => match (digit(), digit()) {
                (Some(high), Some(low)) => result.extend(u8::try_from(high * 16 + low)),
                _ => return invalid("it is neither JSON nor percent-encoded JSON"),
            },
            other => result.push(other),
        }
    }
    String::from_utf8(result).or_else(|_| invalid("it is not UTF-8"))
}

/// Parses a document from JSON.
pub(super) fn parse_document(document: &Value) -> ParseResult<PolicyDocument> {
    check_size(document)?;
    let Value::Object(fields) = document else {
        return invalid(format!("it is {}, not an object", json_type_name(document)));
    };
    let mut elements = fields.clone();
    let version = match elements.remove("Version") {
        None => DEFAULT_VERSION.to_owned(),
        Some(Value::String(version)) => version,
        Some(other) => {
            return invalid(format!(
                "Version is {}, not a string",
                json_type_name(&other)
            ));
        }
    };
    let statements = match elements.remove("Statement") {
        None => return invalid("it has no Statement"),
        Some(Value::Array(items)) => items,
        Some(one) => vec![one],
    };
    if statements.len() > MAX_STATEMENTS {
        return invalid(format!("it has {} statements", statements.len()));
    }
    let statements = statements.into_iter().enumerate().map(|(index, value)| {
        parse_statement(value).map_err(|InvalidPolicy(message)| {
            InvalidPolicy(format!("Statement[{index}]: {message}"))
        })
    });
    Ok(PolicyDocument {
        version,
        statements: statements.collect::<ParseResult<_>>()?,
        other_elements: elements,
    })
}

/// Rejects documents that would take long to process. Uses no recursion, so deep nesting cannot
/// overflow the stack.
fn check_size(document: &Value) -> ParseResult<()> {
    let (mut values, mut bytes) = (0, 0);
    let mut pending = vec![(document, 0)];
    while let Some((value, depth)) = pending.pop() {
        values += 1;
        match value {
            Value::String(text) => bytes += text.len(),
            Value::Array(items) => pending.extend(items.iter().map(|child| (child, depth + 1))),
            Value::Object(map) => {
                bytes += map.keys().map(String::len).sum::<usize>();
                pending.extend(map.values().map(|child| (child, depth + 1)));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
        if depth > MAX_DEPTH {
            return invalid(format!("it nests deeper than {MAX_DEPTH} levels"));
        }
        if values > MAX_VALUES || bytes > MAX_BYTES {
            return invalid("it is longer than AWS accepts");
        }
    }
    Ok(())
}

/// The type of a JSON value, for error messages.
fn json_type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn parse_statement(value: Value) -> ParseResult<Statement> {
    let mut elements = match value {
        Value::Object(fields) => fields,
        other => return invalid(format!("it is {}, not an object", json_type_name(&other))),
    };
    let effect = match elements.remove("Effect") {
        Some(Value::String(text)) if text == "Allow" => Effect::Allow,
        Some(Value::String(text)) if text == "Deny" => Effect::Deny,
        Some(other) => {
            return invalid(format!(
                "Effect is {other}; it must be \"Allow\" or \"Deny\""
            ));
        }
        None => return invalid("it has no Effect (names are case-sensitive)"),
    };
    let sid = match elements.remove("Sid") {
        None => None,
        Some(Value::String(sid)) => Some(sid).filter(|sid| !sid.is_empty()),
        Some(other) => return invalid(format!("Sid is {}, not a string", json_type_name(&other))),
    };
    let Some((negated, action)) = take_element(&mut elements, "Action", "NotAction")? else {
        return invalid("it has neither Action nor NotAction (names are case-sensitive)");
    };
    let action = ElementValues {
        negated,
        values: parse_values("Action", &action, PolicyString::case_insensitive)?,
    };
    let resource = take_element(&mut elements, "Resource", "NotResource")?;
    let resource = resource.map(|(negated, value)| {
        Ok(ElementValues {
            negated,
            values: parse_values("Resource", &value, PolicyString::case_sensitive)?,
        })
    });
    let principal = take_element(&mut elements, "Principal", "NotPrincipal")?
        .map(|(negated, value)| parse_principals(negated, &value));
    let condition = elements
        .remove("Condition")
        .map(|value| parse_conditions(&value))
        .transpose()?
        .unwrap_or_default();
    Ok(Statement {
        sid,
        effect,
        principals: principal.transpose()?,
        actions: action,
        resources: resource.transpose()?,
        conditions: condition,
        other_elements: elements,
    })
}

/// Removes an element or its negation, and returns whether it was the negation. AWS accepts only
/// one of the two.
fn take_element(
    fields: &mut Map<String, Value>,
    name: &str,
    negated: &str,
) -> ParseResult<Option<(bool, Value)>> {
    match (fields.remove(name), fields.remove(negated)) {
        (Some(_), Some(_)) => invalid(format!("it has both {name} and {negated}")),
        (Some(value), None) => Ok(Some((false, value))),
        (None, negated) => Ok(negated.map(|value| (true, value))),
    }
}

/// Parses a set of strings, which may be a single string. If a string appears in several spellings,
/// the first one in byte order is kept (upper case first), so the result does not depend on their
/// order.
fn parse_values(
    name: &str,
    value: &Value,
    policy_string: fn(&str) -> PolicyString,
) -> ParseResult<BTreeSet<PolicyString>> {
    let items = match value {
        Value::Array(items) => items.as_slice(),
        one => std::slice::from_ref(one),
    };
    let mut result = BTreeSet::new();
    for value in items {
        let Value::String(text) = value else {
            return invalid(format!(
                "{name} holds {}, not a string",
                json_type_name(value)
            ));
        };
        let policy_string = policy_string(text);
        if result
            .get(&policy_string)
            .is_none_or(|existing: &PolicyString| policy_string.original() < existing.original())
        {
            result.replace(policy_string);
        }
    }
    Ok(result)
}

fn parse_principals(negated: bool, value: &Value) -> ParseResult<PrincipalSet> {
    let by_type = match value {
        Value::String(text) if text == "*" => BTreeMap::from([(
            PrincipalSet::AWS.to_owned(),
            BTreeSet::from([PolicyString::aws_principal(text)]),
        )]),
        Value::Object(by_type) => {
            let one = |(kind, value): (&String, &Value)| {
                let policy_string = if kind == PrincipalSet::AWS {
                    PolicyString::aws_principal
                } else {
                    PolicyString::case_sensitive
                };
                Ok((
                    kind.clone(),
                    parse_values(&format!("Principal.{kind}"), value, policy_string)?,
                ))
            };
            by_type.iter().map(one).collect::<ParseResult<_>>()?
        }
        other => return invalid(format!("Principal is {other}, neither \"*\" nor an object")),
    };
    Ok(PrincipalSet { negated, by_type })
}

/// Parses operators, keys and values. An operator without keys has no effect and is left out.
fn parse_conditions(value: &Value) -> ParseResult<Conditions> {
    let Value::Object(operators) = value else {
        return invalid(format!(
            "Condition is {}, not an object",
            json_type_name(value)
        ));
    };
    let mut result = Conditions::new();
    for (operator, keys) in operators {
        let Value::Object(keys) = keys else {
            return invalid(format!(
                "Condition.{operator} is {}, not an object",
                json_type_name(keys)
            ));
        };
        let mut child = BTreeMap::new();
        for (key, values) in keys {
            // Keeping only one of two spellings of a key would silently drop the other's values.
            let name = format!("Condition.{operator}.{key}");
            if child
                .insert(
                    PolicyString::case_insensitive(key),
                    parse_condition_values(&name, values)?,
                )
                .is_some()
            {
                return invalid(format!("{name} appears twice, in different case"));
            }
        }
        if !child.is_empty()
            && result
                .insert(PolicyString::case_insensitive(operator), child)
                .is_some()
        {
            return invalid(format!(
                "Condition.{operator} appears twice, in different case"
            ));
        }
    }
    Ok(result)
}

/// Parses the values of a condition: strings, and the booleans and numbers that AWS treats as
/// strings.
fn parse_condition_values(name: &str, value: &Value) -> ParseResult<BTreeSet<PolicyString>> {
    let text = |value: &Value| match value {
        Value::Bool(_) => Ok(Value::String(value.to_string())),
        Value::Number(number)
            if number.is_f64()
                && number
                    .as_f64()
                    .is_none_or(|value| value.abs() >= MAX_EXACT_NUMBER) =>
        {
            invalid(format!(
                "{name} holds a number of too many digits: write it as a string"
            ))
        }
        Value::Number(number) => Ok(Value::String(number.to_string())),
        other => Ok(other.clone()),
    };
    let value = match value {
        Value::Array(items) => items.iter().map(text).collect::<ParseResult<_>>()?,
        one => text(one)?,
    };
    parse_values(name, &value, PolicyString::case_sensitive)
}
