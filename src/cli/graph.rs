//! `trimtab graph`: the references of an environment, or the order of a plan, as a picture.

use clap::Args;

use super::{
    CommandContext, CommandError, exit,
    session::{PlanningArgs, Session, TargetArgs, load_manifest},
};
use crate::{manifest::SecretsMode, render::graph::Diagram};

/// Draw the references of an environment, or the order of a plan.
#[derive(Debug, Args)]
pub(super) struct Graph {
    #[command(flatten)]
    target: TargetArgs,
    /// The output format
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: GraphFormat,
    /// Draw the plan instead of the environment; this reads the clouds
    #[arg(long)]
    plan: bool,
}

/// The output format of a graph.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum GraphFormat {
    /// A picture, SVG.
    #[default]
    Svg,
    /// Mermaid, for Markdown.
    Mermaid,
    /// DOT, for Graphviz.
    Dot,
}

pub(super) async fn run(context: &CommandContext<'_>, args: &Graph) -> Result<u8, CommandError> {
    let drawing = if args.plan {
        let session = Session::open(
            context,
            &args.target,
            SecretsMode::Lenient,
            &PlanningArgs::default(),
        )
        .await?;
        let drawing = plan_diagram(context, &session).await;
        session.close().await;
        drawing?
    } else {
        let loaded = load_manifest(
            context,
            &args.target.environment,
            &args.target.inputs,
            SecretsMode::Unchecked,
        )?;
        Diagram::from_desired(&loaded.desired)
    };
    let text = match args.format {
        GraphFormat::Svg => drawing.svg(),
        GraphFormat::Mermaid => drawing.mermaid(),
        GraphFormat::Dot => drawing.dot(),
    };
    context.ui.print(&text)?;
    Ok(exit::OK)
}

async fn plan_diagram(
    context: &CommandContext<'_>,
    session: &Session,
) -> Result<Diagram, CommandError> {
    let (plan, _) = session.plan(context, &[]).await?;
    Ok(Diagram::from_plan(&plan))
}
