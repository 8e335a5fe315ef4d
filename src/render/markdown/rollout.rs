//! The rollout as a short list for each app: one number for each stage, and side by side what goes side by side.

use super::escape::{code_span, escape_prose};
use crate::{
    plan::Plan,
    render::{
        rollout::{Phrase, RolloutRow, RolloutSummary, summarize_rollouts},
        wording,
    },
};

/// So many names of a list are shown; the log has as many as its lines hold.
const MAX_NAMES: usize = 12;
/// So many apps are told about: beyond that a comment is no place for them.
const MAX_APPS: usize = 20;

/// What happens in which order. `None` when nothing is rolled out.
pub(super) fn render_rollouts(plan: &Plan) -> Option<String> {
    let courses = summarize_rollouts(plan);
    let mut parts: Vec<String> = courses
        .iter()
        .take(MAX_APPS)
        .map(render_app_rollout)
        .collect();
    if let Some(more) = courses.len().checked_sub(MAX_APPS).filter(|more| *more > 0) {
        let number = u64::try_from(more).unwrap_or(u64::MAX);
        parts.push(format!(
            "and of {}\n",
            wording::format_count(number, "more app")
        ));
    }
    (!parts.is_empty()).then(|| parts.join("\n"))
}

fn render_app_rollout(course: &RolloutSummary) -> String {
    let numbered = course.stages.len() > 1;
    let mut out = format!("**Rollout of {}**\n\n", code_span(&course.app));
    for (at, stage) in course.stages.iter().enumerate() {
        let head = if numbered {
            format!("{}.", at + 1)
        } else {
            "-".to_owned()
        };
        let rows: Vec<String> = stage.iter().map(row_text).collect();
        out += &format!("{head} {}\n", rows.join("<br>"));
    }
    out
}

fn row_text(row: &RolloutRow) -> String {
    let says: Vec<String> = row.phrases.iter().map(phrase_text).collect();
    format!("**{}** {}", escape_prose(&row.label), says.join("; "))
}

fn phrase_text(say: &Phrase) -> String {
    match say {
        Phrase::Text(words) => escape_prose(words),
        Phrase::List(lead, items) => format!(
            "{}: {}",
            escape_prose(lead),
            escape_prose(&wording::join_limited(items, MAX_NAMES))
        ),
        Phrase::Code(text, words) => format!("{}{}", code_span(text), escape_prose(words)),
    }
}
