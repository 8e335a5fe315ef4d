//! `--only`: a part of a plan that can stand alone, with what it pulls in and what it leaves out said openly.

use std::collections::BTreeSet;

use petgraph::{Direction, graph::NodeIndex, visit::EdgeRef};
use serde::Serialize;

use super::Plan;
use crate::model::Address;

/// What narrowing a plan did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Narrowed {
    /// Steps that were not asked for and run all the same, because the others need them.
    pub pulled_in: Vec<Address>,
    /// Steps that do not run now.
    pub left_out: Vec<Address>,
}

impl Plan {
    /// The steps at these addresses, or below them, and whatever they wait for.
    #[must_use]
    pub fn only(self, wanted: &[Address]) -> Self {
        let asked: BTreeSet<NodeIndex> =
            self.graph.node_indices().filter(|&node| is_asked(&self.graph[node].address, wanted)).collect();
        let mut keep = asked.clone();
        let mut edge: Vec<NodeIndex> = asked.iter().copied().collect();
        while let Some(node) = edge.pop() {
            let before = self.graph.edges_directed(node, Direction::Incoming);
            // A step that merely goes first in its group is not needed.
            let needed = before.filter(|edge| *edge.weight() != super::Because::InTurn);
            edge.extend(needed.map(|edge| edge.source()).filter(|node| keep.insert(*node)));
        }
        // The halves of a replacement belong together.
        let halves: BTreeSet<Address> = keep.iter().map(|&node| self.graph[node].address.clone()).collect();
        keep.extend(self.graph.node_indices().filter(|&node| halves.contains(&self.graph[node].address)));
        self.keep(&keep, &asked)
    }

    fn keep(mut self, keep: &BTreeSet<NodeIndex>, asked: &BTreeSet<NodeIndex>) -> Self {
        let addresses = |nodes: &mut dyn Iterator<Item = NodeIndex>| -> Vec<Address> {
            let set: BTreeSet<Address> = nodes.map(|node| self.graph[node].address.clone()).collect();
            set.into_iter().collect()
        };
        let asked = addresses(&mut asked.iter().copied());
        let mut pulled_in = addresses(&mut keep.iter().copied());
        pulled_in.retain(|address| !asked.contains(address));
        let left_out = addresses(&mut self.graph.node_indices().filter(|node| !keep.contains(node)));
        let mut new = vec![None; self.graph.node_count()];
        let mut graph = petgraph::graph::DiGraph::new();
        for &node in keep {
            new[node.index()] = Some(graph.add_node(self.graph[node].clone()));
        }
        for edge in self.graph.edge_references() {
            if let (Some(from), Some(to)) = (new[edge.source().index()], new[edge.target().index()]) {
                graph.add_edge(from, to, *edge.weight());
            }
        }
        self.order = self.order.iter().filter_map(|node| new[node.index()]).collect();
        self.graph = graph;
        let gone: BTreeSet<Address> = self.steps().map(|step| step.address.clone()).collect();
        self.folded.retain(|folded| gone.contains(&folded.with));
        self.narrowed = Some(Narrowed { pulled_in, left_out });
        self
    }
}

/// Whether an address is one of these, or lies below one: `fly.machine/web` covers `fly.machine/web/app/ewr/0`, and
/// `fly.app/web` covers everything in the app.
fn is_asked(address: &Address, wanted: &[Address]) -> bool {
    let below = |wanted: &Address| {
        let (name, prefix) = (address.name().as_str(), wanted.name().as_str());
        let inside = name.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        inside && (address.kind() == wanted.kind() || wanted.kind() == "fly.app")
    };
    wanted.iter().any(below)
}
