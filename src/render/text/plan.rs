//! A plan as a person reviews it: refusals, then changes, then how they come out, then what was
//! not done, then the totals.

use super::{TextWriter, pad_to_width};
use crate::{
    plan::{Plan, Refusal, Verb},
    render::{
        Headline, TextOptions,
        attribute_rows::{DiffWording, attribute_rows},
        change_groups::{ChangeCounts, ChangeGroup, NOT_STARTED, all_refusals, group_changes},
        theme::paint,
        value::sanitize,
        wording,
    },
};

/// The plan as text.
#[must_use]
pub fn plan(plan: &Plan, refusals: &[Refusal], headline: &Headline, look: &TextOptions) -> String {
    let refusals = all_refusals(plan, refusals);
    let mut page = TextWriter::new(*look);
    page.write_headline(headline);
    page.write_gap();
    page.write_refusals(&refusals);
    for entry in group_changes(plan) {
        page.write_change_group(&entry, &refusals);
    }
    page.write_rollouts(plan);
    page.write_gap();
    page.write_narrowed(plan);
    page.write_found(&plan.findings);
    page.write_gap();
    page.write_totals(plan, headline);
    page.finish()
}

impl TextWriter {
    /// Command and place on the left, the cost of looking on the right.
    pub(super) fn write_headline(&mut self, headline: &Headline) {
        let place = format!("{} · {}", headline.command, headline.location());
        let (title, cost) = (
            self.theme.title,
            paint(self.theme.dim, headline.read_cost()),
        );
        self.write_line(format!("{}   {cost}", paint(title, place)));
    }

    /// Everything that speaks against the plan, each with the way out.
    pub(super) fn write_refusals(&mut self, refusals: &[Refusal]) {
        let word = paint(self.theme.error, "BLOCKED:");
        for refusal in refusals {
            let reason = sanitize(&refusal.reason);
            let reason = match &refusal.address {
                Some(address) if !reason.contains(&address.to_string()) => {
                    format!("{address}: {reason}")
                }
                _ => reason,
            };
            self.write_line(format!("{word} {reason}"));
            self.write_line(format!("    hint: {}", sanitize(&refusal.hint)));
        }
        self.write_gap();
    }

    fn write_change_group(&mut self, entry: &ChangeGroup, refusals: &[Refusal]) {
        let verb = entry.verb();
        let style = self.theme.verb_style(verb);
        let word = paint(
            style,
            format!(
                "{} {}",
                pad_to_width(verb.symbol(), 3),
                pad_to_width(verb.word(), 7)
            ),
        );
        let what = match entry.description().as_str() {
            "" => String::new(),
            what => paint(self.theme.dim, format!("  ({})", sanitize(what))),
        };
        let remarks = self.format_remarks(&entry.remarks(refusals));
        self.write_line(format!("{word}  {}{what}{remarks}", entry.address()));
        let rows = attribute_rows(&entry.lines, self.detail_width(), DiffWording::Plan);
        self.write_attribute_rows(&rows, verb != Verb::Create);
        self.write_cascade_deletes(entry);
    }

    /// `  BLOCKED, its data is lost`, with what is grave in the style of alarms.
    pub(super) fn format_remarks(&self, remarks: &[&str]) -> String {
        if remarks.is_empty() {
            return String::new();
        }
        // That a machine stays as it is reassures; everything else is worth a second look.
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

    /// What vanishes along with a container, one line each: none of it has a step of its own to be seen in.
    pub(super) fn write_cascade_deletes(&mut self, entry: &ChangeGroup) {
        let along = entry
            .members()
            .iter()
            .flat_map(|change| &change.takes_along);
        for folded in along {
            let lost = folded
                .loss
                .map(|loss| format!(", {}", wording::data_loss_remark(loss)));
            let what = sanitize(&folded.what);
            let word = paint(self.theme.destroy, "takes along");
            let lost = lost.unwrap_or_default();
            self.write_line(format!("       {word} {} ({what}){lost}", folded.address));
        }
    }

    fn write_totals(&mut self, plan: &Plan, headline: &Headline) {
        let totals = ChangeCounts::from_plan(plan);
        if plan.is_empty() {
            let words = match &plan.selection {
                Some(narrowed) if !narrowed.left_out.is_empty() => {
                    "No changes in the part that was asked for."
                }
                _ if headline.command == "destroy" => "Nothing is there to destroy.",
                _ => "No changes. The environment matches its manifest.",
            };
            return self.write_line(paint(self.theme.title, words));
        }
        if totals.unchanged > 0 {
            let number = u64::try_from(totals.unchanged).unwrap_or(u64::MAX);
            let matches = if number == 1 { "matches" } else { "match" };
            self.write_line(format!(
                "No action: {} {matches}.",
                wording::format_count(number, "object")
            ));
        }
        let sentence = format!("Plan: {}.", totals.summary());
        self.write_line(paint(self.theme.title, sentence));
        let takes = wording::estimate_sentence(plan.estimate(), totals.run);
        totals
            .restart_sentence()
            .into_iter()
            .chain(takes)
            .for_each(|sentence| self.write_line(sentence));
        self.write_line(format!("Plan id: {}", plan.id().short()));
    }
}
