//! Differences to steps: each kind is visited once, ground up, and a replacement spreads to what refers to it.

use std::collections::{BTreeMap, BTreeSet};

use petgraph::graph::NodeIndex;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::{
    Action, BlockedChange, CascadeDelete, Step,
    builder::PlanBuilder,
    rollout::{GroupSteps, Member},
};
use crate::{
    kinds::{
        Blocker, Cause, DescribeEdit, Desired, Diff, DiffContext, Impact, KindVisitor, Op, Phase,
        References, RegisteredKind, World, fly, fly::Release,
    },
    model::{Address, DiffLine, Name, ResourceMap},
};

/// A hash of a spec. Secrets in it serialise as a word.
fn spec_hash(spec: &impl Serialize) -> [u8; 8] {
    let hash = Sha256::digest(serde_json::to_vec(spec).unwrap_or_default());
    let mut out = [0; 8];
    out.copy_from_slice(&hash[..8]);
    out
}

/// Walks the kinds and remembers what earlier ones decided.
pub(super) struct Differ<'w> {
    pub(super) world: &'w World,
    pub(super) removed: BTreeSet<Address>,
    pub(super) changed: BTreeMap<Address, Vec<DiffLine>>,
    pub(super) rolling_out: BTreeSet<Name>,
    /// Apps whose last rollout was not proven to work.
    pub(super) unverified: BTreeSet<Name>,
    pub(super) releases: BTreeMap<Name, Release>,
    /// What somebody else owns, and the apps among it: nothing in them is planned.
    pub(super) ownership_conflicts: BTreeSet<Address>,
    pub(super) builder: PlanBuilder,
}

/// A step about which nothing is known but what it does.
pub(super) fn new_step<K: RegisteredKind>(
    address: &Address,
    action: Action,
    op: Op<K>,
    lines: Vec<DiffLine>,
) -> Step {
    Step {
        address: address.clone(),
        action,
        phase: K::PHASE,
        cost: K::cost(&op),
        op: K::into_any_op(op),
        lines,
        spec_hash: None,
        completes_earlier_apply: false,
        lease_target: None,
        identity: String::new(),
        description: String::new(),
        cause: Cause::Unknown,
        impact: Impact::Quiet,
        data_loss: None,
        recovery_hint: None,
        protected: false,
    }
}

/// The same for something that is there.
pub(super) fn new_live_step<K: RegisteredKind>(
    address: &Address,
    action: Action,
    op: Op<K>,
    lines: Vec<DiffLine>,
    live: &K::Live,
) -> Step {
    Step {
        lease_target: K::lease_target(live),
        identity: K::identity(live),
        description: K::describe(live),
        protected: K::is_protected(live),
        ..new_step(address, action, op, lines)
    }
}

impl<'w> Differ<'w> {
    /// Nothing is decided yet.
    pub(super) fn new(desired: &Desired, world: &'w World, steps: PlanBuilder) -> Self {
        let claimed = world
            .findings
            .ownership_conflicts
            .iter()
            .map(|claim| claim.address.clone())
            .collect();
        Self {
            world,
            removed: BTreeSet::new(),
            changed: BTreeMap::new(),
            rolling_out: BTreeSet::new(),
            unverified: BTreeSet::new(),
            releases: fly::release::desired_releases(desired, world),
            ownership_conflicts: claimed,
            builder: steps,
        }
    }
}

