//! Lowers the parts of an app's machines: each is lowered and checked once, and then selected for
//! each process group.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    app::AppContext,
    checks, collisions, env, files,
    guest::{self, BaseGuest, GuestLayer},
    machine_config::{self, BaseConfig},
    mounts::{self, LoweredMount},
    process_groups::{GroupScoped, ProcessGroups},
    scalars, services,
};
use crate::manifest::lower::Diagnostics;
use crate::{
    kinds::fly::workload::{
        MachineConfig,
        config::{
            MachineCheck, MachineFile, MachineGuest, MachineInit, MachineMetrics, MachineRestart,
            MachineService, MachineStatic, StopConfig,
        },
    },
    manifest::{
        schema::{AppSection, slice_or_empty},
        syntax::cursor::Cursor,
    },
    model::GoDuration,
};

/// The lowered parts of an app's machines.
pub(crate) struct MachineParts<'a> {
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) services: Vec<GroupScoped<MachineService>>,
    pub(crate) mounts: Vec<GroupScoped<LoweredMount>>,
    checks: BTreeMap<String, GroupScoped<MachineCheck>>,
    files: Vec<GroupScoped<MachineFile>>,
    statics: Vec<MachineStatic>,
    metrics: Vec<GroupScoped<MachineMetrics>>,
    restarts: Vec<GroupScoped<MachineRestart>>,
    stop: StopConfig,
    base_config: BaseConfig<'a>,
}

impl<'a> MachineParts<'a> {
    /// Lowers the parts of an app.
    pub(crate) fn lower(
        whole: &AppContext<'a>,
        groups: &ProcessGroups,
        diagnostics: &mut Diagnostics,
    ) -> Self {
        let AppContext {
            app,
            cursor,
            context,
            ref image,
            ..
        } = *whole;
        // The variables of a Postgres cluster are our own, and one of them has a name that is Fly's.
        let mut env = match whole.is_postgres {
            true => app
                .env
                .iter()
                .map(|(name, value)| (name.clone(), scalars::format_env_value(value)))
                .collect(),
            false => env::lower_env(&app.env, context.files, cursor.key("env"), diagnostics),
        };
        if let Some(region) = &app.primary_region {
            env.insert("PRIMARY_REGION".to_owned(), region.0.clone());
        }
        for (name, value) in whole.identity_env() {
            env.entry(name.clone()).or_insert_with(|| value.clone());
        }
        for (index, vm) in slice_or_empty(app.vm.as_ref()).iter().enumerate() {
            groups.check_processes(&vm.processes, cursor.key("vm").item(index), diagnostics);
        }
        let services = services::lower_services(app, groups, cursor, diagnostics);
        collisions::warn_of_collisions(app, groups, &services, context, cursor, diagnostics);
        let parts = Self {
            env,
            services,
            mounts: mounts::lower_mounts(app, groups, cursor, diagnostics),
            checks: checks::lower_machine_checks(app, groups, cursor, diagnostics),
            files: files::lower_files(app, groups, context, cursor, diagnostics),
            statics: files::lower_statics(app, cursor, diagnostics),
            metrics: files::lower_metrics(app, groups, cursor, diagnostics),
            restarts: files::lower_restarts(app, groups, cursor, diagnostics),
            stop: lower_stop_config(app, cursor, diagnostics),
            base_config: machine_config::lower_machine_config(
                app,
                image.as_ref(),
                context,
                cursor,
                diagnostics,
            ),
        };
        parts.merge_base(groups)
    }

