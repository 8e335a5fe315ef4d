//! A snapshot and the manifest's names make a world: every live object under the name that the manifest gives it, or
//! under one of its own.

use super::{
    collect::{AppShot, Existence, Snapshot},
    inside, owner, slots,
};
use crate::{
    clouds::CloudError,
    kinds::{
        Desired, Loss, Unmanaged, World,
        fly::{
            App, Volume,
            app::AppLive,
            cron::CronLive,
            machine::MachineLive,
            release::{self, Leftover, ReleaseLive},
            secrets::{Record, SecretsLive},
            workload::WorkloadLive,
        },
    },
    model::{Address, Mark, Name, Ownership, Ref, Table, within},
};

/// Process groups of machines that flyctl makes for a moment and removes itself.
const TEMPORARY: [&str; 4] = [
    release::GROUP,
    "fly_app_console",
    "fly_app_test_machine_command",
    "release_command",
];

/// Puts everything together.
pub(super) fn assemble(snapshot: &Snapshot, desired: &Desired) -> Result<World, CloudError> {
    let mut world = World::default();
    world.found.warnings.clone_from(&snapshot.warnings);
    for (key, shot) in &snapshot.apps {
        match &shot.existence {
            Existence::Free => {}
            Existence::Taken => world.found.claims.push(owner::taken(key, &shot.fly_name)),
            Existence::Here(app) => here(&mut world, key, shot, app, desired)?,
        }
    }
    world.found.unmanaged.sort();
    Ok(world)
}

/// One app that is there.
fn here(
    world: &mut World,
    key: &Name,
    shot: &AppShot,
    app: &crate::clouds::fly::wire::App,
    desired: &Desired,
) -> Result<(), CloudError> {
    let reference: Ref<App> = Ref::to(key.clone());
    let mark = &desired.meta.mark;
    let read = |machine| WorkloadLive::read(&reference, machine, mark);
    let all: Vec<WorkloadLive> = shot.machines.iter().map(read).collect::<Result<_, _>>()?;
    let labels = shot
        .secrets
        .iter()
        .map(|secret| secret.name.clone())
        .filter(|name| Mark::is_label(name))
        .collect();
    let app = AppLive::read(app, labels);
    let claim = owner::claim(key, &app, &all, owner::is_bare(shot), mark);
    let release = release(&reference, desired, &all);
    world
        .fly_release
        .extend(release.map(|release| (key.clone(), release)));
    let (machines, left_alone) = sort_out(key, all);
    world.found.unmanaged.extend(left_alone);
    world
        .found
        .unmanaged
        .extend(machines.iter().filter_map(|machine| kept(key, machine)));
    let adopted = desired.meta.adopt.contains(&Address::of::<App>(key));
    world
        .found
        .claims
        .extend(claim.filter(|claim| !(adopted && claim.adoptable)));
    let protected = app.protected();
    world.fly_app.insert(key.clone(), app);

    let records: Vec<Record> = machines.iter().map(WorkloadLive::secrets).collect();
    let (secrets, left) = inside::secrets(
        &reference,
        desired,
        &shot.secrets,
        &records,
        !machines.is_empty(),
    );
    world.found.unmanaged.extend(left);
    let version = machines
        .iter()
        .filter_map(|machine| machine.metadata.get(Mark::SECRETS_VERSION)?.parse().ok())
        .max();
    world
        .fly_secrets
        .extend(secrets.map(|secrets| (key.clone(), SecretsLive { version, ..secrets })));
    let (ips, left) = inside::ips(&reference, desired, &shot.ips);
    world.found.unmanaged.extend(left);
    world.fly_ip.extend(ips);
    let (certificates, left) = inside::certificates(&reference, desired, &shot.certificates);
    world.found.unmanaged.extend(left);
    world.fly_certificate.extend(certificates);

    let (crons, machines) = crons(key, machines, desired);
    world.fly_cron.extend(
        crons
            .into_iter()
            .map(|(name, workload)| (name, CronLive { workload })),
    );
    let wanted = within(&desired.fly_machine, key)
        .map(|(name, spec)| (name.clone(), spec))
        .collect();
    let slots::Assigned {
        machines,
        mut successors,
        retired,
    } = slots::assign(&wanted, machines);
    let (volumes, left) = inside::volumes(&reference, desired, &shot.volumes, &machines, protected);
    world.found.unmanaged.extend(left);
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
                .map(|name| Ref::<Volume>::to((*name).clone()))
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
fn release(app: &Ref<App>, desired: &Desired, all: &[WorkloadLive]) -> Option<ReleaseLive> {
    let ours = || {
        all.iter()
            .filter(|machine| machine.ownership == Ownership::Ours)
    };
    let (commands, machines): (Vec<_>, Vec<_>) =
        ours().partition(|machine| machine.group() == release::GROUP);
    let leftover = |machine: &&WorkloadLive| Leftover {
        id: machine.id.clone(),
        state: machine.state.clone(),
    };
    let leftovers: Vec<Leftover> = commands.iter().map(leftover).collect();
    if leftovers.is_empty() && !desired.fly_release.contains_key(app.name()) {
        return None;
    }
    let keys = [Mark::RELEASE, Mark::RELEASED];
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
fn kept(key: &Name, machine: &WorkloadLive) -> Option<Unmanaged> {
    (!machine.unknown.is_empty()).then(|| Unmanaged {
        what: format!("{} of machine {}", machine.unknown.join(", "), machine.id),
        within: key.clone(),
        why: "a manifest cannot say it; it is kept".to_owned(),
        loss: None,
    })
}

/// Separates what is left alone: machines that exist for a moment only, and machines of another owner in our app.
fn sort_out(key: &Name, all: Vec<WorkloadLive>) -> (Vec<WorkloadLive>, Vec<Unmanaged>) {
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
            Ownership::Ours if machine.group() == release::GROUP => None,
            _ if TEMPORARY.contains(&machine.group()) || destroys_itself => {
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
            None if machine.group() == release::GROUP => {}
            None => ours.push(machine),
            Some(why) => left_alone.push(Unmanaged {
                what: format!(
                    "machine {} ({}, {})",
                    machine.id,
                    machine.region,
                    machine.group()
                ),
                within: key.clone(),
                // A machine of another owner is not ours to take along.
                loss: matches!(machine.ownership, Ownership::Foreign(_)).then_some(Loss::App),
                why,
            }),
        }
    }
    (ours, left_alone)
}

/// Cron machines by name: the one that remembers it, or the one that Fly calls so. A machine with a schedule that the
/// manifest does not know keeps a name of its own.
fn crons(
    key: &Name,
    machines: Vec<WorkloadLive>,
    desired: &Desired,
) -> (Table<WorkloadLive>, Vec<WorkloadLive>) {
    let mut table = Table::new();
    let mut rest = Vec::new();
    for machine in machines {
        let marked = machine
            .marked_name()
            .filter(|_| machine.ownership == Ownership::Ours);
        let by_mark = marked.filter(|name| desired.fly_cron.contains_key(name));
        let by_name =
            within(&desired.fly_cron, key).find(|(_, spec)| spec.machine == machine.machine);
        let name = by_mark.or_else(|| by_name.map(|(name, _)| name.clone()));
        match name {
            Some(name) if name.root() == *key && !table.contains_key(&name) => {
                table.insert(name, machine);
            }
            _ if machine.config.schedule.is_some() => {
                let own = inside::name_of(key, &[&machine.machine]);
                let taken = table.contains_key(&own) || desired.fly_cron.contains_key(&own);
                let own = if taken {
                    inside::name_of(key, &[&machine.machine, &machine.id])
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
