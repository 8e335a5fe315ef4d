//! `--why ADDRESS`: why an object changes, what it waits for, and what waits for it.

use std::collections::BTreeSet;

use super::Page;
use crate::{
    kinds::Cause,
    model::Address,
    plan::{Action, Because, Change, Plan, Step, Verb},
    render::{
        Look,
        detail::{Wording, rows},
        rollout::proof,
        style::paint,
        value::clean,
        words,
    },
};

/// The answer to `--why`.
#[must_use]
pub fn why(plan: &Plan, address: &Address, look: &Look) -> String {
    let mut page = Page::new(*look);
    let changes = plan.changes();
    match changes.iter().find(|change| change.address == *address) {
        Some(change) => page.reasons(change),
        None if own(plan, address).next().is_none() => page.no_change(plan, address),
        None => {}
    }
    page.on_the_way(plan, address);
    page.order(plan, address);
    page.done()
}

/// Why an object changes, as far as it can tell.
fn because(change: &Change) -> &'static str {
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
fn own<'p>(plan: &'p Plan, address: &'p Address) -> impl Iterator<Item = &'p Step> {
    plan.steps()
        .filter(move |step| step.address == *address && step.action.is_on_the_way())
}

/// The steps at one address that a reader takes for one: both halves of a replacement, but not the end of the old
/// machine.
fn part(action: Action) -> Option<Action> {
    Some(action).filter(|action| action.is_on_the_way())
}

/// An edge seen from its later end, and from its earlier one.
fn in_words(from: Action, because: Because, to: Action) -> (&'static str, &'static str) {
    match because {
        Because::Needs if to == Action::HandOver => (
            "it must be healthy first",
            "takes over when all are healthy",
        ),
        Because::Needs if from == Action::Run => {
            ("it must have run first", "changes once it has run")
        }
        Because::Healthy if from == Action::Prove => {
            ("it must be verified first", "waits until it is verified")
        }
        Because::Healthy if from == Action::HandOver => {
            ("it must have taken over first", "is verified after that")
        }
        Because::Healthy if to == Action::Prove => {
            ("it must be healthy first", "is verified when it is healthy")
        }
        Because::Needs => ("it refers to it", "refers to it"),
        Because::StillHeld => ("it is still held by it", "is still held by it"),
        Because::SameName => ("both have one name", "has the same name"),
        Because::InTurn => ("its group takes turns", "is next in its group"),
        Because::Healthy => ("it must be healthy first", "waits until it is healthy"),
        Because::TakesOver => ("it serves until then", "goes once it has taken over"),
    }
}

impl Page {
    fn reasons(&mut self, change: &Change) {
        let word = paint(self.style.verb(change.verb), change.verb.word());
        self.line(format!(
            "{word} {}, because {}",
            change.address,
            because(change)
        ));
        if let Some(loss) = change.loss {
            self.line(format!(
                "       {}",
                paint(self.style.alarm, words::loss(loss))
            ));
        }
        let rows = rows(&change.lines, self.detail_width(), Wording::Arrow);
        self.rows(&rows, change.verb != Verb::Create);
    }

    /// An object without a change: blocked, gone with its container, left out, or equal.
    fn no_change(&mut self, plan: &Plan, address: &Address) {
        if let Some(blocked) = plan
            .blocked
            .iter()
            .find(|blocked| blocked.address == *address)
        {
            self.line(format!(
                "{address} is blocked: {}",
                clean(&blocked.refused.reason)
            ));
            return self.line(format!("    hint: {}", clean(&blocked.refused.hint)));
        }
        if let Some(folded) = plan.folded.iter().find(|folded| folded.address == *address) {
            return self.line(format!("{address} vanishes along with {}", folded.with));
        }
        let left_out = plan
            .narrowed
            .as_ref()
            .is_some_and(|narrowed| narrowed.left_out.contains(address));
        if left_out {
            return self.line(format!("{address} changes, but --only leaves it out"));
        }
        self.line(format!("{address} does not change in this plan"));
    }

    /// What is done at this address besides a change of a resource.
    fn on_the_way(&mut self, plan: &Plan, address: &Address) {
        let title = self.style.change;
        for step in own(plan, address) {
            match step.action {
                Action::HandOver => {
                    let what = clean(&step.what);
                    let word = paint(title, "hand over");
                    self.line(format!(
                        "{word} {address}: {what} give way to their successors, all at once"
                    ));
                }
                Action::Prove => {
                    let word = paint(title, "verify");
                    let says = proof(step).map(|(url, words)| format!(": {url}{words}"));
                    let says = says.unwrap_or_default();
                    self.line(format!(
                        "{word} {address}, because machines of it change{says}"
                    ));
                }
                _ => {}
            }
        }
    }

    fn order(&mut self, plan: &Plan, address: &Address) {
        let steps = plan.steps().filter(|step| step.address == *address);
        let parts: BTreeSet<Option<Action>> = steps.map(|step| part(step.action)).collect();
        for part in &parts {
            let whose = match part {
                Some(Action::Retire) => "the old one ",
                Some(Action::Prove) if parts.len() > 1 => "its proof ",
                _ => "",
            };
            self.order_of(plan, address, *part, whose);
        }
    }

    /// What one part of what happens to an object waits for, and what waits for it.
    fn order_of(&mut self, plan: &Plan, address: &Address, of: Option<Action>, whose: &str) {
        // The two halves of a replacement are one object to a reader; they do not wait for each other in public.
        let edges = plan.neighbours(address);
        let words = |from: &Step, because, to: &Step| in_words(from.action, because, to.action);
        let mine = |step: &Step, other: &Step| {
            step.address == *address && other.address != *address && part(step.action) == of
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
        self.waits(&format!("{whose}waits for"), &before);
        self.waits(&format!("{whose}is waited for by"), &after);
    }

    fn waits(&mut self, words: &str, others: &BTreeSet<String>) {
        if others.is_empty() {
            return;
        }
        self.gap();
        self.line(format!("{words}:"));
        for other in others {
            self.line(format!("  {other}"));
        }
    }
}
