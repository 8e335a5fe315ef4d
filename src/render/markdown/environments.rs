//! Several environments in one text: the comment on a pull request, the summary of a run, and the issue about drift.

use super::{
    CommentKind, Headline, Scope,
    escape::{code_span, escape_prose},
    render,
};
use crate::{
    plan::{Plan, Refusal},
    render::graph,
};

/// What GitHub accepts as the summary of one step is 1 MiB, and it drops a longer one as a whole. This leaves room for the
/// summaries of other commands in the same step.
const SUMMARY_BUDGET: usize = 480_000;
/// The most bytes of a graph. GitHub draws no Mermaid text of more than 50 000 characters (Mermaid's `maxTextSize`).
const MAX_GRAPH_BYTES: usize = 45_000;

/// What is known of one environment.
#[derive(Debug)]
pub enum EnvironmentResult<'a> {
    /// Its plan.
    Planned {
        /// The plan.
        plan: &'a Plan,
        /// What `apply` would refuse.
        refusals: &'a [Refusal],
        /// Which environment it is.
        headline: &'a Headline,
    },
    /// It was not looked at here.
    NotPlanned {
        /// The environment.
        environment: &'a str,
        /// Why, as a sentence fragment.
        reason: &'a str,
    },
    /// It could not be looked at.
    Failed {
        /// The environment.
        environment: &'a str,
        /// The error.
        message: &'a str,
    },
}

impl EnvironmentResult<'_> {
    fn render(&self, kind: CommentKind, more: Option<&str>, budget: usize) -> String {
        let command = match kind {
            CommentKind::Plan => "plan",
            CommentKind::Drift => "drift",
        };
        match self {
            Self::Planned {
                plan,
                refusals,
                headline,
            } => render(
                kind,
                Scope::Section { more },
                plan,
                refusals,
                headline,
                budget,
            ),
            Self::NotPlanned {
                environment,
                reason,
            } => format!(
                "### {command} {}: not planned here\n\n{}.\n",
                code_span(environment),
                escape_prose(&capitalize(reason))
            ),
            Self::Failed {
                environment,
                message,
            } => format!(
                "### {command} {}: failed\n\n> [!CAUTION]\n> {}\n",
                code_span(environment),
                escape_prose(message)
            ),
        }
    }
}

fn capitalize(text: &str) -> String {
    let mut letters = text.chars();
    letters
        .next()
        .map(|first| first.to_uppercase().chain(letters).collect())
        .unwrap_or_default()
}

/// Renders the plans of several environments as one comment of at most `budget` bytes. Each environment has its share; what a
/// short one leaves over goes to the longer ones. `more` is where the whole text can be read.
#[must_use]
pub fn environments_comment(
    environments: &[EnvironmentResult<'_>],
    is_drift: bool,
    more: Option<&str>,
    budget: usize,
) -> String {
    let kind = if is_drift {
        CommentKind::Drift
    } else {
        CommentKind::Plan
    };
    let mut sections: Vec<Option<String>> = vec![None; environments.len()];
    let (mut room, mut left) = (budget, environments.len());
    // Those that fit into an equal share are settled first; then the shares of the others are larger.
    loop {
        let share = room.checked_div(left).unwrap_or_default().saturating_sub(1);
        let mut has_settled = false;
        for (section, environment) in sections.iter_mut().zip(environments) {
            if section.is_some() {
                continue;
            }
            let whole = environment.render(kind, more, usize::MAX);
            if whole.len() <= share {
                room -= whole.len() + 1;
                left -= 1;
                *section = Some(whole);
                has_settled = true;
            }
        }
        if !has_settled {
            for (section, environment) in sections.iter_mut().zip(environments) {
                section.get_or_insert_with(|| environment.render(kind, more, share));
            }
            break;
        }
    }
    let sections: Vec<String> = sections.into_iter().flatten().collect();
    sections.join("\n")
}

/// Renders the plans of several environments as the summary of a run, each with its graph.
#[must_use]
pub fn environments_summary(environments: &[EnvironmentResult<'_>], is_drift: bool) -> String {
    let graphs: Vec<String> = environments
        .iter()
        .filter_map(|environment| match environment {
            EnvironmentResult::Planned { plan, headline, .. } if !plan.is_empty() => {
                Some((graph::mermaid(plan), headline))
            }
            _ => None,
        })
        .filter(|(graph, _)| graph.len() <= MAX_GRAPH_BYTES && !is_drift)
        .map(|(graph, headline)| {
            format!(
                "\n<details><summary>The order of {}</summary>\n\n```mermaid\n{}\n```\n\n</details>\n",
                super::escape_html(&headline.environment),
                graph.trim_end()
            )
        })
        .collect();
    let graphs = graphs.concat();
    let budget = SUMMARY_BUDGET.saturating_sub(graphs.len());
    environments_comment(environments, is_drift, None, budget) + &graphs
}
