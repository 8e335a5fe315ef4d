//! Lowers process groups to machines: numbered slots in each region, each with a volume of its own
//! where the group mounts one.

use std::collections::BTreeMap;

use super::{
    app::AppContext, collisions::service_cursor, deploy::DeploySettings,
    machine_parts::MachineParts, mounts::LoweredMount, process_groups::ProcessGroups, scalars,
};
use crate::manifest::lower::{Diagnostics, Lowered};
use crate::{
    kinds::{
        fly::{
            Machine, Volume,
            machine::MachineSpec,
            workload::{MachineConfig, Workload, config::Autostop},
        },
        postgres,
    },
    manifest::{
        schema::MachineCount,
        syntax::{cursor::Cursor, node::Diagnostic},
    },
    model::{Address, Mib, Name, Region, ResourceRef, RolloutPolicy},
};

/// Adds the machines of all groups, and their volumes.
pub(crate) fn lower_machines(
    app: &AppContext<'_>,
    groups: &ProcessGroups,
    parts: &MachineParts<'_>,
    deploy: &DeploySettings,
    lowered: &mut Lowered,
    diagnostics: &mut Diagnostics,
) {
    let mut counts = BTreeMap::new();
    for group in groups.commands.keys() {
        let field = app.cursor.key("machines").key(group);
        let regions = machine_counts(app, group, default_count(groups, group, parts), diagnostics);
        let config = parts.group_config(app, groups, group, diagnostics);
        check_suspend(&config, app.cursor, diagnostics);
        let rollout_policy = deploy.rollout_policy(regions.values().sum());
        let slots = GroupMachines {
            app,
            group,
            config: &config,
            parts,
            groups,
            deploy,
            rollout_policy,
        };
        let standby = slots.has_standby(field, diagnostics);
        for (region, number) in &regions {
            let first_disk = slots.count_volumes(region, lowered);
            for index in 0..*number {
                slots.add_machine(
                    region,
                    (index, first_disk + index),
                    field,
                    lowered,
                    diagnostics,
                );
            }
            if standby && *number > 0 {
                slots.add_standby(region, field, lowered, diagnostics);
            }
        }
        counts.insert(group.as_str(), regions);
    }
    check_min_machines_running(app, groups, parts, &counts, diagnostics);
}

/// What the machines of a group have in common.
struct GroupMachines<'a> {
    app: &'a AppContext<'a>,
    group: &'a str,
    config: &'a MachineConfig,
    parts: &'a MachineParts<'a>,
    groups: &'a ProcessGroups,
    deploy: &'a DeploySettings,
    rollout_policy: RolloutPolicy,
}

impl<'a> GroupMachines<'a> {
    /// Adds the machine of a slot, and its volume. Each has its own number, because groups that share
    /// a volume name share its numbering, see [`Self::count_volumes`].
    fn add_machine(
        &self,
        region: &Region,
        (index, disk): (u32, u32),
        cursor: Cursor<'_>,
        lowered: &mut Lowered,
        diagnostics: &mut Diagnostics,
    ) {
        let Some(name) = self.app.child_name(
            &[self.group, region.as_str(), &index.to_string()],
            cursor,
            diagnostics,
        ) else {
            return;
        };
        let volume = self.add_volume(region, disk, lowered, diagnostics);
        let workload = self.group_workload(&name, region);
        self.insert_machine(&name, workload, volume, cursor, lowered);
    }

    fn group_workload(&self, name: &Name, region: &Region) -> Workload {
        let mut workload = self.app.build_workload(
            name,
            region.clone(),
            self.config.clone(),
            self.deploy.wait_secs,
        );
        workload.guest_stated = self.parts.states_guest(self.app, self.group);
        workload.labels.extend(self.parts.base_metadata().clone());
        // flyctl ignores machines without this version (`IsFlyAppsPlatform`), and `fly deploy` and
        // `fly scale` work by process group.
        workload
            .labels
            .insert("fly_platform_version".to_owned(), "v2".to_owned());
        workload
            .labels
            .insert("fly_process_group".to_owned(), self.group.to_owned());
        if self.app.is_postgres {
            let label = (postgres::cluster::NODE_LABEL.to_owned(), "true".to_owned());
            workload.labels.extend([label]);
        }
        workload
    }

    fn insert_machine(
        &self,
        name: &Name,
        workload: Workload,
        volume: Option<ResourceRef<Volume>>,
        cursor: Cursor<'_>,
        lowered: &mut Lowered,
    ) {
        self.app.record_location::<Machine>(name, cursor, lowered);
        let (group, release_command) = (
            self.group.to_owned(),
            self.deploy.release_command_ref(self.app),
        );
        let spec = MachineSpec {
            group,
            workload,
            volume,
            rollout_policy: self.rollout_policy,
            release_command,
        };
        lowered.desired.fly_machine.insert(name.clone(), spec);
    }

