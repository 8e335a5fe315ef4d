//! The parts of an app's machines, each lowered and checked once, before they are dealt out to the process groups.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Sink,
    app::AppScene,
    checks, env, files,
    groups::{Groups, Scoped},
    guest::{self, Ground, Layer},
    machine_config::{self, Base},
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
    model::Span,
};

/// All parts.
pub(super) struct Parts<'a> {
    pub(super) env: BTreeMap<String, String>,
    pub(super) services: Vec<Scoped<Service>>,
    pub(super) mounts: Vec<Scoped<Mounted>>,
    checks: BTreeMap<String, Scoped<Check>>,
    files: Vec<Scoped<File>>,
    statics: Vec<Static>,
    metrics: Vec<Scoped<Metrics>>,
    restarts: Vec<Scoped<Restart>>,
    stop: StopConfig,
    base: Base<'a>,
}

impl<'a> Parts<'a> {
    /// Lowers the parts of an app.
    pub(super) fn of(whole: &AppScene<'a>, groups: &Groups, sink: &mut Sink) -> Self {
        let AppScene {
            app,
            at,
            scene,
            ref image,
            ..
        } = *whole;
        let mut env = env::variables(&app.env, at.key("env"), sink);
        if let Some(region) = &app.primary_region {
            env.insert("PRIMARY_REGION".to_owned(), region.0.clone());
        }
        for (name, value) in whole.identity_env() {
            env.entry(name.clone()).or_insert_with(|| value.clone());
        }
        for (index, vm) in all(app.vm.as_ref()).iter().enumerate() {
            groups.check(&vm.processes, at.key("vm").item(index), sink);
        }
        let parts = Self {
            env,
            services: services::services(app, groups, at, sink),
            mounts: mounts::mounts(app, groups, at, sink),
            checks: checks::of_machines(app, groups, at, sink),
            files: files::files(app, groups, scene, at, sink),
            statics: files::statics(app, at, sink),
            metrics: files::metrics(app, groups, at, sink),
            restarts: files::restarts(app, groups, at, sink),
            stop: stop(app, at, sink),
            base: machine_config::base(app, image.as_ref(), scene, at, sink),
        };
        parts.over_base(groups)
    }

    /// Lays what `machine_config` says beneath the rest: for every group, and part by part.
    fn over_base(mut self, groups: &Groups) -> Self {
        let everyone: Vec<String> = groups.commands.keys().cloned().collect();
        let MachineConfig {
            env,
            services,
            checks,
            metrics,
            statics,
            files,
            restart,
            stop_config,
            ..
        } = self.base.config.clone();
        for (name, value) in env {
            self.env.entry(name).or_insert(value);
        }
        if self.services.is_empty() {
            self.services = all_of(&everyone, services).collect();
        }
        for (name, check) in checks {
            self.checks.entry(name).or_insert(Scoped {
                processes: everyone.clone(),
                value: check,
            });
        }
        let written: BTreeSet<String> = self
            .files
            .iter()
            .map(|file| file.value.guest_path.clone())
            .collect();
        self.files.extend(
            all_of(&everyone, files).filter(|file| !written.contains(&file.value.guest_path)),
        );
        if self.statics.is_empty() {
            self.statics = statics;
        }
        // The first that fits a group counts.
        self.metrics.extend(all_of(&everyone, metrics));
        self.restarts.extend(all_of(&everyone, restart));
        self.stop.signal = self.stop.signal.or(stop_config.signal);
        self.stop.timeout = self.stop.timeout.or(stop_config.timeout);
        self
    }

    /// Metadata that `machine_config` asks for.
    pub(super) fn labels(&self) -> &BTreeMap<String, String> {
        &self.base.labels
    }

