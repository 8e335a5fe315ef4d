//! Turns diff lines into rows: one attribute each, with values short enough to show. The text and Markdown renderers
//! only arrange the rows.

use similar::{ChangeTag, TextDiff};
use unicode_width::UnicodeWidthStr as _;

use super::value::{
    inline_value, multiline_text, redact_line, sanitize, shorten_value, string_text, truncate_pair,
    wrap_words,
};
use crate::model::{DiffLine, DisplayValue};

/// What happens to an attribute, or to one line of a multi-line value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LineMarker {
    Add,
    Change,
    Remove,
    /// Unchanged, shown as context.
    Context,
}

impl LineMarker {
    pub(super) fn symbol(self) -> char {
        match self {
            Self::Add => '+',
            Self::Change => '~',
            Self::Remove => '-',
            Self::Context => ' ',
        }
    }

    fn from_line(line: &DiffLine) -> Self {
        match (&line.from, &line.to) {
            (None, _) => Self::Add,
            (_, None) => Self::Remove,
            _ => Self::Change,
        }
    }
}

/// One attribute of a change, ready to be aligned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct AttributeRow {
    pub(super) marker: LineMarker,
    pub(super) path: String,
    /// The old and the new value in one line.
    pub(super) text: String,
    /// The note of the line and whether it forces a replacement; may be empty.
    pub(super) remark: String,
    /// Lines shown below: the diff of a multi-line value, or a remark too long for the row.
    pub(super) nested_lines: Vec<(LineMarker, String)>,
}

/// From which side a difference is described.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DiffWording {
    /// What an apply will do: `from → to`.
    Plan,
    /// What was found: `from, should be to`.
    Drift,
}

/// Longer paths do not widen the column: they push only their own value to the right.
const MAX_PATH_WIDTH: usize = 30;
/// Values get at least this many columns, however narrow the terminal.
const MIN_VALUE_WIDTH: usize = 24;
/// A remark up to this width, such as `(tag moved)`, always stays beside its value.
const MAX_INLINE_REMARK_WIDTH: usize = 20;
/// The maximum number of diff lines shown for a multi-line value.
const MAX_DIFF_LINES: usize = 40;

/// The rows of a change, secrets last. `columns` is the width of a whole row.
pub(super) fn attribute_rows(
    lines: &[DiffLine],
    columns: usize,
    wording: DiffWording,
) -> Vec<AttributeRow> {
    // A value that turns out to be a secret keeps its own line, unless it is that of a variable: those are many.
    let redacted: Vec<DiffLine> = lines.iter().map(redact_line).collect();
    let (mut secrets, mut visible): (Vec<&DiffLine>, Vec<&DiffLine>) = (Vec::new(), Vec::new());
    for (line, shown) in lines.iter().zip(&redacted) {
        if is_hidden(line) || line.path.starts_with("env.") && is_hidden(shown) {
            secrets.push(shown);
        } else {
            visible.push(shown);
        }
    }
    let path = |line: &&DiffLine| sanitize(&line.path).width();
    let path_width = visible
        .iter()
        .map(path)
        .filter(|width| *width <= MAX_PATH_WIDTH)
        .max();
    let available_width = columns
        .saturating_sub(path_width.unwrap_or(0) + 4)
        .max(MIN_VALUE_WIDTH);
    let mut rows: Vec<AttributeRow> = Vec::new();
    for line in &visible {
        match line.to.as_ref().or(line.from.as_ref()) {
            Some(DisplayValue::Words(sentence)) => {
                rows.extend(sentence_rows(line, sentence, available_width));
            }
            // A list of names: half of a name is of no use.
            Some(DisplayValue::Value(serde_json::Value::String(names)))
                if line.path == "env" && names.width() + 2 > available_width =>
            {
                rows.extend(sentence_rows(line, names, available_width));
            }
            _ => rows.push(attribute_row(line, available_width, wording)),
        }
    }
    rows.extend(secret_rows(&secrets, available_width));
    rows
}