impl Differ<'_> {
    fn context(&self) -> DiffContext<'_> {
        DiffContext {
            world: self.world,
            removed: &self.removed,
            changed: &self.changed,
            rolling_out: &self.rolling_out,
            releases: &self.releases,
        }
    }

    /// Whether somebody else owns a resource, or the app that it is in.
    fn has_ownership_conflict<K: RegisteredKind>(&self, name: &Name) -> bool {
        let app = || Address::new::<fly::App>(&name.root());
        !self.ownership_conflicts.is_empty()
            && (self.ownership_conflicts.contains(&Address::new::<K>(name))
                || K::IN_APP && self.ownership_conflicts.contains(&app()))
    }

    /// The lane of a resource, when its kind has any.
    pub(super) fn group_steps<K: RegisteredKind>(
        &mut self,
        name: &Name,
    ) -> Option<&mut GroupSteps> {
        let lane = Address::new::<K>(&K::rollout_group(name)?);
        let lane = self.builder.groups.entry(lane).or_default();
        lane.is_rollout = K::PHASE == Phase::Rollout;
        Some(lane)
    }

    /// The same for a resource that the manifest asks for, and so with its turns.
    fn group_steps_with_policy<K: RegisteredKind>(
        &mut self,
        name: &Name,
        spec: &K::Spec,
    ) -> Option<&mut GroupSteps> {
        let lane = self.group_steps::<K>(name)?;
        lane.policy = K::rollout_policy(spec);
        Some(lane)
    }

    /// Notes that something is rolled out, or follows what is.
    fn record_phase<K: RegisteredKind>(&mut self, name: &Name, node: NodeIndex) {
        match K::PHASE {
            Phase::Rollout => drop(self.rolling_out.insert(name.root())),
            Phase::PostRollout => self
                .builder
                .post_rollout
                .entry(name.root())
                .or_default()
                .push(node),
            Phase::PreRollout => drop(self.builder.release_commands.insert(name.root(), node)),
            Phase::Anytime => {}
        }
    }

    fn diff_resource<K: RegisteredKind>(
        &mut self,
        name: &Name,
        spec: &K::Spec,
        live: Option<&K::Live>,
    ) {
        let address = Address::new::<K>(name);
        let Some(live) = live else {
            // A command runs for what is rolled out, and an app without machines has nothing of the kind.
            if K::PHASE == Phase::PreRollout && !self.rolling_out.contains(&name.root()) {
                return;
            }
            return self.add_create::<K>(&address, spec, Action::Create, Cause::Unknown);
        };
        if K::deleted_with(live).is_some_and(|container| self.removed.contains(&container)) {
            self.add_cascade_delete::<K>(&address, live);
            return self.add_create::<K>(&address, spec, Action::Create, Cause::Unknown);
        }
        if let Some(refused) = K::unavailable(live) {
            return self.warn_unavailable(&address, &refused);
        }
        match K::diff(spec, live, &self.context()) {
            Diff::Same => *self.builder.unchanged.entry(K::NAME).or_default() += 1,
            Diff::Blocked(refused) => self
                .builder
                .blocked
                .push(BlockedChange { address, refused }),
            Diff::Edit(edits) => self.add_edit::<K>(&address, spec, live, edits),
            Diff::Replace(lines) => self.add_replacement::<K>(&address, spec, live, lines),
            Diff::Successor(lines) => self.add_successor::<K>(&address, spec, live, lines),
        }
    }

    /// The spec with everything that the manifest leaves open; a problem when it stays open.
    fn resolve_defaults<K: RegisteredKind>(
        &mut self,
        address: &Address,
        spec: &K::Spec,
    ) -> Option<K::Spec> {
        match K::resolve_defaults(spec, &self.context()) {
            Ok(spec) => Some(spec),
            Err(refused) => {
                self.builder.blocked.push(BlockedChange {
                    address: address.clone(),
                    refused,
                });
                None
            }
        }
    }

    fn add_create<K: RegisteredKind>(
        &mut self,
        address: &Address,
        spec: &K::Spec,
        action: Action,
        cause: Cause,
    ) {
        let Some(spec) = self.resolve_defaults::<K>(address, spec) else {
            return;
        };
        // A release command is no thing that is there afterwards.
        let action = if K::PHASE == Phase::PreRollout {
            Action::Run
        } else {
            action
        };
        let lines = K::creation_lines(&spec, &self.context());
        let (refs, whole) = (spec.references(), Some(spec_hash(&spec)));
        let turns = K::rollout_policy(&spec);
        let step = Step {
            spec_hash: whole,
            cause,
            ..new_step::<K>(address, action, Op::Create(spec), lines.clone())
        };
        let node = self.builder.add_step(step);
        self.builder.producers.insert(address.clone(), node);
        self.builder.references.push((node, refs));
        self.record_phase::<K>(address.name(), node);
        if let Some(lane) = self
            .group_steps::<K>(address.name())
            .filter(|_| action == Action::Create)
        {
            lane.policy = turns;
            if K::SERIAL_CREATE {
                let name = address.name().clone();
                lane.members.push(Member {
                    name,
                    first: node,
                    last: node,
                    is_down: false,
                    follows_member: false,
                });
            } else {
                lane.starts.push(node);
            }
        }
        self.changed.insert(address.clone(), lines);
    }

    pub(super) fn add_edit<K: RegisteredKind>(
        &mut self,
        address: &Address,
        spec: &K::Spec,
        live: &K::Live,
        edits: Vec<K::Edit>,
    ) {
        let lines: Vec<DiffLine> = edits.iter().flat_map(DescribeEdit::lines).collect();
        let impact = edits
            .iter()
            .map(DescribeEdit::impact)
            .max()
            .unwrap_or(Impact::Quiet);
        let follows = edits.iter().all(DescribeEdit::follows_reference);
        let (turns, shows) = (
            edits.iter().any(DescribeEdit::obeys_rollout_policy),
            edits.iter().any(DescribeEdit::starts_serving),
        );
        let finishes = edits.iter().all(DescribeEdit::completes_earlier_apply);
        let action = if K::PHASE == Phase::PreRollout {
            Action::Run
        } else {
            Action::Update
        };
        let op = Op::Edit(live.clone(), edits);
        let node = self.builder.add_step(Step {
            completes_earlier_apply: finishes,
            impact,
            cause: match (follows, finishes) {
                (true, _) => Cause::Follows,
                (_, true) => Cause::Unknown,
                _ => K::cause(spec, live),
            },
            lease_target: K::lease_target(live).filter(|_| impact > Impact::Quiet),
            ..new_live_step::<K>(address, action, op, lines.clone(), live)
        });
        self.builder.producers.insert(address.clone(), node);
        self.builder.references.push((node, spec.references()));
        if impact > Impact::Quiet || matches!(K::PHASE, Phase::PostRollout | Phase::PreRollout) {
            self.record_phase::<K>(address.name(), node);
        }
        let follows_its_kind = spec.references().iter().any(|to| to.kind() == K::NAME);
        if let Some(lane) = self.group_steps_with_policy::<K>(address.name(), spec) {
            if turns {
                let name = address.name().clone();
                let (down, follows) = (K::is_down(live), follows_its_kind);
                lane.members.push(Member {
                    name,
                    first: node,
                    last: node,
                    is_down: down,
                    follows_member: follows,
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
    fn add_successor<K: RegisteredKind>(
        &mut self,
        address: &Address,
        spec: &K::Spec,
        live: &K::Live,
        lines: Vec<DiffLine>,
    ) {
        let Some(complete) = self.resolve_defaults::<K>(address, spec) else {
            return;
        };
        let (refs, whole) = (complete.references(), Some(spec_hash(&complete)));
        let op = Op::CreateSuccessor(complete, live.clone());
        let node = self.builder.add_step(Step {
            spec_hash: whole,
            cause: K::cause(spec, live),
            ..new_live_step::<K>(address, Action::Succeed, op, lines.clone(), live)
        });
        self.builder.producers.insert(address.clone(), node);
        self.builder.references.push((node, refs));
        self.record_phase::<K>(address.name(), node);
        let op = Op::Retire(live.clone());
        let retire = self.builder.add_step(new_live_step::<K>(
            address,
            Action::Retire,
            op,
            Vec::new(),
            live,
        ));
        if let Some(lane) = self.group_steps_with_policy::<K>(address.name(), spec) {
            lane.successors.push(node);
            lane.retired.push(retire);
        }
        self.changed.insert(address.clone(), lines);
    }

    /// The steps in which the successors of each lane take over, once all of them are known. They take over from what has
    /// no successor as well: what the manifest no longer asks for would serve the old version beside the new one.
    fn add_hand_overs<K: RegisteredKind>(&mut self, live: &ResourceMap<K::Live>) {
        let mut old: BTreeMap<Address, Vec<(Name, K::Live)>> = BTreeMap::new();
        let lanes = self
            .builder
            .groups
            .iter()
            .filter(|(address, _)| address.kind() == K::NAME);
        for (address, lane) in lanes.filter(|(_, lane)| !lane.successors.is_empty()) {
            let nodes = lane.successors.iter().chain(&lane.deletes);
            let names = nodes.map(|node| self.builder.graph[*node].address.name());
            let pairs = names.filter_map(|name| Some((name.clone(), live.get(name)?.clone())));
            old.insert(address.clone(), pairs.collect());
        }
        for (address, pairs) in old {
            let identities: Vec<String> = pairs.iter().map(|(_, live)| K::identity(live)).collect();
            let step = new_step::<K>(&address, Action::HandOver, Op::HandOver(pairs), Vec::new());
            let node = self.builder.add_step(Step {
                identity: identities.join(" "),
                ..step
            });
            if let Some(lane) = self.builder.groups.get_mut(&address) {
                lane.hand_over = Some(node);
                let number = lane.successors.len();
                self.builder.graph[node].description =
                    format!("{number} machine{}", if number == 1 { "" } else { "s" });
            }
        }
    }

    fn add_replacement<K: RegisteredKind>(
        &mut self,
        address: &Address,
        spec: &K::Spec,
        live: &K::Live,
        lines: Vec<DiffLine>,
    ) {
        self.removed.insert(address.clone());
        let cause = K::cause(spec, live);
        let old = self.add_delete::<K>(address, live, Action::ReplaceDelete, lines, cause);
        self.add_create::<K>(address, spec, Action::ReplaceCreate, cause);
        let new = self.builder.producers.get(address).copied();
        if let (Some(lane), Some(new)) =
            (self.group_steps_with_policy::<K>(address.name(), spec), new)
        {
            let name = address.name().clone();
            let down = K::is_down(live);
            lane.members.push(Member {
                name,
                first: old,
                last: new,
                is_down: down,
                follows_member: false,
            });
        }
    }

    fn add_delete<K: RegisteredKind>(
        &mut self,
        address: &Address,
        live: &K::Live,
        action: Action,
        lines: Vec<DiffLine>,
        cause: Cause,
    ) -> NodeIndex {
        let step = new_live_step::<K>(address, action, Op::Delete(live.clone()), lines, live);
        let (loss, rescue, finishes) = (
            K::data_loss(live),
            K::recovery_hint(live),
            K::is_retired(live),
        );
        let node = self.builder.add_step(Step {
            cause,
            data_loss: loss,
            recovery_hint: rescue,
            completes_earlier_apply: finishes,
            ..step
        });
        self.builder.deletes.insert(address.clone(), node);
        self.builder.held_references.push((node, live.references()));
        node
    }

    fn add_cascade_delete<K: RegisteredKind>(&mut self, address: &Address, live: &K::Live) {
        let Some(with) = K::deleted_with(live) else {
            return;
        };
        self.removed.insert(address.clone());
        self.builder.cascade_deletes.push(CascadeDelete {
            address: address.clone(),
            with,
            identity: K::identity(live),
            what: K::describe(live),
            loss: K::data_loss(live),
            rescue: K::recovery_hint(live),
            protected: K::is_protected(live),
        });
    }

    fn delete_orphan<K: RegisteredKind>(&mut self, name: &Name, live: &K::Live) {
        let address = Address::new::<K>(name);
        if K::deleted_with(live).is_some_and(|container| self.removed.contains(&container)) {
            return self.add_cascade_delete::<K>(&address, live);
        }
        if let Some(refused) = K::unavailable(live) {
            return self.warn_unavailable(&address, &refused);
        }
        if let Some(refused) = K::deletion_blocker(live) {
            return self
                .builder
                .blocked
                .push(BlockedChange { address, refused });
        }
        self.removed.insert(address.clone());
        let node = self.add_delete::<K>(&address, live, Action::Delete, Vec::new(), Cause::Unknown);
        if let Some(lane) = self.group_steps::<K>(address.name()) {
            lane.deletes.push(node);
        }
    }

    /// Leaves one object out and says so; everything else goes on.
    fn warn_unavailable(&mut self, address: &Address, Blocker { reason, hint }: &Blocker) {
        self.builder
            .findings
            .warnings
            .push(format!("{address} is held back: {reason}; {hint}"));
    }
}

impl KindVisitor for Differ<'_> {
    fn visit_kind<K: RegisteredKind>(
        &mut self,
        desired: &ResourceMap<K::Spec>,
        live: &ResourceMap<K::Live>,
    ) {
        self.builder.existing_count += live.len();
        for (name, spec) in desired {
            if !self.has_ownership_conflict::<K>(name) {
                self.diff_resource::<K>(name, spec, live.get(name));
            }
        }
        for (name, live) in live {
            if !desired.contains_key(name) && !self.has_ownership_conflict::<K>(name) {
                self.delete_orphan::<K>(name, live);
            }
        }
        self.add_hand_overs::<K>(live);
        let unproven = live
            .iter()
            .filter(|(_, live)| K::is_unverified(live) || K::is_retired(live));
        self.unverified
            .extend(unproven.map(|(name, _)| name.root()));
    }
}

/// Adds the proofs: it is known by now which apps change.
pub(super) struct VerificationPlanner<'w> {
    pub(super) differ: Differ<'w>,
}

impl KindVisitor for VerificationPlanner<'_> {
    fn visit_kind<K: RegisteredKind>(
        &mut self,
        desired: &ResourceMap<K::Spec>,
        _: &ResourceMap<K::Live>,
    ) {
        let Differ {
            rolling_out: rolling,
            unverified: unproven,
            builder: steps,
            ownership_conflicts: claimed,
            ..
        } = &mut self.differ;
        let due = |name: &Name| {
            let changes = rolling.contains(name)
                || unproven.contains(name)
                || steps.post_rollout.contains_key(name);
            changes && !claimed.contains(&Address::new::<fly::App>(name))
        };
        let due: Vec<_> = desired
            .iter()
            .filter(|(name, spec)| K::has_verification(spec) && due(name))
            .collect();
        for (name, spec) in due {
            let (address, op) = (Address::new::<K>(name), Op::Verify(spec.clone()));
            let node = steps.add_step(new_step::<K>(&address, Action::Prove, op, Vec::new()));
            steps.verifications.insert(name.clone(), node);
            if unproven.contains(name) {
                let told = format!(
                    "the last rollout of {name} was not proven to work, and is verified again"
                );
                steps.findings.warnings.push(told);
            }
        }
    }
}