    /// Merges `machine_config` below the other parts: for every group, and part by part.
    fn merge_base(mut self, groups: &ProcessGroups) -> Self {
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
        } = self.base_config.config.clone();
        for (name, value) in env {
            self.env.entry(name).or_insert(value);
        }
        if self.services.is_empty() {
            self.services = scope_to_all(&everyone, services).collect();
        }
        for (name, check) in checks {
            self.checks.entry(name).or_insert(GroupScoped {
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
            scope_to_all(&everyone, files).filter(|file| !written.contains(&file.value.guest_path)),
        );
        if self.statics.is_empty() {
            self.statics = statics;
        }
        // The app's own sections count before those of `machine_config`: of metrics the first match
        // of a group counts, of restart policies the last, as in flyctl.
        self.metrics.extend(scope_to_all(&everyone, metrics));
        self.restarts.splice(0..0, scope_to_all(&everyone, restart));
        self.stop.signal = self.stop.signal.or(stop_config.signal);
        self.stop.timeout = self.stop.timeout.or(stop_config.timeout);
        self
    }

    /// The metadata of `machine_config`.
    pub(crate) fn base_metadata(&self) -> &BTreeMap<String, String> {
        &self.base_config.metadata
    }

    /// Whether the app says anything about the CPUs and memory of a group.
    pub(crate) fn states_guest(&self, app: &AppContext<'_>, group: &str) -> bool {
        let mut layers = guest_layers(app.app, group, app.cursor).into_iter();
        self.base_config.guest.is_some() || layers.any(|layer| layer.is_stated())
    }

    /// The files of a group; those without groups are for all of them.
    fn files_of(&self, groups: &ProcessGroups, group: &str) -> impl Iterator<Item = &MachineFile> {
        let is_own = move |file: &&GroupScoped<MachineFile>| {
            file.processes.is_empty() || groups.applies_to(&file.processes, group)
        };
        self.files.iter().filter(is_own).map(|file| &file.value)
    }

    /// The configuration of a group's machines.
    pub(crate) fn group_config(
        &self,
        app: &AppContext<'_>,
        groups: &ProcessGroups,
        group: &str,
        diagnostics: &mut Diagnostics,
    ) -> MachineConfig {
        fn pick<'a, T>(
            groups: &'a ProcessGroups,
            group: &'a str,
            parts: &'a [GroupScoped<T>],
        ) -> impl Iterator<Item = &'a T> {
            parts
                .iter()
                .filter(move |part| groups.applies_to(&part.processes, group))
                .map(|part| &part.value)
        }
        let mut env = self.env.clone();
        env.insert("FLY_PROCESS_GROUP".to_owned(), group.to_owned());
        let checks = self
            .checks
            .iter()
            .filter(|(_, check)| groups.applies_to(&check.processes, group));
        MachineConfig {
            image: app
                .image
                .clone()
                .or_else(|| self.base_config.config.image.clone()),
            env,
            init: group_init(app.app, self.base_config.config.init.clone(), groups, group),
            guest: Some(group_guest(
                app.app,
                group,
                self.base_config.guest.as_ref(),
                app.cursor,
                diagnostics,
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
            files: self.files_of(groups, group).cloned().collect(),
            restart: pick(groups, group, &self.restarts).last().cloned(),
            stop_config: self.stop.clone(),
            schedule: self.base_config.config.schedule.clone(),
            standbys: Vec::new(),
            verbatim: self.base_config.config.verbatim.clone(),
        }
    }
}

fn scope_to_all<T>(
    everyone: &[String],
    values: impl IntoIterator<Item = T>,
) -> impl Iterator<Item = GroupScoped<T>> {
    values.into_iter().map(|value| GroupScoped {
        processes: everyone.to_vec(),
        value,
    })
}

/// What the app says about the CPUs and memory of a group. Later layers override earlier ones:
/// `[vm]` (of `[[vm]]` the last that names the group, or else the first for all, as in flyctl), then
/// `[machines.GROUP]`.
fn guest_layers<'a>(app: &'a AppSection, group: &str, cursor: Cursor<'a>) -> Vec<GuestLayer<'a>> {
    let vms = slice_or_empty(app.vm.as_ref()).iter().enumerate();
    let vms = vms.map(|(index, vm)| (vm, cursor.key("vm").item(index)));
    let chosen = vms
        .clone()
        .rfind(|(vm, _)| vm.processes.iter().any(|name| name == group))
        .or_else(|| vms.clone().find(|(vm, _)| vm.processes.is_empty()));
    let mut layers: Vec<GuestLayer<'_>> = chosen
        .into_iter()
        .map(|(vm, cursor)| GuestLayer::from_vm(vm, cursor))
        .collect();
    if let Some(stated) = app.machines.get(group) {
        layers.push(GuestLayer::from_group(
            stated,
            cursor.key("machines").key(group),
        ));
    }
    layers
}

/// The CPUs and memory of a group: its layers over `machine_config`.
fn group_guest(
    app: &AppSection,
    group: &str,
    base: Option<&BaseGuest<'_>>,
    cursor: Cursor<'_>,
    diagnostics: &mut Diagnostics,
) -> MachineGuest {
    let layers = guest_layers(app, group, cursor);
    let mut guest = guest::lower_guest_over_base(base, &layers, diagnostics);
    guest.host_dedication_id = guest
        .host_dedication_id
        .or_else(|| app.host_dedication_id.clone());
    guest
}

fn group_init(
    app: &AppSection,
    mut init: MachineInit,
    groups: &ProcessGroups,
    group: &str,
) -> MachineInit {
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

/// The longest time between Fly's stop signal and its kill.
const MAX_STOP_TIMEOUT: GoDuration = GoDuration::from_secs(300);

fn lower_stop_config(
    app: &AppSection,
    cursor: Cursor<'_>,
    diagnostics: &mut Diagnostics,
) -> StopConfig {
    let field = cursor.key("kill_timeout");
    let timeout = scalars::parse_duration_or_seconds(app.kill_timeout.as_ref(), field, diagnostics);
    if timeout.is_some_and(|timeout| timeout > MAX_STOP_TIMEOUT) {
        diagnostics.error(
            field
                .diagnostic("a machine may take at most 300 seconds to stop")
                .with_help("write `300s` or less"),
        );
    }
    StopConfig {
        signal: app.kill_signal.as_ref().map(|signal| signal.0.clone()),
        timeout,
    }
}
