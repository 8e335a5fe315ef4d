//! How long a new image takes to reach thirty machines in three regions, at the speed of Fly: measured against what the
//! machines themselves need, strategy by strategy. Run by hand: `cargo bench --bench rollout`, a minute and a half. It fails
//! when a rolling update takes more than a quarter longer than it must, or any is told to slow down.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a program that prints a table for a person"
)]

use std::{
    collections::BTreeMap,
    path::Path,
    time::{Duration, Instant},
};

use trimtab::{apply::{Conduct, Report, apply}, clouds::{
        Clouds, Settings, Voice,
        fly::{Reader, Writer},
    }, kinds::Desired, manifest::{self, Inputs, SecretsMode}, model::Secret, observe::observe, plan::{Limits, Plan, guard, plan}};
use trimtab_sandbox::{self as sandbox, Options, RequestRecord, Running, times};

/// How many machines there are, and how many may be unavailable at once.
const FLEET: u32 = 30;
const AT_ONCE: u32 = 5;
/// How much longer than it must a rolling update may take.
const RATIO: f64 = 1.25;
/// An answer's way from another continent.
const FAR: Duration = Duration::from_millis(50);
/// How fast the fleet is made, before anything is measured.
const QUICK: f64 = 1_000.0;
/// Fly's limit for making machines of one app: three at once, and one each second.
const BURST: u32 = 3;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(all());
}

async fn all() {
    println!(
        "a new image for {FLEET} machines in 3 regions, {AT_ONCE} at once, at the speed of Fly"
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
    let fleet = start(&state, QUICK, Duration::ZERO).await;
    assert!(
        run(&fleet, &desired(dir.path(), "rolling", 0), QUICK)
            .await
            .report
            .is_complete()
    );
    fleet.stop().await;
    let near = strategies().map(|(strategy, least)| (strategy, least, Duration::ZERO));
    let far = near[..1]
        .iter()
        .map(|(strategy, least, _)| (*strategy, *least, FAR));
    for (image, (strategy, least, latency)) in (1..).zip(near.into_iter().chain(far)) {
        let fleet = start(&state, 1.0, latency).await;
        let run = run(&fleet, &desired(dir.path(), strategy, image), 1.0).await;
        fleet.stop().await;
        let ratio = run.show(strategy, least, latency);
        assert!(run.report.is_complete(), "{strategy}: {:#?}", run.report);
        assert!(
            strategy != "rolling" || ratio <= RATIO,
            "a rolling update takes {ratio:.2} times its least"
        );
    }
}

/// Each strategy with the time from its first write to its last when nothing but the machines and Fly's limits is waited for.
fn strategies() -> [(&'static str, Duration); 4] {
    let ms = |ms: i64| Duration::from_millis(ms.unsigned_abs());
    let up = ms(times::BOOT + times::FIRST_CHECK);
    let wave = ms(times::REPLACE) + up;
    let last_made = Duration::from_secs((FLEET - BURST).into());
    [
        ("rolling", wave * FLEET.div_ceil(AT_ONCE)),
        ("canary", wave * (1 + (FLEET - 1).div_ceil(AT_ONCE))),
        ("immediate", wave),
        ("bluegreen", last_made + ms(times::BOOT_DELAY) + up),
    ]
}

/// One apply, measured.
struct Measured {
    report: Report,
    estimate: Duration,
    whole: Duration,
    requests: Vec<RequestRecord>,
}

impl Measured {
    /// Prints a line of the table; gives how much longer than it must the writes took.
    fn show(&self, strategy: &str, least: Duration, latency: Duration) -> f64 {
        let Self {
            report: _,
            estimate,
            whole,
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
        let ratio = took.as_secs_f64() / least.as_secs_f64();
        let refused = requests
            .iter()
            .filter(|request| request.status == 429)
            .count();
        let secs = |time: &Duration| format!("{:.2} s", time.as_secs_f64());
        println!(
            "{strategy:<10} {:>8} {:>9} {:>9} {:>9} {ratio:>7.3} {:>9} {:>9} {refused:>5}",
            format!("{latency:?}"),
            secs(&took),
            secs(whole),
            secs(&least),
            secs(estimate),
            requests.len(),
        );
        assert_eq!(refused, 0, "Fly's limits are kept");
        ratio
    }
}

async fn start(dir: &Path, speed: f64, latency: Duration) -> Running {
    let mut options = Options::new(dir);
    (options.speed, options.latency) = (speed, latency);
    sandbox::start(options).await.unwrap()
}

/// The manifest with this image.
fn desired(dir: &Path, strategy: &str, image: u32) -> Desired {
    let each = FLEET / 3;
    let text = format!(
        "project = \"bench\"\n[fly]\norg = \"bench\"\n[apps.web]\nname = \"bench-web\"\nprimary_region = \"ewr\"\n\
         image = \"registry.fly.io/bench-web:{image}\"\n[apps.web.deploy]\nstrategy = \"{strategy}\"\n\
         max_unavailable = {AT_ONCE}\n[apps.web.http_service]\ninternal_port = 8080\n\
         [[apps.web.http_service.checks]]\npath = \"/health\"\ninterval = \"10s\"\ntimeout = \"2s\"\n\
         [apps.web.machines.app]\ncount = {{ ewr = {each}, fra = {each}, iad = {each} }}\n"
    );
    std::fs::write(dir.join("bench.toml"), text).unwrap();
    let inputs = Inputs {
        vars: BTreeMap::new(),
        images: BTreeMap::new(),
        environment: BTreeMap::new(),
        secrets: SecretsMode::Required,
        shared: false,
    };
    let loaded = manifest::load(dir, "bench", &inputs);
    loaded
        .map_err(|problems| problems.render(false, 100))
        .unwrap()
        .desired
}

async fn run(fleet: &Running, desired: &Desired, speed: f64) -> Measured {
    let token = Secret::new(fleet.org_token("bench").unwrap());
    let reader = Reader::new(&Settings::imitation(fleet.url(), token, speed)).unwrap();
    let world = observe(&reader.clone().into(), desired).await.unwrap();
    let plan: Plan = plan(desired, &world).unwrap();
    let approved =
        guard(plan, &Limits::default()).unwrap_or_else(|refusals| panic!("{refusals:#?}"));
    let clouds = Clouds {
        fly: Writer::new(reader),
        aws: None,
        lock: None,
        voice: Voice::silent(),
    };
    let (events, _receiver) = tokio::sync::mpsc::unbounded_channel();
    let before = fleet.requests().len();
    let begun = Instant::now();
    let report = apply(&approved, &clouds, world, &Conduct::default(), &events).await;
    let whole = begun.elapsed();
    let requests = fleet.requests().split_off(before);
    Measured {
        report,
        estimate: approved.plan().estimate(),
        whole,
        requests,
    }
}
