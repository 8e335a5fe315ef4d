//! Differences to steps: each kind is visited once, ground up, and a replacement spreads to what refers to it.

use std::collections::{BTreeMap, BTreeSet};

use petgraph::graph::NodeIndex;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::{Action, Blocked, Folded, Step};
use crate::{
    kinds::{
        Announce, Around, Cause, Desired, Diff, Found, Impact, Lane, Listed, Op, Refers, Refused, Visit,
        World, each_kind,
    },
    model::{Address, Line, Mark, Name, Table},
};

/// Everything that the order is made from.
pub(super) struct Steps {
    pub(super) mark: Mark,
    pub(super) graph: petgraph::graph::DiGraph<Step, super::Because>,
    /// The step that makes or changes a resource.
    pub(super) makes: BTreeMap<Address, NodeIndex>,
    /// The step that removes a resource.
    pub(super) breaks: BTreeMap<Address, NodeIndex>,
    /// What each making step refers to.
    pub(super) needs: Vec<(NodeIndex, Vec<Address>)>,
    /// What each removing step holds until it is done.
    pub(super) holds: Vec<(NodeIndex, Vec<Address>)>,
    /// For each lane, its members' first and last step.
    pub(super) lanes: BTreeMap<Lane, Vec<(NodeIndex, NodeIndex)>>,
    /// For each lane, the creations that go on at once.
    pub(super) lane_starts: BTreeMap<Lane, Vec<NodeIndex>>,
    /// For each lane, the removals, which come after everything else in it.
    pub(super) lane_ends: BTreeMap<Lane, Vec<NodeIndex>>,
    pub(super) folded: Vec<Folded>,
    pub(super) blocked: Vec<Blocked>,
    pub(super) unchanged: BTreeMap<&'static str, usize>,
    pub(super) existing: usize,
    pub(super) found: Found,
}

impl Steps {
    /// Visits all kinds.
    pub(super) fn collect(desired: &Desired, world: &World) -> Self {
        let steps = Self {
            mark: desired.meta.mark.clone(),
            graph: petgraph::graph::DiGraph::new(),
            makes: BTreeMap::new(),
            breaks: BTreeMap::new(),
            needs: Vec::new(),
            holds: Vec::new(),
            lanes: BTreeMap::new(),
            lane_starts: BTreeMap::new(),
            lane_ends: BTreeMap::new(),
            folded: Vec::new(),
            blocked: world.found.claims.iter().map(claimed).collect(),
            unchanged: BTreeMap::new(),
            existing: 0,
            found: world.found.clone(),
        };
        let claimed = world.found.claims.iter().map(|claim| claim.address.name().root()).collect();
        let mut differ = Differ { world, gone: BTreeSet::new(), changed: BTreeMap::new(), claimed, steps };
        each_kind(desired, world, &mut differ);
        differ.steps
    }

    fn add(&mut self, step: Step) -> NodeIndex {
        self.graph.add_node(step)
    }
}

fn claimed(claim: &crate::kinds::Claim) -> Blocked {
    let refused = Refused { reason: claim.reason.clone(), hint: claim.hint.clone() };
    Blocked { address: claim.address.clone(), refused }
}

/// A hash of a spec. Secrets in it serialise as a word.
fn hash(spec: &impl Serialize) -> [u8; 8] {
    let hash = Sha256::digest(serde_json::to_vec(spec).unwrap_or_default());
    let mut out = [0; 8];
    out.copy_from_slice(&hash[..8]);
    out
}

/// Walks the kinds and remembers what earlier ones decided.
struct Differ<'w> {
    world: &'w World,
    gone: BTreeSet<Address>,
    changed: BTreeMap<Address, Vec<Line>>,
    /// Apps that somebody else owns: nothing in them is planned.
    claimed: BTreeSet<Name>,
    steps: Steps,
}

