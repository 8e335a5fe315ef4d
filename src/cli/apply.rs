//! `trimtab apply`: plan, show, ask, do, and verify that a new plan is empty.

use std::path::PathBuf;

use clap::Args;

use super::{
    CommandContext, CommandError,
    commit::{Commit, SkipPattern},
    confirm, exit,
    locking::{self, LockOutcome},
    plan_file, progress,
    recover::Recovery,
    session::{AllowArgs, InputArgs, Session, TargetArgs},
};
use crate::{
    apply::event::StepReport,
    kinds::{Desired, World, aws::Bucket},
    manifest::SecretsMode,
    model::Address,
    plan::{Action, Approved, Plan, PlanId, Refusal, guard},
    render,
};

/// Make it so: plan, show, ask, do, and verify that nothing is left to do.
#[derive(Debug, Args)]
pub(super) struct Apply {
    /// The environment: the stem of its manifest's file name
    #[arg(
        value_name = "ENV",
        required_unless_present = "plan",
        conflicts_with = "plan"
    )]
    environment: Option<String>,
    #[command(flatten)]
    inputs: InputArgs,
    #[command(flatten)]
    allow: AllowArgs,
    /// Apply a plan that `plan --out` wrote; stops when it is stale
    #[arg(long, value_name = "FILE", conflicts_with_all = ["vars", "images", "only", "adopt", "allow_destroy", "max_destroy"])]
    plan: Option<PathBuf>,
    /// Apply only the plan with this id, or what is left of it
    #[arg(long, value_name = "ID", conflicts_with = "plan")]
    expect: Option<PlanId>,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
    /// Do nothing, and exit with 0, when the commit's message holds this text; repeatable
    ///
    /// Case does not matter, and brackets are brackets: `[skip deploy]`. With a `*` in it, it has to fit the whole first
    /// line, and the `*` stands for any text: `Create persona:*`. The message is the one that the pipeline tells: of the
    /// pushed commit on GitHub Actions (also in a `workflow_run`; of a pull request it is the title), GitLab,
    /// Woodpecker, Drone, Buildkite, Azure, Travis, Cirrus and Codefresh. Elsewhere it is that of the commit that is
    /// checked out; where git cannot tell it, that is an error.
    #[arg(long, value_name = "PATTERN", value_parser = SkipPattern::parse)]
    skip_if_message: Vec<SkipPattern>,
    #[command(flatten)]
    show: progress::ProgressArgs,
}

pub(super) async fn run(context: &CommandContext<'_>, args: &Apply) -> Result<u8, CommandError> {
    if is_skipped(context, args)? {
        return Ok(exit::OK);
    }
    let (target, allow, expect) = match &args.plan {
        Some(file) => {
            let (target, allow, expect) = plan_file::read(file)?;
            (target, allow, Some(expect))
        }
        None => {
            let environment = args.environment.clone().unwrap_or_default();
            (
                TargetArgs {
                    environment,
                    inputs: args.inputs.clone(),
                },
                args.allow.clone(),
                args.expect.clone(),
            )
        }
    };
    let session = Session::open(context, &target, SecretsMode::Required, &allow.adopt).await?;
    let desired = session.loaded.desired.clone();
    let run = ApplyRun {
        context,
        session: &session,
        desired: &desired,
        allow: &allow,
        show: &args.show,
        command: "apply",
    };
    let confirmed = args.yes || expect.is_some();
    let result = run
        .execute(expect.as_ref(), |context| {
            confirm::confirm(context, confirmed, "Apply this plan?")
        })
        .await;
    session.close().await;
    result
}

/// Whether the commit's message asks for no deployment. Asked first of all: it needs neither a manifest nor a secret.
fn is_skipped(context: &CommandContext<'_>, args: &Apply) -> Result<bool, CommandError> {
    if args.skip_if_message.is_empty() {
        return Ok(false);
    }
    let commit = Commit::find(&context.environment)?;
    let Some(pattern) = commit.find_match(&args.skip_if_message) else {
        return Ok(false);
    };
    let text = format!(
        "Skipped: the message of {} matches `{pattern}`; nothing was looked at or changed.",
        commit.description
    );
    args.show.print_message(context, "skipped", &text)?;
    Ok(true)
}

/// How often is looked again when others are at work.
const MAX_REPLANS: u32 = 3;

