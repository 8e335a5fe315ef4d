//! Differences to steps: each kind is visited once, ground up, and a replacement spreads to what refers to it.

use std::collections::{BTreeMap, BTreeSet};

use petgraph::graph::NodeIndex;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::{
    Action, Blocked, Folded, Step,
    rollout::{LaneSteps, Member},
    steps::Steps,
};
use crate::{
    kinds::{
        Announce, Around, Cause, Desired, Diff, Impact, Listed, Op, Phase, Refers, Refused, Visit,
        World, fly, fly::Release,
    },
    model::{Address, Line, Name, Table},
};

/// A hash of a spec. Secrets in it serialise as a word.
fn hash(spec: &impl Serialize) -> [u8; 8] {
    let hash = Sha256::digest(serde_json::to_vec(spec).unwrap_or_default());
    let mut out = [0; 8];
    out.copy_from_slice(&hash[..8]);
    out
}

/// Walks the kinds and remembers what earlier ones decided.
pub(super) struct Differ<'w> {
    pub(super) world: &'w World,
    pub(super) gone: BTreeSet<Address>,
    pub(super) changed: BTreeMap<Address, Vec<Line>>,
    pub(super) rolling: BTreeSet<Name>,
    /// Apps whose last rollout was not proven to work.
    pub(super) unproven: BTreeSet<Name>,
    pub(super) releases: BTreeMap<Name, Release>,
    /// What somebody else owns, and the apps among it: nothing in them is planned.
    pub(super) claimed: BTreeSet<Address>,
    pub(super) steps: Steps,
}

/// A step about which nothing is known but what it does.
pub(super) fn bare<K: Listed>(
    address: &Address,
    action: Action,
    op: Op<K>,
    lines: Vec<Line>,
) -> Step {
    Step {
        address: address.clone(),
        action,
        phase: K::PHASE,
        takes: K::takes(&op),
        op: K::any(op),
        lines,
        whole: None,
        finishes: false,
        lease: None,
        identity: String::new(),
        what: String::new(),
        cause: Cause::Unknown,
        impact: Impact::Quiet,
        loss: None,
        rescue: None,
        protected: false,
    }
}

/// The same for something that is there.
pub(super) fn of_live<K: Listed>(
    address: &Address,
    action: Action,
    op: Op<K>,
    lines: Vec<Line>,
    live: &K::Live,
) -> Step {
    Step {
        lease: K::lease(live),
        identity: K::identity(live),
        what: K::describe(live),
        protected: K::protected(live),
        ..bare(address, action, op, lines)
    }
}

impl<'w> Differ<'w> {
    /// Nothing is decided yet.
    pub(super) fn new(desired: &Desired, world: &'w World, steps: Steps) -> Self {
        let claimed = world
            .found
            .claims
            .iter()
            .map(|claim| claim.address.clone())
            .collect();
        Self {
            world,
            gone: BTreeSet::new(),
            changed: BTreeMap::new(),
            rolling: BTreeSet::new(),
            unproven: BTreeSet::new(),
            releases: fly::release::releases(desired, world),
            claimed,
            steps,
        }
    }
}

