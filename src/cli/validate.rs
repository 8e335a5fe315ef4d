//! `trimtab validate`: every check of a manifest that needs no request.

use std::collections::BTreeMap;

use clap::Args;

use super::{
    CommandContext, CommandError, exit,
    session::{self, InputArgs, load_manifest, resolve_environments},
};
use crate::manifest::SecretsMode;

/// Check manifests offline.
#[derive(Debug, Args)]
pub(super) struct Validate {
    /// The environments to check; all when none is given
    #[arg(value_name = "ENV")]
    names: Vec<String>,
    #[command(flatten)]
    inputs: InputArgs,
}

pub(super) fn run(context: &CommandContext<'_>, args: &Validate) -> Result<u8, CommandError> {
    let names = resolve_environments(context, &args.names)?;
    let inputs = InputArgs {
        multiple_environments: args.names.is_empty(),
        ..args.inputs.clone()
    };
    let mut code = exit::OK;
    let mut marks = BTreeMap::new();
    for name in &names {
        match load_manifest(context, name, &inputs, SecretsMode::Unchecked) {
            Ok(loaded) => {
                let count = loaded.locations.len();
                let twin = marks.insert(loaded.desired.meta.mark.clone(), loaded.path.clone());
                if let Some(twin) = twin {
                    code = session::twin_error(&loaded, &twin).print(context.ui);
                    continue;
                }
                context.ui.print(&format!(
                    "{} is valid: {count} resources",
                    loaded.path.display()
                ))?;
                for warning in &loaded.desired.meta.warnings {
                    context.ui.eprint(&format!("warning: {warning}"));
                }
            }
            Err(failure) => code = failure.print(context.ui),
        }
    }
    Ok(code)
}
