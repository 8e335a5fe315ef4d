//! A plan as a person reviews it: refusals, then changes, then how they come out, then what was
//! not done, then the totals.

use super::{Page, pad};
use crate::{
    plan::{Plan, Refusal, Verb},
    render::{
        Headline, Look,
        detail::{Wording, rows},
        entry::{Entry, NOT_STARTED, Totals, all_refusals, entries},
        style::paint,
        value::clean,
        words,
    },
};

/// The plan as text.
#[must_use]
pub fn plan(plan: &Plan, refusals: &[Refusal], headline: &Headline, look: &Look) -> String {
    let refusals = all_refusals(plan, refusals);
    let mut page = Page::new(*look);
    page.headline(headline);
    page.gap();
    page.refusals(&refusals);
    for entry in entries(plan) {
        page.entry(&entry, &refusals);
    }
    page.rollout(plan);
    page.gap();
    page.narrowed(plan);
    page.found(&plan.found);
    page.gap();
    page.totals(plan, headline);
    page.done()
}

impl Page {
    /// Command and place on the left, the cost of looking on the right.
    pub(super) fn headline(&mut self, headline: &Headline) {
        let place = format!("{} · {}", headline.command, headline.place());
        let (title, cost) = (self.style.title, paint(self.style.quiet, headline.cost()));
        self.line(format!("{}   {cost}", paint(title, place)));
    }

    /// Everything that speaks against the plan, each with the way out.
    pub(super) fn refusals(&mut self, refusals: &[Refusal]) {
        let word = paint(self.style.alarm, "BLOCKED:");
        for refusal in refusals {
            let reason = clean(&refusal.reason);
            let reason = match &refusal.address {
                Some(address) if !reason.contains(&address.to_string()) => {
                    format!("{address}: {reason}")
                }
                _ => reason,
            };
            self.line(format!("{word} {reason}"));
            self.line(format!("    hint: {}", clean(&refusal.hint)));
        }
        self.gap();
    }

    fn entry(&mut self, entry: &Entry, refusals: &[Refusal]) {
        let verb = entry.verb();
        let style = self.style.verb(verb);
        let word = paint(
            style,
            format!("{} {}", pad(verb.symbol(), 3), pad(verb.word(), 7)),
        );
        let what = match entry.what().as_str() {
            "" => String::new(),
            what => paint(self.style.quiet, format!("  ({})", clean(what))),
        };
        let remarks = self.remarks(&entry.remarks(refusals));
        self.line(format!("{word}  {}{what}{remarks}", entry.address()));
        let rows = rows(&entry.lines, self.detail_width(), Wording::Arrow);
        self.rows(&rows, verb != Verb::Create);
        self.takes_along(entry);
    }

    /// `  BLOCKED, its data is lost`, with what is grave in the style of alarms.
    pub(super) fn remarks(&self, remarks: &[&str]) -> String {
        if remarks.is_empty() {
            return String::new();
        }
        // That a machine stays as it is reassures; everything else is worth a second look.
        let style = |remark: &str| {
            if remark == NOT_STARTED {
                self.style.quiet
            } else {
                self.style.alarm
            }
        };
        let painted: Vec<String> = remarks
            .iter()
            .map(|remark| paint(style(remark), *remark))
            .collect();
        format!("  {}", painted.join(", "))
    }

    /// What vanishes along with a container, one line each: none of it has a step of its own to be seen in.
    pub(super) fn takes_along(&mut self, entry: &Entry) {
        let along = entry
            .members()
            .iter()
            .flat_map(|change| &change.takes_along);
        for folded in along {
            let lost = folded.loss.map(|loss| format!(", {}", words::loss(loss)));
            let what = clean(&folded.what);
            let word = paint(self.style.destroy, "takes along");
            let lost = lost.unwrap_or_default();
            self.line(format!("       {word} {} ({what}){lost}", folded.address));
        }
    }

    fn totals(&mut self, plan: &Plan, headline: &Headline) {
        let totals = Totals::of(plan);
        if plan.is_empty() {
            let words = match &plan.narrowed {
                Some(narrowed) if !narrowed.left_out.is_empty() => {
                    "No changes in the part that was asked for."
                }
                _ if headline.command == "destroy" => "Nothing is there to destroy.",
                _ => "No changes. The environment matches its manifest.",
            };
            return self.line(paint(self.style.title, words));
        }
        if totals.unchanged > 0 {
            let number = u64::try_from(totals.unchanged).unwrap_or(u64::MAX);
            let matches = if number == 1 { "matches" } else { "match" };
            self.line(format!(
                "No action: {} {matches}.",
                words::count(number, "object")
            ));
        }
        let sentence = format!("Plan: {}.", totals.sentence());
        self.line(paint(self.style.title, sentence));
        let takes = words::takes(plan.estimate(), totals.run);
        totals
            .restarts()
            .into_iter()
            .chain(takes)
            .for_each(|sentence| self.line(sentence));
        self.line(format!("Plan id: {}", plan.id().short()));
    }
}
