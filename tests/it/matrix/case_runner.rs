//! Runs one case: a sandbox in the initial state of a baseline, a disrupted run, an undisturbed
//! run, and the comparison with the baseline.

use std::time::Duration;

use tokio::join;
use trimtab::{
    apply::ApplyOptions,
    clouds::{CloudError, CloudReaders, CrashPoint, RegistryClient},
    kinds::Desired,
    lock::LockTimings,
    observe::{observe, resolve_images},
    plan::{guard, plan},
    render::{TextOptions, text},
};
use trimtab_sandbox::{self as sandbox, RunningSandbox, SandboxOptions, SandboxSnapshot};

use super::{baselines::BaselineRun, disruptions::Disruption, normalized_state, outside_changes};
use crate::support::{SPEED, allow_everything, clients, plan_summary, try_apply_plan};

/// How long lists are stale, in milliseconds of the sandbox's clock: longer than a whole run.
const STALE_MS: i64 = 20_000;

/// The sandbox of a case, with clients.
pub(super) struct CaseSandbox<'s> {
    desired: &'s Desired,
    pub(super) sandbox: RunningSandbox,
    readers: CloudReaders,
    registry: RegistryClient,
}

pub(super) struct RunOutcome {
    pub(super) complete: bool,
    /// Everything that a person would see.
    pub(super) output: String,
}

impl<'s> CaseSandbox<'s> {
    pub(super) async fn new(desired: &'s Desired, snapshot: SandboxSnapshot) -> Self {
        let options = SandboxOptions {
            speed: SPEED,
            snapshot,
            ..SandboxOptions::in_memory()
        };
        let sandbox = sandbox::start(options).await.unwrap();
        let readers = clients::sandbox_readers(&sandbox, desired, SPEED, None).await;
        let registry = RegistryClient::new(&clients::fly_settings(
            &sandbox,
            &desired.meta.org,
            SPEED,
            None,
        ))
        .unwrap();
        Self {
            desired,
            sandbox,
            readers,
            registry,
        }
    }

    /// Plans and applies with everything allowed.
    pub(super) async fn run(&self) -> RunOutcome {
        self.run_with(self.readers.clone(), LockTimings::DEFAULT_ACQUIRE_TIMEOUT)
            .await
    }

    /// Runs with a simulated crash. `None` if the run ended before the request at which it should
    /// crash.
    async fn run_with_crash(&self, crash: CrashPoint) -> Option<RunOutcome> {
        let readers =
            clients::sandbox_readers(&self.sandbox, self.desired, SPEED, Some(crash)).await;
        let run = self
            .run_with(readers.clone(), LockTimings::DEFAULT_ACQUIRE_TIMEOUT)
            .await;
        self.expire_leases();
        readers.fly.has_crashed().then_some(run)
    }

    /// Runs without waiting for leases that others hold.
    async fn run_without_waiting(&self) -> RunOutcome {
        let readers = clients::sandbox_readers(&self.sandbox, self.desired, SPEED, None).await;
        self.run_with(readers, Duration::ZERO).await
    }

    async fn run_with(&self, readers: CloudReaders, patience: Duration) -> RunOutcome {
        let failed = |error: &CloudError| RunOutcome {
            complete: false,
            output: format!("{error} {error:?}"),
        };
        let mut desired = self.desired.clone();
        let images = resolve_images(&self.registry, &desired).await;
        if let Some(missing) = images.fatal_failures().next() {
            return failed(&missing.error);
        }
        images.pin_digests(&mut desired);
        let world = match observe(&readers, &desired).await {
            Ok(world) => world,
            Err(error) => return failed(&error),
        };
        let conduct = ApplyOptions {
            lock_timeout: patience,
            speed: SPEED,
            ..ApplyOptions::default()
        };
        let report =
            match try_apply_plan(plan(&desired, &world).unwrap(), readers, world, &conduct).await {
                Ok(report) => report,
                Err(refusals) => {
                    return RunOutcome {
                        complete: false,
                        output: format!("{refusals:?}"),
                    };
                }
            };
        let look = TextOptions {
            color: false,
            width: 100,
        };
        let output = format!(
            "{}{}",
            text::report(&report, &look),
            serde_json::to_string(&report).unwrap()
        );
        RunOutcome {
            complete: report.is_complete(),
            output,
        }
    }

    /// Whether the guard blocks the run because something is protected.
    pub(super) async fn is_blocked(&self) -> bool {
        let plan = plan(
            self.desired,
            &observe(&self.readers, self.desired).await.unwrap(),
        )
        .unwrap();
        guard(plan.clone(), &allow_everything(&plan)).is_err()
    }

