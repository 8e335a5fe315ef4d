//! Any environment, any meddling, any faults: apply again until quiet, and the plan is empty, nothing is there twice,
//! and no secret stands in any output.

use std::{collections::BTreeMap, fmt::Write as _};

use proptest::{collection::vec, prelude::*, test_runner::Config};
use serde_json::{Value, json};
use trimtab::{model::Mark, plan::Plan, render, sandbox::Fault};

use crate::support::Team;

/// What a secret's value looks like in these tests; it must never be seen again.
const CANARY: &str = "canary";

/// An app of an arbitrary manifest.
#[derive(Clone, Debug)]
struct App {
    regions: BTreeMap<&'static str, u32>,
    memory: &'static str,
    volume: bool,
    secrets: bool,
    cron: bool,
    service: bool,
    image: u32,
}

fn app() -> impl Strategy<Value = App> {
    let regions = prop::collection::btree_map(prop::sample::select(vec!["ewr", "iad", "fra"]), 1..3u32, 1..3);
    let memory = prop::sample::select(vec!["256mb", "512mb", "1gb"]);
    let flags = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>(), 1..4u32);
    (regions, memory, flags).prop_map(|(regions, memory, (volume, secrets, cron, service, image))| App {
        regions,
        memory,
        volume,
        secrets,
        cron,
        service,
        image,
    })
}

/// The manifest of some apps.
fn manifest(apps: &[App]) -> String {
    let mut text = String::from("project = \"any\"\n[fly]\norg = \"any\"\n");
    for (at, app) in apps.iter().enumerate() {
        // `web-0` sorts before `web/…`: names that begin alike must not be mixed up.
        let key = if at == 0 { "apps.web".to_owned() } else { format!("apps.web-{at}") };
        let primary = app.regions.keys().next().unwrap();
        let count: Vec<String> = app.regions.iter().map(|(region, n)| format!("{region} = {n}")).collect();
        write!(
            text,
            "[{key}]\nname = \"any-{at}\"\nprimary_region = \"{primary}\"\nimage = \"any:{}\"\n",
            app.image
        )
        .unwrap();
        write!(
            text,
            "[{key}.machines.app]\nmemory = \"{}\"\ncount = {{ {} }}\n",
            app.memory,
            count.join(", ")
        )
        .unwrap();
        if app.volume {
            write!(
                text,
                "[[{key}.mounts]]\nsource = \"data\"\ndestination = \"/data\"\ninitial_size = \"1gb\"\n"
            )
            .unwrap();
        }
        if app.secrets {
            write!(text, "[{key}.secrets]\nSECRET_KEY = {{ env = \"SECRET_KEY\" }}\n").unwrap();
        }
        if app.service {
            write!(text, "[{key}.http_service]\ninternal_port = 8080\n").unwrap();
        }
        if app.cron {
            write!(text, "[{key}.cron.job]\nschedule = \"daily\"\ncommand = [\"job\"]\n").unwrap();
        }
    }
    text
}

/// Something that somebody does by hand.
#[derive(Clone, Copy, Debug)]
enum Meddling {
    Memory,
    Env,
    Image,
    Destroy,
    Extra,
    Clone,
    Secret,
    Ip,
}

fn meddling() -> impl Strategy<Value = Meddling> {
    use Meddling::{Clone, Destroy, Env, Extra, Image, Ip, Memory, Secret};
    prop::sample::select(vec![Memory, Env, Image, Destroy, Extra, Clone, Secret, Ip])
}

