//! Crashes and faults at the requests of whole operations: with the environment's lock, the plan that is made again under it, and the
//! rollback after a failure. The other cases of the matrix apply a plan; here `rollback`, `destroy`, `unlock` and the ways into and
//! out of an apply are struck.
//!
//! After a disrupted run the same command runs once more. What must hold:
//! - it ends where an undisturbed run ends. A `rollback` never goes further back than the first one did;
//! - an ordinary apply then leaves an empty plan;
//! - no lease and no lock is held;
//! - nothing exists twice, every object bears its mark, and no secret is told.

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt as _, stream};
use serde_json::Value;
use tokio::sync::Semaphore;
use trimtab::{
    clouds::{CrashMode, CrashPoint, RequestOrdinal},
    lock, ops,
};
use trimtab_sandbox::{Fault, SandboxSnapshot};

use super::{normalized_state, print_line};
use crate::support::{
    TestEnv, inputs_with,
    operations::{self, Operation, OperationRun},
    sample,
};

mod scenarios;

pub(super) use scenarios::{lease_first_machine, lock_as_dead_run};

/// Slower than in other tests, so that a lock outlasts a busy computer.
const SPEED: f64 = 25.0;
/// How many cases run concurrently: few, because a lock must be renewed in time on a busy computer.
const PARALLEL_CASES: usize = 6;
/// Longer than the lock of a dead run is held.
const LONGER_THAN_LOCK: Duration = Duration::from_secs(3_600);
/// How many cases strike at least.
const MIN_CASES: usize = 6;

/// An operation in a prepared environment.
struct Scenario {
    name: &'static str,
    operation: Operation,
    /// The manifest of the operation.
    manifest: String,
    /// The manifest that an apply is to converge to afterwards; nothing after a removal.
    manifest_after: Option<String>,
    /// Whether an undisturbed run is complete. One whose rollout fails is not.
    completes: bool,
    adopt: bool,
    allow_destroy: &'static [&'static str],
    snapshot: SandboxSnapshot,
    /// Whether somebody else holds the lease of a machine when the run begins.
    is_leased: bool,
}

/// What disrupts a run.
#[derive(Clone, Copy, Debug)]
enum Strike {
    Crash(CrashPoint),
    Fault(Fault),
}

/// The requests of an undisturbed run, and the state that it leads to.
struct Baseline {
    requests: u64,
    writes: u64,
    after_run: Value,
    after_apply: Value,
}

impl Scenario {
    async fn start(&self) -> TestEnv {
        let mut env = TestEnv::from_snapshot(&self.manifest, self.snapshot.clone(), SPEED).await;
        env.inputs = inputs_with(&[("SECRET_KEY", "canary of a key")]);
        env.adopt = self.adopt;
        for address in self.allow_destroy {
            env.allow_destroy(address);
        }
        if self.is_leased {
            lease_first_machine(&env, 12).await;
        }
        env.sandbox.set_faults(Vec::new());
        env
    }

    /// Runs the operation without a disruption.
    async fn run_undisturbed(&self, env: &TestEnv) -> Result<OperationRun, String> {
        let run = operations::run(env, &self.operation, None).await;
        if run.result.is_err() || run.is_complete() != self.completes {
            return Err(format!("{:?}: {}", run.result, run.output));
        }
        Ok(run)
    }

    /// Applies the last manifest; nothing after a removal.
    async fn converge(&self, env: &TestEnv) -> Result<Value, String> {
        if let Some(manifest) = &self.manifest_after {
            env.write_manifest(manifest);
            let run = operations::run(env, &Operation::Apply, None).await;
            if !run.is_complete() {
                return Err(format!("the apply after it: {}", run.output));
            }
            let left = env.summary().await;
            if !left.is_empty() {
                return Err(format!("a new plan is not empty: {left:?}"));
            }
        }
        check_nothing_held(env).await?;
        env.expire_leases();
        Ok(normalized_state::normalize(&env.sandbox.state()))
    }

    async fn baseline(&self) -> Baseline {
        let env = self.start().await;
        let before = env.sandbox.requests().len();
        self.run_undisturbed(&env)
            .await
            .unwrap_or_else(|why| panic!("{}: {why}", self.name));
        let requests = env.sandbox.requests().len() - before;
        Baseline {
            requests: requests as u64,
            writes: env.sandbox.write_count(),
            after_run: normalized_state::normalize(&env.sandbox.state()),
            after_apply: self.converge(&env).await.unwrap(),
        }
    }

