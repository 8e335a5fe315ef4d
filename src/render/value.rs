//! Values as text that is fit to be shown: it cannot run away, it does not hide a difference, and it cannot reach the
//! controls of a terminal, although parts of it come from clouds that others write to.

use std::borrow::Cow;

use serde_json::Value;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use crate::model::{DiffLine, DisplayValue, contains_secret, is_unprintable};

/// How many characters of a digest are shown: 48 bits tell any two images of one app apart.
const SHORT_DIGEST_LEN: usize = 12;

/// The text without anything that a terminal obeys or that reorders what a reader sees.
pub(super) fn sanitize(text: &str) -> String {
    let harmless = |c: char| !is_unprintable(c);
    if text.chars().all(harmless) {
        return text.to_owned();
    }
    text.chars()
        .map(|c| {
            if harmless(c) {
                c.to_string()
            } else {
                c.escape_unicode().to_string()
            }
        })
        .collect()
}

/// What is about to be shown, without what no part of it should have had: everything but lines, tabs and our own colours
/// is written as an escape. Values are cleaned where they are made into text; this is the net below.
#[must_use]
pub fn sanitize_output(text: &str) -> Cow<'_, str> {
    let odd = |c: char| is_unprintable(c) && !matches!(c, '\n' | '\t');
    if !text.contains(odd) {
        return Cow::Borrowed(text);
    }
    let is_json = text.starts_with(['{', '[']);
    let mut out = String::with_capacity(text.len() + 16);
    let mut rest = text;
    while let Some(at) = rest.find(odd) {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let color = if is_json { 0 } else { color_sequence_len(from) };
        if color > 0 {
            out.push_str(&from[..color]);
            rest = &from[color..];
            continue;
        }
        let mut characters = from.chars();
        if let Some(c) = characters.next() {
            match c {
                // The end of a line elsewhere is nothing here.
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
        rest = characters.as_str();
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// How long the colour is that a text begins with: `ESC [ digits m`.
fn color_sequence_len(text: &str) -> usize {
    let Some(rest) = text.strip_prefix("\u{1b}[") else {
        return 0;
    };
    let digits = rest
        .bytes()
        .take_while(|byte| byte.is_ascii_digit() || *byte == b';')
        .count();
    if rest[digits..].starts_with('m') {
        text.len() - rest.len() + digits + 1
    } else {
        0
    }
}

/// The line as it may be shown. A variable that holds what is known as a secret's value is one itself: it stood in the
/// open before it became a secret, or somebody set it by hand. The plan keeps the value: what a run happens to know as
/// secret differs from run to run, and a plan is the same whoever makes it.
pub(super) fn redact_line(line: &DiffLine) -> DiffLine {
    let hide = |side: &Option<DisplayValue>| match side {
        Some(DisplayValue::Value(value)) if contains_secret(&value.to_string()) => {
            Some(DisplayValue::Sensitive)
        }
        side => side.clone(),
    };
    if !line.path.starts_with("env") {
        return line.clone();
    }
    DiffLine {
        from: hide(&line.from),
        to: hide(&line.to),
        ..line.clone()
    }
}

/// A value in one line, uncut.
pub(super) fn inline_value(shown: &DisplayValue) -> String {
    match shown {
        DisplayValue::Sensitive => "(sensitive)".to_owned(),
        DisplayValue::KnownAfterApply => "(known after apply)".to_owned(),
        DisplayValue::Words(words) => sanitize(words),
        DisplayValue::Value(value) => sanitize(&shorten_digests(&value.to_string())),
    }
}

/// A sentence in lines of so many columns, broken between words.
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

/// The text of a value that spans lines.
pub(super) fn multiline_text(shown: Option<&DisplayValue>) -> Option<&str> {
    match shown {
        Some(DisplayValue::Value(Value::String(text))) => {
            text.trim_end_matches('\n').contains('\n').then_some(text)
        }
        _ => None,
    }
}

/// The text of a string, whether it spans lines or not.
pub(super) fn string_text(shown: Option<&DisplayValue>) -> Option<&str> {
    match shown {
        Some(DisplayValue::Value(Value::String(text))) => Some(text),
        _ => None,
    }
}

/// `sha256:` and 64 digits become `sha256:` and twelve.
pub(super) fn shorten_digests(text: &str) -> String {
    const WORD: &str = "sha256:";
    const FULL: usize = 64;
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(WORD) {
        let (before, from) = rest.split_at(at + WORD.len());
        out.push_str(before);
        let digits = from.bytes().take_while(u8::is_ascii_hexdigit).count();
        if digits == FULL {
            out.push_str(&from[..SHORT_DIGEST_LEN]);
            out.push('…');
        } else {
            out.push_str(&from[..digits]);
        }
        rest = &from[digits..];
    }
    out.push_str(rest);
    out
}

/// The text in at most so many columns, its middle left out.
pub(super) fn truncate_middle(text: &str, columns: usize) -> String {
    if text.width() <= columns {
        return text.to_owned();
    }
    let room = columns.saturating_sub(1);
    let tail = room / 2;
    let head = prefix_of_width(text, room - tail);
    let reversed: String = text.chars().rev().collect();
    let tail: String = prefix_of_width(&reversed, tail).chars().rev().collect();
    format!("{head}…{tail}")
}

/// As much of the beginning as fits.
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

/// Two values side by side in so many columns, cut so that where they differ stays in sight.
pub(super) fn truncate_pair(from: &str, to: &str, columns: usize) -> (String, String) {
    let fits = |from: &str, to: &str| from.width() + to.width() <= columns;
    if fits(from, to) {
        return (from.to_owned(), to.to_owned());
    }
    // Two images of one repository: what they share is said once, in part, or not at all.
    let (last, part) = (
        common_prefix_end(from, to, "/"),
        common_prefix_end(from, to, "@/:"),
    );
    let short = |text: &str, stem: usize| match stem {
        0 => text.to_owned(),
        _ => format!(
            "{}…{}",
            if text.starts_with('"') { "\"" } else { "" },
            &text[stem..]
        ),
    };
    let to_by_part = short(to, part);
    let shorter = [0, last, part].map(|stem| short(from, stem));
    if let Some(from) = shorter
        .into_iter()
        .find(|from| part > 0 && fits(from, &to_by_part))
    {
        return (from, to_by_part);
    }
    let each = width_for_longer(from, to, columns);
    let cut = (truncate_middle(from, each), truncate_middle(to, each));
    if cut.0 == cut.1 && from != to {
        truncate_around_difference(from, to, each)
    } else {
        cut
    }
}

/// Gives the shorter side what it needs and the longer one the rest.
fn width_for_longer(from: &str, to: &str, columns: usize) -> usize {
    let shorter = from.width().min(to.width());
    if shorter < columns / 2 {
        columns - shorter
    } else {
        columns / 2
    }
}

/// Where the last part begins that differs, as a byte that begins a character in both; 0 when nothing is shared.
fn common_prefix_end(from: &str, to: &str, separators: &str) -> usize {
    let pairs = from.char_indices().zip(to.chars());
    let same = pairs
        .take_while(|((_, a), b)| a == b)
        .map(|((at, c), _)| (at, c));
    // A digest keeps the word before its colon.
    let parts = same.filter(|(at, c)| separators.contains(*c) && !from[..*at].ends_with("sha256"));
    parts.map(|(at, _)| at).last().unwrap_or(0)
}

fn truncate_around_difference(from: &str, to: &str, columns: usize) -> (String, String) {
    let same = from
        .chars()
        .zip(to.chars())
        .take_while(|(a, b)| a == b)
        .count();
    let around = |text: &str| {
        let skip = same.saturating_sub(columns / 3);
        let rest: String = text.chars().skip(skip).collect();
        let end = prefix_of_width(&rest, columns.saturating_sub(2));
        let more = if end.len() < rest.len() { "…" } else { "" };
        format!("…{end}{more}")
    };
    (around(from), around(to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn controls_never_reach_the_terminal() {
        assert_eq!(sanitize("a\u{1b}[31mb"), "a\\u{1b}[31mb");
        assert_eq!(sanitize("a\u{202e}b"), "a\\u{202e}b");
        assert_eq!(sanitize("grün ✓"), "grün ✓");
    }

    #[test]
    fn the_net_keeps_lines_and_colours_and_nothing_else() {
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
        let shown = sanitize_output(&value.to_string()).into_owned();
        assert!(
            shown.is_ascii() && serde_json::from_str::<Value>(&shown).unwrap() == value,
            "{shown}"
        );
    }

    #[test]
    fn a_cut_keeps_both_ends_and_whole_characters() {
        assert_eq!(truncate_middle("short", 10), "short");
        assert_eq!(truncate_middle("abcdefghij", 5), "ab…ij");
        assert_eq!(truncate_middle("日本語日本語", 7).width(), 5);
        for columns in 0..8 {
            assert!(truncate_middle("日本語日本語", columns).width() <= columns.max(1));
        }
    }

    #[test]
    fn a_difference_in_the_middle_stays_in_sight() {
        let (a, b) = ("x".repeat(100), "y".repeat(100));
        let (from, to) = truncate_pair(&format!("{a}1{b}"), &format!("{a}2{b}"), 60);
        assert!(from.contains('1') && to.contains('2'), "{from} {to}");
    }

    #[test]
    fn a_repository_that_both_share_is_said_once() {
        let (from, to) = ("\"r.io/shop@sha256:1a\"", "\"r.io/shop@sha256:2b\"");
        assert_eq!(
            truncate_pair(from, to, 40),
            (from.to_owned(), "\"…@sha256:2b\"".to_owned())
        );
        assert_eq!(truncate_pair(from, to, 32).0, "\"…/shop@sha256:1a\"");
        assert_eq!(truncate_pair(from, to, 30).0, "\"…@sha256:1a\"");
        let (from, to) = ("\"r.io/shop:v1@sha256:1a\"", "\"r.io/shop:v2@sha256:2b\"");
        let short = (
            "\"…/shop:v1@sha256:1a\"".to_owned(),
            "\"…:v2@sha256:2b\"".to_owned(),
        );
        assert_eq!(truncate_pair(from, to, 38), short);
    }

    #[test]
    fn a_digest_is_shortened_only_when_it_is_one() {
        let digest = "ab".repeat(32);
        assert_eq!(
            shorten_digests(&format!("r/a@sha256:{digest}\"")),
            "r/a@sha256:abababababab…\""
        );
        assert_eq!(shorten_digests("sha256:abc"), "sha256:abc");
    }
}
