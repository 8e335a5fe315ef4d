//! `--why ADDRESS`: why a resource changes, what it waits for, and what waits for it.

use std::collections::BTreeSet;

use super::TextWriter;
use crate::{
    kinds::Cause,
    model::Address,
    plan::{Action, Change, DeferralReason, EdgeReason, Plan, Step, Verb},
    render::{
        TextOptions,
        attribute_rows::{DiffWording, attribute_rows},
        rollout::verification,
        theme::paint,
        value::sanitize,
    },
};

/// Renders the explanation of one resource.
#[must_use]
pub fn why(plan: &Plan, address: &Address, options: &TextOptions) -> String {
    let mut writer = TextWriter::new(*options);
    let changes = plan.changes();
    match changes.iter().find(|change| change.address == *address) {
        Some(change) => writer.write_change_reason(change),
        None if intermediate_steps(plan, address).next().is_none() => {
            writer.write_no_change(plan, address);
        }
        None => {}
    }
    writer.write_intermediate_steps(plan, address);
    writer.write_order(plan, address);
    writer.finish()
}

/// Why a resource changes, as far as that is known.
fn change_reason(change: &Change) -> &'static str {
    match (change.verb, change.cause) {
        (Verb::Create, _) => "the manifest declares it, and it does not exist",
        (Verb::Destroy, _) => "trimtab manages it, and the manifest does not declare it",
        (Verb::Run, _) => "there is a new release, and its release command has not run yet",
        (_, Cause::Outside) => "it was changed outside since the last apply",
        (_, Cause::Manifest) => "the manifest asks for something else than what was applied last",
        (_, Cause::Moved) => "its image's tag has moved since the last apply",
        (_, Cause::Follows) => "something that it refers to changes",
        (_, Cause::Unknown) => "it differs from the manifest",
    }
}

/// The intermediate steps at an address, which are not themselves changes of the resource.
fn intermediate_steps<'p>(plan: &'p Plan, address: &'p Address) -> impl Iterator<Item = &'p Step> {
    plan.steps()
        .filter(move |step| step.address == *address && step.action.is_intermediate())
}

/// Groups the steps at one address for display. Both halves of a replacement are one part (`None`), like any other change;
/// each intermediate step is a part of its own.
fn step_part(action: Action) -> Option<Action> {
    Some(action).filter(|action| action.is_intermediate())
}

/// Describes an edge, for the later and for the earlier of its steps.
fn dependency_text(from: Action, reason: EdgeReason, to: Action) -> (&'static str, &'static str) {
    match reason {
        EdgeReason::Needs if to == Action::HandOver => (
            "it must be healthy first",
            "takes over when all are healthy",
        ),
        EdgeReason::Needs if from == Action::Run => {
            ("it must have run first", "changes once it has run")
        }
        EdgeReason::Healthy if from == Action::Verify => {
            ("it must be verified first", "waits until it is verified")
        }
        EdgeReason::Healthy if from == Action::HandOver => {
            ("it must have taken over first", "is verified after that")
        }
        EdgeReason::Healthy if to == Action::Verify => {
            ("it must be healthy first", "is verified when it is healthy")
        }
        EdgeReason::Needs => ("it refers to it", "refers to it"),
        EdgeReason::StillHeld => ("it is still held by it", "is still held by it"),
        EdgeReason::SameName => ("both have one name", "has the same name"),
        EdgeReason::InTurn => ("its group takes turns", "is next in its group"),
        EdgeReason::Healthy => ("it must be healthy first", "waits until it is healthy"),
        EdgeReason::TakesOver => ("it serves until then", "goes once it has taken over"),
    }
}

impl TextWriter {
    fn write_change_reason(&mut self, change: &Change) {
        let word = paint(self.theme.verb_style(change.verb), change.verb.word());
        self.write_line(format!(
            "{word} {}, because {}",
            change.address,
            change_reason(change)
        ));
        if let Some(loss) = change.data_loss {
            self.write_line(format!(
                "       {}",
                paint(self.theme.error, loss.consequence())
            ));
        }
        let rows = attribute_rows(&change.lines, self.detail_width(), DiffWording::Plan);
        self.write_attribute_rows(&rows, change.verb != Verb::Create);
    }

