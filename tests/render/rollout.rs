//! Rollouts: plans in which machines take turns, as text, Markdown, JSON and pictures.

use snapbox::{assert_data_eq, file};
use trimtab::{
    kinds::{
        Desired, World,
        fly::{
            Machine,
            app::{AppSpec, Verify},
            cron::CronSpec,
            machine::MachineSpec,
            release::{ReleaseLive, ReleaseSpec},
        },
    },
    model::{Address, Fingerprint, Strategy, Turns},
    plan::Plan,
    render::{Look, graph, json, markdown, text},
};
use unicode_width::UnicodeWidthStr as _;

use crate::render::{
    fixture::{
        CANARY, PLAIN, PRINT, applied, cron, desired, headline, image, machine, name, planned,
        pretty, to,
    },
    machine::conforms,
};

const REGIONS: [&str; 3] = ["ewr", "lhr", "nrt"];

fn turns(strategy: Strategy, at_once: u32) -> Turns {
    Turns { strategy, at_once }
}

/// A group with so many machines in each of three regions.
fn group(desired: &mut Desired, app: &str, group: &str, each: usize, turns: Turns) {
    for region in REGIONS {
        for at in 0..each {
            let slot = format!("{region}/{at}");
            let mut spec = machine(group, &slot);
            spec.turns = turns;
            spec.workload.app = to(app);
            spec.workload.secrets = desired.fly_secrets.contains_key(app).then(|| to(app));
            desired
                .fly_machine
                .insert(name(&format!("{app}/{group}/{slot}")), spec);
        }
    }
}

/// Machines of one group.
fn of_group<'a>(
    desired: &'a mut Desired,
    group: &str,
) -> impl Iterator<Item = &'a mut MachineSpec> {
    desired
        .fly_machine
        .values_mut()
        .filter(move |spec| spec.group == group)
}

fn app(name: &str) -> AppSpec {
    AppSpec {
        name: format!("shop-{name}"),
        ..desired().fly_app["web"].clone()
    }
}

fn verify() -> Verify {
    Verify {
        host: None,
        path: format!("/health?token={CANARY}"),
        status: 200,
        body: Some("ok".to_owned()),
        retries: Verify::RETRIES,
        interval: Verify::INTERVAL,
    }
}

/// Gives every machine and cron machine the new version.
fn release(desired: &mut Desired) {
    let machines = desired
        .fly_machine
        .values_mut()
        .map(|spec| &mut spec.workload);
    let crons = desired.fly_cron.values_mut().map(|spec| &mut spec.workload);
    machines
        .chain(crons)
        .for_each(|workload| workload.config.image = Some(image("2b")));
}

/// One app with a group of every strategy, behind an app that it needs; a command before, a proof and cron machines
/// after, sleepers, and machines that come and go besides.
pub(crate) fn everything() -> (Desired, World) {
    let mut all = Desired::empty(desired().meta);
    all.fly_app.insert(name("api"), app("api"));
    all.fly_app.insert(
        name("web"),
        AppSpec {
            verify: Some(verify()),
            ..app("web")
        },
    );
    all.fly_secrets
        .insert(name("web"), crate::render::fixture::secrets());
    all.fly_cron.insert(name("web/news"), cron());
    group(&mut all, "api", "app", 2, turns(Strategy::Immediate, 1));
    group(&mut all, "web", "app", 3, turns(Strategy::Rolling, 2));
    group(&mut all, "web", "worker", 1, turns(Strategy::Canary, 1));
    group(&mut all, "web", "edge", 1, turns(Strategy::BlueGreen, 1));
    let service = serde_json::json!({ "internal_port": 8080, "protocol": "tcp" });
    for spec in of_group(&mut all, "edge") {
        spec.workload.config.services = vec![serde_json::from_value(service.clone()).unwrap()];
    }
    let needed = to::<Machine>("api/app/ewr/0").address();
    of_group(&mut all, "worker").for_each(|spec| spec.workload.needs.extend([needed.clone()]));
    let mut world = applied(&all);
    for at in ["web/app/lhr/2", "web/app/nrt/2"] {
        world.fly_machine.get_mut(at).unwrap().workload.state = "suspended".to_owned();
    }
    world.fly_machine.insert(
        name("web/app/sjc/0"),
        world.fly_machine["web/app/ewr/0"].clone(),
    );
    world.fly_machine.remove("web/app/ewr/2");
    all.fly_cron.insert(
        name("web/backup"),
        CronSpec {
            machine: "backup".to_owned(),
            ..cron()
        },
    );
    release(&mut all);
    command(&mut all, &mut world);
    let values = &mut all.fly_secrets.get_mut("web").unwrap().values;
    values.get_mut("DATABASE_URL").unwrap().fingerprint =
        Some(Fingerprint::stored(format!("{PRINT}-new")));
    (all, world)
}

/// Lets the command of the new release come before the machines of `web`.
fn command(all: &mut Desired, world: &mut World) {
    let mut workload = machine("app", "ewr/0").workload;
    workload.config.image = Some(image("2b"));
    workload.config.init.cmd = ["bin/rails", "db:migrate"].map(str::to_owned).to_vec();
    let spec = ReleaseSpec {
        workload,
        limit_secs: None,
        release: None,
    };
    all.fly_release.insert(name("web"), spec);
    for spec in all
        .fly_machine
        .values_mut()
        .filter(|spec| spec.workload.app == to("web"))
    {
        spec.after = Some(to("web"));
    }
    let live = ReleaseLive {
        app: to("web"),
        done: Default::default(),
        witness: None,
        leftovers: Vec::new(),
    };
    world.fly_release.insert(name("web"), live);
}

