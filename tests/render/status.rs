//! The status of a fixture, in wide and in narrow terminals.

use snapbox::{assert_data_eq, file};
use trimtab::{
    kinds::{
        World,
        fly::workload::{ProcessExit, WorkloadLive, config::Autostop},
    },
    model::Image,
    render::{TextOptions, text},
    status::{self, Activity, EnvironmentStatus},
};

use crate::render::{
    fixture::{
        CANARY, CANARY_FINGERPRINT, PLAIN, desired, headline, image_with_digest, parse_name,
        pretty_json, world_after_apply,
    },
    machine_readable::assert_conforms,
};

fn machine_mut<'w>(world: &'w mut World, slot: &str) -> &'w mut WorkloadLive {
    &mut world
        .fly_machine
        .get_mut(&parse_name(slot))
        .unwrap()
        .workload
}

/// A shop in the middle of a rollout, with one of each problem.
fn troubled_fleet() -> EnvironmentStatus {
    let mut desired = desired();
    desired
        .meta
        .warnings
        .push("a key without effect".to_owned());
    let mut world = world_after_apply(&desired);
    for (at, live) in world.fly_machine.values_mut().enumerate() {
        live.workload.config.image = Some(Image::new("registry.fly.io/shop-web:v1"));
        live.workload.digest = image_with_digest("1a").digest().map(str::to_owned);
        live.workload.metadata.insert(
            "trimtab_release".to_owned(),
            format!("5f{}", u8::from(at == 0)),
        );
    }
    let new = machine_mut(&mut world, "web/app/ewr/0");
    new.config.image = Some(Image::new("registry.fly.io/shop-web:v2"));
    new.digest = image_with_digest("2b").digest().map(str::to_owned);
    new.health.checks = (1, 2);
    new.metadata
        .insert("trimtab_starting".to_owned(), "true".to_owned());
    machine_mut(&mut world, "web/app/ewr/1").health.cordoned = true;
    let keeper = machine_mut(&mut world, "web/keeper/ewr/0");
    keeper.state = "stopped".to_owned();
    keeper.last_run = Some(ProcessExit {
        ended_at_ms: 1_760_000_000_000,
        exit_code: Some(137),
        oom_killed: true,
        requested_stop: false,
    });
    let mut clone = world.fly_machine[&parse_name("web/app/iad/0")].clone();
    clone.workload.id = "clone\u{1b}[31m".to_owned();
    clone.workload.health.host_ok = false;
    world
        .fly_machine
        .insert(parse_name("web/app/iad/clone"), clone);
    let cron = &mut world
        .fly_cron
        .get_mut(&parse_name("web/news"))
        .unwrap()
        .workload;
    cron.config.image = Some(Image::new("registry.fly.io/shop-web:v0"));
    cron.digest = image_with_digest("0c").digest().map(str::to_owned);
    cron.last_run = Some(ProcessExit {
        ended_at_ms: 1_760_000_000_000,
        exit_code: Some(1),
        oom_killed: false,
        requested_stop: false,
    });
    world.fly_ip.remove(&parse_name("web/v6"));
    EnvironmentStatus::from_world(&desired, &world)
}

#[test]
fn healthy_fleet_is_short() {
    let desired = desired();
    let fleet = EnvironmentStatus::from_world(&desired, &world_after_apply(&desired));
    assert_data_eq!(
        text::status(&fleet, &headline("status"), &PLAIN),
        file!["text/status.txt"].raw()
    );
    assert!(fleet.versions().iter().all(|group| !group.is_mixed()));
}

#[test]
fn problems_are_shown_at_every_width() {
    let fleet = troubled_fleet();
    let at = |width| text::status(&fleet, &headline("status"), &TextOptions { width, ..PLAIN });
    assert_data_eq!(at(120), file!["text/status.trouble.txt"].raw());
    assert_data_eq!(at(60), file!["text/status.narrow.txt"].raw());
    let color = text::status(
        &fleet,
        &headline("status"),
        &TextOptions {
            color: true,
            ..PLAIN
        },
    );
    assert_data_eq!(color, file!["text/status.trouble.ansi.txt"].raw());
}

