//! What is drawn: the changes of a plan with what waits for what, or everything that a manifest asks for.

use std::collections::{BTreeMap, BTreeSet};

use super::{Drawing, Node};
use crate::{
    kinds::{Desired, Listed, Refers as _, Visit, World, each_kind},
    model::{Address, Table},
    plan::{Because, Change, Plan},
};

impl Drawing {
    /// The changes of a plan. An arrow leads from what comes first.
    #[must_use]
    pub fn of(plan: &Plan) -> Self {
        let changes = plan.changes();
        let at: BTreeMap<&Address, usize> =
            changes.iter().enumerate().map(|(at, change)| (&change.address, at)).collect();
        let graph = plan.graph();
        let mut reasons: BTreeMap<(usize, usize), Because> = BTreeMap::new();
        for edge in graph.edge_indices() {
            let ends = graph.edge_endpoints(edge);
            let ends = ends
                .and_then(|(from, to)| Some((*at.get(&graph[from].address)?, *at.get(&graph[to].address)?)));
            if let Some(ends) = ends.filter(|(from, to)| from != to) {
                reasons.entry(ends).and_modify(|old| *old = graph[edge].min(*old)).or_insert(graph[edge]);
            }
        }
        // Of two objects that are both replaced, the old ones go in one order and the new ones come in the other. One
        // box cannot show both; that one needs the other says more.
        let both: BTreeSet<(usize, usize)> =
            reasons.keys().filter(|(from, to)| reasons.contains_key(&(*to, *from))).copied().collect();
        reasons.retain(|ends, because| !both.contains(ends) || *because == Because::Needs);
        Self {
            nodes: changes.iter().map(Node::of).collect(),
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
        let at: BTreeMap<&Address, usize> =
            all.resources.iter().enumerate().map(|(at, (address, _))| (address, at)).collect();
        let refs = all.resources.iter().enumerate();
        let edges = refs.flat_map(|(to, (_, refs))| {
            refs.iter().filter_map(|from| at.get(from)).map(move |from| (*from, to))
        });
        Self {
            edges: edges.map(|(from, to)| (from, to, Because::Needs.words().to_owned())).collect(),
            nodes: all.resources.iter().map(|(address, _)| Node::still(address)).collect(),
        }
    }
}

impl Node {
    fn of(change: &Change) -> Self {
        Self {
            label: change.address.name().to_string(),
            sub: change.what.clone(),
            verb: Some(change.verb),
            kind: change.address.kind().to_owned(),
        }
    }

    fn still(address: &Address) -> Self {
        Self {
            label: address.name().to_string(),
            sub: String::new(),
            verb: None,
            kind: address.kind().to_owned(),
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
        let found = desired.iter().map(|(name, spec)| (Address::of::<K>(name), spec.refs()));
        self.resources.extend(found);
    }
}
