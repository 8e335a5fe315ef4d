//! Rollouts as text, Markdown, JSON and graphs.

use snapbox::{assert_data_eq, file};
use trimtab::{
    kinds::{
        Desired, World,
        fly::{
            Machine,
            app::{AppSpec, Verification},
            cron::CronSpec,
            machine::MachineSpec,
            release::{ReleaseLive, ReleaseSpec},
        },
    },
    model::{Address, Fingerprint, RolloutPolicy, RolloutStrategy},
    plan::Plan,
    render::{TextOptions, graph, json, markdown, text},
};
use unicode_width::UnicodeWidthStr as _;

use crate::render::{
    fixture::{
        CANARY, CANARY_FINGERPRINT, PLAIN, cron_spec, desired, headline, image_with_digest,
        machine_spec, parse_name, plan_with_refusals, pretty_json, ref_to, world_after_apply,
    },
    machine_readable::assert_conforms,
};

const REGIONS: [&str; 3] = ["ewr", "lhr", "nrt"];

fn rollout_policy(strategy: RolloutStrategy, at_once: u32) -> RolloutPolicy {
    RolloutPolicy { strategy, at_once }
}

/// Adds a group with this many machines in each of three regions.
fn add_group(desired: &mut Desired, app: &str, group: &str, each: usize, turns: RolloutPolicy) {
    for region in REGIONS {
        for at in 0..each {
            let slot = format!("{region}/{at}");
            let mut spec = machine_spec(group, &slot);
            spec.rollout_policy = turns;
            spec.workload.app = ref_to(app);
            spec.workload.secrets = desired.fly_secrets.contains_key(app).then(|| ref_to(app));
            desired
                .fly_machine
                .insert(parse_name(&format!("{app}/{group}/{slot}")), spec);
        }
    }
}

fn machines_of_group<'a>(
    desired: &'a mut Desired,
    group: &str,
) -> impl Iterator<Item = &'a mut MachineSpec> {
    desired
        .fly_machine
        .values_mut()
        .filter(move |spec| spec.group == group)
}

fn app_spec(name: &str) -> AppSpec {
    AppSpec {
        name: format!("shop-{name}"),
        ..desired().fly_app["web"].clone()
    }
}

fn verify() -> Verification {
    Verification {
        host: None,
        path: format!("/health?token={CANARY}"),
        status: 200,
        body: Some("ok".to_owned()),
        retries: Verification::DEFAULT_RETRIES,
        interval: Verification::DEFAULT_INTERVAL,
    }
}

/// Gives every machine and cron machine a new image.
fn set_new_image(desired: &mut Desired) {
    let machines = desired
        .fly_machine
        .values_mut()
        .map(|spec| &mut spec.workload);
    let crons = desired.fly_cron.values_mut().map(|spec| &mut spec.workload);
    machines
        .chain(crons)
        .for_each(|workload| workload.config.image = Some(image_with_digest("2b")));
}

/// An app with one group for each strategy, which depends on another app, and with a release
/// command, verification, cron machines, suspended machines, and machines that are added and
/// removed.
pub(crate) fn every_strategy() -> (Desired, World) {
    let mut all = Desired::empty(desired().meta);
    all.fly_app.insert(parse_name("api"), app_spec("api"));
    all.fly_app.insert(
        parse_name("web"),
        AppSpec {
            verify: Some(verify()),
            ..app_spec("web")
        },
    );
    all.fly_secrets
        .insert(parse_name("web"), crate::render::fixture::secrets_spec());
    all.fly_cron.insert(parse_name("web/news"), cron_spec());
    add_group(
        &mut all,
        "api",
        "app",
        2,
        rollout_policy(RolloutStrategy::Immediate, 1),
    );
    add_group(
        &mut all,
        "web",
        "app",
        3,
        rollout_policy(RolloutStrategy::Rolling, 2),
    );
    add_group(
        &mut all,
        "web",
        "worker",
        1,
        rollout_policy(RolloutStrategy::Canary, 1),
    );
    add_group(
        &mut all,
        "web",
        "edge",
        1,
        rollout_policy(RolloutStrategy::BlueGreen, 1),
    );
    let service = serde_json::json!({ "internal_port": 8080, "protocol": "tcp" });
    for spec in machines_of_group(&mut all, "edge") {
        spec.workload.config.services = vec![serde_json::from_value(service.clone()).unwrap()];
    }
    let needed = ref_to::<Machine>("api/app/ewr/0").address();
    machines_of_group(&mut all, "worker")
        .for_each(|spec| spec.workload.needs.extend([needed.clone()]));
    let mut world = world_after_apply(&all);
    for at in ["web/app/lhr/2", "web/app/nrt/2"] {
        world.fly_machine.get_mut(at).unwrap().workload.state = "suspended".to_owned();
    }
    world.fly_machine.insert(
        parse_name("web/app/sjc/0"),
        world.fly_machine["web/app/ewr/0"].clone(),
    );
    world.fly_machine.remove("web/app/ewr/2");
    all.fly_cron.insert(
        parse_name("web/backup"),
        CronSpec {
            machine: "backup".to_owned(),
            ..cron_spec()
        },
    );
    set_new_image(&mut all);
    add_release_command(&mut all, &mut world);
    let values = &mut all.fly_secrets.get_mut("web").unwrap().values;
    values.get_mut("DATABASE_URL").unwrap().fingerprint = Some(Fingerprint::from_stored(format!(
        "{CANARY_FINGERPRINT}-new"
    )));
    (all, world)
}

