//! Plans a rollback: a plan towards an earlier configuration of machines, with the same steps and rollout policies as any
//! other plan.
//!
//! Image, environment variables and configuration are restored. Secrets and the effects of a release command are not: Fly does
//! not return the values of secrets, and a migration cannot be undone from outside.
//!
//! This file names machines and cron machines, unlike the rest of the planner: they are what a rollback restores.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Action, BlockedChange, CycleError, DeferralReason, Plan,
    builder::PlanBuilder,
    differ::Differ,
    steps::{new_live_step, new_step},
    verification::VerificationPlanner,
};
use crate::{
    kinds::{
        Blocker, Cause, Desired, Op, World,
        fly::{
            Cron, Machine,
            machine::{MachineLive, MachineSpec},
            workload::{PreviousConfig, WorkloadEdit, WorkloadLive, restored_spec, rollback_edit},
        },
        visit_kinds,
    },
    model::{Address, DiffLine, Name, Ownership, ResourceMap},
};

/// What a machine was before the rollout.
#[derive(Clone, Debug)]
pub enum PreviousState {
    /// It had this configuration.
    Config(PreviousConfig),
    /// Blue-green: another machine had its name, and still exists. This is Fly's id of that machine.
    OtherMachine(String),
    /// It did not exist.
    Absent,
    /// It was not cordoned. The rollout has cordoned it to delete it, and has not deleted it yet.
    Uncordoned,
}

/// The earlier states of machines and cron machines, by name. Machines that are not listed stay as they are.
#[derive(Clone, Debug, Default)]
pub struct PreviousStates {
    /// Machines of process groups.
    pub machines: ResourceMap<PreviousState>,
    /// Cron machines.
    pub crons: ResourceMap<PreviousConfig>,
    /// Machines that cannot go back with the others, with the reason.
    pub left_out: BTreeMap<Address, Blocker>,
    /// What is written on one machine of each app until it is back: Fly's id of the machine, and the mark of the rollback.
    pub marks: BTreeMap<Name, (String, String)>,
}

impl PreviousStates {
    /// Compares the world before a rollout (`then`) with the world after it (`now`), in the named apps.
    #[must_use]
    pub fn from_worlds(
        desired: &Desired,
        then: &World,
        now: &World,
        apps: &BTreeSet<Name>,
    ) -> Self {
        let mut before = Self::default();
        let live_by_id: BTreeMap<&str, &WorkloadLive> = now
            .fly_machine
            .values()
            .map(|live| (live.workload.id.as_str(), &live.workload))
            .collect();
        // Machines that the manifest does not name are deleted by the rollout; the second loop handles them.
        let is_desired =
            |name: &Name| apps.contains(&name.root()) && desired.fly_machine.contains_key(name);
        let groups: BTreeSet<Name> = then.fly_machine.keys().map(rollout_group).collect();
        for (name, live) in now.fly_machine.iter().filter(|(name, _)| is_desired(name)) {
            let state = match then.fly_machine.get(name) {
                // Another id under the same name: a successor, or a replacement. When the old machine still exists, it
                // only has to take over again; otherwise the new one gets its configuration.
                Some(previous) if previous.workload.id != live.workload.id => {
                    let id = previous.workload.id.clone();
                    if live_by_id.contains_key(id.as_str()) {
                        PreviousState::OtherMachine(id)
                    } else {
                        PreviousState::Config(PreviousConfig::from_live(&previous.workload))
                    }
                }
                Some(previous)
                    if previous.workload.version != live.workload.version
                        || live.successor.is_some() =>
                {
                    PreviousState::Config(PreviousConfig::from_live(&previous.workload))
                }
                Some(_) => continue,
                // A group that is new has no earlier version, so its machines stay.
                None if !groups.contains(&rollout_group(name)) => continue,
                None => PreviousState::Absent,
            };
            before.machines.insert(name.clone(), state);
        }
        for (name, live) in now
            .fly_machine
            .iter()
            .filter(|(name, _)| apps.contains(&name.root()))
        {
            let (current, cordoned) = (&live.workload, live.workload.health.cordoned);
            let previous = then.fly_machine.get(name).map(|machine| &machine.workload);
            let was_serving = previous
                .is_some_and(|previous| previous.id == current.id && !previous.health.cordoned);
            if cordoned && was_serving && !desired.fly_machine.contains_key(name) {
                before
                    .machines
                    .insert(name.clone(), PreviousState::Uncordoned);
            }
        }
        for (name, live) in now
            .fly_cron
            .iter()
            .filter(|(name, _)| apps.contains(&name.root()))
        {
            let changed = |previous: &&crate::kinds::fly::cron::CronLive| {
                previous.workload.id == live.workload.id
                    && previous.workload.version != live.workload.version
            };
            if let Some(previous) = then.fly_cron.get(name).filter(changed) {
                before
                    .crons
                    .insert(name.clone(), PreviousConfig::from_live(&previous.workload));
            }
        }
        before
    }

