//! Runs a whole operation in this process, as the command line does, but without a terminal.

use std::{
    fmt::Write as _,
    sync::Mutex,
    time::{Duration, Instant},
};

use futures_util::future::BoxFuture;
use trimtab::{
    apply::ApplyReport,
    clouds::{CrashPoint, RegistryClient},
    lock::LockTimings,
    model::Address,
    ops::{
        self, ApplyJob, Completion, Event, Frontend, Goal, OperationError, RunIdentity, RunOptions,
        Workspace, WorkspaceOptions,
    },
    plan::{DeferredChange, Limits, Plan, Refusal},
};

use super::TestEnv;

/// A frontend that confirms everything, keeps what was held back, and writes down the rest.
#[derive(Default)]
struct TestFrontend<'a> {
    held_back: Mutex<Vec<Address>>,
    output: Mutex<String>,
    /// What happens between the confirmation and the first step.
    meanwhile: Mutex<Option<BoxFuture<'a, ()>>>,
}

impl TestFrontend<'_> {
    fn write_down(&self, what: &impl std::fmt::Debug) {
        writeln!(self.output.lock().unwrap(), "{what:?}").unwrap();
    }
}

impl Frontend for TestFrontend<'_> {
    type Error = OperationError;
    type Busy = ();

    fn observing(&self) {}

    fn show_plan(&self, _: &Plan, refusals: &[Refusal]) -> Result<(), OperationError> {
        self.write_down(&refusals);
        Ok(())
    }

    fn notify(&self, event: Event<'_>) {
        self.write_down(&event);
        if let Event::HeldBack(deferred) = event {
            let addresses = deferred
                .iter()
                .map(|DeferredChange { address, .. }| address);
            self.held_back.lock().unwrap().extend(addresses.cloned());
        }
    }

    fn confirm(&self, _: &Plan) -> Result<(), OperationError> {
        Ok(())
    }

    fn refused(&self, refusals: Vec<Refusal>) -> OperationError {
        OperationError::Refused(refusals)
    }

    async fn execute(&self, job: ApplyJob<'_>) -> ApplyReport {
        let meanwhile = self.meanwhile.lock().unwrap().take();
        if let Some(meanwhile) = meanwhile {
            meanwhile.await;
        }
        let (events, _receiver) = tokio::sync::mpsc::unbounded_channel();
        job.run(&events).await
    }

    fn warn(&self, error: OperationError) {
        self.write_down(&error);
    }
}

/// What a run does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Apply,
    /// With everything allowed that the environment's `allow_destroy` names.
    Destroy,
    /// Of these resources; of all without any.
    Rollback(Vec<Address>),
}

/// How much longer the lock of a run lasts than it would at the sandbox's speed, so that a busy computer renews it in time. It is given
/// in the workspace's speed, on which nothing else depends that these runs use.
const LOCK_FACTOR: f64 = 20.0;

/// How a run ended.
pub(crate) struct OperationRun {
    pub(crate) result: Result<Completion, OperationError>,
    pub(crate) held_back: Vec<Address>,
    /// Everything that a person would see.
    pub(crate) output: String,
    /// Whether it got as far as its crash point.
    pub(crate) crashed: bool,
}

impl OperationRun {
    pub(crate) fn is_complete(&self) -> bool {
        matches!(self.result, Ok(Completion::Complete))
    }
}

/// Runs an operation; with a crash point nothing is sent from there on.
pub(crate) async fn run(
    env: &TestEnv,
    operation: &Operation,
    crash: Option<CrashPoint>,
) -> OperationRun {
    run_with_frontend(env, operation, crash, TestFrontend::default()).await
}

async fn run_with_frontend(
    env: &TestEnv,
    operation: &Operation,
    crash: Option<CrashPoint>,
    frontend: TestFrontend<'_>,
) -> OperationRun {
    let readers = env.readers(crash).await;
    let fly = readers.fly.clone();
    let mut loaded = env.load();
    loaded.desired = env.desired();
    if let (Operation::Destroy, Some(aws)) = (operation, &mut loaded.desired.meta.aws) {
        aws.is_destroying = true;
    }
    let registry = RegistryClient::new(&env.settings(None)).unwrap();
    let options = WorkspaceOptions {
        allow_missing_images: *operation != Operation::Apply,
        started_at: Instant::now(),
        speed: env.speed * LOCK_FACTOR,
        identity: RunIdentity {
            user: "somebody".to_owned(),
            host: None,
            run_url: None,
        },
        wall_clock: || jiff::Timestamp::UNIX_EPOCH,
    };
    let workspace = Workspace::new(loaded, readers, registry, options);
    // On the heap: the future of a whole operation is large for the stack of a worker.
    let result = Box::pin(run_in(&workspace, env, operation, &frontend)).await;
    if let Err(error) = &result {
        frontend.write_down(error);
    }
    OperationRun {
        result,
        held_back: frontend.held_back.into_inner().unwrap(),
        output: frontend.output.into_inner().unwrap(),
        crashed: fly.has_crashed(),
    }
}

async fn run_in(
    workspace: &Workspace,
    env: &TestEnv,
    operation: &Operation,
    frontend: &TestFrontend<'_>,
) -> Result<Completion, OperationError> {
    let allow_destroy = env.allow_destroy.lock().unwrap().iter().cloned().collect();
    let options = |command, only: &[Address]| RunOptions {
        command,
        only: only.to_vec(),
        limits: Limits {
            allow_destroy,
            destroy_all: true,
            max_destroy: 100,
        },
        expected: None,
        concurrency: 32,
        deadline: None,
        wait_timeout: LockTimings::DEFAULT_ACQUIRE_TIMEOUT.min(Duration::from_secs(90)),
    };
    match operation {
        Operation::Apply => {
            ops::run(workspace, &Goal::Manifest, &options("apply", &[]), frontend).await
        }
        Operation::Destroy => {
            let goal = Goal::nothing(workspace.desired());
            ops::run(workspace, &goal, &options("destroy", &[]), frontend).await
        }
        Operation::Rollback(only) => {
            let (states, world) = ops::previous_states(workspace, None, only).await?;
            let (goal, options) = (Goal::Previous(states), options("rollback", only));
            ops::run_from(workspace, &goal, world, &options, frontend).await
        }
    }
}

/// Takes one app back to the release before, or finishes a rollback that was interrupted. Returns how it ended, and what stayed.
///
/// # Errors
/// When there is no earlier release.
pub(crate) async fn roll_back(
    env: &TestEnv,
    app: &Address,
) -> Result<(Completion, Vec<Address>), OperationError> {
    let run = run(env, &Operation::Rollback(vec![app.clone()]), None).await;
    Ok((run.result?, run.held_back))
}

/// Applies the manifest, and lets something happen after the confirmation and before the first step.
///
/// # Errors
/// When the plan is refused, or holds something else after that.
pub(crate) async fn apply_with_interruption(
    env: &TestEnv,
    meanwhile: BoxFuture<'_, ()>,
) -> Result<Completion, OperationError> {
    let frontend = TestFrontend {
        meanwhile: Mutex::new(Some(meanwhile)),
        ..TestFrontend::default()
    };
    let run = run_with_frontend(env, &Operation::Apply, None, frontend).await;
    run.result
}
