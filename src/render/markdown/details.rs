//! All attributes as a foldable `diff` block. GitHub colours a line by its first character, so the markers stand in
//! column 0 and the indentation comes after them.

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

/// The width of a line in columns: enough for two image references with digests. The block scrolls sideways.
const BLOCK_WIDTH: usize = 140;

/// Renders the details; `None` without changes.
pub(super) fn render_details(groups: &[ChangeGroup], refusals: &[Refusal]) -> Option<String> {
    if groups.is_empty() {
        return None;
    }
    let content: String = groups
        .iter()
        .map(|group| change_block(group, refusals))
        .collect();
    let fenced = fenced_block("diff", &content);
    Some(format!(
        "<details><summary>Details</summary>\n\n{fenced}\n</details>\n"
    ))
}

/// The first character of a line, by which GitHub colours it. For a change that is `!`.
fn diff_symbol(marker: LineMarker) -> char {
    match marker {
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

fn change_block(group: &ChangeGroup, refusals: &[Refusal]) -> String {
    let verb = group.verb();
    let description = match group.description().as_str() {
        "" => String::new(),
        description => format!("  ({})", sanitize(description)),
    };
    let remarks = match group.remarks(refusals).join(", ").as_str() {
        "" => String::new(),
        remarks => format!("  {remarks}"),
    };
    let symbol = diff_symbol(marker_for_verb(verb));
    let mut block = format!(
        "{symbol} {} {}{description}{remarks}\n",
        verb.word(),
        group.address()
    );
    let rows = attribute_rows(&group.lines, BLOCK_WIDTH, DiffWording::Plan);
    let width = path_width(&rows);
    for row in &rows {
        block += &attribute_lines(row, width);
    }
    for deletion in group
        .members()
        .iter()
        .flat_map(|change| &change.takes_along)
    {
        let data_loss = deletion
            .data_loss
            .map(|loss| format!(", {}", wording::data_loss_remark(loss)));
        let contained = sanitize(&deletion.description);
        block += &format!(
            "-   takes along {} ({contained}){}\n",
            deletion.address,
            data_loss.unwrap_or_default()
        );
    }
    block
}

fn attribute_lines(row: &AttributeRow, width: usize) -> String {
    let (marker, path, text) = (diff_symbol(row.marker), &row.path, &row.text);
    let line = format!("{marker}   {path:width$}  {text}  {}", row.remark);
    let mut block = format!("{}\n", line.trim_end());
    for (marker, text) in &row.nested_lines {
        let line = format!("{}     {text}", diff_symbol(*marker));
        block += &format!("{}\n", line.trim_end());
    }
    block
}
