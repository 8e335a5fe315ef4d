//! Process groups to machines: one slot after the other, in each region, with a volume for each where the group mounts
//! one.

use std::collections::BTreeMap;

use super::{
    Lowered, Sink,
    app::AppScene,
    deploy::Deployment,
    groups::{Groups, Scoped},
    mounts::Mounted,
    parts::Parts,
    scalars,
};
use crate::{
    kinds::fly::{
        Machine, Volume,
        machine::MachineSpec,
        workload::{
            MachineConfig, Workload,
            config::{Autostop, Service},
        },
    },
    manifest::{shape::Count, spot::Spot},
    model::{Mib, Name, Ref, Region, Turns},
};

/// Makes the machines of all groups, and their volumes.
pub(super) fn machines(
    app: &AppScene<'_>,
    groups: &Groups,
    parts: &Parts<'_>,
    deploy: &Deployment,
    out: &mut Lowered,
    sink: &mut Sink,
) {
    let mut counts = BTreeMap::new();
    for group in groups.commands.keys() {
        let spot = app.at.key("machines").key(group);
        let regions = count(app, group, least(groups, group, &parts.services), sink);
        let config = parts.config(app, groups, group, sink);
        sleep(&config, app.at, sink);
        let turns = deploy.turns(regions.values().sum());
        let slots = Slots {
            app,
            group,
            config: &config,
            parts,
            groups,
            deploy,
            turns,
        };
        let standby = slots.has_standby(spot, sink);
        for (region, number) in &regions {
            let disks = slots.disks(region, out);
            for index in 0..*number {
                slots.make(region, (index, disks + index), spot, out, sink);
            }
            if standby && *number > 0 {
                slots.standby(region, spot, out, sink);
            }
        }
        counts.insert(group.as_str(), regions);
    }
    minimums(app, groups, &parts.services, &counts, sink);
}

/// What the slots of a group share.
struct Slots<'a> {
    app: &'a AppScene<'a>,
    group: &'a str,
    config: &'a MachineConfig,
    parts: &'a Parts<'a>,
    groups: &'a Groups,
    deploy: &'a Deployment,
    turns: Turns,
}

impl<'a> Slots<'a> {
    /// One slot: the number of its machine, and of its disk.
    fn make(
        &self,
        region: &Region,
        (index, disk): (u32, u32),
        at: Spot<'_>,
        out: &mut Lowered,
        sink: &mut Sink,
    ) {
        let Some(name) =
            self.app
                .child(&[self.group, region.as_str(), &index.to_string()], at, sink)
        else {
            return;
        };
        let volume = self.volume(region, disk, out, sink);
        self.place(&name, self.workload(&name, region), volume, at, out);
    }

    fn workload(&self, name: &Name, region: &Region) -> Workload {
        let mut workload = self.app.workload(
            name,
            region.clone(),
            self.config.clone(),
            self.deploy.wait_secs,
        );
        workload.labels.extend(self.parts.labels().clone());
        workload
            .labels
            .insert("fly_platform_version".to_owned(), "v2".to_owned());
        workload
            .labels
            .insert("fly_process_group".to_owned(), self.group.to_owned());
        workload
    }

    fn place(
        &self,
        name: &Name,
        workload: Workload,
        volume: Option<Ref<Volume>>,
        at: Spot<'_>,
        out: &mut Lowered,
    ) {
        self.app.place::<Machine>(name, at, out);
        let (group, after) = (self.group.to_owned(), self.deploy.command(self.app));
        let spec = MachineSpec {
            group,
            workload,
            volume,
            turns: self.turns,
            after,
        };
        out.desired.fly_machine.insert(name.clone(), spec);
    }

    /// Whether the group has standby machines, and may.
    fn has_standby(&self, at: Spot<'_>, sink: &mut Sink) -> bool {
        let asked = self
            .app
            .app
            .machines
            .get(self.group)
            .and_then(|machines| machines.standby)
            == Some(true);
        let why = match (self.config.services.is_empty(), self.mounted()) {
            (true, None) => return asked,
            (false, _) => {
                "Fly's proxy starts machines of a service by itself, so these have no standby"
            }
            (true, Some(_)) => "a volume belongs to one machine, so another cannot stand by",
        };
        if asked {
            sink.error(at.key("standby").problem(why).help("raise `count` instead"));
        }
        false
    }

    /// The machine that stands by for the first one of a region.
    fn standby(&self, region: &Region, at: Spot<'_>, out: &mut Lowered, sink: &mut Sink) {
        let parts = |last: &str| [self.group.to_owned(), region.to_string(), last.to_owned()];
        let mut child = |last: &str| {
            let parts = parts(last);
            self.app.child(&[&parts[0], &parts[1], &parts[2]], at, sink)
        };
        let (Some(first), Some(name)) = (child("0"), child("standby")) else {
            return;
        };
        let mut workload = self.workload(&name, region);
        workload
            .config
            .env
            .insert("FLY_STANDBY_FOR".to_owned(), first.to_string());
        workload.standby_for = Some(Ref::to(first));
        self.place(&name, workload, None, at, out);
    }

