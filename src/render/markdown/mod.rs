//! A plan as a comment on a pull request: the table first, details folded, never longer than the budget, and never cut:
//! when it does not fit, whole parts are left out, the least important ones first, and the comment says so.

use super::{
    Headline,
    entry::{Entry, Totals, all_refusals, entries},
    value::clean,
    words,
};
use crate::plan::{Plan, Refusal};

mod escape;
mod fence;
mod rollout;
mod table;

use escape::{code, html, prose};

/// GitHub refuses comments of more than 65 536 characters; what is posted around this one needs room as well.
pub const BUDGET: usize = 60_000;

/// How much of the plan is told, the most first.
const LEVELS: [Level; 9] = [
    Level {
        rows: usize::MAX,
        rollout: true,
        details: true,
        besides: true,
    },
    Level {
        rows: usize::MAX,
        rollout: true,
        details: true,
        besides: false,
    },
    Level {
        rows: usize::MAX,
        rollout: true,
        details: false,
        besides: false,
    },
    Level::rows(usize::MAX),
    Level::rows(300),
    Level::rows(100),
    Level::rows(30),
    Level::rows(10),
    Level::rows(0),
];

/// So many refusals are told in full.
const REFUSALS: usize = 10;

/// What a comment holds.
#[derive(Clone, Copy)]
struct Level {
    /// Rows of the table.
    rows: usize,
    /// What happens in which order.
    rollout: bool,
    /// The attributes.
    details: bool,
    /// What was not done: unchanged and unmanaged objects.
    besides: bool,
}

impl Level {
    /// The table alone.
    const fn rows(rows: usize) -> Self {
        Self {
            rows,
            rollout: false,
            details: false,
            besides: false,
        }
    }
}

/// The plan as a comment of at most `budget` bytes. What is left even of a very small budget is the hidden marker, by
/// which the comment is found again, and the title.
#[must_use]
pub fn plan(plan: &Plan, refusals: &[Refusal], headline: &Headline, budget: usize) -> String {
    let comment = Comment {
        plan,
        refusals: all_refusals(plan, refusals),
        headline,
        entries: entries(plan),
        totals: Totals::of(plan),
    };
    let mut drafts = LEVELS.iter().map(|level| comment.draft(*level));
    drafts
        .find(|draft| draft.len() <= budget)
        .unwrap_or_else(|| comment.head())
}

struct Comment<'a> {
    plan: &'a Plan,
    refusals: Vec<Refusal>,
    headline: &'a Headline,
    entries: Vec<Entry>,
    totals: Totals,
}

impl Comment<'_> {
    fn draft(&self, level: Level) -> String {
        let mut parts = vec![self.head()];
        parts.extend(self.refused());
        parts.extend(table::table(&self.entries, &self.refusals, level.rows));
        if level.rollout {
            parts.extend(rollout::rollout(self.plan));
        }
        parts.extend(self.narrowed());
        if level.details {
            parts.extend(fence::details(&self.entries, &self.refusals));
        } else if !self.entries.is_empty() {
            parts.push(
                "_The details are left out here because they are too long; the log has them._\n"
                    .to_owned(),
            );
        }
        parts.extend(self.warnings());
        if level.besides {
            parts.extend(self.besides());
        }
        parts.push(self.foot());
        parts.join("\n")
    }

    /// The marker by which the comment is found again, and the title.
    fn head(&self) -> String {
        let Headline {
            project,
            environment,
            ..
        } = self.headline;
        // `--` would end the comment early.
        let safe = |text: &str| clean(text).replace("--", "-\u{2060}-").replace('>', "");
        let marker = format!(
            "<!-- trimtab:plan:{}/{} -->",
            safe(project),
            safe(environment)
        );
        let title = if self.plan.is_empty() {
            "no changes".to_owned()
        } else {
            self.totals.sentence()
        };
        format!(
            "{marker}\n### {} {}: {title}\n",
            self.headline.command,
            code(environment)
        )
    }

    fn refused(&self) -> Option<String> {
        if self.refusals.is_empty() {
            return None;
        }
        let mut out = String::from("> [!CAUTION]\n");
        for refusal in self.refusals.iter().take(REFUSALS) {
            let address = refusal.address.as_ref().map(ToString::to_string);
            let named = address.filter(|address| !refusal.reason.contains(address.as_str()));
            let of = named
                .map(|address| format!("{}: ", code(&address)))
                .unwrap_or_default();
            out += &format!("> - **BLOCKED:** {of}{}  \n", prose(&refusal.reason));
            out += &format!(">   hint: {}\n", hint(&refusal.hint));
        }
        if let Some(more) = self
            .refusals
            .len()
            .checked_sub(REFUSALS)
            .filter(|more| *more > 0)
        {
            out += &format!("> - and {more} more\n");
        }
        Some(out)
    }

    fn narrowed(&self) -> Option<String> {
        let left_out = &self.plan.narrowed.as_ref()?.left_out;
        let number = u64::try_from(left_out.len()).unwrap_or(u64::MAX);
        (number > 0).then(|| {
            format!(
                "Left out by `--only`, so still to do: {}.\n",
                words::count(number, "object")
            )
        })
    }

    fn warnings(&self) -> Option<String> {
        let warnings = &self.plan.found.warnings;
        let line = |warning: &String| format!("- warning: {}\n", prose(warning));
        let shown: String = warnings.iter().take(REFUSALS).map(line).collect();
        (!shown.is_empty()).then_some(shown)
    }

    /// What was not done.
    fn besides(&self) -> Option<String> {
        let unmanaged = &self.plan.found.unmanaged;
        let mut out = String::new();
        if self.totals.unchanged > 0 {
            let number = u64::try_from(self.totals.unchanged).unwrap_or(u64::MAX);
            let matches = words::match_for(self.totals.unchanged);
            out += &format!("No action: {} {matches}.\n", words::count(number, "object"));
        }
        if !unmanaged.is_empty() {
            let number = u64::try_from(unmanaged.len()).unwrap_or(u64::MAX);
            let title = format!("Not managed: {} left alone", words::count(number, "object"));
            out += &format!("\n<details><summary>{}</summary>\n\n", html(&title));
            for unmanaged in unmanaged {
                let (what, why) = (prose(&unmanaged.what), prose(&unmanaged.why));
                out += &format!("- {what} in {}: {why}\n", code(unmanaged.within.as_str()));
            }
            out += "\n</details>\n";
        }
        (!out.is_empty()).then_some(out)
    }

    /// Where it was planned, and how to apply exactly this.
    fn foot(&self) -> String {
        let place = prose(&self.headline.place());
        if self.plan.is_empty() {
            return format!("<sub>{place} · {}</sub>\n", self.headline.cost());
        }
        let id = self.plan.id();
        let takes = words::takes(self.plan.estimate(), self.totals.run);
        let facts: String = self
            .totals
            .restarts()
            .into_iter()
            .chain(takes)
            .map(|fact| fact + " ")
            .collect();
        let expect = format!("trimtab apply {} --expect {id}", self.headline.again);
        format!(
            "{facts}Apply exactly this plan: {}\n\n<sub>{place} · {} · plan id {}</sub>\n",
            code(&expect),
            self.headline.cost(),
            code(&id.short()),
        )
    }
}

/// A flag as code, a sentence as prose.
fn hint(hint: &str) -> String {
    if hint.starts_with("--") {
        code(hint)
    } else {
        prose(hint)
    }
}
