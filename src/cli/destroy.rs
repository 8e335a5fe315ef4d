//! `trimtab destroy`: a plan towards nothing. Data goes only when it is named.

use clap::Args;

use super::{
    CommandContext, CommandError,
    apply::ApplyRun,
    confirm, progress,
    session::{AllowArgs, Session, TargetArgs},
};
use crate::{kinds::Desired, manifest::SecretsMode, model::Address};

/// Remove an environment, in reverse order.
#[derive(Debug, Args)]
pub(super) struct Destroy {
    #[command(flatten)]
    target: TargetArgs,
    /// Allow the loss of this resource's data; repeatable
    #[arg(long, value_name = "ADDRESS", value_parser = Address::parse)]
    allow_destroy: Vec<Address>,
    /// Only these resources, and what holds them; repeatable
    #[arg(long, value_name = "ADDRESS", value_parser = Address::parse)]
    only: Vec<Address>,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
    #[command(flatten)]
    show: progress::ProgressArgs,
}

pub(super) async fn run(context: &CommandContext<'_>, args: &Destroy) -> Result<u8, CommandError> {
    let mut session = Session::open(context, &args.target, SecretsMode::Lenient, &[]).await?;
    if let Some(aws) = &mut session.loaded.desired.meta.aws {
        aws.is_destroying = true;
    }
    let mut meta = session.loaded.desired.meta.clone();
    meta.warnings.clear();
    let nothing = Desired::empty(meta);
    // Removing everything is what was asked for, so the share is no danger; lost data still is.
    let (only, allow_destroy) = (args.only.clone(), args.allow_destroy.clone());
    let allow = AllowArgs {
        only,
        adopt: Vec::new(),
        allow_destroy,
        max_destroy: 100,
        whole_environment: true,
    };
    let (session_ref, show) = (&session, &args.show);
    let run = ApplyRun {
        context,
        session: session_ref,
        desired: &nothing,
        allow: &allow,
        show,
        command: "destroy",
    };
    let name = nothing.meta.mark.environment.clone();
    let question = format!("This destroys the environment {name}.");
    let result = run
        .execute(None, |context| {
            confirm::confirm_by_name(context, args.yes, &question, &name)
        })
        .await;
    session.close().await;
    result
}
