//! Go durations such as `15s`, `1m0s` or `500ms`, parsed from such a string or from integer
//! nanoseconds.

use serde_json::Value;

const UNITS: [(&str, f64); 8] = [
    ("ns", 1.0),
    ("us", 1e3),
    ("µs", 1e3),
    ("μs", 1e3),
    ("ms", 1e6),
    ("s", 1e9),
    ("m", 6e10),
    ("h", 3.6e12),
];
const MICRO: u64 = 1_000;
const MILLI: u64 = 1_000_000;
const SECOND: u64 = 1_000_000_000;

/// Parses a duration string or integer nanoseconds to nanoseconds; `None` when it is neither, or
/// negative.
pub(crate) fn parse_duration_nanos(value: &Value) -> Option<u64> {
    match value {
        Value::String(text) => parse_go_duration(text),
        Value::Number(number) => number.as_u64(),
        _ => None,
    }
}

/// The same in whole milliseconds.
pub(crate) fn parse_duration_ms(value: &Value) -> Option<i64> {
    parse_duration_nanos(value).map(|nanos| (nanos / 1_000_000).cast_signed())
}

fn parse_go_duration(text: &str) -> Option<u64> {
    if text == "0" {
        return Some(0);
    }
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    // A sequence of numbers with units, such as `1h30m`; the units may come in any order.
    let mut total = 0.0;
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .filter(|at| *at > 0)?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let letters = rest
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(rest.len());
        let (_, unit) = UNITS.iter().find(|(name, _)| *name == &rest[..letters])?;
        total += number * unit;
        rest = &rest[letters..];
    }
    (!text.is_empty() && total <= i64::MAX as f64).then_some(total as u64)
}

/// Formats a duration like Go's `Duration.String`.
pub(crate) fn format_duration(nanos: u64) -> String {
    match nanos {
        0 => "0s".to_owned(),
        1..MICRO => format!("{nanos}ns"),
        MICRO..MILLI => format!("{}µs", format_fraction(nanos, MICRO)),
        MILLI..SECOND => format!("{}ms", format_fraction(nanos, MILLI)),
        _ => {
            let (minutes, rest) = (nanos / (60 * SECOND), nanos % (60 * SECOND));
            let seconds = format!("{}s", format_fraction(rest, SECOND));
            match (minutes / 60, minutes % 60) {
                (0, 0) => seconds,
                (0, minutes) => format!("{minutes}m{seconds}"),
                (hours, minutes) => format!("{hours}h{minutes}m{seconds}"),
            }
        }
    }
}

fn format_fraction(nanos: u64, unit: u64) -> String {
    let (whole, part) = (nanos / unit, nanos % unit);
    if part == 0 {
        return whole.to_string();
    }
    let digits = unit.ilog10() as usize;
    format!(
        "{whole}.{}",
        format!("{part:0digits$}").trim_end_matches('0')
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn go_durations_are_read_and_written_as_go_does() {
        for (sent, shown) in [
            (json!("15s"), "15s"),
            (json!("60s"), "1m0s"),
            (json!("1h"), "1h0m0s"),
            (json!("90m30.5s"), "1h30m30.5s"),
            (json!("1500ms"), "1.5s"),
            (json!("500ms"), "500ms"),
            (json!(15_000_000_000u64), "15s"),
            (json!(1_500), "1.5µs"),
            (json!("0"), "0s"),
        ] {
            assert_eq!(
                parse_duration_nanos(&sent).map(format_duration).as_deref(),
                Some(shown),
                "{sent}"
            );
        }
        for wrong in [
            json!("15"),
            json!(""),
            json!("s"),
            json!("1x"),
            json!(-5),
            json!("-5s"),
            json!(true),
        ] {
            assert_eq!(parse_duration_nanos(&wrong), None, "{wrong}");
        }
    }
}
