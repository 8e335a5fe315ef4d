//! Measures how long a plan takes: in memory by the number of machines, and against the sandbox by
//! the number of apps; and how long the program takes to start.
//!
//! Run with `cargo bench`. Compare only numbers of the same run.

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

use trimtab::{
    clouds::{ClientConfig, CloudReaders, RegistryClient, aws, fly::FlyReader},
    kinds::{
        Desired, World,
        fly::{
            app::AppLive,
            machine::MachineLive,
            workload::{Health, WorkloadLive},
        },
    },
    manifest::{self, Inputs, LoadedEnvironment, SecretsMode},
    model::{Ownership, Secret},
    observe::observe,
    ops::{RunIdentity, Workspace, WorkspaceOptions},
    plan::plan,
};
use trimtab_sandbox::{self as sandbox, RunningSandbox, SandboxOptions};

fn main() {
    bench_in_memory();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(bench_over_http());
    runtime.block_on(bench_secrets());
    bench_program();
}

fn inputs() -> Inputs {
    Inputs {
        vars: BTreeMap::new(),
        images: BTreeMap::new(),
        process_environment: BTreeMap::new(),
        secrets_mode: SecretsMode::Required,
        multiple_environments: false,
    }
}

fn manifest_text(apps: usize, machines: usize) -> String {
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

fn desired_with(apps: usize, machines: usize) -> Desired {
    load_manifest(&manifest_text(apps, machines))
}

fn load_manifest(text: &str) -> Desired {
    load_environment(text, &inputs()).desired
}

fn load_environment(text: &str, inputs: &Inputs) -> LoadedEnvironment {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("bench.toml"), text).unwrap();
    manifest::load(dir.path(), "bench", inputs)
        .map_err(|problems| problems.render(false, 100))
        .unwrap()
}

