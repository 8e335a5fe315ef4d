//! The parts of an app's machines, each lowered and checked once, before they are dealt out to the process groups.

use std::collections::BTreeMap;

use super::{
    Scene, Sink, checks, env, files,
    groups::{Groups, Scoped},
    guest::{self, Layer},
    mounts::{self, Mounted},
    scalars, services,
};
use crate::{
    kinds::fly::workload::{
        MachineConfig,
        config::{Check, File, Guest, Init, Metrics, Restart, Service, Static, StopConfig},
    },
    manifest::{
        shape::{App, all},
        spot::Spot,
    },
    model::{Image, Span},
};

/// All parts.
pub(super) struct Parts {
    pub(super) env: BTreeMap<String, String>,
    pub(super) services: Vec<Scoped<Service>>,
    pub(super) mounts: Vec<Scoped<Mounted>>,
    checks: BTreeMap<String, Scoped<Check>>,
    files: Vec<Scoped<File>>,
    statics: Vec<Static>,
    metrics: Vec<Scoped<Metrics>>,
    restarts: Vec<Scoped<Restart>>,
    stop: StopConfig,
}

impl Parts {
    /// Lowers the parts of an app.
    pub(super) fn of(app: &App, groups: &Groups, scene: &Scene<'_>, at: Spot<'_>, sink: &mut Sink) -> Self {
        let mut env = env::variables(&app.env, at.key("env"), sink);
        if let Some(region) = &app.primary_region {
            env.insert("PRIMARY_REGION".to_owned(), region.0.clone());
        }
        for (index, vm) in all(app.vm.as_ref()).iter().enumerate() {
            groups.check(&vm.processes, at.key("vm").item(index), sink);
        }
        Self {
            env,
            services: services::services(app, groups, at, sink),
            mounts: mounts::mounts(app, groups, at, sink),
            checks: checks::of_machines(app, groups, at, sink),
            files: files::files(app, groups, scene, at, sink),
            statics: files::statics(app, at, sink),
            metrics: files::metrics(app, groups, at, sink),
            restarts: files::restarts(app, groups, at, sink),
            stop: stop(app, at, sink),
        }
    }

    /// The configuration of a group's machines.
    pub(super) fn config(
        &self,
        app: &App,
        image: Option<Image>,
        groups: &Groups,
        group: &str,
        guest: Guest,
    ) -> MachineConfig {
        fn pick<'a, T>(
            groups: &'a Groups,
            group: &'a str,
            parts: &'a [Scoped<T>],
        ) -> impl Iterator<Item = &'a T> {
            parts.iter().filter(move |part| groups.has(&part.processes, group)).map(|part| &part.value)
        }
        let mut env = self.env.clone();
        env.insert("FLY_PROCESS_GROUP".to_owned(), group.to_owned());
        let checks = self.checks.iter().filter(|(_, check)| groups.has(&check.processes, group));
        MachineConfig {
            image,
            env,
            init: init(app, groups, group),
            guest: Some(guest),
            services: pick(groups, group, &self.services).cloned().collect(),
            checks: checks.map(|(name, check)| (name.clone(), check.value.clone())).collect(),
            mounts: pick(groups, group, &self.mounts).map(|mounted| mounted.mount.clone()).collect(),
            metrics: pick(groups, group, &self.metrics).next().cloned(),
            statics: self.statics.clone(),
            files: pick(groups, group, &self.files).cloned().collect(),
            restart: pick(groups, group, &self.restarts).next().cloned(),
            stop_config: self.stop.clone(),
            schedule: None,
            verbatim: BTreeMap::new(),
        }
    }
}

/// CPUs and memory of a group: `[vm]` for all, then `[[vm]]` for this group, then `[machines.GROUP]`.
pub(super) fn guest_of(app: &App, group: &str, at: Spot<'_>, sink: &mut Sink) -> Guest {
    let vms = all(app.vm.as_ref()).iter().enumerate();
    let vms = vms.map(|(index, vm)| (vm, at.key("vm").item(index)));
    let chosen = vms
        .clone()
        .find(|(vm, _)| vm.processes.iter().any(|name| name == group))
        .or_else(|| vms.clone().find(|(vm, _)| vm.processes.is_empty()));
    let mut layers: Vec<Layer<'_>> = chosen.into_iter().map(|(vm, at)| Layer::vm(vm, at)).collect();
    if let Some(stated) = app.machines.get(group) {
        layers.push(Layer::group(stated, at.key("machines").key(group)));
    }
    let mut guest = guest::guest(&layers, sink);
    guest.host_dedication_id = guest.host_dedication_id.or_else(|| app.host_dedication_id.clone());
    guest
}

fn init(app: &App, groups: &Groups, group: &str) -> Init {
    let mut init = Init { swap_size_mb: app.swap_size_mb, ..Init::default() };
    if let Some(experimental) = &app.experimental {
        init.cmd.clone_from(&experimental.cmd);
        init.entrypoint.clone_from(&experimental.entrypoint);
        init.exec.clone_from(&experimental.exec);
    }
    if let Some(command) = groups.commands.get(group).filter(|command| !command.is_empty()) {
        init.cmd.clone_from(command);
    }
    init
}

/// The longest that Fly waits before it kills a machine.
const LONGEST_STOP: Span = Span::from_secs(300);

fn stop(app: &App, at: Spot<'_>, sink: &mut Sink) -> StopConfig {
    let spot = at.key("kill_timeout");
    let timeout = scalars::seconds(app.kill_timeout.as_ref(), spot, sink);
    if timeout.is_some_and(|timeout| timeout > LONGEST_STOP) {
        sink.error(
            spot.problem("a machine may take 300 seconds to stop at most").help("write `300s` or less"),
        );
    }
    StopConfig { signal: app.kill_signal.as_ref().map(|signal| signal.0.clone()), timeout }
}
