//! Single values as flyctl's types take them, each in its one modern spelling.

use super::{report::Report, text};
use crate::manifest::node::{Place, Value};

/// A value in its canonical form, `None` when it says nothing.
pub(super) type Decoded = Result<Option<Value>, Wrong>;

/// What a value should have been.
pub(super) struct Wrong {
    /// Fits after "must be".
    pub(super) wanted: String,
    /// What to write instead.
    pub(super) help: Option<String>,
}

impl Wrong {
    /// Without help.
    pub(super) fn wanted(wanted: impl Into<String>) -> Self {
        Self {
            wanted: wanted.into(),
            help: None,
        }
    }

    /// With help.
    pub(super) fn help(wanted: impl Into<String>, help: String) -> Self {
        Self {
            wanted: wanted.into(),
            help: Some(help),
        }
    }
}

/// A text; flyctl cannot tell an empty one from none. Its TOML reader hands dates on as texts.
pub(super) fn string(found: Value) -> Decoded {
    match found {
        Value::String(text) | Value::Datetime(text) => {
            Ok((!text.is_empty()).then_some(Value::String(text)))
        }
        Value::Integer(_) | Value::Float(_) | Value::Boolean(_) => {
            let help = format!("write \"{}\", in quotes", text::printed(&found));
            Err(Wrong::help("a text", help))
        }
        Value::Array(_) | Value::Table(_) => Err(Wrong::wanted("a text")),
    }
}

/// A text that splits into words as a shell would split it.
pub(super) fn command(found: Value) -> Decoded {
    match string(found)? {
        Some(Value::String(text)) if shell_words::split(&text).is_err() => {
            Err(Wrong::wanted("a command whose quotes are closed"))
        }
        value => Ok(value),
    }
}

/// A table of whatever.
pub(super) fn free(found: Value) -> Decoded {
    match found {
        Value::Table(_) => Ok(Some(found)),
        _ => Err(Wrong::wanted("a table")),
    }
}

/// A text in capitals.
pub(super) fn capitals(found: Value) -> Decoded {
    Ok(string(found)?.map(|value| Value::String(text::printed(&value).to_uppercase())))
}

/// One of several words.
pub(super) fn one_of(words: &[&str], found: Value) -> Decoded {
    let value = string(found)?;
    match &value {
        Some(Value::String(word)) if !words.contains(&word.as_str()) => Err(Wrong::wanted(
            format!("one of {}, not `{word}`", quoted(words)),
        )),
        _ => Ok(value),
    }
}

fn quoted(words: &[&str]) -> String {
    let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    words.join(", ")
}

/// A whole number within bounds.
pub(super) fn whole(least: i64, most: i64, found: &Value) -> Decoded {
    let number = match found {
        Value::Integer(number) => *number,
        Value::Float(number) => {
            text::whole(*number).ok_or_else(|| Wrong::wanted("a whole number"))?
        }
        Value::String(digits) if digits.parse::<i64>().is_ok() => {
            let help = format!("write {digits}, without quotes");
            return Err(Wrong::help("a whole number", help));
        }
        _ => return Err(Wrong::wanted("a whole number")),
    };
    if (least..=most).contains(&number) {
        Ok(Some(Value::Integer(number)))
    } else {
        Err(Wrong::wanted(format!("between {least} and {most}")))
    }
}

/// A whole number where flyctl cannot tell zero from none.
pub(super) fn count(found: &Value) -> Decoded {
    Ok(whole(i64::MIN, i64::MAX, found)?.filter(|value| *value != Value::Integer(0)))
}

/// A number.
pub(super) fn number(found: Value) -> Decoded {
    match found {
        Value::Integer(_) => Ok(Some(found)),
        Value::Float(number) if number.is_finite() => Ok(Some(found)),
        _ => Err(Wrong::wanted("a number")),
    }
}

/// True or false.
pub(super) fn truth(found: Value) -> Decoded {
    match found {
        Value::Boolean(_) => Ok(Some(found)),
        Value::String(text) if text == "true" || text == "false" => Err(Wrong::help(
            "true or false",
            format!("write {text}, without quotes"),
        )),
        _ => Err(Wrong::wanted("true or false")),
    }
}

/// Whether machines stop by themselves; older files only say whether.
pub(super) fn autostop(found: Value) -> Decoded {
    const WORDS: [&str; 3] = ["off", "stop", "suspend"];
    match found {
        Value::Boolean(truth) => Ok(Some(Value::String(WORDS[usize::from(truth)].to_owned()))),
        Value::String(word) if WORDS.contains(&word.as_str()) => Ok(Some(Value::String(word))),
        _ => Err(Wrong::wanted(format!("one of {}", quoted(&WORDS)))),
    }
}

/// When a root file system persists: the word, or its number in the Machines API.
pub(super) fn persist(found: Value) -> Decoded {
    const WORDS: [&str; 4] = ["", "never", "restart", "always"];
    let word = |number: i64| {
        usize::try_from(number)
            .ok()
            .and_then(|number| WORDS.get(number))
    };
    let number = match found {
        Value::Integer(number) => Some(number),
        Value::Float(number) => text::whole(number),
        _ => return one_of(&WORDS, found),
    };
    let word = number
        .and_then(word)
        .ok_or_else(|| Wrong::wanted(format!("one of {}", quoted(&WORDS[1..]))))?;
    string(Value::String((*word).to_owned()))
}

/// A duration with its unit. What is still a bare number here, flyctl reads as nanoseconds, which nobody means.
pub(super) fn duration(name: &str, at: &Place, found: Value, report: &mut Report) -> Decoded {
    let nanoseconds = match found {
        Value::String(written) => return spelled(&written),
        Value::Integer(number) => number,
        Value::Float(number) => {
            text::whole(number.trunc()).ok_or_else(|| Wrong::wanted(DURATION))?
        }
        _ => return Err(Wrong::wanted(DURATION)),
    };
    report.odd(
        at,
        format!("{name} is {nanoseconds} nanoseconds"),
        "flyctl takes a bare number here as nanoseconds",
        Some(format!("write \"{nanoseconds}s\" if seconds are meant")),
    );
    Ok(Some(Value::String(format!("{nanoseconds}ns"))))
}

/// What a duration must be.
const DURATION: &str = "a duration such as \"15s\" or \"1m30s\"";

fn spelled(written: &str) -> Decoded {
    if text::seconds(written).is_some() {
        // Go knows two signs for "micro"; the canonical form has neither.
        return Ok(Some(Value::String(written.replace(['µ', 'μ'], "u"))));
    }
    let bare = !written.is_empty() && written.chars().all(|c| c.is_ascii_digit());
    Err(if bare {
        Wrong::help(DURATION, format!("write the unit: \"{written}s\""))
    } else {
        Wrong::wanted(DURATION)
    })
}
