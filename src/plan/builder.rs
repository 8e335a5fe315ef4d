//! Everything that the order is made from: the steps, and what each makes, removes and needs.

use std::collections::BTreeMap;

use petgraph::graph::NodeIndex;

use super::{
    BlockedChange, CascadeDelete, Step,
    differ::{Differ, VerificationPlanner},
    rollout::GroupSteps,
};
use crate::{
    kinds::{Blocker, Desired, Findings, World, visit_kinds},
    model::{Address, Name, OwnershipMark},
};

/// Everything that the order is made from.
pub(super) struct PlanBuilder {
    pub(super) mark: OwnershipMark,
    /// The name of the bucket that holds the environment's lock.
    pub(super) lock_bucket: Option<String>,
    pub(super) graph: petgraph::graph::DiGraph<Step, super::EdgeReason>,
    /// The step that makes or changes a resource.
    pub(super) producers: BTreeMap<Address, NodeIndex>,
    /// The step that removes a resource.
    pub(super) deletes: BTreeMap<Address, NodeIndex>,
    /// What each making step refers to.
    pub(super) references: Vec<(NodeIndex, Vec<Address>)>,
    /// What each removing step holds until it is done.
    pub(super) held_references: Vec<(NodeIndex, Vec<Address>)>,
    /// The lanes, with their steps.
    pub(super) groups: BTreeMap<Address, GroupSteps>,
    /// The step that proves that an app works, by app.
    pub(super) verifications: BTreeMap<Name, NodeIndex>,
    /// The release command, by app.
    pub(super) release_commands: BTreeMap<Name, NodeIndex>,
    /// What follows when everything of an app is healthy, by app.
    pub(super) post_rollout: BTreeMap<Name, Vec<NodeIndex>>,
    pub(super) cascade_deletes: Vec<CascadeDelete>,
    pub(super) blocked: Vec<BlockedChange>,
    pub(super) unchanged: BTreeMap<&'static str, usize>,
    pub(super) existing_count: usize,
    pub(super) findings: Findings,
}

impl PlanBuilder {
    /// No steps yet.
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
            unchanged: BTreeMap::new(),
            existing_count: 0,
            findings: world.findings.clone(),
        }
    }

    /// Visits all kinds.
    pub(super) fn collect(desired: &Desired, world: &World) -> Self {
        let mut differ = Differ::new(desired, world, Self::new(desired, world));
        visit_kinds(desired, world, &mut differ);
        let mut prover = VerificationPlanner { differ };
        visit_kinds(desired, world, &mut prover);
        prover.differ.builder
    }

    pub(super) fn add_step(&mut self, step: Step) -> NodeIndex {
        self.graph.add_node(step)
    }
}

fn blocked_by_owner(claim: &crate::kinds::OwnershipConflict) -> BlockedChange {
    let refused = Blocker {
        reason: claim.reason.clone(),
        hint: claim.hint.clone(),
    };
    BlockedChange {
        address: claim.address.clone(),
        refused,
    }
}
