//! `--only`: reduces a plan to some resources and everything that they need, and reports what was pulled in and left out.

use std::collections::{BTreeMap, BTreeSet};

use petgraph::{Direction, graph::NodeIndex, visit::EdgeRef};
use serde::Serialize;

use super::{BlockedChange, CascadeDelete, EdgeReason, Plan};
use crate::{
    kinds::{Blocker, Desired, KindInfo, KindVisitor, RegisteredKind, World, visit_kinds},
    model::{Address, ResourceMap},
};

/// What `--only` did to a plan.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct OnlySelection {
    /// Resources that were not selected and change all the same, because the selected ones need them.
    pub pulled_in: Vec<Address>,
    /// Resources whose steps were left out.
    pub left_out: Vec<Address>,
}

/// The addresses given to `--only` that match no resource of the manifest or the world. They are probably typing errors.
#[must_use]
pub fn unknown_addresses(selectors: &[Address], desired: &Desired, world: &World) -> Vec<Address> {
    let mut all = KnownAddresses::default();
    visit_kinds(desired, world, &mut all);
    let is_known = |selector: &Address| {
        all.0
            .iter()
            .any(|address| is_selected(address, std::slice::from_ref(selector)))
    };
    selectors
        .iter()
        .filter(|selector| !is_known(selector))
        .cloned()
        .collect()
}

/// Every address of the manifest and the world.
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
    /// A cascade delete has no step of its own, so it cannot be selected without its container.
    fn into_blocked_change(self) -> BlockedChange {
        let Self { address, with, .. } = self;
        let hint = format!(
            "pass --only {with} to delete both; to delete only this one, keep {with} in the manifest"
        );
        BlockedChange {
            blocker: Blocker {
                reason: format!("it is deleted together with {with}, not by itself"),
                hint,
            },
            address,
        }
    }
}

impl Plan {
    /// Reduces the plan to the steps at or below these addresses, and every step that they need.
    #[must_use]
    pub fn only(mut self, selectors: &[Address]) -> Self {
        self.reviewable_part = self
            .reviewable_part
            .map(|plan| Box::new(plan.only(selectors)));
        let selected: BTreeSet<NodeIndex> = self
            .graph
            .node_indices()
            .filter(|&node| is_selected(&self.graph[node].address, selectors))
            .collect();
        let mut by_address: BTreeMap<&Address, Vec<NodeIndex>> = BTreeMap::new();
        for node in self.graph.node_indices() {
            by_address
                .entry(&self.graph[node].address)
                .or_default()
                .push(node);
        }
        // Walk from the selected steps to everything that they wait for.
        let mut keep = selected.clone();
        let mut to_visit: Vec<NodeIndex> = selected.iter().copied().collect();
        while let Some(node) = to_visit.pop() {
            let incoming = self.graph.edges_directed(node, Direction::Incoming);
            // An edge of a rollout policy orders steps, but the later one works without the earlier one. The two halves of
            // a replacement always belong together, although the deletion does not wait for the creation.
            let needed = incoming
                .filter(|edge| *edge.weight() != EdgeReason::InTurn)
                .map(|edge| edge.source());
            let halves = by_address
                .get(&self.graph[node].address)
                .into_iter()
                .flatten()
                .copied();
            to_visit.extend(needed.chain(halves).filter(|node| keep.insert(*node)));
        }
        self.retain_steps(&keep, &selected, selectors)
    }

