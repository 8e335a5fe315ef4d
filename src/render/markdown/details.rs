//! The details as a `diff`: its symbols stand in column 0, where they are coloured, and the nesting follows them, since
//! without it nobody sees what belongs to what.

use super::escape::fenced_block;
use crate::{
    plan::{Refusal, Verb},
    render::{
        attribute_rows::{AttributeRow, DiffWording, LineMarker, attribute_rows, path_width},
        change_groups::ChangeGroup,
        value::sanitize,
        wording,
    },
};

/// Wide enough for an image and a digest on both sides; the block scrolls sideways.
const BLOCK_WIDTH: usize = 140;

/// The folded details. `None` without changes.
pub(super) fn render_details(entries: &[ChangeGroup], refusals: &[Refusal]) -> Option<String> {
    if entries.is_empty() {
        return None;
    }
    let content: String = entries
        .iter()
        .map(|entry| change_block(entry, refusals))
        .collect();
    let fenced = fenced_block("diff", &content);
    Some(format!(
        "<details><summary>Details</summary>\n\n{fenced}\n</details>\n"
    ))
}

/// What colours a line of a `diff` on GitHub: `!` is the one for a change.
fn diff_symbol(sign: LineMarker) -> char {
    match sign {
        LineMarker::Change => '!',
        other => other.symbol(),
    }
}

fn marker_for_verb(verb: Verb) -> LineMarker {
    match verb {
        Verb::Destroy | Verb::Replace => LineMarker::Remove,
        Verb::Restart | Verb::Update | Verb::Succeed => LineMarker::Change,
        Verb::Create | Verb::Run => LineMarker::Add,
    }
}

fn change_block(entry: &ChangeGroup, refusals: &[Refusal]) -> String {
    let verb = entry.verb();
    let what = match entry.description().as_str() {
        "" => String::new(),
        what => format!("  ({})", sanitize(what)),
    };
    let remarks = match entry.remarks(refusals).join(", ").as_str() {
        "" => String::new(),
        remarks => format!("  {remarks}"),
    };
    let head = diff_symbol(marker_for_verb(verb));
    let mut out = format!(
        "{head} {} {}{what}{remarks}\n",
        verb.word(),
        entry.address()
    );
    let rows = attribute_rows(&entry.lines, BLOCK_WIDTH, DiffWording::Plan);
    let width = path_width(&rows);
    for row in &rows {
        out += &attribute_lines(row, width);
    }
    for folded in entry
        .members()
        .iter()
        .flat_map(|change| &change.takes_along)
    {
        let lost = folded
            .loss
            .map(|loss| format!(", {}", wording::data_loss_remark(loss)));
        let what = sanitize(&folded.what);
        out += &format!(
            "-   takes along {} ({what}){}\n",
            folded.address,
            lost.unwrap_or_default()
        );
    }
    out
}

fn attribute_lines(row: &AttributeRow, width: usize) -> String {
    let (sign, path, text) = (diff_symbol(row.marker), &row.path, &row.text);
    let line = format!("{sign}   {path:width$}  {text}  {}", row.remark);
    let mut out = format!("{}\n", line.trim_end());
    for (sign, text) in &row.nested_lines {
        let line = format!("{}     {text}", diff_symbol(*sign));
        out += &format!("{}\n", line.trim_end());
    }
    out
}
