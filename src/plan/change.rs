//! One change for each resource, as a reader wants to see it: the two halves of a replacement are one, and what is
//! dangerous comes first.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Action, CascadeDelete, Plan, Step};
use crate::{
    kinds::{Cause, DataLoss, Impact},
    model::{Address, DiffLine},
};

/// What happens to a resource, in one word. Ordered by danger. The symbols are Terraform's, where it has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verb {
    /// It goes.
    Destroy,
    /// The old one goes and a new one comes.
    Replace,
    /// Something is done once: a release command.
    Run,
    /// A new one comes up, takes over, and the old one goes.
    Succeed,
    /// It changes, and restarts.
    Restart,
    /// It changes; nothing restarts.
    Update,
    /// It is made.
    Create,
}

impl Verb {
    /// The symbol.
    #[must_use]
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Destroy => "-",
            Self::Replace => "-/+",
            Self::Run => ">",
            Self::Succeed => "+/-",
            Self::Restart | Self::Update => "~",
            Self::Create => "+",
        }
    }

    /// The word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Destroy => "destroy",
            Self::Replace => "replace",
            Self::Run => "run",
            Self::Succeed => "succeed",
            Self::Restart => "restart",
            Self::Update => "update",
            Self::Create => "create",
        }
    }
}

/// What happens to one resource.
#[derive(Clone, Debug, Serialize)]
pub struct Change {
    /// What happens.
    pub verb: Verb,
    /// The resource.
    pub address: Address,
    /// The live object in short; empty for a creation.
    pub what: String,
    /// The attributes.
    pub lines: Vec<DiffLine>,
    /// Who made the difference.
    pub cause: Cause,
    /// What it means for what runs.
    pub impact: Impact,
    /// What is lost for good.
    pub loss: Option<DataLoss>,
    /// Whether the live object bears the mark of protection.
    pub protected: bool,
    /// What vanishes along with it.
    pub takes_along: Vec<CascadeDelete>,
}

impl Plan {
    /// All changes, dangerous first, then by address.
    #[must_use]
    pub fn changes(&self) -> Vec<Change> {
        let mut by_address: BTreeMap<&Address, Change> = BTreeMap::new();
        // Where the old one takes over again, all that tells of it is the end of the new one.
        let told = |step: &&Step| {
            !step.action.is_intermediate()
                || step.action == Action::Retire && !step.lines.is_empty()
        };
        for step in self.steps().filter(told) {
            by_address
                .entry(&step.address)
                .and_modify(|change| change.merge_step(step))
                .or_insert_with(|| change_from_step(step));
        }
        for folded in &self.cascade_deletes {
            if let Some(change) = by_address.get_mut(&folded.with) {
                change.takes_along.push(folded.clone());
            }
        }
        let mut changes: Vec<Change> = by_address.into_values().collect();
        changes.sort_by(|a, b| a.verb.cmp(&b.verb).then_with(|| a.address.cmp(&b.address)));
        changes
    }
}

fn change_from_step(step: &Step) -> Change {
    let verb = match (step.action, step.impact) {
        (Action::Create, _) => Verb::Create,
        (Action::Run | Action::Prove, _) => Verb::Run,
        (Action::Succeed | Action::HandOver | Action::Retire, _) => Verb::Succeed,
        (Action::Update, Impact::Restart) => Verb::Restart,
        (Action::Update, _) => Verb::Update,
        (Action::ReplaceDelete | Action::ReplaceCreate, _) => Verb::Replace,
        (Action::Delete, _) => Verb::Destroy,
    };
    Change {
        verb,
        address: step.address.clone(),
        what: step.description.clone(),
        lines: step.lines.clone(),
        cause: step.cause,
        impact: step.impact,
        loss: step.data_loss,
        protected: step.protected,
        takes_along: Vec::new(),
    }
}

impl Change {
    /// Joins the second half of a replacement. The reason stays; the outline of the new object is not repeated.
    fn merge_step(&mut self, step: &Step) {
        if step.action == Action::ReplaceDelete {
            self.lines.clone_from(&step.lines);
            self.what.clone_from(&step.description);
        }
        self.loss = self.loss.or(step.data_loss);
        self.protected |= step.protected;
    }
}
