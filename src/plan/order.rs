//! References to edges. Nobody writes an order by hand: it follows from what refers to what, and every edge says why.

use std::collections::BTreeMap;

use petgraph::{
    algo::{tarjan_scc, toposort},
    graph::{DiGraph, NodeIndex},
    visit::EdgeRef,
};

use super::{Because, Plan, Step, steps::Steps};

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
        for members in self.lanes.values() {
            members.windows(2).for_each(|pair| add(pair[0].1, pair[1].0, Because::InTurn));
        }
        // What goes, goes last: until then the old machines serve.
        for (lane, ends) in &self.lane_ends {
            let last = self.lanes.get(lane).and_then(|members| members.last()).map(|(_, last)| *last);
            let starts = self.lane_starts.get(lane).into_iter().flatten().copied();
            for before in starts.chain(last) {
                ends.iter().for_each(|after| add(before, *after, Because::InTurn));
            }
        }
        edges
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