#[test]
fn mixed_versions_are_listed() {
    let fleet = troubled_fleet();
    assert_data_eq!(
        text::versions(&fleet, &PLAIN),
        file!["text/versions.txt"].raw()
    );
    let versions = fleet.versions();
    let app = versions
        .iter()
        .find(|group| group.group == "web/app")
        .unwrap();
    assert!(app.is_mixed());
    assert_eq!(
        app.versions
            .iter()
            .map(|version| version.machines.len())
            .collect::<Vec<_>>(),
        [3, 1]
    );
}

#[test]
fn autostopped_differs_from_stopped() {
    let desired = desired();
    let activity = |change: &dyn Fn(&mut WorkloadLive)| {
        let mut world = world_after_apply(&desired);
        let live = machine_mut(&mut world, "web/app/ewr/0");
        live.config.services = vec![Default::default()];
        "stopped".clone_into(&mut live.state);
        change(live);
        EnvironmentStatus::from_world(&desired, &world)
            .machines()
            .next()
            .unwrap()
            .activity
    };
    assert_eq!(
        activity(&|live| live.config.services[0].autostop = Autostop::Suspend),
        Activity::Asleep
    );
    assert_eq!(
        activity(&|_| ()),
        Activity::Stopped,
        "nothing puts it to sleep"
    );
    let never_woken = |live: &mut WorkloadLive| {
        live.config.services[0].autostop = Autostop::Stop;
        live.config.services[0].autostart = Some(false);
    };
    assert_eq!(activity(&never_woken), Activity::Stopped);
    assert_eq!(
        activity(&|live| live.health.host_ok = false),
        Activity::Unreachable
    );
}

#[test]
fn missing_resources_are_listed() {
    let desired = desired();
    let fleet = EnvironmentStatus::from_world(&desired, &World::default());
    assert_eq!(fleet.apps[0].missing, ["fly.app/web"]);
    let mut world = world_after_apply(&desired);
    world.fly_machine.remove(&parse_name("web/app/ewr/1"));
    let fleet = EnvironmentStatus::from_world(&desired, &world);
    assert_eq!(fleet.apps[0].missing, ["fly.machine/web/app/ewr/1"]);
    assert_eq!(
        (
            fleet.apps[0].groups[0].desired,
            fleet.apps[0].groups[0].running
        ),
        (2, 1)
    );
}

#[test]
fn status_json_and_schema_are_up_to_date() {
    let document = pretty_json(&troubled_fleet().to_json());
    assert_data_eq!(&document, file!["json/status.json"].raw());
    let schema = status::schema();
    assert_data_eq!(
        pretty_json(&schema),
        file!["../../schema/status.schema.json"].raw()
    );
    assert_conforms(&troubled_fleet().to_json(), &schema, &schema, "");
    assert!(!document.contains(CANARY) && !document.contains(CANARY_FINGERPRINT));
}

/// A machine that somebody made by hand runs another image. That is no rollout of ours, and does not count among the machines
/// that the manifest asks for.
#[test]
fn foreign_machine_is_counted_apart() {
    let desired = desired();
    let mut world = world_after_apply(&desired);
    let mut foreign = world.fly_machine[&parse_name("web/app/iad/0")].clone();
    foreign.workload.id = "4d8916".to_owned();
    foreign.workload.config.image = Some(Image::new("docker.io/library/nginx:1"));
    foreign.workload.digest = image_with_digest("4e").digest().map(str::to_owned);
    world
        .fly_machine
        .insert(parse_name("web/app/iad/1"), foreign);
    let status = EnvironmentStatus::from_world(&desired, &world);
    let shown = text::status(&status, &headline("status"), &PLAIN);
    assert!(!shown.contains("half done"), "{shown}");
    let counts = "4 of 4 machines run; 1 more runs without being in the manifest";
    assert!(shown.contains(counts), "{shown}");
    assert!(status.versions().iter().all(|group| !group.is_mixed()));
}
