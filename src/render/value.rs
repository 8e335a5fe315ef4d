//! Formats values for output. Text from APIs is untrusted, so control characters are escaped before they reach a
//! terminal; long values are truncated so that the difference between two of them stays visible.

use std::borrow::Cow;

use serde_json::Value;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use crate::model::{DiffLine, DisplayValue, contains_secret, is_redacted, is_unprintable, redact};

/// How many hexadecimal digits of a digest are shown: 48 bits are enough to tell the images of one app apart.
const SHORT_DIGEST_LEN: usize = 12;

/// Makes a value fit to be shown: replaces the secrets in it, and escapes control characters and invisible or reordering
/// Unicode characters, including line breaks. Values are shortened only afterwards, so that no half of a secret is left.
pub(super) fn sanitize(text: &str) -> String {
    let text = redact(text);
    let is_printable = |c: char| !is_unprintable(c);
    if text.chars().all(is_printable) {
        return text;
    }
    text.chars()
        .map(|c| {
            if is_printable(c) {
                c.to_string()
            } else {
                c.escape_unicode().to_string()
            }
        })
        .collect()
}

/// Escapes control characters in a complete output, except for line breaks, tabs and colour sequences. Single values
/// went through `sanitize` already; this is the second line of defence. In JSON, which is recognized by its first
/// character, the escapes are those of JSON, so that the document stays valid.
#[must_use]
pub fn sanitize_output(text: &str) -> Cow<'_, str> {
    let must_escape = |c: char| is_unprintable(c) && !matches!(c, '\n' | '\t');
    if !text.contains(must_escape) {
        return Cow::Borrowed(text);
    }
    let is_json = text.starts_with(['{', '[']);
    let mut out = String::with_capacity(text.len() + 16);
    let mut remaining = text;
    while let Some(at) = remaining.find(must_escape) {
        let (before, from) = remaining.split_at(at);
        out.push_str(before);
        // Our own colour sequences pass, but JSON never contains any: there, ESC is data.
        let color = if is_json { 0 } else { color_sequence_len(from) };
        if color > 0 {
            out.push_str(&from[..color]);
            remaining = &from[color..];
            continue;
        }
        let mut characters = from.chars();
        if let Some(c) = characters.next() {
            match c {
                // A Windows line break: the `\n` that follows is enough.
                '\r' if from.starts_with("\r\n") => {}
                c if is_json => {
                    let units = c
                        .encode_utf16(&mut [0; 2])
                        .iter()
                        .map(|unit| format!("\\u{unit:04x}"))
                        .collect::<String>();
                    out.push_str(&units);
                }
                c => out.extend(c.escape_unicode()),
            }
        }
        remaining = characters.as_str();
    }
    out.push_str(remaining);
    Cow::Owned(out)
}

/// The length in bytes of the colour sequence that `text` begins with, `ESC [ digits m`; 0 if there is none.
fn color_sequence_len(text: &str) -> usize {
    let Some(remaining) = text.strip_prefix("\u{1b}[") else {
        return 0;
    };
    let digit_count = remaining
        .bytes()
        .take_while(|byte| byte.is_ascii_digit() || *byte == b';')
        .count();
    if remaining[digit_count..].starts_with('m') {
        text.len() - remaining.len() + digit_count + 1
    } else {
        0
    }
}

/// Hides what is secret in a line, whatever the line is about: a variable that was plain before its value became a secret,
/// a tag or a policy that was given one by mistake. This happens here and not in the plan, because which secrets are known
/// differs between runs, and a plan (and its id) must not.
pub(super) fn redact_line(line: &DiffLine) -> DiffLine {
    // What else is in a variable, such as the address of a database, is not for everybody either.
    let hides_whole = line.path.starts_with("env");
    let redact_value = |value: &DisplayValue| match value {
        DisplayValue::Words(words) => DisplayValue::Words(redact(words)),
        DisplayValue::Value(json) if contains_secret(&json.to_string()) => {
            // Of a longer value or a structure, such as a statement of a policy, only the secret is replaced: the rest may
            // be what a reviewer has to see.
            let redacted = redact_strings(json);
            let is_nothing_left = redacted.as_str().is_some_and(is_redacted);
            // A number is either a secret or none.
            if hides_whole || is_nothing_left || redacted == *json {
                DisplayValue::Sensitive
            } else {
                DisplayValue::Value(redacted)
            }
        }
        other => other.clone(),
    };
    DiffLine {
        path: redact(&line.path),
        from: line.from.as_ref().map(redact_value),
        to: line.to.as_ref().map(redact_value),
        note: line.note.as_deref().map(redact),
        replaces: line.replaces,
    }
}

