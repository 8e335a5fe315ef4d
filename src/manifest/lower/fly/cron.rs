//! Lowers cron machines: a schedule, the app's image and variables, and no services.

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

/// Adds the cron machines of an app.
pub(crate) fn lower_crons(
    app: &AppContext<'_>,
    env: &BTreeMap<String, String>,
    wait_secs: u64,
    lowered: &mut Lowered,
    diagnostics: &mut Diagnostics,
) {
    let mut taken: BTreeMap<&str, &str> = BTreeMap::new();
    for (key, cron) in &app.app.cron {
        let cursor = app.cursor.key("cron").key(key);
        let machine = cron.name.as_deref().unwrap_or(key);
        if let Some(other) = taken.insert(machine, key) {
            let diagnostic = cursor.key("name").diagnostic(format!(
                "cron `{key}` has the same machine name as cron `{other}`: `{machine}`"
            ));
            diagnostics.error(diagnostic.with_help("machine names are unique within an app"));
        }
        check_machine_name(machine, cursor.key("name"), diagnostics);
        let Some(name) = app.child_name(&[key], cursor, diagnostics) else {
            continue;
        };
        let Some(region) = cron_region(app, cron, cursor, diagnostics) else {
            continue;
        };
        let config = cron_config(app, cron, env, cursor, diagnostics);
        // Without `fly_process_group`, so that `fly deploy` does not take it for one of the app's
        // own machines.
        let mut workload = app.build_workload(&name, region, config, wait_secs);
        workload.guest_stated = GuestLayer::from_cron(cron, cursor).is_stated();
        app.record_location::<fly::Cron>(&name, cursor, lowered);
        if cron.image.is_some() {
            app.record_image_location(&name, cursor, lowered);
        }
        let spec = CronSpec {
            machine: machine.to_owned(),
            workload,
        };
        lowered.desired.fly_cron.insert(name, spec);
    }
}

fn check_machine_name(name: &str, cursor: Cursor<'_>, diagnostics: &mut Diagnostics) {
    let is_allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    if name.is_empty() || name.len() > 63 || !name.chars().all(is_allowed) {
        let diagnostic = cursor.diagnostic(format!("`{name}` cannot be a machine's name"));
        diagnostics.error(diagnostic.with_help("use lower-case letters, digits and dashes"));
    }
}

fn cron_region(
    app: &AppContext<'_>,
    cron: &CronSection,
    cursor: Cursor<'_>,
    diagnostics: &mut Diagnostics,
) -> Option<Region> {
    let region = cron.region.as_ref().or(app.app.primary_region.as_ref());
    if region.is_none() {
        let diagnostic = cursor.diagnostic("this cron machine has no region");
        diagnostics
            .error(diagnostic.with_help("set `region`, or `primary_region` for the whole app"));
    }
    region.map(scalars::to_region)
}

fn cron_config(
    app: &AppContext<'_>,
    cron: &CronSection,
    env: &BTreeMap<String, String>,
    cursor: Cursor<'_>,
    diagnostics: &mut Diagnostics,
) -> MachineConfig {
    if let Some(image) = &cron.image {
        check_image(image, cursor.key("image"), diagnostics);
    }
    let mut env = env.clone();
    let (files, field) = (app.context.files, cursor.key("env"));
    env.extend(env::lower_env(&cron.env, files, field, diagnostics));
    let mut words = |key: &str, command| {
        let command: Option<&crate::manifest::schema::CommandLine> = command;
        command
            .map(|command| scalars::parse_command(command, cursor.key(key), diagnostics))
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
        guest: Some(guest::lower_guest(
            &[GuestLayer::from_cron(cron, cursor)],
            diagnostics,
        )),
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