    /// Whether the group has standby machines; an error when it cannot have them.
    fn has_standby(&self, cursor: Cursor<'_>, diagnostics: &mut Diagnostics) -> bool {
        let requested = self
            .app
            .app
            .machines
            .get(self.group)
            .and_then(|machines| machines.standby)
            == Some(true);
        let reason = match (self.config.services.is_empty(), self.group_mount()) {
            (true, None) => return requested,
            (false, _) => {
                "Fly's proxy starts machines of a service by itself, so these have no standby"
            }
            (true, Some(_)) => "a volume belongs to one machine, so there can be no standby",
        };
        if requested {
            diagnostics.error(
                cursor
                    .key("standby")
                    .diagnostic(reason)
                    .with_help("raise `count` instead"),
            );
        }
        false
    }

    /// Adds the standby machine for the first machine of a region.
    fn add_standby(
        &self,
        region: &Region,
        cursor: Cursor<'_>,
        lowered: &mut Lowered,
        diagnostics: &mut Diagnostics,
    ) {
        let parts = |last: &str| [self.group.to_owned(), region.to_string(), last.to_owned()];
        let mut child = |last: &str| {
            let parts = parts(last);
            self.app
                .child_name(&[&parts[0], &parts[1], &parts[2]], cursor, diagnostics)
        };
        let (Some(first), Some(name)) = (child("0"), child("standby")) else {
            return;
        };
        let mut workload = self.group_workload(&name, region);
        workload.standby_for = Some(ResourceRef::new(first));
        self.insert_machine(&name, workload, None, cursor, lowered);
    }

    /// The mount of the group, if it has one.
    fn group_mount(&self) -> Option<&'a LoweredMount> {
        let mut mounts = self.parts.mounts.iter();
        mounts
            .find(|mount| self.groups.applies_to(&mount.processes, self.group))
            .map(|mount| &mount.value)
    }

    /// How many volumes of the group's volume name exist in a region already, from groups that were
    /// lowered earlier. Groups may share a volume name but never a volume, so the numbers of this
    /// group's volumes continue after them.
    fn count_volumes(&self, region: &Region, lowered: &Lowered) -> u32 {
        let Some(mounted) = self.group_mount() else {
            return 0;
        };
        let (app, source) = (self.app.app_ref(), &mounted.mount.name);
        let volumes = lowered.desired.fly_volume.values();
        let same = volumes
            .filter(|disk| disk.app == app && disk.volume == *source && disk.region == *region);
        u32::try_from(same.count()).unwrap_or(u32::MAX)
    }

    /// Adds the volume of a slot, if the group mounts one.
    fn add_volume(
        &self,
        region: &Region,
        number: u32,
        lowered: &mut Lowered,
        diagnostics: &mut Diagnostics,
    ) -> Option<ResourceRef<Volume>> {
        let mounted = self.group_mount()?;
        let cursor = self.app.cursor.key("mounts");
        let parts = [
            mounted.mount.name.as_str(),
            region.as_str(),
            &number.to_string(),
        ];
        let name: Name = self.app.child_name(&parts, cursor, diagnostics)?;
        lowered.desired.fly_volume.insert(
            name.clone(),
            mounted.volume_spec(self.app.app_ref(), region.clone()),
        );
        match &mounted.location {
            Some(location) => drop(
                lowered
                    .locations
                    .insert(Address::new::<Volume>(&name), location.clone()),
            ),
            None => self.app.record_location::<Volume>(&name, cursor, lowered),
        }
        Some(ResourceRef::new(name))
    }
}

/// How many machines a group has when no `count` is written: as many as its services keep running.
/// A group with a volume has one, as in flyctl, because a second machine would have another, empty
/// volume behind the same address.
fn default_count(groups: &ProcessGroups, group: &str, parts: &MachineParts<'_>) -> u32 {
    if has_mount(groups, group, parts) {
        return 1;
    }
    let group_services = parts
        .services
        .iter()
        .filter(|service| groups.applies_to(&service.processes, group));
    group_services
        .filter_map(|service| service.value.min_machines_running)
        .max()
        .unwrap_or(1)
        .max(1)
}

fn has_mount(groups: &ProcessGroups, group: &str, parts: &MachineParts<'_>) -> bool {
    let mut mounts = parts.mounts.iter();
    mounts.any(|mount| groups.applies_to(&mount.processes, group))
}

/// The `count` of a group in the manifest.
fn written_count<'a>(app: &AppContext<'a>, group: &str) -> Option<&'a MachineCount> {
    app.app.machines.get(group)?.count.as_ref()
}

