//! Commands that look at several environments: those that are named, or all that have a manifest.

use clap::Args;

use super::{
    CommandContext, CommandError, exit,
    session::{InputArgs, TargetArgs, load_manifest, resolve_environments},
};
use crate::manifest::SecretsMode;

/// The environments to look at, and their inputs.
#[derive(Clone, Debug, Args)]
pub(super) struct EnvironmentsArgs {
    /// The environments; all when none is given
    #[arg(value_name = "ENV")]
    names: Vec<String>,
    #[command(flatten)]
    inputs: InputArgs,
}

/// Looks at each environment, with an empty line between their texts, and returns the highest exit code, or that of an error.
pub(super) async fn run(
    context: &CommandContext<'_>,
    args: &EnvironmentsArgs,
    is_text: bool,
    look: impl AsyncFn(TargetArgs) -> Result<u8, CommandError>,
) -> Result<u8, CommandError> {
    let names = resolve_environments(context, &args.names)?;
    let mut worst = exit::OK;
    for (index, environment) in names.into_iter().enumerate() {
        if index > 0 && is_text {
            context.ui.print("\n")?;
        }
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
        // An environment that cannot be read must not hide the others.
        let code = match look(target).await {
            Ok(code) => code,
            Err(failure) => failure.print(context.ui),
        };
        worst = exit::worst(worst, code);
    }
    Ok(worst)
}

/// The variable that an environment lacks, when all environments are looked at. A manifest of review apps needs one, and
/// describes no environment without it.
fn missing_template_variable(
    context: &CommandContext<'_>,
    args: &EnvironmentsArgs,
    environment: &str,
    inputs: &InputArgs,
) -> Option<String> {
    let lacking = args
        .names
        .is_empty()
        .then(|| load_manifest(context, environment, inputs, SecretsMode::Lenient).err());
    lacking??.missing_variable()
}
