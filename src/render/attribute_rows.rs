//! Lines to rows: one attribute each, with values that fit. Text and Markdown only arrange the rows.

use similar::{ChangeTag, TextDiff};
use unicode_width::UnicodeWidthStr as _;

use super::value::{
    inline_value, multiline_text, redact_line, sanitize, string_text, truncate_middle,
    truncate_pair, wrap_words,
};
use crate::model::{DiffLine, DisplayValue};

/// What happens to one attribute, or to one line of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LineMarker {
    Add,
    Change,
    Remove,
    /// Context.
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

/// One row of detail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct AttributeRow {
    pub(super) marker: LineMarker,
    pub(super) path: String,
    /// The values in one line.
    pub(super) text: String,
    /// The remark and the cause of a replacement; empty when there is none.
    pub(super) remark: String,
    /// Lines below, for a value that spans several.
    pub(super) nested_lines: Vec<(LineMarker, String)>,
}

/// How the two sides of a change are put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DiffWording {
    /// `from → to`: what an apply will do.
    Plan,
    /// `there, should be wanted`: what a look found.
    Drift,
}

/// A path longer than this pushes its own value to the right, and nobody else's.
const MAX_PATH_WIDTH: usize = 30;
/// Values are not cut below this, however narrow the terminal.
const MIN_VALUE_WIDTH: usize = 24;
/// A remark up to this width, such as `(tag moved)`, stays beside its value.
const MAX_INLINE_REMARK_WIDTH: usize = 20;
/// Lines of a text that are shown: more belongs into the file itself.
const MAX_DIFF_LINES: usize = 40;

/// The rows of an entry. `columns` is the room for a whole row.
pub(super) fn attribute_rows(
    lines: &[DiffLine],
    columns: usize,
    wording: DiffWording,
) -> Vec<AttributeRow> {
    let lines: Vec<DiffLine> = lines.iter().map(redact_line).collect();
    let (secrets, open): (Vec<&DiffLine>, Vec<&DiffLine>) =
        lines.iter().partition(|line| is_secret(line));
    let path = |line: &&DiffLine| sanitize(&line.path).width();
    let widest = open
        .iter()
        .map(path)
        .filter(|width| *width <= MAX_PATH_WIDTH)
        .max();
    let room = columns
        .saturating_sub(widest.unwrap_or(0) + 4)
        .max(MIN_VALUE_WIDTH);
    let mut rows: Vec<AttributeRow> = Vec::new();
    for line in &open {
        match line.to.as_ref().or(line.from.as_ref()) {
            Some(DisplayValue::Words(words)) => rows.extend(sentence_rows(line, words, room)),
            _ => rows.push(attribute_row(line, room, wording)),
        }
    }
    rows.extend(secret_rows(&secrets, room));
    rows
}

/// The width to which paths are padded.
pub(super) fn path_width(rows: &[AttributeRow]) -> usize {
    let widths = rows.iter().map(|row| row.path.width());
    widths
        .filter(|width| *width <= MAX_PATH_WIDTH)
        .max()
        .unwrap_or(0)
}

fn is_secret(line: &DiffLine) -> bool {
    let hidden = |side: &Option<DisplayValue>| matches!(side, None | Some(DisplayValue::Sensitive));
    hidden(&line.from) && hidden(&line.to)
}

/// All secrets in as few rows as hold them: `+SENTRY_DSN  ~DATABASE_URL  (sensitive)`.
fn secret_rows(lines: &[&DiffLine], room: usize) -> Vec<AttributeRow> {
    let Some(first) = lines.first() else {
        return Vec::new();
    };
    let sign = LineMarker::from_line(first);
    let same = lines.iter().all(|line| LineMarker::from_line(line) == sign);
    let mut texts = vec![String::new()];
    for word in lines
        .iter()
        .map(|line| secret_text(line))
        .chain(["(sensitive)".to_owned()])
    {
        match texts.last_mut() {
            Some(text) if text.is_empty() => *text = word,
            Some(text) if text.width() + word.width() + 2 <= room => *text += &format!("  {word}"),
            _ => texts.push(word),
        }
    }
    let row = |(at, text)| AttributeRow {
        marker: if same { sign } else { LineMarker::Change },
        path: if at == 0 { "secrets" } else { "" }.to_owned(),
        text,
        remark: String::new(),
        nested_lines: Vec::new(),
    };
    texts.into_iter().enumerate().map(row).collect()
}

/// One secret by name, what happens to it, and why.
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

