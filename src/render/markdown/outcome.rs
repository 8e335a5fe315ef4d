//! The result of an apply as Markdown, for the summary of a run and the comment on a merged pull request.

use super::escape::{code_span, escape_prose, fenced_block};
use crate::{
    apply::{
        ApplyReport,
        event::{ApplyFailure, Outcome},
    },
    model::Address,
    plan::Action,
    render::wording,
};

/// How many failed steps are shown in full.
const MAX_FAILURES: usize = 20;

/// The result of one apply.
#[derive(Clone, Debug, Default)]
pub struct ApplyResult<'a> {
    /// The environment.
    pub environment: &'a str,
    /// How it ended, as a title: `complete in 42 s`.
    pub title: &'a str,
    /// What was done, if anything was begun.
    pub report: Option<&'a ApplyReport>,
    /// Why nothing was done, or what to do next.
    pub message: Option<&'a str>,
    /// What runs now, as text.
    pub running: Option<&'a str>,
    /// The addresses of the apps, by their keys.
    pub urls: &'a [(String, String)],
}

/// Renders the result.
#[must_use]
pub fn apply_result(result: &ApplyResult<'_>) -> String {
    let mut text = format!(
        "### apply {}: {}\n",
        code_span(result.environment),
        escape_prose(result.title)
    );
    if let Some(message) = result.message {
        text += &format!("\n> [!CAUTION]\n> {}\n", escape_prose(message));
    }
    if let Some(report) = result.report {
        text += &failures(report);
    }
    if !result.urls.is_empty() {
        text += "\n";
        for (app, url) in result.urls {
            text += &format!("- {}: <{url}>\n", code_span(app));
        }
    }
    if let Some(running) = result.running {
        text += &format!("\nWhat runs now:\n\n{}", fenced_block("text", running));
    }
    text
}

/// Each step that did not succeed, with the reason and what to do.
fn failures(report: &ApplyReport) -> String {
    let mut lines = Vec::new();
    for failure in report.halted.iter().chain(&report.lost) {
        lines.push(format!("- {}", describe(failure)));
    }
    let mut not_run = 0;
    for step in &report.outcomes {
        match &step.outcome {
            Outcome::Done => {}
            Outcome::Failed(failure) => lines.push(line(step.action, &step.address, failure)),
            Outcome::HeldBack(failure) => lines.push(format!(
                "- held back: {}",
                line(step.action, &step.address, failure).trim_start_matches("- ")
            )),
            Outcome::Skipped { .. } | Outcome::NotRun | Outcome::Unknown => not_run += 1,
        }
    }
    let hidden = lines.len().saturating_sub(MAX_FAILURES);
    lines.truncate(MAX_FAILURES);
    if hidden > 0 {
        lines.push(format!("- and {hidden} more"));
    }
    if not_run > 0 {
        lines.push(format!(
            "- {} not run to its end",
            wording::format_count(not_run, "other step")
        ));
    }
    if lines.is_empty() {
        return String::new();
    }
    format!("\n{}\n", lines.join("\n"))
}

fn line(action: Action, address: &Address, failure: &ApplyFailure) -> String {
    format!(
        "- {} {}: {}",
        wording::action_imperative(action),
        code_span(&address.to_string()),
        describe(failure)
    )
}

fn describe(failure: &ApplyFailure) -> String {
    let ApplyFailure {
        reason,
        request_id,
        hint,
    } = failure;
    let id = request_id
        .as_ref()
        .map(|id| format!(" (request {})", code_span(id)));
    let hint = hint
        .as_ref()
        .map(|hint| format!("<br>hint: {}", escape_prose(hint)));
    // The last lines of a program are lines here as well.
    let lines: Vec<String> = reason.lines().map(escape_prose).collect();
    format!(
        "{}{}{}",
        lines.join("<br>"),
        id.unwrap_or_default(),
        hint.unwrap_or_default()
    )
}