    /// What the group mounts.
    fn mounted(&self) -> Option<&'a Mounted> {
        let mut mounts = self.parts.mounts.iter();
        mounts
            .find(|mount| self.groups.has(&mount.processes, self.group))
            .map(|mount| &mount.value)
    }

    /// How many disks of this name the groups before have in a region: groups may share a name, never a disk.
    fn disks(&self, region: &Region, out: &Lowered) -> u32 {
        let Some(mounted) = self.mounted() else {
            return 0;
        };
        let (app, source) = (self.app.reference(), &mounted.mount.name);
        let volumes = out.desired.fly_volume.values();
        let same = volumes
            .filter(|disk| disk.app == app && disk.volume == *source && disk.region == *region);
        u32::try_from(same.count()).unwrap_or(u32::MAX)
    }

    /// The slot's own disk.
    fn volume(
        &self,
        region: &Region,
        number: u32,
        out: &mut Lowered,
        sink: &mut Sink,
    ) -> Option<Ref<Volume>> {
        let mounted = self.mounted()?;
        let at = self.app.at.key("mounts");
        let parts = [
            mounted.mount.name.as_str(),
            region.as_str(),
            &number.to_string(),
        ];
        let name: Name = self.app.child(&parts, at, sink)?;
        out.desired.fly_volume.insert(
            name.clone(),
            mounted.volume(self.app.reference(), region.clone()),
        );
        match &mounted.place {
            Some(place) => drop(
                out.places
                    .insert(crate::model::Address::of::<Volume>(&name), place.clone()),
            ),
            None => self.app.place::<Volume>(&name, at, out),
        }
        Some(Ref::to(name))
    }
}

/// How many machines the services of a group keep running: as many there must be when no `count` is stated.
fn least(groups: &Groups, group: &str, services: &[Scoped<Service>]) -> u32 {
    let own = services
        .iter()
        .filter(|service| groups.has(&service.processes, group));
    own.filter_map(|service| service.value.min_machines_running)
        .max()
        .unwrap_or(1)
        .max(1)
}

/// How many machines a group has in each region.
fn count(app: &AppScene<'_>, group: &str, least: u32, sink: &mut Sink) -> BTreeMap<Region, u32> {
    let stated = app
        .app
        .machines
        .get(group)
        .and_then(|machines| machines.count.as_ref());
    let number = match stated {
        Some(Count::Regions(regions)) => {
            return regions
                .iter()
                .map(|(code, number)| (scalars::region(code), number.0))
                .collect();
        }
        Some(Count::Primary(number)) => number.0,
        None => least,
    };
    let Some(primary) = &app.app.primary_region else {
        let problem = app
            .at
            .key("primary_region")
            .problem(format!("app `{}` does not say where it runs", app.key));
        sink.error(problem.help("say `primary_region = \"ewr\"`, or a `count` for each region"));
        return BTreeMap::new();
    };
    BTreeMap::from([(scalars::region(primary), number)])
}

/// What a suspended machine may not have.
fn sleep(config: &MachineConfig, at: Spot<'_>, sink: &mut Sink) {
    if !config
        .services
        .iter()
        .any(|service| service.autostop == Autostop::Suspend)
    {
        return;
    }
    let spot = match at.key("http_service").key("auto_stop_machines") {
        spot if spot.is_written() && at.key("http_service").is_written() => spot,
        _ => at.key("services"),
    };
    if config
        .guest
        .as_ref()
        .is_some_and(|guest| guest.memory_mb > Mib(2048))
    {
        let problem = spot.problem("machines with more than 2 GB of memory cannot be suspended");
        sink.warn(problem.help("Fly stops them instead; say `auto_stop_machines = \"stop\"`"));
    }
    if config.init.swap_size_mb.is_some_and(|swap| swap > 0) {
        let problem = spot.problem("machines with swap cannot be suspended");
        sink.warn(problem.help("Fly stops them instead; say `auto_stop_machines = \"stop\"`"));
    }
}

/// A minimum counts machines of the primary region, so there must be that many.
fn minimums(
    app: &AppScene<'_>,
    groups: &Groups,
    services: &[Scoped<Service>],
    counts: &BTreeMap<&str, BTreeMap<Region, u32>>,
    sink: &mut Sink,
) {
    let Some(primary) = app.app.primary_region.as_ref().map(scalars::region) else {
        return;
    };
    let http = usize::from(app.app.http_service.is_some());
    for (index, service) in services.iter().enumerate() {
        let at = match index.checked_sub(http) {
            Some(index) => app.at.key("services").item(index),
            None => app.at.key("http_service"),
        };
        let all: Vec<_> = groups
            .members(&service.processes)
            .filter_map(|group| counts.get(group))
            .collect();
        let total: u32 = all.iter().flat_map(|regions| regions.values()).sum();
        if total == 0 && !all.is_empty() {
            sink.warn(
                at.problem("no machine serves this service")
                    .help("raise `count`, or leave the service out"),
            );
        }
        let there: u32 = all.iter().filter_map(|regions| regions.get(&primary)).sum();
        let least = service.value.min_machines_running.unwrap_or_default();
        if least > there && total > 0 {
            let machines = if there == 1 {
                "is 1 machine"
            } else {
                &format!("are {there} machines")
            };
            let problem = at.key("min_machines_running").problem(format!(
                "{least} machines shall keep running in {primary}, and there {machines}"
            ));
            sink.error(problem.help(format!(
                "say `count = {{ {primary} = {least} }}` in [apps.{}.machines.GROUP]",
                app.key
            )));
        }
    }
}