    /// Runs one case. `Ok(false)` if the run ended before the strike.
    async fn run_case(&self, baseline: &Baseline, strike: Strike) -> Result<bool, String> {
        let env = self.start().await;
        let (crash, fault) = match strike {
            Strike::Crash(crash) => (Some(crash), None),
            Strike::Fault(fault) => (None, Some(fault)),
        };
        env.sandbox.set_faults(fault.into_iter().collect());
        let disrupted = operations::run(&env, &self.operation, crash).await;
        if !disrupted.crashed && env.sandbox.injected_fault_count() == 0 {
            return Ok(false);
        }
        env.sandbox.set_faults(Vec::new());
        // The leases and the lock of a process that died expire.
        env.sandbox.advance_clock(LONGER_THAN_LOCK).unwrap();
        let foreign = normalized_state::foreign_app(&Value::Null);
        normalized_state::check_invariants(&env.sandbox.state(), &foreign, !self.adopt)?;
        // Whoever has seen a rollback complete does not repeat it: the next one goes further back.
        let is_over = matches!(self.operation, Operation::Rollback(_)) && disrupted.is_complete();
        let mut output = disrupted.output;
        if !is_over {
            output += &self.run_undisturbed(&env).await?.output;
        }
        check_nothing_held(&env).await?;
        normalized_state::compare(
            &normalized_state::normalize(&env.sandbox.state()),
            &baseline.after_run,
        )?;
        let after = self.converge(&env).await?;
        normalized_state::check_invariants(&env.sandbox.state(), &foreign, true)?;
        normalized_state::compare(&after, &baseline.after_apply)?;
        normalized_state::check_no_secret_leaked(
            &env.sandbox.state(),
            &env.sandbox.requests(),
            &[&output],
        )?;
        Ok(true)
    }
}

