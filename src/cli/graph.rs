//! `trimtab graph`: an environment and what refers to what, or a plan and what waits for what.

use clap::Args;

use super::{
    Context, Failure, exit,
    session::{Session, Target, load},
};
use crate::{
    kinds::{Desired, Kind, Listed, Refers, Visit, World, each_kind},
    manifest::SecretsMode,
    model::{Address, Table},
    render::graph::{self, Drawing},
};

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
        let loaded = load(context, &args.target.environment, &args.target.inputs, SecretsMode::Unchecked)?;
        environment(&loaded.desired)
    };
    let text = match args.format {
        Format::Svg => graph::svg(&drawing),
        Format::Mermaid => graph::mermaid(&drawing),
        Format::Dot => graph::dot(&drawing),
    };
    context.ui.data(&text)?;
    Ok(exit::OK)
}

async fn planned(context: &Context<'_>, session: &Session) -> Result<Drawing, Failure> {
    let world = session.observe(context).await?;
    let plan = session.plan(&session.loaded.desired, &world, &[])?;
    Ok(Drawing::of_plan(&plan))
}

/// Every resource of a manifest, and what it refers to.
fn environment(desired: &Desired) -> Drawing {
    let mut all = References::default();
    each_kind(desired, &World::default(), &mut all);
    Drawing::of_references(&all.0)
}

#[derive(Default)]
struct References(Vec<(Address, Vec<Address>)>);

impl Visit for References {
    fn kind<K: Listed>(&mut self, desired: &Table<K::Spec>, _: &Table<<K as Kind>::Live>) {
        self.0.extend(desired.iter().map(|(name, spec)| (Address::of::<K>(name), spec.refs())));
    }
}
