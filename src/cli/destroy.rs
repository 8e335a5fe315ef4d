//! `trimtab destroy`: deletes an environment. Data is deleted only when its address is given.

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

/// Delete an environment, in reverse order of its references.
#[derive(Debug, Args)]
pub(super) struct Destroy {
    #[command(flatten)]
    target: TargetArgs,
    /// Allow the loss of this resource's data; repeatable
    #[arg(long, value_name = "ADDRESS", value_parser = Address::parse)]
    allow_destroy: Vec<Address>,
    /// Only these resources, and what refers to them; repeatable
    #[arg(long, value_name = "ADDRESS", value_parser = Address::parse)]
    only: Vec<Address>,
    /// Do not ask for confirmation
    #[arg(short, long)]
    yes: bool,
    #[command(flatten)]
    progress: progress::ProgressArgs,
}

pub(super) async fn run(context: &CommandContext<'_>, args: &Destroy) -> Result<u8, CommandError> {
    let allow = PlanningArgs {
        allow_destroy: args.allow_destroy.clone(),
        ..PlanningArgs::default()
    };
    let mut session = Session::open(context, &args.target, SecretsMode::Lenient, &allow).await?;
    if let Some(aws) = &mut session.workspace.loaded.desired.meta.aws {
        aws.is_destroying = true;
    }
    let goal = Goal::nothing(session.desired());
    let name = session.desired().meta.mark.environment.clone();
    // Deleting everything is the purpose, so the share of deletions is no danger. Lost data still is.
    let limits = Limits {
        allow_destroy: args.allow_destroy.iter().cloned().collect(),
        destroy_all: true,
        max_destroy: 100,
    };
    let options = args
        .progress
        .run_options("destroy", args.only.clone(), limits, None);
    let recorder = ApplyRecorder::default();
    let frontend = Console {
        recorder: &recorder,
        context,
        session: &session,
        progress: &args.progress,
        command: "destroy",
        confirmation: Confirmation {
            question: format!("This destroys the environment {name}."),
            name_to_type: Some(name),
            is_confirmed: args.yes,
            has_expect_option: false,
        },
        allow_destroy: &args.allow_destroy,
        reviewed: None,
    };
    let result = ops::run(&session.workspace, &goal, &options, &frontend).await;
    session.close().await;
    result.map(exit::code)
}