/// One group alone, with so many machines in each of three regions, that gets a new version.
fn one_group(each: usize, turns: Turns) -> Plan {
    let mut all = Desired::empty(desired().meta);
    all.fly_app.insert(name("web"), app("web"));
    group(&mut all, "web", "app", each, turns);
    let service = serde_json::json!({ "internal_port": 8080, "protocol": "tcp" });
    for spec in of_group(&mut all, "app") {
        spec.workload.config.services = vec![serde_json::from_value(service.clone()).unwrap()];
    }
    let world = applied(&all);
    release(&mut all);
    planned(&all, &world).0
}

/// What is said of the rollout, and of the time.
fn said(plan: &Plan, width: usize) -> String {
    let text = text::plan(
        plan,
        &[],
        &headline("plan"),
        &Look {
            color: false,
            width,
        },
    );
    let from = text
        .find("\nRollout of")
        .or_else(|| text.find("\nPlan: "))
        .unwrap();
    text[from + 1..]
        .lines()
        .filter(|line| !line.starts_with("Plan id"))
        .map(|line| format!("{line}\n"))
        .collect()
}

#[test]
fn everything_as_text() {
    let (desired, world) = everything();
    let (plan, refusals) = planned(&desired, &world);
    for (width, file) in [
        (60, file!["text/rollout.60.txt"]),
        (120, file!["text/rollout.120.txt"]),
    ] {
        let look = Look {
            color: false,
            width,
        };
        assert_data_eq!(
            text::plan(&plan, &refusals, &headline("plan"), &look),
            file.raw()
        );
    }
    let look = Look {
        color: true,
        ..PLAIN
    };
    let text = text::plan(&plan, &refusals, &headline("plan"), &look);
    assert_data_eq!(text, file!["text/rollout.ansi.txt"].raw());
}

#[test]
fn everything_as_markdown_and_json() {
    let (desired, world) = everything();
    let (plan, refusals) = planned(&desired, &world);
    let comment = markdown::plan(&plan, &refusals, &headline("plan"), markdown::BUDGET);
    assert_data_eq!(comment, file!["markdown/rollout.md"].raw());
    let document = json::plan(&plan, &refusals, &headline("plan"));
    let (schema, at) = (json::schema(), "");
    conforms(&document, &schema, &schema, at);
    let part = serde_json::json!({
        "summary": document["summary"],
        "rollouts": document["rollouts"],
        "estimate_secs": document["estimate_secs"],
    });
    assert_data_eq!(pretty(&part), file!["json/rollout.json"].raw());
}

#[test]
fn everything_as_pictures() {
    let (desired, world) = everything();
    let (plan, _) = planned(&desired, &world);
    assert_data_eq!(graph::svg(&plan), file!["graph/rollout.svg"].raw());
    assert_data_eq!(graph::mermaid(&plan), file!["graph/rollout.mmd"].raw());
    assert_data_eq!(graph::dot(&plan), file!["graph/rollout.dot"].raw());
}

/// Few and many machines in each way, on a terminal of 60 columns.
#[test]
fn every_strategy_in_words() {
    let strategies = [
        Strategy::Rolling,
        Strategy::Canary,
        Strategy::BlueGreen,
        Strategy::Immediate,
    ];
    let mut all = String::new();
    for (strategy, (each, at_once)) in strategies
        .into_iter()
        .flat_map(|s| [(s, (1, 1)), (s, (10, 5))])
    {
        let plan = one_group(each, turns(strategy, at_once));
        let lines = said(&plan, 60);
        assert!(lines.lines().all(|line| line.width() <= 60), "{lines}");
        all += &format!("# {}, 3 × {each}\n{}\n", strategy.word(), lines);
    }
    assert_data_eq!(all, file!["text/strategies.txt"].raw());
}

#[test]
fn many_machines_of_one_group_are_one_box() {
    for (strategy, stored) in [
        (Strategy::Rolling, file!["graph/rolling.30.dot"]),
        (Strategy::Canary, file!["graph/canary.30.dot"]),
        (Strategy::BlueGreen, file!["graph/bluegreen.30.dot"]),
    ] {
        assert_data_eq!(graph::dot(&one_group(10, turns(strategy, 5))), stored.raw());
    }
}

#[test]
fn one_machine_alone_is_no_rollout() {
    let plan =
        one_group(1, Turns::ONE).only(&[Address::parse("fly.machine/web/app/lhr/0").unwrap()]);
    assert_data_eq!(
        said(&plan, 80),
        "Plan: 0 to add, 1 to change, 0 to destroy.\n1 machine restarts.\nTakes about 16 s on Fly.\n"
    );
    assert_eq!(
        plan.rollouts["web/app"].members.len(),
        1,
        "of those that were left out nothing is told"
    );
}

#[test]
fn why_a_step_on_the_way_is_taken() {
    let (desired, world) = everything();
    let (plan, _) = planned(&desired, &world);
    let why = |address: &str| text::why(&plan, &Address::parse(address).unwrap(), &PLAIN);
    let answers = [
        "fly.release/web",
        "fly.machine/web/edge/ewr/0",
        "fly.machine/web/edge",
        "fly.app/web",
    ]
    .map(why);
    assert_data_eq!(answers.join("----\n"), file!["text/rollout.why.txt"].raw());
}
