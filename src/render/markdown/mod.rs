//! A plan as a comment on a pull request: the table first, details folded, never longer than the budget, and never cut:
//! when it does not fit, whole parts are left out, the least important ones first, and the comment says so.

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

/// GitHub refuses comments of more than 65 536 characters; what is posted around this one needs room as well.
pub const COMMENT_BUDGET: usize = 60_000;

/// How much of the plan is told, the most first.
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

/// So many refusals are told in full.
const MAX_REFUSALS: usize = 10;

/// What a comment holds.
#[derive(Clone, Copy)]
struct DetailLevel {
    /// Rows of the table.
    rows: usize,
    /// What happens in which order.
    rollout: bool,
    /// The attributes.
    details: bool,
    /// What was not done: unchanged and unmanaged objects.
    unaffected: bool,
}

impl DetailLevel {
    /// The table alone.
    const fn table_only(rows: usize) -> Self {
        Self {
            rows,
            rollout: false,
            details: false,
            unaffected: false,
        }
    }
}

/// The plan as a comment of at most `budget` bytes. What is left even of a very small budget is the hidden marker, by
/// which the comment is found again, and the title.
#[must_use]
pub fn plan(plan: &Plan, refusals: &[Refusal], headline: &Headline, budget: usize) -> String {
    let comment = PlanComment {
        plan,
        refusals: all_refusals(plan, refusals),
        headline,
        entries: group_changes(plan),
        totals: ChangeCounts::from_plan(plan),
    };
    let mut drafts = DETAIL_LEVELS.iter().map(|level| comment.render(*level));
    drafts
        .find(|draft| draft.len() <= budget)
        .unwrap_or_else(|| comment.header())
}

struct PlanComment<'a> {
    plan: &'a Plan,
    refusals: Vec<Refusal>,
    headline: &'a Headline,
    entries: Vec<ChangeGroup>,
    totals: ChangeCounts,
}

impl PlanComment<'_> {
    fn render(&self, level: DetailLevel) -> String {
        let mut parts = vec![self.header()];
        parts.extend(self.refusal_block());
        parts.extend(table::render_table(
            &self.entries,
            &self.refusals,
            level.rows,
        ));
        if level.rollout {
            parts.extend(rollout::render_rollouts(self.plan));
        }
        parts.extend(self.narrowed_note());
        if level.details {
            parts.extend(details::render_details(&self.entries, &self.refusals));
        } else if !self.entries.is_empty() {
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

    /// The marker by which the comment is found again, and the title.
    fn header(&self) -> String {
        let Headline {
            project,
            environment,
            ..
        } = self.headline;
        // `--` would end the comment early.
        let safe = |text: &str| sanitize(text).replace("--", "-\u{2060}-").replace('>', "");
        let marker = format!(
            "<!-- trimtab:plan:{}/{} -->",
            safe(project),
            safe(environment)
        );
        let title = if self.plan.is_empty() {
            "no changes".to_owned()
        } else {
            self.totals.summary()
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
        let mut out = String::from("> [!CAUTION]\n");
        for refusal in self.refusals.iter().take(MAX_REFUSALS) {
            let address = refusal.address.as_ref().map(ToString::to_string);
            let named = address.filter(|address| !refusal.reason.contains(address.as_str()));
            let of = named
                .map(|address| format!("{}: ", code_span(&address)))
                .unwrap_or_default();
            out += &format!("> - **BLOCKED:** {of}{}  \n", escape_prose(&refusal.reason));
            out += &format!(">   hint: {}\n", format_hint(&refusal.hint));
        }
        if let Some(more) = self
            .refusals
            .len()
            .checked_sub(MAX_REFUSALS)
            .filter(|more| *more > 0)
        {
            out += &format!("> - and {more} more\n");
        }
        Some(out)
    }

    fn narrowed_note(&self) -> Option<String> {
        let left_out = &self.plan.selection.as_ref()?.left_out;
        let number = u64::try_from(left_out.len()).unwrap_or(u64::MAX);
        (number > 0).then(|| {
            format!(
                "Left out by `--only`, so still to do: {}.\n",
                wording::format_count(number, "object")
            )
        })
    }

    fn warning_list(&self) -> Option<String> {
        let warnings = &self.plan.findings.warnings;
        let line = |warning: &String| format!("- warning: {}\n", escape_prose(warning));
        let shown: String = warnings.iter().take(MAX_REFUSALS).map(line).collect();
        (!shown.is_empty()).then_some(shown)
    }

    /// What was not done.
    fn unaffected_objects(&self) -> Option<String> {
        let unmanaged = &self.plan.findings.unmanaged;
        let mut out = String::new();
        if self.totals.unchanged > 0 {
            let number = u64::try_from(self.totals.unchanged).unwrap_or(u64::MAX);
            let matches = wording::inflect_match(self.totals.unchanged);
            out += &format!(
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
            out += &format!("\n<details><summary>{}</summary>\n\n", escape_html(&title));
            for unmanaged in unmanaged {
                let (what, why) = (escape_prose(&unmanaged.what), escape_prose(&unmanaged.why));
                out += &format!(
                    "- {what} in {}: {why}\n",
                    code_span(unmanaged.within.as_str())
                );
            }
            out += "\n</details>\n";
        }
        (!out.is_empty()).then_some(out)
    }

    /// Where it was planned, and how to apply exactly this.
    fn footer(&self) -> String {
        let place = escape_prose(&self.headline.location());
        if self.plan.is_empty() {
            return format!("<sub>{place} · {}</sub>\n", self.headline.read_cost());
        }
        let id = self.plan.id();
        let takes = wording::estimate_sentence(self.plan.estimate(), self.totals.run);
        let facts: String = self
            .totals
            .restart_sentence()
            .into_iter()
            .chain(takes)
            .map(|fact| fact + " ")
            .collect();
        let expect = format!("trimtab apply {} --expect {id}", self.headline.target_args);
        format!(
            "{facts}Apply exactly this plan: {}\n\n<sub>{place} · {} · plan id {}</sub>\n",
            code_span(&expect),
            self.headline.read_cost(),
            code_span(&id.short()),
        )
    }
}

/// A flag as code, a sentence as prose.
fn format_hint(hint: &str) -> String {
    if hint.starts_with("--") {
        code_span(hint)
    } else {
        escape_prose(hint)
    }
}