/// A sentence in as many rows as it takes.
fn sentence_rows(line: &DiffLine, words: &str, room: usize) -> Vec<AttributeRow> {
    let row = |(at, text)| AttributeRow {
        marker: if at == 0 {
            LineMarker::from_line(line)
        } else {
            LineMarker::Context
        },
        path: if at == 0 {
            sanitize(&line.path)
        } else {
            String::new()
        },
        text,
        remark: String::new(),
        nested_lines: Vec::new(),
    };
    wrap_words(&sanitize(words), room)
        .into_iter()
        .enumerate()
        .map(row)
        .collect()
}

fn attribute_row(line: &DiffLine, room: usize, wording: DiffWording) -> AttributeRow {
    let mut below = line_diff(line);
    let text = if below.is_empty() {
        change_text(line, room, wording)
    } else {
        String::from("changes by line:")
    };
    let mut after = remark_text(line);
    // A sentence that does not fit stands below.
    if below.is_empty()
        && after.width() > MAX_INLINE_REMARK_WIDTH
        && text.width() + 2 + after.width() > room
    {
        below = wrap_words(&after, room)
            .into_iter()
            .map(|part| (LineMarker::Context, part))
            .collect();
        after.clear();
    }
    AttributeRow {
        marker: LineMarker::from_line(line),
        path: sanitize(&line.path),
        text,
        remark: after,
        nested_lines: below,
    }
}

fn remark_text(line: &DiffLine) -> String {
    let note = line
        .note
        .as_ref()
        .map(|note| format!("({})", sanitize(note)));
    let forces = line.replaces.then(|| "← forces replacement".to_owned());
    let parts: Vec<String> = note.into_iter().chain(forces).collect();
    parts.join(" ")
}

/// Both sides in one line.
fn change_text(line: &DiffLine, room: usize, wording: DiffWording) -> String {
    let (from, to) = (
        line.from.as_ref().map(inline_value),
        line.to.as_ref().map(inline_value),
    );
    match (from, to, wording) {
        (Some(from), Some(to), wording) => {
            let between = if wording == DiffWording::Plan {
                " → "
            } else {
                ", should be "
            };
            let columns = room
                .saturating_sub(between.width())
                .max(2 * MIN_VALUE_WIDTH);
            let (from, to) = truncate_pair(&from, &to, columns);
            format!("{from}{between}{to}")
        }
        (None, Some(to), DiffWording::Drift) => {
            format!(
                "not there, should be {}",
                truncate_middle(&to, room.saturating_sub(21).max(MIN_VALUE_WIDTH))
            )
        }
        (Some(from), None, DiffWording::Drift) => {
            format!(
                "{}, should not be there",
                truncate_middle(&from, room.saturating_sub(21).max(MIN_VALUE_WIDTH))
            )
        }
        (one, other, _) => truncate_middle(&one.or(other).unwrap_or_default(), room),
    }
}

/// The difference of two texts by line, with one line of context, when either spans lines.
fn line_diff(line: &DiffLine) -> Vec<(LineMarker, String)> {
    let (from, to) = (line.from.as_ref(), line.to.as_ref());
    if multiline_text(from).is_none() && multiline_text(to).is_none() {
        return Vec::new();
    }
    let (from, to) = (
        string_text(from).unwrap_or_default(),
        string_text(to).unwrap_or_default(),
    );
    let diff = TextDiff::from_lines(from, to);
    let mut out: Vec<(LineMarker, String)> = Vec::new();
    for (at, hunk) in diff.grouped_ops(1).iter().enumerate() {
        if at > 0 {
            out.push((LineMarker::Context, "…".to_owned()));
        }
        for change in hunk.iter().flat_map(|op| diff.iter_changes(op)) {
            let sign = match change.tag() {
                ChangeTag::Insert => LineMarker::Add,
                ChangeTag::Delete => LineMarker::Remove,
                ChangeTag::Equal => LineMarker::Context,
            };
            out.push((
                sign,
                sanitize(change.value().trim_end_matches(['\n', '\r'])),
            ));
        }
    }
    if let Some(more) = out
        .len()
        .checked_sub(MAX_DIFF_LINES)
        .filter(|more| *more > 0)
    {
        out.truncate(MAX_DIFF_LINES);
        out.push((LineMarker::Context, format!("… {more} more lines")));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_secrets_stay_within_the_line() {
        let secret = |at| {
            DiffLine::new(
                format!("secrets.KEY_{at}"),
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
    fn each_side_alone_has_its_words() {
        let gone = attribute_rows(&[DiffLine::remove("env.A", "x")], 60, DiffWording::Drift);
        assert_eq!(gone[0].text, "\"x\", should not be there");
        let missing = attribute_rows(&[DiffLine::add("env.A", "x")], 60, DiffWording::Drift);
        assert_eq!(missing[0].text, "not there, should be \"x\"");
    }
}
