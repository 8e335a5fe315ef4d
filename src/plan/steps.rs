//! Everything that the order is made from: the steps, and what each makes, removes and needs.

use std::collections::BTreeMap;

use petgraph::graph::NodeIndex;

use super::{
    Blocked, Folded, Step,
    differ::{Differ, Prover},
    rollout::LaneSteps,
};
use crate::{
    kinds::{Desired, Found, Refused, World, each_kind},
    model::{Address, Mark, Name},
};

/// Everything that the order is made from.
pub(super) struct Steps {
    pub(super) mark: Mark,
    /// The name of the bucket that holds the environment's lock.
    pub(super) lock: Option<String>,
    pub(super) graph: petgraph::graph::DiGraph<Step, super::Because>,
    /// The step that makes or changes a resource.
    pub(super) makes: BTreeMap<Address, NodeIndex>,
    /// The step that removes a resource.
    pub(super) breaks: BTreeMap<Address, NodeIndex>,
    /// What each making step refers to.
    pub(super) needs: Vec<(NodeIndex, Vec<Address>)>,
    /// What each removing step holds until it is done.
    pub(super) holds: Vec<(NodeIndex, Vec<Address>)>,
    /// The lanes, with their steps.
    pub(super) lanes: BTreeMap<Address, LaneSteps>,
    /// The step that proves that an app works, by app.
    pub(super) proofs: BTreeMap<Name, NodeIndex>,
    /// The release command, by app.
    pub(super) commands: BTreeMap<Name, NodeIndex>,
    /// What follows when everything of an app is healthy, by app.
    pub(super) followers: BTreeMap<Name, Vec<NodeIndex>>,
    pub(super) folded: Vec<Folded>,
    pub(super) blocked: Vec<Blocked>,
    pub(super) unchanged: BTreeMap<&'static str, usize>,
    pub(super) existing: usize,
    pub(super) found: Found,
}

impl Steps {
    /// No steps yet.
    pub(super) fn new(desired: &Desired, world: &World) -> Self {
        Self {
            mark: desired.meta.mark.clone(),
            lock: desired
                .meta
                .aws
                .as_ref()
                .and_then(|aws| Some(aws.lock.as_ref()?.0.clone())),
            graph: petgraph::graph::DiGraph::new(),
            makes: BTreeMap::new(),
            breaks: BTreeMap::new(),
            needs: Vec::new(),
            holds: Vec::new(),
            lanes: BTreeMap::new(),
            proofs: BTreeMap::new(),
            commands: BTreeMap::new(),
            followers: BTreeMap::new(),
            folded: Vec::new(),
            blocked: world.found.claims.iter().map(claimed).collect(),
            unchanged: BTreeMap::new(),
            existing: 0,
            found: world.found.clone(),
        }
    }

    /// Visits all kinds.
    pub(super) fn collect(desired: &Desired, world: &World) -> Self {
        let mut differ = Differ::new(desired, world, Self::new(desired, world));
        each_kind(desired, world, &mut differ);
        let mut prover = Prover { differ };
        each_kind(desired, world, &mut prover);
        prover.differ.steps
    }

    pub(super) fn add(&mut self, step: Step) -> NodeIndex {
        self.graph.add_node(step)
    }
}

fn claimed(claim: &crate::kinds::Claim) -> Blocked {
    let refused = Refused {
        reason: claim.reason.clone(),
        hint: claim.hint.clone(),
    };
    Blocked {
        address: claim.address.clone(),
        refused,
    }
}
