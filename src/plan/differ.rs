//! Turns differences into steps. Every kind is visited once, in the order of the list of kinds, so that when a resource is
//! compared, everything it refers to has been decided: a replacement can spread to what refers to it.

use std::collections::{BTreeMap, BTreeSet};

use petgraph::graph::NodeIndex;

use super::{
    Action, BlockedChange, DeferralReason, DeferredChange, builder::PlanBuilder,
    rollout::GroupSteps,
};
use crate::{
    kinds::{
        Blocker, Cause, Desired, Diff, DiffContext, KindInfo, KindVisitor, Phase, References,
        RegisteredKind, Releases, World, desired_releases,
    },
    model::{Address, DiffLine, Name, ResourceMap},
};

/// Compares kind after kind, and remembers what was decided for the earlier ones.
pub(super) struct Differ<'w> {
    pub(super) world: &'w World,
    /// What this plan deletes or replaces.
    pub(super) removed: BTreeSet<Address>,
    /// What this plan creates or changes, with the lines of the diff.
    pub(super) changed: BTreeMap<Address, Vec<DiffLine>>,
    /// What cannot be reached.
    pub(super) unavailable: BTreeSet<Address>,
    /// Apps in which something is rolled out by this plan.
    pub(super) rolling_out: BTreeSet<Name>,
    /// Apps whose last rollout was not verified.
    pub(super) unverified: BTreeSet<Name>,
    pub(super) releases: Releases,
    pub(super) rotate: BTreeSet<Address>,
    /// What another owner owns. Nothing is planned for these resources, nor for anything inside them.
    pub(super) ownership_conflicts: BTreeSet<Address>,
    pub(super) builder: PlanBuilder,
}

impl<'w> Differ<'w> {
    /// A differ that has compared nothing yet.
    pub(super) fn new(desired: &Desired, world: &'w World, builder: PlanBuilder) -> Self {
        let conflicts = world
            .findings
            .ownership_conflicts
            .iter()
            .map(|claim| claim.address.clone())
            .collect();
        Self {
            world,
            removed: BTreeSet::new(),
            changed: BTreeMap::new(),
            unavailable: BTreeSet::new(),
            rolling_out: BTreeSet::new(),
            unverified: BTreeSet::new(),
            releases: desired_releases(desired, world),
            rotate: desired.meta.rotate.clone(),
            ownership_conflicts: conflicts,
            builder,
        }
    }
}

