//! Computes an ordered plan from the desired and the observed state. Pure: no clock, no randomness, no client, and no async
//! code, so the same inputs give the same plan byte for byte.
//!
//! ```text
//! differ.rs    spec × live, kind by kind  →  steps
//! steps.rs     one change                 →  its operations, and their place in the rollout
//! verification.rs  apps that change       →  a verification at the end
//! builder.rs   steps                      →  what each one creates, deletes and refers to
//! order.rs     references                 →  edges, each with its reason; a cycle as a readable path
//! rollout.rs   members of a group         →  edges: rolling, canary, blue-green
//! rollback.rs  earlier machine states     →  a plan towards them
//! change.rs    steps                      →  one change for each resource, dangerous ones first
//! estimate.rs  plan                       →  how long it takes on Fly
//! creation_pace.rs  creations in an app   →  when Fly allows each of them
//! guard.rs     plan × limits              →  approved, or refused with number, limit and flag
//! only.rs      plan × addresses           →  a smaller plan, and what it leaves out
//! id.rs        steps                      →  the id of a reviewed plan
//! ```

use std::collections::BTreeMap;

use petgraph::graph::{DiGraph, NodeIndex};
use serde::Serialize;

use crate::{
    kinds::{
        AnyOp, Blocker, Cause, Cost, DataLoss, Desired, Findings, Impact, LeaseTarget, Phase,
        RolloutNote, World,
    },
    model::{Address, DiffLine, Name, OwnershipMark, RolloutPolicy},
};

mod builder;
mod change;
mod creation_pace;
mod differ;
mod estimate;
mod guard;
mod id;
mod only;
mod order;
mod rollback;
mod rollout;
mod steps;
mod verification;

pub use change::{Change, Verb};
pub use creation_pace::CreationPace;
pub use guard::{Approved, Limits, Refusal, guard, refusals};
pub use id::{ExpectedPlan, InvalidPlanId, PlanId};
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
    /// The lines of the diff.
    pub lines: Vec<DiffLine>,
    /// Whether it only completes what an earlier apply began. Such a step is no part of the plan's id.
    pub completes_earlier_apply: bool,
    /// When in a rollout it comes.
    pub phase: Phase,
    /// The group in which it is rolled out, such as `web/app`; `None` when it is no member of a rollout.
    pub rollout_group: Option<Name>,
    /// What the description of a rollout says of it.
    pub rollout_note: Option<RolloutNote>,
    /// Whether a deletion waits until every change of other kinds is done.
    pub deleted_last: bool,
    /// How long it is expected to take.
    pub cost: Cost,
    /// The machine to lease while the step runs.
    pub lease_target: Option<LeaseTarget>,
    /// The cloud's id of the live object; empty for a creation.
    pub identity: String,
    /// A hash of the whole spec of a creation, of which the lines show only a part.
    pub spec_hash: Option<[u8; 8]>,
    /// A short description of the live object (its id, size, region); empty for a creation.
    pub description: String,
    /// What caused the difference.
    pub cause: Cause,
    /// What it does to running machines.
    pub impact: Impact,
    /// What a deletion would lose for good.
    pub data_loss: Option<DataLoss>,
    /// How to keep what would be lost.
    pub recovery_hint: Option<String>,
    /// Whether the live object is marked as protected from deletion.
    pub protected: bool,
}

/// What a step does. The serialised names are part of the plan document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Creates the resource.
    Create,
    /// Changes it in place.
    Update,
    /// Deletes the old object, as the first half of a replacement.
    ReplaceDelete,
    /// Creates the new object, as the second half.
    ReplaceCreate,
    /// Deletes the resource.
    Delete,
    /// Blue-green: creates a successor beside the old machine.
    #[serde(rename = "succeed")]
    CreateSuccessor,
    /// Blue-green: switches traffic from the old machines of a group to their successors.
    HandOver,
    /// Blue-green: deletes an old machine whose successor has taken over.
    Retire,
    /// Runs a release command.
    Run,
    /// Verifies that an app works.
    #[serde(rename = "prove")]
    Verify,
}

impl Action {
    /// Whether the step only serves a change that another step stands for. It is not listed as a change of its own.
    #[must_use]
    pub fn is_intermediate(self) -> bool {
        matches!(self, Self::HandOver | Self::Retire | Self::Verify)
    }
}

/// Why one step waits for another. The serialised names are part of the plan document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EdgeReason {
    /// The later one refers to the earlier one.
    Needs,
    /// The later one deletes what the earlier one still refers to.
    StillHeld,
    /// Both concern the same name: the old object must be deleted before the new one is created.
    SameName,
    /// The rollout policy of their group lets them run one after the other.
    InTurn,
    /// The later one starts only when the earlier one is healthy.
    Healthy,
    /// The later one deletes a machine that serves until the earlier one has switched traffic.
    TakesOver,
}

