//! Lines to rows: one attribute each, with values that fit. Text and Markdown only arrange the rows.

use similar::{ChangeTag, TextDiff};
use unicode_width::UnicodeWidthStr as _;

use super::value::{clean, cut, lines_of, one_line, pair, text_of, without_secrets, wrapped};
use crate::model::{Line, Shown};

/// What happens to one attribute, or to one line of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    Add,
    Change,
    Remove,
    /// Context.
    Same,
}

impl Sign {
    pub(super) fn symbol(self) -> char {
        match self {
            Self::Add => '+',
            Self::Change => '~',
            Self::Remove => '-',
            Self::Same => ' ',
        }
    }

    fn of(line: &Line) -> Self {
        match (&line.from, &line.to) {
            (None, _) => Self::Add,
            (_, None) => Self::Remove,
            _ => Self::Change,
        }
    }
}

/// One row of detail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) sign: Sign,
    pub(super) path: String,
    /// The values in one line.
    pub(super) text: String,
    /// The remark and the cause of a replacement; empty when there is none.
    pub(super) after: String,
    /// Lines below, for a value that spans several.
    pub(super) below: Vec<(Sign, String)>,
}

/// How the two sides of a change are put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wording {
    /// `from → to`: what an apply will do.
    Arrow,
    /// `there, should be wanted`: what a look found.
    ShouldBe,
}

/// A path longer than this pushes its own value to the right, and nobody else's.
const WIDEST_PATH: usize = 30;
/// Values are not cut below this, however narrow the terminal.
const LEAST: usize = 24;
/// A remark up to this width, such as `(tag moved)`, stays beside its value.
const A_WORD: usize = 20;
/// Lines of a text that are shown: more belongs into the file itself.
const MOST_LINES: usize = 40;

/// The rows of an entry. `columns` is the room for a whole row.
pub(super) fn rows(lines: &[Line], columns: usize, wording: Wording) -> Vec<Row> {
    let lines: Vec<Line> = lines.iter().map(without_secrets).collect();
    let (secrets, open): (Vec<&Line>, Vec<&Line>) = lines.iter().partition(|line| is_secret(line));
    let path = |line: &&Line| clean(&line.path).width();
    let widest = open
        .iter()
        .map(path)
        .filter(|width| *width <= WIDEST_PATH)
        .max();
    let room = columns.saturating_sub(widest.unwrap_or(0) + 4).max(LEAST);
    let mut rows: Vec<Row> = Vec::new();
    for line in &open {
        match line.to.as_ref().or(line.from.as_ref()) {
            Some(Shown::Words(words)) => rows.extend(sentence(line, words, room)),
            _ => rows.push(row(line, room, wording)),
        }
    }
    rows.extend(secret_rows(&secrets, room));
    rows
}

/// The width to which paths are padded.
pub(super) fn path_width(rows: &[Row]) -> usize {
    let widths = rows.iter().map(|row| row.path.width());
    widths
        .filter(|width| *width <= WIDEST_PATH)
        .max()
        .unwrap_or(0)
}

fn is_secret(line: &Line) -> bool {
    let hidden = |side: &Option<Shown>| matches!(side, None | Some(Shown::Sensitive));
    hidden(&line.from) && hidden(&line.to)
}

/// All secrets in as few rows as hold them: `+SENTRY_DSN  ~DATABASE_URL  (sensitive)`.
fn secret_rows(lines: &[&Line], room: usize) -> Vec<Row> {
    let Some(first) = lines.first() else {
        return Vec::new();
    };
    let sign = Sign::of(first);
    let same = lines.iter().all(|line| Sign::of(line) == sign);
    let mut texts = vec![String::new()];
    for word in lines
        .iter()
        .map(|line| secret(line))
        .chain(["(sensitive)".to_owned()])
    {
        match texts.last_mut() {
            Some(text) if text.is_empty() => *text = word,
            Some(text) if text.width() + word.width() + 2 <= room => *text += &format!("  {word}"),
            _ => texts.push(word),
        }
    }
    let row = |(at, text)| Row {
        sign: if same { sign } else { Sign::Change },
        path: if at == 0 { "secrets" } else { "" }.to_owned(),
        text,
        after: String::new(),
        below: Vec::new(),
    };
    texts.into_iter().enumerate().map(row).collect()
}

/// One secret by name, what happens to it, and why.
fn secret(line: &Line) -> String {
    let name = clean(line.path.strip_prefix("secrets.").unwrap_or(&line.path));
    let note = line.note.as_ref().map(|note| format!(" ({})", clean(note)));
    format!(
        "{}{name}{}",
        Sign::of(line).symbol(),
        note.unwrap_or_default()
    )
}

