//! A plan as a pull request comment: the table of changes first, details folded. The comment is never truncated: if it
//! exceeds the budget, whole parts are left out, the least important ones first, and it says so.

use super::{
    Headline,
    change_groups::{ChangeCounts, ChangeGroup, all_refusals, group_changes},
    value::sanitize,
    wording,
};
use crate::plan::{Plan, Refusal};

mod details;
mod escape;
mod rollout;
mod table;

use escape::{code_span, escape_html, escape_prose};

/// The default budget in bytes. GitHub rejects comments of more than 65 536 characters; the rest is for text that a
/// workflow adds around the plan.
pub const COMMENT_BUDGET: usize = 60_000;

/// How much of the plan to include, the most first.
const DETAIL_LEVELS: [DetailLevel; 9] = [
    DetailLevel {
        rows: usize::MAX,
        rollout: true,
        details: true,
        unaffected: true,
    },
    DetailLevel {
        rows: usize::MAX,
        rollout: true,
        details: true,
        unaffected: false,
    },
    DetailLevel {
        rows: usize::MAX,
        rollout: true,
        details: false,
        unaffected: false,
    },
    DetailLevel::table_only(usize::MAX),
    DetailLevel::table_only(300),
    DetailLevel::table_only(100),
    DetailLevel::table_only(30),
    DetailLevel::table_only(10),
    DetailLevel::table_only(0),
];

/// The maximum number of refusals, and of warnings, that are listed; more refusals are counted.
const MAX_REFUSALS: usize = 10;

/// Which parts a comment includes.
#[derive(Clone, Copy)]
struct DetailLevel {
    /// The maximum number of rows of the table.
    rows: usize,
    /// The order of the rollout.
    rollout: bool,
    /// All attributes of all changes.
    details: bool,
    /// What the plan does not touch: unchanged and unmanaged objects.
    unaffected: bool,
}

impl DetailLevel {
    /// The table without the other optional parts.
    const fn table_only(rows: usize) -> Self {
        Self {
            rows,
            rollout: false,
            details: false,
            unaffected: false,
        }
    }
}

/// Renders the plan as a comment of at most `budget` bytes. The title and the hidden marker, by which a later run finds
/// the comment to update it, are included even if they exceed the budget.
#[must_use]
pub fn plan(plan: &Plan, refusals: &[Refusal], headline: &Headline, budget: usize) -> String {
    let comment = PlanComment {
        plan,
        refusals: all_refusals(plan, refusals),
        headline,
        groups: group_changes(plan),
        counts: ChangeCounts::from_plan(plan),
    };
    let mut candidates = DETAIL_LEVELS.iter().map(|level| comment.render(*level));
    candidates
        .find(|candidate| candidate.len() <= budget)
        .unwrap_or_else(|| comment.header())
}

struct PlanComment<'a> {
    plan: &'a Plan,
    refusals: Vec<Refusal>,
    headline: &'a Headline,
    groups: Vec<ChangeGroup>,
    counts: ChangeCounts,
}

impl PlanComment<'_> {
    fn render(&self, level: DetailLevel) -> String {
        let mut parts = vec![self.header()];
        parts.extend(self.refusal_block());
        parts.extend(table::render_table(
            &self.groups,
            &self.refusals,
            level.rows,
        ));
        if level.rollout {
            parts.extend(rollout::render_rollouts(self.plan));
        }
        parts.extend(self.narrowed_note());
        if level.details {
            parts.extend(details::render_details(&self.groups, &self.refusals));
        } else if !self.groups.is_empty() {
            parts.push(
                "_The details are left out here because they are too long; the log has them._\n"
                    .to_owned(),
            );
        }
        parts.extend(self.warning_list());
        if level.unaffected {
            parts.extend(self.unaffected_objects());
        }
        parts.push(self.footer());
        parts.join("\n")
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
            "<!-- trimtab:plan:{}/{} -->",
            escape_marker(project),
            escape_marker(environment)
        );
        let title = if self.plan.is_converged() {
            "no changes".to_owned()
        } else if self.plan.is_empty() {
            "no changes can be made now, some are held back".to_owned()
        } else {
            self.counts.summary()
        };
        format!(
            "{marker}\n### {} {}: {title}\n",
            self.headline.command,
            code_span(environment)
        )
    }

    fn refusal_block(&self) -> Option<String> {
        if self.refusals.is_empty() {
            return None;
        }
        let mut block = String::from("> [!CAUTION]\n");
        for refusal in self.refusals.iter().take(MAX_REFUSALS) {
            let address = refusal.address.as_ref().map(ToString::to_string);
            let shown_address =
                address.filter(|address| !refusal.reason.contains(address.as_str()));
            let label = shown_address
                .map(|address| format!("{}: ", code_span(&address)))
                .unwrap_or_default();
            block += &format!(
                "> - **BLOCKED:** {label}{}  \n",
                escape_prose(&refusal.reason)
            );
            block += &format!(">   hint: {}\n", format_hint(&refusal.hint));
        }
        if let Some(hidden_count) = self
            .refusals
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
        if self.plan.is_empty() {
            return format!("<sub>{location} · {}</sub>\n", self.headline.read_cost());
        }
        let id = self.plan.id();
        let estimate = wording::estimate_sentence(self.plan.estimate(), self.counts.run);
        let facts: String = self
            .counts
            .restart_sentence()
            .into_iter()
            .chain(estimate)
            .map(|fact| fact + " ")
            .collect();
        let command = format!("trimtab apply {} --expect {id}", self.headline.target_args);
        format!(
            "{facts}Apply exactly this plan: {}\n\n<sub>{location} · {} · plan id {}</sub>\n",
            code_span(&command),
            self.headline.read_cost(),
            code_span(&id.short()),
        )
    }
}

/// A hint that is a flag becomes code; a sentence becomes prose.
fn format_hint(hint: &str) -> String {
    if hint.starts_with("--") {
        code_span(hint)
    } else {
        escape_prose(hint)
    }
}