impl EdgeReason {
    /// The reason as a phrase between two addresses, of which the first is the step that comes first.
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

/// A resource that is deleted together with its container, without a step of its own.
#[derive(Clone, Debug, Serialize)]
pub struct CascadeDelete {
    /// The resource.
    pub address: Address,
    /// The container whose deletion deletes it.
    pub with: Address,
    /// The cloud's id of the live object.
    #[serde(skip)]
    pub identity: String,
    /// A short description of the live object.
    #[serde(rename = "what")]
    pub description: String,
    /// What is lost for good.
    #[serde(rename = "loss")]
    pub data_loss: Option<DataLoss>,
    /// How to keep what would be lost.
    #[serde(skip)]
    pub recovery_hint: Option<String>,
    /// Whether it is marked as protected from deletion.
    pub protected: bool,
}

/// A change that cannot be planned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BlockedChange {
    /// The resource.
    pub address: Address,
    /// Why, and what to do.
    #[serde(flatten)]
    pub blocker: Blocker,
}

/// A difference that this plan leaves as it is. The rest of the plan goes on without it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeferredChange {
    /// The resource.
    pub address: Address,
    /// Whether a later apply can make the change.
    pub reason: DeferralReason,
    /// Why it is left, and what to do.
    pub blocker: Blocker,
}

/// Why a change is deferred. The serialised names are part of the plan document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DeferralReason {
    /// The resource, or one that it needs, cannot be reached now. A later apply makes the change.
    Unavailable,
    /// Only the user can make it, in the manifest or by hand, such as when a volume is larger than asked for.
    Manual,
}

/// Steps in an order without cycles, and everything else that a review of them needs.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The environment that it is for.
    pub mark: OwnershipMark,
    graph: DiGraph<Step, EdgeReason>,
    order: Vec<NodeIndex>,
    /// Resources that are deleted together with their container.
    pub cascade_deletes: Vec<CascadeDelete>,
    /// Changes that cannot be planned. The guard refuses a plan that has any.
    pub blocked: Vec<BlockedChange>,
    /// Differences that this plan leaves as they are.
    pub deferred: Vec<DeferredChange>,
    /// How many resources of each kind match the manifest.
    pub unchanged: BTreeMap<&'static str, usize>,
    /// How many resources of this environment exist.
    pub existing_count: usize,
    /// Unmanaged objects, ownership conflicts and warnings: those found by observing, and warnings added while planning.
    pub findings: Findings,
    /// What `--only` pulled in and left out.
    pub selection: Option<OnlySelection>,
    /// The plan as far as a review can see it, where that is another one. See [`Plan::review_id`].
    reviewable_part: Option<Box<Plan>>,
    /// Whether the command line gives images. The plan's id does not cover them.
    pub has_given_images: bool,
    /// The rollout of each group that changes, by the name of the group, such as `web/app`.
    pub rollouts: BTreeMap<Name, GroupRollout>,
}

/// The rollout of one process group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GroupRollout {
    /// In which order, and how many at once, its members change.
    #[serde(flatten)]
    pub policy: RolloutPolicy,
    /// The members that are unavailable while they change, in the order of the rollout.
    pub members: Vec<Name>,
    /// How many new machines take over from as many old ones.
    pub successors: usize,
    /// How many stopped machines are updated without being started.
    pub asleep: usize,
}

/// Plans the changes that turn the world into what the manifest asks for.
///
/// # Errors
/// When the steps form a cycle.
pub fn plan(desired: &Desired, world: &World) -> Result<Plan, CycleError> {
    builder::PlanBuilder::collect(desired, world).build()
}

impl Plan {
    /// The steps, each after all steps that it waits for.
    pub fn steps(&self) -> impl Iterator<Item = &Step> {
        self.order.iter().map(|&node| &self.graph[node])
    }

    /// The step at a node of the graph.
    #[must_use]
    pub fn step(&self, node: NodeIndex) -> &Step {
        &self.graph[node]
    }

    /// The graph of steps; each edge leads to the step that waits.
    #[must_use]
    pub fn graph(&self) -> &DiGraph<Step, EdgeReason> {
        &self.graph
    }

    /// The plan together with the part of it that a review can see, for [`Plan::review_id`].
    #[must_use]
    pub fn with_reviewable_part(mut self, part: Self) -> Self {
        self.reviewable_part = Some(Box::new(part));
        self
    }

    /// The part of the plan that a review can see.
    fn reviewable_part(&self) -> &Self {
        self.reviewable_part.as_deref().unwrap_or(self)
    }

    /// Whether there is nothing to do and nothing that blocks a change.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.graph.node_count() == 0 && self.blocked.is_empty()
    }

    /// Whether some change has to wait for a later apply, because a resource cannot be reached.
    #[must_use]
    pub fn is_incomplete(&self) -> bool {
        let mut deferred = self.deferred.iter();
        deferred.any(|change| change.reason == DeferralReason::Unavailable)
    }

    /// Whether the environment matches its manifest: there is nothing to do, and no difference is left as it is.
    #[must_use]
    pub fn is_converged(&self) -> bool {
        self.is_empty() && self.deferred.is_empty()
    }

    /// The plan with warnings in place of ownership conflicts: when an environment is destroyed, the resources of other
    /// owners are left alone. Its own are not, so what it would forget stays blocked.
    #[must_use]
    pub fn without_ownership_conflicts(mut self) -> Self {
        let conflicts = self.findings.ownership_conflicts.iter();
        for conflict in conflicts.filter(|conflict| !conflict.is_own) {
            self.blocked
                .retain(|blocked| blocked.address != conflict.address);
            self.findings.warnings.push(format!(
                "{} is left alone: {}",
                conflict.address, conflict.reason
            ));
        }
        self
    }

    /// The edges to and from the steps of a resource: the step that comes first, the reason, the step that waits.
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