impl Differ<'_> {
    fn around(&self) -> Around<'_> {
        Around {
            world: self.world,
            gone: &self.gone,
            changed: &self.changed,
            rolling: &self.rolling,
            releases: &self.releases,
        }
    }

    /// Whether somebody else owns a resource, or the app that it is in.
    fn is_claimed<K: Listed>(&self, name: &Name) -> bool {
        let app = || Address::of::<fly::App>(&name.root());
        !self.claimed.is_empty()
            && (self.claimed.contains(&Address::of::<K>(name))
                || K::IN_APP && self.claimed.contains(&app()))
    }

    /// The lane of a resource, when its kind has any.
    pub(super) fn lane<K: Listed>(&mut self, name: &Name) -> Option<&mut LaneSteps> {
        let lane = Address::of::<K>(&K::lane(name)?);
        let lane = self.steps.lanes.entry(lane).or_default();
        lane.rolls = K::PHASE == Phase::Rollout;
        Some(lane)
    }

    /// The same for a resource that the manifest asks for, and so with its turns.
    fn turns<K: Listed>(&mut self, name: &Name, spec: &K::Spec) -> Option<&mut LaneSteps> {
        let lane = self.lane::<K>(name)?;
        lane.turns = K::turns(spec);
        Some(lane)
    }

    /// Notes that something is rolled out, or follows what is.
    fn phase<K: Listed>(&mut self, name: &Name, node: NodeIndex) {
        match K::PHASE {
            Phase::Rollout => drop(self.rolling.insert(name.root())),
            Phase::Follow => self
                .steps
                .followers
                .entry(name.root())
                .or_default()
                .push(node),
            Phase::Before => drop(self.steps.commands.insert(name.root(), node)),
            Phase::Ground => {}
        }
    }

    fn one<K: Listed>(&mut self, name: &Name, spec: &K::Spec, live: Option<&K::Live>) {
        let address = Address::of::<K>(name);
        let Some(live) = live else {
            // A command runs for what is rolled out, and an app without machines has nothing of the kind.
            if K::PHASE == Phase::Before && !self.rolling.contains(&name.root()) {
                return;
            }
            return self.create::<K>(&address, spec, Action::Create, Cause::Unknown);
        };
        if K::goes_with(live).is_some_and(|container| self.gone.contains(&container)) {
            self.fold::<K>(&address, live);
            return self.create::<K>(&address, spec, Action::Create, Cause::Unknown);
        }
        if let Some(refused) = K::held(live) {
            return self.hold(&address, &refused);
        }
        match K::diff(spec, live, &self.around()) {
            Diff::Same => *self.steps.unchanged.entry(K::NAME).or_default() += 1,
            Diff::Refuse(refused) => self.steps.blocked.push(Blocked { address, refused }),
            Diff::Edit(edits) => self.edit::<K>(&address, spec, live, edits),
            Diff::Replace(lines) => self.replace::<K>(&address, spec, live, lines),
            Diff::Succeed(lines) => self.succeed::<K>(&address, spec, live, lines),
        }
    }

    /// The spec with everything that the manifest leaves open; a problem when it stays open.
    fn complete<K: Listed>(&mut self, address: &Address, spec: &K::Spec) -> Option<K::Spec> {
        match K::complete(spec, &self.around()) {
            Ok(spec) => Some(spec),
            Err(refused) => {
                self.steps.blocked.push(Blocked {
                    address: address.clone(),
                    refused,
                });
                None
            }
        }
    }

    fn create<K: Listed>(
        &mut self,
        address: &Address,
        spec: &K::Spec,
        action: Action,
        cause: Cause,
    ) {
        let Some(spec) = self.complete::<K>(address, spec) else {
            return;
        };
        // A release command is no thing that is there afterwards.
        let action = if K::PHASE == Phase::Before {
            Action::Run
        } else {
            action
        };
        let lines = K::outline(&spec, &self.around());
        let (refs, whole) = (spec.refs(), Some(hash(&spec)));
        let turns = K::turns(&spec);
        let step = Step {
            whole,
            cause,
            ..bare::<K>(address, action, Op::Create(spec), lines.clone())
        };
        let node = self.steps.add(step);
        self.steps.makes.insert(address.clone(), node);
        self.steps.needs.push((node, refs));
        self.phase::<K>(address.name(), node);
        if let Some(lane) = self
            .lane::<K>(address.name())
            .filter(|_| action == Action::Create)
        {
            lane.turns = turns;
            if K::MADE_IN_TURN {
                let name = address.name().clone();
                lane.members.push(Member {
                    name,
                    first: node,
                    last: node,
                    down: false,
                    follows: false,
                });
            } else {
                lane.starts.push(node);
            }
        }
        self.changed.insert(address.clone(), lines);
    }

    pub(super) fn edit<K: Listed>(
        &mut self,
        address: &Address,
        spec: &K::Spec,
        live: &K::Live,
        edits: Vec<K::Edit>,
    ) {
        let lines: Vec<Line> = edits.iter().flat_map(Announce::lines).collect();
        let impact = edits
            .iter()
            .map(Announce::impact)
            .max()
            .unwrap_or(Impact::Quiet);
        let follows = edits.iter().all(Announce::follows);
        let (turns, shows) = (
            edits.iter().any(Announce::takes_turns),
            edits.iter().any(Announce::shows),
        );
        let finishes = edits.iter().all(Announce::finishes);
        let action = if K::PHASE == Phase::Before {
            Action::Run
        } else {
            Action::Update
        };
        let op = Op::Edit(live.clone(), edits);
        let node = self.steps.add(Step {
            finishes,
            impact,
            cause: match (follows, finishes) {
                (true, _) => Cause::Follows,
                (_, true) => Cause::Unknown,
                _ => K::cause(spec, live),
            },
            lease: K::lease(live).filter(|_| impact > Impact::Quiet),
            ..of_live::<K>(address, action, op, lines.clone(), live)
        });
        self.steps.makes.insert(address.clone(), node);
        self.steps.needs.push((node, spec.refs()));
        if impact > Impact::Quiet || matches!(K::PHASE, Phase::Follow | Phase::Before) {
            self.phase::<K>(address.name(), node);
        }
        let follows_its_kind = spec.refs().iter().any(|to| to.kind() == K::NAME);
        if let Some(lane) = self.turns::<K>(address.name(), spec) {
            if turns {
                let name = address.name().clone();
                let (down, follows) = (K::is_down(live), follows_its_kind);
                lane.members.push(Member {
                    name,
                    first: node,
                    last: node,
                    down,
                    follows,
                });
            } else if impact == Impact::Asleep {
                lane.asleep.push(node);
            }
            if shows {
                lane.starts.push(node);
            }
        }
        self.changed.insert(address.clone(), lines);
    }

    /// Another comes up beside it, takes over, and then it goes.
    fn succeed<K: Listed>(
        &mut self,
        address: &Address,
        spec: &K::Spec,
        live: &K::Live,
        lines: Vec<Line>,
    ) {
        let Some(complete) = self.complete::<K>(address, spec) else {
            return;
        };
        let (refs, whole) = (complete.refs(), Some(hash(&complete)));
        let op = Op::Succeed(complete, live.clone());
        let node = self.steps.add(Step {
            whole,
            cause: K::cause(spec, live),
            ..of_live::<K>(address, Action::Succeed, op, lines.clone(), live)
        });
        self.steps.makes.insert(address.clone(), node);
        self.steps.needs.push((node, refs));
        self.phase::<K>(address.name(), node);
        let op = Op::Retire(live.clone());
        let retire = self
            .steps
            .add(of_live::<K>(address, Action::Retire, op, Vec::new(), live));
        if let Some(lane) = self.turns::<K>(address.name(), spec) {
            lane.successors.push(node);
            lane.retired.push(retire);
        }
        self.changed.insert(address.clone(), lines);
    }

    /// The steps in which the successors of each lane take over, once all of them are known. They take over from what has
    /// no successor as well: what the manifest no longer asks for would serve the old version beside the new one.
    fn hand_over<K: Listed>(&mut self, live: &Table<K::Live>) {
        let mut old: BTreeMap<Address, Vec<(Name, K::Live)>> = BTreeMap::new();
        let lanes = self
            .steps
            .lanes
            .iter()
            .filter(|(address, _)| address.kind() == K::NAME);
        for (address, lane) in lanes.filter(|(_, lane)| !lane.successors.is_empty()) {
            let nodes = lane.successors.iter().chain(&lane.ends);
            let names = nodes.map(|node| self.steps.graph[*node].address.name());
            let pairs = names.filter_map(|name| Some((name.clone(), live.get(name)?.clone())));
            old.insert(address.clone(), pairs.collect());
        }
        for (address, pairs) in old {
            let identities: Vec<String> = pairs.iter().map(|(_, live)| K::identity(live)).collect();
            let step = bare::<K>(&address, Action::HandOver, Op::HandOver(pairs), Vec::new());
            let node = self.steps.add(Step {
                identity: identities.join(" "),
                ..step
            });
            if let Some(lane) = self.steps.lanes.get_mut(&address) {
                lane.hand_over = Some(node);
                let number = lane.successors.len();
                self.steps.graph[node].what =
                    format!("{number} machine{}", if number == 1 { "" } else { "s" });
            }
        }
    }

    fn replace<K: Listed>(
        &mut self,
        address: &Address,
        spec: &K::Spec,
        live: &K::Live,
        lines: Vec<Line>,
    ) {
        self.gone.insert(address.clone());
        let cause = K::cause(spec, live);
        let old = self.remove::<K>(address, live, Action::ReplaceDelete, lines, cause);
        self.create::<K>(address, spec, Action::ReplaceCreate, cause);
        let new = self.steps.makes.get(address).copied();
        if let (Some(lane), Some(new)) = (self.turns::<K>(address.name(), spec), new) {
            let name = address.name().clone();
            let down = K::is_down(live);
            lane.members.push(Member {
                name,
                first: old,
                last: new,
                down,
                follows: false,
            });
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
        let step = of_live::<K>(address, action, Op::Delete(live.clone()), lines, live);
        let (loss, rescue, finishes) = (K::loss(live), K::rescue(live), K::is_retired(live));
        let node = self.steps.add(Step {
            cause,
            loss,
            rescue,
            finishes,
            ..step
        });
        self.steps.breaks.insert(address.clone(), node);
        self.steps.holds.push((node, live.refs()));
        node
    }

    fn fold<K: Listed>(&mut self, address: &Address, live: &K::Live) {
        let Some(with) = K::goes_with(live) else {
            return;
        };
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
        if let Some(refused) = K::stays(live) {
            return self.steps.blocked.push(Blocked { address, refused });
        }
        self.gone.insert(address.clone());
        let node = self.remove::<K>(&address, live, Action::Delete, Vec::new(), Cause::Unknown);
        if let Some(lane) = self.lane::<K>(address.name()) {
            lane.ends.push(node);
        }
    }

    /// Leaves one object out and says so; everything else goes on.
    fn hold(&mut self, address: &Address, Refused { reason, hint }: &Refused) {
        self.steps
            .found
            .warnings
            .push(format!("{address} is held back: {reason}; {hint}"));
    }
}

