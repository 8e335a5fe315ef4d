//! References to edges. Nobody writes an order by hand: it follows from what refers to what, and every edge says why.

use std::collections::{BTreeMap, BTreeSet};

use petgraph::{
    algo::{tarjan_scc, toposort},
    graph::{DiGraph, NodeIndex},
    visit::EdgeRef,
};

use super::{Because, Plan, Step, rollout::LaneSteps, steps::Steps};
use crate::{
    kinds::fly::Volume,
    model::{Address, Name, Named},
};

/// Steps that wait for each other in a circle, as a readable path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("these wait for each other: {0}")]
pub struct Cycle(pub String);

impl Steps {
    /// Adds the edges and proves that there is no cycle.
    pub(super) fn connect(mut self) -> Result<Plan, Cycle> {
        for ((from, to), because) in self.edges() {
            self.graph.add_edge(from, to, because);
        }
        let order = toposort(&self.graph, None).map_err(|_| Cycle(path(&self.graph)))?;
        Ok(Plan {
            mark: self.mark,
            graph: self.graph,
            order,
            folded: self.folded,
            blocked: self.blocked,
            unchanged: self.unchanged,
            existing: self.existing,
            found: self.found,
            narrowed: None,
            rollouts: self
                .lanes
                .iter()
                .filter_map(|(name, lane)| Some((name.name().clone(), lane.told()?)))
                .collect(),
        })
    }
}

impl Steps {
    /// Every pair of steps of which one waits for the other, once. The first reason stands: it is the strongest.
    fn edges(&self) -> BTreeMap<(NodeIndex, NodeIndex), Because> {
        let mut edges = BTreeMap::new();
        let mut add = |from: NodeIndex, to: NodeIndex, because| {
            // What is unavailable for a while and was hidden before is in two lists.
            if from != to {
                edges.entry((from, to)).or_insert(because);
            }
        };
        for (node, refs) in &self.needs {
            refs.iter()
                .filter_map(|to| self.makes.get(to))
                .for_each(|before| add(*before, *node, Because::Needs));
        }
        for (node, refs) in &self.holds {
            refs.iter()
                .filter_map(|to| self.breaks.get(to))
                .for_each(|after| add(*node, *after, Because::StillHeld));
        }
        for (address, gone) in &self.breaks {
            self.makes
                .get(address)
                .into_iter()
                .for_each(|made| add(*gone, *made, Because::SameName));
        }
        for (before, after) in self.last() {
            add(before, after, Because::StillHeld);
        }
        let early = self.early();
        for (before, after) in early
            .iter()
            .flat_map(|(end, starts)| starts.iter().map(move |s| (end, s)))
        {
            add(*before, *after, Because::StillHeld);
        }
        let early: BTreeSet<NodeIndex> = early.into_keys().collect();
        for lane in self.lanes.values() {
            lane.edges(&early, &mut add);
        }
        self.waves(&early, &mut add);
        edges
    }

    /// What waits until all of an app is healthy: its proof, what follows it, and the end of what it no longer needs, in
    /// whichever group that is. When the release command fails, nothing ends.
    fn waves(
        &self,
        early: &BTreeSet<NodeIndex>,
        add: &mut impl FnMut(NodeIndex, NodeIndex, Because),
    ) {
        let mut rolled: BTreeMap<Name, Vec<&LaneSteps>> = BTreeMap::new();
        for (lane, steps) in self.lanes.iter().filter(|(_, lane)| lane.rolls) {
            rolled.entry(lane.name().root()).or_default().push(steps);
        }
        for (app, lanes) in &rolled {
            let followers = self
                .followers
                .get(app)
                .map(Vec::as_slice)
                .unwrap_or_default();
            let ends = lanes.iter().flat_map(|lane| &lane.ends).copied();
            let ends: Vec<NodeIndex> = ends.filter(|end| !early.contains(end)).collect();
            let outcome: Vec<NodeIndex> = lanes.iter().flat_map(|lane| lane.outcome()).collect();
            let command = self.commands.get(app).copied();
            command.into_iter().for_each(|before| {
                ends.iter()
                    .for_each(|after| add(before, *after, Because::Healthy));
            });
            match self.proofs.get(app) {
                Some(&proof) => {
                    outcome
                        .iter()
                        .for_each(|before| add(*before, proof, Because::Healthy));
                    let retired = lanes.iter().flat_map(|lane| &lane.retired);
                    let after = followers.iter().chain(retired).chain(&ends);
                    after.for_each(|after| add(proof, *after, Because::Healthy));
                }
                None => {
                    gate(&outcome, followers, Because::Healthy, add);
                    gate(&outcome, &ends, Because::Healthy, add);
                }
            }
        }
    }

