//! Builds diagrams: of the changes of a plan with their order, or of all desired resources with their references.

use std::collections::{BTreeMap, BTreeSet};

use petgraph::graph::NodeIndex;

use super::{Diagram, DiagramNode, NodeAction};
use crate::{
    kinds::{Desired, KindVisitor, Phase, References as _, RegisteredKind, World, visit_kinds},
    model::{Address, Name, ResourceMap},
    plan::{Action, Change, EdgeReason, Plan, Step},
    render::rollout,
};

impl Diagram {
    /// The changes and intermediate steps of a plan. Edges lead from the earlier to the later one.
    #[must_use]
    pub fn from_plan(plan: &Plan) -> Self {
        let changes = plan.changes();
        let concurrency = concurrency_labels(plan);
        let mut nodes: Vec<DiagramNode> = changes
            .iter()
            .map(|change| DiagramNode::from_change(change, &concurrency))
            .collect();
        let mut index_of: BTreeMap<(&Address, Option<NodeAction>), usize> = changes
            .iter()
            .enumerate()
            .map(|(index, change)| ((&change.address, None), index))
            .collect();
        let mut steps: Vec<(NodeAction, &Step)> = plan
            .steps()
            .filter_map(|step| Some((intermediate_action(step)?, step)))
            .collect();
        steps.sort_by_key(|(action, step)| (*action, &step.address));
        // Intermediate steps share their address with a change, so they are keyed by their action as well.
        for (action, step) in steps {
            index_of.insert((&step.address, Some(action)), nodes.len());
            nodes.push(DiagramNode::from_step(step, action));
        }
        let graph = plan.graph();
        let node_of = |step: NodeIndex| {
            index_of
                .get(&(&graph[step].address, intermediate_action(&graph[step])))
                .copied()
        };
        // A change can consist of several steps, so several edges can connect two nodes: keep the strongest reason.
        let mut reasons: BTreeMap<(usize, usize), EdgeReason> = BTreeMap::new();
        for edge in graph.edge_indices() {
            let ends = graph.edge_endpoints(edge);
            let ends = ends.and_then(|(from, to)| Some((node_of(from)?, node_of(to)?)));
            if let Some(ends) = ends.filter(|(from, to)| from != to) {
                reasons
                    .entry(ends)
                    .and_modify(|strongest| *strongest = graph[edge].min(*strongest))
                    .or_insert(graph[edge]);
            }
        }
        // If two resources are both replaced, the old ones are deleted in one order and the new ones are created in the
        // reverse. With one node for each resource that would be a cycle, so only the creation order is kept.
        let bidirectional: BTreeSet<(usize, usize)> = reasons
            .keys()
            .filter(|(from, to)| reasons.contains_key(&(*to, *from)))
            .copied()
            .collect();
        reasons
            .retain(|ends, reason| !bidirectional.contains(ends) || *reason == EdgeReason::Needs);
        Self {
            nodes,
            edges: reasons
                .into_iter()
                .map(|((from, to), reason)| (from, to, reason.phrase().to_owned()))
                .collect(),
        }
    }

    /// All desired resources. Edges lead from the referenced to the referring one.
    #[must_use]
    pub fn from_desired(desired: &Desired) -> Self {
        let mut collector = ReferenceCollector::default();
        visit_kinds(desired, &World::default(), &mut collector);
        let index_of: BTreeMap<&Address, usize> = collector
            .resources
            .iter()
            .enumerate()
            .map(|(index, (address, _))| (address, index))
            .collect();
        let references = collector.resources.iter().enumerate();
        let edges = references.flat_map(|(to, (_, references))| {
            references
                .iter()
                .filter_map(|from| index_of.get(from))
                .map(move |from| (*from, to))
        });
        Self {
            edges: edges
                .map(|(from, to)| (from, to, EdgeReason::Needs.phrase().to_owned()))
                .collect(),
            nodes: collector
                .resources
                .iter()
                .map(|(address, _)| DiagramNode::unchanged(address))
                .collect(),
        }
    }
}

/// The action of a step that is not itself a change of a resource.
fn intermediate_action(step: &Step) -> Option<NodeAction> {
    match step.action {
        Action::HandOver => Some(NodeAction::HandOver),
        Action::Retire => Some(NodeAction::Retire),
        Action::Verify => Some(NodeAction::Verify),
        _ => None,
    }
}

/// For each machine that changes in a rollout, how many change at the same time.
fn concurrency_labels(plan: &Plan) -> BTreeMap<&Name, String> {
    let members = plan.rollouts.values().flat_map(|rollout| {
        rollout
            .members
            .iter()
            .enumerate()
            .map(move |(index, name)| (name, rollout::concurrency_label(rollout, index)))
    });
    members.collect()
}

impl DiagramNode {
    fn from_change(change: &Change, concurrency: &BTreeMap<&Name, String>) -> Self {
        let machine = Some(change.address.name()).filter(|_| change.phase == Phase::Rollout);
        Self {
            detail: change.description.clone(),
            action: Some(NodeAction::Change(change.verb)),
            concurrency: machine
                .and_then(|name| concurrency.get(name))
                .cloned()
                .unwrap_or_default(),
            ..Self::unchanged(&change.address)
        }
    }

    fn from_step(step: &Step, action: NodeAction) -> Self {
        Self {
            detail: step.description.clone(),
            action: Some(action),
            ..Self::unchanged(&step.address)
        }
    }

    fn unchanged(address: &Address) -> Self {
        Self {
            label: address.name().to_string(),
            detail: String::new(),
            action: None,
            kind: address.kind().to_owned(),
            concurrency: String::new(),
        }
    }
}

/// Collects every desired resource with its references.
#[derive(Default)]
struct ReferenceCollector {
    resources: Vec<(Address, Vec<Address>)>,
}

impl KindVisitor for ReferenceCollector {
    fn visit_kind<K: RegisteredKind>(
        &mut self,
        desired: &ResourceMap<K::Spec>,
        _: &ResourceMap<K::Live>,
    ) {
        let resources = desired
            .iter()
            .map(|(name, spec)| (Address::new::<K>(name), spec.references()));
        self.resources.extend(resources);
    }
}
