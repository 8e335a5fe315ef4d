//! Creates the steps of a plan: for each sort of change, the operations it takes, and their place in the rollout of their group.

use std::collections::BTreeMap;

use petgraph::graph::NodeIndex;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::{Action, CascadeDelete, Step, differ::Differ, rollout::Member};
use crate::{
    kinds::{
        Cause, DescribeEdit, Impact, Op, Phase, References, RegisteredKind, UnmanagedResource,
    },
    model::{Address, DiffLine, Name, ResourceMap},
};

/// A hash of a spec. Secrets in it serialise as a fixed text, so their values are no part of it.
fn spec_hash(spec: &impl Serialize) -> [u8; 8] {
    let hash = Sha256::digest(serde_json::to_vec(spec).unwrap_or_default());
    let mut out = [0; 8];
    out.copy_from_slice(&hash[..8]);
    out
}

/// A step without a live object.
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
        rollout_group: (K::PHASE == Phase::Rollout)
            .then(|| K::rollout_group(address.name()))
            .flatten(),
        rollout_note: K::rollout_note(&op),
        deleted_last: K::DELETED_LAST,
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

/// A step on a live object.
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

impl Differ<'_> {
    pub(super) fn add_create<K: RegisteredKind>(
        &mut self,
        address: &Address,
        spec: &K::Spec,
        action: Action,
        cause: Cause,
    ) {
        let Some(spec) = self.resolve_defaults::<K>(address, spec) else {
            return;
        };
        // A release command leaves no resource behind, so its "creation" is a run.
        let action = if K::PHASE == Phase::PreRollout {
            Action::Run
        } else {
            action
        };
        let lines = K::creation_lines(&spec, &self.context());
        let refs = spec.references();
        let spec_hash = Some(spec_hash(&spec));
        let policy = K::rollout_policy(&spec);
        let is_serial = K::creates_serially(&spec);
        let step = Step {
            spec_hash,
            cause,
            ..new_step::<K>(address, action, Op::Create(spec), lines.clone())
        };
        let node = self.builder.add_step(step);
        self.builder.producers.insert(address.clone(), node);
        self.builder.references.push((node, refs));
        self.record_phase::<K>(address.name(), node);
        if let Some(group) = self
            .group_steps::<K>(address.name())
            .filter(|_| action == Action::Create)
        {
            group.policy = policy;
            // A serial creation is ordered by the rollout policy, like a restart. Any other only adds capacity.
            if is_serial {
                group.members.push(Member {
                    is_new: true,
                    ..Member::new(address.name(), node, node)
                });
            } else {
                group.starts.push(node);
            }
        }
        self.changed.insert(address.clone(), lines);
    }

    /// Adds the step that makes all edits of one resource.
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
        let (obeys_policy, starts_serving) = (
            edits.iter().any(DescribeEdit::obeys_rollout_policy),
            edits.iter().any(DescribeEdit::starts_serving),
        );
        let completes_earlier_apply = edits.iter().all(DescribeEdit::completes_earlier_apply);
        let action = if K::PHASE == Phase::PreRollout {
            Action::Run
        } else {
            Action::Update
        };
        let data_loss = K::edit_loss(live, &edits);
        let op = Op::Edit(live.clone(), edits);
        let node = self.builder.add_step(Step {
            data_loss,
            completes_earlier_apply,
            impact,
            cause: match (follows, completes_earlier_apply) {
                (true, _) => Cause::Follows,
                (_, true) => Cause::Unknown,
                _ => K::cause(spec, live),
            },
            // Only an edit that changes the machine itself needs its lease. Metadata can be written without one.
            lease_target: K::lease_target(live).filter(|_| impact > Impact::Quiet),
            ..new_live_step::<K>(address, action, op, lines.clone(), live)
        });
        self.builder.producers.insert(address.clone(), node);
        let refs = spec.references();
        // References within a kind, from a standby machine to another one, follow the order of the rollout.
        let released = live
            .references()
            .into_iter()
            .filter(|to| to.kind() != K::NAME && !refs.contains(to));
        self.builder
            .released_references
            .push((node, released.collect()));
        self.builder.references.push((node, refs));
        if impact > Impact::Quiet || matches!(K::PHASE, Phase::PostRollout | Phase::PreRollout) {
            self.record_phase::<K>(address.name(), node);
        }
        // A standby machine refers to the machine that it can replace, which is of the same kind.
        let follows_member = spec.references().iter().any(|to| to.kind() == K::NAME);
        if let Some(group) = self.group_steps_with_policy::<K>(address.name(), spec) {
            if obeys_policy {
                group.members.push(Member {
                    is_down: K::is_down(live),
                    changes_last: K::changes_last(live),
                    follows_member,
                    ..Member::new(address.name(), node, node)
                });
            } else if impact == Impact::Asleep {
                group.asleep.push(node);
            }
            if starts_serving {
                group.starts.push(node);
            }
        }
        self.changed.insert(address.clone(), lines);
    }

    /// Adds the two steps of a blue-green successor: its creation, and the deletion of the old object. The switch between
    /// them is one step for the whole group, see [`Differ::add_hand_overs`].
    pub(super) fn add_successor<K: RegisteredKind>(
        &mut self,
        address: &Address,
        spec: &K::Spec,
        live: &K::Live,
        lines: Vec<DiffLine>,
    ) {
        let Some(complete) = self.resolve_defaults::<K>(address, spec) else {
            return;
        };
        let refs = complete.references();
        let spec_hash = Some(spec_hash(&complete));
        let op = Op::CreateSuccessor(complete, live.clone());
        let node = self.builder.add_step(Step {
            spec_hash,
            cause: K::cause(spec, live),
            ..new_live_step::<K>(address, Action::CreateSuccessor, op, lines.clone(), live)
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
        if let Some(group) = self.group_steps_with_policy::<K>(address.name(), spec) {
            group.successors.push(node);
            group.retired.push(retire);
        }
        self.changed.insert(address.clone(), lines);
    }

    /// Adds, for each group with successors, the step that switches traffic to them. It must be called after all resources of
    /// the kind have been compared, because only then are all successors known.
    pub(super) fn add_hand_overs<K: RegisteredKind>(&mut self, live: &ResourceMap<K::Live>) {
        let mut old_objects_by_group: BTreeMap<Address, Vec<(Name, K::Live)>> = BTreeMap::new();
        let groups = self
            .builder
            .groups
            .iter()
            .filter(|(address, _)| address.kind() == K::NAME);
        for (address, group) in groups.filter(|(_, group)| !group.successors.is_empty()) {
            // Machines that the manifest no longer asks for are cordoned in the same step, though they have no
            // successor: otherwise they would serve the old version beside the new one until they are deleted.
            let nodes = group.successors.iter().chain(&group.deletes);
            let names = nodes.map(|node| self.builder.graph[*node].address.name());
            let old_objects =
                names.filter_map(|name| Some((name.clone(), live.get(name)?.clone())));
            old_objects_by_group.insert(address.clone(), old_objects.collect());
        }
        for (address, old_objects) in old_objects_by_group {
            let identities: Vec<String> = old_objects
                .iter()
                .map(|(_, live)| K::identity(live))
                .collect();
            let step = new_step::<K>(
                &address,
                Action::HandOver,
                Op::HandOver(old_objects),
                Vec::new(),
            );
            let node = self.builder.add_step(Step {
                identity: identities.join(" "),
                ..step
            });
            if let Some(group) = self.builder.groups.get_mut(&address) {
                group.hand_over = Some(node);
                let count = group.successors.len();
                self.builder.graph[node].description =
                    format!("{count} machine{}", if count == 1 { "" } else { "s" });
            }
        }
    }

    /// Adds the deletion and the creation of a replacement. Both together are one member of the rollout: it is unavailable
    /// from the start of the first to the end of the second.
    pub(super) fn add_replacement<K: RegisteredKind>(
        &mut self,
        address: &Address,
        spec: &K::Spec,
        live: &K::Live,
        lines: Vec<DiffLine>,
    ) {
        self.removed.insert(address.clone());
        let cause = K::cause(spec, live);
        let deletion = self.add_delete::<K>(address, live, Action::ReplaceDelete, lines, cause);
        self.add_create::<K>(address, spec, Action::ReplaceCreate, cause);
        let creation = self.builder.producers.get(address).copied();
        if let (Some(group), Some(creation)) = (
            self.group_steps_with_policy::<K>(address.name(), spec),
            creation,
        ) {
            group.members.push(Member {
                is_down: K::is_down(live),
                ..Member::new(address.name(), deletion, creation)
            });
        }
    }

    /// Adds a deletion, with everything that the guard asks about it.
    pub(super) fn add_delete<K: RegisteredKind>(
        &mut self,
        address: &Address,
        live: &K::Live,
        action: Action,
        lines: Vec<DiffLine>,
        cause: Cause,
    ) -> NodeIndex {
        let step = new_live_step::<K>(address, action, Op::Delete(live.clone()), lines, live);
        let (data_loss, recovery_hint, completes_earlier_apply) = (
            K::data_loss(live),
            K::recovery_hint(live),
            K::is_retired(live),
        );
        let node = self.builder.add_step(Step {
            cause,
            data_loss,
            recovery_hint,
            completes_earlier_apply,
            ..step
        });
        self.builder.deletes.insert(address.clone(), node);
        self.builder.held_references.push((node, live.references()));
        node
    }

    /// Lists the unmanaged objects of every container that this plan deletes. They go with it, so they are not left alone, and
    /// data in them needs its own permission.
    pub(super) fn add_unmanaged_cascades(&mut self) {
        let unmanaged = std::mem::take(&mut self.builder.findings.unmanaged);
        let (cascaded, left_alone) = unmanaged
            .into_iter()
            .partition(|object| self.removed.contains(&object.container));
        self.builder.findings.unmanaged = left_alone;
        let cascaded: Vec<UnmanagedResource> = cascaded;
        for object in cascaded {
            // A setting of something that is deleted needs no mention of its own.
            let Some(address) = object.address else {
                continue;
            };
            self.builder.existing_count += 1;
            self.builder.cascade_deletes.push(CascadeDelete {
                address,
                with: object.container,
                identity: object.identity,
                // The address has its name and its id.
                description: "not managed".to_owned(),
                data_loss: object.data_loss,
                recovery_hint: None,
                protected: false,
            });
        }
    }

    /// Records that a live object is deleted together with its container.
    pub(super) fn add_cascade_delete<K: RegisteredKind>(
        &mut self,
        address: &Address,
        live: &K::Live,
    ) {
        let Some(with) = K::deleted_with(live) else {
            return;
        };
        self.removed.insert(address.clone());
        if !K::is_object(live) {
            return;
        }
        self.builder.cascade_deletes.push(CascadeDelete {
            address: address.clone(),
            with,
            identity: K::identity(live),
            description: K::describe(live),
            data_loss: K::data_loss_with_container(live),
            recovery_hint: K::recovery_hint(live),
            protected: K::is_protected(live),
        });
    }
}
