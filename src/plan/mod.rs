//! Desired state and observed state in, an ordered plan out. Pure: no clock, no randomness, no client, and nothing here
//! can wait, so the same inputs give the same plan byte for byte.
//!
//! ```text
//! differ.rs  differences, kind by kind  →  steps
//! order.rs   references                 →  edges, each with its reason; a cycle as a readable path
//! rollout.rs members of a group         →  edges: rolling, canary, blue-green
//! back.rs    what machines were             →  the plan back to it
//! change.rs  steps                      →  one change for each resource, dangerous ones first
//! estimate.rs plan                      →  how long it takes on Fly
//! guard.rs   plan × limits              →  approved, or refused with number, limit and flag
//! only.rs    plan × addresses           →  a smaller plan, and what it leaves out
//! id.rs      steps                      →  a hash to review by, and the set of steps behind it
//! ```

use std::collections::BTreeMap;

use petgraph::graph::{DiGraph, NodeIndex};
use serde::Serialize;

use crate::{
    kinds::{
        AnyOp, Blocker, Cause, Cost, DataLoss, Desired, Findings, Impact, LeaseTarget, Phase, World,
    },
    model::{Address, DiffLine, Name, OwnershipMark, RolloutPolicy},
};

mod builder;
mod change;
mod differ;
mod estimate;
mod guard;
mod id;
mod only;
mod order;
mod rollback;
mod rollout;

pub use change::{Change, Verb};
pub use guard::{Approved, Limits, Refusal, guard, refusals};
pub use id::{InvalidPlanId, PlanId};
pub use only::{OnlySelection, is_selected, unknown_addresses};
pub use order::CycleError;
pub use rollback::{PreviousState, PreviousStates, plan_rollback};

/// One operation on one resource.
#[derive(Clone, Debug)]
pub struct Step {
    /// The resource.
    pub address: Address,
    /// What happens to it.
    pub action: Action,
    /// The operation itself.
    pub op: AnyOp,
    /// What the user reads.
    pub lines: Vec<DiffLine>,
    /// Whether it only finishes what an earlier apply began.
    pub completes_earlier_apply: bool,
    /// When in a rollout it comes.
    pub phase: Phase,
    /// How long it takes, by experience.
    pub cost: Cost,
    /// The machine that nobody else may change meanwhile.
    pub lease_target: Option<LeaseTarget>,
    /// The id of the live object; empty for a creation.
    pub identity: String,
    /// A hash of everything a creation asks for, since its lines show only what matters to a reader.
    pub spec_hash: Option<[u8; 8]>,
    /// The live object in short: its id, size, place; empty for a creation.
    pub description: String,
    /// Who made the difference.
    pub cause: Cause,
    /// What it means for what runs.
    pub impact: Impact,
    /// What is lost for good.
    pub data_loss: Option<DataLoss>,
    /// How to keep it.
    pub recovery_hint: Option<String>,
    /// Whether the live object bears the mark of protection.
    pub protected: bool,
}

/// What happens to a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// It is made.
    Create,
    /// It is changed in place.
    Update,
    /// The old one goes, as the first half of a replacement.
    ReplaceDelete,
    /// The new one comes, as the second half.
    ReplaceCreate,
    /// It goes.
    Delete,
    /// One that takes the place of another is made beside it.
    Succeed,
    /// Those that were made beside others take over from them.
    HandOver,
    /// It goes, since its successor has taken over.
    Retire,
    /// It is done once: a release command.
    Run,
    /// It is shown that everything works.
    Prove,
}

impl Action {
    /// Whether it is a step on the way, and no change of a resource of its own.
    #[must_use]
    pub fn is_intermediate(self) -> bool {
        matches!(self, Self::HandOver | Self::Retire | Self::Prove)
    }
}

/// Why one step waits for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EdgeReason {
    /// The later one refers to the earlier one.
    Needs,
    /// The earlier one still holds what the later one removes.
    StillHeld,
    /// Both have the same name, and the old one must be gone first.
    SameName,
    /// They are of one process group, and change one after the other.
    InTurn,
    /// The later one is begun only when the earlier one is healthy.
    Healthy,
    /// The later one serves until the earlier one is done.
    TakesOver,
}

