//! Measures how long a new image takes to reach thirty machines in three regions at the speed of
//! Fly, for each strategy, against the minimum that the machines themselves need.
//!
//! Run with `cargo bench --bench rollout`; it takes three minutes. It fails when a rolling update
//! takes more than a quarter longer than the minimum, or when a request is rate limited. A second
//! table compares how many steps may run at once: the default may cost no time.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a program that prints a table for a person"
)]

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    path::Path,
    time::{Duration, Instant},
};

use trimtab::{
    apply::{ApplyOptions, ApplyReport, apply},
    clouds::{
        ClientConfig, ProgressSink,
        fly::{FlyReader, FlyWriter},
    },
    kinds::{CloudWriters, Desired},
    manifest::{self, Inputs, SecretsMode},
    model::Secret,
    observe::observe,
    plan::{Limits, Plan, guard, plan},
};
use trimtab_sandbox::{self as sandbox, RequestRecord, RunningSandbox, SandboxOptions, times};

const MACHINE_COUNT: u32 = 30;
const MAX_UNAVAILABLE: u32 = 5;
/// The number of apps in the comparison of concurrency, each with ten machines.
const APP_COUNT: u32 = 20;
/// How much longer than its minimum a rolling update may take.
const MAX_ROLLING_RATIO: f64 = 1.25;
/// The latency of a client on another continent.
const DISTANT_LATENCY: Duration = Duration::from_millis(50);
/// The sandbox's speed while the fleet is created, before anything is measured.
const SETUP_SPEED: f64 = 1_000.0;
/// Fly's rate limit for creating machines of one app: a burst of three, then one each second.
const CREATE_BURST: u32 = 3;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(run_all());
    runtime.block_on(compare_concurrency());
}

async fn run_all() {
    println!(
        "a new image for {MACHINE_COUNT} machines in 3 regions, {MAX_UNAVAILABLE} at once, at the speed of Fly"
    );
    println!(
        "{:<10} {:>8} {:>9} {:>9} {:>9} {:>7} {:>9} {:>9} {:>5}",
        "strategy",
        "latency",
        "writes",
        "apply",
        "at least",
        "ratio",
        "estimate",
        "requests",
        "429"
    );
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("sandbox");
    let fleet = start_sandbox(&state, SETUP_SPEED, Duration::ZERO).await;
    assert!(
        measure_apply(
            &fleet,
            &load_manifest(dir.path(), 1, "rolling", 0),
            SETUP_SPEED,
            ApplyOptions::DEFAULT_CONCURRENCY
        )
        .await
        .report
        .is_complete()
    );
    fleet.stop().await;
    let near =
        strategies_with_minimum().map(|(strategy, minimum)| (strategy, minimum, Duration::ZERO));
    let far = near[..1]
        .iter()
        .map(|(strategy, minimum, _)| (*strategy, *minimum, DISTANT_LATENCY));
    for (image, (strategy, minimum, latency)) in (1..).zip(near.into_iter().chain(far)) {
        let fleet = start_sandbox(&state, 1.0, latency).await;
        let desired = load_manifest(dir.path(), 1, strategy, image);
        let concurrency = ApplyOptions::DEFAULT_CONCURRENCY;
        let run = measure_apply(&fleet, &desired, 1.0, concurrency).await;
        fleet.stop().await;
        let ratio = run.print_row(strategy, minimum, latency);
        assert!(run.report.is_complete(), "{strategy}: {:#?}", run.report);
        assert!(
            strategy != "rolling" || ratio <= MAX_ROLLING_RATIO,
            "a rolling update takes {ratio:.2} times its least"
        );
    }
}

/// Many small apps at once, most of whose steps wait for a machine.
async fn compare_concurrency() {
    println!("\na new image for {APP_COUNT} apps with 10 machines each, by steps at once");
    println!(
        "{:<10} {:>8} {:>9} {:>9}",
        "strategy", "steps", "apply", "estimate"
    );
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("sandbox");
    let fleet = start_sandbox(&state, SETUP_SPEED, Duration::ZERO).await;
    let desired = load_manifest(dir.path(), APP_COUNT, "rolling", 0);
    let default = ApplyOptions::DEFAULT_CONCURRENCY;
    let made = measure_apply(&fleet, &desired, SETUP_SPEED, default).await;
    assert!(made.report.is_complete(), "{:#?}", made.report);
    fleet.stop().await;
    let cases = ["rolling", "immediate"]
        .into_iter()
        .flat_map(|strategy| [32, 512, default].map(|steps| (strategy, steps)));
    for (image, (strategy, steps)) in (1..).zip(cases) {
        let fleet = start_sandbox(&state, 1.0, Duration::ZERO).await;
        let desired = load_manifest(dir.path(), APP_COUNT, strategy, image);
        let run = measure_apply(&fleet, &desired, 1.0, steps).await;
        fleet.stop().await;
        assert!(run.report.is_complete(), "{strategy}: {:#?}", run.report);
        let secs = |time: Duration| format!("{:.2} s", time.as_secs_f64());
        let (total, estimate) = (secs(run.total), secs(run.estimate));
        println!("{strategy:<10} {steps:>8} {total:>9} {estimate:>9}");
    }
}

