//! `--only`: a part of a plan that can stand alone, with what it pulls in and what it leaves out said openly.

use std::collections::{BTreeMap, BTreeSet};

use petgraph::{Direction, graph::NodeIndex, visit::EdgeRef};
use serde::Serialize;

use super::{BlockedChange, CascadeDelete, EdgeReason, Plan};
use crate::{
    kinds::{Blocker, Desired, KindVisitor, RegisteredKind, World, fly::App, visit_kinds},
    model::{Address, KindName as _, ResourceMap},
};

/// What narrowing a plan did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct OnlySelection {
    /// Steps that were not asked for and run all the same, because the others need them.
    pub pulled_in: Vec<Address>,
    /// Steps that do not run now.
    pub left_out: Vec<Address>,
}

/// The addresses that name nothing there is and nothing that is asked for: typing errors.
#[must_use]
pub fn unknown_addresses(wanted: &[Address], desired: &Desired, world: &World) -> Vec<Address> {
    let mut all = KnownAddresses::default();
    visit_kinds(desired, world, &mut all);
    let known = |wanted: &Address| {
        all.0
            .iter()
            .any(|address| is_selected(address, std::slice::from_ref(wanted)))
    };
    wanted
        .iter()
        .filter(|wanted| !known(wanted))
        .cloned()
        .collect()
}

/// Every address of a manifest and of the world.
#[derive(Default)]
struct KnownAddresses(BTreeSet<Address>);

impl KindVisitor for KnownAddresses {
    fn visit_kind<K: RegisteredKind>(
        &mut self,
        desired: &ResourceMap<K::Spec>,
        live: &ResourceMap<K::Live>,
    ) {
        self.0
            .extend(desired.keys().chain(live.keys()).map(Address::new::<K>));
    }
}

impl CascadeDelete {
    /// What has no step of its own cannot be asked for alone.
    fn into_blocked_change(self) -> BlockedChange {
        let Self { address, with, .. } = self;
        let hint = format!(
            "say --only {with} to remove both; what leaves the manifest alone, `apply` removes alone"
        );
        BlockedChange {
            refused: Blocker {
                reason: format!("it is removed together with {with}, not by itself"),
                hint,
            },
            address,
        }
    }
}

impl Plan {
    /// The steps at these addresses, or below them, and whatever they wait for.
    #[must_use]
    pub fn only(self, wanted: &[Address]) -> Self {
        let asked: BTreeSet<NodeIndex> = self
            .graph
            .node_indices()
            .filter(|&node| is_selected(&self.graph[node].address, wanted))
            .collect();
        let mut by_address: BTreeMap<&Address, Vec<NodeIndex>> = BTreeMap::new();
        for node in self.graph.node_indices() {
            by_address
                .entry(&self.graph[node].address)
                .or_default()
                .push(node);
        }
        let mut keep = asked.clone();
        let mut edge: Vec<NodeIndex> = asked.iter().copied().collect();
        while let Some(node) = edge.pop() {
            let before = self.graph.edges_directed(node, Direction::Incoming);
            // A step that merely goes first in its group is not needed; the other half of a replacement always is.
            let needed = before
                .filter(|edge| *edge.weight() != EdgeReason::InTurn)
                .map(|edge| edge.source());
            let halves = by_address
                .get(&self.graph[node].address)
                .into_iter()
                .flatten()
                .copied();
            edge.extend(needed.chain(halves).filter(|node| keep.insert(*node)));
        }
        self.retain_steps(&keep, &asked, wanted)
    }

    fn retain_steps(
        mut self,
        keep: &BTreeSet<NodeIndex>,
        asked: &BTreeSet<NodeIndex>,
        wanted: &[Address],
    ) -> Self {
        let addresses = |nodes: &mut dyn Iterator<Item = NodeIndex>| -> Vec<Address> {
            let set: BTreeSet<Address> =
                nodes.map(|node| self.graph[node].address.clone()).collect();
            set.into_iter().collect()
        };
        let asked = addresses(&mut asked.iter().copied());
        let mut pulled_in = addresses(&mut keep.iter().copied());
        pulled_in.retain(|address| !asked.contains(address));
        let left_out = addresses(
            &mut self
                .graph
                .node_indices()
                .filter(|node| !keep.contains(node)),
        );
        let mut new = vec![None; self.graph.node_count()];
        let mut graph = petgraph::graph::DiGraph::new();
        for &node in keep {
            new[node.index()] = Some(graph.add_node(self.graph[node].clone()));
        }
        for &node in keep {
            for (from, because) in self.kept_predecessors(node, keep) {
                if let (Some(from), Some(to)) = (new[from.index()], new[node.index()]) {
                    graph.update_edge(from, to, because);
                }
            }
        }
        self.order = self
            .order
            .iter()
            .filter_map(|node| new[node.index()])
            .collect();
        self.graph = graph;
        self.rollouts = self.remaining_rollouts();
        let gone: BTreeSet<Address> = self.steps().map(|step| step.address.clone()).collect();
        let (along, alone) = std::mem::take(&mut self.cascade_deletes)
            .into_iter()
            .partition(|one| gone.contains(&one.with));
        self.cascade_deletes = along;
        self.blocked
            .retain(|blocked| is_selected(&blocked.address, wanted));
        let alone: Vec<CascadeDelete> = alone;
        self.blocked.extend(
            alone
                .into_iter()
                .filter(|one| is_selected(&one.address, wanted))
                .map(CascadeDelete::into_blocked_change),
        );
        self.selection = Some(OnlySelection {
            pulled_in,
            left_out,
        });
        self
    }

    /// What a step waits for among those that are kept. A turn that was left out passes on to whoever came before it.
    fn kept_predecessors(
        &self,
        node: NodeIndex,
        keep: &BTreeSet<NodeIndex>,
    ) -> Vec<(NodeIndex, EdgeReason)> {
        let mut found = Vec::new();
        let (mut open, mut seen) = (vec![node], BTreeSet::from([node]));
        while let Some(at) = open.pop() {
            for edge in self.graph.edges_directed(at, Direction::Incoming) {
                let turn = *edge.weight() == EdgeReason::InTurn;
                match keep.contains(&edge.source()) {
                    true if at == node || turn => found.push((edge.source(), *edge.weight())),
                    false if turn && seen.insert(edge.source()) => open.push(edge.source()),
                    _ => {}
                }
            }
        }
        found
    }
}

/// Whether an address is one of these, or lies below one: `fly.machine/web` covers `fly.machine/web/app/ewr/0`, and
/// `fly.app/web` covers everything in the app.
#[must_use]
pub fn is_selected(address: &Address, wanted: &[Address]) -> bool {
    let below = |wanted: &Address| {
        let (name, prefix) = (address.name().as_str(), wanted.name().as_str());
        let inside = name
            .strip_prefix(prefix)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        let in_app = wanted.kind() == App::NAME && address.kind().starts_with("fly.");
        inside && (address.kind() == wanted.kind() || in_app)
    };
    wanted.iter().any(below)
}
