//! From text or JSON to a policy: what AWS would refuse is refused with the place, and what it would take and we do not
//! know is kept.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use serde_json::{Map, Value};

use super::{
    FIRST_VERSION, Policy, Statement,
    statement::{Condition, Effect, Listed, Who},
    unique::Unique,
    word::Word,
};

/// How long a document may be, in bytes. AWS's longest is a bucket's with 20 KB; percent-encoding makes three of one, and
/// spaces do not count everywhere.
const LONGEST: usize = 128 * 1024;
/// How many values it may hold: as many as fit, in the shortest notation.
const MOST_VALUES: usize = 32 * 1024;
/// How deep it may nest. The language itself needs five.
const DEEPEST: usize = 32;
/// How many statements: more than 20 KB can hold.
const MOST_STATEMENTS: usize = 1000;
/// Beyond this a number that is not written as text has lost digits when it was read.
const LARGEST_EXACT: f64 = 9_007_199_254_740_992.0;

/// A document that is not a policy, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a policy document: {0}")]
pub struct NotAPolicy(String);

type Read<T> = Result<T, NotAPolicy>;

fn wrong<T>(why: impl Into<String>) -> Read<T> {
    Err(NotAPolicy(why.into()))
}

/// A document as text. IAM percent-encodes what it returns and S3 does not, so that the first character decides.
pub(super) fn text(text: &str) -> Read<Policy> {
    if text.len() > LONGEST {
        return wrong(format!(
            "it has {} bytes, and AWS takes none longer than 20 KB",
            text.len()
        ));
    }
    let text = text.trim();
    let plain = if text.starts_with('{') {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(decoded(text)?)
    };
    match serde_json::from_str(&plain) {
        Ok(Unique(value)) => document(&value),
        Err(error) => wrong(error.to_string()),
    }
}

/// Decodes as RFC 3986 has it: a plus sign is a plus sign.
fn decoded(text: &str) -> Read<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let mut digit = || rest.next().and_then(|byte| char::from(byte).to_digit(16));
        match byte {
            b'%' => match (digit(), digit()) {
                (Some(high), Some(low)) => out.extend(u8::try_from(high * 16 + low)),
                _ => return wrong("it is neither JSON nor percent-encoded JSON"),
            },
            other => out.push(other),
        }
    }
    String::from_utf8(out).or_else(|_| wrong("it is not UTF-8"))
}

/// A document as JSON.
pub(super) fn document(document: &Value) -> Read<Policy> {
    bounded(document)?;
    let Value::Object(fields) = document else {
        return wrong(format!("it is {}, not an object", sort(document)));
    };
    let mut rest = fields.clone();
    let version = match rest.remove("Version") {
        None => FIRST_VERSION.to_owned(),
        Some(Value::String(version)) => version,
        Some(other) => return wrong(format!("Version is {}, not a text", sort(&other))),
    };
    let statements = match rest.remove("Statement") {
        None => return wrong("it has no Statement"),
        Some(Value::Array(list)) => list,
        Some(one) => vec![one],
    };
    if statements.len() > MOST_STATEMENTS {
        return wrong(format!("it has {} statements", statements.len()));
    }
    let statements = statements.into_iter().enumerate().map(|(at, value)| {
        statement(value).map_err(|NotAPolicy(why)| NotAPolicy(format!("Statement[{at}]: {why}")))
    });
    Ok(Policy {
        version,
        statements: statements.collect::<Read<_>>()?,
        rest,
    })
}

/// Refuses what would take long to work on, without recursion.
fn bounded(document: &Value) -> Read<()> {
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
        if depth > DEEPEST {
            return wrong(format!("it nests deeper than {DEEPEST} levels"));
        }
        if values > MOST_VALUES || bytes > LONGEST {
            return wrong("it is longer than any that AWS takes");
        }
    }
    Ok(())
}

