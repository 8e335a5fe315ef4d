//! Assembles the world from a Fly snapshot: every live object gets the name that the manifest has
//! for it, or a generated one.

use std::collections::BTreeSet;

use super::{
    app_resources,
    collect::{AppExistence, AppSnapshot, FlySnapshot},
    databases, slots,
    volumes::{self, AssignedVolumes},
};
use crate::observe::ownership;
use crate::{
    clouds::CloudError,
    kinds::{
        DataLoss, Desired, UnmanagedResource, World,
        fly::{
            App, Machine, Volume,
            app::AppLive,
            cron::CronLive,
            machine::MachineLive,
            release::{self, LeftoverMachine, ReleaseLive},
            secrets::{SecretsLive, SecretsRecord},
            workload::WorkloadLive,
        },
    },
    model::{Address, Name, Ownership, OwnershipMark, ResourceMap, ResourceRef, resources_in_app},
};

/// Process groups of temporary machines that flyctl creates and removes itself.
const TEMPORARY_GROUPS: [&str; 4] = [
    release::RELEASE_COMMAND_GROUP,
    "fly_app_console",
    "fly_app_test_machine_command",
    "release_command",
];

/// Assembles the Fly part of the world.
pub(crate) fn assemble(snapshot: &FlySnapshot, desired: &Desired) -> Result<World, CloudError> {
    let mut world = World::default();
    world.findings.warnings.clone_from(&snapshot.warnings);
    for (key, snapshot) in &snapshot.apps {
        match &snapshot.existence {
            AppExistence::NameFree => {}
            AppExistence::NameTaken => world
                .findings
                .ownership_conflicts
                .push(ownership::name_taken_conflict(key, &snapshot.fly_name)),
            AppExistence::Exists(app) => add_app(&mut world, key, snapshot, app, desired)?,
        }
    }
    databases::add_databases(&mut world, snapshot, desired);
    world.findings.unmanaged.sort();
    Ok(world)
}

/// Adds an existing app and everything in it.
fn add_app(
    world: &mut World,
    key: &Name,
    snapshot: &AppSnapshot,
    app: &crate::clouds::fly::wire::AppResponse,
    desired: &Desired,
) -> Result<(), CloudError> {
    let reference: ResourceRef<App> = ResourceRef::new(key.clone());
    let mark = &desired.meta.mark;
    let read = |machine| WorkloadLive::from_wire(&reference, machine, mark);
    let workloads: Vec<WorkloadLive> = snapshot
        .machines
        .iter()
        .map(read)
        .collect::<Result<_, _>>()?;
    let labels = snapshot
        .secrets
        .iter()
        .map(|secret| secret.name.clone())
        .filter(|name| OwnershipMark::is_label(name))
        .collect();
    let app = AppLive::from_wire(app, labels);
    let conflict =
        ownership::ownership_conflict(key, &app, &workloads, ownership::is_empty(snapshot), mark);
    let release = read_release(&reference, desired, &workloads);
    world
        .fly_release
        .extend(release.map(|release| (key.clone(), release)));
    let (machines, unmanaged) = separate_unmanaged(key, workloads);
    world.findings.unmanaged.extend(unmanaged);
    let stated: BTreeSet<&str> = resources_in_app(&desired.fly_machine, key)
        .flat_map(|(_, spec)| spec.workload.config.verbatim.keys())
        .map(String::as_str)
        .collect();
    world.findings.unmanaged.extend(
        machines
            .iter()
            .flat_map(|machine| unmanaged_settings(key, machine, &stated)),
    );
    let is_adopted = desired.meta.adopt.contains(&Address::new::<App>(key));
    world
        .findings
        .ownership_conflicts
        .extend(conflict.filter(|conflict| !(is_adopted && conflict.adoptable)));
    let protected = app.is_protected();
    world.fly_app.insert(key.clone(), app);

    add_secrets(world, &reference, &machines, snapshot, desired);
    let (ips, unmanaged) = app_resources::match_ips(&reference, desired, &snapshot.ips);
    world.findings.unmanaged.extend(unmanaged);
    world.fly_ip.extend(ips);
    let (certificates, unmanaged) =
        app_resources::match_certificates(&reference, desired, &snapshot.certificates);
    world.findings.unmanaged.extend(unmanaged);
    world.fly_certificate.extend(certificates);

    add_machines_and_volumes(world, &reference, machines, snapshot, protected, desired);
    Ok(())
}

/// Adds the secrets of an app, with the fingerprints that its machines record.
fn add_secrets(
    world: &mut World,
    app: &ResourceRef<App>,
    machines: &[WorkloadLive],
    snapshot: &AppSnapshot,
    desired: &Desired,
) {
    let records: Vec<SecretsRecord> = machines.iter().map(WorkloadLive::secrets_record).collect();
    let (secrets, unmanaged) = app_resources::match_secrets(
        app,
        desired,
        &snapshot.secrets,
        &records,
        !machines.is_empty(),
    );
    world.findings.unmanaged.extend(unmanaged);
    // The newest version that any machine was started with.
    let version = machines
        .iter()
        .filter_map(|machine| {
            machine
                .metadata
                .get(OwnershipMark::SECRETS_VERSION_KEY)?
                .parse()
                .ok()
        })
        .max();
    world
        .fly_secrets
        .extend(secrets.map(|secrets| (app.name().clone(), SecretsLive { version, ..secrets })));
}

