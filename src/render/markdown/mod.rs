//! A plan as a pull request comment: the table of changes first, details folded. The comment is never cut: what does not fit
//! into the budget is left out in whole parts, the least dangerous first, and the comment says how many.

use super::{
    Headline,
    change_groups::{ChangeCounts, ChangeGroup, all_refusals, group_changes, group_refusals},
    findings,
    value::sanitize,
    wording,
};
use crate::plan::{Plan, Refusal};

mod details;
mod environments;
mod escape;
mod fit;
mod outcome;
mod rollout;
mod table;

pub use environments::{EnvironmentResult, environments_comment, environments_summary};
use escape::{code_span, escape_html, escape_prose};
pub use outcome::{ApplyResult, apply_result};

/// The default budget in bytes. GitHub rejects comments of more than 65 536 characters; the rest is for text that a
/// workflow adds around the plan.
pub const COMMENT_BUDGET: usize = 60_000;

/// The maximum number of refusals, and of warnings, that are listed; more refusals are counted.
const MAX_REFUSALS: usize = 10;

/// What a comment is about. Each has a marker of its own, so that one does not overwrite the other.
#[derive(Clone, Copy, PartialEq, Eq)]
enum CommentKind {
    /// What an apply would do.
    Plan,
    /// What differs.
    Drift,
}

/// Renders the plan as a comment of at most `budget` bytes. The title and the hidden marker, by which a later run finds
/// the comment to update it, are included even if they exceed the budget.
#[must_use]
pub fn plan(plan: &Plan, refusals: &[Refusal], headline: &Headline, budget: usize) -> String {
    render(
        CommentKind::Plan,
        Scope::Whole,
        plan,
        refusals,
        headline,
        budget,
    )
}

/// Renders the differences as a comment about drift.
#[must_use]
pub fn drift(plan: &Plan, refusals: &[Refusal], headline: &Headline, budget: usize) -> String {
    render(
        CommentKind::Drift,
        Scope::Whole,
        plan,
        refusals,
        headline,
        budget,
    )
}

fn render(
    kind: CommentKind,
    scope: Scope<'_>,
    plan: &Plan,
    refusals: &[Refusal],
    headline: &Headline,
    budget: usize,
) -> String {
    let comment = PlanComment {
        kind,
        scope,
        plan,
        refusals: all_refusals(plan, refusals),
        headline,
        groups: group_changes(plan),
        counts: ChangeCounts::from_plan(plan),
    };
    let unaffected = [comment.unaffected_objects(), None];
    let mut complete = unaffected.into_iter().map(|part| comment.whole(part));
    complete
        .find(|text| text.len() <= budget)
        .unwrap_or_else(|| fit::fill(&comment, budget))
}

/// Whether the plan is a comment of its own.
#[derive(Clone, Copy)]
enum Scope<'a> {
    /// It is, with a marker.
    Whole,
    /// It is one environment of a comment about several. What reading cost is left out, so that the same plan is the same text.
    Section {
        /// Where everything can be read.
        more: Option<&'a str>,
    },
}

struct PlanComment<'a> {
    kind: CommentKind,
    scope: Scope<'a>,
    plan: &'a Plan,
    refusals: Vec<Refusal>,
    headline: &'a Headline,
    groups: Vec<ChangeGroup>,
    counts: ChangeCounts,
}

