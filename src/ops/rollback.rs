//! What each machine of an environment goes back to: from the versions that Fly keeps of every machine.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::try_join_all;
use serde_json::Value;

use super::{OperationError, Workspace, check_known_addresses, rollback_mark};
use crate::{
    clouds::{CloudError, fly::wire},
    kinds::{
        Blocker, Desired, RolloutGroup, RolloutRules as _, World,
        fly::{
            Cron, Machine,
            workload::{
                PreviousConfig, ReleaseTimeline, RollbackTarget, VersionHistory, WorkloadLive,
            },
        },
    },
    model::{Address, Image, KindName, Name, OwnershipMark, ResourceMap},
    plan::{PreviousState, PreviousStates, is_selected, plan_rollback},
};

/// Finds what the selected machines go back to: the release `to`, or the one before the present. Returns the live state
/// that it was found in as well.
///
/// # Errors
/// When there is no such release, several apps would go back to releases of their own, or an image is gone.
pub async fn previous_states(
    workspace: &Workspace,
    to: Option<&str>,
    only: &[Address],
) -> Result<(PreviousStates, World), OperationError> {
    let world = workspace.observe().await?;
    check_known_addresses(only, workspace.desired(), &world)?;
    let mut histories = read_histories(workspace, &world).await?;
    histories.retain_selected(only);
    let targets = choose_targets(&histories, to, workspace.desired(), &world)?;
    check_single_app(&targets, to, only)?;
    let mut states = states_in_releases(&histories, &targets, &world);
    for (app, machines) in histories.by_app() {
        if let Some(target) = targets.get(&app) {
            let mark = ReleaseTimeline::new(&machines).rollback_mark(target);
            rollback_mark::choose_machine(&mut states, &world, &app, mark);
        }
    }
    workspace.check_images_exist(states.images()).await?;
    Ok((states, world))
}

/// The earlier versions of each machine, by name.
#[derive(Default)]
struct MachineHistories {
    machines: ResourceMap<VersionHistory>,
    crons: ResourceMap<VersionHistory>,
    /// Machines that can be neither read nor changed.
    unreachable: BTreeMap<Address, Blocker>,
}

impl MachineHistories {
    /// The histories of the machines of each app.
    fn by_app(&self) -> BTreeMap<Name, Vec<&VersionHistory>> {
        let mut apps: BTreeMap<Name, Vec<&VersionHistory>> = BTreeMap::new();
        for (name, history) in self.machines.iter().chain(&self.crons) {
            apps.entry(name.root()).or_default().push(history);
        }
        apps
    }

    /// Keeps the selected machines; all of them when nothing is selected.
    fn retain_selected(&mut self, only: &[Address]) {
        if !only.is_empty() {
            self.machines
                .retain(|name, _| is_selected(&Address::new::<Machine>(name), only));
            self.crons
                .retain(|name, _| is_selected(&Address::new::<Cron>(name), only));
            self.unreachable
                .retain(|address, _| is_selected(address, only));
        }
    }
}

/// Reads the versions of every machine, all at once, and the deleted machines that Fly still lists: after a blue-green
/// rollout the release before is a machine that is gone.
async fn read_histories(
    workspace: &Workspace,
    world: &World,
) -> Result<MachineHistories, OperationError> {
    let reader = &workspace.readers.fly;
    let gone = world.fly_app.iter().map(|(key, app)| async move {
        Ok::<_, CloudError>((
            key.clone(),
            reader.list_machines_with_deleted(&app.name).await?,
        ))
    });
    let gone: BTreeMap<Name, Vec<_>> = try_join_all(gone).await?.into_iter().collect();
    let of = |name: &Name, live: &WorkloadLive, waiting: Option<&WorkloadLive>| {
        let (name, id, key) = (name.clone(), live.id.clone(), name.root());
        // A successor that has not taken over yet is the newest version; to go back is to go without it.
        let waiting = waiting.map(|green| (green.version.clone(), green.raw.clone()));
        let app = world
            .fly_app
            .get(&key)
            .map(|app| app.name.clone())
            .unwrap_or_default();
        let predecessors = gone.get(&key).map(Vec::as_slice).unwrap_or_default();
        async move {
            let versions = reader.list_machine_versions(&app, &id).await?;
            let before = predecessor_configs(&versions, predecessors);
            let own = versions.into_iter().map(
                |wire::MachineVersion {
                     version,
                     user_config,
                 }| (version, user_config),
            );
            let all = waiting.into_iter().chain(own).chain(before);
            Ok::<_, CloudError>((name.clone(), VersionHistory::new(all)))
        }
    };
    let machines = world
        .fly_machine
        .iter()
        .filter(|(_, live)| live.workload.health.host_ok);
    let machines = machines.map(|(name, live)| of(name, &live.workload, live.successor.as_deref()));
    let crons = world
        .fly_cron
        .iter()
        .filter(|(_, live)| live.workload.health.host_ok);
    let crons = crons.map(|(name, live)| of(name, &live.workload, None));
    let (machines, crons) = tokio::try_join!(try_join_all(machines), try_join_all(crons))?;
    Ok(MachineHistories {
        machines: machines.into_iter().collect(),
        crons: crons.into_iter().collect(),
        unreachable: unreachable_machines(world),
    })
}