impl Visit for Differ<'_> {
    fn kind<K: Listed>(&mut self, desired: &Table<K::Spec>, live: &Table<K::Live>) {
        self.steps.existing += live.len();
        for (name, spec) in desired {
            if !self.is_claimed::<K>(name) {
                self.one::<K>(name, spec, live.get(name));
            }
        }
        for (name, live) in live {
            if !desired.contains_key(name) && !self.is_claimed::<K>(name) {
                self.orphan::<K>(name, live);
            }
        }
        self.hand_over::<K>(live);
        let unproven = live
            .iter()
            .filter(|(_, live)| K::is_unverified(live) || K::is_retired(live));
        self.unproven.extend(unproven.map(|(name, _)| name.root()));
    }
}

/// Adds the proofs: it is known by now which apps change.
pub(super) struct Prover<'w> {
    pub(super) differ: Differ<'w>,
}

impl Visit for Prover<'_> {
    fn kind<K: Listed>(&mut self, desired: &Table<K::Spec>, _: &Table<K::Live>) {
        let Differ {
            rolling,
            unproven,
            steps,
            claimed,
            ..
        } = &mut self.differ;
        let due = |name: &Name| {
            let changes = rolling.contains(name)
                || unproven.contains(name)
                || steps.followers.contains_key(name);
            changes && !claimed.contains(&Address::of::<fly::App>(name))
        };
        let due: Vec<_> = desired
            .iter()
            .filter(|(name, spec)| K::has_proof(spec) && due(name))
            .collect();
        for (name, spec) in due {
            let (address, op) = (Address::of::<K>(name), Op::Prove(spec.clone()));
            let node = steps.add(bare::<K>(&address, Action::Prove, op, Vec::new()));
            steps.proofs.insert(name.clone(), node);
            if unproven.contains(name) {
                let told = format!(
                    "the last rollout of {name} was not proven to work, and is verified again"
                );
                steps.found.warnings.push(told);
            }
        }
    }
}
