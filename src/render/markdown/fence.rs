//! The details as a `diff`: its symbols stand in column 0, where they are coloured, and the nesting follows them, since
//! without it nobody sees what belongs to what.

use super::escape::fence;
use crate::{
    plan::{Refusal, Verb},
    render::{
        detail::{Row, Sign, Wording, path_width, rows},
        entry::Entry,
        value::clean,
        words,
    },
};

/// Wide enough for an image and a digest on both sides; the block scrolls sideways.
const WIDTH: usize = 140;

/// The folded details. `None` without changes.
pub(super) fn details(entries: &[Entry], refusals: &[Refusal]) -> Option<String> {
    if entries.is_empty() {
        return None;
    }
    let content: String = entries.iter().map(|entry| block(entry, refusals)).collect();
    let fenced = fence("diff", &content);
    Some(format!(
        "<details><summary>Details</summary>\n\n{fenced}\n</details>\n"
    ))
}

/// What colours a line of a `diff` on GitHub: `!` is the one for a change.
fn symbol(sign: Sign) -> char {
    match sign {
        Sign::Change => '!',
        other => other.symbol(),
    }
}

fn of_verb(verb: Verb) -> Sign {
    match verb {
        Verb::Destroy | Verb::Replace => Sign::Remove,
        Verb::Restart | Verb::Update | Verb::Succeed => Sign::Change,
        Verb::Create | Verb::Run => Sign::Add,
    }
}

fn block(entry: &Entry, refusals: &[Refusal]) -> String {
    let verb = entry.verb();
    let what = match entry.what().as_str() {
        "" => String::new(),
        what => format!("  ({})", clean(what)),
    };
    let remarks = match entry.remarks(refusals).join(", ").as_str() {
        "" => String::new(),
        remarks => format!("  {remarks}"),
    };
    let head = symbol(of_verb(verb));
    let mut out = format!(
        "{head} {} {}{what}{remarks}\n",
        verb.word(),
        entry.address()
    );
    let rows = rows(&entry.lines, WIDTH, Wording::Arrow);
    let width = path_width(&rows);
    for row in &rows {
        out += &attribute(row, width);
    }
    for folded in entry
        .members()
        .iter()
        .flat_map(|change| &change.takes_along)
    {
        let lost = folded.loss.map(|loss| format!(", {}", words::loss(loss)));
        let what = clean(&folded.what);
        out += &format!(
            "-   takes along {} ({what}){}\n",
            folded.address,
            lost.unwrap_or_default()
        );
    }
    out
}

fn attribute(row: &Row, width: usize) -> String {
    let (sign, path, text) = (symbol(row.sign), &row.path, &row.text);
    let line = format!("{sign}   {path:width$}  {text}  {}", row.after);
    let mut out = format!("{}\n", line.trim_end());
    for (sign, text) in &row.below {
        let line = format!("{}     {text}", symbol(*sign));
        out += &format!("{}\n", line.trim_end());
    }
    out
}
