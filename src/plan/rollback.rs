//! The way back: a plan towards what machines were before, in the same steps and by the same turns as the way there.
//!
//! What goes back are image, variables and configuration. Secrets and what a release command did do not: the platform
//! keeps no values, and nobody can take a migration back from outside.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Action, BlockedChange, CycleError, Plan,
    builder::PlanBuilder,
    differ::{Differ, VerificationPlanner, new_live_step, new_step},
};
use crate::{
    kinds::{
        Cause, Desired, Op, World,
        fly::{
            Cron, Machine,
            machine::{MachineLive, MachineSpec},
            workload::{PreviousConfig, WorkloadEdit, WorkloadLive, rollback_edit},
        },
        visit_kinds,
    },
    model::{Address, DiffLine, Name, ResourceMap},
};

/// What a machine was.
#[derive(Clone, Debug)]
pub enum PreviousState {
    /// It had this configuration.
    Config(PreviousConfig),
    /// It was another machine, which is still there: this one, by its id.
    OtherMachine(String),
    /// It was not there.
    Absent,
    /// It was shown to the proxy: it goes without a successor, and has not gone yet.
    Uncordoned,
}

/// What machines and cron machines were, by name. What is not named stays as it is.
#[derive(Clone, Debug, Default)]
pub struct PreviousStates {
    /// Machines of process groups.
    pub machines: ResourceMap<PreviousState>,
    /// Cron machines.
    pub crons: ResourceMap<PreviousConfig>,
}

