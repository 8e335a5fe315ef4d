//! What an operation tells its user, and what it asks. The command line implements it on a terminal, in a log and as JSON.

use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;

use super::OperationError;
use crate::{
    apply::{self, ApplyEvent, ApplyOptions, ApplyReport},
    kinds::{CloudWriters, World},
    lock::LockRecord,
    model::Name,
    plan::{Approved, DeferredChange, Plan, Refusal},
    status::EnvironmentStatus,
};

/// Something that happened in an operation.
#[derive(Debug)]
pub enum Event<'a> {
    /// A rollback finds that its target runs already.
    NothingToDo,
    /// The bucket that holds the environment lock is created before anything else.
    CreatingLockBucket,
    /// Another run holds the environment lock.
    WaitingForLock {
        /// Who holds it.
        record: &'a LockRecord,
        /// When it can be taken at the earliest, unless it is renewed.
        available_at: jiff::Timestamp,
    },
    /// Another run has written meanwhile, so the state is read again.
    Replanning,
    /// Another run has done everything that the plan asked for.
    AlreadyDone,
    /// The plan takes longer than the deadline leaves.
    DeadlineTooShort {
        /// How long the plan takes.
        estimate: Duration,
        /// The deadline, from the beginning of the command.
        deadline: Duration,
    },
    /// The steps have ended.
    Applied(&'a ApplyReport),
    /// A new plan is empty.
    Verified {
        /// What runs.
        status: &'a EnvironmentStatus,
    },
    /// These changes were left out. The run is incomplete because of them.
    HeldBack(&'a [DeferredChange]),
    /// Every step was done, and a new plan is still not empty.
    NotConverged(&'a Plan),
    /// The rollout of these apps failed, and the manifest asks for a rollback.
    RollingBack {
        /// The apps.
        apps: &'a [&'a Name],
        /// What the rollback does.
        plan: &'a Plan,
    },
    /// A rollback is asked for, and there is nothing to go back to.
    NothingToRollBack,
    /// The steps of the rollback after a failure have ended.
    RolledBack(&'a ApplyReport),
    /// What runs after a rollback.
    Running(&'a EnvironmentStatus),
    /// What runs after a failed rollout, and what can be done next.
    RolloutFailed {
        /// What runs.
        status: &'a EnvironmentStatus,
        /// Selectors for the apps that a rollback would change, such as ` --only fly.app/web`; nothing when there is
        /// nothing to go back to.
        rollback: Option<&'a str>,
        /// Whether a rollback was done, so that the manifest still asks for the newer version.
        rolled_back: bool,
    },
}

/// Shows what an operation does, and asks before it does it.
pub trait Frontend: Sync {
    /// What the frontend fails with.
    type Error: From<OperationError>;
    /// Shows that something takes a while, until it is dropped.
    type Busy;

    /// The live state is being read.
    fn observing(&self) -> Self::Busy;

    /// Shows the plan. `refusals` say why the guard refuses it; there are none when it does not.
    ///
    /// # Errors
    /// When the plan cannot be shown: nobody may confirm what was not seen.
    fn show_plan(&self, plan: &Plan, refusals: &[Refusal]) -> Result<(), Self::Error>;

    /// Shows an event. Output that cannot be written does not stop an operation that may have changed something.
    fn notify(&self, event: Event<'_>);

    /// Asks the user to confirm the plan that was shown.
    ///
    /// # Errors
    /// When the user declines, or cannot be asked.
    fn confirm(&self, plan: &Plan) -> Result<(), Self::Error>;

    /// Waits until the user asks the operation to end. From the confirmation on, an operation listens to this while it reads
    /// and while it waits; a job is told by [`Self::execute`].
    fn interrupted(&self) -> impl Future<Output = ()> {
        std::future::pending()
    }

    /// The error for a plan that the guard refused.
    fn refused(&self, refusals: Vec<Refusal>) -> Self::Error;

    /// Runs the job, shows its progress, and passes signals of the user on to it.
    fn execute(&self, job: ApplyJob<'_>) -> impl Future<Output = ApplyReport>;

    /// Shows an error that came up after the operation itself had already failed.
    fn warn(&self, error: Self::Error);
}

/// An approved plan with everything that it takes to apply it.
#[derive(Debug)]
pub struct ApplyJob<'a> {
    /// The plan.
    pub approved: &'a Approved,
    /// How it is applied. Cancel its tokens to stop.
    pub options: ApplyOptions,
    pub(super) writers: CloudWriters,
    pub(super) world: World,
}

impl ApplyJob<'_> {
    /// Applies the plan, and sends every event to `events`.
    pub async fn run(self, events: &UnboundedSender<ApplyEvent>) -> ApplyReport {
        apply::apply(
            self.approved,
            &self.writers,
            self.world,
            &self.options,
            events,
        )
        .await
    }
}
