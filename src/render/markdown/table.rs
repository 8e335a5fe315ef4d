//! The table of changes: what a reviewer reads when reading nothing else.

use super::escape::{code, prose};
use crate::{
    plan::{Refusal, Verb},
    render::{entry::Entry, words},
};

/// The table with at most so many rows, the gravest first. `None` without changes, and without rows.
pub(super) fn table(entries: &[Entry], refusals: &[Refusal], rows: usize) -> Option<String> {
    if entries.is_empty() || rows == 0 {
        return None;
    }
    let mut out = String::from("| | Object | Change | Restarts? | Risk |\n|---|---|---|---|---|\n");
    for entry in entries.iter().take(rows) {
        out += &row(entry, refusals);
    }
    if let Some(more) = entries.len().checked_sub(rows).filter(|more| *more > 0) {
        let number = u64::try_from(more).unwrap_or(u64::MAX);
        out += &format!("\nand {}\n", words::count(number, "more change"));
    }
    Some(out)
}

fn row(entry: &Entry, refusals: &[Refusal]) -> String {
    let what = match entry.what().as_str() {
        "" => String::new(),
        what => format!("<br>{}", prose(what)),
    };
    format!(
        "| {} | {}{what} | {}{} | {} | {} |\n",
        code(entry.verb().symbol()),
        code(&entry.address()),
        entry.verb().word(),
        paths(entry),
        words::restarts(entry.verb(), entry.impact()),
        risk(entry, refusals),
    )
}

/// The first few attributes that change, by name. A creation is its own description.
fn paths(entry: &Entry) -> String {
    if entry.verb() == Verb::Create || entry.lines.is_empty() {
        return String::new();
    }
    let paths: Vec<String> = entry.lines.iter().map(|line| prose(&line.path)).collect();
    format!(": {}", words::few(&paths, 4))
}

fn risk(entry: &Entry, refusals: &[Refusal]) -> String {
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
        risks.push(format!("takes {} along", words::count(number, "object")));
    }
    risks.join(", ")
}
