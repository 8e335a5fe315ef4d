//! A plan for review by a person: refusals, changes, the order of the rollout, what is not touched, totals.

use unicode_width::UnicodeWidthStr as _;

use super::{TextWriter, pad_to_width};
use crate::{
    plan::{Plan, Refusal, Verb},
    render::{
        Headline, TextOptions,
        attribute_rows::{DiffWording, attribute_rows},
        change_groups::{
            ChangeCounts, ChangeGroup, NOT_STARTED, all_refusals, group_changes, group_refusals,
        },
        theme::paint,
        value::sanitize,
        wording,
    },
};

/// What follows the id of a plan with `--image`.
const GIVEN_IMAGES_NOTE: &str = " (without the images of --image)";

/// Renders a plan as text.
#[must_use]
pub fn plan(
    plan: &Plan,
    refusals: &[Refusal],
    headline: &Headline,
    options: &TextOptions,
) -> String {
    let refusals = all_refusals(plan, refusals);
    let mut writer = TextWriter::new(*options);
    writer.write_headline(headline);
    writer.write_gap();
    writer.write_refusals(&refusals);
    for group in group_changes(plan) {
        writer.write_change_group(&group, &refusals);
    }
    writer.write_rollouts(plan);
    writer.write_gap();
    writer.write_narrowed(plan);
    writer.write_found(&plan.findings);
    writer.write_gap();
    writer.write_totals(plan, headline, !refusals.is_empty());
    writer.finish()
}

/// Renders the totals of a plan that was shown before, and what is found at present.
#[must_use]
pub fn plan_totals(plan: &Plan, headline: &Headline, options: &TextOptions) -> String {
    let mut writer = TextWriter::new(*options);
    writer.write_headline(headline);
    writer.write_gap();
    writer.write_narrowed(plan);
    writer.write_found(&plan.findings);
    writer.write_gap();
    writer.write_totals(plan, headline, false);
    writer.finish()
}

impl TextWriter {
    /// The command and location, and what reading the live state cost.
    pub(super) fn write_headline(&mut self, headline: &Headline) {
        let location = format!("{} · {}", headline.command, headline.location());
        let cost = headline.read_cost();
        let fits = location.width() + 3 + cost.width() <= self.width;
        let gap = if fits { "   " } else { "\n  " };
        self.write_line(format!(
            "{}{gap}{}",
            paint(self.theme.title, location),
            paint(self.theme.dim, cost)
        ));
    }

    /// The refusals, each with a hint.
    pub(super) fn write_refusals(&mut self, refusals: &[Refusal]) {
        let label = paint(self.theme.error, "BLOCKED:");
        for group in group_refusals(refusals) {
            let subject = group.subject().map(|subject| format!("{subject}: "));
            self.write_line(format!(
                "{label} {}{}",
                subject.unwrap_or_default(),
                sanitize(group.reason())
            ));
            self.write_line(format!("    hint: {}", sanitize(&group.hint)));
        }
        self.write_gap();
    }

    fn write_change_group(&mut self, group: &ChangeGroup, refusals: &[Refusal]) {
        let verb = group.verb();
        let style = self.theme.verb_style(verb);
        let label = paint(
            style,
            format!(
                "{} {}",
                pad_to_width(verb.symbol(), 3),
                pad_to_width(verb.word(), 7)
            ),
        );
        let description = match group.description().as_str() {
            "" => String::new(),
            description => format!("  ({})", sanitize(description)),
        };
        let (address, remarks) = (group.address(), group.remarks(refusals));
        let label_width = 3 + 1 + pad_to_width(verb.word(), 7).width() + 2;
        let width = label_width + address.width() + description.width();
        let fits = width + 2 + remarks.join(", ").width() <= self.width;
        let description = match description.as_str() {
            "" => String::new(),
            description => paint(self.theme.dim, description),
        };
        let gap = if fits { "" } else { "\n     " };
        let remarks = self.format_remarks(&remarks);
        let remarks = if remarks.is_empty() {
            String::new()
        } else {
            format!("{gap}{remarks}")
        };
        self.write_line(format!("{label}  {address}{description}{remarks}"));
        let rows = attribute_rows(&group.lines, self.detail_width(), DiffWording::Plan);
        self.write_attribute_rows(&rows, verb != Verb::Create);
        self.write_cascade_deletes(group);
    }

    /// Remarks such as `  BLOCKED, its data is lost`, in the error style unless they are reassuring.
    pub(super) fn format_remarks(&self, remarks: &[&str]) -> String {
        if remarks.is_empty() {
            return String::new();
        }
        // That a machine is not started is good news; every other remark deserves attention.
        let style = |remark: &str| {
            if remark == NOT_STARTED {
                self.theme.dim
            } else {
                self.theme.error
            }
        };
        let painted: Vec<String> = remarks
            .iter()
            .map(|remark| paint(style(remark), *remark))
            .collect();
        format!("  {}", painted.join(", "))
    }

    /// The resources that are deleted together with the members, one line each, because they have no change of their own.
    pub(super) fn write_cascade_deletes(&mut self, group: &ChangeGroup) {
        let deletions = group
            .members()
            .iter()
            .flat_map(|change| &change.takes_along);
        for deletion in deletions {
            let data_loss = deletion
                .data_loss
                .map(|loss| format!(", {}", loss.consequence()));
            let contained = sanitize(&deletion.description);
            let label = paint(self.theme.destroy, "also deletes");
            let data_loss = data_loss.unwrap_or_default();
            self.write_line(format!(
                "       {label} {} ({contained}){data_loss}",
                deletion.address
            ));
        }
    }

    /// The totals, the effect on running machines, the estimated duration and the plan id.
    fn write_totals(&mut self, plan: &Plan, headline: &Headline, is_refused: bool) {
        let counts = ChangeCounts::from_plan(plan);
        if plan.is_empty() {
            let sentence = match &plan.selection {
                Some(selection) if !selection.left_out.is_empty() => {
                    "No changes in the part that was asked for."
                }
                _ if headline.command == "destroy" => "There is nothing to destroy.",
                _ if plan.is_converged() => "No changes. The environment matches its manifest.",
                _ => {
                    "No changes can be made now; what is held back still differs, see the warnings."
                }
            };
            return self.write_line(paint(self.theme.title, sentence));
        }
        if counts.unchanged > 0 {
            let count = u64::try_from(counts.unchanged).unwrap_or(u64::MAX);
            let matches = if count == 1 { "matches" } else { "match" };
            self.write_line(format!(
                "No action: {} {matches}.",
                wording::format_count(count, "object")
            ));
        }
        let summary = format!("Plan: {}.", counts.summary());
        self.write_line(paint(self.theme.title, summary));
        if let Some(sentence) = counts.restart_sentence() {
            self.write_line(sentence);
        }
        // What is refused takes no time, and has no id that an apply would accept.
        if is_refused {
            return;
        }
        if let Some(sentence) = wording::estimate_sentence(plan.estimate(), counts.run) {
            self.write_line(sentence);
        }
        let scope = if plan.has_given_images {
            GIVEN_IMAGES_NOTE
        } else {
            ""
        };
        self.write_line(format!("Plan id: {}{scope}", plan.review_id().short()));
    }
}
