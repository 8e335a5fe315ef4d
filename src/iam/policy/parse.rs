//! From text or JSON to a policy: what AWS would refuse is refused with the place, and what it would take and we do not
//! know is kept.

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

/// How long a document may be, in bytes. AWS's longest is a bucket's with 20 KB; percent-encoding makes three of one, and
/// spaces do not count everywhere.
const MAX_BYTES: usize = 128 * 1024;
/// How many values it may hold: as many as fit, in the shortest notation.
const MAX_VALUES: usize = 32 * 1024;
/// How deep it may nest. The language itself needs five.
const MAX_DEPTH: usize = 32;
/// How many statements: more than 20 KB can hold.
const MAX_STATEMENTS: usize = 1000;
/// Beyond this a number that is not written as text has lost digits when it was read.
const MAX_EXACT_NUMBER: f64 = 9_007_199_254_740_992.0;

/// A document that is not a policy, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a policy document: {0}")]
pub struct InvalidPolicy(String);

type ParseResult<T> = Result<T, InvalidPolicy>;

fn invalid<T>(why: impl Into<String>) -> ParseResult<T> {
    Err(InvalidPolicy(why.into()))
}

/// A document as text. IAM percent-encodes what it returns and S3 does not, so that the first character decides.
pub(super) fn parse_text(text: &str) -> ParseResult<PolicyDocument> {
    if text.len() > MAX_BYTES {
        return invalid(format!(
            "it has {} bytes, and AWS takes none longer than 20 KB",
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

/// Decodes as RFC 3986 has it: a plus sign is a plus sign.
fn percent_decode(text: &str) -> ParseResult<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let mut digit = || rest.next().and_then(|byte| char::from(byte).to_digit(16));
        match byte {
            b'%' => match (digit(), digit()) {
                (Some(high), Some(low)) => out.extend(u8::try_from(high * 16 + low)),
                _ => return invalid("it is neither JSON nor percent-encoded JSON"),
            },
            other => out.push(other),
        }
    }
    String::from_utf8(out).or_else(|_| invalid("it is not UTF-8"))
}

/// A document as JSON.
pub(super) fn parse_document(document: &Value) -> ParseResult<PolicyDocument> {
    check_size(document)?;
    let Value::Object(fields) = document else {
        return invalid(format!("it is {}, not an object", json_type_name(document)));
    };
    let mut rest = fields.clone();
    let version = match rest.remove("Version") {
        None => DEFAULT_VERSION.to_owned(),
        Some(Value::String(version)) => version,
        Some(other) => {
            return invalid(format!("Version is {}, not a text", json_type_name(&other)));
        }
    };
    let statements = match rest.remove("Statement") {
        None => return invalid("it has no Statement"),
        Some(Value::Array(list)) => list,
        Some(one) => vec![one],
    };
    if statements.len() > MAX_STATEMENTS {
        return invalid(format!("it has {} statements", statements.len()));
    }
    let statements = statements.into_iter().enumerate().map(|(at, value)| {
        parse_statement(value)
            .map_err(|InvalidPolicy(why)| InvalidPolicy(format!("Statement[{at}]: {why}")))
    });
    Ok(PolicyDocument {
        version,
        statements: statements.collect::<ParseResult<_>>()?,
        other_elements: rest,
    })
}

/// Refuses what would take long to work on, without recursion.
fn check_size(document: &Value) -> ParseResult<()> {
    let (mut values, mut bytes) = (0, 0);
    let mut open = vec![(document, 0)];
    while let Some((value, depth)) = open.pop() {
        values += 1;
        match value {
            Value::String(text) => bytes += text.len(),
            Value::Array(list) => open.extend(list.iter().map(|inner| (inner, depth + 1))),
            Value::Object(map) => {
                bytes += map.keys().map(String::len).sum::<usize>();
                open.extend(map.values().map(|inner| (inner, depth + 1)));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
        if depth > MAX_DEPTH {
            return invalid(format!("it nests deeper than {MAX_DEPTH} levels"));
        }
        if values > MAX_VALUES || bytes > MAX_BYTES {
            return invalid("it is longer than any that AWS takes");
        }
    }
    Ok(())
}

/// What a value is, for an error.
fn json_type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn parse_statement(value: Value) -> ParseResult<Statement> {
    let mut rest = match value {
        Value::Object(fields) => fields,
        other => return invalid(format!("it is {}, not an object", json_type_name(&other))),
    };
    let effect = match rest.remove("Effect") {
        Some(Value::String(text)) if text == "Allow" => Effect::Allow,
        Some(Value::String(text)) if text == "Deny" => Effect::Deny,
        Some(other) => {
            return invalid(format!(
                "Effect is {other}; AWS knows \"Allow\" and \"Deny\""
            ));
        }
        None => return invalid("it has no Effect (names are case-sensitive)"),
    };
    let sid = match rest.remove("Sid") {
        None => None,
        Some(Value::String(sid)) => Some(sid).filter(|sid| !sid.is_empty()),
        Some(other) => return invalid(format!("Sid is {}, not a text", json_type_name(&other))),
    };
    let Some((but, action)) = take_element(&mut rest, "Action", "NotAction")? else {
        return invalid("it has neither Action nor NotAction (names are case-sensitive)");
    };
    let action = ElementValues {
        negated: but,
        values: parse_values("Action", &action, PolicyString::case_insensitive)?,
    };
    let resource = take_element(&mut rest, "Resource", "NotResource")?;
    let resource = resource.map(|(but, value)| {
        Ok(ElementValues {
            negated: but,
            values: parse_values("Resource", &value, PolicyString::case_sensitive)?,
        })
    });
    let principal = take_element(&mut rest, "Principal", "NotPrincipal")?
        .map(|(but, value)| parse_principals(but, &value));
    let condition = rest
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
        other_elements: rest,
    })
}

/// The value of an element or of its negation, and whether it is the negation. AWS takes only one of the two.
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

/// A set of texts, of which one may stand for itself. Of several spellings of one text the first in the order of bytes is
/// kept (capitals come first), so that the order in which they stood does not show.
fn parse_values(
    name: &str,
    value: &Value,
    word: fn(&str) -> PolicyString,
) -> ParseResult<BTreeSet<PolicyString>> {
    let list = match value {
        Value::Array(list) => list.as_slice(),
        one => std::slice::from_ref(one),
    };
    let mut out = BTreeSet::new();
    for value in list {
        let Value::String(text) = value else {
            return invalid(format!(
                "{name} holds {}, not a text",
                json_type_name(value)
            ));
        };
        let word = word(text);
        if out
            .get(&word)
            .is_none_or(|kept: &PolicyString| word.original() < kept.original())
        {
            out.replace(word);
        }
    }
    Ok(out)
}

fn parse_principals(but: bool, value: &Value) -> ParseResult<PrincipalSet> {
    let kinds = match value {
        Value::String(text) if text == "*" => BTreeMap::from([(
            PrincipalSet::AWS.to_owned(),
            BTreeSet::from([PolicyString::aws_principal(text)]),
        )]),
        Value::Object(kinds) => {
            let one = |(kind, value): (&String, &Value)| {
                let word = if kind == PrincipalSet::AWS {
                    PolicyString::aws_principal
                } else {
                    PolicyString::case_sensitive
                };
                Ok((
                    kind.clone(),
                    parse_values(&format!("Principal.{kind}"), value, word)?,
                ))
            };
            kinds.iter().map(one).collect::<ParseResult<_>>()?
        }
        other => return invalid(format!("Principal is {other}, neither \"*\" nor an object")),
    };
    Ok(PrincipalSet {
        negated: but,
        by_type: kinds,
    })
}

/// Operators, keys and values. An operator without keys asks for nothing and is left out.
fn parse_conditions(value: &Value) -> ParseResult<Conditions> {
    let Value::Object(operators) = value else {
        return invalid(format!(
            "Condition is {}, not an object",
            json_type_name(value)
        ));
    };
    let mut out = Conditions::new();
    for (operator, keys) in operators {
        let Value::Object(keys) = keys else {
            return invalid(format!(
                "Condition.{operator} is {}, not an object",
                json_type_name(keys)
            ));
        };
        let mut inner = BTreeMap::new();
        for (key, values) in keys {
            let name = format!("Condition.{operator}.{key}");
            if inner
                .insert(
                    PolicyString::case_insensitive(key),
                    parse_condition_values(&name, values)?,
                )
                .is_some()
            {
                return invalid(format!("{name} stands twice, in other letters"));
            }
        }
        if !inner.is_empty()
            && out
                .insert(PolicyString::case_insensitive(operator), inner)
                .is_some()
        {
            return invalid(format!(
                "Condition.{operator} stands twice, in other letters"
            ));
        }
    }
    Ok(out)
}

/// What a condition compares with: texts, and what AWS takes for texts.
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
                "{name} holds a number of too many digits: write it as a text"
            ))
        }
        Value::Number(number) => Ok(Value::String(number.to_string())),
        other => Ok(other.clone()),
    };
    let value = match value {
        Value::Array(list) => list.iter().map(text).collect::<ParseResult<_>>()?,
        one => text(one)?,
    };
    parse_values(name, &value, PolicyString::case_sensitive)
}
