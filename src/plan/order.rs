//! References to edges. Nobody writes an order by hand: it follows from what refers to what, and every edge says why.

use std::collections::{BTreeMap, BTreeSet};

use petgraph::{
    algo::{tarjan_scc, toposort},
    graph::{DiGraph, NodeIndex},
    visit::EdgeRef,
};

use super::{EdgeReason, Plan, Step, builder::PlanBuilder, rollout::GroupSteps};
use crate::{
    kinds::fly::Volume,
    model::{Address, KindName, Name},
};

/// Steps that wait for each other in a circle, as a readable path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("these wait for each other: {0}")]
pub struct CycleError(pub String);

impl PlanBuilder {
    /// Adds the edges and proves that there is no cycle.
    pub(super) fn build(mut self) -> Result<Plan, CycleError> {
        for ((from, to), because) in self.edges() {
            self.graph.add_edge(from, to, because);
        }
        let order =
            toposort(&self.graph, None).map_err(|_| CycleError(describe_cycle(&self.graph)))?;
        Ok(Plan {
            mark: self.mark,
            graph: self.graph,
            order,
            cascade_deletes: self.cascade_deletes,
            blocked: self.blocked,
            unchanged: self.unchanged,
            existing_count: self.existing_count,
            findings: self.findings,
            selection: None,
            rollouts: self
                .groups
                .iter()
                .filter_map(|(name, lane)| Some((name.name().clone(), lane.to_rollout()?)))
                .collect(),
        })
    }
}

impl PlanBuilder {
    /// Every pair of steps of which one waits for the other, once. The first reason stands: it is the strongest.
    fn edges(&self) -> BTreeMap<(NodeIndex, NodeIndex), EdgeReason> {
        let mut edges = BTreeMap::new();
        let mut add = |from: NodeIndex, to: NodeIndex, because| {
            // What is unavailable for a while and was hidden before is in two lists.
            if from != to {
                edges.entry((from, to)).or_insert(because);
            }
        };
        for (node, refs) in &self.references {
            refs.iter()
                .filter_map(|to| self.producers.get(to))
                .for_each(|before| add(*before, *node, EdgeReason::Needs));
        }
        for (node, refs) in &self.held_references {
            refs.iter()
                .filter_map(|to| self.deletes.get(to))
                .for_each(|after| add(*node, *after, EdgeReason::StillHeld));
        }
        for (address, gone) in &self.deletes {
            self.producers
                .get(address)
                .into_iter()
                .for_each(|made| add(*gone, *made, EdgeReason::SameName));
        }
        for (before, after) in self.delete_last_edges() {
            add(before, after, EdgeReason::StillHeld);
        }
        let early = self.early_deletes();
        for (before, after) in early
            .iter()
            .flat_map(|(end, starts)| starts.iter().map(move |s| (end, s)))
        {
            add(*before, *after, EdgeReason::StillHeld);
        }
        let early: BTreeSet<NodeIndex> = early.into_keys().collect();
        for lane in self.groups.values() {
            lane.add_edges(&early, &mut add);
        }
        self.add_rollout_gates(&early, &mut add);
        edges
    }

    /// What waits until all of an app is healthy: its proof, what follows it, and the end of what it no longer needs, in
    /// whichever group that is. When the release command fails, nothing ends.
    fn add_rollout_gates(
        &self,
        early: &BTreeSet<NodeIndex>,
        add: &mut impl FnMut(NodeIndex, NodeIndex, EdgeReason),
    ) {
        let mut rolled: BTreeMap<Name, Vec<&GroupSteps>> = BTreeMap::new();
        for (lane, steps) in self.groups.iter().filter(|(_, lane)| lane.is_rollout) {
            rolled.entry(lane.name().root()).or_default().push(steps);
        }
        for (app, lanes) in &rolled {
            let followers = self
                .post_rollout
                .get(app)
                .map(Vec::as_slice)
                .unwrap_or_default();
            let ends = lanes.iter().flat_map(|lane| &lane.deletes).copied();
            let ends: Vec<NodeIndex> = ends.filter(|end| !early.contains(end)).collect();
            let outcome: Vec<NodeIndex> =
                lanes.iter().flat_map(|lane| lane.final_steps()).collect();
            let command = self.release_commands.get(app).copied();
            command.into_iter().for_each(|before| {
                ends.iter()
                    .for_each(|after| add(before, *after, EdgeReason::Healthy));
            });
            match self.verifications.get(app) {
                Some(&proof) => {
                    outcome
                        .iter()
                        .for_each(|before| add(*before, proof, EdgeReason::Healthy));
                    let retired = lanes.iter().flat_map(|lane| &lane.retired);
                    let after = followers.iter().chain(retired).chain(&ends);
                    after.for_each(|after| add(proof, *after, EdgeReason::Healthy));
                }
                None => {
                    add_barrier(&outcome, followers, EdgeReason::Healthy, add);
                    add_barrier(&outcome, &ends, EdgeReason::Healthy, add);
                }
            }
        }
    }