    /// Rebuilds the plan from the steps in `keep`. `selected` are those that were selected and not only needed.
    fn retain_steps(
        mut self,
        keep: &BTreeSet<NodeIndex>,
        selected: &BTreeSet<NodeIndex>,
        selectors: &[Address],
    ) -> Self {
        let addresses = |nodes: &mut dyn Iterator<Item = NodeIndex>| -> Vec<Address> {
            let set: BTreeSet<Address> =
                nodes.map(|node| self.graph[node].address.clone()).collect();
            set.into_iter().collect()
        };
        let selected = addresses(&mut selected.iter().copied());
        let mut pulled_in = addresses(&mut keep.iter().copied());
        pulled_in.retain(|address| !selected.contains(address));
        let left_out = addresses(
            &mut self
                .graph
                .node_indices()
                .filter(|node| !keep.contains(node)),
        );
        // Node indices change in the new graph, so the old ones are mapped.
        let mut new_nodes = vec![None; self.graph.node_count()];
        let mut graph = petgraph::graph::DiGraph::new();
        for &node in keep {
            new_nodes[node.index()] = Some(graph.add_node(self.graph[node].clone()));
        }
        for &node in keep {
            for (from, because) in self.kept_predecessors(node, keep) {
                if let (Some(from), Some(to)) = (new_nodes[from.index()], new_nodes[node.index()]) {
                    graph.update_edge(from, to, because);
                }
            }
        }
        self.order = self
            .order
            .iter()
            .filter_map(|node| new_nodes[node.index()])
            .collect();
        self.graph = graph;
        self.rollouts = self.remaining_rollouts();
        let addresses_left: BTreeSet<Address> =
            self.steps().map(|step| step.address.clone()).collect();
        // A cascade delete stays with its container. One that was selected without it is refused with an explanation.
        let (with_container, without_container): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.cascade_deletes)
                .into_iter()
                .partition(|cascade| addresses_left.contains(&cascade.with));
        self.cascade_deletes = with_container;
        // Blocked changes are reduced to the selection. The warnings in `findings` are all kept: they are plain text, with no
        // address to select them by.
        self.blocked
            .retain(|blocked| is_selected(&blocked.address, selectors));
        self.deferred
            .retain(|deferred| is_selected(&deferred.address, selectors));
        let without_container: Vec<CascadeDelete> = without_container;
        self.blocked.extend(
            without_container
                .into_iter()
                .filter(|cascade| is_selected(&cascade.address, selectors))
                .map(CascadeDelete::into_blocked_change),
        );
        self.selection = Some(OnlySelection {
            pulled_in,
            left_out,
        });
        self
    }

    /// The kept steps that a step waits for, with the reason.
    ///
    /// The order within a group must survive: when machine 2 of 1, 2, 3 is left out, 3 still waits for 1. So the search
    /// continues through left-out steps, as long as the edges are those of a rollout policy.
    fn kept_predecessors(
        &self,
        node: NodeIndex,
        keep: &BTreeSet<NodeIndex>,
    ) -> Vec<(NodeIndex, EdgeReason)> {
        let mut found = Vec::new();
        let (mut to_visit, mut seen) = (vec![node], BTreeSet::from([node]));
        while let Some(current) = to_visit.pop() {
            for edge in self.graph.edges_directed(current, Direction::Incoming) {
                let is_in_turn = *edge.weight() == EdgeReason::InTurn;
                match keep.contains(&edge.source()) {
                    true if current == node || is_in_turn => {
                        found.push((edge.source(), *edge.weight()));
                    }
                    false if is_in_turn && seen.insert(edge.source()) => {
                        to_visit.push(edge.source());
                    }
                    _ => {}
                }
            }
        }
        found
    }
}

/// Whether an address equals one of these or lies below one: `fly.machine/web` selects `fly.machine/web/app/ewr/0`, and
/// `fly.app/web` selects everything in the app.
#[must_use]
pub fn is_selected(address: &Address, selectors: &[Address]) -> bool {
    let matches = |selector: &Address| {
        let (name, prefix) = (address.name().as_str(), selector.name().as_str());
        let inside = name
            .strip_prefix(prefix)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        let is_container =
            KindInfo::lookup(address).is_some_and(|kind| kind.container == Some(selector.kind()));
        inside && (address.kind() == selector.kind() || is_container)
    };
    selectors.iter().any(matches)
}
