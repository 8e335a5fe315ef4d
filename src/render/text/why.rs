//! `--why ADDRESS`: why an object changes, what it waits for, and what waits for it.

use std::collections::BTreeSet;

use super::TextWriter;
use crate::{
    kinds::Cause,
    model::Address,
    plan::{Action, Change, EdgeReason, Plan, Step, Verb},
    render::{
        TextOptions,
        attribute_rows::{DiffWording, attribute_rows},
        rollout::verification,
        theme::paint,
        value::sanitize,
        wording,
    },
};

/// The answer to `--why`.
#[must_use]
pub fn why(plan: &Plan, address: &Address, look: &TextOptions) -> String {
    let mut page = TextWriter::new(*look);
    let changes = plan.changes();
    match changes.iter().find(|change| change.address == *address) {
        Some(change) => page.write_change_reason(change),
        None if intermediate_steps(plan, address).next().is_none() => {
            page.write_no_change(plan, address);
        }
        None => {}
    }
    page.write_intermediate_steps(plan, address);
    page.write_order(plan, address);
    page.finish()
}

/// Why an object changes, as far as it can tell.
fn change_reason(change: &Change) -> &'static str {
    match (change.verb, change.cause) {
        (Verb::Create, _) => "the manifest asks for it, and it is not there",
        (Verb::Destroy, _) => "it is ours, and the manifest does not ask for it",
        (Verb::Run, _) => "a new release comes out, and its command has not run yet",
        (_, Cause::Outside) => "it was changed outside since the last apply",
        (_, Cause::Manifest) => "the manifest changed since the last apply",
        (_, Cause::Moved) => "its image's tag has moved since the last apply",
        (_, Cause::Follows) => "something that it refers to changes",
        (_, Cause::Unknown) => "it is other than the manifest says",
    }
}

/// The steps at an address that are on the way to something else.
fn intermediate_steps<'p>(plan: &'p Plan, address: &'p Address) -> impl Iterator<Item = &'p Step> {
    plan.steps()
        .filter(move |step| step.address == *address && step.action.is_intermediate())
}

/// The steps at one address that a reader takes for one: both halves of a replacement, but not the end of the old
/// machine.
fn step_part(action: Action) -> Option<Action> {
    Some(action).filter(|action| action.is_intermediate())
}

/// An edge seen from its later end, and from its earlier one.
fn dependency_text(from: Action, because: EdgeReason, to: Action) -> (&'static str, &'static str) {
    match because {
        EdgeReason::Needs if to == Action::HandOver => (
            "it must be healthy first",
            "takes over when all are healthy",
        ),
        EdgeReason::Needs if from == Action::Run => {
            ("it must have run first", "changes once it has run")
        }
        EdgeReason::Healthy if from == Action::Prove => {
            ("it must be verified first", "waits until it is verified")
        }
        EdgeReason::Healthy if from == Action::HandOver => {
            ("it must have taken over first", "is verified after that")
        }
        EdgeReason::Healthy if to == Action::Prove => {
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
        if let Some(loss) = change.loss {
            self.write_line(format!(
                "       {}",
                paint(self.theme.error, wording::data_loss_remark(loss))
            ));
        }
        let rows = attribute_rows(&change.lines, self.detail_width(), DiffWording::Plan);
        self.write_attribute_rows(&rows, change.verb != Verb::Create);
    }

    /// An object without a change: blocked, gone with its container, left out, or equal.
    fn write_no_change(&mut self, plan: &Plan, address: &Address) {
        if let Some(blocked) = plan
            .blocked
            .iter()
            .find(|blocked| blocked.address == *address)
        {
            self.write_line(format!(
                "{address} is blocked: {}",
                sanitize(&blocked.refused.reason)
            ));
            return self.write_line(format!("    hint: {}", sanitize(&blocked.refused.hint)));
        }
        if let Some(folded) = plan
            .cascade_deletes
            .iter()
            .find(|folded| folded.address == *address)
        {
            return self.write_line(format!("{address} vanishes along with {}", folded.with));
        }
        let left_out = plan
            .selection
            .as_ref()
            .is_some_and(|narrowed| narrowed.left_out.contains(address));
        if left_out {
            return self.write_line(format!("{address} changes, but --only leaves it out"));
        }
        self.write_line(format!("{address} does not change in this plan"));
    }

    /// What is done at this address besides a change of a resource.
    fn write_intermediate_steps(&mut self, plan: &Plan, address: &Address) {
        let title = self.theme.change;
        for step in intermediate_steps(plan, address) {
            match step.action {
                Action::HandOver => {
                    let what = sanitize(&step.description);
                    let word = paint(title, "hand over");
                    self.write_line(format!(
                        "{word} {address}: {what} give way to their successors, all at once"
                    ));
                }
                Action::Prove => {
                    let word = paint(title, "verify");
                    let says = verification(step).map(|(url, words)| format!(": {url}{words}"));
                    let says = says.unwrap_or_default();
                    self.write_line(format!(
                        "{word} {address}, because machines of it change{says}"
                    ));
                }
                _ => {}
            }
        }
    }

    fn write_order(&mut self, plan: &Plan, address: &Address) {
        let steps = plan.steps().filter(|step| step.address == *address);
        let parts: BTreeSet<Option<Action>> = steps.map(|step| step_part(step.action)).collect();
        for part in &parts {
            let whose = match part {
                Some(Action::Retire) => "the old one ",
                Some(Action::Prove) if parts.len() > 1 => "its proof ",
                _ => "",
            };
            self.write_part_order(plan, address, *part, whose);
        }
    }

    /// What one part of what happens to an object waits for, and what waits for it.
    fn write_part_order(
        &mut self,
        plan: &Plan,
        address: &Address,
        of: Option<Action>,
        whose: &str,
    ) {
        // The two halves of a replacement are one object to a reader; they do not wait for each other in public.
        let edges = plan.edges_touching(address);
        let words =
            |from: &Step, because, to: &Step| dependency_text(from.action, because, to.action);
        let mine = |step: &Step, other: &Step| {
            step.address == *address && other.address != *address && step_part(step.action) == of
        };
        let before: BTreeSet<String> = edges
            .iter()
            .filter(|(from, _, to)| mine(to, from))
            .map(|(from, because, to)| {
                format!("{} ({})", from.address, words(from, *because, to).0)
            })
            .collect();
        let after: BTreeSet<String> = edges
            .iter()
            .filter(|(from, _, to)| mine(from, to))
            .map(|(from, because, to)| format!("{} ({})", to.address, words(from, *because, to).1))
            .collect();
        self.write_dependencies(&format!("{whose}waits for"), &before);
        self.write_dependencies(&format!("{whose}is waited for by"), &after);
    }

    fn write_dependencies(&mut self, words: &str, others: &BTreeSet<String>) {
        if others.is_empty() {
            return;
        }
        self.write_gap();
        self.write_line(format!("{words}:"));
        for other in others {
            self.write_line(format!("  {other}"));
        }
    }
}