/// The width to which paths are padded: that of the longest, not counting overlong ones.
pub(super) fn path_width(rows: &[AttributeRow]) -> usize {
    let widths = rows.iter().map(|row| row.path.width());
    widths
        .filter(|width| *width <= MAX_PATH_WIDTH)
        .max()
        .unwrap_or(0)
}

/// Whether neither value of a line is shown.
fn is_hidden(line: &DiffLine) -> bool {
    let hidden = |side: &Option<DisplayValue>| matches!(side, None | Some(DisplayValue::Sensitive));
    hidden(&line.from) && hidden(&line.to)
}

/// Lists all secrets in as few rows as possible: `+SENTRY_DSN  ~DATABASE_URL  (sensitive)`.
fn secret_rows(lines: &[&DiffLine], available_width: usize) -> Vec<AttributeRow> {
    let Some(first) = lines.first() else {
        return Vec::new();
    };
    let marker = LineMarker::from_line(first);
    let same = lines
        .iter()
        .all(|line| LineMarker::from_line(line) == marker);
    let mut row_texts = vec![String::new()];
    for word in lines
        .iter()
        .map(|line| secret_text(line))
        .chain(["(sensitive)".to_owned()])
    {
        match row_texts.last_mut() {
            Some(text) if text.is_empty() => *text = word,
            Some(text) if text.width() + word.width() + 2 <= available_width => {
                *text += &format!("  {word}");
            }
            _ => row_texts.push(word),
        }
    }
    let row = |(index, text)| AttributeRow {
        marker: if same { marker } else { LineMarker::Change },
        path: if index == 0 { "secrets" } else { "" }.to_owned(),
        text,
        remark: String::new(),
        nested_lines: Vec::new(),
    };
    row_texts.into_iter().enumerate().map(row).collect()
}

/// A secret's marker and name, and the note if there is one.
fn secret_text(line: &DiffLine) -> String {
    let name = sanitize(line.path.strip_prefix("secrets.").unwrap_or(&line.path));
    let note = line
        .note
        .as_ref()
        .map(|note| format!(" ({})", sanitize(note)));
    format!(
        "{}{name}{}",
        LineMarker::from_line(line).symbol(),
        note.unwrap_or_default()
    )
}

/// A sentence, wrapped over as many rows as it needs.
fn sentence_rows(line: &DiffLine, sentence: &str, available_width: usize) -> Vec<AttributeRow> {
    let row = |(index, text)| AttributeRow {
        marker: if index == 0 {
            LineMarker::from_line(line)
        } else {
            LineMarker::Context
        },
        path: if index == 0 {
            sanitize(&line.path)
        } else {
            String::new()
        },
        text,
        remark: String::new(),
        nested_lines: Vec::new(),
    };
    wrap_words(&sanitize(sentence), available_width)
        .into_iter()
        .enumerate()
        .map(row)
        .collect()
}

fn attribute_row(line: &DiffLine, available_width: usize, wording: DiffWording) -> AttributeRow {
    let mut nested_lines = line_diff(line);
    let text = if nested_lines.is_empty() {
        change_text(line, available_width, wording)
    } else {
        String::from("changes by line:")
    };
    let mut remark = remark_text(line);
    // A long remark beside its value would exceed the width, so it moves to lines of its own.
    if nested_lines.is_empty()
        && remark.width() > MAX_INLINE_REMARK_WIDTH
        && text.width() + 2 + remark.width() > available_width
    {
        nested_lines = wrap_words(&remark, available_width)
            .into_iter()
            .map(|part| (LineMarker::Context, part))
            .collect();
        remark.clear();
    }
    AttributeRow {
        marker: LineMarker::from_line(line),
        path: sanitize(&line.path),
        text,
        remark,
        nested_lines,
    }
}

fn remark_text(line: &DiffLine) -> String {
    let note = line
        .note
        .as_ref()
        .map(|note| format!("({})", sanitize(note)));
    let replacement = line.replaces.then(|| "← forces replacement".to_owned());
    let parts: Vec<String> = note.into_iter().chain(replacement).collect();
    parts.join(" ")
}

