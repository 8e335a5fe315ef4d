//! All attributes as a foldable `diff` block. GitHub colours a line by its first character, so the markers stand in
//! column 0 and the indentation comes after them.

use super::{CommentKind, escape::fenced_block};
use crate::{
    model::DiffLine,
    plan::{Refusal, Verb},
    render::{
        attribute_rows::{AttributeRow, DiffWording, LineMarker, attribute_rows, path_width},
        change_groups::ChangeGroup,
        findings::{describe_finding, group_cause},
        risk::{Risk, line_risk},
        value::sanitize,
        wording,
    },
};

/// The width of a line in columns: enough for two image references with digests. The block scrolls sideways.
const BLOCK_WIDTH: usize = 140;

/// Folds the blocks of the changes; `None` if there are none.
pub(super) fn fold(blocks: &str) -> Option<String> {
    if blocks.is_empty() {
        return None;
    }
    let fenced = fenced_block("diff", blocks);
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

/// A change with all of its attributes.
pub(super) fn change_block(group: &ChangeGroup, refusals: &[Refusal], kind: CommentKind) -> String {
    block_with_lines(group, &group.lines, refusals, kind)
}

/// A change with the attributes that delete, open or grant something; `None` if there are none.
pub(super) fn dangerous_block(
    group: &ChangeGroup,
    refusals: &[Refusal],
    kind: CommentKind,
) -> Option<String> {
    let worst = group.lines.iter().map(line_risk).min()?;
    if worst == Risk::Ordinary {
        return (group.risk() != Risk::Ordinary)
            .then(|| block_with_lines(group, &[], refusals, kind));
    }
    // Beside a line that grants everything, those that grant something else are details.
    let lines: Vec<DiffLine> = group
        .lines
        .iter()
        .filter(|line| line_risk(line) == worst)
        .cloned()
        .collect();
    let omitted = group.lines.len() - lines.len();
    let mut block = block_with_lines(group, &lines, refusals, kind);
    if omitted > 0 {
        let count = wording::format_count(u64::try_from(omitted).unwrap_or(u64::MAX), "more line");
        block += &format!("    … {count}\n");
    }
    Some(block)
}

fn block_with_lines(
    group: &ChangeGroup,
    lines: &[DiffLine],
    refusals: &[Refusal],
    kind: CommentKind,
) -> String {
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
        match kind {
            CommentKind::Plan => verb.word(),
            CommentKind::Drift => describe_finding(verb, group_cause(group)).0,
        },
        group.address()
    );
    let wording = match kind {
        CommentKind::Plan => DiffWording::Plan,
        CommentKind::Drift => DiffWording::Drift,
    };
    // The attributes of a missing object are all in the manifest.
    let is_missing = kind == CommentKind::Drift && verb == Verb::Create;
    let rows = attribute_rows(if is_missing { &[] } else { lines }, BLOCK_WIDTH, wording);
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
            .map(|loss| format!(", {}", loss.consequence()));
        let contained = sanitize(&deletion.description);
        block += &format!(
            "-   also deletes {} ({contained}){}\n",
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
