//! One operation from beginning to end: observe, plan, guard, confirm, lock, plan again, execute, verify, report.
//! [`run`] is the story; `apply`, `destroy` and `rollback` differ only in their [`Goal`].

use std::time::{Duration, Instant};

use super::{
    ApplyJob, Event, Frontend, Goal, OperationError, Workspace,
    environment_lock::{self, LockOutcome},
    error::RUN_AGAIN,
    goal::{Planned, check_expected},
    recovery, rollback_mark,
};
use crate::{
    apply::{ApplyOptions, ApplyReport, event::StepReport},
    kinds::{World, aws::Bucket},
    model::Address,
    plan::{Action, Approved, DeferredChange, ExpectedPlan, Limits, Plan, guard, refusals},
    status::EnvironmentStatus,
};

/// How often an operation plans again because another run was at work, before it gives up.
const MAX_REPLANS: u32 = 3;

/// How an operation runs.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// The command's name, for leases, the lock and messages.
    pub command: &'static str,
    /// Only these addresses, and what they need; everything when empty.
    pub only: Vec<Address>,
    /// What the guard allows.
    pub limits: Limits,
    /// The plan that was reviewed: anything else stops.
    pub expected: Option<ExpectedPlan>,
    /// How many steps run at once.
    pub concurrency: usize,
    /// When everything must have ended, counted from the beginning of the command.
    pub deadline: Option<Duration>,
    /// How long to wait for a lease or the lock of another run.
    pub wait_timeout: Duration,
}

/// How an operation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Completion {
    /// Everything is done, or there was nothing to do.
    Complete,
    /// Some steps failed or did not run. The same command run again does the rest.
    Incomplete,
}

/// Drives an environment to a goal.
///
/// # Flow
/// Observe, plan, show the plan, guard, confirm. Then take the lock, where the environment has one, and plan again under it:
/// no other run of trimtab writes from here on, and what is left of the confirmed plan runs. Without a lock only the leases of
/// machines keep two runs apart. At the end a new plan must be empty.
///
/// # Guarantees
/// Nothing is written before the confirmation, and nothing that was not confirmed, except a rollback that the manifest asks for
/// with `on_failure`. The lock is released however the operation ends.
///
/// # Errors
/// Before any write; when the bucket of the lock is not ready; or at the end, when a new plan cannot be made or is not empty.
pub async fn run<F: Frontend>(
    workspace: &Workspace,
    goal: &Goal,
    options: &RunOptions,
    frontend: &F,
) -> Result<Completion, F::Error> {
    let world = {
        let _busy = frontend.observing();
        goal.observe(workspace).await?
    };
    run_from(workspace, goal, world, options, frontend).await
}

/// The same from a live state that was read just before.
///
/// # Errors
/// As [`run`].
pub async fn run_from<F: Frontend>(
    workspace: &Workspace,
    goal: &Goal,
    world: World,
    options: &RunOptions,
    frontend: &F,
) -> Result<Completion, F::Error> {
    let run = Run {
        workspace,
        goal,
        options,
        frontend,
    };
    let Planned { plan, world } = goal.plan(workspace, world, &options.only)?;
    if plan.is_empty() && matches!(goal, Goal::Previous(_)) {
        frontend.notify(Event::NothingToDo);
        run.remove_rollback_marks(&world).await?;
        return Ok(Completion::Complete);
    }
    let limits = goal.limits(&options.limits, &plan);
    frontend.show_plan(&plan, &refusals(&plan, &limits))?;
    check_expected(&plan, options.expected.as_ref())?;
    let approved = guard(plan, &limits).map_err(|refusals| frontend.refused(refusals))?;
    if approved.plan().is_empty() {
        run.check_nothing_hidden(&world)?;
        return Ok(run.completion(approved.plan()));
    }
    frontend.confirm(approved.plan())?;

    let (approved, world, created) = run.create_lock_bucket(approved, world).await?;
    let lock = environment_lock::acquire(
        workspace,
        &world,
        options.command,
        options.wait_timeout,
        run.deadline(),
        frontend,
    )
    .await?;
    let result = run.execute_locked(lock, approved, world, created).await;
    environment_lock::release(workspace, frontend).await;
    result
}

/// What every stage of an operation needs.
pub(super) struct Run<'a, F> {
    pub(super) workspace: &'a Workspace,
    pub(super) goal: &'a Goal,
    pub(super) options: &'a RunOptions,
    pub(super) frontend: &'a F,
}

