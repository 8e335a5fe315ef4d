//! `trimtab plan`: what `apply` would do, in order. It holds a client that cannot write.

use std::path::PathBuf;

use clap::Args;

use super::{
    Context, Failure, exit, plan_file,
    session::{Allow, Session, Target, known},
};
use crate::{
    manifest::SecretsMode,
    model::Address,
    plan::{Plan, Refusal, refusals},
    render::{self, Headline, Look},
};

/// Show what `apply` would do, in order.
#[derive(Debug, Args)]
pub(super) struct PlanArgs {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    allow: Allow,
    /// How it is written
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
    /// Write the plan to a file for `apply --plan`; it holds no secrets
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Exit with 2 when there are changes
    #[arg(long)]
    detailed_exitcode: bool,
    /// Explain one resource: why it changes, what it waits for and what waits for it
    #[arg(long, value_name = "ADDRESS", value_parser = Address::parse)]
    why: Option<Address>,
}

/// How a plan is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// For people.
    #[default]
    Text,
    /// For a comment on a pull request.
    Markdown,
    /// For programs: a documented shape of our own.
    Json,
    /// For programs that read `terraform show -json`.
    TfJson,
}

impl Format {
    /// The plan in this format.
    pub(super) fn write(
        self,
        plan: &Plan,
        refusals: &[Refusal],
        headline: &Headline,
        look: &Look,
    ) -> String {
        let pretty = |value| serde_json::to_string_pretty(&value).unwrap_or_default();
        match self {
            Self::Text => render::text::plan(plan, refusals, headline, look),
            Self::Markdown => {
                render::markdown::plan(plan, refusals, headline, render::markdown::BUDGET)
            }
            Self::Json => pretty(render::json::plan(plan, refusals, headline)),
            Self::TfJson => pretty(render::tfjson::plan(plan)),
        }
    }
}

pub(super) async fn run(context: &Context<'_>, args: &PlanArgs) -> Result<u8, Failure> {
    let session = Session::open(
        context,
        &args.target,
        SecretsMode::Required,
        &args.allow.adopt,
    )
    .await?;
    let result = look(context, args, &session).await;
    session.close().await;
    result
}

async fn look(context: &Context<'_>, args: &PlanArgs, session: &Session) -> Result<u8, Failure> {
    let world = session.look(context, &session.loaded.desired).await?;
    let plan = session.plan(&session.loaded.desired, &world, &args.allow.only)?;
    if let Some(address) = &args.why {
        known(
            std::slice::from_ref(address),
            &session.loaded.desired,
            &world,
        )?;
        context
            .ui
            .data(&render::text::why(&plan, address, &context.ui.look()))?;
        return Ok(exit::OK);
    }
    let refusals = refusals(&plan, &args.allow.limits());
    let headline = session.headline("plan");
    context.ui.data(
        &args
            .format
            .write(&plan, &refusals, &headline, &context.ui.look()),
    )?;
    if let Some(file) = &args.out {
        plan_file::write(file, &args.target, &args.allow, &plan, &refusals, &headline)?;
        context.ui.talk(&format!(
            "The plan is in {0}. Apply it with: trimtab apply --plan {0}",
            file.display()
        ));
    }
    Ok(match refusals.is_empty() {
        // A check must not be green for what `apply` would refuse.
        false => exit::REFUSED,
        true if args.detailed_exitcode && !plan.is_empty() => exit::CHANGES,
        true => exit::OK,
    })
}
