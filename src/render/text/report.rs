//! How a run ended: what was done, the cause of each failure once, and what to do next.

use std::collections::BTreeMap;

use super::Page;
use crate::{
    apply::event::{Ended, Failure, Outcome, Report},
    model::Address,
    plan::Action,
    render::{Look, style::paint, value::clean, words},
};

/// So many skipped steps are named for each cause.
const NAMED: usize = 6;

/// The report as text.
#[must_use]
pub fn report(report: &Report, look: &Look) -> String {
    let mut page = Page::new(*look);
    page.halted(report);
    for ended in &report.outcomes {
        match &ended.outcome {
            Outcome::Failed(failure) => page.failed(ended, failure),
            Outcome::HeldBack(failure) => page.held_back(ended, failure),
            _ => {}
        }
    }
    page.skipped(report);
    page.not_run(report);
    page.gap();
    page.counts(report);
    page.done()
}

/// The report of a way back as text.
#[must_use]
pub fn rolled_back(report: &Report, look: &Look) -> String {
    if report.is_complete() {
        return paint(
            look.style().title,
            "Rolled back: what had changed is as it was before.",
        );
    }
    self::report(report, look)
}

impl Page {
    /// Why nothing was begun at all.
    fn halted(&mut self, report: &Report) {
        if let Some(failure) = &report.halted {
            let word = paint(self.style.alarm, "FAILED:");
            self.line(format!("{word} nothing was begun"));
            self.reason(failure);
        }
        if let Some(failure) = &report.lost {
            let word = paint(self.style.alarm, "STOPPED:");
            self.line(format!("{word} what was under way was dropped"));
            self.reason(failure);
        }
    }

    fn held_back(&mut self, ended: &Ended, failure: &Failure) {
        let word = paint(self.style.change, "held back:");
        self.line(format!("{word} {}, for a later apply", ended.address));
        self.reason(failure);
    }

    fn failed(&mut self, ended: &Ended, failure: &Failure) {
        let word = paint(self.style.alarm, "FAILED:");
        let action = words::imperative(ended.action);
        self.line(format!("{word} could not {action} {}", ended.address));
        self.reason(failure);
    }

    fn reason(&mut self, failure: &Failure) {
        for line in failure.reason.lines() {
            self.line(format!("    {}", clean(line)));
        }
        if let Some(id) = &failure.request_id {
            self.line(format!("    request id: {}", clean(id)));
        }
        if let Some(hint) = &failure.hint {
            self.line(format!("    hint: {}", clean(hint)));
        }
    }

    /// What did not run, under the failure that stopped it.
    fn skipped(&mut self, report: &Report) {
        let mut by_cause: BTreeMap<&Address, Vec<String>> = BTreeMap::new();
        for ended in &report.outcomes {
            let whole = !ended.action.is_on_the_way();
            if let (Outcome::Skipped { because }, true) = (&ended.outcome, whole) {
                by_cause
                    .entry(because)
                    .or_default()
                    .push(ended.address.to_string());
            }
        }
        for (because, mut skipped) in by_cause {
            skipped.sort();
            skipped.dedup();
            let word = paint(self.style.change, "skipped:");
            let list = words::few(&skipped, NAMED);
            self.line(format!("{word} {list}, because {because} failed"));
        }
        let skipped = |ended: &&Ended| matches!(ended.outcome, Outcome::Skipped { .. });
        for ended in report
            .outcomes
            .iter()
            .filter(skipped)
            .filter(|ended| ended.action == Action::HandOver)
        {
            let word = paint(self.style.change, "skipped:");
            self.line(format!(
                "{word} the hand-over of {}, so the old machines go on serving",
                ended.address
            ));
        }
    }

    fn not_run(&mut self, report: &Report) {
        let why = if report.late {
            "because the deadline was near"
        } else {
            "because the run ended before"
        };
        // When nothing was begun, that has been said.
        if report.halted.is_none() {
            self.interrupted(report, &Outcome::NotRun, "not run:", why);
        }
        self.interrupted(
            report,
            &Outcome::Unknown,
            "unknown:",
            "under way when the run was stopped",
        );
    }

    fn interrupted(&mut self, report: &Report, outcome: &Outcome, word: &str, why: &str) {
        let ended = report
            .outcomes
            .iter()
            .filter(|ended| ended.outcome == *outcome);
        let mut names: Vec<String> = ended.map(|ended| ended.address.to_string()).collect();
        names.dedup();
        if !names.is_empty() {
            let word = paint(self.style.change, word);
            self.line(format!("{word} {}, {why}", words::few(&names, NAMED)));
        }
    }

    fn counts(&mut self, report: &Report) {
        let (done, failed, skipped, not_run) = report.counts();
        let held = |ended: &&Ended| matches!(ended.outcome, Outcome::HeldBack(_));
        let held = report.outcomes.iter().filter(held).count();
        let of = |number: usize, word: &str| (number > 0).then(|| format!("{number} {word}"));
        let parts: Vec<String> = [
            Some(format!("{done} done")),
            of(failed, "failed"),
            of(skipped, "skipped"),
            of(held, "held back"),
            of(not_run - held, "not run"),
        ]
        .into_iter()
        .flatten()
        .collect();
        let word = if report.is_complete() {
            "Applied"
        } else {
            "Incomplete"
        };
        let style = if report.is_complete() {
            self.style.title
        } else {
            self.style.alarm
        };
        self.line(paint(style, format!("{word}: {}.", parts.join(", "))));
        if !report.is_complete() {
            let when = if failed > 0 {
                "once the cause is gone, "
            } else {
                ""
            };
            self.line(format!(
                "Nothing is lost: {when}run the same command again. It looks again and does what is left."
            ));
        }
    }
}