/// What a value is, for an error.
fn sort(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn statement(value: Value) -> Read<Statement> {
    let mut rest = match value {
        Value::Object(fields) => fields,
        other => return wrong(format!("it is {}, not an object", sort(&other))),
    };
    let effect = match rest.remove("Effect") {
        Some(Value::String(text)) if text == "Allow" => Effect::Allow,
        Some(Value::String(text)) if text == "Deny" => Effect::Deny,
        Some(other) => {
            return wrong(format!(
                "Effect is {other}; AWS knows \"Allow\" and \"Deny\""
            ));
        }
        None => return wrong("it has no Effect (names are case-sensitive)"),
    };
    let sid = match rest.remove("Sid") {
        None => None,
        Some(Value::String(sid)) => Some(sid).filter(|sid| !sid.is_empty()),
        Some(other) => return wrong(format!("Sid is {}, not a text", sort(&other))),
    };
    let Some((but, action)) = either(&mut rest, "Action", "NotAction")? else {
        return wrong("it has neither Action nor NotAction (names are case-sensitive)");
    };
    let action = Listed {
        but,
        members: members("Action", &action, Word::caseless)?,
    };
    let resource = either(&mut rest, "Resource", "NotResource")?;
    let resource = resource.map(|(but, value)| {
        Ok(Listed {
            but,
            members: members("Resource", &value, Word::exact)?,
        })
    });
    let principal =
        either(&mut rest, "Principal", "NotPrincipal")?.map(|(but, value)| who(but, &value));
    let condition = rest
        .remove("Condition")
        .map(|value| condition(&value))
        .transpose()?
        .unwrap_or_default();
    Ok(Statement {
        sid,
        effect,
        principal: principal.transpose()?,
        action,
        resource: resource.transpose()?,
        condition,
        rest,
    })
}

/// The value of an element or of its negation, and whether it is the negation. AWS takes only one of the two.
fn either(
    fields: &mut Map<String, Value>,
    name: &str,
    negated: &str,
) -> Read<Option<(bool, Value)>> {
    match (fields.remove(name), fields.remove(negated)) {
        (Some(_), Some(_)) => wrong(format!("it has both {name} and {negated}")),
        (Some(value), None) => Ok(Some((false, value))),
        (None, negated) => Ok(negated.map(|value| (true, value))),
    }
}

/// A set of texts, of which one may stand for itself. Of several spellings of one text the first in the order of bytes is
/// kept (capitals come first), so that the order in which they stood does not show.
fn members(name: &str, value: &Value, word: fn(&str) -> Word) -> Read<BTreeSet<Word>> {
    let list = match value {
        Value::Array(list) => list.as_slice(),
        one => std::slice::from_ref(one),
    };
    let mut out = BTreeSet::new();
    for value in list {
        let Value::String(text) = value else {
            return wrong(format!("{name} holds {}, not a text", sort(value)));
        };
        let word = word(text);
        if out
            .get(&word)
            .is_none_or(|kept: &Word| word.text() < kept.text())
        {
            out.replace(word);
        }
    }
    Ok(out)
}

fn who(but: bool, value: &Value) -> Read<Who> {
    let kinds = match value {
        Value::String(text) if text == "*" => {
            BTreeMap::from([(Who::AWS.to_owned(), BTreeSet::from([Word::principal(text)]))])
        }
        Value::Object(kinds) => {
            let one = |(kind, value): (&String, &Value)| {
                let word = if kind == Who::AWS {
                    Word::principal
                } else {
                    Word::exact
                };
                Ok((
                    kind.clone(),
                    members(&format!("Principal.{kind}"), value, word)?,
                ))
            };
            kinds.iter().map(one).collect::<Read<_>>()?
        }
        other => return wrong(format!("Principal is {other}, neither \"*\" nor an object")),
    };
    Ok(Who { but, kinds })
}

/// Operators, keys and values. An operator without keys asks for nothing and is left out.
fn condition(value: &Value) -> Read<Condition> {
    let Value::Object(operators) = value else {
        return wrong(format!("Condition is {}, not an object", sort(value)));
    };
    let mut out = Condition::new();
    for (operator, keys) in operators {
        let Value::Object(keys) = keys else {
            return wrong(format!(
                "Condition.{operator} is {}, not an object",
                sort(keys)
            ));
        };
        let mut inner = BTreeMap::new();
        for (key, values) in keys {
            let name = format!("Condition.{operator}.{key}");
            if inner
                .insert(Word::caseless(key), compared(&name, values)?)
                .is_some()
            {
                return wrong(format!("{name} stands twice, in other letters"));
            }
        }
        if !inner.is_empty() && out.insert(Word::caseless(operator), inner).is_some() {
            return wrong(format!(
                "Condition.{operator} stands twice, in other letters"
            ));
        }
    }
    Ok(out)
}

/// What a condition compares with: texts, and what AWS takes for texts.
fn compared(name: &str, value: &Value) -> Read<BTreeSet<Word>> {
    let text = |value: &Value| match value {
        Value::Bool(_) => Ok(Value::String(value.to_string())),
        Value::Number(number)
            if number.is_f64()
                && number
                    .as_f64()
                    .is_none_or(|value| value.abs() >= LARGEST_EXACT) =>
        {
            wrong(format!(
                "{name} holds a number of too many digits: write it as a text"
            ))
        }
        Value::Number(number) => Ok(Value::String(number.to_string())),
        other => Ok(other.clone()),
    };
    let value = match value {
        Value::Array(list) => list.iter().map(text).collect::<Read<_>>()?,
        one => text(one)?,
    };
    members(name, &value, Word::exact)
}