fn redact_strings(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(redact(text)),
        Value::Array(items) => items.iter().map(redact_strings).collect(),
        Value::Object(entries) => entries
            .iter()
            .map(|(key, value)| (redact(key), redact_strings(value)))
            .collect(),
        other => other.clone(),
    }
}

/// A value in one line, not truncated.
pub(super) fn inline_value(value: &DisplayValue) -> String {
    match value {
        DisplayValue::Sensitive => "(sensitive)".to_owned(),
        DisplayValue::KnownAfterApply => "(known after apply)".to_owned(),
        DisplayValue::Words(words) => sanitize(words),
        DisplayValue::Value(json) => sanitize(&shorten_digests(&json.to_string())),
    }
}

/// Breaks text between words into lines of at most `columns`; a longer word gets a line of its own.
pub(super) fn wrap_words(text: &str, columns: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.width() + word.width() < columns => *line += &format!(" {word}"),
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// The text of a string value with several lines; `None` for any other value.
pub(super) fn multiline_text(value: Option<&DisplayValue>) -> Option<&str> {
    match value {
        Some(DisplayValue::Value(Value::String(text))) => {
            text.trim_end_matches('\n').contains('\n').then_some(text)
        }
        _ => None,
    }
}

/// The text of a string value.
pub(super) fn string_text(value: Option<&DisplayValue>) -> Option<&str> {
    match value {
        Some(DisplayValue::Value(Value::String(text))) => Some(text),
        _ => None,
    }
}

/// Shortens each `sha256:` digest to [`SHORT_DIGEST_LEN`] digits.
pub(super) fn shorten_digests(text: &str) -> String {
    const ALGORITHM: &str = "sha256:";
    const DIGEST_LEN: usize = 64;
    let mut out = String::with_capacity(text.len());
    let mut remaining = text;
    while let Some(at) = remaining.find(ALGORITHM) {
        let (before, from) = remaining.split_at(at + ALGORITHM.len());
        out.push_str(before);
        let digit_count = from.bytes().take_while(u8::is_ascii_hexdigit).count();
        if digit_count == DIGEST_LEN {
            out.push_str(&from[..SHORT_DIGEST_LEN]);
            out.push('…');
        } else {
            out.push_str(&from[..digit_count]);
        }
        remaining = &from[digit_count..];
    }
    out.push_str(remaining);
    out
}

/// Truncates text to `columns` by replacing its middle with `…`.
pub(super) fn truncate_middle(text: &str, columns: usize) -> String {
    if text.width() <= columns {
        return text.to_owned();
    }
    let available = columns.saturating_sub(1);
    let tail_width = available / 2;
    let head = prefix_of_width(text, available - tail_width);
    let reversed: String = text.chars().rev().collect();
    let tail: String = prefix_of_width(&reversed, tail_width)
        .chars()
        .rev()
        .collect();
    format!("{head}…{tail}")
}

/// Shortens a value to `columns`. Of an image reference the tag and the digest stay, since they tell images apart; the
/// registry and the repository are left out first.
pub(super) fn shorten_value(text: &str, columns: usize) -> String {
    if text.width() <= columns {
        return text.to_owned();
    }
    let quote = if text.starts_with('"') { "\"" } else { "" };
    if let Some(digest_at) = text.find("@sha256:") {
        let name_at = text[..digest_at].rfind('/');
        let tag_at = text[name_at.unwrap_or(0)..digest_at].find(':');
        let tag_at = tag_at.map(|at| at + name_at.unwrap_or(0));
        let starts = [name_at, tag_at, Some(digest_at)].into_iter().flatten();
        let shorter = starts.map(|start| format!("{quote}…{}", &text[start..]));
        if let Some(fits) = shorter.into_iter().find(|short| short.width() <= columns) {
            return fits;
        }
    }
    truncate_middle(text, columns)
}

/// The longest prefix that fits into `columns`.
pub(super) fn prefix_of_width(text: &str, columns: usize) -> &str {
    let mut used = 0;
    let end = text
        .char_indices()
        .find(|(_, c)| {
            used += c.width().unwrap_or(0);
            used > columns
        })
        .map_or(text.len(), |(at, _)| at);
    &text[..end]
}

/// Truncates two values that share `columns`, so that the place where they differ stays visible.
pub(super) fn truncate_pair(from: &str, to: &str, columns: usize) -> (String, String) {
    let fits = |from: &str, to: &str| from.width() + to.width() <= columns;
    if fits(from, to) {
        return (from.to_owned(), to.to_owned());
    }
    // Two image references of one repository: abbreviate the common prefix of the second one always, and that of the
    // first one only as far as needed. `slash_prefix` keeps the repository's last part, `part_prefix` only what differs.
    let (slash_prefix, part_prefix) = (
        common_prefix_end(from, to, "/"),
        common_prefix_end(from, to, "@/:"),
    );
    let short = |text: &str, prefix_len: usize| match prefix_len {
        0 => text.to_owned(),
        _ => format!(
            "{}…{}",
            if text.starts_with('"') { "\"" } else { "" },
            &text[prefix_len..]
        ),
    };
    let short_to = short(to, part_prefix);
    let candidates = [0, slash_prefix, part_prefix].map(|prefix_len| short(from, prefix_len));
    if let Some(from) = candidates
        .into_iter()
        .find(|from| part_prefix > 0 && fits(from, &short_to))
    {
        return (from, short_to);
    }
    // Otherwise truncate both in the middle, unless that would make them look equal.
    let each_width = width_for_longer(from, to, columns);
    let truncated = (
        shorten_value(from, each_width),
        shorten_value(to, each_width),
    );
    if truncated.0 == truncated.1 && from != to {
        truncate_around_difference(from, to, each_width)
    } else {
        truncated
    }
}

/// The width limit for each of two values: the longer one gets what the shorter one leaves.
fn width_for_longer(from: &str, to: &str, columns: usize) -> usize {
    let narrower = from.width().min(to.width());
    if narrower < columns / 2 {
        columns - narrower
    } else {
        columns / 2
    }
}

/// The byte index of the last separator in the common prefix, a character boundary in both values; 0 if there is none.
fn common_prefix_end(from: &str, to: &str, separators: &str) -> usize {
    let pairs = from.char_indices().zip(to.chars());
    let common = pairs
        .take_while(|((_, a), b)| a == b)
        .map(|((at, c), _)| (at, c));
    // `sha256:` is one unit: a digest without its algorithm would not be recognized.
    let parts =
        common.filter(|(at, c)| separators.contains(*c) && !from[..*at].ends_with("sha256"));
    parts.map(|(at, _)| at).last().unwrap_or(0)
}

/// Truncates two values of a long common prefix to the surroundings of the first difference.
fn truncate_around_difference(from: &str, to: &str, columns: usize) -> (String, String) {
    let common_len = from
        .chars()
        .zip(to.chars())
        .take_while(|(a, b)| a == b)
        .count();
    let excerpt = |text: &str| {
        // A third of the width shows what precedes the difference.
        let skip = common_len.saturating_sub(columns / 3);
        let remaining: String = text.chars().skip(skip).collect();
        let end = prefix_of_width(&remaining, columns.saturating_sub(2));
        let ellipsis = if end.len() < remaining.len() {
            "…"
        } else {
            ""
        };
        format!("…{end}{ellipsis}")
    };
    (excerpt(from), excerpt(to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sanitize_escapes_control_characters() {
        assert_eq!(sanitize("a\u{1b}[31mb"), "a\\u{1b}[31mb");
        assert_eq!(sanitize("a\u{202e}b"), "a\\u{202e}b");
        assert_eq!(sanitize("grün ✓"), "grün ✓");
    }

    #[test]
    fn sanitize_output_keeps_only_line_breaks_tabs_and_colours() {
        assert_eq!(
            sanitize_output("\u{1b}[1;31mno\u{1b}[0m\n\tü"),
            "\u{1b}[1;31mno\u{1b}[0m\n\tü"
        );
        assert_eq!(
            sanitize_output("a\u{1b}[2Jb\u{1b}]8;;x\u{7}\u{9b}1m"),
            "a\\u{1b}[2Jb\\u{1b}]8;;x\\u{7}\\u{9b}1m"
        );
        assert_eq!(
            sanitize_output("a\r\nb\rc\u{8}\u{0}\u{202e}"),
            "a\nb\\u{d}c\\u{8}\\u{0}\\u{202e}"
        );
        assert_eq!(sanitize_output("\u{1b}"), "\\u{1b}");
        let value = serde_json::json!({ "a\u{7f}": "\u{9b}\u{202e}\u{e0041}\u{1b}[1m" });
        let output = sanitize_output(&value.to_string()).into_owned();
        assert!(
            output.is_ascii() && serde_json::from_str::<Value>(&output).unwrap() == value,
            "{output}"
        );
    }

    #[test]
    fn truncate_middle_keeps_both_ends_and_whole_characters() {
        assert_eq!(truncate_middle("short", 10), "short");
        assert_eq!(truncate_middle("abcdefghij", 5), "ab…ij");
        assert_eq!(truncate_middle("日本語日本語", 7).width(), 5);
        for columns in 0..8 {
            assert!(truncate_middle("日本語日本語", columns).width() <= columns.max(1));
        }
    }

    #[test]
    fn a_shortened_image_keeps_its_tag_and_digest() {
        let image = "\"registry.fly.io/shop-web:main@sha256:0a0a0a0a0a0a…\"";
        assert_eq!(shorten_value(image, 80), image);
        for (columns, expected) in [
            (40, "\"…/shop-web:main@sha256:0a0a0a0a0a0a…\""),
            (30, "\"…:main@sha256:0a0a0a0a0a0a…\""),
            (24, "\"…@sha256:0a0a0a0a0a0a…\""),
        ] {
            assert_eq!(shorten_value(image, columns), expected);
        }
        assert_eq!(shorten_value(image, 10).width(), 10);
        assert_eq!(
            shorten_value("\"abcdefghij\"", 5),
            truncate_middle("\"abcdefghij\"", 5)
        );
    }

    #[test]
    fn truncate_pair_keeps_a_difference_in_the_middle_visible() {
        let (a, b) = ("x".repeat(100), "y".repeat(100));
        let (from, to) = truncate_pair(&format!("{a}1{b}"), &format!("{a}2{b}"), 60);
        assert!(from.contains('1') && to.contains('2'), "{from} {to}");
    }

    #[test]
    fn truncate_pair_abbreviates_a_common_repository() {
        let (from, to) = ("\"r.io/shop@sha256:1a\"", "\"r.io/shop@sha256:2b\"");
        assert_eq!(
            truncate_pair(from, to, 40),
            (from.to_owned(), "\"…@sha256:2b\"".to_owned())
        );
        assert_eq!(truncate_pair(from, to, 32).0, "\"…/shop@sha256:1a\"");
        assert_eq!(truncate_pair(from, to, 30).0, "\"…@sha256:1a\"");
        let (from, to) = ("\"r.io/shop:v1@sha256:1a\"", "\"r.io/shop:v2@sha256:2b\"");
        let expected = (
            "\"…/shop:v1@sha256:1a\"".to_owned(),
            "\"…:v2@sha256:2b\"".to_owned(),
        );
        assert_eq!(truncate_pair(from, to, 38), expected);
    }

    #[test]
    fn shorten_digests_ignores_incomplete_digests() {
        let digest = "ab".repeat(32);
        assert_eq!(
            shorten_digests(&format!("r/a@sha256:{digest}\"")),
            "r/a@sha256:abababababab…\""
        );
        assert_eq!(shorten_digests("sha256:abc"), "sha256:abc");
    }

    #[test]
    fn wrap_words_never_splits_a_word() {
        assert_eq!(wrap_words("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap_words("incomprehensible", 3), ["incomprehensible"]);
    }
}
