//! `trimtab drift`: the same comparison as `plan`, shown as changes of the live resources. It needs no secret values and
//! cannot write.

use clap::Args;

use super::{
    CommandContext, CommandError, exit,
    session::{InputArgs, PlanningArgs, Session, TargetArgs, load_manifest, resolve_environments},
};
use crate::{
    manifest::SecretsMode,
    plan::{Limits, refusals},
    render,
};

/// Show what was changed outside trimtab; exits with 2 when something was.
#[derive(Debug, Args)]
pub(super) struct Drift {
    /// The environments to check; all when none is given
    #[arg(value_name = "ENV")]
    names: Vec<String>,
    #[command(flatten)]
    inputs: InputArgs,
    /// The output format
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: super::plan::PlanFormat,
}

pub(super) async fn run(context: &CommandContext<'_>, args: &Drift) -> Result<u8, CommandError> {
    let names = resolve_environments(context, &args.names)?;
    let mut worst = exit::OK;
    for environment in names {
        let inputs = InputArgs {
            multiple_environments: args.names.is_empty(),
            ..args.inputs.clone()
        };
        if let Some(missing) = missing_template_variable(context, args, &environment, &inputs) {
            context.ui.eprint(&format!(
                "skipped {environment}: it is a template, look at one with --var {missing}"
            ));
            continue;
        }
        let target = TargetArgs {
            environment,
            inputs,
        };
        // An environment that cannot be read must not hide the drift of the others.
        let code = match check_environment(context, &target, args.format).await {
            Ok(code) => code,
            Err(failure) => failure.print(context.ui),
        };
        worst = match (worst, code) {
            (exit::ERROR, _) | (_, exit::ERROR) => exit::ERROR,
            (a, b) => a.max(b),
        };
    }
    Ok(worst)
}

/// The variable that an environment lacks, when all environments are checked. A manifest of review apps needs one, and
/// describes no environment without it.
fn missing_template_variable(
    context: &CommandContext<'_>,
    args: &Drift,
    environment: &str,
    inputs: &InputArgs,
) -> Option<String> {
    let lacking = args
        .names
        .is_empty()
        .then(|| load_manifest(context, environment, inputs, SecretsMode::Lenient).err());
    lacking??.missing_variable()
}

async fn check_environment(
    context: &CommandContext<'_>,
    target: &TargetArgs,
    format: super::plan::PlanFormat,
) -> Result<u8, CommandError> {
    let session = Session::open(
        context,
        target,
        SecretsMode::Lenient,
        &PlanningArgs::default(),
    )
    .await?;
    let result = print_drift(context, &session, format).await;
    session.close().await;
    result
}

async fn print_drift(
    context: &CommandContext<'_>,
    session: &Session,
    format: super::plan::PlanFormat,
) -> Result<u8, CommandError> {
    let (plan, _) = session.plan(context, &[]).await?;
    let headline = session.headline("drift");
    let look = context.ui.stdout_options();
    let text = match format {
        super::plan::PlanFormat::Text => render::text::drift(&plan, &headline, &look),
        other => other.render(
            &plan,
            &refusals(&plan, &Limits::default()),
            &headline,
            &look,
        ),
    };
    context.ui.print(&text)?;
    Ok(if plan.is_converged() {
        exit::OK
    } else {
        exit::CHANGES
    })
}