impl PlanComment<'_> {
    /// The comment with everything, however long.
    fn whole(&self, unaffected: Option<String>) -> String {
        let groups: Vec<&ChangeGroup> = self.groups.iter().collect();
        let blocks: String = groups
            .iter()
            .map(|group| details::change_block(group, &self.refusals, self.kind))
            .collect();
        let table = table::render_table(&groups, self, usize::MAX);
        let parts = [
            Some(self.header()),
            self.refusal_block(),
            table.map(|(table, _)| table),
            self.rollouts(),
            self.narrowed_note(),
            details::fold(&blocks),
            self.warning_list(),
            unaffected,
            Some(self.footer()),
        ];
        join_parts(parts)
    }

    /// The order of the rollout, which only an apply has.
    fn rollouts(&self) -> Option<String> {
        match self.kind {
            CommentKind::Plan => rollout::render_rollouts(self.plan),
            CommentKind::Drift => None,
        }
    }

    /// The hidden marker and the title.
    fn header(&self) -> String {
        let Headline {
            project,
            environment,
            ..
        } = self.headline;
        // `--` could end the HTML comment early, so a word joiner separates the hyphens.
        let escape_marker =
            |text: &str| sanitize(text).replace("--", "-\u{2060}-").replace('>', "");
        let marker = format!(
            "<!-- trimtab:{}:{}/{} -->",
            match self.kind {
                CommentKind::Plan => "plan",
                CommentKind::Drift => "drift",
            },
            escape_marker(project),
            escape_marker(environment)
        );
        let title = match self.kind {
            _ if !self.plan.is_empty() => match self.kind {
                CommentKind::Plan => self.counts.summary(),
                CommentKind::Drift => findings::summarize(self.plan),
            },
            CommentKind::Plan if self.plan.is_converged() => "no changes".to_owned(),
            CommentKind::Plan => "no changes can be made now, some are held back".to_owned(),
            CommentKind::Drift if self.plan.is_converged() => "no drift".to_owned(),
            CommentKind::Drift => findings::summarize(self.plan),
        };
        let marker = match self.scope {
            Scope::Whole => marker + "\n",
            Scope::Section { .. } => String::new(),
        };
        format!(
            "{marker}### {} {}: {title}\n",
            self.headline.command,
            code_span(environment)
        )
    }

    fn refusal_block(&self) -> Option<String> {
        if self.refusals.is_empty() {
            return None;
        }
        let mut block = String::from("> [!CAUTION]\n");
        let groups = group_refusals(&self.refusals);
        for group in groups.iter().take(MAX_REFUSALS) {
            let label = group
                .subject()
                .map(|subject| format!("{}: ", code_span(&subject)))
                .unwrap_or_default();
            block += &format!(
                "> - **BLOCKED:** {label}{}  \n",
                escape_prose(group.reason())
            );
            block += &format!(">   hint: {}\n", format_hint(&group.hint));
        }
        if let Some(hidden_count) = groups
            .len()
            .checked_sub(MAX_REFUSALS)
            .filter(|hidden_count| *hidden_count > 0)
        {
            block += &format!("> - and {hidden_count} more\n");
        }
        Some(block)
    }

    fn narrowed_note(&self) -> Option<String> {
        let left_out = &self.plan.selection.as_ref()?.left_out;
        let left_out_count = u64::try_from(left_out.len()).unwrap_or(u64::MAX);
        (left_out_count > 0).then(|| {
            format!(
                "Left out by `--only`, so still to do: {}.\n",
                wording::format_count(left_out_count, "object")
            )
        })
    }

    fn warning_list(&self) -> Option<String> {
        let warnings = &self.plan.findings.warnings;
        let line = |warning: &String| format!("- warning: {}\n", escape_prose(warning));
        let list: String = warnings.iter().take(MAX_REFUSALS).map(line).collect();
        (!list.is_empty()).then_some(list)
    }

    /// Counts unchanged objects and lists unmanaged ones.
    fn unaffected_objects(&self) -> Option<String> {
        let unmanaged = &self.plan.findings.unmanaged;
        let mut block = String::new();
        if self.counts.unchanged > 0 {
            let number = u64::try_from(self.counts.unchanged).unwrap_or(u64::MAX);
            let matches = wording::inflect_match(self.counts.unchanged);
            block += &format!(
                "No action: {} {matches}.\n",
                wording::format_count(number, "object")
            );
        }
        if !unmanaged.is_empty() {
            let number = u64::try_from(unmanaged.len()).unwrap_or(u64::MAX);
            let title = format!(
                "Not managed: {} left alone",
                wording::format_count(number, "object")
            );
            block += &format!("\n<details><summary>{}</summary>\n\n", escape_html(&title));
            for unmanaged in unmanaged {
                let (description, why) = (
                    escape_prose(&unmanaged.description),
                    escape_prose(&unmanaged.why),
                );
                block += &format!(
                    "- {description} in {}: {why}\n",
                    code_span(unmanaged.container.name().as_str())
                );
            }
            block += "\n</details>\n";
        }
        (!block.is_empty()).then_some(block)
    }

    /// Where the plan was made, and the command that applies exactly this plan.
    fn footer(&self) -> String {
        let location = escape_prose(&self.headline.location());
        let location = match self.scope {
            Scope::Whole => format!("{location} · {}", self.headline.read_cost()),
            Scope::Section { .. } => location,
        };
        let source = format!("<sub>{location}</sub>\n");
        if self.plan.is_empty() {
            return source;
        }
        let target = &self.headline.target_args;
        if self.kind == CommentKind::Drift {
            let repair = findings::repair_command(self.plan, target);
            let repair = repair.map(|(condition, command)| {
                format!("To repair: {condition}{}\n\n", code_span(&command))
            });
            return repair.unwrap_or_default() + &source;
        }
        let restarts = self.counts.restart_sentence();
        // A plan that is refused cannot be applied, so its id and its duration would only mislead.
        if !self.refusals.is_empty() {
            let restarts = restarts.map(|sentence| format!("{sentence}\n\n"));
            return restarts.unwrap_or_default() + &source;
        }
        let id = self.plan.review_id();
        let estimate = wording::estimate_sentence(self.plan.estimate(), self.counts.run);
        let facts: String = restarts
            .into_iter()
            .chain(estimate)
            .map(|fact| fact + " ")
            .collect();
        let command = format!("trimtab apply {target} --expect {id}");
        let scope = if self.plan.has_given_images {
            " (without the images of `--image`)"
        } else {
            ""
        };
        format!(
            "{facts}Apply exactly this plan: {}\n\n<sub>{location} · plan id {}{scope}</sub>\n",
            code_span(&command),
            code_span(&id.short()),
        )
    }
}

/// Joins the parts of a comment, each separated by an empty line.
fn join_parts(parts: impl IntoIterator<Item = Option<String>>) -> String {
    parts.into_iter().flatten().collect::<Vec<_>>().join("\n")
}

/// A hint that is a flag becomes code; a sentence becomes prose.
fn format_hint(hint: &str) -> String {
    if hint.starts_with("--") {
        code_span(hint)
    } else {
        escape_prose(hint)
    }
}