/// One run of a plan, for `apply` and `destroy`.
pub(super) struct ApplyRun<'a> {
    pub(super) context: &'a CommandContext<'a>,
    pub(super) session: &'a Session,
    pub(super) desired: &'a Desired,
    pub(super) allow: &'a AllowArgs,
    pub(super) show: &'a progress::ProgressArgs,
    pub(super) command: &'static str,
}

impl ApplyRun<'_> {
    /// Plan, show, guard, confirm, do, verify.
    pub(super) async fn execute(
        &self,
        expect: Option<&PlanId>,
        confirm: impl Fn(&CommandContext<'_>) -> Result<(), CommandError>,
    ) -> Result<u8, CommandError> {
        let world = self
            .session
            .observe_with_images(self.context, self.desired)
            .await?;
        let plan = self.session.plan(self.desired, &world, &self.allow.only)?;
        let plan = if self.allow.whole_environment {
            plan.without_ownership_conflicts()
        } else {
            plan
        };
        let limits = self.allow.limits();
        let refusals = crate::plan::refusals(&plan, &limits);
        if self.show.is_text() {
            let headline = self.session.headline(self.command);
            self.context.ui.print(&render::text::plan(
                &plan,
                &refusals,
                &headline,
                &self.context.ui.stdout_options(),
            ))?;
        }
        check_expected(&plan, expect)?;
        let approved = guard(plan, &limits).map_err(|refusals| self.refusal_error(refusals))?;
        if approved.plan().is_empty() {
            return Ok(exit::OK);
        }
        confirm(self.context)?;
        let (approved, world, first) = match self.create_lock_bucket(&approved, &world).await? {
            Some(((approved, world), first)) => (approved, world, first),
            None => (approved, world, Vec::new()),
        };
        let taken =
            locking::acquire_lock(self.context, self.session, &world, self.show, self.command)
                .await?;
        let result = self.execute_locked(taken, approved, world, first).await;
        self.session.unlock().await;
        result
    }

    /// The bucket that holds the lock is made by itself, before anything else: then nothing happens without the lock, not
    /// even in the first apply.
    async fn create_lock_bucket(
        &self,
        agreed: &Approved,
        world: &World,
    ) -> Result<Option<((Approved, World), Vec<StepReport>)>, CommandError> {
        let Some(place) = locking::lock_place(&self.desired.meta) else {
            return Ok(None);
        };
        let bucket = self
            .desired
            .aws_bucket
            .iter()
            .find(|(_, spec)| spec.name == place.bucket);
        let address = bucket.map(|(key, _)| Address::new::<Bucket>(key));
        let plan = agreed.plan();
        let made = plan
            .steps()
            .find(|step| Some(&step.address) == address.as_ref());
        let Some(step) =
            made.filter(|step| step.action == Action::Create && plan.steps().count() > 1)
        else {
            return Ok(None);
        };
        let first = guard(
            plan.clone().only(std::slice::from_ref(&step.address)),
            &self.allow.limits(),
        )
        .map_err(|refusals| self.refusal_error(refusals))?;
        self.show.print_notice(
            self.context,
            "lock",
            "Making the bucket that holds the lock, before anything else.",
        );
        let work = progress::ApplyJob {
            session: self.session,
            approved: &first,
            world: world.clone(),
            command: self.command,
        };
        let report = progress::apply_with_progress(self.context, self.show, work).await;
        if report.is_complete() {
            return Ok(Some((self.replan(agreed).await?, report.outcomes)));
        }
        if self.show.is_text() {
            self.context.ui.print(&render::text::report(
                &report,
                &self.context.ui.stdout_options(),
            ))?;
        }
        Err(CommandError::new(
            "the bucket that holds the lock is not ready, and nothing else was begun",
        )
        .with_hint("run the same command again: what was done is not done twice")
        .with_exit_code(exit::INCOMPLETE))
    }

    /// With the lock nobody else writes any more, so what was agreed to is planned once more: another run may have come
    /// first while it was read, and then what is left of it runs.
    async fn execute_locked(
        &self,
        taken: LockOutcome,
        approved: Approved,
        world: World,
        first: Vec<StepReport>,
    ) -> Result<u8, CommandError> {
        let (approved, world) = match taken {
            LockOutcome::NoLock => (approved, world),
            LockOutcome::Acquired => self.replan(&approved).await?,
            LockOutcome::AcquiredAfterWait => self.replan_after_conflict(&approved).await?,
        };
        if approved.plan().is_empty() {
            self.context
                .ui
                .eprint("Nothing is left to do: another run has done it.");
            return Ok(exit::OK);
        }
        self.execute_plan(approved, world, first).await
    }

    /// Plans once more after somebody else was at work: what is left of what was agreed to runs.
    async fn replan_after_conflict(
        &self,
        agreed: &Approved,
    ) -> Result<(Approved, World), CommandError> {
        self.context
            .ui
            .eprint("Somebody else was at work here: looking again.");
        self.replan(agreed).await
    }

    async fn replan(&self, agreed: &Approved) -> Result<(Approved, World), CommandError> {
        let world = self
            .session
            .observe_with_images(self.context, self.desired)
            .await?;
        let plan = self.session.plan(self.desired, &world, &self.allow.only)?;
        let plan = if self.allow.whole_environment {
            plan.without_ownership_conflicts()
        } else {
            plan
        };
        check_expected(&plan, Some(&agreed.plan().id()))?;
        let approved =
            guard(plan, &self.allow.limits()).map_err(|refusals| self.refusal_error(refusals))?;
        Ok((approved, world))
    }

    /// The plan that was shown says what is blocked; where none was shown, the error does.
    fn refusal_error(&self, refusals: Vec<Refusal>) -> CommandError {
        if self.show.is_text() {
            return CommandError::new(
                "this plan is refused, see BLOCKED above; nothing was changed",
            )
            .with_exit_code(exit::REFUSED);
        }
        CommandError::from(refusals)
    }

    async fn execute_plan(
        &self,
        approved: Approved,
        world: World,
        first: Vec<StepReport>,
    ) -> Result<u8, CommandError> {
        let (session, command) = (self.session, self.command);
        let (mut approved, mut world) = (approved, world);
        let mut looks = 0;
        let mut report = loop {
            let work = progress::ApplyJob {
                session,
                approved: &approved,
                world: world.clone(),
                command,
            };
            let report = progress::apply_with_progress(self.context, self.show, work).await;
            if !report.outdated || looks == MAX_REPLANS {
                break report;
            }
            looks += 1;
            (approved, world) = self.replan_after_conflict(&approved).await?;
        };
        // The bucket that was made for the lock is a part of what was agreed to.
        report.outcomes.splice(0..0, first);
        if self.show.is_text() {
            self.context.ui.print(&render::text::report(
                &report,
                &self.context.ui.stdout_options(),
            ))?;
        }
        if report.is_complete() {
            return self.verify().await;
        }
        let recovery = Recovery {
            context: self.context,
            session,
            desired: self.desired,
            show: self.show,
            command,
        };
        // Whatever goes wrong now, the run did not finish.
        if let Err(failure) = recovery.run(&report, &world).await {
            failure.print(self.context.ui);
        }
        Ok(exit::INCOMPLETE)
    }

    /// After a complete run a new plan must be empty. What is left is said; it is never passed over.
    async fn verify(&self) -> Result<u8, CommandError> {
        let world = self
            .session
            .observe_with_images(self.context, self.desired)
            .await?;
        let left = self.session.plan(self.desired, &world, &self.allow.only)?;
        if left.is_empty() {
            self.context.ui.eprint("Verified: a new plan is empty.");
            return Ok(exit::OK);
        }
        let headline = self.session.headline(self.command);
        self.context.ui.eprint(&render::text::plan(
            &left,
            &[],
            &headline,
            &self.context.ui.stderr_options(),
        ));
        Err(CommandError::new("everything was done, and a new plan is still not empty")
            .with_hint("something changes it at the same time, or a cloud has not caught up yet: run the same command again")
            .with_exit_code(exit::INCOMPLETE))
    }
}

/// What was reviewed is what runs: the same plan, or what is left of it.
fn check_expected(plan: &Plan, expect: Option<&PlanId>) -> Result<(), CommandError> {
    let Some(expect) = expect else { return Ok(()) };
    let now = plan.id();
    if plan.is_empty() || expect.covers(&now) {
        return Ok(());
    }
    let why = if expect.has_steps() {
        "it holds steps that were not reviewed"
    } else {
        "the ids differ"
    };
    Err(CommandError::new(format!(
        "this is plan {}, and {} was reviewed: {why}; nothing was changed",
        now.short(),
        expect.short()
    ))
    .with_hint("review the plan above, then apply it with its own id")
    .with_exit_code(exit::REFUSED))
}
