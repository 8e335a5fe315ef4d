//! A snapshot and the manifest's names make a world: every live object under the name that the manifest gives it, or
//! under one of its own.

use super::{
    app_resources,
    collect::{AppExistence, AppSnapshot, FlySnapshot},
    slots,
};
use crate::observe::ownership;
use crate::{
    clouds::CloudError,
    kinds::{
        DataLoss, Desired, UnmanagedResource, World,
        fly::{
            App, Volume,
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

/// Process groups of machines that flyctl makes for a moment and removes itself.
const TEMPORARY_GROUPS: [&str; 4] = [
    release::RELEASE_COMMAND_GROUP,
    "fly_app_console",
    "fly_app_test_machine_command",
    "release_command",
];

/// Puts everything together.
pub(crate) fn assemble(snapshot: &FlySnapshot, desired: &Desired) -> Result<World, CloudError> {
    let mut world = World::default();
    world.findings.warnings.clone_from(&snapshot.warnings);
    for (key, shot) in &snapshot.apps {
        match &shot.existence {
            AppExistence::NameFree => {}
            AppExistence::NameTaken => world
                .findings
                .ownership_conflicts
                .push(ownership::name_taken_conflict(key, &shot.fly_name)),
            AppExistence::Exists(app) => add_app(&mut world, key, shot, app, desired)?,
        }
    }
    world.findings.unmanaged.sort();
    Ok(world)
}

/// One app that is there.
fn add_app(
    world: &mut World,
    key: &Name,
    shot: &AppSnapshot,
    app: &crate::clouds::fly::wire::AppResponse,
    desired: &Desired,
) -> Result<(), CloudError> {
    let reference: ResourceRef<App> = ResourceRef::new(key.clone());
    let mark = &desired.meta.mark;
    let read = |machine| WorkloadLive::from_wire(&reference, machine, mark);
    let all: Vec<WorkloadLive> = shot.machines.iter().map(read).collect::<Result<_, _>>()?;
    let labels = shot
        .secrets
        .iter()
        .map(|secret| secret.name.clone())
        .filter(|name| OwnershipMark::is_label(name))
        .collect();
    let app = AppLive::from_wire(app, labels);
    let claim = ownership::ownership_conflict(key, &app, &all, ownership::is_empty(shot), mark);
    let release = read_release(&reference, desired, &all);
    world
        .fly_release
        .extend(release.map(|release| (key.clone(), release)));
    let (machines, left_alone) = separate_unmanaged(key, all);
    world.findings.unmanaged.extend(left_alone);
    world.findings.unmanaged.extend(
        machines
            .iter()
            .filter_map(|machine| unmanaged_settings(key, machine)),
    );
    let adopted = desired.meta.adopt.contains(&Address::new::<App>(key));
    world
        .findings
        .ownership_conflicts
        .extend(claim.filter(|claim| !(adopted && claim.adoptable)));
    let protected = app.is_protected();
    world.fly_app.insert(key.clone(), app);

    let records: Vec<SecretsRecord> = machines.iter().map(WorkloadLive::secrets_record).collect();
    let (secrets, left) = app_resources::match_secrets(
        &reference,
        desired,
        &shot.secrets,
        &records,
        !machines.is_empty(),
    );
    world.findings.unmanaged.extend(left);
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
        .extend(secrets.map(|secrets| (key.clone(), SecretsLive { version, ..secrets })));
    let (ips, left) = app_resources::match_ips(&reference, desired, &shot.ips);
    world.findings.unmanaged.extend(left);
    world.fly_ip.extend(ips);
    let (certificates, left) =
        app_resources::match_certificates(&reference, desired, &shot.certificates);
    world.findings.unmanaged.extend(left);
    world.fly_certificate.extend(certificates);

    let (crons, machines) = assign_crons(key, machines, desired);
    world.fly_cron.extend(
        crons
            .into_iter()
            .map(|(name, workload)| (name, CronLive { workload })),
    );
    let wanted = resources_in_app(&desired.fly_machine, key)
        .map(|(name, spec)| (name.clone(), spec))
        .collect();
    let slots::SlotAssignment {
        machines,
        mut successors,
        retired,
    } = slots::assign(&wanted, machines);
    let (volumes, left) =
        app_resources::assign_volumes(&reference, desired, &shot.volumes, &machines, protected);
    world.findings.unmanaged.extend(left);
    let by_id: std::collections::BTreeMap<&str, &Name> = volumes
        .iter()
        .map(|(name, volume)| (volume.id.as_str(), name))
        .collect();
    let mut held = |workload: WorkloadLive| {
        let id = workload
            .config
            .mounts
            .first()
            .map(|mount| mount.volume.clone())
            .filter(|id| !id.is_empty());
        let named = |id: &String| {
            by_id
                .get(id.as_str())
                .map(|name| ResourceRef::<Volume>::new((*name).clone()))
        };
        let volume = id.map(|id| (id.clone(), named(&id)));
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
            .map(|(name, workload)| (name, held(workload))),
    );
    world.fly_volume.extend(volumes);
    Ok(())
}

/// What the machines of an app remember of its releases. There is nothing to say when the manifest has no release command
/// and none has left anything.
fn read_release(
    app: &ResourceRef<App>,
    desired: &Desired,
    all: &[WorkloadLive],
) -> Option<ReleaseLive> {
    let ours = || {
        all.iter()
            .filter(|machine| machine.ownership == Ownership::Ours)
    };
    let (commands, machines): (Vec<_>, Vec<_>) =
        ours().partition(|machine| machine.process_group() == release::RELEASE_COMMAND_GROUP);
    let leftover = |machine: &&WorkloadLive| LeftoverMachine {
        id: machine.id.clone(),
        state: machine.state.clone(),
    };
    let leftovers: Vec<LeftoverMachine> = commands.iter().map(leftover).collect();
    if leftovers.is_empty() && !desired.fly_release.contains_key(app.name()) {
        return None;
    }
    let keys = [
        OwnershipMark::RELEASE_KEY,
        OwnershipMark::RELEASE_COMMAND_SUCCEEDED_KEY,
    ];
    let remembered = machines
        .iter()
        .flat_map(|machine| keys.map(|key| machine.metadata.get(key)));
    Some(ReleaseLive {
        app: app.clone(),
        done: remembered.flatten().cloned().collect(),
        witness: machines
            .iter()
            .find(|machine| machine.health.host_ok && !machine.health.cordoned)
            .map(|machine| machine.id.clone()),
        leftovers,
    })
}

/// What a machine holds that a manifest cannot say.
fn unmanaged_settings(key: &Name, machine: &WorkloadLive) -> Option<UnmanagedResource> {
    (!machine.unknown.is_empty()).then(|| UnmanagedResource {
        what: format!("{} of machine {}", machine.unknown.join(", "), machine.id),
        within: key.clone(),
        why: "a manifest cannot say it; it is kept".to_owned(),
        loss: None,
    })
}

/// Separates what is left alone: machines that exist for a moment only, and machines of another owner in our app.
fn separate_unmanaged(
    key: &Name,
    all: Vec<WorkloadLive>,
) -> (Vec<WorkloadLive>, Vec<UnmanagedResource>) {
    let foreign_only = !all
        .iter()
        .any(|machine| machine.ownership == Ownership::Ours);
    let why = |machine: &WorkloadLive| {
        let destroys_itself = machine
            .raw
            .get("auto_destroy")
            .and_then(serde_json::Value::as_bool)
            == Some(true);
        match &machine.ownership {
            Ownership::Ours if machine.process_group() == release::RELEASE_COMMAND_GROUP => None,
            _ if TEMPORARY_GROUPS.contains(&machine.process_group()) || destroys_itself => {
                Some("it is temporary".to_owned())
            }
            Ownership::Foreign(mark) if !foreign_only => Some(format!(
                "it belongs to {}/{}",
                mark.project, mark.environment
            )),
            _ => None,
        }
    };
    let mut left_alone = Vec::new();
    let mut ours = Vec::new();
    for machine in all {
        match why(&machine) {
            // Machines of our release commands are no machines of a group; see `release`.
            None if machine.process_group() == release::RELEASE_COMMAND_GROUP => {}
            None => ours.push(machine),
            Some(why) => left_alone.push(UnmanagedResource {
                what: format!(
                    "machine {} ({}, {})",
                    machine.id,
                    machine.region,
                    machine.process_group()
                ),
                within: key.clone(),
                // A machine of another owner is not ours to take along.
                loss: matches!(machine.ownership, Ownership::Foreign(_)).then_some(DataLoss::App),
                why,
            }),
        }
    }
    (ours, left_alone)
}

/// Cron machines by name: the one that remembers it, or the one that Fly calls so. A machine with a schedule that the
/// manifest does not know keeps a name of its own.
fn assign_crons(
    key: &Name,
    machines: Vec<WorkloadLive>,
    desired: &Desired,
) -> (ResourceMap<WorkloadLive>, Vec<WorkloadLive>) {
    let mut table = ResourceMap::new();
    let mut rest = Vec::new();
    for machine in machines {
        let marked = machine
            .marked_name()
            .filter(|_| machine.ownership == Ownership::Ours);
        let by_mark = marked.filter(|name| desired.fly_cron.contains_key(name));
        let by_name = resources_in_app(&desired.fly_cron, key)
            .find(|(_, spec)| spec.machine == machine.machine);
        let name = by_mark.or_else(|| by_name.map(|(name, _)| name.clone()));
        match name {
            Some(name) if name.root() == *key && !table.contains_key(&name) => {
                table.insert(name, machine);
            }
            _ if machine.config.schedule.is_some() => {
                let own = app_resources::name_in_app(key, &[&machine.machine]);
                let taken = table.contains_key(&own) || desired.fly_cron.contains_key(&own);
                let own = if taken {
                    app_resources::name_in_app(key, &[&machine.machine, &machine.id])
                } else {
                    own
                };
                table.insert(own, machine);
            }
            _ => rest.push(machine),
        }
    }
    (table, rest)
}
