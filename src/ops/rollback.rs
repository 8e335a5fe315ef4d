//! What each machine of an environment goes back to: from the versions that Fly keeps of every machine.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::try_join_all;
use serde_json::Value;

use super::{OperationError, Workspace, check_known_addresses};
use crate::{
    clouds::{CloudError, fly::wire},
    kinds::{
        RolloutGroup, RolloutRules as _, World,
        fly::{
            Cron, Machine,
            workload::{PreviousConfig, VersionHistory, WorkloadLive},
        },
    },
    model::{Address, Image, Name, OwnershipMark, ResourceMap},
    plan::{PreviousState, PreviousStates, is_selected},
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
    let states = choose_previous_states(&histories, to, only, &world)?;
    workspace.check_images_exist(states.images()).await?;
    Ok((states, world))
}

/// The earlier versions of each machine, by name.
#[derive(Default)]
struct MachineHistories {
    machines: ResourceMap<VersionHistory>,
    crons: ResourceMap<VersionHistory>,
}

impl MachineHistories {
    /// Keeps the selected machines; all of them when nothing is selected.
    fn retain_selected(&mut self, only: &[Address]) {
        if !only.is_empty() {
            self.machines
                .retain(|name, _| is_selected(&Address::new::<Machine>(name), only));
            self.crons
                .retain(|name, _| is_selected(&Address::new::<Cron>(name), only));
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
    // A machine whose host is unreachable can be neither read nor changed.
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
    })
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

/// Chooses what each machine goes back to.
fn choose_previous_states(
    histories: &MachineHistories,
    to: Option<&str>,
    only: &[Address],
    now: &World,
) -> Result<PreviousStates, OperationError> {
    let mut apps: BTreeMap<Name, Vec<&VersionHistory>> = BTreeMap::new();
    for (name, history) in histories.machines.iter().chain(&histories.crons) {
        apps.entry(name.root()).or_default().push(history);
    }
    let targets: BTreeMap<&Name, String> = apps
        .iter()
        .filter_map(|(app, all)| Some((app, VersionHistory::rollback_target(all, to)?)))
        .collect();
    if targets.is_empty() {
        return Err(no_release_error(&apps, to));
    }
    if let ([first, _, ..], true, None) =
        (&*targets.keys().collect::<Vec<_>>(), only.is_empty(), to)
    {
        let names: Vec<&str> = targets.keys().map(|app| app.as_str()).collect();
        return Err(OperationError::invalid(
            format!(
                "each of {} would go back to a release of its own",
                names.join(", ")
            ),
            format!("say which: --only fly.app/{first}; it can be said more than once"),
        ));
    }
    let group = |name: &Name| Machine::rollout_group(name);
    let mut groups: BTreeMap<Option<RolloutGroup>, PreviousConfig> = BTreeMap::new();
    for (name, history) in &histories.machines {
        if let Some(earlier) = targets
            .get(&name.root())
            .and_then(|target| history.config_in_release(target))
        {
            groups.entry(group(name)).or_insert(earlier);
        }
    }
    let pick = |name: &Name, history: &VersionHistory| {
        history.config_in_release(targets.get(&name.root())?)
    };
    // A machine that did not exist in that release gets the configuration that the others of its group had.
    let pick_machine = |name: &Name, history: &VersionHistory| {
        pick(name, history).or_else(|| groups.get(&group(name)).cloned())
    };
    // In a blue-green rollout that did not end the old machine is still there, cordoned. It takes over again, which is
    // faster and safer than to change the new one.
    let old = |name: &Name| {
        let id = now.fly_machine.get(name)?.workload.predecessor_id()?;
        let (old, live) = now
            .fly_machine
            .iter()
            .find(|(_, live)| live.workload.id == id)?;
        let target = targets.get(&name.root())?;
        let same = PreviousConfig::from_live(&live.workload)
            .metadata_value(OwnershipMark::RELEASE_KEY)
            == Some(target);
        (same && live.workload.health.cordoned && old != name)
            .then(|| PreviousState::OtherMachine(id.to_owned()))
    };
    let was = |name: &Name, history: &VersionHistory| {
        old(name).or_else(|| Some(PreviousState::Config(pick_machine(name, history)?)))
    };
    let machines = histories.machines.iter();
    let machines = machines.filter_map(|(name, history)| Some((name.clone(), was(name, history)?)));
    let crons = histories.crons.iter();
    let crons = crons.filter_map(|(name, history)| Some((name.clone(), pick(name, history)?)));
    Ok(PreviousStates {
        machines: machines.collect(),
        crons: crons.collect(),
    })
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
