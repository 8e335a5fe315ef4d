//! From the world and what is desired of it to a fleet: judgements such as "asleep" are made here, and only here.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Activity, App, Certificate, Checks, Cron, FORMAT_VERSION, Fleet, Group, Image, Ip, LastRun,
    Machine, Unmanaged, Volume,
};
use crate::{
    kinds::{
        Desired, World,
        fly::{
            self,
            workload::{Run, WorkloadLive, config::Autostop},
        },
    },
    model::{Address, Name, Named, Table},
};

impl Fleet {
    /// What runs, and how many should.
    #[must_use]
    pub fn of(desired: &Desired, world: &World) -> Self {
        let keys: BTreeSet<&Name> = desired.fly_app.keys().chain(world.fly_app.keys()).collect();
        let found = &world.found;
        let claims = found.claims.iter().map(|claim| claim.reason.clone());
        let unmanaged = found.unmanaged.iter().map(|left| Unmanaged {
            what: left.what.clone(),
            within: left.within.to_string(),
            why: left.why.clone(),
        });
        let meta = &desired.meta;
        Self {
            format_version: FORMAT_VERSION,
            project: meta.mark.project.clone(),
            environment: meta.mark.environment.clone(),
            organization: meta.org.clone(),
            apps: keys
                .into_iter()
                .map(|key| app(key, desired, world))
                .collect(),
            aws: super::aws::all(desired, world),
            unmanaged: unmanaged.collect(),
            warnings: claims
                .chain(waiting(world))
                .chain(found.warnings.iter().chain(&meta.warnings).cloned())
                .collect(),
        }
    }
}

/// Successors that have not taken over: a run was interrupted.
fn waiting(world: &World) -> impl Iterator<Item = String> {
    let successors = world
        .fly_machine
        .iter()
        .filter_map(|(name, live)| Some((name, live.successor.as_ref()?)));
    successors.map(|(name, green)| {
        format!(
            "machine {} waits beside {name}, hidden, to take its place: a rollout stopped; apply goes on with it, or \
             makes another when something else is asked for",
            green.id
        )
    })
}

fn app(key: &Name, desired: &Desired, world: &World) -> App {
    let (asked, there) = (desired.fly_app.get(key), world.fly_app.get(key));
    let name = there
        .map(|live| &live.name)
        .or_else(|| asked.map(|spec| &spec.name));
    let groups = groups(key, desired, world);
    let holders = holders(key, world);
    let secrets = world
        .fly_secrets
        .get(key)
        .into_iter()
        .flat_map(|secrets| secrets.present.keys());
    App {
        app: key.to_string(),
        fly_name: name.cloned().unwrap_or_default(),
        exists: there.is_some(),
        cron: crons(key, desired, world, &groups),
        groups,
        volumes: volumes(key, desired, world, &holders),
        ips: inside(&world.fly_ip, key)
            .map(|(name, ip)| Ip {
                name: name.to_string(),
                address: ip.address.clone(),
                kind: ip.kind.to_string(),
                region: ip.region.clone(),
            })
            .collect(),
        certificates: inside(&world.fly_certificate, key)
            .map(|(name, live)| Certificate {
                name: name.to_string(),
                hostname: live.hostname.clone(),
                configured: live.configured,
            })
            .collect(),
        secrets: secrets.cloned().collect(),
        missing: missing(key, desired, world),
    }
}

/// The part of a table that lies in one app.
fn inside<'t, T>(table: &'t Table<T>, app: &Name) -> impl Iterator<Item = (&'t Name, &'t T)> {
    let prefix = app.inside();
    table
        .iter()
        .filter(move |(name, _)| name.as_str().starts_with(&prefix))
}

fn groups(key: &Name, desired: &Desired, world: &World) -> Vec<Group> {
    let mut groups: BTreeMap<(String, String), Group> = BTreeMap::new();
    let mut at = |group: &str, region: &str, change: &mut dyn FnMut(&mut Group)| {
        let place = (group.to_owned(), region.to_owned());
        let empty = || Group {
            group: group.to_owned(),
            region: region.to_owned(),
            desired: 0,
            running: 0,
            asleep: 0,
            mixed: false,
            machines: Vec::new(),
        };
        change(groups.entry(place).or_insert_with(empty));
    };
    for (_, spec) in inside(&desired.fly_machine, key) {
        at(&spec.group, spec.workload.region.as_str(), &mut |group| {
            group.desired += 1
        });
    }
    for (name, live) in inside(&world.fly_machine, key) {
        let mut machine = machine(name, &live.workload, desired.fly_machine.contains_key(name));
        machine.retired = live.retired;
        machine.volume = live.volume.as_ref().map(|(id, _)| id.clone());
        at(
            live.workload.group(),
            live.workload.region.as_str(),
            &mut |group| {
                group.running +=
                    usize::from(machine.activity == Activity::Running && !machine.retired);
                group.asleep += usize::from(machine.activity == Activity::Asleep);
                group.machines.push(machine.clone());
            },
        );
    }
    let mut groups: Vec<Group> = groups.into_values().collect();
    let mut seen: BTreeMap<String, BTreeSet<_>> = BTreeMap::new();
    for group in &groups {
        // What is hidden serves nobody.
        let serving = group.machines.iter().filter(|machine| !machine.retired);
        seen.entry(group.group.clone())
            .or_default()
            .extend(serving.map(Machine::version));
    }
    let mixed: BTreeSet<String> = seen
        .into_iter()
        .filter(|(_, versions)| versions.len() > 1)
        .map(|(group, _)| group)
        .collect();
    for group in &mut groups {
        group.mixed = mixed.contains(&group.group);
    }
    groups
}

