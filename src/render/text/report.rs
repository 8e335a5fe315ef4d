//! How a run ended: what was done, the cause of each failure once, and what to do next.

use std::collections::BTreeMap;

use super::TextWriter;
use crate::{
    apply::event::{ApplyFailure, ApplyReport, Outcome, StepReport},
    model::Address,
    plan::Action,
    render::{TextOptions, theme::paint, value::sanitize, wording},
};

/// So many skipped steps are named for each cause.
const MAX_NAMED: usize = 6;

/// The report as text.
#[must_use]
pub fn report(report: &ApplyReport, look: &TextOptions) -> String {
    let mut page = TextWriter::new(*look);
    page.write_halted(report);
    for ended in &report.outcomes {
        match &ended.outcome {
            Outcome::Failed(failure) => page.write_failed(ended, failure),
            Outcome::HeldBack(failure) => page.write_held_back(ended, failure),
            _ => {}
        }
    }
    page.write_skipped(report);
    page.write_not_run(report);
    page.write_gap();
    page.write_counts(report);
    page.finish()
}

/// The report of a way back as text.
#[must_use]
pub fn rollback_report(report: &ApplyReport, look: &TextOptions) -> String {
    if report.is_complete() {
        return paint(
            look.theme().title,
            "Rolled back: what had changed is as it was before.",
        );
    }
    self::report(report, look)
}

impl TextWriter {
    /// Why nothing was begun at all.
    fn write_halted(&mut self, report: &ApplyReport) {
        if let Some(failure) = &report.halted {
            let word = paint(self.theme.error, "FAILED:");
            self.write_line(format!("{word} nothing was begun"));
            self.write_failure(failure);
        }
        if let Some(failure) = &report.lost {
            let word = paint(self.theme.error, "STOPPED:");
            self.write_line(format!("{word} what was under way was dropped"));
            self.write_failure(failure);
        }
    }

    fn write_held_back(&mut self, ended: &StepReport, failure: &ApplyFailure) {
        let word = paint(self.theme.change, "held back:");
        self.write_line(format!("{word} {}, for a later apply", ended.address));
        self.write_failure(failure);
    }

    fn write_failed(&mut self, ended: &StepReport, failure: &ApplyFailure) {
        let word = paint(self.theme.error, "FAILED:");
        let action = wording::action_imperative(ended.action);
        self.write_line(format!("{word} could not {action} {}", ended.address));
        self.write_failure(failure);
    }

    fn write_failure(&mut self, failure: &ApplyFailure) {
        for line in failure.reason.lines() {
            self.write_line(format!("    {}", sanitize(line)));
        }
        if let Some(id) = &failure.request_id {
            self.write_line(format!("    request id: {}", sanitize(id)));
        }
        if let Some(hint) = &failure.hint {
            self.write_line(format!("    hint: {}", sanitize(hint)));
        }
    }

    /// What did not run, under the failure that stopped it.
    fn write_skipped(&mut self, report: &ApplyReport) {
        let mut by_cause: BTreeMap<&Address, Vec<String>> = BTreeMap::new();
        for ended in &report.outcomes {
            let whole = !ended.action.is_intermediate();
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
            let word = paint(self.theme.change, "skipped:");
            let list = wording::join_limited(&skipped, MAX_NAMED);
            self.write_line(format!("{word} {list}, because {because} failed"));
        }
        let skipped = |ended: &&StepReport| matches!(ended.outcome, Outcome::Skipped { .. });
        for ended in report
            .outcomes
            .iter()
            .filter(skipped)
            .filter(|ended| ended.action == Action::HandOver)
        {
            let word = paint(self.theme.change, "skipped:");
            self.write_line(format!(
                "{word} the hand-over of {}, so the old machines go on serving",
                ended.address
            ));
        }
    }

    fn write_not_run(&mut self, report: &ApplyReport) {
        let why = if report.late {
            "because the deadline was near"
        } else {
            "because the run ended before"
        };
        // When nothing was begun, that has been said.
        if report.halted.is_none() {
            self.write_interrupted(report, &Outcome::NotRun, "not run:", why);
        }
        self.write_interrupted(
            report,
            &Outcome::Unknown,
            "unknown:",
            "under way when the run was stopped",
        );
    }

    fn write_interrupted(
        &mut self,
        report: &ApplyReport,
        outcome: &Outcome,
        word: &str,
        why: &str,
    ) {
        let ended = report
            .outcomes
            .iter()
            .filter(|ended| ended.outcome == *outcome);
        let mut names: Vec<String> = ended.map(|ended| ended.address.to_string()).collect();
        names.dedup();
        if !names.is_empty() {
            let word = paint(self.theme.change, word);
            self.write_line(format!(
                "{word} {}, {why}",
                wording::join_limited(&names, MAX_NAMED)
            ));
        }
    }

    fn write_counts(&mut self, report: &ApplyReport) {
        let (done, failed, skipped, not_run) = report.counts();
        let held = |ended: &&StepReport| matches!(ended.outcome, Outcome::HeldBack(_));
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
            self.theme.title
        } else {
            self.theme.error
        };
        self.write_line(paint(style, format!("{word}: {}.", parts.join(", "))));
        if !report.is_complete() {
            let when = if failed > 0 {
                "once the cause is gone, "
            } else {
                ""
            };
            self.write_line(format!(
                "Nothing is lost: {when}run the same command again. It looks again and does what is left."
            ));
        }
    }
}
