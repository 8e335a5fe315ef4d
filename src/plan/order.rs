//! References to edges. Nobody writes an order by hand: it follows from what refers to what, and every edge says why.

use std::collections::BTreeMap;

use petgraph::{
    algo::{tarjan_scc, toposort},
    graph::{DiGraph, NodeIndex},
    visit::EdgeRef,
};

use super::{Because, Plan, Step, rollout::LaneSteps, steps::Steps};
use crate::model::Name;

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
            edges.entry((from, to)).or_insert(because);
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
            self.makes.get(address).into_iter().for_each(|made| add(*gone, *made, Because::SameName));
        }
        for lane in self.lanes.values() {
            lane.edges(&mut add);
        }
        self.waves(&mut add);
        edges
    }

    /// What waits until all of an app is healthy: its proof, what follows it, and the end of what it has replaced.
    fn waves(&self, add: &mut impl FnMut(NodeIndex, NodeIndex, Because)) {
        let mut rolled: BTreeMap<Name, Vec<&LaneSteps>> = BTreeMap::new();
        for (lane, steps) in self.lanes.iter().filter(|(_, lane)| lane.rolls) {
            rolled.entry(lane.name().root()).or_default().push(steps);
        }
        for (app, lanes) in &rolled {
            let followers = self.followers.get(app).map(Vec::as_slice).unwrap_or_default();
            let outcome = lanes.iter().flat_map(|lane| lane.outcome());
            match self.proofs.get(app) {
                Some(&proof) => {
                    outcome.for_each(|before| add(before, proof, Because::Healthy));
                    let retired = lanes.iter().flat_map(|lane| lane.retired.iter().chain(&lane.ends));
                    followers.iter().chain(retired).for_each(|after| add(proof, *after, Because::Healthy));
                }
                None => outcome.for_each(|before| {
                    followers.iter().for_each(|after| add(before, *after, Because::Healthy));
                }),
            }
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
    let (mut at, mut seen) = (start, std::collections::BTreeSet::<NodeIndex>::new());
    while seen.insert(at) {
        let Some(edge) =
            graph.edges(at).filter(|edge| circle.contains(&edge.target())).min_by_key(EdgeRef::target)
        else {
            break;
        };
        words = format!("{words} {} {}", edge.weight().words(), graph[edge.target()].address);
        at = edge.target();
    }
    words
}
