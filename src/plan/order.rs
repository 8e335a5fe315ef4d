//! Computes the order of the steps as edges of a graph. Nobody writes an order by hand: it follows from the references between
//! resources and from the rollout policies, and every edge carries its reason.
//!
//! Creations follow references, and deletions follow them in reverse: what is referred to is created first and deleted
//! last.

use std::collections::{BTreeMap, BTreeSet};

use petgraph::{
    algo::{tarjan_scc, toposort},
    graph::{DiGraph, NodeIndex},
    visit::EdgeRef,
};

use super::{Action, EdgeReason, Plan, Step, builder::PlanBuilder, rollout::GroupSteps};
use crate::{
    kinds::KindInfo,
    model::{Address, Name},
};

/// Steps that wait for each other in a cycle, as a readable path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the steps of the plan wait for each other in a cycle: {0}")]
pub struct CycleError(pub String);

impl PlanBuilder {
    /// Adds the edges and sorts the steps topologically.
    ///
    /// # Errors
    /// When the edges form a cycle.
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
            deferred: self.deferred,
            unchanged: self.unchanged,
            existing_count: self.existing_count,
            findings: self.findings,
            selection: None,
            reviewable_part: None,
            has_given_images: false,
            rollouts: self
                .groups
                .iter()
                .filter_map(|(name, group)| Some((name.name().clone(), group.to_rollout()?)))
                .collect(),
        })
    }
}

impl PlanBuilder {
    /// All edges, each from the step that comes first to the step that waits for it.
    ///
    /// Two steps can have several reasons to wait. The first one found is kept, so the reasons that follow from
    /// references are collected before those of a rollout policy: `--only` may drop the latter but never the former.
    fn edges(&self) -> BTreeMap<(NodeIndex, NodeIndex), EdgeReason> {
        let mut edges = BTreeMap::new();
        let mut add = |from: NodeIndex, to: NodeIndex, because| {
            // One step can be on both sides of a rule, and must not wait for itself. A cordoned machine that restarts is both a
            // member of its group and a machine that starts serving.
            if from != to {
                edges.entry((from, to)).or_insert(because);
            }
        };
        // A resource is created or changed after what it refers to.
        for (node, refs) in &self.references {
            refs.iter()
                .filter_map(|to| self.producers.get(to))
                .for_each(|before| add(*before, *node, EdgeReason::Needs));
        }
        // A resource is deleted before what it refers to: a volume cannot go while a machine mounts it.
        for (node, refs) in &self.held_references {
            refs.iter()
                .filter_map(|to| self.deletes.get(to))
                .for_each(|after| add(*node, *after, EdgeReason::StillHeld));
        }
        // It is also deleted after the change that lets it go: a role must not trust a provider that is gone. The halves of a
        // replacement are left out, since a rollout can make the change wait for the second one.
        for (node, refs) in &self.released_references {
            refs.iter()
                .filter(|to| !self.producers.contains_key(*to))
                .filter_map(|to| self.deletes.get(to))
                .for_each(|after| add(*node, *after, EdgeReason::StillHeld));
        }
        // The two halves of a replacement. The name must be free before it can be used again.
        for (address, deletion) in &self.deletes {
            self.producers
                .get(address)
                .into_iter()
                .for_each(|creation| add(*deletion, *creation, EdgeReason::SameName));
        }
        for (before, after) in self.delete_last_edges() {
            add(before, after, EdgeReason::StillHeld);
        }
        // Deletions in a rollout group normally come last. Those that hold a volume for a new machine must come first, so
        // they are left out of all later rules that would make them wait.
        let early = self.early_deletes();
        for (before, after) in early
            .iter()
            .flat_map(|(end, starts)| starts.iter().map(move |s| (end, s)))
        {
            add(*before, *after, EdgeReason::StillHeld);
        }
        let early: BTreeSet<NodeIndex> = early.into_keys().collect();
        // Last, the order inside each group, and between the groups of one app.
        for group in self.groups.values() {
            group.add_edges(&early, &mut add);
        }
        self.add_rollout_gates(&early, &mut add);
        edges
    }

