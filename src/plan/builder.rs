//! Collects everything that the order of a plan is computed from: the steps, and what each one creates, deletes and refers
//! to. [`PlanBuilder::build`] in `order.rs` turns it into a [`Plan`](super::Plan).

use std::collections::BTreeMap;

use petgraph::graph::NodeIndex;

use super::{
    BlockedChange, CascadeDelete, DeferredChange, Step, differ::Differ, rollout::GroupSteps,
    verification::VerificationPlanner,
};
use crate::{
    kinds::{Blocker, Desired, Findings, World, visit_kinds},
    model::{Address, Name, OwnershipMark},
};

/// The steps of a plan before they are ordered.
pub(super) struct PlanBuilder {
    pub(super) mark: OwnershipMark,
    /// The name of the bucket that holds the environment's lock.
    pub(super) lock_bucket: Option<String>,
    pub(super) graph: petgraph::graph::DiGraph<Step, super::EdgeReason>,
    /// The step that creates or changes each resource: whatever refers to the resource waits for it.
    pub(super) producers: BTreeMap<Address, NodeIndex>,
    /// The step that deletes each resource.
    pub(super) deletes: BTreeMap<Address, NodeIndex>,
    /// What each creating or changing step refers to.
    pub(super) references: Vec<(NodeIndex, Vec<Address>)>,
    /// What each deleted object refers to. The target can only be deleted after it.
    pub(super) held_references: Vec<(NodeIndex, Vec<Address>)>,
    /// What each changed object refers to only until it is changed. The target can only be deleted after that.
    pub(super) released_references: Vec<(NodeIndex, Vec<Address>)>,
    /// The steps of each rollout group, by the address of the group, such as `fly.machine/web/app`.
    pub(super) groups: BTreeMap<Address, GroupSteps>,
    /// The verification at the end of the rollout, by app.
    pub(super) verifications: BTreeMap<Name, NodeIndex>,
    /// The release command that runs before the rollout, by app.
    pub(super) release_commands: BTreeMap<Name, NodeIndex>,
    /// The steps that run once the whole app is healthy, such as updates of cron machines, by app.
    pub(super) post_rollout: BTreeMap<Name, Vec<NodeIndex>>,
    pub(super) cascade_deletes: Vec<CascadeDelete>,
    pub(super) blocked: Vec<BlockedChange>,
    pub(super) deferred: Vec<DeferredChange>,
    pub(super) unchanged: BTreeMap<&'static str, usize>,
    pub(super) existing_count: usize,
    pub(super) findings: Findings,
}

impl PlanBuilder {
    /// A builder without steps. Resources of another owner are blocked from the start.
    pub(super) fn new(desired: &Desired, world: &World) -> Self {
        Self {
            mark: desired.meta.mark.clone(),
            lock_bucket: desired
                .meta
                .aws
                .as_ref()
                .and_then(|aws| Some(aws.lock_bucket.as_ref()?.0.clone())),
            graph: petgraph::graph::DiGraph::new(),
            producers: BTreeMap::new(),
            deletes: BTreeMap::new(),
            references: Vec::new(),
            held_references: Vec::new(),
            released_references: Vec::new(),
            groups: BTreeMap::new(),
            verifications: BTreeMap::new(),
            release_commands: BTreeMap::new(),
            post_rollout: BTreeMap::new(),
            cascade_deletes: Vec::new(),
            blocked: world
                .findings
                .ownership_conflicts
                .iter()
                .map(blocked_by_owner)
                .collect(),
            deferred: Vec::new(),
            unchanged: BTreeMap::new(),
            existing_count: 0,
            findings: world.findings.clone(),
        }
    }

    /// Compares every resource of every kind.
    ///
    /// Two passes: whether an app must be verified is known only when all of its resources have been compared.
    pub(super) fn collect(desired: &Desired, world: &World) -> Self {
        let mut differ = Differ::new(desired, world, Self::new(desired, world));
        visit_kinds(desired, world, &mut differ);
        let mut planner = VerificationPlanner { differ };
        visit_kinds(desired, world, &mut planner);
        planner.differ.add_unmanaged_cascades();
        planner.differ.builder
    }

    pub(super) fn add_step(&mut self, step: Step) -> NodeIndex {
        self.graph.add_node(step)
    }
}

fn blocked_by_owner(conflict: &crate::kinds::OwnershipConflict) -> BlockedChange {
    let blocker = Blocker {
        reason: conflict.reason.clone(),
        hint: conflict.hint.clone(),
    };
    BlockedChange {
        address: conflict.address.clone(),
        blocker,
    }
}
