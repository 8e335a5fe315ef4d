//! `trimtab rollback`: returns machines to an earlier release, from the versions that Fly keeps.

use clap::Args;

use super::{
    CommandContext, CommandError,
    apply_summary::ApplyRecorder,
    confirm::Confirmation,
    console::Console,
    exit, progress,
    session::{PlanningArgs, Session, TargetArgs},
};
use crate::{
    manifest::SecretsMode,
    model::Address,
    ops::{self, Goal},
    plan::Limits,
};

/// Return machines to an earlier release: image, variables and configuration.
///
/// Fly keeps the earlier versions of a machine. Secrets keep their current values, and the effects of a release command
/// remain. The manifest still asks for the newer release, so change it before the next apply.
#[derive(Debug, Args)]
pub(super) struct Rollback {
    #[command(flatten)]
    target: TargetArgs,
    /// The release to go back to, as `status` shows it, or a machine version; the previous release by default
    #[arg(long, value_name = "VERSION")]
    to: Option<String>,
    /// Only these resources; repeatable
    #[arg(long, value_name = "ADDRESS", value_parser = Address::parse)]
    only: Vec<Address>,
    /// Do not ask for confirmation
    #[arg(short, long)]
    yes: bool,
    #[command(flatten)]
    progress: progress::ProgressArgs,
}

pub(super) async fn run(context: &CommandContext<'_>, args: &Rollback) -> Result<u8, CommandError> {
    let session = Session::open(
        context,
        &args.target,
        SecretsMode::Lenient,
        &PlanningArgs::default(),
    )
    .await?;
    let result = roll_back(context, args, &session).await;
    session.close().await;
    result
}

async fn roll_back(
    context: &CommandContext<'_>,
    args: &Rollback,
    session: &Session,
) -> Result<u8, CommandError> {
    let workspace = &session.workspace;
    let (states, world) = {
        let _busy = session.start_spinner(context);
        ops::previous_states(workspace, args.to.as_deref(), &args.only).await?
    };
    let options = args
        .progress
        .run_options("rollback", args.only.clone(), Limits::default(), None);
    let recorder = ApplyRecorder::default();
    let frontend = Console {
        recorder: &recorder,
        context,
        session,
        progress: &args.progress,
        command: "rollback",
        confirmation: Confirmation {
            question: "Go back to this?".to_owned(),
            name_to_type: None,
            is_confirmed: args.yes,
            has_expect_option: false,
        },
        allow_destroy: &[],
        reviewed: None,
    };
    let goal = Goal::Previous(states);
    let completion = ops::run_from(workspace, &goal, world, &options, &frontend).await?;
    Ok(exit::code(completion))
}
