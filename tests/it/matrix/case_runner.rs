//! One case: a sandbox that begins where the scene does, a run that is disturbed, one that is not, and the judgement.

use std::time::Duration;

use tokio::join;
use trimtab::{
    apply::ApplyOptions,
    clouds::{CloudError, CloudReaders, CrashPoint, RegistryClient},
    kinds::Desired,
    observe::{observe, resolve_images},
    plan::{guard, plan},
    render::{TextOptions, text},
};
use trimtab_sandbox::{self as sandbox, RunningSandbox, SandboxOptions, SandboxSnapshot};

use super::{baselines::BaselineRun, disruptions::Disruption, normalized_state, outside_changes};
use crate::support::{SPEED, allow_everything, clients, plan_summary, try_apply_plan};

/// How long lists are old, in milliseconds of the sandbox: longer than a whole run.
const STALE_MS: i64 = 20_000;

/// A sandbox of one case, and clients for it.
pub(super) struct CaseSandbox<'s> {
    desired: &'s Desired,
    pub(super) sandbox: RunningSandbox,
    readers: CloudReaders,
    registry: RegistryClient,
}

/// What came of a run.
pub(super) struct RunOutcome {
    pub(super) complete: bool,
    /// Everything that a person would be told.
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
        self.run_with(self.readers.clone(), ApplyOptions::DEFAULT_LOCK_TIMEOUT)
            .await
    }

    /// The same by a process that dies. Nothing when it did not come to the request at which it should.
    async fn run_with_crash(&self, fuse: CrashPoint) -> Option<RunOutcome> {
        let readers =
            clients::sandbox_readers(&self.sandbox, self.desired, SPEED, Some(fuse)).await;
        let run = self
            .run_with(readers.clone(), ApplyOptions::DEFAULT_LOCK_TIMEOUT)
            .await;
        self.expire_leases();
        readers.fly.has_crashed().then_some(run)
    }

    /// The same by somebody who does not wait for others.
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
        let said = format!(
            "{}{}",
            text::report(&report, &look),
            serde_json::to_string(&report).unwrap()
        );
        RunOutcome {
            complete: report.is_complete(),
            output: said,
        }
    }

    /// Whether a run would be refused, because something is protected.
    pub(super) async fn is_blocked(&self) -> bool {
        let plan = plan(
            self.desired,
            &observe(&self.readers, self.desired).await.unwrap(),
        )
        .unwrap();
        guard(plan.clone(), &allow_everything(&plan)).is_err()
    }

    /// What a new plan would do.
    pub(super) async fn remaining_changes(&self) -> Vec<String> {
        let mut desired = self.desired.clone();
        resolve_images(&self.registry, &desired)
            .await
            .pin_digests(&mut desired);
        let world = observe(&self.readers, &desired).await.unwrap();
        plan_summary(&plan(&desired, &world).unwrap())
    }

    /// Lets the time pass for which the leases of a client that died can last.
    pub(super) fn expire_leases(&self) {
        self.sandbox
            .advance_clock(Duration::from_secs(600))
            .unwrap();
    }
}

/// Plays a case. Says whether what should go wrong did.
pub(super) async fn run_case(scene: &BaselineRun, blow: Disruption) -> Result<bool, String> {
    let stage = CaseSandbox::new(&scene.desired, scene.initial_state.clone()).await;
    let Some(said) = run_disrupted(&stage, blow).await else {
        return Ok(false);
    };
    stage.sandbox.set_faults(Vec::new());
    let between = stage.sandbox.state();
    normalized_state::check_invariants(
        &between,
        &scene.foreign_app,
        !matches!(blow, Disruption::ManualChange(_)),
    )?;
    let again = stage.run().await;
    if !again.complete {
        return Err(format!("the second run is not complete: {}", again.output));
    }
    let left = stage.remaining_changes().await;
    if !left.is_empty() {
        return Err(format!("a new plan is not empty: {left:?}"));
    }
    stage.expire_leases();
    let after = stage.sandbox.state();
    normalized_state::check_invariants(&after, &scene.foreign_app, true)?;
    normalized_state::compare(&normalized_state::normalize(&after), &scene.final_state)?;
    normalized_state::check_no_secret_leaked(
        &after,
        &stage.sandbox.requests(),
        &[&said, &again.output],
    )?;
    Ok(true)
}

/// The first run, and what it said. Nothing when it ended before anything went wrong.
async fn run_disrupted(stage: &CaseSandbox<'_>, blow: Disruption) -> Option<String> {
    let sandbox = &stage.sandbox;
    match blow {
        Disruption::Crash(fuse) => Some(stage.run_with_crash(fuse).await?.output),
        Disruption::Fault(fault) => {
            sandbox.set_faults(vec![fault]);
            let said = stage.run().await.output;
            let struck = sandbox.injected_fault_count() > 0;
            stage.expire_leases();
            struck.then_some(said)
        }
        Disruption::CrashThenStaleLists(fuse) => {
            let said = stage.run_with_crash(fuse).await?.output;
            sandbox.set_faults(vec![format!("stale-list:{STALE_MS}").parse().unwrap()]);
            Some(said + &stage.run().await.output)
        }
        Disruption::ConcurrentApply(n) => {
            let other = async { drop(stage.run_without_waiting().await) };
            run_with_interference(stage, n, other).await
        }
        Disruption::ManualChange(n) => {
            // Another thing at each request.
            let other = async {
                outside_changes::make_manual_change(sandbox, usize::try_from(n).unwrap()).await;
            };
            run_with_interference(stage, n, other).await
        }
        Disruption::HostOutage(n) => {
            let mut unreachable = None;
            let other =
                async { unreachable = outside_changes::make_first_host_unreachable(sandbox).await };
            let said = run_with_interference(stage, n, other).await;
            if let Some(id) = unreachable {
                outside_changes::set_host_status(sandbox, &id, "ok").await;
            }
            said
        }
    }
}

/// A run during whose n-th write something else happens. Nothing when there are fewer writes.
async fn run_with_interference(
    stage: &CaseSandbox<'_>,
    n: u64,
    other: impl Future<Output = ()>,
) -> Option<String> {
    stage
        .sandbox
        .set_faults(vec![format!("hold-before:w{n}").parse().unwrap()]);
    let mut run = Box::pin(stage.run());
    tokio::select! {
        _ = &mut run => return None,
        () = stage.sandbox.wait_until_held() => {}
    }
    let ((), run) = join!(
        async {
            other.await;
            stage.sandbox.release_held_request();
        },
        run
    );
    stage.expire_leases();
    Some(run.output)
}