    /// What goes last of all. What an app uses on AWS is named by its machines' variables alone, so it goes when nothing on
    /// Fly changes any more, and not at all when a rollout failed; and the bucket that holds the lock goes after everything.
    fn last(&self) -> Vec<(NodeIndex, NodeIndex)> {
        let on_aws = |address: &Address| address.kind().starts_with("aws.");
        let removed = self.breaks.iter().filter(|(address, _)| on_aws(address));
        let pairs = removed.flat_map(|(_, last)| {
            let holds_lock = self.lock.as_deref() == Some(self.graph[*last].identity.as_str());
            let before = self.graph.node_indices().filter(move |node| {
                node != last && (holds_lock || !on_aws(&self.graph[*node].address))
            });
            before.map(move |node| (node, *last))
        });
        pairs.collect()
    }

    /// What goes first although such things go last: it holds a volume that something new is to mount.
    fn early(&self) -> BTreeMap<NodeIndex, Vec<NodeIndex>> {
        let ends: BTreeSet<NodeIndex> = self
            .lanes
            .values()
            .flat_map(|lane| &lane.ends)
            .copied()
            .collect();
        let mut holders: BTreeMap<&Address, NodeIndex> = BTreeMap::new();
        for (node, refs) in self.holds.iter().filter(|(node, _)| ends.contains(node)) {
            holders.extend(
                refs.iter()
                    .filter(|held| is_exclusive(held))
                    .map(|held| (held, *node)),
            );
        }
        let mut early: BTreeMap<NodeIndex, Vec<NodeIndex>> = BTreeMap::new();
        let makes: BTreeSet<NodeIndex> = self
            .lanes
            .values()
            .flat_map(|lane| &lane.starts)
            .copied()
            .collect();
        for (node, refs) in self.needs.iter().filter(|(node, _)| makes.contains(node)) {
            for holder in refs.iter().filter_map(|needed| holders.get(needed)) {
                early.entry(*holder).or_default().push(*node);
            }
        }
        early
    }
}

/// Whether only one machine can hold it.
fn is_exclusive(address: &Address) -> bool {
    address.kind() == <Volume as Named>::NAME
}

/// Above so many edges a gate is made of fewer.
const MANY: usize = 1000;

/// Makes all of the later ones wait for all of the earlier ones. Where that would be very many edges, the first of the
/// later ones waits for all, and the others wait for it.
pub(super) fn gate(
    before: &[NodeIndex],
    after: &[NodeIndex],
    because: Because,
    add: &mut impl FnMut(NodeIndex, NodeIndex, Because),
) {
    let Some((first, others)) = after.split_first() else {
        return;
    };
    before
        .iter()
        .for_each(|before| add(*before, *first, because));
    for other in others {
        if before.len().saturating_mul(after.len()) > MANY {
            add(*first, *other, Because::InTurn);
        } else {
            before
                .iter()
                .for_each(|before| add(*before, *other, because));
        }
    }
}

/// Walks along one cycle: `a is needed by b, b is needed by a`.
fn path(graph: &DiGraph<Step, Because>) -> String {
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
            edge.weight().words(),
            graph[edge.target()].address
        );
        at = edge.target();
    }
    words
}