/// Each strategy with its minimum duration from the first to the last write: the time that the
/// machines and Fly's rate limits need.
fn strategies_with_minimum() -> [(&'static str, Duration); 4] {
    let ms = |ms: i64| Duration::from_millis(ms.unsigned_abs());
    let up = ms(times::BOOT_MS + times::FIRST_CHECK_MS);
    let wave = ms(times::REPLACE_MS) + up;
    let last_made = Duration::from_secs((MACHINE_COUNT - CREATE_BURST).into());
    [
        ("rolling", wave * MACHINE_COUNT.div_ceil(MAX_UNAVAILABLE)),
        (
            "canary",
            wave * (1 + (MACHINE_COUNT - 1).div_ceil(MAX_UNAVAILABLE)),
        ),
        ("immediate", wave),
        ("bluegreen", last_made + ms(times::BOOT_DELAY_MS) + up),
    ]
}

/// The measurement of one apply.
struct Measurement {
    report: ApplyReport,
    estimate: Duration,
    total: Duration,
    requests: Vec<RequestRecord>,
}

impl Measurement {
    /// Prints a row of the table and returns the ratio of the measured to the minimum duration.
    fn print_row(&self, strategy: &str, minimum: Duration, latency: Duration) -> f64 {
        let Self {
            report: _,
            estimate,
            total,
            requests,
        } = self;
        let change =
            |request: &&RequestRecord| request.method != "GET" && !request.path.ends_with("/lease");
        let writes: Vec<i64> = requests
            .iter()
            .filter(change)
            .map(|request| request.at_ms)
            .collect();
        let between = writes.iter().max().unwrap() - writes.iter().min().unwrap();
        let took = Duration::from_millis(between.unsigned_abs());
        let ratio = took.as_secs_f64() / minimum.as_secs_f64();
        let refused = requests
            .iter()
            .filter(|request| request.status == 429)
            .count();
        let secs = |time: &Duration| format!("{:.2} s", time.as_secs_f64());
        println!(
            "{strategy:<10} {:>8} {:>9} {:>9} {:>9} {ratio:>7.3} {:>9} {:>9} {refused:>5}",
            format!("{latency:?}"),
            secs(&took),
            secs(total),
            secs(&minimum),
            secs(estimate),
            requests.len(),
        );
        assert_eq!(refused, 0, "Fly's limits are kept");
        ratio
    }
}

async fn start_sandbox(dir: &Path, speed: f64, latency: Duration) -> RunningSandbox {
    let mut options = SandboxOptions::new(dir);
    (options.speed, options.latency) = (speed, latency);
    sandbox::start(options).await.unwrap()
}

/// One app with [`MACHINE_COUNT`] machines, or several small ones.
fn load_manifest(dir: &Path, apps: u32, strategy: &str, image: u32) -> Desired {
    let (counts, unavailable) = match apps {
        1 => ([MACHINE_COUNT / 3; 3], MAX_UNAVAILABLE),
        _ => ([4, 3, 3], 3),
    };
    let [ewr, fra, iad] = counts;
    let mut text = String::from("project = \"bench\"\n[fly]\norg = \"bench\"\n");
    for app in 0..apps {
        write!(
            text,
            "[apps.web{app}]\nname = \"bench-web{app}\"\nprimary_region = \"ewr\"\n\
             image = \"registry.fly.io/bench-web:{image}\"\n[apps.web{app}.deploy]\nstrategy = \"{strategy}\"\n\
             max_unavailable = {unavailable}\n[apps.web{app}.http_service]\ninternal_port = 8080\n\
             [[apps.web{app}.http_service.checks]]\npath = \"/health\"\ninterval = \"10s\"\ntimeout = \"2s\"\n\
             [apps.web{app}.machines.app]\ncount = {{ ewr = {ewr}, fra = {fra}, iad = {iad} }}\n"
        )
        .unwrap();
    }
    std::fs::write(dir.join("bench.toml"), text).unwrap();
    let inputs = Inputs {
        vars: BTreeMap::new(),
        images: BTreeMap::new(),
        process_environment: BTreeMap::new(),
        secrets_mode: SecretsMode::Required,
        multiple_environments: false,
    };
    let loaded = manifest::load(dir, "bench", &inputs);
    loaded
        .map_err(|problems| problems.render(false, 100))
        .unwrap()
        .desired
}

async fn measure_apply(
    fleet: &RunningSandbox,
    desired: &Desired,
    speed: f64,
    concurrency: usize,
) -> Measurement {
    let token = Secret::new(fleet.org_token("bench").unwrap());
    let reader = FlyReader::new(&ClientConfig::for_sandbox(fleet.url(), token, speed)).unwrap();
    let world = observe(&reader.clone().into(), desired).await.unwrap();
    let plan: Plan = plan(desired, &world).unwrap();
    let approved =
        guard(plan, &Limits::default()).unwrap_or_else(|refusals| panic!("{refusals:#?}"));
    let clouds = CloudWriters {
        fly: FlyWriter::new(reader),
        aws: None,
        lock: None,
        progress: ProgressSink::disabled(),
    };
    let (events, _receiver) = tokio::sync::mpsc::unbounded_channel();
    let before = fleet.requests().len();
    let started_at = Instant::now();
    let options = ApplyOptions {
        concurrency,
        speed,
        ..ApplyOptions::default()
    };
    let report = apply(&approved, &clouds, world, &options, &events).await;
    let total = started_at.elapsed();
    let requests = fleet.requests().split_off(before);
    Measurement {
        report,
        estimate: approved.plan().estimate(),
        total,
        requests,
    }
}