    /// Adds the edges between the phases of each app's rollout: release command, groups, verification, and then whatever
    /// waits for a healthy app (cron machines, retired machines, deletions).
    ///
    /// Deletions wait for the whole app, not only for their own group: if the new version turns out to be bad, the machines
    /// that the manifest no longer names still serve the old one.
    fn add_rollout_gates(
        &self,
        early: &BTreeSet<NodeIndex>,
        add: &mut impl FnMut(NodeIndex, NodeIndex, EdgeReason),
    ) {
        // The groups of one app are rolled out side by side, but the gates apply to all of them together.
        let mut rolled: BTreeMap<Name, Vec<&GroupSteps>> = BTreeMap::new();
        for (group, steps) in self.groups.iter().filter(|(_, group)| group.is_rollout) {
            rolled.entry(group.name().root()).or_default().push(steps);
        }
        // An app whose machines are all up to date can still lack a successful verification, and cron machines wait for it.
        for app in self.post_rollout.keys() {
            rolled.entry(app.clone()).or_default();
        }
        for (app, groups) in &rolled {
            let followers = self
                .post_rollout
                .get(app)
                .map(Vec::as_slice)
                .unwrap_or_default();
            let deletes = groups.iter().flat_map(|group| &group.deletes).copied();
            let deletes: Vec<NodeIndex> = deletes.filter(|end| !early.contains(end)).collect();
            let final_steps: Vec<NodeIndex> = groups
                .iter()
                .flat_map(|group| group.final_steps())
                .collect();
            // Edges from the release command to the machines that change follow from references. Deleted machines
            // refer to no command, so without these edges they would go even when the command failed.
            let command = self.release_commands.get(app).copied();
            command.into_iter().for_each(|before| {
                deletes
                    .iter()
                    .for_each(|after| add(before, *after, EdgeReason::Healthy));
            });
            match self.verifications.get(app) {
                // With a verification, everything after the rollout waits for it alone, which saves edges: it waits for
                // all groups itself.
                Some(&verification) => {
                    final_steps
                        .iter()
                        .for_each(|before| add(*before, verification, EdgeReason::Healthy));
                    let retired = groups.iter().flat_map(|group| &group.retired);
                    let after = followers.iter().chain(retired).chain(&deletes);
                    after.for_each(|after| add(verification, *after, EdgeReason::Healthy));
                }
                // Without one, it is enough that the machines are healthy.
                None => {
                    add_barrier(&final_steps, followers, EdgeReason::Healthy, add);
                    add_barrier(&final_steps, &deletes, EdgeReason::Healthy, add);
                }
            }
        }
    }

    /// Makes deletions of kinds with [`DELETED_LAST`](crate::kinds::DeletionRules::DELETED_LAST) wait for every step of
    /// other kinds. When a rollout fails, these deletions are skipped, and the old version still finds its buckets and
    /// roles.
    fn delete_last_edges(&self) -> Vec<(NodeIndex, NodeIndex)> {
        let removed = self
            .deletes
            .iter()
            .filter(|(_, node)| self.graph[**node].deleted_last);
        let pairs = removed.flat_map(|(_, last)| {
            // The bucket that holds the lock of this very run waits for everything, its own kind included.
            let holds_lock =
                self.lock_bucket.as_deref() == Some(self.graph[*last].identity.as_str());
            let before = self.graph.node_indices().filter(move |node| {
                node != last && (holds_lock || !self.graph[*node].deleted_last)
            });
            before.map(move |node| (node, *last))
        });
        pairs.collect()
    }

    /// The deletions that must come first, each with the creations that wait for it: the deleted machine holds a volume that
    /// a new machine mounts, and only one machine can. The deletion may be the first half of a replacement, as when a mount
    /// moves from one process group to another.
    fn early_deletes(&self) -> BTreeMap<NodeIndex, Vec<NodeIndex>> {
        // Which deletion releases which exclusive resource.
        let mut holders: BTreeMap<&Address, NodeIndex> = BTreeMap::new();
        for (node, refs) in &self.held_references {
            let exclusive = refs.iter().filter(|held| is_exclusive(held));
            holders.extend(exclusive.map(|held| (held, *node)));
        }
        let mut early: BTreeMap<NodeIndex, Vec<NodeIndex>> = BTreeMap::new();
        for (node, refs) in &self.references {
            // An updated machine has its volume already. The halves of one replacement are ordered by their name.
            let is_creation = matches!(
                self.graph[*node].action,
                Action::Create | Action::ReplaceCreate
            );
            let holders = refs.iter().filter_map(|needed| holders.get(needed));
            let others =
                holders.filter(|holder| self.graph[**holder].address != self.graph[*node].address);
            for holder in others.filter(|_| is_creation) {
                early.entry(*holder).or_default().push(*node);
            }
        }
        early
    }
}

/// Whether only one resource at a time can use what is at this address.
fn is_exclusive(address: &Address) -> bool {
    KindInfo::lookup(address).is_some_and(|kind| kind.exclusive)
}

/// The number of edges above which a barrier is built from fewer. A complete barrier between two groups of 100 machines has
/// 10,000 edges, which makes plans and their diagrams large.
const MAX_BARRIER_EDGES: usize = 1000;

/// Makes every step of `after` wait for every step of `before`.
///
/// Where that would be more than [`MAX_BARRIER_EDGES`] edges, only the first of `after` waits for all, and the others wait
/// for it.
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

/// The path along one cycle, such as `a is needed by b is needed by a`.
fn describe_cycle(graph: &DiGraph<Step, EdgeReason>) -> String {
    // Every strongly connected component with more than one step contains a cycle.
    let Some(component) = tarjan_scc(graph).into_iter().find(|group| group.len() > 1) else {
        return String::from("a step waits for itself");
    };
    let Some(&start) = component.iter().min() else {
        return String::new();
    };
    let mut path = graph[start].address.to_string();
    let (mut current, mut seen) = (start, BTreeSet::<NodeIndex>::new());
    while seen.insert(current) {
        let Some(edge) = graph
            .edges(current)
            .filter(|edge| component.contains(&edge.target()))
            .min_by_key(EdgeRef::target)
        else {
            break;
        };
        path = format!(
            "{path} {} {}",
            edge.weight().phrase(),
            graph[edge.target()].address
        );
        current = edge.target();
    }
    path
}
