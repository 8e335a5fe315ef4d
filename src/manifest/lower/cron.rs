//! Cron machines: a schedule, the app's image and variables, and no services.

use std::collections::BTreeMap;

use super::{
    Lowered, Sink,
    app::{AppScene, check_image},
    env,
    guest::{self, Layer},
    scalars,
};
use crate::{
    kinds::fly::{
        self,
        cron::CronSpec,
        workload::{
            MachineConfig,
            config::{Init, Restart},
        },
    },
    manifest::{
        shape::{Cron, Schedule},
        spot::Spot,
    },
    model::{Image, Region},
};

/// Makes the cron machines of an app.
pub(super) fn crons(
    app: &AppScene<'_>,
    env: &BTreeMap<String, String>,
    wait_secs: u64,
    out: &mut Lowered,
    sink: &mut Sink,
) {
    let mut taken: BTreeMap<&str, &str> = BTreeMap::new();
    for (key, cron) in &app.app.cron {
        let at = app.at.key("cron").key(key);
        let machine = cron.name.as_deref().unwrap_or(key);
        if let Some(other) = taken.insert(machine, key) {
            let problem = at.key("name").problem(format!(
                "cron `{key}` has the same machine name as cron `{other}`: `{machine}`"
            ));
            sink.error(problem.help("machine names are unique within an app"));
        }
        check_machine_name(machine, at.key("name"), sink);
        let Some(name) = app.child(&[key], at, sink) else {
            continue;
        };
        let Some(region) = region(app, cron, at, sink) else {
            continue;
        };
        let config = config(app, cron, env, at, sink);
        // Without `fly_process_group`, so that `fly deploy` does not take it for one of the app's own machines.
        let workload = app.workload(&name, region, config, wait_secs);
        app.place::<fly::Cron>(&name, at, out);
        if cron.image.is_some() {
            app.place_image(&name, at, out);
        }
        let spec = CronSpec {
            machine: machine.to_owned(),
            workload,
        };
        out.desired.fly_cron.insert(name, spec);
    }
}

fn check_machine_name(name: &str, at: Spot<'_>, sink: &mut Sink) {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    if name.is_empty() || name.len() > 63 || !name.chars().all(fits) {
        let problem = at.problem(format!("`{name}` cannot be a machine's name"));
        sink.error(problem.help("use lower-case letters, digits and dashes"));
    }
}

fn region(app: &AppScene<'_>, cron: &Cron, at: Spot<'_>, sink: &mut Sink) -> Option<Region> {
    let region = cron.region.as_ref().or(app.app.primary_region.as_ref());
    if region.is_none() {
        let problem = at.problem("this cron machine does not say where it runs");
        sink.error(problem.help("say `region`, or `primary_region` for the whole app"));
    }
    region.map(scalars::region)
}

fn config(
    app: &AppScene<'_>,
    cron: &Cron,
    env: &BTreeMap<String, String>,
    at: Spot<'_>,
    sink: &mut Sink,
) -> MachineConfig {
    if let Some(image) = &cron.image {
        check_image(image, at.key("image"), sink);
    }
    let mut env = env.clone();
    env.extend(env::variables(&cron.env, at.key("env"), sink));
    let mut words = |key: &str, command| {
        let command: Option<&crate::manifest::shape::Command> = command;
        command
            .map(|command| scalars::command(command, at.key(key), sink))
            .unwrap_or_default()
    };
    let init = Init {
        entrypoint: words("entrypoint", cron.entrypoint.as_ref()),
        cmd: words("command", cron.command.as_ref()),
        ..Init::default()
    };
    MachineConfig {
        image: cron
            .image
            .clone()
            .map(Image::new)
            .or_else(|| app.image.clone()),
        env,
        init,
        guest: Some(guest::guest(&[Layer::cron(cron, at)], sink)),
        restart: Some(Restart {
            policy: "on-failure".to_owned(),
            max_retries: None,
        }),
        schedule: cron
            .schedule
            .map(|schedule| schedule_word(schedule).to_owned()),
        ..MachineConfig::default()
    }
}

fn schedule_word(schedule: Schedule) -> &'static str {
    match schedule {
        Schedule::Hourly => "hourly",
        Schedule::Daily => "daily",
        Schedule::Weekly => "weekly",
        Schedule::Monthly => "monthly",
    }
}
