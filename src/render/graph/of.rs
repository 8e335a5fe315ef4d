//! What is drawn: the changes of a plan with what waits for what, or everything that a manifest asks for.

use std::collections::{BTreeMap, BTreeSet};

use petgraph::graph::NodeIndex;

use super::{Deed, Drawing, Node};
use crate::{
    kinds::{Desired, Listed, Refers as _, Visit, World, each_kind, fly::Machine},
    model::{Address, Name, Named as _, Table},
    plan::{Action, Because, Change, Plan, Step},
    render::rollout,
};

impl Drawing {
    /// The changes of a plan, and the steps on the way to them. An arrow leads from what comes first.
    #[must_use]
    pub fn of(plan: &Plan) -> Self {
        let changes = plan.changes();
        let together = together(plan);
        let mut nodes: Vec<Node> = changes
            .iter()
            .map(|change| Node::of(change, &together))
            .collect();
        let mut at: BTreeMap<(&Address, Option<Deed>), usize> = changes
            .iter()
            .enumerate()
            .map(|(at, change)| ((&change.address, None), at))
            .collect();
        let mut steps: Vec<(Deed, &Step)> = plan
            .steps()
            .filter_map(|step| Some((on_the_way(step)?, step)))
            .collect();
        steps.sort_by_key(|(deed, step)| (*deed, &step.address));
        for (deed, step) in steps {
            at.insert((&step.address, Some(deed)), nodes.len());
            nodes.push(Node::on_the_way(step, deed));
        }
        let graph = plan.graph();
        let place = |step: NodeIndex| {
            at.get(&(&graph[step].address, on_the_way(&graph[step])))
                .copied()
        };
        let mut reasons: BTreeMap<(usize, usize), Because> = BTreeMap::new();
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
        reasons.retain(|ends, because| !both.contains(ends) || *because == Because::Needs);
        Self {
            nodes,
            edges: reasons
                .into_iter()
                .map(|((from, to), because)| (from, to, because.words().to_owned()))
                .collect(),
        }
    }

    /// Everything that a manifest asks for. An arrow leads from what is referred to.
    #[must_use]
    pub fn of_desired(desired: &Desired) -> Self {
        let mut all = All::default();
        each_kind(desired, &World::default(), &mut all);
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
                .map(|(from, to)| (from, to, Because::Needs.words().to_owned()))
                .collect(),
            nodes: all
                .resources
                .iter()
                .map(|(address, _)| Node::still(address))
                .collect(),
        }
    }
}

/// What a step does that is no change of a resource of its own.
fn on_the_way(step: &Step) -> Option<Deed> {
    match step.action {
        Action::HandOver => Some(Deed::HandOver),
        Action::Retire => Some(Deed::Retire),
        Action::Prove => Some(Deed::Prove),
        _ => None,
    }
}

/// What is said of each machine that takes turns, by its name.
fn together(plan: &Plan) -> BTreeMap<&Name, String> {
    let members = plan.rollouts.values().flat_map(|told| {
        told.members
            .iter()
            .enumerate()
            .map(move |(at, name)| (name, rollout::together(told, at)))
    });
    members.collect()
}

impl Node {
    fn of(change: &Change, together: &BTreeMap<&Name, String>) -> Self {
        let turns = Some(change.address.name()).filter(|_| change.address.kind() == Machine::NAME);
        Self {
            sub: change.what.clone(),
            deed: Some(Deed::Change(change.verb)),
            together: turns
                .and_then(|name| together.get(name))
                .cloned()
                .unwrap_or_default(),
            ..Self::still(&change.address)
        }
    }

    fn on_the_way(step: &Step, deed: Deed) -> Self {
        Self {
            sub: step.what.clone(),
            deed: Some(deed),
            ..Self::still(&step.address)
        }
    }

    fn still(address: &Address) -> Self {
        Self {
            label: address.name().to_string(),
            sub: String::new(),
            deed: None,
            kind: address.kind().to_owned(),
            together: String::new(),
        }
    }
}

/// Collects every resource with what it refers to.
#[derive(Default)]
struct All {
    resources: Vec<(Address, Vec<Address>)>,
}

impl Visit for All {
    fn kind<K: Listed>(&mut self, desired: &Table<K::Spec>, _: &Table<K::Live>) {
        let found = desired
            .iter()
            .map(|(name, spec)| (Address::of::<K>(name), spec.refs()));
        self.resources.extend(found);
    }
}