/// The machines whose host cannot be reached, with the reason.
fn unreachable_machines(world: &World) -> BTreeMap<Address, Blocker> {
    let machines = world
        .fly_machine
        .iter()
        .map(|(name, live)| (Address::new::<Machine>(name), &live.workload));
    let crons = world
        .fly_cron
        .iter()
        .map(|(name, live)| (Address::new::<Cron>(name), &live.workload));
    machines
        .chain(crons)
        .filter_map(|(address, live)| Some((address, live.unavailable()?)))
        .collect()
}

/// The configurations of the machines that a machine replaced, newest first, followed through their metadata. A successor
/// that never took over, or that gave its place back, is not among them.
fn predecessor_configs(
    versions: &[wire::MachineVersion],
    all: &[wire::MachineResponse],
) -> Vec<(String, Value)> {
    let mut configs = versions.iter().rev().map(|version| &version.user_config);
    let mut succeeds = configs.find_map(predecessor_id);
    let mut line = Vec::new();
    while let Some(machine) = succeeds.and_then(|id| all.iter().find(|machine| machine.id == id)) {
        line.push((machine.instance_id.clone(), machine.config.clone()));
        // Metadata is written by anybody, so a chain of predecessors may be a cycle: no machine has more predecessors than
        // there are machines.
        succeeds = predecessor_id(&machine.config).filter(|_| line.len() <= all.len());
    }
    line
}

fn predecessor_id(config: &Value) -> Option<&str> {
    config
        .get("metadata")?
        .get(OwnershipMark::SUCCEEDS_KEY)?
        .as_str()
}

/// What the machines of these apps go back to when a rollout fails that was already under way when this run began: the newest
/// release that is not one of `failed`, for each app that has one.
///
/// # Errors
/// When the versions cannot be read, or an image is gone.
pub(super) async fn states_before_failure(
    workspace: &Workspace,
    now: &World,
    failed: &BTreeMap<Name, BTreeSet<String>>,
) -> Result<PreviousStates, OperationError> {
    let histories = read_histories(workspace, now).await?;
    let targets = histories
        .by_app()
        .into_iter()
        .filter_map(|(app, machines)| {
            let target = ReleaseTimeline::new(&machines).newest_except(failed.get(&app)?)?;
            Some((app, target))
        })
        .collect();
    let states = states_in_releases(&histories, &targets, now);
    workspace.check_images_exist(states.images()).await?;
    Ok(states)
}

/// Chooses the release that each app goes back to.
///
/// # Errors
/// When no app has such a release.
fn choose_targets(
    histories: &MachineHistories,
    to: Option<&str>,
    desired: &Desired,
    now: &World,
) -> Result<BTreeMap<Name, RollbackTarget>, OperationError> {
    let apps = histories.by_app();
    let choose = |app: &Name, machines: &[&VersionHistory]| {
        let timeline = ReleaseTimeline::new(machines);
        if let Some(to) = to {
            return Ok(timeline.find(to));
        }
        // A rollback that was not seen to its end is finished first, even where nothing is left to change.
        let mut marks = rollback_mark::find(now, app);
        if let Some(target) = marks.find_map(|mark| timeline.marked_target(mark)) {
            return Ok(Some(target));
        }
        // The app has just gone back to a release. That is the target as long as something of it is left to do, so that a
        // rollback that was interrupted is finished and not continued to the release before.
        if let Some(target) = timeline.rolled_back_to() {
            let unfinished = BTreeMap::from([(app.clone(), target.clone())]);
            let states = states_in_releases(histories, &unfinished, now);
            let (plan, _) = plan_rollback(desired, now, &states)?;
            if !plan.is_empty() {
                return Ok(Some(target));
            }
        }
        Ok::<_, OperationError>(timeline.previous())
    };
    let mut targets = BTreeMap::new();
    for (app, machines) in &apps {
        targets.extend(choose(app, machines)?.map(|target| (app.clone(), target)));
    }
    if targets.is_empty() {
        return Err(no_release_error(&apps, to));
    }
    Ok(targets)
}

