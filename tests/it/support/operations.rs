//! Runs a whole operation in this process, as the command line does, but without a terminal.

use std::time::{Duration, Instant};

use trimtab::{
    apply::ApplyReport,
    clouds::RegistryClient,
    lock::LockTimings,
    model::Address,
    ops::{
        self, ApplyJob, Completion, Event, Frontend, Goal, OperationError, RunIdentity, RunOptions,
        Workspace, WorkspaceOptions,
    },
    plan::{DeferredChange, Limits, Plan, Refusal},
};

use super::{SPEED, TestEnv};

/// A frontend that confirms everything, and keeps what was held back.
#[derive(Default)]
struct TestFrontend {
    held_back: std::sync::Mutex<Vec<Address>>,
}

impl Frontend for TestFrontend {
    type Error = OperationError;
    type Busy = ();

    fn observing(&self) {}

    fn show_plan(&self, _: &Plan, _: &[Refusal]) -> Result<(), OperationError> {
        Ok(())
    }

    fn notify(&self, event: Event<'_>) {
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
        let (events, _receiver) = tokio::sync::mpsc::unbounded_channel();
        job.run(&events).await
    }

    fn warn(&self, error: OperationError) {
        panic!("{error}")
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
    let loaded = env.load();
    let readers = env.readers(None).await;
    let registry = RegistryClient::new(&env.settings(None)).unwrap();
    let options = WorkspaceOptions {
        allow_missing_images: true,
        started_at: Instant::now(),
        speed: SPEED,
        identity: RunIdentity {
            user: "somebody".to_owned(),
            host: None,
            run_url: None,
        },
        wall_clock: || jiff::Timestamp::UNIX_EPOCH,
    };
    let workspace = Workspace::new(loaded, readers, registry, options);
    let only = vec![app.clone()];
    let (states, world) = ops::previous_states(&workspace, None, &only).await?;
    let options = RunOptions {
        command: "rollback",
        only,
        limits: Limits::default(),
        expected: None,
        concurrency: 32,
        deadline: None,
        wait_timeout: LockTimings::DEFAULT_ACQUIRE_TIMEOUT.min(Duration::from_secs(30)),
    };
    let frontend = TestFrontend::default();
    let goal = Goal::Previous(states);
    let completion = ops::run_from(&workspace, &goal, world, &options, &frontend).await?;
    Ok((completion, frontend.held_back.into_inner().unwrap()))
}