impl Differ<'_> {
    pub(super) fn context(&self) -> DiffContext<'_> {
        DiffContext {
            world: self.world,
            removed: &self.removed,
            changed: &self.changed,
            rolling_out: &self.rolling_out,
            releases: &self.releases,
            rotate: &self.rotate,
        }
    }

    /// Whether another owner owns a resource, or the app that contains it.
    fn has_ownership_conflict<K: RegisteredKind>(&self, name: &Name) -> bool {
        let is_container = |address: &Address| {
            K::CONTAINER == Some(address.kind()) && *address.name() == name.root()
        };
        self.ownership_conflicts.contains(&Address::new::<K>(name))
            || self.ownership_conflicts.iter().any(is_container)
    }

    /// The steps of the rollout group of a resource; `None` when its kind has no groups.
    pub(super) fn group_steps<K: RegisteredKind>(
        &mut self,
        name: &Name,
    ) -> Option<&mut GroupSteps> {
        let group = Address::new::<K>(&K::rollout_group(name)?);
        let group = self.builder.groups.entry(group).or_default();
        group.is_rollout = K::PHASE == Phase::Rollout;
        Some(group)
    }

    /// Like [`Differ::group_steps`], and sets the policy of the group to that of the spec.
    pub(super) fn group_steps_with_policy<K: RegisteredKind>(
        &mut self,
        name: &Name,
        spec: &K::Spec,
    ) -> Option<&mut GroupSteps> {
        let group = self.group_steps::<K>(name)?;
        group.policy = K::rollout_policy(spec);
        Some(group)
    }

    /// Records what a step means for the rollout of its app, so that steps of later kinds can wait for it.
    pub(super) fn record_phase<K: RegisteredKind>(&mut self, name: &Name, node: NodeIndex) {
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

    /// Plans one resource that the manifest asks for.
    fn diff_resource<K: RegisteredKind>(
        &mut self,
        name: &Name,
        spec: &K::Spec,
        live: Option<&K::Live>,
    ) {
        let address = Address::new::<K>(name);
        let Some(live) = live else {
            // A release command runs before a rollout. Machines have been compared by now, so it is known whether
            // there is one.
            if K::PHASE == Phase::PreRollout && !self.rolling_out.contains(&name.root()) {
                return;
            }
            if !self.defer_with_needed(&address, spec) {
                self.add_create::<K>(&address, spec, Action::Create, Cause::Unknown);
            }
            return;
        };
        // When the container is replaced, deleting the old container deletes the live object too, so the new container needs
        // a new object.
        if K::deleted_with(live).is_some_and(|container| self.removed.contains(&container)) {
            self.add_cascade_delete::<K>(&address, live);
            return self.add_create::<K>(&address, spec, Action::Create, Cause::Unknown);
        }
        let manual_change = K::manual_change(spec, live);
        let matches = manual_change.is_none();
        if let Some(blocker) = manual_change {
            self.defer(&address, DeferralReason::Manual, blocker);
        }
        let diff = K::diff(spec, live, &self.context());
        if let Some(blocker) = K::unavailable(live) {
            return match diff {
                Diff::Same => self.warn_unavailable(&address, &blocker),
                _ => self.defer(&address, DeferralReason::Unavailable, blocker),
            };
        }
        // A replacement would delete the old object and then could not create the new one.
        if matches!(diff, Diff::Replace(_) | Diff::Successor(_))
            && self.defer_with_needed(&address, spec)
        {
            return;
        }
        match diff {
            // What the user has to change by hand does not match, although no step changes it.
            Diff::Same => {
                *self.builder.unchanged.entry(K::NAME).or_default() += usize::from(matches);
            }
            Diff::Blocked(blocker) => self
                .builder
                .blocked
                .push(BlockedChange { address, blocker }),
            Diff::Edit(edits) => self.add_edit::<K>(&address, spec, live, edits),
            Diff::Replace(lines) => self.add_replacement::<K>(&address, spec, live, lines),
            Diff::Successor(lines) => self.add_successor::<K>(&address, spec, live, lines),
        }
    }

    /// The spec with all defaults filled in. When that is impossible, records the blocker and returns `None`.
    pub(super) fn resolve_defaults<K: RegisteredKind>(
        &mut self,
        address: &Address,
        spec: &K::Spec,
    ) -> Option<K::Spec> {
        match K::resolve_defaults(spec, &self.context()) {
            Ok(spec) => Some(spec),
            Err(blocker) => {
                self.builder.blocked.push(BlockedChange {
                    address: address.clone(),
                    blocker,
                });
                None
            }
        }
    }

    /// Plans the deletion of a live object that the manifest does not name.
    fn delete_orphan<K: RegisteredKind>(&mut self, name: &Name, live: &K::Live) {
        let address = Address::new::<K>(name);
        if K::deleted_with(live).is_some_and(|container| self.removed.contains(&container)) {
            return self.add_cascade_delete::<K>(&address, live);
        }
        if let Some(blocker) = K::unavailable(live) {
            return self.defer(&address, DeferralReason::Unavailable, blocker);
        }
        if let Some(blocker) = K::deletion_blocker(live) {
            return self
                .builder
                .blocked
                .push(BlockedChange { address, blocker });
        }
        self.removed.insert(address.clone());
        let node = self.add_delete::<K>(&address, live, Action::Delete, Vec::new(), Cause::Unknown);
        if let Some(group) = self.group_steps::<K>(address.name()) {
            group.deletes.push(node);
        }
    }

    /// Warns of an object that cannot be reached and that needs no change as far as is known.
    fn warn_unavailable(&mut self, address: &Address, Blocker { reason, hint }: &Blocker) {
        self.unavailable.insert(address.clone());
        self.builder
            .findings
            .warnings
            .push(format!("{address} cannot be changed now: {reason}; {hint}"));
    }

    /// Leaves a difference out of the plan. Everything else is planned as usual.
    pub(super) fn defer(&mut self, address: &Address, reason: DeferralReason, blocker: Blocker) {
        if reason == DeferralReason::Unavailable {
            self.unavailable.insert(address.clone());
        }
        let Blocker { reason: why, hint } = &blocker;
        self.builder.findings.warnings.push(match reason {
            DeferralReason::Unavailable => format!("{address} is held back: {why}; {hint}"),
            DeferralReason::Manual => {
                format!("{address} differs, and is left to you: {why}; {hint}")
            }
        });
        self.builder.deferred.push(DeferredChange {
            address: address.clone(),
            reason,
            blocker,
        });
    }

    /// Defers the creation of what cannot exist without an unavailable object, as a machine cannot without its volume. Other
    /// references do not matter here: a machine starts all the same when another one cannot be reached.
    fn defer_with_needed(&mut self, address: &Address, spec: &impl References) -> bool {
        let is_unavailable = |needed: &Address| {
            let kind = KindInfo::lookup(needed);
            kind.is_some_and(|kind| kind.exclusive) && self.unavailable.contains(needed)
        };
        let Some(needed) = spec.references().into_iter().find(is_unavailable) else {
            return false;
        };
        let blocker = Blocker {
            reason: format!("it needs {needed}, which cannot be reached"),
            hint: "once that can be reached, run the same command again".to_owned(),
        };
        self.defer(address, DeferralReason::Unavailable, blocker);
        true
    }
}

impl KindVisitor for Differ<'_> {
    fn visit_kind<K: RegisteredKind>(
        &mut self,
        desired: &ResourceMap<K::Spec>,
        live: &ResourceMap<K::Live>,
    ) {
        self.builder.existing_count += live.values().filter(|live| K::is_object(live)).count();
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
        // A retired machine that still exists means that the last rollout stopped before its verification.
        let unverified = live
            .iter()
            .filter(|(_, live)| K::is_unverified(live) || K::is_retired(live));
        self.unverified
            .extend(unverified.map(|(name, _)| name.root()));
    }
}