    /// Whether there is nothing to go back to.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.machines.is_empty() && self.crons.is_empty()
    }
}

/// Plans the rollback to earlier states. Returns the plan with the world to apply it to, in which old machines that take
/// over again replace their successors.
///
/// # Errors
/// When the steps form a cycle.
pub fn plan_rollback(
    desired: &Desired,
    now: &World,
    before: &PreviousStates,
) -> Result<(Plan, World), CycleError> {
    let mut world = now.clone();
    let mut differ = Differ::new(desired, now, PlanBuilder::new(desired, now));
    let mut handed_back: BTreeMap<Address, Vec<(Name, MachineLive)>> = BTreeMap::new();
    let mut added: BTreeMap<Address, Vec<(Name, MachineLive)>> = BTreeMap::new();
    let machines_by_id: BTreeMap<&str, &MachineLive> = now
        .fly_machine
        .values()
        .map(|live| (live.workload.id.as_str(), live))
        .collect();
    for (name, state) in &before.machines {
        let Some(live) = now.fly_machine.get(name) else {
            continue;
        };
        // A machine on an unreachable host can be neither read nor changed; the others are still restored.
        if let Some(blocker) = live.workload.unavailable() {
            let address = Address::new::<Machine>(name);
            differ.defer(&address, DeferralReason::Unavailable, blocker);
            continue;
        }
        match (state, desired.fly_machine.get(name)) {
            (PreviousState::Config(previous), Some(spec)) => {
                restore_config(&mut differ, name, spec, live, previous);
            }
            (PreviousState::OtherMachine(id), _) => {
                if let Some(old_machine) = machines_by_id.get(id.as_str()) {
                    world
                        .fly_machine
                        .insert(name.clone(), (*old_machine).clone());
                    let group = Address::new::<Machine>(&rollout_group(name));
                    handed_back
                        .entry(group)
                        .or_default()
                        .push((name.clone(), live.clone()));
                }
            }
            (PreviousState::Absent, _) => {
                let group = Address::new::<Machine>(&rollout_group(name));
                added
                    .entry(group)
                    .or_default()
                    .push((name.clone(), live.clone()));
                delete_added_machine(&mut differ, name, live);
            }
            (PreviousState::Uncordoned, _) => restore_uncordoned(&mut differ, name, live),
            (PreviousState::Config(_), None) => {
                defer_if_left_behind(&mut differ, name, live, before);
            }
        }
    }
    for (address, blocker) in &before.left_out {
        differ.defer(address, DeferralReason::Unavailable, blocker.clone());
    }
    for (group, successors) in handed_back {
        let added = added.get(&group).map(Vec::as_slice).unwrap_or_default();
        hand_back_to_old_machines(&mut differ, &group, &successors, added);
    }
    for (name, previous) in &before.crons {
        if let (Some(spec), Some(live)) = (desired.fly_cron.get(name), now.fly_cron.get(name)) {
            let address = Address::new::<Cron>(name);
            match rollback_edit(&spec.workload, &live.workload, previous, false) {
                Ok(Some(edit)) => differ.add_edit::<Cron>(&address, spec, live, vec![edit]),
                Ok(None) => {}
                Err(blocker) => differ
                    .builder
                    .blocked
                    .push(BlockedChange { address, blocker }),
            }
        }
    }
    for step in differ.builder.graph.node_weights_mut() {
        // The cause compares live objects with the manifest. Here they are compared with the past, so it would mislead.
        step.cause = Cause::Unknown;
        // Nobody has reviewed the way back, so every step of it is a part of the plan's id.
        step.completes_earlier_apply = false;
    }
    let mut planner = VerificationPlanner { differ };
    visit_kinds(desired, now, &mut planner);
    Ok((planner.differ.builder.build()?, world))
}

/// Tells of a machine of ours that the manifest has no place for, so that it stays as it is. A retired machine is none: it takes over
/// again, or only waits for its deletion.
fn defer_if_left_behind(
    differ: &mut Differ<'_>,
    name: &Name,
    live: &MachineLive,
    before: &PreviousStates,
) {
    let takes_over = |state: &PreviousState| matches!(state, PreviousState::OtherMachine(id) if *id == live.workload.id);
    let is_old = live.retired || before.machines.values().any(takes_over);
    if is_old || live.workload.ownership != Ownership::Ours {
        return;
    }
    let blocker = Blocker {
        reason: "the manifest has no place for it, so it stays as it is".to_owned(),
        hint: "the next apply deletes it".to_owned(),
    };
    differ.defer(
        &Address::new::<Machine>(name),
        DeferralReason::Manual,
        blocker,
    );
}

