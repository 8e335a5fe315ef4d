//! The table of changes: what a reviewer reads when reading nothing else.

use super::escape::{code_span, escape_prose};
use crate::{
    plan::{Refusal, Verb},
    render::{change_groups::ChangeGroup, wording},
};

/// The table with at most so many rows, the gravest first. `None` without changes, and without rows.
pub(super) fn render_table(
    entries: &[ChangeGroup],
    refusals: &[Refusal],
    rows: usize,
) -> Option<String> {
    if entries.is_empty() || rows == 0 {
        return None;
    }
    let mut out = String::from("| | Object | Change | Restarts? | Risk |\n|---|---|---|---|---|\n");
    for entry in entries.iter().take(rows) {
        out += &table_row(entry, refusals);
    }
    if let Some(more) = entries.len().checked_sub(rows).filter(|more| *more > 0) {
        let number = u64::try_from(more).unwrap_or(u64::MAX);
        out += &format!("\nand {}\n", wording::format_count(number, "more change"));
    }
    Some(out)
}

fn table_row(entry: &ChangeGroup, refusals: &[Refusal]) -> String {
    let what = match entry.description().as_str() {
        "" => String::new(),
        what => format!("<br>{}", escape_prose(what)),
    };
    format!(
        "| {} | {}{what} | {}{} | {} | {} |\n",
        code_span(entry.verb().symbol()),
        code_span(&entry.address()),
        entry.verb().word(),
        changed_paths(entry),
        wording::restart_text(entry.verb(), entry.impact()),
        risk_cell(entry, refusals),
    )
}

/// The first few attributes that change, by name. A creation is its own description.
fn changed_paths(entry: &ChangeGroup) -> String {
    if entry.verb() == Verb::Create || entry.lines.is_empty() {
        return String::new();
    }
    let paths: Vec<String> = entry
        .lines
        .iter()
        .map(|line| escape_prose(&line.path))
        .collect();
    format!(": {}", wording::join_limited(&paths, 4))
}

fn risk_cell(entry: &ChangeGroup, refusals: &[Refusal]) -> String {
    let mut risks: Vec<String> = entry
        .remarks(refusals)
        .iter()
        .map(|remark| format!("**{remark}**"))
        .collect();
    let along: usize = entry
        .members()
        .iter()
        .map(|change| change.takes_along.len())
        .sum();
    if along > 0 {
        let number = u64::try_from(along).unwrap_or(u64::MAX);
        risks.push(format!(
            "takes {} along",
            wording::format_count(number, "object")
        ));
    }
    risks.join(", ")
}