/// Adds a release command before the machines of `web`.
fn add_release_command(all: &mut Desired, world: &mut World) {
    let mut workload = machine_spec("app", "ewr/0").workload;
    workload.config.image = Some(image_with_digest("2b"));
    workload.config.init.cmd = ["bin/rails", "db:migrate"].map(str::to_owned).to_vec();
    let spec = ReleaseSpec {
        workload,
        limit_secs: None,
        release: None,
    };
    all.fly_release.insert(parse_name("web"), spec);
    for spec in all
        .fly_machine
        .values_mut()
        .filter(|spec| spec.workload.app == ref_to("web"))
    {
        spec.release_command = Some(ref_to("web"));
    }
    let live = ReleaseLive {
        app: ref_to("web"),
        done: Default::default(),
        witness: None,
        leftovers: Vec::new(),
    };
    world.fly_release.insert(parse_name("web"), live);
}

/// A plan that gives a new image to one group with this many machines in each of three regions.
fn plan_for_one_group(each: usize, turns: RolloutPolicy) -> Plan {
    let mut all = Desired::empty(desired().meta);
    all.fly_app.insert(parse_name("web"), app_spec("web"));
    add_group(&mut all, "web", "app", each, turns);
    let service = serde_json::json!({ "internal_port": 8080, "protocol": "tcp" });
    for spec in machines_of_group(&mut all, "app") {
        spec.workload.config.services = vec![serde_json::from_value(service.clone()).unwrap()];
    }
    let world = world_after_apply(&all);
    set_new_image(&mut all);
    plan_with_refusals(&all, &world).0
}

/// The lines about the rollout and its duration.
fn rollout_text(plan: &Plan, width: usize) -> String {
    let text = text::plan(
        plan,
        &[],
        &headline("plan"),
        &TextOptions {
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
fn every_strategy_as_text() {
    let (desired, world) = every_strategy();
    let (plan, refusals) = plan_with_refusals(&desired, &world);
    for (width, file) in [
        (60, file!["text/rollout.60.txt"]),
        (120, file!["text/rollout.120.txt"]),
    ] {
        let look = TextOptions {
            color: false,
            width,
        };
        assert_data_eq!(
            text::plan(&plan, &refusals, &headline("plan"), &look),
            file.raw()
        );
    }
    let look = TextOptions {
        color: true,
        ..PLAIN
    };
    let text = text::plan(&plan, &refusals, &headline("plan"), &look);
    assert_data_eq!(text, file!["text/rollout.ansi.txt"].raw());
}

#[test]
fn every_strategy_as_markdown_and_json() {
    let (desired, world) = every_strategy();
    let (plan, refusals) = plan_with_refusals(&desired, &world);
    let comment = markdown::plan(
        &plan,
        &refusals,
        &headline("plan"),
        markdown::COMMENT_BUDGET,
    );
    assert_data_eq!(comment, file!["markdown/rollout.md"].raw());
    let document = json::plan(&plan, &refusals, &headline("plan"));
    let (schema, at) = (json::schema(), "");
    assert_conforms(&document, &schema, &schema, at);
    let part = serde_json::json!({
        "summary": document["summary"],
        "rollouts": document["rollouts"],
        "estimate_secs": document["estimate_secs"],
    });
    assert_data_eq!(pretty_json(&part), file!["json/rollout.json"].raw());
}

#[test]
fn every_strategy_as_graph() {
    let (desired, world) = every_strategy();
    let (plan, _) = plan_with_refusals(&desired, &world);
    assert_data_eq!(graph::svg(&plan), file!["graph/rollout.svg"].raw());
    assert_data_eq!(graph::mermaid(&plan), file!["graph/rollout.mmd"].raw());
    assert_data_eq!(graph::dot(&plan), file!["graph/rollout.dot"].raw());
}

/// Few and many machines with each strategy, in a terminal of 60 columns.
#[test]
fn strategies_are_described() {
    let strategies = [
        RolloutStrategy::Rolling,
        RolloutStrategy::Canary,
        RolloutStrategy::BlueGreen,
        RolloutStrategy::Immediate,
    ];
    let mut all = String::new();
    for (strategy, (each, at_once)) in strategies
        .into_iter()
        .flat_map(|s| [(s, (1, 1)), (s, (10, 5))])
    {
        let plan = plan_for_one_group(each, rollout_policy(strategy, at_once));
        let lines = rollout_text(&plan, 60);
        assert!(lines.lines().all(|line| line.width() <= 60), "{lines}");
        all += &format!("# {}, 3 × {each}\n{}\n", strategy.as_str(), lines);
    }
    assert_data_eq!(all, file!["text/strategies.txt"].raw());
}

#[test]
fn machines_of_group_share_one_node() {
    for (strategy, stored) in [
        (RolloutStrategy::Rolling, file!["graph/rolling.30.dot"]),
        (RolloutStrategy::Canary, file!["graph/canary.30.dot"]),
        (RolloutStrategy::BlueGreen, file!["graph/bluegreen.30.dot"]),
    ] {
        assert_data_eq!(
            graph::dot(&plan_for_one_group(10, rollout_policy(strategy, 5))),
            stored.raw()
        );
    }
}

#[test]
fn single_machine_is_no_rollout() {
    let plan = plan_for_one_group(1, RolloutPolicy::SERIAL)
        .only(&[Address::parse("fly.machine/web/app/lhr/0").unwrap()]);
    assert_data_eq!(
        rollout_text(&plan, 80),
        "Plan: 0 to add, 1 to change, 0 to destroy.\n1 machine restarts.\n\
         Takes about 13 s on Fly if programs start right away.\n"
    );
    assert_eq!(
        plan.rollouts["web/app"].members.len(),
        1,
        "of those that were left out nothing is told"
    );
}

#[test]
fn why_explains_rollout_steps() {
    let (desired, world) = every_strategy();
    let (plan, _) = plan_with_refusals(&desired, &world);
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