/// Adds the cron machines, the machines and the volumes of an app. Machines are assigned to slots
/// first, because a volume belongs to the slot of the machine that has it attached.
fn add_machines_and_volumes(
    world: &mut World,
    app: &ResourceRef<App>,
    machines: Vec<WorkloadLive>,
    snapshot: &AppSnapshot,
    protected: bool,
    desired: &Desired,
) {
    let key = app.name();
    let (crons, machines) = assign_crons(key, machines, desired);
    world.fly_cron.extend(
        crons
            .into_iter()
            .map(|(name, workload)| (name, CronLive { workload })),
    );
    let slots = resources_in_app(&desired.fly_machine, key)
        .map(|(name, spec)| (name.clone(), spec))
        .collect();
    let slots::SlotAssignment {
        machines,
        mut successors,
        retired,
    } = slots::assign(&slots, machines);
    let orphaned_standbys = machines
        .iter()
        .filter(|(name, machine)| is_orphaned_standby(name, machine, desired))
        .map(|(_, machine)| orphaned_standby_warning(key, machine));
    world.findings.warnings.extend(orphaned_standbys);
    let AssignedVolumes {
        volumes,
        spares,
        warnings,
    } = volumes::assign_volumes(app, desired, snapshot, &machines, protected);
    world.findings.unmanaged.extend(spares);
    world.findings.warnings.extend(warnings);
    let by_id: std::collections::BTreeMap<&str, &Name> = volumes
        .iter()
        .map(|(name, volume)| (volume.id.as_str(), name))
        .collect();
    let mut to_live = |workload: WorkloadLive| {
        let id = workload
            .config
            .mounts
            .first()
            .map(|mount| mount.volume.clone())
            .filter(|id| !id.is_empty());
        let to_ref = |id: &String| {
            by_id
                .get(id.as_str())
                .map(|name| ResourceRef::<Volume>::new((*name).clone()))
        };
        let volume = id.map(|id| (id.clone(), to_ref(&id)));
        let successor = successors.remove(&workload.id).map(Box::new);
        let retired = retired.contains(&workload.id);
        MachineLive {
            workload,
            volume,
            successor,
            retired,
        }
    };
    world.fly_machine.extend(
        machines
            .into_iter()
            .map(|(name, workload)| (name, to_live(workload))),
    );
    world.fly_volume.extend(volumes);
}

/// Whether a machine stands by for another one, although the manifest has no standby for its group.
fn is_orphaned_standby(name: &Name, machine: &WorkloadLive, desired: &Desired) -> bool {
    let is_declared = desired.fly_machine.contains_key(name);
    !is_declared
        && !machine.config.standbys.is_empty()
        && desired.fly_app.contains_key(&name.root())
}

/// `fly deploy` makes a standby by itself, so its owner may not know of it.
fn orphaned_standby_warning(key: &Name, machine: &WorkloadLive) -> String {
    format!(
        "machine {} is a standby, which Fly starts when the host of {} fails, and the manifest has none; to keep it, set \
         `standby = true` in [apps.{key}.machines.{}]",
        machine.id,
        machine.config.standbys.join(", "),
        machine.process_group()
    )
}

/// Reads the state of an app's releases from machine metadata. `None` if the manifest has no
/// release command and no release command machine is left over.
fn read_release(
    app: &ResourceRef<App>,
    desired: &Desired,
    workloads: &[WorkloadLive],
) -> Option<ReleaseLive> {
    let ours = || {
        workloads
            .iter()
            .filter(|machine| machine.ownership == Ownership::Ours)
    };
    let (commands, machines): (Vec<_>, Vec<_>) =
        ours().partition(|machine| machine.process_group() == release::RELEASE_COMMAND_GROUP);
    let to_leftover = |machine: &&WorkloadLive| LeftoverMachine {
        id: machine.id.clone(),
        state: machine.state.clone(),
    };
    let leftovers: Vec<LeftoverMachine> = commands.iter().map(to_leftover).collect();
    if leftovers.is_empty() && !desired.fly_release.contains_key(app.name()) {
        return None;
    }
    let keys = [
        OwnershipMark::RELEASE_KEY,
        OwnershipMark::RELEASE_COMMAND_SUCCEEDED_KEY,
    ];
    let releases = machines
        .iter()
        .flat_map(|machine| keys.map(|key| machine.metadata.get(key)));
    Some(ReleaseLive {
        app: app.clone(),
        done: releases.flatten().cloned().collect(),
        // Lists come in any order, and a plan does not depend on it.
        witness: machines
            .iter()
            .filter(|machine| machine.health.host_ok && !machine.health.cordoned)
            .map(|machine| &machine.id)
            .min()
            .cloned(),
        leftovers,
    })
}