/// How many machines a group has in each region.
fn machine_counts(
    app: &AppContext<'_>,
    group: &str,
    default: u32,
    diagnostics: &mut Diagnostics,
) -> BTreeMap<Region, u32> {
    let number = match written_count(app, group) {
        Some(MachineCount::Regions(regions)) => {
            return regions
                .iter()
                .map(|(code, number)| (scalars::to_region(code), number.0))
                .collect();
        }
        Some(MachineCount::Primary(number)) => number.0,
        None => default,
    };
    let Some(primary) = &app.app.primary_region else {
        let diagnostic = app
            .cursor
            .key("primary_region")
            .diagnostic(format!("app `{}` has no region", app.key));
        let help = "set `primary_region = \"ewr\"`, or a `count` for each region";
        diagnostics.error(diagnostic.with_help(if app.app.config.is_some() {
            format!("{help}; `fly machine list` shows where the app runs")
        } else {
            help.to_owned()
        }));
        return BTreeMap::new();
    };
    BTreeMap::from([(scalars::to_region(primary), number)])
}

/// Warns if `auto_stop_machines` is `suspend` for a machine that Fly cannot suspend, because of its
/// memory or swap.
fn check_suspend(config: &MachineConfig, cursor: Cursor<'_>, diagnostics: &mut Diagnostics) {
    if !config
        .services
        .iter()
        .any(|service| service.autostop == Autostop::Suspend)
    {
        return;
    }
    // The lowered services no longer say where they came from, so the warning points at the first
    // section that can hold the setting.
    let field = match cursor.key("http_service").key("auto_stop_machines") {
        field if field.is_present() && cursor.key("http_service").is_present() => field,
        _ => cursor.key("services"),
    };
    if config
        .guest
        .as_ref()
        .is_some_and(|guest| guest.memory_mb > Mib(2048))
    {
        let diagnostic =
            field.diagnostic("machines with more than 2 GB of memory cannot be suspended");
        diagnostics.warn(
            diagnostic.with_help("Fly stops them instead; set `auto_stop_machines = \"stop\"`"),
        );
    }
    if config.init.swap_size_mb.is_some_and(|swap| swap > 0) {
        let diagnostic = field.diagnostic("machines with swap cannot be suspended");
        diagnostics.warn(
            diagnostic.with_help("Fly stops them instead; set `auto_stop_machines = \"stop\"`"),
        );
    }
}

/// Refuses a `min_machines_running` above the number of machines in the primary region, because Fly
/// counts only those. Also warns of services without any machine.
fn check_min_machines_running(
    app: &AppContext<'_>,
    groups: &ProcessGroups,
    parts: &MachineParts<'_>,
    counts: &BTreeMap<&str, BTreeMap<Region, u32>>,
    diagnostics: &mut Diagnostics,
) {
    let Some(primary) = app.app.primary_region.as_ref().map(scalars::to_region) else {
        return;
    };
    for (index, service) in parts.services.iter().enumerate() {
        let cursor = service_cursor(app.cursor, app.app.http_service.is_some(), index);
        let own: Vec<&str> = groups.groups_for(&service.processes).collect();
        let all: Vec<_> = own.iter().filter_map(|group| counts.get(group)).collect();
        let total: u32 = all.iter().flat_map(|regions| regions.values()).sum();
        if total == 0 && !all.is_empty() {
            diagnostics.warn(
                cursor
                    .diagnostic("no machine serves this service")
                    .with_help("raise `count`, or leave the service out"),
            );
        }
        let in_primary: u32 = all.iter().filter_map(|regions| regions.get(&primary)).sum();
        let min = service.value.min_machines_running.unwrap_or_default();
        let field = cursor.key("min_machines_running");
        let has_default_count = |mounted| {
            own.iter().any(|group| {
                written_count(app, group).is_none() && has_mount(groups, group, parts) == mounted
            })
        };
        if min > in_primary && total > 0 {
            let diagnostic = too_few_machines(app.key, (min, in_primary), &primary, field);
            if has_default_count(true) {
                diagnostics.warn(diagnostic.with_label("each would have a volume of its own"));
            } else {
                diagnostics.error(diagnostic);
            }
        } else if min > 0 && service.value.autostop == Autostop::Off && !has_default_count(false) {
            let diagnostic =
                field.diagnostic("nothing stops machines here, so a minimum has no effect");
            diagnostics.warn(
                diagnostic.with_help("set `auto_stop_machines = \"stop\"` to let the others sleep"),
            );
        }
    }
}

/// The error for a `min_machines_running` above the number of machines in the primary region.
fn too_few_machines(
    app: &str,
    (min, there): (u32, u32),
    primary: &Region,
    cursor: Cursor<'_>,
) -> Diagnostic {
    let machines = if there == 1 {
        "is 1 machine"
    } else {
        &format!("are {there} machines")
    };
    cursor
        .diagnostic(format!(
            "{min} machines should keep running in {primary}, but there {machines}"
        ))
        .with_help(format!(
            "set `count = {{ {primary} = {min} }}` in [apps.{app}.machines.GROUP]"
        ))
}