    /// The changes that a new plan would make.
    pub(super) async fn remaining_changes(&self) -> Vec<String> {
        let mut desired = self.desired.clone();
        resolve_images(&self.registry, &desired)
            .await
            .pin_digests(&mut desired);
        let world = observe(&self.readers, &desired).await.unwrap();
        plan_summary(&plan(&desired, &world).unwrap())
    }

    /// Advances the clock until the leases of a crashed run have expired.
    pub(super) fn expire_leases(&self) {
        self.sandbox
            .advance_clock(Duration::from_secs(600))
            .unwrap();
    }
}

/// Runs a case. `Ok(false)` if the run ended before the disruption.
pub(super) async fn run_case(
    baseline: &BaselineRun,
    disruption: Disruption,
) -> Result<bool, String> {
    let case = CaseSandbox::new(&baseline.desired, baseline.initial_state.clone()).await;
    let Some(output) = run_disrupted(&case, disruption).await else {
        return Ok(false);
    };
    // The disruption is over. Whatever it did, the marks and the foreign app must be intact now,
    // before another run could repair them.
    case.sandbox.set_faults(Vec::new());
    let between = case.sandbox.state();
    normalized_state::check_invariants(
        &between,
        &baseline.foreign_app,
        // A manual change may have removed a mark.
        !matches!(disruption, Disruption::ManualChange(_)),
    )?;
    let again = case.run().await;
    if !again.complete {
        return Err(format!("the second run is not complete: {}", again.output));
    }
    let left = case.remaining_changes().await;
    if !left.is_empty() {
        return Err(format!("a new plan is not empty: {left:?}"));
    }
    // Jobs that run once come to their end, as they did in the baseline.
    case.expire_leases();
    let after = case.sandbox.state();
    normalized_state::check_invariants(&after, &baseline.foreign_app, true)?;
    normalized_state::compare(&normalized_state::normalize(&after), &baseline.final_state)?;
    normalized_state::check_no_secret_leaked(
        &after,
        &case.sandbox.requests(),
        &[&output, &again.output],
    )?;
    Ok(true)
}

/// The disrupted run and its output. `None` if it ended before the disruption.
async fn run_disrupted(case: &CaseSandbox<'_>, disruption: Disruption) -> Option<String> {
    let sandbox = &case.sandbox;
    match disruption {
        Disruption::Crash(crash) => Some(case.run_with_crash(crash).await?.output),
        Disruption::Fault(fault) => {
            sandbox.set_faults(vec![fault]);
            let output = case.run().await.output;
            let struck = sandbox.injected_fault_count() > 0;
            // A failed run may leave leases that the second run would wait for.
            case.expire_leases();
            struck.then_some(output)
        }
        Disruption::CrashThenStaleLists(crash) => {
            // The second run plans from lists that lack the last write. It may fail, but must not
            // create anything twice.
            let output = case.run_with_crash(crash).await?.output;
            sandbox.set_faults(vec![format!("stale-list:{STALE_MS}").parse().unwrap()]);
            Some(output + &case.run().await.output)
        }
        Disruption::ConcurrentApply(n) => {
            let other = async { drop(case.run_without_waiting().await) };
            run_with_interference(case, n, other).await
        }
        Disruption::ManualChange(n) => {
            // Another change at each request.
            let other = async {
                outside_changes::make_manual_change(sandbox, usize::try_from(n).unwrap()).await;
            };
            run_with_interference(case, n, other).await
        }
        Disruption::HostOutage(n) => {
            let mut unreachable = None;
            let other =
                async { unreachable = outside_changes::make_first_host_unreachable(sandbox).await };
            let output = run_with_interference(case, n, other).await;
            if let Some(id) = unreachable {
                outside_changes::set_host_status(sandbox, &id, "ok").await;
            }
            output
        }
    }
}

/// A run during whose n-th write something else happens. `None` if the run has fewer writes.
async fn run_with_interference(
    case: &CaseSandbox<'_>,
    n: u64,
    other: impl Future<Output = ()>,
) -> Option<String> {
    // The sandbox holds the write back until the other change is made.
    case.sandbox
        .set_faults(vec![format!("hold-before:w{n}").parse().unwrap()]);
    let mut run = Box::pin(case.run());
    tokio::select! {
        _ = &mut run => return None,
        () = case.sandbox.wait_until_held() => {}
    }
    let ((), run) = join!(
        async {
            other.await;
            case.sandbox.release_held_request();
        },
        run
    );
    case.expire_leases();
    Some(run.output)
}
