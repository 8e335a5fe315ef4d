//! Single values as flyctl's types take them, each in its one modern spelling.

use super::{diagnostics::FlyTomlDiagnostics, go_format};
use crate::manifest::syntax::node::{SourceLocation, TomlValue};

/// A value in its canonical form, `None` when it says nothing.
pub(super) type Decoded = Result<Option<TomlValue>, TypeMismatch>;

/// What a value should have been.
pub(super) struct TypeMismatch {
    /// Fits after "must be".
    pub(super) expected: String,
    /// What to write instead.
    pub(super) help: Option<String>,
}

impl TypeMismatch {
    /// Without help.
    pub(super) fn new(wanted: impl Into<String>) -> Self {
        Self {
            expected: wanted.into(),
            help: None,
        }
    }

    /// With help.
    pub(super) fn with_help(wanted: impl Into<String>, help: String) -> Self {
        Self {
            expected: wanted.into(),
            help: Some(help),
        }
    }
}

/// A text; flyctl cannot tell an empty one from none. Its TOML reader hands dates on as texts.
pub(super) fn string(found: TomlValue) -> Decoded {
    match found {
        TomlValue::String(text) | TomlValue::Datetime(text) => {
            Ok((!text.is_empty()).then_some(TomlValue::String(text)))
        }
        TomlValue::Integer(_) | TomlValue::Float(_) | TomlValue::Boolean(_) => {
            let help = format!("write \"{}\", in quotes", go_format::format_value(&found));
            Err(TypeMismatch::with_help("a text", help))
        }
        TomlValue::Array(_) | TomlValue::Table(_) => Err(TypeMismatch::new("a text")),
    }
}

/// A text that splits into words as a shell would split it.
pub(super) fn command(found: TomlValue) -> Decoded {
    match string(found)? {
        Some(TomlValue::String(text)) if shell_words::split(&text).is_err() => {
            Err(TypeMismatch::new("a command whose quotes are closed"))
        }
        value => Ok(value),
    }
}

/// A table of whatever.
pub(super) fn any_table(found: TomlValue) -> Decoded {
    match found {
        TomlValue::Table(_) => Ok(Some(found)),
        _ => Err(TypeMismatch::new("a table")),
    }
}

/// A text in capitals.
pub(super) fn uppercase(found: TomlValue) -> Decoded {
    Ok(string(found)?
        .map(|value| TomlValue::String(go_format::format_value(&value).to_uppercase())))
}

/// One of several words.
pub(super) fn one_of(words: &[&str], found: TomlValue) -> Decoded {
    let value = string(found)?;
    match &value {
        Some(TomlValue::String(word)) if !words.contains(&word.as_str()) => Err(TypeMismatch::new(
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
pub(super) fn integer_in_range(least: i64, most: i64, found: &TomlValue) -> Decoded {
    let number = match found {
        TomlValue::Integer(number) => *number,
        TomlValue::Float(number) => {
            go_format::exact_integer(*number).ok_or_else(|| TypeMismatch::new("a whole number"))?
        }
        TomlValue::String(digits) if digits.parse::<i64>().is_ok() => {
            let help = format!("write {digits}, without quotes");
            return Err(TypeMismatch::with_help("a whole number", help));
        }
        _ => return Err(TypeMismatch::new("a whole number")),
    };
    if (least..=most).contains(&number) {
        Ok(Some(TomlValue::Integer(number)))
    } else {
        Err(TypeMismatch::new(format!("between {least} and {most}")))
    }
}

/// A whole number where flyctl cannot tell zero from none.
pub(super) fn nonzero_integer(found: &TomlValue) -> Decoded {
    Ok(
        integer_in_range(i64::MIN, i64::MAX, found)?
            .filter(|value| *value != TomlValue::Integer(0)),
    )
}

/// A number.
pub(super) fn number(found: TomlValue) -> Decoded {
    match found {
        TomlValue::Integer(_) => Ok(Some(found)),
        TomlValue::Float(number) if number.is_finite() => Ok(Some(found)),
        _ => Err(TypeMismatch::new("a number")),
    }
}

/// True or false.
pub(super) fn boolean(found: TomlValue) -> Decoded {
    match found {
        TomlValue::Boolean(_) => Ok(Some(found)),
        TomlValue::String(text) if text == "true" || text == "false" => Err(
            TypeMismatch::with_help("true or false", format!("write {text}, without quotes")),
        ),
        _ => Err(TypeMismatch::new("true or false")),
    }
}

/// Whether machines stop by themselves; older files only say whether.
pub(super) fn autostop(found: TomlValue) -> Decoded {
    const WORDS: [&str; 3] = ["off", "stop", "suspend"];
    match found {
        TomlValue::Boolean(truth) => Ok(Some(TomlValue::String(
            WORDS[usize::from(truth)].to_owned(),
        ))),
        TomlValue::String(word) if WORDS.contains(&word.as_str()) => {
            Ok(Some(TomlValue::String(word)))
        }
        _ => Err(TypeMismatch::new(format!("one of {}", quoted(&WORDS)))),
    }
}

/// When a root file system persists: the word, or its number in the Machines API.
pub(super) fn persist_rootfs(found: TomlValue) -> Decoded {
    const WORDS: [&str; 4] = ["", "never", "restart", "always"];
    let word = |number: i64| {
        usize::try_from(number)
            .ok()
            .and_then(|number| WORDS.get(number))
    };
    let number = match found {
        TomlValue::Integer(number) => Some(number),
        TomlValue::Float(number) => go_format::exact_integer(number),
        _ => return one_of(&WORDS, found),
    };
    let word = number
        .and_then(word)
        .ok_or_else(|| TypeMismatch::new(format!("one of {}", quoted(&WORDS[1..]))))?;
    string(TomlValue::String((*word).to_owned()))
}

/// A duration with its unit. What is still a bare number here, flyctl reads as nanoseconds, which nobody means.
pub(super) fn duration(
    name: &str,
    at: &SourceLocation,
    found: TomlValue,
    report: &mut FlyTomlDiagnostics,
) -> Decoded {
    let nanoseconds = match found {
        TomlValue::String(written) => return parse_duration(&written),
        TomlValue::Integer(number) => number,
        TomlValue::Float(number) => go_format::exact_integer(number.trunc())
            .ok_or_else(|| TypeMismatch::new(DURATION_DESCRIPTION))?,
        _ => return Err(TypeMismatch::new(DURATION_DESCRIPTION)),
    };
    report.warn(
        at,
        format!("{name} is {nanoseconds} nanoseconds"),
        "flyctl takes a bare number here as nanoseconds",
        Some(format!("write \"{nanoseconds}s\" if seconds are meant")),
    );
    Ok(Some(TomlValue::String(format!("{nanoseconds}ns"))))
}

/// What a duration must be.
const DURATION_DESCRIPTION: &str = "a duration such as \"15s\" or \"1m30s\"";

fn parse_duration(written: &str) -> Decoded {
    if go_format::parse_duration_secs(written).is_some() {
        // Go knows two signs for "micro"; the canonical form has neither.
        return Ok(Some(TomlValue::String(written.replace(['µ', 'μ'], "u"))));
    }
    let bare = !written.is_empty() && written.chars().all(|c| c.is_ascii_digit());
    Err(if bare {
        TypeMismatch::with_help(
            DURATION_DESCRIPTION,
            format!("write the unit: \"{written}s\""),
        )
    } else {
        TypeMismatch::new(DURATION_DESCRIPTION)
    })
}
