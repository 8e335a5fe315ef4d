//! The table of changes: the part that every reviewer reads.

use super::escape::{code_span, escape_prose};
use crate::{
    plan::{Refusal, Verb},
    render::{change_groups::ChangeGroup, wording},
};

/// Renders the table with at most `rows` rows, the most dangerous changes first. `None` without changes or with no rows.
pub(super) fn render_table(
    groups: &[ChangeGroup],
    refusals: &[Refusal],
    rows: usize,
) -> Option<String> {
    if groups.is_empty() || rows == 0 {
        return None;
    }
    let mut table =
        String::from("| | Object | Change | Restarts? | Risk |\n|---|---|---|---|---|\n");
    for group in groups.iter().take(rows) {
        table += &table_row(group, refusals);
    }
    if let Some(hidden_count) = groups
        .len()
        .checked_sub(rows)
        .filter(|hidden_count| *hidden_count > 0)
    {
        let number = u64::try_from(hidden_count).unwrap_or(u64::MAX);
        table += &format!("\nand {}\n", wording::format_count(number, "more change"));
    }
    Some(table)
}

fn table_row(group: &ChangeGroup, refusals: &[Refusal]) -> String {
    let description = match group.description().as_str() {
        "" => String::new(),
        description => format!("<br>{}", escape_prose(description)),
    };
    format!(
        "| {} | {}{description} | {}{} | {} | {} |\n",
        code_span(group.verb().symbol()),
        code_span(&group.address()),
        group.verb().word(),
        changed_paths(group),
        wording::restart_text(group.verb(), group.impact()),
        risk_cell(group, refusals),
    )
}

/// The paths of the first few attributes that change; none for a creation, where every attribute is new.
fn changed_paths(group: &ChangeGroup) -> String {
    if group.verb() == Verb::Create || group.lines.is_empty() {
        return String::new();
    }
    let paths: Vec<String> = group
        .lines
        .iter()
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
    let deleted_with: usize = group
        .members()
        .iter()
        .map(|change| change.takes_along.len())
        .sum();
    if deleted_with > 0 {
        let number = u64::try_from(deleted_with).unwrap_or(u64::MAX);
        risks.push(format!(
            "takes {} along",
            wording::format_count(number, "object")
        ));
    }
    risks.join(", ")
}
