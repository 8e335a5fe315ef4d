//! Cron machines: a schedule, the app's image and variables, and no services.

use std::collections::BTreeMap;

use super::{
    app::{AppContext, check_image},
    env,
    guest::{self, GuestLayer},
    scalars,
};
use crate::manifest::lower::{Diagnostics, Lowered};
use crate::{
    kinds::fly::{
        self,
        cron::CronSpec,
        workload::{
            MachineConfig,
            config::{MachineInit, MachineRestart},
        },
    },
    manifest::{
        schema::{CronSection, Schedule},
        syntax::cursor::Cursor,
    },
    model::{Image, Region},
};

/// Makes the cron machines of an app.
pub(crate) fn lower_crons(
    app: &AppContext<'_>,
    env: &BTreeMap<String, String>,
    wait_secs: u64,
    out: &mut Lowered,
    sink: &mut Diagnostics,
) {
    let mut taken: BTreeMap<&str, &str> = BTreeMap::new();
    for (key, cron) in &app.app.cron {
        let at = app.cursor.key("cron").key(key);
        let machine = cron.name.as_deref().unwrap_or(key);
        if let Some(other) = taken.insert(machine, key) {
            let problem = at.key("name").diagnostic(format!(
                "cron `{key}` has the same machine name as cron `{other}`: `{machine}`"
            ));
            sink.error(problem.with_help("machine names are unique within an app"));
        }
        check_machine_name(machine, at.key("name"), sink);
        let Some(name) = app.child_name(&[key], at, sink) else {
            continue;
        };
        let Some(region) = cron_region(app, cron, at, sink) else {
            continue;
        };
        let config = cron_config(app, cron, env, at, sink);
        // Without `fly_process_group`, so that `fly deploy` does not take it for one of the app's own machines.
        let workload = app.build_workload(&name, region, config, wait_secs);
        app.record_location::<fly::Cron>(&name, at, out);
        if cron.image.is_some() {
            app.record_image_location(&name, at, out);
        }
        let spec = CronSpec {
            machine: machine.to_owned(),
            workload,
        };
        out.desired.fly_cron.insert(name, spec);
    }
}

fn check_machine_name(name: &str, at: Cursor<'_>, sink: &mut Diagnostics) {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    if name.is_empty() || name.len() > 63 || !name.chars().all(fits) {
        let problem = at.diagnostic(format!("`{name}` cannot be a machine's name"));
        sink.error(problem.with_help("use lower-case letters, digits and dashes"));
    }
}

fn cron_region(
    app: &AppContext<'_>,
    cron: &CronSection,
    at: Cursor<'_>,
    sink: &mut Diagnostics,
) -> Option<Region> {
    let region = cron.region.as_ref().or(app.app.primary_region.as_ref());
    if region.is_none() {
        let problem = at.diagnostic("this cron machine does not say where it runs");
        sink.error(problem.with_help("say `region`, or `primary_region` for the whole app"));
    }
    region.map(scalars::to_region)
}

fn cron_config(
    app: &AppContext<'_>,
    cron: &CronSection,
    env: &BTreeMap<String, String>,
    at: Cursor<'_>,
    sink: &mut Diagnostics,
) -> MachineConfig {
    if let Some(image) = &cron.image {
        check_image(image, at.key("image"), sink);
    }
    let mut env = env.clone();
    env.extend(env::lower_env(&cron.env, at.key("env"), sink));
    let mut words = |key: &str, command| {
        let command: Option<&crate::manifest::schema::CommandLine> = command;
        command
            .map(|command| scalars::parse_command(command, at.key(key), sink))
            .unwrap_or_default()
    };
    let init = MachineInit {
        entrypoint: words("entrypoint", cron.entrypoint.as_ref()),
        cmd: words("command", cron.command.as_ref()),
        ..MachineInit::default()
    };
    MachineConfig {
        image: cron
            .image
            .clone()
            .map(Image::new)
            .or_else(|| app.image.clone()),
        env,
        init,
        guest: Some(guest::lower_guest(&[GuestLayer::from_cron(cron, at)], sink)),
        restart: Some(MachineRestart {
            policy: "on-failure".to_owned(),
            max_retries: None,
        }),
        schedule: cron
            .schedule
            .map(|schedule| schedule_name(schedule).to_owned()),
        ..MachineConfig::default()
    }
}

fn schedule_name(schedule: Schedule) -> &'static str {
    match schedule {
        Schedule::Hourly => "hourly",
        Schedule::Daily => "daily",
        Schedule::Weekly => "weekly",
        Schedule::Monthly => "monthly",
    }
}
