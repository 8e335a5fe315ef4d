//! `trimtab drift`: the same comparison as `plan`, shown as changes of the live resources. It needs no secret values and
//! cannot write. On GitHub it can keep one issue about what differs.

use std::cell::RefCell;

use clap::Args;

use super::{
    CommandContext, CommandError, drift_issue,
    each_environment::{self, EnvironmentsArgs},
    exit, github,
    look::{self, EnvironmentLook, PlannedEnvironment},
    plan::PlanFormat,
    session::{PlanningArgs, Session, TargetArgs},
};
use crate::{
    manifest::SecretsMode,
    plan::{Limits, refusals},
    render,
};

/// Show what was changed outside trimtab; exits with 2 when something was.
#[derive(Debug, Args)]
pub(super) struct Drift {
    #[command(flatten)]
    environments: EnvironmentsArgs,
    /// The output format
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: PlanFormat,
    /// Also ask the Postgres clusters that run for their roles and databases; one that sleeps is not woken
    #[arg(long)]
    deep: bool,
    /// Keep one issue of the repository: opened when something differs, updated, and closed when nothing does any more
    ///
    /// On GitHub Actions. An issue that a person closes as not planned is not opened again until something new differs. Workflows of
    /// the repository that are switched off are in it as well. Elsewhere the text of the issue is printed.
    #[arg(long, conflicts_with = "format")]
    issue: bool,
}

pub(super) async fn run(context: &CommandContext<'_>, args: &Drift) -> Result<u8, CommandError> {
    let is_text = args.format == PlanFormat::Text;
    let looks = RefCell::new(Vec::new());
    let code = each_environment::run(context, &args.environments, is_text, async |target| {
        let environment = target.environment.clone();
        let (code, look) = match check_environment(context, &target, args).await {
            Ok((code, planned)) => (Ok(code), EnvironmentLook::Planned(Box::new(planned))),
            Err(error) => {
                let look = EnvironmentLook::Failed {
                    environment,
                    error: error.clone(),
                };
                (Err(error), look)
            }
        };
        looks.borrow_mut().push(look);
        code
    })
    .await?;
    let looks: Vec<EnvironmentLook> = looks.into_inner();
    let result = report(context, args, &looks, code).await;
    look::close(looks).await;
    result
}

/// Writes the summary and the issue, where there are some, and returns the exit code.
async fn report(
    context: &CommandContext<'_>,
    args: &Drift,
    looks: &[EnvironmentLook],
    code: u8,
) -> Result<u8, CommandError> {
    if context.ui.is_github() {
        github::append_summary(
            context,
            &drift_issue::render_looks(looks, None, drift_issue::SUMMARY_BUDGET),
        );
    }
    if args.issue {
        let issue = drift_issue::update(context, looks).await?;
        return Ok(match code {
            // A daily job that stays red for what was accepted would be ignored.
            exit::CHANGES if issue.is_accepted => exit::OK,
            exit::OK if issue.has_disabled_workflows => exit::CHANGES,
            code => code,
        });
    }
    Ok(code)
}

async fn check_environment(
    context: &CommandContext<'_>,
    target: &TargetArgs,
    args: &Drift,
) -> Result<(u8, PlannedEnvironment), CommandError> {
    let planning = PlanningArgs {
        deep: args.deep,
        ..PlanningArgs::default()
    };
    let session = Session::open(context, target, SecretsMode::Lenient, &planning).await?;
    let plan = match session.plan(context, &[]).await {
        Ok((plan, _)) => plan,
        Err(error) => {
            session.close().await;
            return Err(error);
        }
    };
    let planned = PlannedEnvironment {
        refusals: refusals(&plan, &Limits::default()),
        headline: session.headline("drift"),
        session,
        plan,
    };
    print_drift(context, &planned, args.format)?;
    let code = if planned.plan.is_converged() {
        exit::OK
    } else {
        exit::CHANGES
    };
    Ok((code, planned))
}

fn print_drift(
    context: &CommandContext<'_>,
    planned: &PlannedEnvironment,
    format: PlanFormat,
) -> std::io::Result<()> {
    let PlannedEnvironment {
        session: _,
        plan,
        refusals,
        headline,
    } = planned;
    let ui = context.ui;
    match format {
        PlanFormat::Text => ui.print(&render::text::drift(plan, headline, &ui.stdout_options())),
        PlanFormat::Markdown => ui.print(&render::markdown::drift(
            plan,
            refusals,
            headline,
            render::markdown::COMMENT_BUDGET,
        )),
        PlanFormat::Json => ui.print_json(render::json::plan(plan, refusals, headline)),
        PlanFormat::TfJson => ui.print_json(render::tfjson::plan(plan)),
    }
}
