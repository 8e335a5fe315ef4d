//! The steps of a plan as one change per resource: a replacement is one change, and dangerous changes come first.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Action, CascadeDelete, Plan, Step};
use crate::{
    kinds::{Cause, DataLoss, Impact, Phase},
    model::{Address, DiffLine},
};

/// What happens to a resource, in one word, ordered by danger. The symbols are those of Terraform, where it has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verb {
    /// It is deleted.
    Destroy,
    /// The old object is deleted and a new one is created.
    Replace,
    /// A release command or a verification runs.
    Run,
    /// Blue-green: a new machine is created and takes over, and the old one is deleted.
    Succeed,
    /// It is changed, and restarts.
    Restart,
    /// It is changed without a restart.
    Update,
    /// It is created.
    Create,
}

impl Verb {
    /// The symbol before the address in a listing.
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

    /// The verb as a lower-case word.
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
    /// A short description of the live object; empty for a creation.
    #[serde(rename = "what")]
    pub description: String,
    /// The attributes that differ.
    pub lines: Vec<DiffLine>,
    /// What caused the difference.
    pub cause: Cause,
    /// When in a rollout it comes.
    #[serde(skip)]
    pub phase: Phase,
    /// What it does to running machines.
    pub impact: Impact,
    /// What is lost for good.
    #[serde(rename = "loss")]
    pub data_loss: Option<DataLoss>,
    /// Whether the live object is marked as protected from deletion.
    pub protected: bool,
    /// What is deleted together with it.
    pub takes_along: Vec<CascadeDelete>,
}

impl Plan {
    /// All changes, dangerous first, then by address.
    #[must_use]
    pub fn changes(&self) -> Vec<Change> {
        let mut by_address: BTreeMap<&Address, Change> = BTreeMap::new();
        // Intermediate steps belong to a change that another step stands for. In a rollback of a blue-green rollout there
        // is no such step: the old machine takes over again, and only the deletion of the new one has lines.
        let is_listed = |step: &&Step| {
            !step.action.is_intermediate()
                || step.action == Action::Retire && !step.lines.is_empty()
        };
        for step in self.steps().filter(is_listed) {
            by_address
                .entry(&step.address)
                .and_modify(|change| change.merge_step(step))
                .or_insert_with(|| change_from_step(step));
        }
        for cascade in &self.cascade_deletes {
            if let Some(change) = by_address.get_mut(&cascade.with) {
                change.takes_along.push(cascade.clone());
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
        (Action::Run | Action::Verify, _) => Verb::Run,
        (Action::CreateSuccessor | Action::HandOver | Action::Retire, _) => Verb::Succeed,
        (Action::Update, Impact::Restart) => Verb::Restart,
        (Action::Update, _) => Verb::Update,
        (Action::ReplaceDelete | Action::ReplaceCreate, _) => Verb::Replace,
        (Action::Delete, _) => Verb::Destroy,
    };
    Change {
        verb,
        address: step.address.clone(),
        description: step.description.clone(),
        lines: step.lines.clone(),
        cause: step.cause,
        phase: step.phase,
        impact: step.impact,
        data_loss: step.data_loss,
        protected: step.protected,
        takes_along: Vec::new(),
    }
}

impl Change {
    /// Merges another step on the same resource. The lines of a deletion say why it is replaced, so they are kept.
    fn merge_step(&mut self, step: &Step) {
        if step.action == Action::ReplaceDelete {
            self.lines.clone_from(&step.lines);
            self.description.clone_from(&step.description);
        }
        self.data_loss = self.data_loss.or(step.data_loss);
        self.protected |= step.protected;
    }
}
