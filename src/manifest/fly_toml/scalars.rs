//! Decodes single values as flyctl's types do, each to one canonical spelling.

use super::{diagnostics::FlyTomlDiagnostics, go_format};
use crate::manifest::syntax::node::{SourceLocation, TomlValue};

/// A value in its canonical form; `None` when it is empty.
pub(super) type Decoded = Result<Option<TomlValue>, TypeMismatch>;

/// Describes what a value should have been.
pub(super) struct TypeMismatch {
    /// Completes the sentence "… must be".
    pub(super) expected: String,
    /// What to write instead.
    pub(super) help: Option<String>,
}

impl TypeMismatch {
    pub(super) fn new(expected: impl Into<String>) -> Self {
        Self {
            expected: expected.into(),
            help: None,
        }
    }

    pub(super) fn with_help(expected: impl Into<String>, help: String) -> Self {
        Self {
            expected: expected.into(),
            help: Some(help),
        }
    }
}

/// Decodes a string. flyctl does not distinguish an empty string from none, and its TOML parser
/// passes dates on as strings.
pub(super) fn string(actual: TomlValue) -> Decoded {
    match actual {
        TomlValue::String(text) | TomlValue::Datetime(text) => {
            Ok((!text.is_empty()).then_some(TomlValue::String(text)))
        }
        TomlValue::Integer(_)
        | TomlValue::OutOfRange(_)
        | TomlValue::Float(_)
        | TomlValue::Boolean(_) => {
            let help = format!("write \"{}\", in quotes", go_format::format_value(&actual));
            Err(TypeMismatch::with_help("a string", help))
        }
        TomlValue::Array(_) | TomlValue::Table(_) => Err(TypeMismatch::new("a string")),
    }
}

/// Decodes a string that can be split into words like a shell command.
pub(super) fn command(actual: TomlValue) -> Decoded {
    match string(actual)? {
        Some(TomlValue::String(text)) if shell_words::split(&text).is_err() => {
            Err(TypeMismatch::new("a command whose quotes are closed"))
        }
        value => Ok(value),
    }
}

/// Decodes a table of any content.
pub(super) fn any_table(actual: TomlValue) -> Decoded {
    match actual {
        TomlValue::Table(_) => Ok(Some(actual)),
        _ => Err(TypeMismatch::new("a table")),
    }
}

/// Decodes a string to upper case.
pub(super) fn uppercase(actual: TomlValue) -> Decoded {
    Ok(string(actual)?
        .map(|value| TomlValue::String(go_format::format_value(&value).to_uppercase())))
}

/// Decodes a string out of a fixed list.
pub(super) fn one_of(words: &[&str], actual: TomlValue) -> Decoded {
    let value = string(actual)?;
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

/// Decodes an integer between two bounds, both included.
pub(super) fn integer_in_range(min: i64, max: i64, actual: &TomlValue) -> Decoded {
    let number = match actual {
        TomlValue::Integer(number) => *number,
        TomlValue::Float(number) => {
            go_format::exact_integer(*number).ok_or_else(|| TypeMismatch::new("an integer"))?
        }
        TomlValue::String(digits) if digits.parse::<i64>().is_ok() => {
            let help = format!("write {digits}, without quotes");
            return Err(TypeMismatch::with_help("an integer", help));
        }
        _ => return Err(TypeMismatch::new("an integer")),
    };
    if (min..=max).contains(&number) {
        Ok(Some(TomlValue::Integer(number)))
    } else {
        Err(TypeMismatch::new(format!("between {min} and {max}")))
    }
}

/// Decodes an integer in a field where flyctl does not distinguish zero from none.
pub(super) fn nonzero_integer(actual: &TomlValue) -> Decoded {
    Ok(integer_in_range(i64::MIN, i64::MAX, actual)?
        .filter(|value| *value != TomlValue::Integer(0)))
}

/// Decodes an integer or float.
pub(super) fn number(actual: TomlValue) -> Decoded {
    match actual {
        TomlValue::Integer(_) => Ok(Some(actual)),
        TomlValue::Float(number) if number.is_finite() => Ok(Some(actual)),
        _ => Err(TypeMismatch::new("a number")),
    }
}

/// Decodes a boolean.
pub(super) fn boolean(actual: TomlValue) -> Decoded {
    match actual {
        TomlValue::Boolean(_) => Ok(Some(actual)),
        TomlValue::String(text) if text == "true" || text == "false" => Err(
            TypeMismatch::with_help("true or false", format!("write {text}, without quotes")),
        ),
        _ => Err(TypeMismatch::new("true or false")),
    }
}

/// Decodes `auto_stop_machines`; older files have a boolean.
pub(super) fn autostop(actual: TomlValue) -> Decoded {
    const WORDS: [&str; 3] = ["off", "stop", "suspend"];
    match actual {
        TomlValue::Boolean(boolean) => Ok(Some(TomlValue::String(
            WORDS[usize::from(boolean)].to_owned(),
        ))),
        TomlValue::String(word) if WORDS.contains(&word.as_str()) => {
            Ok(Some(TomlValue::String(word)))
        }
        _ => Err(TypeMismatch::new(format!("one of {}", quoted(&WORDS)))),
    }
}

/// Decodes when a root file system persists: the word, or its number in the Machines API.
pub(super) fn persist_rootfs(actual: TomlValue) -> Decoded {
    const WORDS: [&str; 4] = ["", "never", "restart", "always"];
    let word = |number: i64| {
        usize::try_from(number)
            .ok()
            .and_then(|number| WORDS.get(number))
    };
    let number = match actual {
        TomlValue::Integer(number) => Some(number),
        TomlValue::Float(number) => go_format::exact_integer(number),
        _ => return one_of(&WORDS, actual),
    };
    let word = number
        .and_then(word)
        .ok_or_else(|| TypeMismatch::new(format!("one of {}", quoted(&WORDS[1..]))))?;
    string(TomlValue::String((*word).to_owned()))
}

/// Decodes a duration with its unit. flyctl reads a number that is still bare at this stage as
/// nanoseconds, which nobody intends.
pub(super) fn duration(
    name: &str,
    location: &SourceLocation,
    actual: TomlValue,
    diagnostics: &mut FlyTomlDiagnostics,
) -> Decoded {
    let nanoseconds = match actual {
        TomlValue::String(written) => return parse_duration(&written),
        TomlValue::Integer(number) => number,
        TomlValue::Float(number) => go_format::exact_integer(number.trunc())
            .ok_or_else(|| TypeMismatch::new(DURATION_DESCRIPTION))?,
        _ => return Err(TypeMismatch::new(DURATION_DESCRIPTION)),
    };
    diagnostics.warn(
        location,
        format!("{name} is {nanoseconds} nanoseconds"),
        "flyctl reads a bare number here as nanoseconds",
        Some(probable_duration(nanoseconds)),
    );
    Ok(Some(TomlValue::String(format!("{nanoseconds}ns"))))
}

/// Help for a number without unit: what was probably meant, and would be accepted.
fn probable_duration(number: i64) -> String {
    match number {
        1_000_000_000.. => format!("write \"{}s\"", number / 1_000_000_000),
        1000.. => format!("write \"{number}ms\" if milliseconds are meant"),
        _ => format!("write \"{number}s\" if seconds are meant"),
    }
}

const DURATION_DESCRIPTION: &str = "a duration such as \"15s\" or \"1m30s\"";

fn parse_duration(written: &str) -> Decoded {
    if go_format::parse_duration_secs(written).is_some() {
        // Go accepts two Unicode characters for "micro"; the canonical form has neither.
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