impl PreviousStates {
    /// What differs between two looks at what a manifest asks for, in the apps that are named.
    #[must_use]
    pub fn from_worlds(
        desired: &Desired,
        then: &World,
        now: &World,
        apps: &BTreeSet<Name>,
    ) -> Self {
        let mut before = Self::default();
        let here: BTreeMap<&str, &WorkloadLive> = now
            .fly_machine
            .values()
            .map(|live| (live.workload.id.as_str(), &live.workload))
            .collect();
        let asked =
            |name: &Name| apps.contains(&name.root()) && desired.fly_machine.contains_key(name);
        let groups: BTreeSet<Name> = then.fly_machine.keys().map(rollout_group).collect();
        for (name, live) in now.fly_machine.iter().filter(|(name, _)| asked(name)) {
            let was = match then.fly_machine.get(name) {
                Some(old) if old.workload.id != live.workload.id => {
                    let id = old.workload.id.clone();
                    if here.contains_key(id.as_str()) {
                        PreviousState::OtherMachine(id)
                    } else {
                        PreviousState::Config(PreviousConfig::from_live(&old.workload))
                    }
                }
                Some(old)
                    if old.workload.version != live.workload.version
                        || live.successor.is_some() =>
                {
                    PreviousState::Config(PreviousConfig::from_live(&old.workload))
                }
                Some(_) => continue,
                // A group that is new has nothing to go back to.
                None if !groups.contains(&rollout_group(name)) => continue,
                None => PreviousState::Absent,
            };
            before.machines.insert(name.clone(), was);
        }
        for (name, live) in now
            .fly_machine
            .iter()
            .filter(|(name, _)| apps.contains(&name.root()))
        {
            let (there, hidden) = (&live.workload, live.workload.health.cordoned);
            let then = then.fly_machine.get(name).map(|old| &old.workload);
            let was_shown = then.is_some_and(|old| old.id == there.id && !old.health.cordoned);
            if hidden && was_shown && !desired.fly_machine.contains_key(name) {
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
            let changed = |old: &&crate::kinds::fly::cron::CronLive| {
                old.workload.id == live.workload.id && old.workload.version != live.workload.version
            };
            if let Some(old) = then.fly_cron.get(name).filter(changed) {
                before
                    .crons
                    .insert(name.clone(), PreviousConfig::from_live(&old.workload));
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

/// Plans the way back. The world that comes with it is the one to carry it out in.
///
/// # Errors
/// When the steps wait for each other in a circle.
pub fn plan_rollback(
    desired: &Desired,
    now: &World,
    before: &PreviousStates,
) -> Result<(Plan, World), CycleError> {
    let mut world = now.clone();
    let mut differ = Differ::new(desired, now, PlanBuilder::new(desired, now));
    let mut handed: BTreeMap<Address, Vec<(Name, MachineLive)>> = BTreeMap::new();
    let mut added: BTreeMap<Address, Vec<(Name, MachineLive)>> = BTreeMap::new();
    let old: BTreeMap<&str, &MachineLive> = now
        .fly_machine
        .values()
        .map(|live| (live.workload.id.as_str(), live))
        .collect();
    for (name, was) in &before.machines {
        let Some(live) = now.fly_machine.get(name) else {
            continue;
        };
        if let Some(held) = live.workload.unavailable() {
            let held = format!("{name} stays as it is: {}", held.reason);
            differ.builder.findings.warnings.push(held);
            continue;
        }
        match (was, desired.fly_machine.get(name)) {
            (PreviousState::Config(earlier), Some(spec)) => {
                restore_config(&mut differ, name, spec, live, earlier);
            }
            (PreviousState::OtherMachine(id), _) => {
                if let Some(old) = old.get(id.as_str()) {
                    world.fly_machine.insert(name.clone(), (*old).clone());
                    let lane = Address::new::<Machine>(&rollout_group(name));
                    handed
                        .entry(lane)
                        .or_default()
                        .push((name.clone(), live.clone()));
                }
            }
            (PreviousState::Absent, _) => {
                let lane = Address::new::<Machine>(&rollout_group(name));
                added
                    .entry(lane)
                    .or_default()
                    .push((name.clone(), live.clone()));
                delete_added_machine(&mut differ, name, live);
            }
            (PreviousState::Uncordoned, _) => restore_uncordoned(&mut differ, name, live),
            (PreviousState::Config(_), None) => {}
        }
    }
    for (lane, pairs) in handed {
        let added = added.get(&lane).map(Vec::as_slice).unwrap_or_default();
        hand_back_to_old_machines(&mut differ, &lane, &pairs, added);
    }
    for (name, earlier) in &before.crons {
        if let (Some(spec), Some(live)) = (desired.fly_cron.get(name), now.fly_cron.get(name)) {
            let address = Address::new::<Cron>(name);
            match rollback_edit(&spec.workload, &live.workload, earlier, false) {
                Ok(Some(edit)) => differ.add_edit::<Cron>(&address, spec, live, vec![edit]),
                Ok(None) => {}
                Err(refused) => differ
                    .builder
                    .blocked
                    .push(BlockedChange { address, refused }),
            }
        }
    }
    // Whether the manifest or somebody made the difference is no question on the way back.
    differ
        .builder
        .graph
        .node_weights_mut()
        .for_each(|step| step.cause = Cause::Unknown);
    let mut prover = VerificationPlanner { differ };
    visit_kinds(desired, now, &mut prover);
    Ok((prover.differ.builder.build()?, world))
}

fn rollout_group(name: &Name) -> Name {
    use crate::kinds::Kind as _;
    Machine::rollout_group(name).unwrap_or_else(|| name.clone())
}

/// The machine is still the same one: its configuration goes back, and a successor that never took over goes.
fn restore_config(
    differ: &mut Differ<'_>,
    name: &Name,
    spec: &MachineSpec,
    live: &MachineLive,
    earlier: &PreviousConfig,
) {
    let address = Address::new::<Machine>(name);
    let mut edits = Vec::new();
    match rollback_edit(&spec.workload, &live.workload, earlier, true) {
        Ok(edit) => edits.extend(edit),
        Err(refused) => {
            return differ
                .builder
                .blocked
                .push(BlockedChange { address, refused });
        }
    }
    edits.extend(
        live.workload
            .health
            .cordoned
            .then_some(WorkloadEdit::Uncordon),
    );
    let discard = |green: &WorkloadLive| WorkloadEdit::DiscardSuccessor {
        id: green.id.clone(),
    };
    edits.extend(live.successor.as_deref().map(discard));
    if !edits.is_empty() {
        differ.add_edit::<Machine>(&address, spec, live, edits);
    }
}

/// The machine is shown again, once those that had taken over are hidden.
fn restore_uncordoned(differ: &mut Differ<'_>, name: &Name, live: &MachineLive) {
    use crate::kinds::DescribeEdit as _;
    let (address, edits) = (Address::new::<Machine>(name), vec![WorkloadEdit::Uncordon]);
    let lines = edits.iter().flat_map(WorkloadEdit::lines).collect();
    let op: Op<Machine> = Op::Edit(live.clone(), edits);
    let node = differ
        .builder
        .add_step(new_live_step(&address, Action::Update, op, lines, live));
    if let Some(lane) = differ.group_steps::<Machine>(name) {
        lane.starts.push(node);
    }
}

/// The machine was made by the run that failed.
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
    if let Some(lane) = differ.group_steps::<Machine>(name) {
        lane.deletes.push(node);
    }
}

/// The old machines are still there and hidden: they take over again, and their successors go.
///
/// What the run has added goes as well, and so must not serve beside them.
fn hand_back_to_old_machines(
    differ: &mut Differ<'_>,
    lane: &Address,
    pairs: &[(Name, MachineLive)],
    added: &[(Name, MachineLive)],
) {
    let what = format!(
        "{} machine{}",
        pairs.len(),
        if pairs.len() == 1 { "" } else { "s" }
    );
    let hidden = pairs.iter().chain(added).cloned().collect();
    let step = new_step::<Machine>(lane, Action::HandOver, Op::HandOver(hidden), Vec::new());
    let node = differ.builder.add_step(super::Step {
        description: what,
        ..step
    });
    let mut retired = Vec::new();
    for (name, green) in pairs {
        let (address, op) = (Address::new::<Machine>(name), Op::Retire(green.clone()));
        let line = DiffLine::change("machine", "the new one", "the old one");
        let lines = vec![line.with_note("it is still there, and takes over again")];
        retired.push(differ.builder.add_step(new_live_step::<Machine>(
            &address,
            Action::Retire,
            op,
            lines,
            green,
        )));
        differ.rolling_out.insert(name.root());
    }
    if let Some(lane) = pairs
        .first()
        .and_then(|(name, _)| differ.group_steps::<Machine>(name))
    {
        lane.hand_over = Some(node);
        lane.retired.extend(retired);
    }
}
