//! Builds the status from the observed and the desired state. Judgements such as "asleep" are made
//! here, and only here.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Activity, AppSummary, CertificateStatus, CheckCounts, CronSummary, DatabaseSummary,
    EnvironmentStatus, FORMAT_VERSION, GroupSummary, ImageSummary, IpSummary, LastRun,
    MachineSummary, UnmanagedSummary, VolumeSummary,
};
use crate::{
    kinds::{
        Desired, World,
        fly::{
            self,
            workload::{ProcessExit, WorkloadLive, config::Autostop},
        },
        postgres::{Database, cluster::SCALE_TO_ZERO_ENV},
    },
    model::{Address, KindName, Name, ResourceMap, resources_in_app},
};

impl EnvironmentStatus {
    /// The status of an environment.
    #[must_use]
    pub fn from_world(desired: &Desired, world: &World) -> Self {
        let keys: BTreeSet<&Name> = desired.fly_app.keys().chain(world.fly_app.keys()).collect();
        let findings = &world.findings;
        let conflicts = findings
            .ownership_conflicts
            .iter()
            .map(|conflict| conflict.reason.clone());
        let unmanaged = findings.unmanaged.iter().map(|resource| UnmanagedSummary {
            what: resource.description.clone(),
            within: resource.container.name().to_string(),
            why: resource.why.clone(),
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
            waiting: waiting_successors(world).collect(),
            unmanaged: unmanaged.collect(),
            warnings: conflicts
                .chain(findings.warnings.iter().chain(&meta.warnings).cloned())
                .collect(),
        }
    }
}

/// The successors that have not taken over, under the names of the machines that they are to replace.
fn waiting_successors(world: &World) -> impl Iterator<Item = MachineSummary> {
    let machines = world.fly_machine.iter();
    machines
        .filter_map(|(name, live)| Some(summarize_machine(name, live.successor.as_ref()?, true)))
}

fn summarize_app(key: &Name, desired: &Desired, world: &World) -> AppSummary {
    let (declared, live) = (desired.fly_app.get(key), world.fly_app.get(key));
    let name = live
        .map(|live| &live.name)
        .or_else(|| declared.map(|spec| &spec.name));
    let groups = summarize_groups(key, desired, world);
    let machine_names = machine_names_by_id(key, world);
    let secrets = world
        .fly_secrets
        .get(key)
        .into_iter()
        .flat_map(|secrets| secrets.present.keys());
    AppSummary {
        app: key.to_string(),
        fly_name: name.cloned().unwrap_or_default(),
        exists: live.is_some(),
        cron: summarize_crons(key, desired, world, &groups),
        groups,
        volumes: summarize_volumes(key, desired, world, &machine_names),
        ips: resources_in_app(&world.fly_ip, key)
            .map(|(name, ip)| IpSummary {
                name: name.to_string(),
                address: ip.address.clone(),
                kind: ip.kind.to_string(),
                region: ip.region.clone(),
            })
            .collect(),
        certificates: resources_in_app(&world.fly_certificate, key)
            .map(|(name, live)| CertificateStatus {
                name: name.to_string(),
                hostname: live.hostname.clone(),
                configured: live.configured,
            })
            .collect(),
        databases: resources_in_app(&world.postgres_database, key)
            .map(|(name, live)| DatabaseSummary {
                name: name.to_string(),
                cluster: live.cluster.clone(),
                database: live.record.database.clone(),
                role: live.record.role.clone(),
                variable: live.record.variable.clone(),
                wanted: desired.postgres_database.contains_key(name),
            })
            .collect(),
        secrets: secrets.cloned().collect(),
        missing: missing_addresses(key, desired, world),
    }
}

fn summarize_groups(key: &Name, desired: &Desired, world: &World) -> Vec<GroupSummary> {
    let mut groups: BTreeMap<(String, String), GroupSummary> = BTreeMap::new();
    let mut update_group =
        |group: &str, region: &str, change: &mut dyn FnMut(&mut GroupSummary)| {
            let group_key = (group.to_owned(), region.to_owned());
            let empty = || GroupSummary {
                group: group.to_owned(),
                region: region.to_owned(),
                desired: 0,
                running: 0,
                asleep: 0,
                mixed: false,
                machines: Vec::new(),
            };
            change(groups.entry(group_key).or_insert_with(empty));
        };
    for (_, spec) in resources_in_app(&desired.fly_machine, key) {
        update_group(&spec.group, spec.workload.region.as_str(), &mut |group| {
            group.desired += 1;
        });
    }
    for (name, live) in resources_in_app(&world.fly_machine, key) {
        let mut machine =
            summarize_machine(name, &live.workload, desired.fly_machine.contains_key(name));
        machine.retired = live.retired;
        machine.volume = live.volume.as_ref().map(|(id, _)| id.clone());
        update_group(
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
    let mut versions: BTreeMap<String, BTreeSet<_>> = BTreeMap::new();
    for group in &groups {
        // Retired machines are cordoned, and what the manifest does not have is no part of its rollouts.
        let serving = group
            .machines
            .iter()
            .filter(|machine| !machine.retired && machine.wanted);
        versions
            .entry(group.group.clone())
            .or_default()
            .extend(serving.map(MachineSummary::version_key));
    }
    let mixed_groups: BTreeSet<String> = versions
        .into_iter()
        .filter(|(_, versions)| versions.len() > 1)
        .map(|(group, _)| group)
        .collect();
    for group in &mut groups {
        group.mixed = mixed_groups.contains(&group.group);
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
        role: live.health.postgres_role.clone(),
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
    // Only a machine with autostop can be asleep. Any other was stopped by somebody, even if a
    // request would start it.
    let can_sleep = |service: &fly::workload::config::MachineService| {
        service.autostop != Autostop::Off && service.autostart != Some(false)
    };
    // A Postgres cluster that sleeps has stopped by itself.
    let sleeps_by_itself = live.config.env.contains_key(SCALE_TO_ZERO_ENV);
    let sleeps = sleeps_by_itself || services.iter().any(can_sleep);
    match live.state.as_str() {
        _ if !live.health.host_ok => Activity::Unreachable,
        "started" => Activity::Running,
        "stopped" | "suspended" if sleeps => Activity::Asleep,
        "stopped" | "created" if !live.config.standbys.is_empty() => Activity::Standby,
        "stopped" | "suspended" | "created" => Activity::Stopped,
        "failed" | "launch_failed" => Activity::Failed,
        _ => Activity::Changing,
    }
}

fn summarize_last_run(run: &ProcessExit) -> LastRun {
    let ProcessExit {
        ended_at_ms,
        exit_code,
        oom_killed,
        requested_stop,
    } = run;
    let time = jiff::Timestamp::from_millisecond(*ended_at_ms).unwrap_or_default();
    LastRun {
        ended_at: time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        exit_code: *exit_code,
        oom_killed: *oom_killed,
        requested: *requested_stop,
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
    let declared = |name: &Name| {
        desired
            .fly_cron
            .get(name)
            .and_then(|spec| spec.workload.config.image.clone())
    };
    let machine_images: BTreeSet<_> = resources_in_app(&desired.fly_machine, key)
        .filter_map(|(_, spec)| spec.workload.config.image.clone())
        .collect();
    let summarize = |(name, live): (&Name, &fly::cron::CronLive)| {
        let machine = summarize_machine(name, &live.workload, desired.fly_cron.contains_key(name));
        let is_app_image = running
            .iter()
            .any(|image| is_same_image(*image, machine.image.as_ref()));
        // The manifest may give a cron machine an image of its own.
        let is_declared_image = declared(name)
            .is_some_and(|image| !machine_images.is_empty() && !machine_images.contains(&image));
        CronSummary {
            schedule: live.workload.config.schedule.clone(),
            other_image: !running.is_empty() && !is_app_image && !is_declared_image,
            machine,
        }
    };
    resources_in_app(&world.fly_cron, key)
        .map(summarize)
        .collect()
}

/// Compares by digest if both have one, else by reference.
fn is_same_image(a: Option<&ImageSummary>, b: Option<&ImageSummary>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) if a.digest.is_some() && b.digest.is_some() => a.digest == b.digest,
        (a, b) => a.map(|image| &image.reference) == b.map(|image| &image.reference),
    }
}

/// The names of an app's machines by Fly's ids.
fn machine_names_by_id(key: &Name, world: &World) -> BTreeMap<String, String> {
    let machines =
        resources_in_app(&world.fly_machine, key).map(|(name, live)| (name, &live.workload));
    let crons = resources_in_app(&world.fly_cron, key).map(|(name, live)| (name, &live.workload));
    machines
        .chain(crons)
        .map(|(name, live)| (live.id.clone(), name.to_string()))
        .collect()
}

fn summarize_volumes(
    key: &Name,
    desired: &Desired,
    world: &World,
    machine_names: &BTreeMap<String, String>,
) -> Vec<VolumeSummary> {
    let summarize = |(name, live): (&Name, &fly::volume::VolumeLive)| VolumeSummary {
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
            .and_then(|id| machine_names.get(id))
            .cloned(),
        reachable: live.host_ok,
        wanted: desired.fly_volume.contains_key(name),
    };
    resources_in_app(&world.fly_volume, key)
        .map(summarize)
        .collect()
}

/// The addresses that the manifest has but that do not exist.
fn missing_addresses(key: &Name, desired: &Desired, world: &World) -> Vec<String> {
    fn missing_of<K: KindName, S, L>(
        key: &Name,
        declared: &ResourceMap<S>,
        live: &ResourceMap<L>,
    ) -> Vec<String> {
        let missing = resources_in_app(declared, key).filter(|(name, _)| !live.contains_key(*name));
        missing
            .map(|(name, _)| Address::new::<K>(name).to_string())
            .collect()
    }
    if !world.fly_app.contains_key(key) {
        return vec![Address::new::<fly::App>(key).to_string()];
    }
    [
        missing_of::<fly::Machine, _, _>(key, &desired.fly_machine, &world.fly_machine),
        missing_of::<fly::Cron, _, _>(key, &desired.fly_cron, &world.fly_cron),
        missing_of::<fly::Volume, _, _>(key, &desired.fly_volume, &world.fly_volume),
        missing_of::<Database, _, _>(key, &desired.postgres_database, &world.postgres_database),
        missing_of::<fly::Ip, _, _>(key, &desired.fly_ip, &world.fly_ip),
        missing_of::<fly::Certificate, _, _>(key, &desired.fly_certificate, &world.fly_certificate),
    ]
    .concat()
}
