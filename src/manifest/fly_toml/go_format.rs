//! Formats and parses values as flyctl's Go code does: what Go prints for `FOO = 1e6` in `[env]` is
//! what the app will see.

use crate::manifest::syntax::node::{SourceLocation, TomlNode, TomlTable, TomlValue};

/// Describes the type of a value, for labels.
pub(super) fn describe_type(value: &TomlValue) -> &'static str {
    match value {
        TomlValue::String(_) => "this is a string",
        TomlValue::Integer(_) => "this is an integer",
        TomlValue::Float(_) => "this is a number",
        TomlValue::OutOfRange(_) => "this is a number that is out of range",
        TomlValue::Boolean(_) => "this is true or false",
        TomlValue::Datetime(_) => "this is a date",
        TomlValue::Array(_) => "this is a list",
        TomlValue::Table(_) => "this is a table",
    }
}

/// A string node at the location of the value it replaces.
pub(super) fn string_node(location: &SourceLocation, text: impl Into<String>) -> TomlNode {
    TomlNode {
        location: location.clone(),
        value: TomlValue::String(text.into()),
    }
}

/// Formats a value like Go's `%v`.
pub(super) fn format_value(value: &TomlValue) -> String {
    match value {
        TomlValue::String(text) | TomlValue::Datetime(text) | TomlValue::OutOfRange(text) => {
            text.clone()
        }
        TomlValue::Integer(number) => number.to_string(),
        TomlValue::Float(number) => format_float(*number),
        TomlValue::Boolean(boolean) => boolean.to_string(),
        TomlValue::Array(items) => {
            let items: Vec<String> = items.iter().map(|item| format_value(&item.value)).collect();
            format!("[{}]", items.join(" "))
        }
        TomlValue::Table(TomlTable(entries)) => {
            let mut entries: Vec<(&str, &TomlValue)> = entries
                .iter()
                .map(|entry| (entry.key.as_str(), &entry.node.value))
                .collect();
            entries.sort_by_key(|(key, _)| *key);
            let entries: Vec<String> = entries
                .iter()
                .map(|(key, value)| format!("{key}:{}", format_value(value)))
                .collect();
            format!("map[{}]", entries.join(" "))
        }
    }
}

/// Formats a float like Go, which uses an exponent from 1e6 upwards and below 1e-4.
fn format_float(number: f64) -> String {
    if !number.is_finite() {
        return match number {
            f64::INFINITY => "+Inf".to_owned(),
            f64::NEG_INFINITY => "-Inf".to_owned(),
            _ => "NaN".to_owned(),
        };
    }
    let scientific = format!("{number:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if number == 0.0 || (-4..=5).contains(&exponent) {
        return number.to_string();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}

/// The integer value of a float without a fraction, as Go's JSON decoder reads it.
pub(super) fn exact_integer(number: f64) -> Option<i64> {
    // Above 2^53 a float no longer distinguishes neighbouring integers.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "without fraction and within the exact range"
    )]
    (number.fract() == 0.0 && number.abs() <= EXACT).then_some(number as i64)
}

/// The seconds of a Go duration such as `1m30s`; `None` when it is not one.
pub(super) fn parse_duration_secs(text: &str) -> Option<f64> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0.0);
    }
    let mut total = 0.0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let end = rest
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(rest.len());
        total += number * unit_secs(&rest[..end])?;
        rest = &rest[end..];
    }
    Some(sign * total)
}

fn unit_secs(name: &str) -> Option<f64> {
    Some(match name {
        "ns" => 1e-9,
        "us" | "µs" | "μs" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return None,
    })
}

/// The whole gigabytes of a size such as `20gb`; a bare number counts gigabytes. Units are decimal,
/// as in flyctl.
pub(super) fn parse_gigabytes(text: &str) -> Option<i64> {
    if let Ok(number) = text.parse::<i64>() {
        return Some(number);
    }
    let end = text
        .rfind(|c: char| c.is_ascii_digit() || c == '.')
        .map_or(0, |index| index + 1);
    let (number, unit) = text.split_at(end);
    let number: f64 = number.parse().ok().filter(|number: &f64| *number >= 0.0)?;
    let unit = unit.strip_prefix(' ').unwrap_or(unit).to_ascii_lowercase();
    let power = match unit.trim_end_matches('b').trim_end_matches('i') {
        "" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        "p" => 5,
        _ => return None,
    };
    exact_integer((number * 1000_f64.powi(power) / 1e9).floor())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_print_as_in_go() {
        for (number, text) in [
            (1e6, "1e+06"),
            (0.5, "0.5"),
            (123_456_789.5, "1.234567895e+08"),
            (1e-5, "1e-05"),
            (0.0001, "0.0001"),
            (100_000.0, "100000"),
            (1e21, "1e+21"),
            (-0.0, "-0"),
            (f64::INFINITY, "+Inf"),
        ] {
            assert_eq!(format_float(number), text);
        }
    }

    #[test]
    fn durations_use_go_syntax() {
        for (text, expected) in [
            ("15s", Some(15.0)),
            ("1m30s", Some(90.0)),
            ("1.5h", Some(5400.0)),
            (".5s", Some(0.5)),
            ("0", Some(0.0)),
            ("-1s", Some(-1.0)),
            ("30", None),
            ("", None),
            ("1d", None),
            ("10 s", None),
            ("s", None),
        ] {
            assert_eq!(parse_duration_secs(text), expected, "{text}");
        }
    }

    #[test]
    fn sizes_are_decimal_gigabytes() {
        for (text, expected) in [
            ("10", Some(10)),
            ("20gb", Some(20)),
            ("1.5GB", Some(1)),
            ("512mb", Some(0)),
            ("1 tb", Some(1000)),
            ("3gib", Some(3)),
            ("big", None),
            ("", None),
            ("-1gb", None),
        ] {
            assert_eq!(parse_gigabytes(text), expected, "{text}");
        }
    }
}
