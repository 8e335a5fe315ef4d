//! `trimtab plan`: what `apply` would do, in order. Its clients cannot write.

use std::path::PathBuf;

use clap::Args;

use super::{
    CommandContext, CommandError,
    console::warn_of_unused_permissions,
    exit, plan_file,
    session::{PlanningArgs, Session, TargetArgs, global_command_args},
};
use crate::{
    manifest::SecretsMode,
    model::Address,
    ops::check_known_addresses,
    plan::{Plan, Refusal, refusals},
    render::{self, Headline},
};

/// Show what `apply` would do, in order.
#[derive(Debug, Args)]
pub(super) struct PlanArgs {
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    planning: PlanningArgs,
    /// The output format
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: PlanFormat,
    /// Write the plan to a file for `apply --plan`; it holds no secrets
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Exit with 2 when there are changes
    #[arg(long)]
    detailed_exitcode: bool,
    /// Explain one resource: why it changes, what it waits for, and what waits for it
    #[arg(long, value_name = "ADDRESS", value_parser = Address::parse)]
    why: Option<Address>,
}

/// The output format of a plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum PlanFormat {
    /// Text, for people.
    #[default]
    Text,
    /// Markdown, for a comment on a pull request.
    Markdown,
    /// JSON, as `trimtab schema --of plan` describes it.
    Json,
    /// JSON in the format of `terraform show -json`.
    TfJson,
}

impl PlanFormat {
    /// Prints the plan in this format.
    fn print(
        self,
        context: &CommandContext<'_>,
        plan: &Plan,
        refusals: &[Refusal],
        headline: &Headline,
    ) -> std::io::Result<()> {
        let ui = context.ui;
        match self {
            Self::Text => ui.print(&render::text::plan(
                plan,
                refusals,
                headline,
                &ui.stdout_options(),
            )),
            Self::Markdown => ui.print(&render::markdown::plan(
                plan,
                refusals,
                headline,
                render::markdown::COMMENT_BUDGET,
            )),
            Self::Json => ui.print_json(render::json::plan(plan, refusals, headline)),
            Self::TfJson => ui.print_json(render::tfjson::plan(plan)),
        }
    }
}

pub(super) async fn run(context: &CommandContext<'_>, args: &PlanArgs) -> Result<u8, CommandError> {
    let session =
        Session::open(context, &args.target, SecretsMode::Required, &args.planning).await?;
    let result = print_plan(context, args, &session).await;
    session.close().await;
    result
}

async fn print_plan(
    context: &CommandContext<'_>,
    args: &PlanArgs,
    session: &Session,
) -> Result<u8, CommandError> {
    let (plan, world) = session.plan(context, &args.planning.only).await?;
    if let Some(address) = &args.why {
        check_known_addresses(std::slice::from_ref(address), session.desired(), &world)?;
        context.ui.print(&render::text::why(
            &plan,
            address,
            &context.ui.stdout_options(),
        ))?;
        return Ok(exit::OK);
    }
    let refusals = refusals(&plan, &args.planning.limits());
    let headline = session.headline("plan");
    args.format.print(context, &plan, &refusals, &headline)?;
    if refusals.is_empty() {
        warn_of_unused_permissions(context, &args.planning.allow_destroy, &plan);
    }
    if let Some(file) = &args.out {
        plan_file::write(
            file,
            &args.target,
            &args.planning,
            &plan,
            &refusals,
            &headline,
        )?;
        let mut command = vec![format!("trimtab apply --plan {}", file.display())];
        command.extend(global_command_args(context));
        context.ui.eprint(&format!(
            "The plan is in {}. Apply it with: {}",
            file.display(),
            command.join(" ")
        ));
    }
    Ok(match refusals.is_empty() {
        // A pull-request check must not pass for a plan that `apply` would refuse.
        false => exit::REFUSED,
        true if args.detailed_exitcode && !plan.is_converged() => exit::CHANGES,
        true => exit::OK,
    })
}
