//! `trimtab drift`: the same comparison as `plan`, told from the other side. It needs no secret values and cannot write.

use clap::Args;

use super::{
    Context, Failure, exit,
    session::{InputArgs, Session, Target, environments, load},
};
use crate::{
    manifest::SecretsMode,
    plan::{Limits, refusals},
    render,
};

/// Tell what was changed outside; exits with 2 when something was.
#[derive(Debug, Args)]
pub(super) struct Drift {
    /// The environments to look at; all of them when none is named
    #[arg(value_name = "ENV")]
    names: Vec<String>,
    #[command(flatten)]
    inputs: InputArgs,
    /// How it is written
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: super::plan::Format,
}

pub(super) async fn run(context: &Context<'_>, args: &Drift) -> Result<u8, Failure> {
    let names = environments(context, &args.names)?;
    let mut worst = exit::OK;
    for environment in names {
        let inputs = InputArgs {
            shared: args.names.is_empty(),
            ..args.inputs.clone()
        };
        if let Some(missing) = template(context, args, &environment, &inputs) {
            context.ui.talk(&format!(
                "skipped {environment}: it is a template, look at one with --var {missing}"
            ));
            continue;
        }
        let target = Target {
            environment,
            inputs,
        };
        // One environment that cannot be read does not hide the drift of the others.
        let code = match one(context, &target, args.format).await {
            Ok(code) => code,
            Err(failure) => failure.show(context.ui),
        };
        worst = match (worst, code) {
            (exit::ERROR, _) | (_, exit::ERROR) => exit::ERROR,
            (a, b) => a.max(b),
        };
    }
    Ok(worst)
}

/// The variable that an environment lacks when all are looked at: a review manifest describes none by itself.
fn template(
    context: &Context<'_>,
    args: &Drift,
    environment: &str,
    inputs: &InputArgs,
) -> Option<String> {
    let lacking = args
        .names
        .is_empty()
        .then(|| load(context, environment, inputs, SecretsMode::Lenient).err());
    lacking??.missing_variable()
}

async fn one(
    context: &Context<'_>,
    target: &Target,
    format: super::plan::Format,
) -> Result<u8, Failure> {
    let session = Session::open(context, target, SecretsMode::Lenient, &[]).await?;
    let result = look(context, &session, format).await;
    session.close().await;
    result
}

async fn look(
    context: &Context<'_>,
    session: &Session,
    format: super::plan::Format,
) -> Result<u8, Failure> {
    let world = session.look(context, &session.loaded.desired).await?;
    let plan = session.plan(&session.loaded.desired, &world, &[])?;
    let headline = session.headline("drift");
    let look = context.ui.look();
    let text = match format {
        super::plan::Format::Text => render::text::drift(&plan, &headline, &look),
        other => other.write(
            &plan,
            &refusals(&plan, &Limits::default()),
            &headline,
            &look,
        ),
    };
    context.ui.data(&text)?;
    Ok(if plan.is_empty() {
        exit::OK
    } else {
        exit::CHANGES
    })
}