/// Both values in one line, truncated to `available_width`.
fn change_text(line: &DiffLine, available_width: usize, wording: DiffWording) -> String {
    let (from, to) = (
        line.from.as_ref().map(inline_value),
        line.to.as_ref().map(inline_value),
    );
    match (from, to, wording) {
        (Some(from), Some(to), wording) => {
            let separator = if wording == DiffWording::Plan {
                " → "
            } else {
                ", should be "
            };
            let columns = available_width
                .saturating_sub(separator.width())
                .max(2 * MIN_VALUE_WIDTH);
            let (from, to) = truncate_pair(&from, &to, columns);
            format!("{from}{separator}{to}")
        }
        (None, Some(to), DiffWording::Drift) => {
            format!(
                "missing, should be {}",
                shorten_value(&to, available_width.saturating_sub(21).max(MIN_VALUE_WIDTH))
            )
        }
        (Some(from), None, DiffWording::Drift) => {
            format!(
                "{}, should be absent",
                shorten_value(
                    &from,
                    available_width.saturating_sub(21).max(MIN_VALUE_WIDTH)
                )
            )
        }
        // In a plan, the marker of the row already says that the only value is added or removed.
        (from, to, _) => shorten_value(&from.or(to).unwrap_or_default(), available_width),
    }
}

/// The line diff of two strings with one line of context; empty unless one of them has several lines.
fn line_diff(line: &DiffLine) -> Vec<(LineMarker, String)> {
    let (from, to) = (line.from.as_ref(), line.to.as_ref());
    if multiline_text(from).is_none() && multiline_text(to).is_none() {
        return Vec::new();
    }
    let (from, to) = (
        string_text(from).unwrap_or_default(),
        string_text(to).unwrap_or_default(),
    );
    // A missing side diffs as an empty text, so every line of the other counts as added or removed.
    let diff = TextDiff::from_lines(from, to);
    let mut lines: Vec<(LineMarker, String)> = Vec::new();
    for (index, hunk) in diff.grouped_ops(1).iter().enumerate() {
        if index > 0 {
            lines.push((LineMarker::Context, "…".to_owned()));
        }
        for change in hunk.iter().flat_map(|op| diff.iter_changes(op)) {
            let marker = match change.tag() {
                ChangeTag::Insert => LineMarker::Add,
                ChangeTag::Delete => LineMarker::Remove,
                ChangeTag::Equal => LineMarker::Context,
            };
            lines.push((
                marker,
                sanitize(change.value().trim_end_matches(['\n', '\r'])),
            ));
        }
    }
    if let Some(hidden_count) = lines
        .len()
        .checked_sub(MAX_DIFF_LINES)
        .filter(|hidden_count| *hidden_count > 0)
    {
        lines.truncate(MAX_DIFF_LINES);
        lines.push((LineMarker::Context, format!("… {hidden_count} more lines")));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_secrets_are_wrapped_to_the_width() {
        let secret = |index| {
            DiffLine::new(
                format!("secrets.KEY_{index}"),
                None,
                Some(DisplayValue::Sensitive),
            )
        };
        let lines: Vec<DiffLine> = (0..40).map(secret).collect();
        let rows = attribute_rows(&lines, 60, DiffWording::Plan);
        assert!(
            rows.len() > 3 && rows.iter().all(|row| row.text.width() <= 60),
            "{rows:?}"
        );
        assert!(
            rows.last()
                .is_some_and(|row| row.text.ends_with("(sensitive)"))
        );
    }

    #[test]
    fn drift_words_a_missing_side() {
        let extra = attribute_rows(&[DiffLine::remove("env.A", "x")], 60, DiffWording::Drift);
        assert_eq!(extra[0].text, "\"x\", should be absent");
        let missing = attribute_rows(&[DiffLine::add("env.A", "x")], 60, DiffWording::Drift);
        assert_eq!(missing[0].text, "missing, should be \"x\"");
    }
}