    /// What goes last of all. What an app uses on AWS is named by its machines' variables alone, so it goes when nothing on
    /// Fly changes any more, and not at all when a rollout failed; and the bucket that holds the lock goes after everything.
    fn delete_last_edges(&self) -> Vec<(NodeIndex, NodeIndex)> {
        let on_aws = |address: &Address| address.kind().starts_with("aws.");
        let removed = self.deletes.iter().filter(|(address, _)| on_aws(address));
        let pairs = removed.flat_map(|(_, last)| {
            let holds_lock =
                self.lock_bucket.as_deref() == Some(self.graph[*last].identity.as_str());
            let before = self.graph.node_indices().filter(move |node| {
                node != last && (holds_lock || !on_aws(&self.graph[*node].address))
            });
            before.map(move |node| (node, *last))
        });
        pairs.collect()
    }

    /// What goes first although such things go last: it holds a volume that something new is to mount.
    fn early_deletes(&self) -> BTreeMap<NodeIndex, Vec<NodeIndex>> {
        let ends: BTreeSet<NodeIndex> = self
            .groups
            .values()
            .flat_map(|lane| &lane.deletes)
            .copied()
            .collect();
        let mut holders: BTreeMap<&Address, NodeIndex> = BTreeMap::new();
        for (node, refs) in self
            .held_references
            .iter()
            .filter(|(node, _)| ends.contains(node))
        {
            holders.extend(
                refs.iter()
                    .filter(|held| is_exclusive(held))
                    .map(|held| (held, *node)),
            );
        }
        let mut early: BTreeMap<NodeIndex, Vec<NodeIndex>> = BTreeMap::new();
        let makes: BTreeSet<NodeIndex> = self
            .groups
            .values()
            .flat_map(|lane| &lane.starts)
            .copied()
            .collect();
        for (node, refs) in self
            .references
            .iter()
            .filter(|(node, _)| makes.contains(node))
        {
            for holder in refs.iter().filter_map(|needed| holders.get(needed)) {
                early.entry(*holder).or_default().push(*node);
            }
        }
        early
    }
}

/// Whether only one machine can hold it.
fn is_exclusive(address: &Address) -> bool {
    address.kind() == <Volume as KindName>::NAME
}

/// Above so many edges a gate is made of fewer.
const MAX_BARRIER_EDGES: usize = 1000;

/// Makes all of the later ones wait for all of the earlier ones. Where that would be very many edges, the first of the
/// later ones waits for all, and the others wait for it.
pub(super) fn add_barrier(
    before: &[NodeIndex],
    after: &[NodeIndex],
    because: EdgeReason,
    add: &mut impl FnMut(NodeIndex, NodeIndex, EdgeReason),
) {
    let Some((first, others)) = after.split_first() else {
        return;
    };
    before
        .iter()
        .for_each(|before| add(*before, *first, because));
    for other in others {
        if before.len().saturating_mul(after.len()) > MAX_BARRIER_EDGES {
            add(*first, *other, EdgeReason::InTurn);
        } else {
            before
                .iter()
                .for_each(|before| add(*before, *other, because));
        }
    }
}

/// Walks along one cycle: `a is needed by b, b is needed by a`.
fn describe_cycle(graph: &DiGraph<Step, EdgeReason>) -> String {
    let Some(circle) = tarjan_scc(graph).into_iter().find(|group| group.len() > 1) else {
        return String::from("a step waits for itself");
    };
    let Some(&start) = circle.iter().min() else {
        return String::new();
    };
    let mut words = graph[start].address.to_string();
    let (mut at, mut seen) = (start, BTreeSet::<NodeIndex>::new());
    while seen.insert(at) {
        let Some(edge) = graph
            .edges(at)
            .filter(|edge| circle.contains(&edge.target()))
            .min_by_key(EdgeRef::target)
        else {
            break;
        };
        words = format!(
            "{words} {} {}",
            edge.weight().phrase(),
            graph[edge.target()].address
        );
        at = edge.target();
    }
    words
}