/// Does it to the `pick`-th object there is.
async fn meddle(team: &Team, what: Meddling, pick: usize) {
    let world = team.world().await;
    let machines: Vec<_> = world.fly_machine.iter().collect();
    if machines.is_empty() {
        return;
    }
    let (name, machine) = machines[pick % machines.len()];
    let app = &world.fly_app[&name.root()].name;
    let (id, region) = (&machine.workload.id, machine.workload.region.as_str());
    let base = format!("/v1/apps/{app}");
    match what {
        Meddling::Memory => {
            team.change_machine(app, id, |config| config["guest"]["memory_mb"] = 2048.into()).await;
        }
        Meddling::Env => team.change_machine(app, id, |config| config["env"]["BY_HAND"] = "1".into()).await,
        Meddling::Image => team.change_machine(app, id, |config| config["image"] = "other:9".into()).await,
        Meddling::Destroy => {
            drop(team.by_hand("DELETE", &format!("{base}/machines/{id}?force=true"), Value::Null).await);
        }
        Meddling::Extra => {
            let body = json!({"region": region, "config": {"image": "stranger:1"}});
            team.by_hand("POST", &format!("{base}/machines"), body).await;
        }
        Meddling::Clone => {
            let mut config = machine.workload.raw.clone();
            config["mounts"] = json!([]);
            team.by_hand("POST", &format!("{base}/machines"), json!({"region": region, "config": config}))
                .await;
        }
        Meddling::Secret => {
            let body = json!({"values": {"SECRET_KEY": "by hand"}});
            if world.fly_secrets.contains_key(&name.root()) {
                team.by_hand("POST", &format!("{base}/secrets"), body).await;
            }
        }
        Meddling::Ip => {
            let inside = world.fly_ip.iter().find(|(ip, _)| ip.root() == name.root());
            if let Some((_, ip)) = inside {
                team.by_hand("DELETE", &format!("{base}/ip_assignments/{}", ip.address), Value::Null).await;
            }
        }
    }
}

/// Everything that could be shown of a plan.
fn shown(plan: &Plan) -> String {
    let look = render::Look { color: false, width: 100 };
    let headline = render::Headline {
        command: "plan",
        environment: plan.mark.environment.clone(),
        project: plan.mark.project.clone(),
        org: String::new(),
        target: String::new(),
        again: String::new(),
        requests: 0,
        elapsed: None,
    };
    [
        render::text::plan(plan, &[], &headline, &look),
        render::text::drift(plan, &headline, &look),
        render::json::plan(plan, &[], &headline).to_string(),
        render::tfjson::plan(plan).to_string(),
        format!("{plan:?}"),
    ]
    .concat()
}

/// Applies until a run is complete; faults may need a few.
async fn until_quiet(team: &Team) {
    for _ in 0..20 {
        match team.try_apply(None).await {
            Ok(report) if report.is_complete() => return,
            Ok(report) => assert!(!format!("{report:?}").contains(CANARY)),
            Err(error) => assert!(!format!("{error:?}").contains(CANARY)),
        }
    }
    panic!("twenty runs were not enough");
}

async fn converges(first: Vec<App>, second: Vec<App>, deeds: Vec<(Meddling, usize)>, flaky: u32) {
    let faults: Vec<Fault> =
        if flaky == 0 { Vec::new() } else { vec![format!("flaky:0.0{flaky}").parse().unwrap()] };
    let mut team = Team::with_faults(&manifest(&first), faults).await;
    // When the last machine of ours is destroyed and a stranger's stays, nobody can tell whose the app is.
    team.adopt = true;
    assert!(!shown(&retried_plan(&team).await).contains(CANARY));
    until_quiet(&team).await;
    team.by_hand("DELETE", "/_sandbox/faults", Value::Null).await;
    assert_eq!(team.summary().await, Vec::<String>::new());
    for (what, pick) in deeds {
        meddle(&team, what, pick).await;
    }
    team.write(&manifest(&second));
    assert!(!shown(&team.plan().await).contains(CANARY));
    until_quiet(&team).await;
    assert_eq!(team.summary().await, Vec::<String>::new());
    let world = team.world().await;
    let wanted: u32 = second.iter().flat_map(|app| app.regions.values()).sum();
    assert_eq!(world.fly_machine.len(), usize::try_from(wanted).unwrap());
    let mut slots: Vec<_> =
        world.fly_machine.values().map(|machine| &machine.workload.metadata[Mark::NAME]).collect();
    slots.dedup();
    assert_eq!(slots.len(), world.fly_machine.len(), "no slot is filled twice");
}

/// A plan although answers get lost.
async fn retried_plan(team: &Team) -> Plan {
    let readers = team.readers(None).await;
    let desired = team.desired();
    for _ in 0..20 {
        if let Ok(world) = trimtab::observe::observe(&readers, &desired).await {
            return trimtab::plan::plan(&desired, &world).unwrap();
        }
    }
    panic!("twenty looks were not enough");
}

proptest! {
    #![proptest_config(Config { cases: 16, failure_persistence: None, ..Config::default() })]

    #[test]
    fn any_environment_converges(
        first in vec(app(), 1..3),
        second in vec(app(), 1..3),
        deeds in vec((meddling(), 0..10usize), 0..5),
        flaky in 0..6u32,
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(converges(first, second, deeds, flaky));
    }
}
