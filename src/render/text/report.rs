//! The report of an apply: failures, what was skipped because of each, counts, and what to do next.

use std::collections::BTreeMap;

use super::TextWriter;
use crate::{
    apply::event::{ApplyFailure, ApplyReport, Outcome, StepReport},
    model::Address,
    plan::Action,
    render::{TextOptions, theme::paint, value::sanitize, wording},
};

/// The maximum number of steps named in one line; more are counted.
const MAX_NAMED: usize = 6;

/// Renders the report of an apply.
#[must_use]
pub fn report(report: &ApplyReport, options: &TextOptions) -> String {
    let mut writer = TextWriter::new(*options);
    writer.write_halted(report);
    for step in &report.outcomes {
        match &step.outcome {
            Outcome::Failed(failure) => writer.write_failed(step, failure),
            Outcome::HeldBack(failure) => writer.write_held_back(step, failure),
            _ => {}
        }
    }
    writer.write_skipped(report);
    writer.write_not_run(report);
    writer.write_gap();
    writer.write_counts(report);
    writer.finish()
}

/// Renders the report of an automatic rollback.
#[must_use]
pub fn rollback_report(report: &ApplyReport, options: &TextOptions) -> String {
    if report.is_complete() {
        return paint(
            options.theme().title,
            "Rolled back: what had changed is as it was before.",
        );
    }
    self::report(report, options)
}

impl TextWriter {
    /// Why no step was started, or why running steps were aborted.
    fn write_halted(&mut self, report: &ApplyReport) {
        if let Some(failure) = &report.halted {
            let label = paint(self.theme.error, "FAILED:");
            self.write_line(format!("{label} no step was started"));
            self.write_failure(failure);
        }
        if let Some(failure) = &report.lost {
            let label = paint(self.theme.error, "STOPPED:");
            self.write_line(format!("{label} running steps were aborted"));
            self.write_failure(failure);
        }
    }

    fn write_held_back(&mut self, step: &StepReport, failure: &ApplyFailure) {
        let label = paint(self.theme.change, "held back:");
        self.write_line(format!("{label} {}, for a later apply", step.address));
        self.write_failure(failure);
    }

    fn write_failed(&mut self, step: &StepReport, failure: &ApplyFailure) {
        let label = paint(self.theme.error, "FAILED:");
        let action = wording::action_imperative(step.action);
        self.write_line(format!("{label} could not {action} {}", step.address));
        self.write_failure(failure);
    }

    /// The reason, request id and hint of a failure, indented.
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

    /// Skipped steps, by the failed step that they depend on.
    fn write_skipped(&mut self, report: &ApplyReport) {
        let mut by_cause: BTreeMap<&Address, Vec<String>> = BTreeMap::new();
        for step in &report.outcomes {
            // An intermediate step is skipped together with the change that it belongs to.
            let resource_step = !step.action.is_intermediate();
            if let (Outcome::Skipped { because }, true) = (&step.outcome, resource_step) {
                by_cause
                    .entry(because)
                    .or_default()
                    .push(step.address.to_string());
            }
        }
        for (because, mut skipped) in by_cause {
            skipped.sort();
            skipped.dedup();
            let label = paint(self.theme.change, "skipped:");
            let list = wording::join_limited(&skipped, MAX_NAMED);
            self.write_line(format!("{label} {list}, because {because} failed"));
        }
        // Except for hand-overs: what their failure means for users deserves a line.
        let skipped = |step: &&StepReport| matches!(step.outcome, Outcome::Skipped { .. });
        for step in report
            .outcomes
            .iter()
            .filter(skipped)
            .filter(|step| step.action == Action::HandOver)
        {
            let label = paint(self.theme.change, "skipped:");
            self.write_line(format!(
                "{label} the hand-over of {}, so the old machines go on serving",
                step.address
            ));
        }
    }

    fn write_not_run(&mut self, report: &ApplyReport) {
        let reason = match () {
            () if report.late => "because the deadline was near",
            () if report.outdated => {
                "because other runs changed these machines each time that this one was about to begin"
            }
            () => "because the run ended before",
        };
        // If nothing was started, the report has said so already.
        if report.halted.is_none() {
            self.write_interrupted(report, &Outcome::NotRun, "not run:", reason);
        }
        self.write_interrupted(
            report,
            &Outcome::Unknown,
            "unknown:",
            "under way when the run was stopped",
        );
    }

    /// Names the steps with this outcome, if there are any.
    fn write_interrupted(
        &mut self,
        report: &ApplyReport,
        outcome: &Outcome,
        label: &str,
        reason: &str,
    ) {
        let matching = report
            .outcomes
            .iter()
            .filter(|step| step.outcome == *outcome);
        let mut names: Vec<String> = matching.map(|step| step.address.to_string()).collect();
        names.dedup();
        if !names.is_empty() {
            let label = paint(self.theme.change, label);
            self.write_line(format!(
                "{label} {}, {reason}",
                wording::join_limited(&names, MAX_NAMED)
            ));
        }
    }

    /// The number of steps by outcome, and how to continue.
    fn write_counts(&mut self, report: &ApplyReport) {
        let (done, failed, skipped, not_run) = report.counts();
        let is_held_back = |step: &&StepReport| matches!(step.outcome, Outcome::HeldBack(_));
        let held_back = report.outcomes.iter().filter(is_held_back).count();
        let is_unknown = |step: &&StepReport| step.outcome == Outcome::Unknown;
        let unknown = report.outcomes.iter().filter(is_unknown).count();
        let count = |number: usize, label: &str| (number > 0).then(|| format!("{number} {label}"));
        let parts: Vec<String> = [
            Some(format!("{done} done")),
            count(failed, "failed"),
            count(skipped, "skipped"),
            count(held_back, "held back"),
            count(unknown, "unknown"),
            count(not_run - held_back - unknown, "not run"),
        ]
        .into_iter()
        .flatten()
        .collect();
        let label = if report.is_complete() {
            "Applied"
        } else {
            "Incomplete"
        };
        let style = if report.is_complete() {
            self.theme.title
        } else {
            self.theme.error
        };
        self.write_line(paint(style, format!("{label}: {}.", parts.join(", "))));
        if !report.is_complete() {
            let condition = if failed > 0 {
                "once the cause is gone, "
            } else {
                ""
            };
            self.write_line(format!(
                "Nothing is lost: {condition}run the same command again. It compares again and does what is left."
            ));
        }
    }
}