impl EdgeReason {
    /// The reason in words: "A … B", where A comes first.
    #[must_use]
    pub fn phrase(self) -> &'static str {
        match self {
            Self::Needs => "is needed by",
            Self::StillHeld => "must let go of",
            Self::SameName => "makes room for",
            Self::InTurn => "goes before",
            Self::Healthy => "must be healthy before",
            Self::TakesOver => "takes over from",
        }
    }
}

/// Something that vanishes with its container, without a step of its own.
#[derive(Clone, Debug, Serialize)]
pub struct CascadeDelete {
    /// What vanishes.
    pub address: Address,
    /// What takes it along.
    pub with: Address,
    /// The id of the live object.
    #[serde(skip)]
    pub identity: String,
    /// The live object in short.
    pub what: String,
    /// What is lost for good.
    pub loss: Option<DataLoss>,
    /// How to keep it.
    #[serde(skip)]
    pub rescue: Option<String>,
    /// Whether it bears the mark of protection.
    pub protected: bool,
}

/// A change that cannot be planned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BlockedChange {
    /// The resource.
    pub address: Address,
    /// Why, and what to do.
    #[serde(flatten)]
    pub refused: Blocker,
}

/// Steps and their order, and what was decided besides. A `Plan` that exists has no cycle.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Which environment it is for.
    pub mark: OwnershipMark,
    graph: DiGraph<Step, EdgeReason>,
    order: Vec<NodeIndex>,
    /// What vanishes with its container.
    pub cascade_deletes: Vec<CascadeDelete>,
    /// What cannot be planned. The guard refuses a plan that has any.
    pub blocked: Vec<BlockedChange>,
    /// How many resources of each kind match.
    pub unchanged: BTreeMap<&'static str, usize>,
    /// How many resources of ours exist.
    pub existing_count: usize,
    /// What was found besides.
    pub findings: Findings,
    /// What `--only` left out.
    pub selection: Option<OnlySelection>,
    /// How each group that changes comes out, by its lane.
    pub rollouts: BTreeMap<Name, GroupRollout>,
}

/// How one process group comes out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GroupRollout {
    /// How its members take turns.
    #[serde(flatten)]
    pub turns: RolloutPolicy,
    /// The members that are unavailable for a while, in the order of their turns.
    pub members: Vec<Name>,
    /// How many new ones take over from as many old ones.
    pub successors: usize,
    /// How many sleepers are updated without being started.
    pub asleep: usize,
}

/// Compares what is asked for with what is there.
///
/// # Errors
/// When the steps wait for each other in a circle.
pub fn plan(desired: &Desired, world: &World) -> Result<Plan, CycleError> {
    builder::PlanBuilder::collect(desired, world).build()
}

impl Plan {
    /// The steps in an order that can be carried out.
    pub fn steps(&self) -> impl Iterator<Item = &Step> {
        self.order.iter().map(|&node| &self.graph[node])
    }

    /// One step.
    #[must_use]
    pub fn step(&self, node: NodeIndex) -> &Step {
        &self.graph[node]
    }

    /// Steps and edges.
    #[must_use]
    pub fn graph(&self) -> &DiGraph<Step, EdgeReason> {
        &self.graph
    }

    /// Whether nothing is to be done and nothing stands in the way.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.graph.node_count() == 0 && self.blocked.is_empty()
    }

    /// The plan without what somebody else owns: who destroys an environment leaves it alone.
    #[must_use]
    pub fn without_ownership_conflicts(mut self) -> Self {
        for claim in &self.findings.ownership_conflicts {
            self.blocked
                .retain(|blocked| blocked.address != claim.address);
            self.findings
                .warnings
                .push(format!("{} is left alone: {}", claim.address, claim.reason));
        }
        self
    }

    /// What a step waits for, with the reason, and what waits for it.
    #[must_use]
    pub fn edges_touching(&self, address: &Address) -> Vec<(&Step, EdgeReason, &Step)> {
        let touches = |step: &Step| step.address == *address;
        let pair = |edge| {
            let (from, to) = self.graph.edge_endpoints(edge)?;
            Some((&self.graph[from], self.graph[edge], &self.graph[to]))
        };
        self.graph
            .edge_indices()
            .filter_map(pair)
            .filter(|(a, _, b)| touches(a) || touches(b))
            .collect()
    }
}