    /// A resource without a change of its own: blocked, held back, deleted with another one, left out, or equal.
    fn write_no_change(&mut self, plan: &Plan, address: &Address) {
        if let Some(blocked) = plan
            .blocked
            .iter()
            .find(|blocked| blocked.address == *address)
        {
            self.write_line(format!(
                "{address} is blocked: {}",
                sanitize(&blocked.blocker.reason)
            ));
            return self.write_line(format!("    hint: {}", sanitize(&blocked.blocker.hint)));
        }
        if let Some(deferred) = plan
            .deferred
            .iter()
            .find(|deferred| deferred.address == *address)
        {
            let what = match deferred.reason {
                DeferralReason::Unavailable => "is held back",
                DeferralReason::Manual => "differs, and is left to you",
            };
            let reason = sanitize(&deferred.blocker.reason);
            self.write_line(format!("{address} {what}: {reason}"));
            return self.write_line(format!("    hint: {}", sanitize(&deferred.blocker.hint)));
        }
        if let Some(deletion) = plan
            .cascade_deletes
            .iter()
            .find(|deletion| deletion.address == *address)
        {
            return self.write_line(format!("{address} vanishes along with {}", deletion.with));
        }
        let left_out = plan
            .selection
            .as_ref()
            .is_some_and(|selection| selection.left_out.contains(address));
        if left_out {
            return self.write_line(format!("{address} changes, but --only leaves it out"));
        }
        self.write_line(format!("{address} does not change in this plan"));
    }

    /// The intermediate steps at this address.
    fn write_intermediate_steps(&mut self, plan: &Plan, address: &Address) {
        let style = self.theme.change;
        for step in intermediate_steps(plan, address) {
            match step.action {
                Action::HandOver => {
                    let machines = sanitize(&step.description);
                    let word = paint(style, "hand over");
                    self.write_line(format!(
                        "{word} {address}: {machines} give way to their successors, all at once"
                    ));
                }
                Action::Verify => {
                    let word = paint(style, "verify");
                    let expectation =
                        verification(step).map(|(url, text)| format!(": {url}{text}"));
                    let expectation = expectation.unwrap_or_default();
                    self.write_line(format!(
                        "{word} {address}, because machines of it change{expectation}"
                    ));
                }
                _ => {}
            }
        }
    }

    /// For each part at this address, what it waits for and what waits for it.
    fn write_order(&mut self, plan: &Plan, address: &Address) {
        let steps = plan.steps().filter(|step| step.address == *address);
        let parts: BTreeSet<Option<Action>> = steps.map(|step| step_part(step.action)).collect();
        for part in &parts {
            let subject = match part {
                Some(Action::Retire) => "the old one ",
                Some(Action::Verify) if parts.len() > 1 => "its proof ",
                _ => "",
            };
            self.write_part_order(plan, address, *part, subject);
        }
    }

    /// What one part waits for, and what waits for it.
    fn write_part_order(
        &mut self,
        plan: &Plan,
        address: &Address,
        part: Option<Action>,
        subject: &str,
    ) {
        // Edges between steps at the same address, such as the halves of a replacement, are not shown.
        let edges = plan.edges_touching(address);
        let texts = |from: &Step, reason: EdgeReason, to: &Step| {
            dependency_text(from.action, reason, to.action)
        };
        let is_at_part = |step: &Step, dependency: &Step| {
            step.address == *address
                && dependency.address != *address
                && step_part(step.action) == part
        };
        let predecessors: BTreeSet<String> = edges
            .iter()
            .filter(|(from, _, to)| is_at_part(to, from))
            .map(|(from, reason, to)| format!("{} ({})", from.address, texts(from, *reason, to).0))
            .collect();
        let successors: BTreeSet<String> = edges
            .iter()
            .filter(|(from, _, to)| is_at_part(from, to))
            .map(|(from, reason, to)| format!("{} ({})", to.address, texts(from, *reason, to).1))
            .collect();
        self.write_dependencies(&format!("{subject}waits for"), &predecessors);
        self.write_dependencies(&format!("{subject}is waited for by"), &successors);
    }

    fn write_dependencies(&mut self, title: &str, dependencies: &BTreeSet<String>) {
        if dependencies.is_empty() {
            return;
        }
        self.write_gap();
        self.write_line(format!("{title}:"));
        for dependency in dependencies {
            self.write_line(format!("  {dependency}"));
        }
    }
}
