//! `--why ADDRESS`: why an object changes, what it waits for, and what waits for it.

use std::collections::BTreeSet;

use super::Page;
use crate::{
    kinds::Cause,
    model::Address,
    plan::{Because, Change, Plan, Verb},
    render::{
        Look,
        detail::{Wording, rows},
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
        None => page.no_change(plan, address),
    }
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

/// An edge seen from its later end, and from its earlier one.
fn in_words(because: Because) -> (&'static str, &'static str) {
    match because {
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
        self.line(format!("{word} {}, because {}", change.address, because(change)));
        if let Some(loss) = change.loss {
            self.line(format!("       {}", paint(self.style.alarm, words::loss(loss))));
        }
        let rows = rows(&change.lines, self.detail_width(), Wording::Arrow);
        self.rows(&rows, change.verb != Verb::Create);
    }

    /// An object without a change: blocked, gone with its container, left out, or equal.
    fn no_change(&mut self, plan: &Plan, address: &Address) {
        if let Some(blocked) = plan.blocked.iter().find(|blocked| blocked.address == *address) {
            self.line(format!("{address} is blocked: {}", clean(&blocked.refused.reason)));
            return self.line(format!("    hint: {}", clean(&blocked.refused.hint)));
        }
        if let Some(folded) = plan.folded.iter().find(|folded| folded.address == *address) {
            return self.line(format!("{address} vanishes along with {}", folded.with));
        }
        let left_out = plan.narrowed.as_ref().is_some_and(|narrowed| narrowed.left_out.contains(address));
        if left_out {
            return self.line(format!("{address} changes, but --only leaves it out"));
        }
        self.line(format!("{address} does not change in this plan"));
    }

    fn order(&mut self, plan: &Plan, address: &Address) {
        // The two halves of a replacement are one object to a reader; they do not wait for each other in public.
        let edges = plan.neighbours(address);
        let before: BTreeSet<String> = edges
            .iter()
            .filter(|(from, _, to)| to.address == *address && from.address != *address)
            .map(|(from, because, _)| format!("{} ({})", from.address, in_words(*because).0))
            .collect();
        let after: BTreeSet<String> = edges
            .iter()
            .filter(|(from, _, to)| from.address == *address && to.address != *address)
            .map(|(_, because, to)| format!("{} ({})", to.address, in_words(*because).1))
            .collect();
        self.waits("waits for", &before);
        self.waits("is waited for by", &after);
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
