//! `trimtab graph`: an environment and what refers to what, or a plan and what waits for what.

use clap::Args;

use super::{
    Context, Failure, exit,
    session::{Session, Target, load},
};
use crate::{manifest::SecretsMode, render::graph::Drawing};

/// Draw an environment, or a plan.
#[derive(Debug, Args)]
pub(super) struct Graph {
    #[command(flatten)]
    target: Target,
    /// How it is drawn
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
    /// Draw the plan instead of the environment; this asks Fly
    #[arg(long)]
    plan: bool,
}

/// How a graph is drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// A picture.
    #[default]
    Svg,
    /// For Markdown.
    Mermaid,
    /// For Graphviz.
    Dot,
}

pub(super) async fn run(context: &Context<'_>, args: &Graph) -> Result<u8, Failure> {
    let drawing = if args.plan {
        let session = Session::open(context, &args.target, SecretsMode::Lenient, &[]).await?;
        let drawing = planned(context, &session).await;
        session.close().await;
        drawing?
    } else {
        let loaded = load(
            context,
            &args.target.environment,
            &args.target.inputs,
            SecretsMode::Unchecked,
        )?;
        Drawing::of_desired(&loaded.desired)
    };
    let text = match args.format {
        Format::Svg => drawing.svg(),
        Format::Mermaid => drawing.mermaid(),
        Format::Dot => drawing.dot(),
    };
    context.ui.data(&text)?;
    Ok(exit::OK)
}

async fn planned(context: &Context<'_>, session: &Session) -> Result<Drawing, Failure> {
    let world = session.look(context, &session.loaded.desired).await?;
    let plan = session.plan(&session.loaded.desired, &world, &[])?;
    Ok(Drawing::of(&plan))
}