impl Differ<'_> {
    fn around(&self) -> Around<'_> {
        Around { world: self.world, gone: &self.gone, changed: &self.changed }
    }

    fn one<K: Listed>(&mut self, name: &Name, spec: &K::Spec, live: Option<&K::Live>) {
        let address = Address::of::<K>(name);
        let Some(live) = live else {
            return self.create::<K>(address, spec, Action::Create, Cause::Unknown);
        };
        if K::goes_with(live).is_some_and(|container| self.gone.contains(&container)) {
            self.fold::<K>(&address, live);
            return self.create::<K>(address, spec, Action::Create, Cause::Unknown);
        }
        if let Some(refused) = K::held(live) {
            return self.hold(&address, &refused);
        }
        match K::diff(spec, live, &self.around()) {
            Diff::Same => *self.steps.unchanged.entry(K::NAME).or_default() += 1,
            Diff::Refuse(refused) => self.steps.blocked.push(Blocked { address, refused }),
            Diff::Edit(edits) => self.edit::<K>(address, spec, live, edits),
            Diff::Replace(lines) => self.replace::<K>(&address, spec, live, lines),
        }
    }

    fn create<K: Listed>(&mut self, address: Address, spec: &K::Spec, action: Action, cause: Cause) {
        let spec = match K::complete(spec, &self.around()) {
            Ok(spec) => spec,
            Err(refused) => return self.steps.blocked.push(Blocked { address, refused }),
        };
        let lines = K::outline(&spec, &self.around());
        let refs = spec.refs();
        let whole = Some(hash(&spec));
        let op = K::any(Op::Create(spec));
        let node = self.steps.add(Step {
            address: address.clone(),
            action,
            op,
            lines: lines.clone(),
            whole,
            finishes: false,
            identity: String::new(),
            what: String::new(),
            cause,
            impact: Impact::Quiet,
            loss: None,
            rescue: None,
            protected: false,
        });
        self.steps.makes.insert(address.clone(), node);
        self.steps.needs.push((node, refs));
        if let Some(lane) = K::lane(address.name()).filter(|_| action == Action::Create) {
            if K::MADE_IN_TURN {
                self.steps.lanes.entry(lane).or_default().push((node, node));
            } else {
                self.steps.lane_starts.entry(lane).or_default().push(node);
            }
        }
        self.changed.insert(address, lines);
    }

    fn edit<K: Listed>(&mut self, address: Address, spec: &K::Spec, live: &K::Live, edits: Vec<K::Edit>) {
        let lines: Vec<Line> = edits.iter().flat_map(Announce::lines).collect();
        let impact = edits.iter().map(Announce::impact).max().unwrap_or(Impact::Quiet);
        let follows = edits.iter().all(Announce::follows);
        let turns = edits.iter().any(Announce::takes_turns);
        let finishes = edits.iter().all(Announce::finishes);
        let node = self.steps.add(Step {
            address: address.clone(),
            action: Action::Update,
            op: K::any(Op::Edit(live.clone(), edits)),
            lines: lines.clone(),
            whole: None,
            finishes,
            identity: K::identity(live),
            what: K::describe(live),
            cause: if follows { Cause::Follows } else { K::cause(spec, live) },
            impact,
            loss: None,
            rescue: None,
            protected: K::protected(live),
        });
        self.steps.makes.insert(address.clone(), node);
        self.steps.needs.push((node, spec.refs()));
        if let Some(lane) = K::lane(address.name()).filter(|_| turns) {
            self.steps.lanes.entry(lane).or_default().push((node, node));
        }
        self.changed.insert(address, lines);
    }

    fn replace<K: Listed>(&mut self, address: &Address, spec: &K::Spec, live: &K::Live, lines: Vec<Line>) {
        self.gone.insert(address.clone());
        let cause = K::cause(spec, live);
        let old = self.remove::<K>(address, live, Action::ReplaceDelete, lines, cause);
        self.create::<K>(address.clone(), spec, Action::ReplaceCreate, cause);
        let lane = K::lane(address.name());
        if let (Some(lane), Some(new)) = (lane, self.steps.makes.get(address)) {
            self.steps.lanes.entry(lane).or_default().push((old, *new));
        }
    }

    fn remove<K: Listed>(
        &mut self,
        address: &Address,
        live: &K::Live,
        action: Action,
        lines: Vec<Line>,
        cause: Cause,
    ) -> NodeIndex {
        let node = self.steps.add(Step {
            address: address.clone(),
            action,
            op: K::any(Op::Delete(live.clone())),
            lines,
            whole: None,
            finishes: false,
            identity: K::identity(live),
            what: K::describe(live),
            cause,
            impact: Impact::Quiet,
            loss: K::loss(live),
            rescue: K::rescue(live),
            protected: K::protected(live),
        });
        self.steps.breaks.insert(address.clone(), node);
        self.steps.holds.push((node, live.refs()));
        node
    }

    fn fold<K: Listed>(&mut self, address: &Address, live: &K::Live) {
        let Some(with) = K::goes_with(live) else { return };
        self.gone.insert(address.clone());
        self.steps.folded.push(Folded {
            address: address.clone(),
            with,
            identity: K::identity(live),
            what: K::describe(live),
            loss: K::loss(live),
            rescue: K::rescue(live),
            protected: K::protected(live),
        });
    }

    fn orphan<K: Listed>(&mut self, name: &Name, live: &K::Live) {
        let address = Address::of::<K>(name);
        if K::goes_with(live).is_some_and(|container| self.gone.contains(&container)) {
            return self.fold::<K>(&address, live);
        }
        if let Some(refused) = K::held(live) {
            return self.hold(&address, &refused);
        }
        self.gone.insert(address.clone());
        let node = self.remove::<K>(&address, live, Action::Delete, Vec::new(), Cause::Unknown);
        if let Some(lane) = K::lane(address.name()) {
            self.steps.lane_ends.entry(lane).or_default().push(node);
        }
    }

    /// Leaves one object out and says so; everything else goes on.
    fn hold(&mut self, address: &Address, Refused { reason, hint }: &Refused) {
        self.steps.found.warnings.push(format!("{address} is held back: {reason}; {hint}"));
    }
}

impl Visit for Differ<'_> {
    fn kind<K: Listed>(&mut self, desired: &Table<K::Spec>, live: &Table<K::Live>) {
        self.steps.existing += live.len();
        for (name, spec) in desired {
            if !self.claimed.contains(&name.root()) {
                self.one::<K>(name, spec, live.get(name));
            }
        }
        for (name, live) in live {
            if !desired.contains_key(name) && !self.claimed.contains(&name.root()) {
                self.orphan::<K>(name, live);
            }
        }
    }
}