impl<F: Frontend> Run<'_, F> {
    /// Reads the live state.
    pub(super) async fn observe(&self) -> Result<World, OperationError> {
        let _busy = self.frontend.observing();
        self.read(self.goal.observe(self.workspace)).await
    }

    /// Awaits something that only reads, unless the user asks to stop.
    pub(super) async fn read<T>(
        &self,
        reading: impl Future<Output = Result<T, OperationError>>,
    ) -> Result<T, OperationError> {
        tokio::select! {
            result = reading => result,
            () = self.frontend.interrupted() => Err(OperationError::interrupted()),
        }
    }

    fn guard(&self, plan: Plan) -> Result<Approved, F::Error> {
        let limits = self.goal.limits(&self.options.limits, &plan);
        guard(plan, &limits).map_err(|refusals| self.frontend.refused(refusals))
    }

    /// How a run ends that leaves nothing to do but what `plan` defers.
    fn completion(&self, plan: &Plan) -> Completion {
        if plan.is_incomplete() {
            self.frontend.notify(Event::HeldBack(&plan.deferred));
            Completion::Incomplete
        } else {
            Completion::Complete
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let deadline = self.options.deadline?;
        Some(self.workspace.started_at() + deadline)
    }

    /// Plans again, and checks that the result holds nothing that was not confirmed.
    async fn replan(&self, confirmed: &Approved) -> Result<(Approved, World), F::Error> {
        let world = self.observe().await?;
        let Planned { plan, world } = self.goal.plan(self.workspace, world, &self.options.only)?;
        self.goal.check_unchanged(confirmed, &plan)?;
        Ok((self.guard(plan)?, world))
    }

    /// Creates the bucket that holds the lock by itself, where the plan would create it among other steps. So nothing else
    /// happens without the lock, not even in the first apply of an environment.
    async fn create_lock_bucket(
        &self,
        confirmed: Approved,
        world: World,
    ) -> Result<(Approved, World, Vec<StepReport>), F::Error> {
        let Some(address) = self.lock_bucket_to_create(confirmed.plan()) else {
            return Ok((confirmed, world, Vec::new()));
        };
        let bucket_only = self.guard(confirmed.plan().clone().only(&[address]))?;
        self.frontend.notify(Event::CreatingLockBucket);
        let report = self.execute(&bucket_only, world).await;
        if !report.is_complete() || report.stopped {
            self.frontend.notify(Event::Applied(&report));
            let message = if report.is_complete() {
                "stopped after the bucket that holds the lock was made, and nothing else was begun"
            } else {
                "the bucket that holds the lock is not ready, and nothing else was begun"
            };
            return Err(OperationError::incomplete(message, RUN_AGAIN).into());
        }
        let (approved, world) = self.replan(&confirmed).await?;
        Ok((approved, world, report.outcomes))
    }

    fn lock_bucket_to_create(&self, plan: &Plan) -> Option<Address> {
        let desired = self.goal.desired(self.workspace);
        let location = environment_lock::lock_location(&desired.meta)?;
        let mut buckets = desired.aws_bucket.iter();
        let (key, _) = buckets.find(|(_, spec)| spec.name == location.bucket)?;
        let address = Address::new::<Bucket>(key);
        let mut steps = plan.steps();
        let creates = steps.any(|step| step.address == address && step.action == Action::Create);
        // When the bucket is the only step, there is nothing that the lock could protect afterwards.
        (creates && plan.steps().count() > 1).then_some(address)
    }

    /// Another run may have written between the first look and the lock, so the plan is made once more, and what is left of it
    /// runs. Without a lock nothing has changed since the first look, as far as this run can know.
    async fn execute_locked(
        &self,
        lock: LockOutcome,
        confirmed: Approved,
        world: World,
        created: Vec<StepReport>,
    ) -> Result<Completion, F::Error> {
        let (approved, world) = match lock {
            LockOutcome::NoLock => (confirmed, world),
            LockOutcome::Acquired => self.replan(&confirmed).await?,
            LockOutcome::AcquiredAfterWait | LockOutcome::BucketGone => {
                self.frontend.notify(Event::Replanning);
                self.replan(&confirmed).await?
            }
        };
        if approved.plan().is_empty() {
            self.frontend.notify(Event::AlreadyDone);
            return Ok(self.completion(approved.plan()));
        }
        let deferred = approved.plan().deferred.clone();
        if let Goal::Previous(states) = self.goal {
            rollback_mark::write(self.workspace, &world, states).await?;
        }
        let (mut report, world) = self.execute_current(approved, world).await?;
        // The lock's bucket is a part of what was confirmed, so it belongs into the report.
        report.outcomes.splice(0..0, created);
        self.frontend.notify(Event::Applied(&report));
        if matches!(self.goal, Goal::Previous(_)) {
            return self.show_running(&report, &deferred).await;
        }
        self.finish(&report, &world).await
    }

    /// Applies the plan. Where a machine was changed by somebody else before it was leased, plans again and applies the
    /// rest. Returns the world that the last attempt started from.
    async fn execute_current(
        &self,
        mut approved: Approved,
        mut world: World,
    ) -> Result<(ApplyReport, World), F::Error> {
        let mut replans = 0;
        loop {
            // The world is kept, because a recovery compares with it.
            let report = self.execute(&approved, world.clone()).await;
            if !report.outdated || report.stopped || replans == MAX_REPLANS {
                return Ok((report, world));
            }
            replans += 1;
            self.frontend.notify(Event::Replanning);
            (approved, world) = self.replan(&approved).await?;
            if approved.plan().is_empty() {
                self.frontend.notify(Event::AlreadyDone);
                return Ok((ApplyReport::new(), world));
            }
        }
    }

    /// Executes one plan, with what the deadline leaves.
    async fn execute(&self, approved: &Approved, world: World) -> ApplyReport {
        let speed = self.workspace.speed();
        let estimate = approved.plan().estimate().div_f64(speed);
        if let Some(deadline) = self.options.deadline {
            let left = deadline.saturating_sub(self.workspace.started_at().elapsed());
            if estimate > left {
                self.frontend
                    .notify(Event::DeadlineTooShort { estimate, deadline });
            }
        }
        let options = ApplyOptions {
            concurrency: self.options.concurrency.max(1),
            deadline: self.deadline(),
            speed,
            lock_timeout: self.options.wait_timeout,
            ..ApplyOptions::default()
        };
        let job = ApplyJob {
            approved,
            options,
            writers: self.workspace.writers(self.options.command),
            world,
        };
        self.frontend.execute(job).await
    }

    /// Executes the plan of a recovery. The deadline was for the way there, so it does not count for the way back.
    pub(super) async fn execute_rollback(&self, approved: &Approved, world: World) -> ApplyReport {
        let options = RunOptions {
            command: "rollback",
            deadline: None,
            ..self.options.clone()
        };
        let run = Run {
            options: &options,
            ..*self
        };
        run.execute(approved, world).await
    }

    /// Verifies a complete apply or destroy, and recovers from one that is not complete.
    async fn finish(&self, report: &ApplyReport, before: &World) -> Result<Completion, F::Error> {
        if report.is_complete() {
            return Ok(self.verify().await?);
        }
        // A user who asked to stop waits for the end, and the report says how to go on.
        if matches!(self.goal, Goal::Manifest) && !report.stopped {
            // Whatever fails from here on, the run itself stays incomplete.
            if let Err(error) = recovery::recover(self, report, before).await {
                self.frontend.warn(error.into());
            }
        }
        Ok(Completion::Incomplete)
    }

    /// After a complete run a new plan must be empty. What is left is shown, never passed over.
    async fn verify(&self) -> Result<Completion, OperationError> {
        let world = self.observe().await?;
        let Planned { plan: left, world } =
            self.goal
                .plan_verification(self.workspace, world, &self.options.only)?;
        if left.is_empty() {
            self.check_nothing_hidden(&world)?;
            if !left.is_incomplete() {
                let status = EnvironmentStatus::from_world(self.workspace.desired(), &world);
                self.frontend.notify(Event::Verified { status: &status });
            }
            return Ok(self.completion(&left));
        }
        self.frontend.notify(Event::NotConverged(&left));
        Err(OperationError::incomplete(
            "everything was done, and a new plan is still not empty",
            "something changes it at the same time, or a cloud has not caught up yet: run the same command again; if the same \
             difference stays, the cloud keeps the value in another form: write it as the plan shows it",
        ))
    }

    /// An environment is not gone while one of its buckets may be there that these credentials cannot look at.
    fn check_nothing_hidden(&self, world: &World) -> Result<(), OperationError> {
        let mut buckets = self.workspace.desired().aws_bucket.values();
        let unreadable = &world.findings.unreadable_buckets;
        let hidden = buckets.find(|spec| unreadable.contains(&spec.name));
        match (self.goal, hidden) {
            (Goal::Nothing(_), Some(spec)) => Err(OperationError::incomplete(
                format!(
                    "bucket {} is left: these credentials may not see it",
                    spec.name
                ),
                "run the same command again with credentials that may",
            )),
            _ => Ok(()),
        }
    }

    /// A rollback differs from the manifest, so a new plan cannot verify it. What runs is shown instead.
    async fn show_running(
        &self,
        report: &ApplyReport,
        deferred: &[DeferredChange],
    ) -> Result<Completion, F::Error> {
        let world = self.observe().await?;
        let status = EnvironmentStatus::from_world(self.workspace.desired(), &world);
        self.frontend.notify(Event::Running(&status));
        if !deferred.is_empty() {
            self.frontend.notify(Event::HeldBack(deferred));
        }
        if !report.is_complete() {
            return Ok(Completion::Incomplete);
        }
        self.remove_rollback_marks(&world).await?;
        Ok(if deferred.is_empty() {
            Completion::Complete
        } else {
            Completion::Incomplete
        })
    }

    /// Records that a rollback is complete, so that the next one goes back further.
    async fn remove_rollback_marks(&self, world: &World) -> Result<(), OperationError> {
        match self.goal {
            Goal::Previous(states) => rollback_mark::remove(self.workspace, world, states).await,
            Goal::Manifest | Goal::Nothing(_) => Ok(()),
        }
    }
}