/// Refuses to take several apps back at once, each to a release of its own, unless the user selected them.
fn check_single_app(
    targets: &BTreeMap<Name, RollbackTarget>,
    to: Option<&str>,
    only: &[Address],
) -> Result<(), OperationError> {
    let mut apps = targets.keys();
    let (Some(first), Some(_), true, None) = (apps.next(), apps.next(), only.is_empty(), to) else {
        return Ok(());
    };
    let names: Vec<&str> = targets.keys().map(Name::as_str).collect();
    Err(OperationError::invalid(
        format!(
            "each of {} would go back to a release of its own",
            names.join(", ")
        ),
        format!("say which: --only fly.app/{first}; it can be said more than once"),
    ))
}

/// What each machine was in the release that its app goes back to.
fn states_in_releases(
    histories: &MachineHistories,
    targets: &BTreeMap<Name, RollbackTarget>,
    now: &World,
) -> PreviousStates {
    let config = |name: &Name, history: &VersionHistory| {
        history.config_in_release(targets.get(&name.root())?)
    };
    let mut states = PreviousStates::default();
    // A machine that did not exist in that release gets the configuration that the others of its group had.
    let mut group_configs: BTreeMap<Option<RolloutGroup>, PreviousConfig> = BTreeMap::new();
    for (name, history) in &histories.machines {
        if let Some(config) = config(name, history) {
            group_configs
                .entry(Machine::rollout_group(name))
                .or_insert(config);
        }
    }
    let is_taken_back = |name: &Name| targets.contains_key(&name.root());
    for (name, history) in histories
        .machines
        .iter()
        .filter(|(name, _)| is_taken_back(name))
    {
        let config = config(name, history)
            .or_else(|| group_configs.get(&Machine::rollout_group(name)).cloned());
        let state = cordoned_predecessor(name, targets, now).or(config.map(PreviousState::Config));
        match state {
            Some(state) => states.machines.insert(name.clone(), state),
            None => states.leave_out::<Machine>(name),
        }
    }
    for (name, history) in histories
        .crons
        .iter()
        .filter(|(name, _)| is_taken_back(name))
    {
        match config(name, history) {
            Some(config) => states.crons.insert(name.clone(), config),
            None => states.leave_out::<Cron>(name),
        }
    }
    let unreachable = histories.unreachable.iter();
    for (address, blocker) in unreachable.filter(|(address, _)| is_taken_back(address.name())) {
        states.left_out.insert(address.clone(), blocker.clone());
    }
    states
}

/// The old machine of a blue-green rollout that did not end: it is still there, cordoned. It takes over again, which is faster and
/// safer than to change the new one.
fn cordoned_predecessor(
    name: &Name,
    targets: &BTreeMap<Name, RollbackTarget>,
    now: &World,
) -> Option<PreviousState> {
    let id = now.fly_machine.get(name)?.workload.predecessor_id()?;
    let (old_name, old) = now
        .fly_machine
        .iter()
        .find(|(_, live)| live.workload.id == id)?;
    let target = targets.get(&name.root())?;
    let ran_target = PreviousConfig::from_live(&old.workload)
        .metadata_value(OwnershipMark::RELEASE_KEY)
        == Some(&target.release);
    (ran_target && old.workload.health.cordoned && old_name != name)
        .then(|| PreviousState::OtherMachine(id.to_owned()))
}

impl PreviousStates {
    /// Records that a machine stays as it is, because nothing of its group existed in the release.
    fn leave_out<K: KindName>(&mut self, name: &Name) {
        let blocker = Blocker {
            reason: "it did not exist in that release, so it stays as it is".to_owned(),
            hint: "remove it from the manifest, or name a release that has it with --to".to_owned(),
        };
        self.left_out.insert(Address::new::<K>(name), blocker);
    }
}

/// The error for a release that no machine has run, or for a first release.
fn no_release_error(
    apps: &BTreeMap<Name, Vec<&VersionHistory>>,
    to: Option<&str>,
) -> OperationError {
    let known: BTreeSet<String> = apps
        .values()
        .flatten()
        .flat_map(|history| history.releases())
        .collect();
    let known: Vec<String> = known.into_iter().collect();
    match to {
        Some(to) => OperationError::invalid(
            format!("no machine has ever run `{to}`, as far as Fly still knows"),
            if known.is_empty() {
                "no machine remembers a release".to_owned()
            } else {
                format!("these are known: {}", known.join(", "))
            },
        ),
        None => OperationError::invalid(
            "there is no earlier release to go back to",
            "name the image instead: trimtab apply ENV --image APP=REFERENCE",
        ),
    }
}

impl PreviousStates {
    /// The images that machines go back to.
    fn images(&self) -> BTreeSet<Image> {
        let machines = self.machines.values().filter_map(|was| match was {
            PreviousState::Config(earlier) => earlier.image(),
            PreviousState::OtherMachine(_) | PreviousState::Absent | PreviousState::Uncordoned => {
                None
            }
        });
        machines
            .chain(self.crons.values().filter_map(PreviousConfig::image))
            .collect()
    }
}
