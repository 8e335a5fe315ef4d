//! `trimtab apply`: plan, confirm, apply, and verify that a new plan is empty.

use std::path::PathBuf;

use clap::Args;

use super::{
    CommandContext, CommandError,
    apply_summary::{self, ApplyRecorder},
    build,
    commit::{Commits, SkipDecision, SkipPattern},
    confirm::Confirmation,
    console::Console,
    exit, plan_file, progress,
    reviewed::{self, Review},
    session::{InputArgs, PlanningArgs, Session, TargetArgs},
};
use crate::{
    manifest::SecretsMode,
    ops::{self, Goal},
    plan::{ExpectedPlan, PlanId},
};

/// Apply the manifest: plan, confirm, apply, and verify that nothing is left to do.
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
    planning: PlanningArgs,
    /// Apply a plan that `plan --out` wrote; a stale plan is refused
    #[arg(long, value_name = "FILE", conflicts_with_all = ["vars", "images", "only", "adopt", "allow_destroy", "max_destroy"])]
    plan: Option<PathBuf>,
    /// Apply only the reviewed plan with this id, or what is left of it
    #[arg(long, value_name = "ID", conflicts_with = "plan")]
    expect: Option<PlanId>,
    /// Apply only the plan that the pull request of this commit showed in a comment of `plan --comment`, or what is left of it
    ///
    /// On GitHub Actions. The manifest says what happens where no plan was shown: `reviewed = "required"` in `[github]` refuses,
    /// `"if-present"` applies what neither deletes nor replaces anything, and `"off"` does not look. New images and changed values of
    /// secrets are expected by definition.
    #[arg(long, conflicts_with_all = ["plan", "expect"])]
    expect_reviewed: bool,
    /// On GitHub Actions, write the result into a comment of the merged pull request as well
    #[arg(long, requires = "expect_reviewed")]
    comment: bool,
    /// Do not ask for confirmation
    #[arg(short, long)]
    yes: bool,
    /// Do nothing, and exit with 0, when the message of every pushed commit contains this text; repeatable
    ///
    /// Case does not matter, and brackets have no special meaning: `[skip deploy]`. A pattern with a `*` has to match the
    /// whole first line, and the `*` stands for any text: `Create persona:*`. On GitHub Actions every commit of the push has to
    /// match one of the patterns (of a `workflow_run` only the last commit is known; of a pull request the title counts), and
    /// a run that somebody starts by hand is never skipped. Elsewhere the message is that of the commit that is checked out;
    /// without git that is an error.
    #[arg(long, value_name = "PATTERN", value_parser = SkipPattern::parse)]
    skip_if_message: Vec<SkipPattern>,
    /// Build the images first, as `trimtab build` does, and apply with them; an image that --image gives is not built
    #[arg(long, conflicts_with = "plan")]
    build: bool,
    #[command(flatten)]
    progress: progress::ProgressArgs,
}

pub(super) async fn run(context: &CommandContext<'_>, args: &Apply) -> Result<u8, CommandError> {
    if is_skipped(context, args)? {
        return Ok(exit::OK);
    }
    let (mut target, planning, expected) = match &args.plan {
        Some(file) => {
            let (target, planning, expect) = plan_file::read(file)?;
            (target, planning, Some(ExpectedPlan::Saved(expect)))
        }
        None => {
            let environment = args.environment.clone().unwrap_or_default();
            (
                TargetArgs {
                    environment,
                    inputs: args.inputs.clone(),
                },
                args.planning.clone(),
                args.expect.clone().map(ExpectedPlan::Reviewed),
            )
        }
    };
    let ends_at_signal = match args.build {
        true => Some(build::build_before_apply(context, &mut target, &planning.only).await?),
        false => None,
    };
    let session = Session::open(context, &target, SecretsMode::Required, &planning).await?;
    if let Some(end) = ends_at_signal {
        session.end_at_signal(end);
    }
    let review = if args.expect_reviewed {
        match reviewed::find(context, &session).await {
            Ok(review) => review,
            Err(error) => {
                let recorder = ApplyRecorder::default();
                let refused = Err(error);
                apply_summary::write(context, &session, &recorder, &refused, None).await;
                session.close().await;
                return refused.map(exit::code);
            }
        }
    } else {
        Review::default()
    };
    let expected = expected.or(review.expected);
    let is_confirmed = args.yes || expected.as_ref().is_some_and(|plan| plan.id().is_some());
    let recorder = ApplyRecorder::default();
    let options = args.progress.run_options(
        "apply",
        planning.only.clone(),
        planning.limits(),
        expected.clone(),
    );
    let frontend = Console {
        context,
        session: &session,
        progress: &args.progress,
        command: "apply",
        confirmation: Confirmation {
            question: "Apply this plan?".to_owned(),
            name_to_type: None,
            is_confirmed,
            has_expect_option: true,
        },
        allow_destroy: &planning.allow_destroy,
        recorder: &recorder,
        reviewed: args
            .plan
            .as_deref()
            .zip(expected.as_ref().and_then(ExpectedPlan::id)),
    };
    let result = ops::run(&session.workspace, &Goal::Manifest, &options, &frontend).await;
    let merged = review.pull_request.as_ref().filter(|_| args.comment);
    let merged = merged.map(|(run, number)| (run, *number));
    apply_summary::write(context, &session, &recorder, &result, merged).await;
    session.close().await;
    result.map(exit::code)
}

/// Whether the commit message says to skip the deployment. Checked first, since it needs neither a manifest nor secrets.
fn is_skipped(context: &CommandContext<'_>, args: &Apply) -> Result<bool, CommandError> {
    if args.skip_if_message.is_empty() {
        return Ok(false);
    }
    match Commits::find(&context.env_vars)?.decide(&args.skip_if_message) {
        SkipDecision::Skip(reason) => {
            let text = format!("Skipped: {reason}; nothing was looked at or changed.");
            args.progress.print_message(context, "skipped", &text)?;
            Ok(true)
        }
        SkipDecision::Run(reason) => {
            if let Some(reason) = reason {
                args.progress
                    .print_message(context, "not_skipped", &reason)?;
            }
            Ok(false)
        }
    }
}
