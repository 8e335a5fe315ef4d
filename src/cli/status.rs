//! `trimtab status`: what runs, from one look.

use clap::Args;

use super::{
    Context, Failure, exit,
    session::{Session, Target},
};
use crate::{
    manifest::SecretsMode,
    render::{self, fleet::Fleet},
};

/// Show what runs.
#[derive(Debug, Args)]
pub(super) struct Status {
    #[command(flatten)]
    target: Target,
    /// How it is written
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
}

/// How a status is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs: `trimtab schema --of status` describes it.
    Json,
}

pub(super) async fn run(context: &Context<'_>, args: &Status) -> Result<u8, Failure> {
    let session = Session::open(context, &args.target, SecretsMode::Lenient, &[]).await?;
    let world = session.observe(context).await;
    let shown = world.map(|world| {
        let fleet = Fleet::of(&session.loaded.desired, &world);
        match args.format {
            Format::Text => {
                render::text::status(&fleet, &session.headline("status"), &context.ui.look())
            }
            Format::Json => serde_json::to_string_pretty(&fleet.json()).unwrap_or_default(),
        }
    });
    session.close().await;
    context.ui.data(&shown?)?;
    Ok(exit::OK)
}
