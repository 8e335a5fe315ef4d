//! `trimtab status`: what runs.

use clap::Args;

use super::{
    CommandContext, CommandError, exit,
    session::{PlanningArgs, Session, TargetArgs},
};
use crate::{manifest::SecretsMode, render, status::EnvironmentStatus};

/// Show what runs.
#[derive(Debug, Args)]
pub(super) struct Status {
    #[command(flatten)]
    target: TargetArgs,
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
    /// JSON, as `trimtab schema --of status` describes it.
    Json,
}

pub(super) async fn run(context: &CommandContext<'_>, args: &Status) -> Result<u8, CommandError> {
    let session = Session::open(
        context,
        &args.target,
        SecretsMode::Lenient,
        &PlanningArgs::default(),
    )
    .await?;
    let world = session.observe(context).await;
    let shown = world.map(|world| {
        let fleet = EnvironmentStatus::from_world(session.desired(), &world);
        match args.format {
            StatusFormat::Text => render::text::status(
                &fleet,
                &session.headline("status"),
                &context.ui.stdout_options(),
            ),
            StatusFormat::Json => {
                serde_json::to_string_pretty(&fleet.to_json()).unwrap_or_default()
            }
        }
    });
    session.close().await;
    context.ui.print(&shown?)?;
    Ok(exit::OK)
}
