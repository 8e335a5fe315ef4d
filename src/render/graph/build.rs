//! What is drawn: the changes of a plan with what waits for what, or everything that a manifest asks for.

use std::collections::{BTreeMap, BTreeSet};

use petgraph::graph::NodeIndex;

use super::{Diagram, DiagramNode, NodeAction};
use crate::{
    kinds::{
        Desired, KindVisitor, References as _, RegisteredKind, World, fly::Machine, visit_kinds,
    },
    model::{Address, KindName as _, Name, ResourceMap},
    plan::{Action, Change, EdgeReason, Plan, Step},
    render::rollout,
};

impl Diagram {
    /// The changes of a plan, and the steps on the way to them. An arrow leads from what comes first.
    #[must_use]
    pub fn from_plan(plan: &Plan) -> Self {
        let changes = plan.changes();
        let together = concurrency_labels(plan);
        let mut nodes: Vec<DiagramNode> = changes
            .iter()
            .map(|change| DiagramNode::from_change(change, &together))
            .collect();
        let mut at: BTreeMap<(&Address, Option<NodeAction>), usize> = changes
            .iter()
            .enumerate()
            .map(|(at, change)| ((&change.address, None), at))
            .collect();
        let mut steps: Vec<(NodeAction, &Step)> = plan
            .steps()
            .filter_map(|step| Some((intermediate_action(step)?, step)))
            .collect();
        steps.sort_by_key(|(deed, step)| (*deed, &step.address));
        for (deed, step) in steps {
            at.insert((&step.address, Some(deed)), nodes.len());
            nodes.push(DiagramNode::from_step(step, deed));
        }
        let graph = plan.graph();
        let place = |step: NodeIndex| {
            at.get(&(&graph[step].address, intermediate_action(&graph[step])))
                .copied()
        };
        let mut reasons: BTreeMap<(usize, usize), EdgeReason> = BTreeMap::new();
        for edge in graph.edge_indices() {
            let ends = graph.edge_endpoints(edge);
            let ends = ends.and_then(|(from, to)| Some((place(from)?, place(to)?)));
            if let Some(ends) = ends.filter(|(from, to)| from != to) {
                reasons
                    .entry(ends)
                    .and_modify(|old| *old = graph[edge].min(*old))
                    .or_insert(graph[edge]);
            }
        }
        // Of two objects that are both replaced, the old ones go in one order and the new ones come in the other. One
        // box cannot show both; that one needs the other says more.
        let both: BTreeSet<(usize, usize)> = reasons
            .keys()
            .filter(|(from, to)| reasons.contains_key(&(*to, *from)))
            .copied()
            .collect();
        reasons.retain(|ends, because| !both.contains(ends) || *because == EdgeReason::Needs);
        Self {
            nodes,
            edges: reasons
                .into_iter()
                .map(|((from, to), because)| (from, to, because.phrase().to_owned()))
                .collect(),
        }
    }

    /// Everything that a manifest asks for. An arrow leads from what is referred to.
    #[must_use]
    pub fn from_desired(desired: &Desired) -> Self {
        let mut all = ReferenceCollector::default();
        visit_kinds(desired, &World::default(), &mut all);
        let at: BTreeMap<&Address, usize> = all
            .resources
            .iter()
            .enumerate()
            .map(|(at, (address, _))| (address, at))
            .collect();
        let refs = all.resources.iter().enumerate();
        let edges = refs.flat_map(|(to, (_, refs))| {
            refs.iter()
                .filter_map(|from| at.get(from))
                .map(move |from| (*from, to))
        });
        Self {
            edges: edges
                .map(|(from, to)| (from, to, EdgeReason::Needs.phrase().to_owned()))
                .collect(),
            nodes: all
                .resources
                .iter()
                .map(|(address, _)| DiagramNode::unchanged(address))
                .collect(),
        }
    }
}

/// What a step does that is no change of a resource of its own.
fn intermediate_action(step: &Step) -> Option<NodeAction> {
    match step.action {
        Action::HandOver => Some(NodeAction::HandOver),
        Action::Retire => Some(NodeAction::Retire),
        Action::Prove => Some(NodeAction::Verify),
        _ => None,
    }
}

/// What is said of each machine that takes turns, by its name.
fn concurrency_labels(plan: &Plan) -> BTreeMap<&Name, String> {
    let members = plan.rollouts.values().flat_map(|told| {
        told.members
            .iter()
            .enumerate()
            .map(move |(at, name)| (name, rollout::concurrency_label(told, at)))
    });
    members.collect()
}

impl DiagramNode {
    fn from_change(change: &Change, together: &BTreeMap<&Name, String>) -> Self {
        let turns = Some(change.address.name()).filter(|_| change.address.kind() == Machine::NAME);
        Self {
            detail: change.what.clone(),
            action: Some(NodeAction::Change(change.verb)),
            concurrency: turns
                .and_then(|name| together.get(name))
                .cloned()
                .unwrap_or_default(),
            ..Self::unchanged(&change.address)
        }
    }

    fn from_step(step: &Step, deed: NodeAction) -> Self {
        Self {
            detail: step.description.clone(),
            action: Some(deed),
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

/// Collects every resource with what it refers to.
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
        let found = desired
            .iter()
            .map(|(name, spec)| (Address::new::<K>(name), spec.references()));
        self.resources.extend(found);
    }
}
