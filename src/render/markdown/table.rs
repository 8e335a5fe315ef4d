//! The table of changes: the part that every reviewer reads.

use super::{
    CommentKind, PlanComment,
    escape::{code_span, escape_prose},
};
use crate::{
    model::DiffLine,
    plan::{Refusal, Verb},
    render::{
        change_groups::ChangeGroup,
        findings::{describe_finding, group_cause},
        risk::line_risk,
        wording,
    },
};

/// Room for the line that counts the rows left out.
const MORE_BYTES: usize = 40;

/// Renders as many rows of the table as fit into `room` bytes, in this order, and says how many that are. `None` if not one
/// fits.
pub(super) fn render_table(
    groups: &[&ChangeGroup],
    comment: &PlanComment<'_>,
    room: usize,
) -> Option<(String, usize)> {
    let mut table = String::from(match comment.kind {
        CommentKind::Plan => "| | Object | Change | Restarts? | Risk |\n|---|---|---|---|---|\n",
        CommentKind::Drift => "| | Object | Finding | Cause |\n|---|---|---|---|\n",
    });
    let mut rows = 0;
    for group in groups {
        let row = table_row(group, comment);
        if table.len() + row.len() + MORE_BYTES > room {
            break;
        }
        table += &row;
        rows += 1;
    }
    let hidden_count = groups.len() - rows;
    if hidden_count > 0 {
        let number = u64::try_from(hidden_count).unwrap_or(u64::MAX);
        table += &format!("\nand {}\n", wording::format_count(number, "more change"));
    }
    (rows > 0).then_some((table, rows))
}

fn table_row(group: &ChangeGroup, comment: &PlanComment<'_>) -> String {
    let description = match group.description().as_str() {
        "" => String::new(),
        description => format!("<br>{}", escape_prose(description)),
    };
    let object = format!("{}{description}", code_span(&group.address()));
    match comment.kind {
        CommentKind::Plan => format!(
            "| {} | {object} | {}{} | {} | {} |\n",
            code_span(group.verb().symbol()),
            group.verb().word(),
            changed_paths(group),
            wording::restart_text(group.verb(), group.impact()),
            risk_cell(group, &comment.refusals),
        ),
        CommentKind::Drift => {
            let (word, detail) = describe_finding(group.verb(), group_cause(group));
            format!(
                "| {} | {object} | {word}{} | {detail} |\n",
                code_span("≠"),
                changed_paths(group),
            )
        }
    }
}

/// The paths of the first few attributes that change; none for a creation, where every attribute is new.
fn changed_paths(group: &ChangeGroup) -> String {
    if group.verb() == Verb::Create || group.lines.is_empty() {
        return String::new();
    }
    let mut lines: Vec<&DiffLine> = group.lines.iter().collect();
    lines.sort_by_key(|line| line_risk(line));
    let paths: Vec<String> = lines
        .into_iter()
        .map(|line| escape_prose(&line.path))
        .collect();
    format!(": {}", wording::join_limited(&paths, 4))
}

fn risk_cell(group: &ChangeGroup, refusals: &[Refusal]) -> String {
    let mut risks: Vec<String> = group
        .remarks(refusals)
        .iter()
        .map(|remark| format!("**{remark}**"))
        .collect();
    risks.extend(group.line_risks().into_iter().filter_map(|risk| {
        let words = risk.words()?;
        Some(if risk.is_grave() {
            format!("**{words}**")
        } else {
            words.to_owned()
        })
    }));
    let deleted_with: usize = group
        .members()
        .iter()
        .map(|change| change.takes_along.len())
        .sum();
    if deleted_with > 0 {
        let number = u64::try_from(deleted_with).unwrap_or(u64::MAX);
        risks.push(format!(
            "deletes {} with it",
            wording::format_count(number, "object")
        ));
    }
    risks.join(", ")
}
