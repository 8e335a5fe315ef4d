//! From the world and what is desired of it to a fleet: judgements such as "asleep" are made here, and only here.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Activity, AppSummary, CertificateStatus, CheckCounts, CronSummary, EnvironmentStatus,
    FORMAT_VERSION, GroupSummary, ImageSummary, IpSummary, LastRun, MachineSummary,
    UnmanagedSummary, VolumeSummary,
};
use crate::{
    kinds::{
        Desired, World,
        fly::{
            self,
            workload::{ProcessExit, WorkloadLive, config::Autostop},
        },
    },
    model::{Address, KindName, Name, ResourceMap},
};

impl EnvironmentStatus {
    /// What runs, and how many should.
    #[must_use]
    pub fn from_world(desired: &Desired, world: &World) -> Self {
        let keys: BTreeSet<&Name> = desired.fly_app.keys().chain(world.fly_app.keys()).collect();
        let found = &world.findings;
        let claims = found
            .ownership_conflicts
            .iter()
            .map(|claim| claim.reason.clone());
        let unmanaged = found.unmanaged.iter().map(|left| UnmanagedSummary {
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
                .map(|key| summarize_app(key, desired, world))
                .collect(),
            aws: super::aws::summarize_aws_resources(desired, world),
            unmanaged: unmanaged.collect(),
            warnings: claims
                .chain(pending_successor_warnings(world))
                .chain(found.warnings.iter().chain(&meta.warnings).cloned())
                .collect(),
        }
    }
}

/// Successors that have not taken over: a run was interrupted.
fn pending_successor_warnings(world: &World) -> impl Iterator<Item = String> {
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

fn summarize_app(key: &Name, desired: &Desired, world: &World) -> AppSummary {
    let (asked, there) = (desired.fly_app.get(key), world.fly_app.get(key));
    let name = there
        .map(|live| &live.name)
        .or_else(|| asked.map(|spec| &spec.name));
    let groups = summarize_groups(key, desired, world);
    let holders = machine_names_by_id(key, world);
    let secrets = world
        .fly_secrets
        .get(key)
        .into_iter()
        .flat_map(|secrets| secrets.present.keys());
    AppSummary {
        app: key.to_string(),
        fly_name: name.cloned().unwrap_or_default(),
        exists: there.is_some(),
        cron: summarize_crons(key, desired, world, &groups),
        groups,
        volumes: summarize_volumes(key, desired, world, &holders),
        ips: within_app(&world.fly_ip, key)
            .map(|(name, ip)| IpSummary {
                name: name.to_string(),
                address: ip.address.clone(),
                kind: ip.kind.to_string(),
                region: ip.region.clone(),
            })
            .collect(),
        certificates: within_app(&world.fly_certificate, key)
            .map(|(name, live)| CertificateStatus {
                name: name.to_string(),
                hostname: live.hostname.clone(),
                configured: live.configured,
            })
            .collect(),
        secrets: secrets.cloned().collect(),
        missing: missing_addresses(key, desired, world),
    }
}

/// The part of a table that lies in one app.
fn within_app<'t, T>(
    table: &'t ResourceMap<T>,
    app: &Name,
) -> impl Iterator<Item = (&'t Name, &'t T)> {
    let prefix = app.child_prefix();
    table
        .iter()
        .filter(move |(name, _)| name.as_str().starts_with(&prefix))
}

fn summarize_groups(key: &Name, desired: &Desired, world: &World) -> Vec<GroupSummary> {
    let mut groups: BTreeMap<(String, String), GroupSummary> = BTreeMap::new();
    let mut at = |group: &str, region: &str, change: &mut dyn FnMut(&mut GroupSummary)| {
        let place = (group.to_owned(), region.to_owned());
        let empty = || GroupSummary {
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
    for (_, spec) in within_app(&desired.fly_machine, key) {
        at(&spec.group, spec.workload.region.as_str(), &mut |group| {
            group.desired += 1;
        });
    }
    for (name, live) in within_app(&world.fly_machine, key) {
        let mut machine =
            summarize_machine(name, &live.workload, desired.fly_machine.contains_key(name));
        machine.retired = live.retired;
        machine.volume = live.volume.as_ref().map(|(id, _)| id.clone());
        at(
            live.workload.process_group(),
            live.workload.region.as_str(),
            &mut |group| {
                group.running +=
                    usize::from(machine.activity == Activity::Running && !machine.retired);
                group.asleep += usize::from(machine.activity == Activity::Asleep);
                group.machines.push(machine.clone());
            },
        );
    }
    let mut groups: Vec<GroupSummary> = groups.into_values().collect();
    let mut seen: BTreeMap<String, BTreeSet<_>> = BTreeMap::new();
    for group in &groups {
        // What is hidden serves nobody.
        let serving = group.machines.iter().filter(|machine| !machine.retired);
        seen.entry(group.group.clone())
            .or_default()
            .extend(serving.map(MachineSummary::version_key));
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

fn summarize_machine(name: &Name, live: &WorkloadLive, wanted: bool) -> MachineSummary {
    let (passing, total) = live.health.checks;
    MachineSummary {
        name: name.to_string(),
        id: live.id.clone(),
        region: live.region.to_string(),
        state: live.state.clone(),
        activity: classify_activity(live),
        checks: CheckCounts { passing, total },
        image: live.config.image.as_ref().map(|image| ImageSummary {
            reference: image.to_string(),
            digest: live
                .digest
                .clone()
                .or_else(|| image.digest().map(str::to_owned)),
        }),
        release: live.release().map(str::to_owned),
        cordoned: live.health.cordoned,
        reachable: live.health.host_ok,
        proven: !live.is_start_unconfirmed(),
        wanted,
        retired: false,
        volume: None,
        last_run: live.last_run.as_ref().map(summarize_last_run),
    }
}

fn classify_activity(live: &WorkloadLive) -> Activity {
    let services = &live.config.services;
    // A machine that nothing puts to sleep was stopped by somebody, even where a request would start it.
    let sleeps = |service: &fly::workload::config::MachineService| {
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

fn summarize_last_run(run: &ProcessExit) -> LastRun {
    let ProcessExit {
        ended_at_ms: ended,
        exit_code,
        oom_killed,
        requested_stop: requested,
    } = run;
    let time = jiff::Timestamp::from_millisecond(*ended).unwrap_or_default();
    LastRun {
        ended_at: time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        exit_code: *exit_code,
        oom_killed: *oom_killed,
        requested: *requested,
    }
}

fn summarize_crons(
    key: &Name,
    desired: &Desired,
    world: &World,
    groups: &[GroupSummary],
) -> Vec<CronSummary> {
    let running: BTreeSet<Option<&ImageSummary>> = groups
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
    let others: BTreeSet<_> = within_app(&desired.fly_machine, key)
        .filter_map(|(_, spec)| spec.workload.config.image.clone())
        .collect();
    let read = |(name, live): (&Name, &fly::cron::CronLive)| {
        let machine = summarize_machine(name, &live.workload, desired.fly_cron.contains_key(name));
        let same = running
            .iter()
            .any(|image| is_same_image(*image, machine.image.as_ref()));
        // An image of its own that the manifest asks for is no surprise.
        let meant = asked(name).is_some_and(|image| !others.is_empty() && !others.contains(&image));
        CronSummary {
            schedule: live.workload.config.schedule.clone(),
            other_image: !running.is_empty() && !same && !meant,
            machine,
        }
    };
    within_app(&world.fly_cron, key).map(read).collect()
}

/// By digest where both have one.
fn is_same_image(a: Option<&ImageSummary>, b: Option<&ImageSummary>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) if a.digest.is_some() && b.digest.is_some() => a.digest == b.digest,
        (a, b) => a.map(|image| &image.reference) == b.map(|image| &image.reference),
    }
}

/// The environment's machines by Fly's ids.
fn machine_names_by_id(key: &Name, world: &World) -> BTreeMap<String, String> {
    let machines = within_app(&world.fly_machine, key).map(|(name, live)| (name, &live.workload));
    let crons = within_app(&world.fly_cron, key).map(|(name, live)| (name, &live.workload));
    machines
        .chain(crons)
        .map(|(name, live)| (live.id.clone(), name.to_string()))
        .collect()
}

fn summarize_volumes(
    key: &Name,
    desired: &Desired,
    world: &World,
    holders: &BTreeMap<String, String>,
) -> Vec<VolumeSummary> {
    let read = |(name, live): (&Name, &fly::volume::VolumeLive)| VolumeSummary {
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
    within_app(&world.fly_volume, key).map(read).collect()
}

/// What the manifest names and is not there.
fn missing_addresses(key: &Name, desired: &Desired, world: &World) -> Vec<String> {
    fn of<K: KindName, S, L>(
        key: &Name,
        asked: &ResourceMap<S>,
        there: &ResourceMap<L>,
    ) -> Vec<String> {
        let lacking = within_app(asked, key).filter(|(name, _)| !there.contains_key(*name));
        lacking
            .map(|(name, _)| Address::new::<K>(name).to_string())
            .collect()
    }
    if !world.fly_app.contains_key(key) {
        return vec![Address::new::<fly::App>(key).to_string()];
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
