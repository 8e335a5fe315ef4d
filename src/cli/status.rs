//! `trimtab status`: what runs.

use clap::Args;

use super::{
    CommandContext, CommandError,
    each_environment::{self, EnvironmentsArgs},
    exit,
    session::{PlanningArgs, Session, TargetArgs},
};
use crate::{manifest::SecretsMode, render, status::EnvironmentStatus};

/// Show what runs.
#[derive(Debug, Args)]
pub(super) struct Status {
    #[command(flatten)]
    environments: EnvironmentsArgs,
    /// The output format
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: StatusFormat,
}

/// The output format of a status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum StatusFormat {
    /// Text, for people.
    #[default]
    Text,
    /// JSON, as `trimtab schema --of status` describes it; one document for each environment.
    Json,
}

pub(super) async fn run(context: &CommandContext<'_>, args: &Status) -> Result<u8, CommandError> {
    let is_text = args.format == StatusFormat::Text;
    each_environment::run(context, &args.environments, is_text, async |target| {
        print_status(context, &target, args.format).await
    })
    .await
}

async fn print_status(
    context: &CommandContext<'_>,
    target: &TargetArgs,
    format: StatusFormat,
) -> Result<u8, CommandError> {
    let session = Session::open(
        context,
        target,
        SecretsMode::Lenient,
        &PlanningArgs::default(),
    )
    .await?;
    let world = session.observe(context).await;
    let headline = session.headline("status");
    let status = world.map(|world| EnvironmentStatus::from_world(session.desired(), &world));
    session.close().await;
    let (status, ui) = (status?, context.ui);
    match format {
        StatusFormat::Text => {
            ui.print(&render::text::status(
                &status,
                &headline,
                &ui.stdout_options(),
            ))?;
        }
        StatusFormat::Json => ui.print_json(status.to_json())?,
    }
    Ok(exit::OK)
}