/// Reports the settings of a machine that no key of a manifest sets. Whole parts of a machine can be
/// written in `machine_config`, and are managed when the app's own has `stated` them.
fn unmanaged_settings(
    key: &Name,
    machine: &WorkloadLive,
    stated: &BTreeSet<&str>,
) -> impl Iterator<Item = UnmanagedResource> {
    fn part(path: &str) -> &str {
        path.split(['.', '[']).next().unwrap_or_default()
    }
    let managed = serde_json::to_value(&machine.config).unwrap_or_default();
    let (parts, details): (Vec<&str>, Vec<&str>) = machine
        .unknown
        .iter()
        .map(String::as_str)
        .filter(|path| !stated.contains(part(path)))
        .partition(|path| managed.get(part(path)).is_none());
    let report = |paths: Vec<&str>, why: &str| {
        (!paths.is_empty()).then(|| UnmanagedResource {
            description: format!("{} of machine {}", paths.join(", "), machine.id),
            container: Address::new::<App>(key),
            why: why.to_owned(),
            data_loss: None,
            address: None,
            identity: String::new(),
        })
    };
    [
        report(
            parts,
            "the manifest says nothing of it, and it is kept; `machine_config` can say it",
        ),
        report(details, "a manifest cannot say it, and it is kept"),
    ]
    .into_iter()
    .flatten()
}

/// Separates managed machines from unmanaged ones: temporary machines, and machines of another
/// owner in our app.
pub(super) fn separate_unmanaged(
    key: &Name,
    workloads: Vec<WorkloadLive>,
) -> (Vec<WorkloadLive>, Vec<UnmanagedResource>) {
    let reason = |machine: &WorkloadLive| {
        let is_auto_destroy = machine
            .raw
            .get("auto_destroy")
            .and_then(serde_json::Value::as_bool)
            == Some(true);
        match &machine.ownership {
            Ownership::Ours if machine.process_group() == release::RELEASE_COMMAND_GROUP => None,
            _ if TEMPORARY_GROUPS.contains(&machine.process_group()) || is_auto_destroy => {
                Some("it is temporary".to_owned())
            }
            Ownership::Foreign(mark) => Some(format!(
                "it belongs to {}/{}",
                mark.project, mark.environment
            )),
            _ => None,
        }
    };
    let mut unmanaged = Vec::new();
    let mut managed = Vec::new();
    for machine in workloads {
        match reason(&machine) {
            // Machines of our release commands do not belong to a process group; `read_release`
            // handles them.
            None if machine.process_group() == release::RELEASE_COMMAND_GROUP => {}
            None => managed.push(machine),
            Some(reason) => unmanaged.push(UnmanagedResource {
                description: format!(
                    "machine {} ({}, {})",
                    machine.id,
                    machine.region,
                    machine.process_group()
                ),
                container: Address::new::<App>(key),
                // Deleting the app would also delete this machine of another owner.
                data_loss: matches!(machine.ownership, Ownership::Foreign(_))
                    .then_some(DataLoss::App),
                why: reason,
                address: Some(Address::new::<Machine>(&app_resources::name_in_app(
                    key,
                    &[
                        machine.process_group(),
                        machine.region.as_str(),
                        &machine.id,
                    ],
                ))),
                identity: machine.id.clone(),
            }),
        }
    }
    (managed, unmanaged)
}

/// Cron machines by name: the one that remembers it, or the one that Fly calls so. A machine with a schedule that the
/// manifest does not know keeps a name of its own.
fn assign_crons(
    key: &Name,
    machines: Vec<WorkloadLive>,
    desired: &Desired,
) -> (ResourceMap<WorkloadLive>, Vec<WorkloadLive>) {
    let mut assigned = ResourceMap::new();
    let mut others = Vec::new();
    for machine in machines {
        let recorded = machine
            .marked_name()
            .filter(|_| machine.ownership == Ownership::Ours);
        let by_mark = recorded.filter(|name| desired.fly_cron.contains_key(name));
        let by_name = resources_in_app(&desired.fly_cron, key)
            .find(|(_, spec)| spec.machine == machine.machine);
        let name = by_mark.or_else(|| by_name.map(|(name, _)| name.clone()));
        match name {
            Some(name) if name.root() == *key && !assigned.contains_key(&name) => {
                assigned.insert(name, machine);
            }
            _ if machine.config.schedule.is_some() => {
                let generated = app_resources::name_in_app(key, &[&machine.machine]);
                let is_taken =
                    assigned.contains_key(&generated) || desired.fly_cron.contains_key(&generated);
                let generated = if is_taken {
                    app_resources::name_in_app(key, &[&machine.machine, &machine.id])
                } else {
                    generated
                };
                assigned.insert(generated, machine);
            }
            _ => others.push(machine),
        }
    }
    (assigned, others)
}