/// A world that matches the manifest except for one machine in a hundred.
fn matching_world(desired: &Desired) -> World {
    let mut world = World::default();
    for (name, spec) in &desired.fly_app {
        let live = AppLive {
            name: spec.name.clone(),
            id: name.to_string(),
            org: spec.org.clone(),
            network: "default".to_owned(),
            labels: vec![desired.meta.mark.app_label()],
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
            metadata: spec.workload.base_metadata(),
            ownership: Ownership::Ours,
            digest: None,
            health: Health {
                host_ok: true,
                cordoned: false,
                postgres_role: None,
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

fn bench_in_memory() {
    println!("plan in memory, one machine in a hundred changed");
    println!(
        "{:>10} {:>12} {:>14} {:>8}",
        "machines", "plan", "each machine", "steps"
    );
    for machines in [100, 1_000, 10_000, 100_000] {
        let desired = desired_with(machines / 100, 100);
        let world = matching_world(&desired);
        let started_at = Instant::now();
        let plan = plan(&desired, &world).unwrap();
        let took = started_at.elapsed();
        let each = took.as_secs_f64() * 1e6 / f64::from(u32::try_from(machines).unwrap());
        println!(
            "{machines:>10} {took:>12.2?} {each:>11.2} µs {:>8}",
            plan.steps().count()
        );
    }
}

async fn sandbox_readers(running: &RunningSandbox, desired: &Desired, speed: f64) -> CloudReaders {
    let token = Secret::new(running.org_token("bench").unwrap());
    let fly = FlyReader::new(&ClientConfig::for_sandbox(running.url(), token, speed)).unwrap();
    let aws = match &desired.meta.aws {
        None => None,
        Some(meta) => {
            let sandbox::AwsAccessKey { id, secret } = running.aws_keys(&meta.account).unwrap();
            let keys = aws::StaticCredentials {
                access_key_id: id,
                secret_access_key: Secret::new(secret),
                session_token: None,
            };
            let url = running.aws_url();
            let settings =
                aws::AwsSettings::for_sandbox(&meta.account, &meta.region, url, keys, speed);
            Some(aws::AwsReader::new(settings, &fly).await.unwrap())
        }
    };
    CloudReaders { fly, aws }
}

/// Adds a bucket, and an identity for the first app.
const AWS_SECTION: &str = "[aws]\naccount = \"123456789012\"\nregion = \"eu-central-1\"\n[buckets.backups]\n\
                      [identities.backup]\napp = \"a0\"\nbuckets.backups = { prefix = \"db/\" }\n";

async fn bench_over_http() {
    println!("\nplan against the sandbox, 50 ms latency, 10 machines each");
    println!(
        "{:>24} {:>10} {:>12} {:>16}",
        "apps", "requests", "wall", "round trips"
    );
    for (apps, aws) in [(2, ""), (2, AWS_SECTION), (1, ""), (10, ""), (50, "")] {
        let dir = tempfile::tempdir().unwrap();
        let desired = load_manifest(&format!("{}{aws}", manifest_text(apps, 10)));
        apply_once(dir.path(), &desired).await;
        let mut options = SandboxOptions::new(dir.path());
        options.latency = Duration::from_millis(50);
        let running = sandbox::start(options).await.unwrap();
        let started_at = Instant::now();
        let readers = sandbox_readers(&running, &desired, 1.0).await;
        let world = observe(&readers, &desired).await.unwrap();
        let plan = plan(&desired, &world).unwrap();
        let took = started_at.elapsed();
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
            readers.fly.request_count()
        );
        running.stop().await;
    }
}

/// How often a plan is made of which the median counts.
const PLANS: usize = 9;

/// Compares plans of a team with and without secrets, whose fingerprints are slow to compute.
async fn bench_secrets() {
    println!("\nplan of 3 apps with 8 machines, 50 ms latency, median of {PLANS}");
    println!(
        "{:>24} {:>12} {:>12}",
        "secrets of each app", "wall", "more"
    );
    let mut without = None;
    for secrets in [0, 4, 16] {
        let dir = tempfile::tempdir().unwrap();
        let (text, inputs) = team_with_secrets(secrets);
        apply_once(dir.path(), &load_environment(&text, &inputs).desired).await;
        let mut options = SandboxOptions::new(dir.path());
        options.latency = Duration::from_millis(50);
        let running = sandbox::start(options).await.unwrap();
        let mut times = Vec::new();
        for _ in 0..PLANS {
            times.push(time_plan(&running, &text, &inputs).await);
        }
        running.stop().await;
        times.sort();
        let median = times[PLANS / 2];
        let more = median.saturating_sub(*without.get_or_insert(median));
        println!("{secrets:>24} {median:>12.2?} {more:>12.2?}");
    }
}

/// A team's environment, in which each app has so many secrets.
fn team_with_secrets(secrets: usize) -> (String, Inputs) {
    let mut text = String::from("project = \"bench\"\n[fly]\norg = \"bench\"\n");
    let mut inputs = inputs();
    for (app, machines) in [4, 2, 2].into_iter().enumerate() {
        write!(
            text,
            "[apps.a{app}]\nname = \"bench-{app}\"\nprimary_region = \"ewr\"\nimage = \"registry.fly.io/bench:1\"\n\
             [apps.a{app}.machines.app]\ncount = {machines}\n[apps.a{app}.secrets]\n"
        )
        .unwrap();
        for secret in 0..secrets {
            let variable = format!("SECRET_{app}_{secret}");
            writeln!(text, "{variable} = {{ env = \"{variable}\" }}").unwrap();
            let value = format!("value-of-{variable}");
            inputs.process_environment.insert(variable, value);
        }
    }
    (text, inputs)
}

/// Plans as the program does, from reading the manifest to the finished plan, which must be empty.
async fn time_plan(running: &RunningSandbox, text: &str, inputs: &Inputs) -> Duration {
    let started_at = Instant::now();
    let loaded = load_environment(text, inputs);
    let token = Secret::new(running.org_token("bench").unwrap());
    let config = ClientConfig::for_sandbox(running.url(), token, 1.0);
    let fly = FlyReader::new(&config).unwrap();
    let options = WorkspaceOptions {
        allow_missing_images: true,
        started_at,
        speed: 1.0,
        identity: RunIdentity {
            user: "bench".to_owned(),
            host: None,
            run_url: None,
        },
        wall_clock: || jiff::Timestamp::UNIX_EPOCH,
    };
    let readers = CloudReaders { fly, aws: None };
    let registry = RegistryClient::new(&config).unwrap();
    let workspace = Workspace::new(loaded, readers, registry, options);
    let desired = workspace.desired();
    let world = workspace.observe_with_images(desired).await.unwrap();
    let plan = workspace.plan(desired, &world, &[]).unwrap();
    let took = started_at.elapsed();
    assert_eq!(
        plan.steps().count(),
        0,
        "the sandbox holds what the manifest says"
    );
    took
}

/// Applies once at high speed, so that there is something to observe.
async fn apply_once(dir: &std::path::Path, desired: &Desired) {
    let mut options = SandboxOptions::new(dir);
    options.speed = 2_000.0;
    let running = sandbox::start(options).await.unwrap();
    let readers = sandbox_readers(&running, desired, 2_000.0).await;
    let world = observe(&readers, desired).await.unwrap();
    let approved = trimtab::plan::guard(
        plan(desired, &world).unwrap(),
        &trimtab::plan::Limits::default(),
    )
    .unwrap();
    let clouds = trimtab::kinds::CloudWriters {
        fly: trimtab::clouds::fly::FlyWriter::new(readers.fly),
        aws: readers.aws.map(aws::AwsWriter::new),
        lock: None,
        progress: trimtab::clouds::ProgressSink::disabled(),
    };
    let (events, _receiver) = tokio::sync::mpsc::unbounded_channel();
    let report = trimtab::apply::apply(
        &approved,
        &clouds,
        world,
        &trimtab::apply::ApplyOptions {
            speed: 2_000.0,
            ..trimtab::apply::ApplyOptions::default()
        },
        &events,
    )
    .await;
    assert!(report.is_complete(), "{report:?}");
    running.stop().await;
}

fn bench_program() {
    println!("\nthe program");
    let binary = env!("CARGO_BIN_EXE_trimtab");
    let environments = concat!(env!("CARGO_MANIFEST_DIR"), "/environments");
    for args in [
        vec!["--version"],
        vec!["validate", "production", "--environments", environments],
    ] {
        let mut times: Vec<Duration> = (0..20)
            .map(|_| {
                let started_at = Instant::now();
                let output = Command::new(binary).args(&args).output().unwrap();
                assert!(
                    output.status.success(),
                    "{}",
                    String::from_utf8_lossy(&output.stderr)
                );
                started_at.elapsed()
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
