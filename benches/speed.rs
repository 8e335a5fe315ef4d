//! How fast a plan is: in memory by the number of machines, against the sandbox by the number of apps, and the start of
//! the program. Run by hand: `cargo bench`. Compare only numbers of one run.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a program that prints a table for a person"
)]

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    process::Command,
    time::{Duration, Instant},
};

use trimtab::{clouds::{Readers, Settings, aws, fly::Reader}, kinds::{
        Desired, World,
        fly::{
            app::AppLive,
            machine::MachineLive,
            workload::{Health, WorkloadLive},
        },
    }, manifest::{self, Inputs, SecretsMode}, model::{Ownership, Secret}, observe::observe, plan::plan};
use trimtab_sandbox::{self as sandbox, Options, Running};

fn main() {
    in_memory();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(over_http());
    program();
}

fn inputs() -> Inputs {
    Inputs {
        vars: BTreeMap::new(),
        images: BTreeMap::new(),
        environment: BTreeMap::new(),
        secrets: SecretsMode::Required,
        shared: false,
    }
}

/// So many apps of so many machines.
fn manifest(apps: usize, machines: usize) -> String {
    let mut text = String::from("project = \"bench\"\n[fly]\norg = \"bench\"\n");
    for app in 0..apps {
        write!(
            text,
            "[apps.a{app}]\nname = \"bench-{app}\"\nprimary_region = \"ewr\"\nimage = \"registry.fly.io/bench:1\"\n\
             [apps.a{app}.env]\nLOG_LEVEL = \"info\"\n[apps.a{app}.http_service]\ninternal_port = 8080\n\
             force_https = true\n[apps.a{app}.machines.app]\nmemory = \"512mb\"\ncount = {{ ewr = {machines} }}\n"
        )
        .unwrap();
    }
    text
}

fn desired(apps: usize, machines: usize) -> Desired {
    load(&manifest(apps, machines))
}

fn load(text: &str) -> Desired {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("bench.toml"), text).unwrap();
    manifest::load(dir.path(), "bench", &inputs())
        .map_err(|problems| problems.render(false, 100))
        .unwrap()
        .desired
}

/// A world that matches, but for one machine in a hundred.
fn world(desired: &Desired) -> World {
    let mut world = World::default();
    for (name, spec) in &desired.fly_app {
        let live = AppLive {
            name: spec.name.clone(),
            id: name.to_string(),
            org: spec.org.clone(),
            network: "default".to_owned(),
            labels: vec![desired.meta.mark.label()],
        };
        world.fly_app.insert(name.clone(), live);
    }
    for (at, (name, spec)) in desired.fly_machine.iter().enumerate() {
        let mut config = spec.workload.config.clone();
        if at % 100 == 0 {
            config
                .env
                .insert("LOG_LEVEL".to_owned(), "debug".to_owned());
        }
        let workload = WorkloadLive {
            created: String::new(),
            unknown: Vec::new(),
            app: spec.workload.app.clone(),
            id: format!("{at:014x}"),
            machine: String::new(),
            region: spec.workload.region.clone(),
            state: "started".to_owned(),
            version: String::new(),
            raw: serde_json::to_value(&config).unwrap(),
            config,
            metadata: spec.workload.marks(),
            ownership: Ownership::Ours,
            digest: None,
            health: Health {
                host_ok: true,
                cordoned: false,
                checks: (0, 0),
            },
            last_run: None,
        };
        world.fly_machine.insert(
            name.clone(),
            MachineLive {
                workload,
                volume: None,
                successor: None,
                retired: false,
            },
        );
    }
    world
}

fn in_memory() {
    println!("plan in memory, one machine in a hundred changed");
    println!(
        "{:>10} {:>12} {:>14} {:>8}",
        "machines", "plan", "each machine", "steps"
    );
    for machines in [100, 1_000, 10_000, 100_000] {
        let desired = desired(machines / 100, 100);
        let world = world(&desired);
        let begun = Instant::now();
        let plan = plan(&desired, &world).unwrap();
        let took = begun.elapsed();
        let each = took.as_secs_f64() * 1e6 / f64::from(u32::try_from(machines).unwrap());
        println!(
            "{machines:>10} {took:>12.2?} {each:>11.2} µs {:>8}",
            plan.steps().count()
        );
    }
}