/// A sentence in as many rows as it takes.
fn sentence(line: &Line, words: &str, room: usize) -> Vec<Row> {
    let row = |(at, text)| Row {
        sign: if at == 0 { Sign::of(line) } else { Sign::Same },
        path: if at == 0 {
            clean(&line.path)
        } else {
            String::new()
        },
        text,
        after: String::new(),
        below: Vec::new(),
    };
    wrapped(&clean(words), room)
        .into_iter()
        .enumerate()
        .map(row)
        .collect()
}

fn row(line: &Line, room: usize, wording: Wording) -> Row {
    let mut below = line_diff(line);
    let text = if below.is_empty() {
        values(line, room, wording)
    } else {
        String::from("changes by line:")
    };
    let mut after = remark(line);
    // A sentence that does not fit stands below.
    if below.is_empty() && after.width() > A_WORD && text.width() + 2 + after.width() > room {
        below = wrapped(&after, room)
            .into_iter()
            .map(|part| (Sign::Same, part))
            .collect();
        after.clear();
    }
    Row {
        sign: Sign::of(line),
        path: clean(&line.path),
        text,
        after,
        below,
    }
}

fn remark(line: &Line) -> String {
    let note = line.note.as_ref().map(|note| format!("({})", clean(note)));
    let forces = line.replaces.then(|| "← forces replacement".to_owned());
    let parts: Vec<String> = note.into_iter().chain(forces).collect();
    parts.join(" ")
}

/// Both sides in one line.
fn values(line: &Line, room: usize, wording: Wording) -> String {
    let (from, to) = (
        line.from.as_ref().map(one_line),
        line.to.as_ref().map(one_line),
    );
    match (from, to, wording) {
        (Some(from), Some(to), wording) => {
            let between = if wording == Wording::Arrow {
                " → "
            } else {
                ", should be "
            };
            let columns = room.saturating_sub(between.width()).max(2 * LEAST);
            let (from, to) = pair(&from, &to, columns);
            format!("{from}{between}{to}")
        }
        (None, Some(to), Wording::ShouldBe) => {
            format!(
                "not there, should be {}",
                cut(&to, room.saturating_sub(21).max(LEAST))
            )
        }
        (Some(from), None, Wording::ShouldBe) => {
            format!(
                "{}, should not be there",
                cut(&from, room.saturating_sub(21).max(LEAST))
            )
        }
        (one, other, _) => cut(&one.or(other).unwrap_or_default(), room),
    }
}

/// The difference of two texts by line, with one line of context, when either spans lines.
fn line_diff(line: &Line) -> Vec<(Sign, String)> {
    let (from, to) = (line.from.as_ref(), line.to.as_ref());
    if lines_of(from).is_none() && lines_of(to).is_none() {
        return Vec::new();
    }
    let (from, to) = (
        text_of(from).unwrap_or_default(),
        text_of(to).unwrap_or_default(),
    );
    let diff = TextDiff::from_lines(from, to);
    let mut out: Vec<(Sign, String)> = Vec::new();
    for (at, hunk) in diff.grouped_ops(1).iter().enumerate() {
        if at > 0 {
            out.push((Sign::Same, "…".to_owned()));
        }
        for change in hunk.iter().flat_map(|op| diff.iter_changes(op)) {
            let sign = match change.tag() {
                ChangeTag::Insert => Sign::Add,
                ChangeTag::Delete => Sign::Remove,
                ChangeTag::Equal => Sign::Same,
            };
            out.push((sign, clean(change.value().trim_end_matches(['\n', '\r']))));
        }
    }
    if let Some(more) = out.len().checked_sub(MOST_LINES).filter(|more| *more > 0) {
        out.truncate(MOST_LINES);
        out.push((Sign::Same, format!("… {more} more lines")));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_secrets_stay_within_the_line() {
        let secret = |at| Line::new(format!("secrets.KEY_{at}"), None, Some(Shown::Sensitive));
        let lines: Vec<Line> = (0..40).map(secret).collect();
        let rows = rows(&lines, 60, Wording::Arrow);
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
        let gone = rows(&[Line::remove("env.A", "x")], 60, Wording::ShouldBe);
        assert_eq!(gone[0].text, "\"x\", should not be there");
        let missing = rows(&[Line::add("env.A", "x")], 60, Wording::ShouldBe);
        assert_eq!(missing[0].text, "not there, should be \"x\"");
    }
}