fn rollout_group(name: &Name) -> Name {
    use crate::kinds::RolloutRules as _;
    Machine::rollout_group(name).unwrap_or_else(|| name.clone())
}

/// Lets a machine serve again. In a rollback this completes no earlier apply, whoever cordoned the machine.
const UNCORDON: WorkloadEdit = WorkloadEdit::Uncordon {
    interrupted_hand_over: false,
};

/// Restores the configuration of a machine that is still the same one, and deletes a successor that never took over.
fn restore_config(
    differ: &mut Differ<'_>,
    name: &Name,
    spec: &MachineSpec,
    live: &MachineLive,
    previous: &PreviousConfig,
) {
    let address = Address::new::<Machine>(name);
    let mut edits = Vec::new();
    let edit = match rollback_edit(&spec.workload, &live.workload, previous, true) {
        // An interrupted rollback has updated the machine, and did not see it start.
        Ok(None) if live.workload.is_start_unconfirmed() => {
            let restored = restored_spec(&spec.workload, &live.workload, previous);
            restored.map(|spec| Some(WorkloadEdit::ConfirmStart(Box::new(spec))))
        }
        edit => edit,
    };
    match edit {
        Ok(edit) => edits.extend(edit),
        Err(blocker) => {
            return differ
                .builder
                .blocked
                .push(BlockedChange { address, blocker });
        }
    }
    edits.extend(live.workload.health.cordoned.then_some(UNCORDON));
    let discard = |successor: &WorkloadLive| WorkloadEdit::DiscardSuccessor {
        id: successor.id.clone(),
    };
    edits.extend(live.successor.as_deref().map(discard));
    if !edits.is_empty() {
        differ.add_edit::<Machine>(&address, spec, live, edits);
    }
}

/// Lets a cordoned machine serve again. Its group orders this after the switch back to the old machines.
fn restore_uncordoned(differ: &mut Differ<'_>, name: &Name, live: &MachineLive) {
    use crate::kinds::DescribeEdit as _;
    let (address, edits) = (Address::new::<Machine>(name), vec![UNCORDON]);
    let lines = edits.iter().flat_map(WorkloadEdit::lines).collect();
    let op: Op<Machine> = Op::Edit(live.clone(), edits);
    let node = differ
        .builder
        .add_step(new_live_step(&address, Action::Update, op, lines, live));
    if let Some(group) = differ.group_steps::<Machine>(name) {
        group.starts.push(node);
    }
}

/// Deletes a machine that the failed rollout created.
fn delete_added_machine(differ: &mut Differ<'_>, name: &Name, live: &MachineLive) {
    let address = Address::new::<Machine>(name);
    let op: Op<Machine> = Op::Delete(live.clone());
    let node = differ.builder.add_step(new_live_step(
        &address,
        Action::Delete,
        op,
        Vec::new(),
        live,
    ));
    if let Some(group) = differ.group_steps::<Machine>(name) {
        group.deletes.push(node);
    }
}

/// Blue-green: the old machines still exist and are cordoned. They take over again, and their successors are deleted.
///
/// Machines that the rollout added are cordoned in the same step, so that two versions never serve at the same time.
fn hand_back_to_old_machines(
    differ: &mut Differ<'_>,
    group: &Address,
    successors: &[(Name, MachineLive)],
    added: &[(Name, MachineLive)],
) {
    let description = format!(
        "{} machine{}",
        successors.len(),
        if successors.len() == 1 { "" } else { "s" }
    );
    let cordoned = successors.iter().chain(added).cloned().collect();
    let step = new_step::<Machine>(group, Action::HandOver, Op::HandOver(cordoned), Vec::new());
    let node = differ.builder.add_step(super::Step {
        description,
        ..step
    });
    let mut retired = Vec::new();
    for (name, successor) in successors {
        let (address, op) = (Address::new::<Machine>(name), Op::Retire(successor.clone()));
        let line = DiffLine::change("machine", "the new one", "the old one");
        let lines = vec![line.with_note("it is still there, and takes over again")];
        retired.push(differ.builder.add_step(new_live_step::<Machine>(
            &address,
            Action::Retire,
            op,
            lines,
            successor,
        )));
        differ.rolling_out.insert(name.root());
    }
    if let Some(group) = successors
        .first()
        .and_then(|(name, _)| differ.group_steps::<Machine>(name))
    {
        group.hand_over = Some(node);
        group.retired.extend(retired);
    }
}