/// The clients for a sandbox.
async fn readers(running: &Running, desired: &Desired, speed: f64) -> Readers {
    let token = Secret::new(running.org_token("bench").unwrap());
    let fly = Reader::new(&Settings::imitation(running.url(), token, speed)).unwrap();
    let aws = match &desired.meta.aws {
        None => None,
        Some(meta) => {
            let sandbox::AwsKeys { id, secret } = running.aws_keys(&meta.account).unwrap();
            let keys = aws::Keys {
                id,
                secret: Secret::new(secret),
                session: None,
            };
            let url = running.aws_url();
            let settings = aws::Settings::imitation(&meta.account, &meta.region, url, keys, speed);
            Some(aws::Reader::new(settings, &fly).await.unwrap())
        }
    };
    Readers { fly, aws }
}

/// A bucket and a role for the first app.
const ON_AWS: &str = "[aws]\naccount = \"123456789012\"\nregion = \"eu-central-1\"\n[buckets.backups]\n\
                      [identities.backup]\napp = \"a0\"\nbuckets.backups = { prefix = \"db/\" }\n";

async fn over_http() {
    println!("\nplan against the sandbox, 50 ms latency, 10 machines each");
    println!(
        "{:>24} {:>10} {:>12} {:>16}",
        "apps", "requests", "wall", "round trips"
    );
    for (apps, aws) in [(2, ""), (2, ON_AWS), (1, ""), (10, ""), (50, "")] {
        let dir = tempfile::tempdir().unwrap();
        let desired = load(&format!("{}{aws}", manifest(apps, 10)));
        fill(dir.path(), &desired).await;
        let mut options = Options::new(dir.path());
        options.latency = Duration::from_millis(50);
        let running = sandbox::start(options).await.unwrap();
        let begun = Instant::now();
        let readers = readers(&running, &desired, 1.0).await;
        let world = observe(&readers, &desired).await.unwrap();
        let plan = plan(&desired, &world).unwrap();
        let took = begun.elapsed();
        assert!(plan.is_empty(), "the sandbox holds what the manifest says");
        let trips = took.as_secs_f64() / 0.05;
        let what = format!(
            "{apps}{}",
            if aws.is_empty() {
                ""
            } else {
                ", a bucket, a role"
            }
        );
        println!(
            "{what:>24} {:>10} {took:>12.2?} {trips:>16.1}",
            readers.fly.sent()
        );
        running.stop().await;
    }
}

/// Applies once, quickly, so that there is something to look at.
async fn fill(dir: &std::path::Path, desired: &Desired) {
    let mut options = Options::new(dir);
    options.speed = 2_000.0;
    let running = sandbox::start(options).await.unwrap();
    let readers = readers(&running, desired, 2_000.0).await;
    let world = observe(&readers, desired).await.unwrap();
    let approved = trimtab::plan::guard(
        plan(desired, &world).unwrap(),
        &trimtab::plan::Limits::default(),
    )
    .unwrap();
    let clouds = trimtab::clouds::Clouds {
        fly: trimtab::clouds::fly::Writer::new(readers.fly),
        aws: readers.aws.map(aws::Writer::new),
        lock: None,
        voice: trimtab::clouds::Voice::silent(),
    };
    let (events, _receiver) = tokio::sync::mpsc::unbounded_channel();
    let report = trimtab::apply::apply(
        &approved,
        &clouds,
        world,
        &trimtab::apply::Conduct::default(),
        &events,
    )
    .await;
    assert!(report.is_complete(), "{report:?}");
    running.stop().await;
}

fn program() {
    println!("\nthe program");
    let binary = env!("CARGO_BIN_EXE_trimtab");
    let environments = concat!(env!("CARGO_MANIFEST_DIR"), "/environments");
    for args in [
        vec!["--version"],
        vec!["validate", "production", "--environments", environments],
    ] {
        let mut times: Vec<Duration> = (0..20)
            .map(|_| {
                let begun = Instant::now();
                let output = Command::new(binary).args(&args).output().unwrap();
                assert!(
                    output.status.success(),
                    "{}",
                    String::from_utf8_lossy(&output.stderr)
                );
                begun.elapsed()
            })
            .collect();
        times.sort();
        println!(
            "{:<24} median {:.2?}, fastest {:.2?}",
            args[..args.len().min(2)].join(" "),
            times[10],
            times[0]
        );
    }
    let memory = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = memory
        .lines()
        .find(|line| line.starts_with("VmHWM"))
        .unwrap_or("VmHWM: unknown");
    println!(
        "peak memory of this run, 100 000 machines included: {}",
        peak.trim_start_matches("VmHWM:").trim()
    );
}