    /// The configuration of a group's machines.
    pub(super) fn config(
        &self,
        app: &AppScene<'_>,
        groups: &Groups,
        group: &str,
        sink: &mut Sink,
    ) -> MachineConfig {
        fn pick<'a, T>(
            groups: &'a Groups,
            group: &'a str,
            parts: &'a [Scoped<T>],
        ) -> impl Iterator<Item = &'a T> {
            parts
                .iter()
                .filter(move |part| groups.has(&part.processes, group))
                .map(|part| &part.value)
        }
        let mut env = self.env.clone();
        env.insert("FLY_PROCESS_GROUP".to_owned(), group.to_owned());
        let checks = self
            .checks
            .iter()
            .filter(|(_, check)| groups.has(&check.processes, group));
        MachineConfig {
            image: app.image.clone().or_else(|| self.base.config.image.clone()),
            env,
            init: init(app.app, self.base.config.init.clone(), groups, group),
            guest: Some(guest_of(
                app.app,
                group,
                self.base.guest.as_ref(),
                app.at,
                sink,
            )),
            services: pick(groups, group, &self.services).cloned().collect(),
            checks: checks
                .map(|(name, check)| (name.clone(), check.value.clone()))
                .collect(),
            mounts: pick(groups, group, &self.mounts)
                .map(|mounted| mounted.mount.clone())
                .collect(),
            metrics: pick(groups, group, &self.metrics).next().cloned(),
            statics: self.statics.clone(),
            files: pick(groups, group, &self.files).cloned().collect(),
            restart: pick(groups, group, &self.restarts).next().cloned(),
            stop_config: self.stop.clone(),
            schedule: self.base.config.schedule.clone(),
            standbys: Vec::new(),
            verbatim: self.base.config.verbatim.clone(),
        }
    }
}

fn all_of<T>(
    everyone: &[String],
    values: impl IntoIterator<Item = T>,
) -> impl Iterator<Item = Scoped<T>> {
    values.into_iter().map(|value| Scoped {
        processes: everyone.to_vec(),
        value,
    })
}

/// CPUs and memory of a group: `machine_config`, then `[vm]` for all, then `[[vm]]` for this group, then
/// `[machines.GROUP]`.
fn guest_of(
    app: &App,
    group: &str,
    ground: Option<&Ground<'_>>,
    at: Spot<'_>,
    sink: &mut Sink,
) -> Guest {
    let vms = all(app.vm.as_ref()).iter().enumerate();
    let vms = vms.map(|(index, vm)| (vm, at.key("vm").item(index)));
    let chosen = vms
        .clone()
        .find(|(vm, _)| vm.processes.iter().any(|name| name == group))
        .or_else(|| vms.clone().find(|(vm, _)| vm.processes.is_empty()));
    let mut layers: Vec<Layer<'_>> = chosen
        .into_iter()
        .map(|(vm, at)| Layer::vm(vm, at))
        .collect();
    if let Some(stated) = app.machines.get(group) {
        layers.push(Layer::group(stated, at.key("machines").key(group)));
    }
    let mut guest = guest::guest_over(ground, &layers, sink);
    guest.host_dedication_id = guest
        .host_dedication_id
        .or_else(|| app.host_dedication_id.clone());
    guest
}

fn init(app: &App, mut init: Init, groups: &Groups, group: &str) -> Init {
    let replace = |words: &mut Vec<String>, stated: &Vec<String>| {
        if !stated.is_empty() {
            words.clone_from(stated);
        }
    };
    if let Some(experimental) = &app.experimental {
        replace(&mut init.cmd, &experimental.cmd);
        replace(&mut init.entrypoint, &experimental.entrypoint);
        replace(&mut init.exec, &experimental.exec);
    }
    if let Some(command) = groups.commands.get(group) {
        replace(&mut init.cmd, command);
    }
    init.swap_size_mb = app.swap_size_mb.or(init.swap_size_mb);
    init
}

/// The longest that Fly waits before it kills a machine.
const LONGEST_STOP: Span = Span::from_secs(300);

fn stop(app: &App, at: Spot<'_>, sink: &mut Sink) -> StopConfig {
    let spot = at.key("kill_timeout");
    let timeout = scalars::seconds(app.kill_timeout.as_ref(), spot, sink);
    if timeout.is_some_and(|timeout| timeout > LONGEST_STOP) {
        sink.error(
            spot.problem("a machine may take 300 seconds to stop at most")
                .help("write `300s` or less"),
        );
    }
    StopConfig {
        signal: app.kill_signal.as_ref().map(|signal| signal.0.clone()),
        timeout,
    }
}