fn machine(name: &Name, live: &WorkloadLive, wanted: bool) -> Machine {
    let (passing, total) = live.health.checks;
    Machine {
        name: name.to_string(),
        id: live.id.clone(),
        region: live.region.to_string(),
        state: live.state.clone(),
        activity: activity(live),
        checks: Checks { passing, total },
        image: live.config.image.as_ref().map(|image| Image {
            reference: image.to_string(),
            digest: live
                .digest
                .clone()
                .or_else(|| image.digest().map(str::to_owned)),
        }),
        release: live.release().map(str::to_owned),
        cordoned: live.health.cordoned,
        reachable: live.health.host_ok,
        proven: !live.is_unproven(),
        wanted,
        retired: false,
        volume: None,
        last_run: live.last_run.as_ref().map(last_run),
    }
}

fn activity(live: &WorkloadLive) -> Activity {
    let services = &live.config.services;
    // A machine that nothing puts to sleep was stopped by somebody, even where a request would start it.
    let sleeps = |service: &fly::workload::config::Service| {
        service.autostop != Autostop::Off && service.autostart != Some(false)
    };
    match live.state.as_str() {
        _ if !live.health.host_ok => Activity::Unreachable,
        "started" => Activity::Running,
        "stopped" | "suspended" if services.iter().any(sleeps) => Activity::Asleep,
        "stopped" | "created" if !live.config.standbys.is_empty() => Activity::Standby,
        "stopped" | "suspended" | "created" => Activity::Stopped,
        "failed" | "launch_failed" => Activity::Failed,
        _ => Activity::Changing,
    }
}

fn last_run(run: &Run) -> LastRun {
    let Run {
        ended,
        exit_code,
        oom_killed,
        requested,
    } = run;
    let time = jiff::Timestamp::from_millisecond(*ended).unwrap_or_default();
    LastRun {
        ended_at: time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        exit_code: *exit_code,
        oom_killed: *oom_killed,
        requested: *requested,
    }
}

fn crons(key: &Name, desired: &Desired, world: &World, groups: &[Group]) -> Vec<Cron> {
    let running: BTreeSet<Option<&Image>> = groups
        .iter()
        .flat_map(|group| &group.machines)
        .map(|machine| machine.image.as_ref())
        .collect();
    let asked = |name: &Name| {
        desired
            .fly_cron
            .get(name)
            .and_then(|spec| spec.workload.config.image.clone())
    };
    let others: BTreeSet<_> = inside(&desired.fly_machine, key)
        .filter_map(|(_, spec)| spec.workload.config.image.clone())
        .collect();
    let read = |(name, live): (&Name, &fly::cron::CronLive)| {
        let machine = machine(name, &live.workload, desired.fly_cron.contains_key(name));
        let same = running
            .iter()
            .any(|image| same_image(*image, machine.image.as_ref()));
        // An image of its own that the manifest asks for is no surprise.
        let meant = asked(name).is_some_and(|image| !others.is_empty() && !others.contains(&image));
        Cron {
            schedule: live.workload.config.schedule.clone(),
            other_image: !running.is_empty() && !same && !meant,
            machine,
        }
    };
    inside(&world.fly_cron, key).map(read).collect()
}

/// By digest where both have one.
fn same_image(a: Option<&Image>, b: Option<&Image>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) if a.digest.is_some() && b.digest.is_some() => a.digest == b.digest,
        (a, b) => a.map(|image| &image.reference) == b.map(|image| &image.reference),
    }
}

/// The environment's machines by Fly's ids.
fn holders(key: &Name, world: &World) -> BTreeMap<String, String> {
    let machines = inside(&world.fly_machine, key).map(|(name, live)| (name, &live.workload));
    let crons = inside(&world.fly_cron, key).map(|(name, live)| (name, &live.workload));
    machines
        .chain(crons)
        .map(|(name, live)| (live.id.clone(), name.to_string()))
        .collect()
}

fn volumes(
    key: &Name,
    desired: &Desired,
    world: &World,
    holders: &BTreeMap<String, String>,
) -> Vec<Volume> {
    let read = |(name, live): (&Name, &fly::volume::VolumeLive)| Volume {
        name: name.to_string(),
        id: live.id.clone(),
        state: live.state.clone(),
        region: live.region.to_string(),
        size_gb: live.size.0,
        bytes_used: live.usage.map(|(used, _)| used),
        bytes_total: live.usage.map(|(_, total)| total),
        held_by: live.attached_machine.clone(),
        held_by_name: live
            .attached_machine
            .as_ref()
            .and_then(|id| holders.get(id))
            .cloned(),
        reachable: live.host_ok,
        wanted: desired.fly_volume.contains_key(name),
    };
    inside(&world.fly_volume, key).map(read).collect()
}

/// What the manifest names and is not there.
fn missing(key: &Name, desired: &Desired, world: &World) -> Vec<String> {
    fn of<K: Named, S, L>(key: &Name, asked: &Table<S>, there: &Table<L>) -> Vec<String> {
        let lacking = inside(asked, key).filter(|(name, _)| !there.contains_key(*name));
        lacking
            .map(|(name, _)| Address::of::<K>(name).to_string())
            .collect()
    }
    if !world.fly_app.contains_key(key) {
        return vec![Address::of::<fly::App>(key).to_string()];
    }
    [
        of::<fly::Machine, _, _>(key, &desired.fly_machine, &world.fly_machine),
        of::<fly::Cron, _, _>(key, &desired.fly_cron, &world.fly_cron),
        of::<fly::Volume, _, _>(key, &desired.fly_volume, &world.fly_volume),
        of::<fly::Ip, _, _>(key, &desired.fly_ip, &world.fly_ip),
        of::<fly::Certificate, _, _>(key, &desired.fly_certificate, &world.fly_certificate),
    ]
    .concat()
}
