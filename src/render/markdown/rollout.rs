//! The rollout as a numbered list for each app: an item for each stage, and in it a line for each row.

use super::escape::{code_span, escape_prose};
use crate::{
    plan::Plan,
    render::{
        rollout::{Phrase, RolloutRow, RolloutSummary, summarize_rollouts},
        wording,
    },
};

/// The maximum number of names shown of a list.
const MAX_NAMES: usize = 12;
/// The maximum number of apps shown; more are counted.
const MAX_APPS: usize = 20;

/// Renders the rollouts of all apps; `None` when nothing is rolled out.
pub(super) fn render_rollouts(plan: &Plan) -> Option<String> {
    let rollouts = summarize_rollouts(plan);
    let mut parts: Vec<String> = rollouts
        .iter()
        .take(MAX_APPS)
        .map(render_app_rollout)
        .collect();
    if let Some(hidden_count) = rollouts
        .len()
        .checked_sub(MAX_APPS)
        .filter(|hidden_count| *hidden_count > 0)
    {
        let number = u64::try_from(hidden_count).unwrap_or(u64::MAX);
        parts.push(format!(
            "and of {}\n",
            wording::format_count(number, "more app")
        ));
    }
    (!parts.is_empty()).then(|| parts.join("\n"))
}

fn render_app_rollout(rollout: &RolloutSummary) -> String {
    let numbered = rollout.stages.len() > 1;
    let mut list = format!("**Rollout of {}**\n\n", code_span(&rollout.app));
    for (index, stage) in rollout.stages.iter().enumerate() {
        let bullet = if numbered {
            format!("{}.", index + 1)
        } else {
            "-".to_owned()
        };
        let rows: Vec<String> = stage.iter().map(row_text).collect();
        list += &format!("{bullet} {}\n", rows.join("<br>"));
    }
    list
}

fn row_text(row: &RolloutRow) -> String {
    let phrases: Vec<String> = row.phrases.iter().map(phrase_text).collect();
    format!("**{}** {}", escape_prose(&row.label), phrases.join("; "))
}

fn phrase_text(phrase: &Phrase) -> String {
    match phrase {
        Phrase::Text(text) => escape_prose(text),
        Phrase::List(lead, items) => format!(
            "{}: {}",
            escape_prose(lead),
            escape_prose(&wording::join_limited(items, MAX_NAMES))
        ),
        Phrase::Code(code, text) => format!("{}{}", code_span(code), escape_prose(text)),
    }
}