/// Neither a machine nor the environment is held by a run that has ended.
pub(super) async fn check_nothing_held(env: &TestEnv) -> Result<(), String> {
    let state = env.sandbox.state();
    let clock = env.send_manual_request("GET", "/_sandbox/clock", Value::Null);
    let now = clock.await["now_ms"].as_i64().unwrap();
    for (app, machine) in normalized_state::existing_machines(&state) {
        let lease = &machine["lease"];
        if lease["expires_ms"]
            .as_i64()
            .is_some_and(|until| until > now)
        {
            return Err(format!("a machine of {app} is leased: {lease}"));
        }
    }
    let readers = env.readers(None).await;
    let (Some(location), Some(aws)) = (ops::lock_location(&env.desired().meta), &readers.aws)
    else {
        return Ok(());
    };
    match lock::find_holder(aws, &location).await {
        Ok(Some(record)) => Err(format!("the lock is held: {record}")),
        Ok(None) => Ok(()),
        // The bucket went with its environment.
        Err(error) if matches!(error.kind, lock::LockErrorKind::BucketNotFound(_)) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

/// Everything that strikes a run with this many requests and writes.
fn all_strikes(requests: u64, writes: u64) -> Vec<Strike> {
    let of_request = |n: u64| {
        let crashes = [false, true].map(|after_response| {
            Strike::Crash(CrashPoint {
                request: RequestOrdinal::Request(n),
                after_response,
                mode: CrashMode::Simulate,
            })
        });
        let faults = ["drop-before:N", "status:N:500", "truncate:N", "expired:N"];
        crashes.into_iter().chain(faults.map(|text| fault(text, n)))
    };
    let of_write =
        |n: u64| ["drop-after:wN", "status-after:wN:502", "twice:wN"].map(|text| fault(text, n));
    (1..=requests)
        .flat_map(of_request)
        .chain((1..=writes).flat_map(of_write))
        .collect()
}

fn fault(text: &str, n: u64) -> Strike {
    Strike::Fault(text.replace('N', &n.to_string()).parse().unwrap())
}

/// Runs the cases of a scenario; returns how many struck. `TRIMTAB_MATRIX` names single cases, as in the other half of the matrix.
async fn run_scenario(nth: usize, scenario: &Arc<Scenario>, places: &Arc<Semaphore>) -> usize {
    let baseline = scenario.baseline().await;
    let strikes = all_strikes(baseline.requests, baseline.writes);
    // Scenarios begin at different requests, so that together a sample has early and late ones.
    let first = strikes.len() * (nth + 1) / 11;
    let cases: Vec<Strike> = match super::CaseSelection::from_env() {
        // All cases take about as long as everything else in CI, so `large` takes the sample, too.
        super::CaseSelection::Sample | super::CaseSelection::Large => {
            strikes.into_iter().skip(first).take(1).collect()
        }
        super::CaseSelection::Full => strikes,
        super::CaseSelection::Named(text) => strikes
            .into_iter()
            .filter(|strike| format!("{}: {strike:?}", scenario.name).contains(&text))
            .collect(),
    };
    let count = cases.len();
    let baseline = Arc::new(baseline);
    let mut running = stream::iter(cases)
        .map(|strike| {
            let (scenario, baseline) = (Arc::clone(scenario), Arc::clone(&baseline));
            // A task of its own, so that it uses all cores and a stack of its own.
            let places = Arc::clone(places);
            let task = tokio::spawn(async move {
                let _place = places.acquire_owned().await.unwrap();
                scenario.run_case(&baseline, strike).await
            });
            async move { (strike, task.await.unwrap()) }
        })
        .buffer_unordered(PARALLEL_CASES);
    let (mut struck, mut failures) = (0, Vec::new());
    while let Some((strike, result)) = running.next().await {
        match result {
            Ok(true) => struck += 1,
            Ok(false) => {}
            Err(why) => failures.push(format!("{}: {strike:?}: {why}", scenario.name)),
        }
    }
    for failure in &failures {
        print_line(&format!("matrix: {failure}"));
    }
    assert!(
        failures.is_empty(),
        "{} of {count} cases failed, such as {}",
        failures.len(),
        failures[0]
    );
    struck
}

/// The stack of a worker. Without optimization, a whole operation with its recovery needs more than the two megabytes of a thread.
const STACK_BYTES: usize = 16 << 20;

#[test]
fn same_operation_ends_where_an_undisturbed_one_does() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .thread_stack_size(STACK_BYTES)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(Box::pin(run_all_scenarios()));
}

async fn run_all_scenarios() {
    let mut running = tokio::task::JoinSet::new();
    let places = Arc::new(Semaphore::new(PARALLEL_CASES));
    for (nth, scenario) in scenarios::all().await.into_iter().enumerate() {
        let scenario = Arc::new(scenario);
        let places = Arc::clone(&places);
        running.spawn(async move { run_scenario(nth, &scenario, &places).await });
    }
    let mut struck = 0;
    let mut has_failed = false;
    while let Some(count) = running.join_next().await {
        has_failed |= count.is_err();
        struck += count.unwrap_or(0);
    }
    assert!(!has_failed, "some scenarios failed, see above");
    print_line(&format!("matrix: {struck} cases of whole operations"));
    assert!(
        struck >= MIN_CASES
            || matches!(
                super::CaseSelection::from_env(),
                super::CaseSelection::Named(_)
            ),
        "only {struck} cases ran"
    );
}

/// `unlock` ends the lock of a run that died, whatever happens to its requests; then the next run need not know of it.
#[tokio::test(flavor = "multi_thread")]
async fn unlock_is_safe_to_repeat() {
    let snapshot = scenarios::locked_environment().await;
    let manifest = scenarios::LOCKED;
    let strikes = all_strikes(3, 2);
    for strike in sample(strikes, 1, 9) {
        let env = TestEnv::from_snapshot(manifest, snapshot.clone(), SPEED).await;
        let (crash, fault) = match strike {
            Strike::Crash(crash) => (Some(crash), None),
            Strike::Fault(fault) => (None, Some(fault)),
        };
        env.sandbox.set_faults(fault.into_iter().collect());
        let first = scenarios::unlock(&env, crash).await;
        env.sandbox.set_faults(Vec::new());
        let again = scenarios::unlock(&env, None).await;
        assert!(again.is_ok(), "{strike:?}: {first:?}, {again:?}");
        env.sandbox.advance_clock(Duration::from_secs(600)).unwrap();
        let apply = operations::run(&env, &Operation::Apply, None).await;
        assert!(apply.is_complete(), "{strike:?}: {}", apply.output);
        check_nothing_held(&env).await.unwrap();
    }
}
