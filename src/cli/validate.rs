//! `trimtab validate`: everything that can be known of a manifest without asking anybody.

use std::collections::BTreeMap;

use clap::Args;

use super::{
    Context, Failure, exit,
    session::{InputArgs, environments, load},
};
use crate::manifest::SecretsMode;

/// Check manifests, offline.
#[derive(Debug, Args)]
pub(super) struct Validate {
    /// The environments to check; all of them when none is named
    #[arg(value_name = "ENV")]
    names: Vec<String>,
    #[command(flatten)]
    inputs: InputArgs,
}

pub(super) fn run(context: &Context<'_>, args: &Validate) -> Result<u8, Failure> {
    let names = environments(context, &args.names)?;
    let inputs = InputArgs {
        shared: args.names.is_empty(),
        ..args.inputs.clone()
    };
    let mut code = exit::OK;
    let mut marks = BTreeMap::new();
    for name in &names {
        match load(context, name, &inputs, SecretsMode::Unchecked) {
            Ok(loaded) => {
                let count = loaded.places.len();
                let twin = marks.insert(loaded.desired.meta.mark.clone(), loaded.file.clone());
                if let Some(twin) = twin {
                    let (mine, other) = (loaded.file.display(), twin.display());
                    let text = format!(
                        "{mine} and {other} describe one environment: each would remove what the other makes"
                    );
                    code = Failure::new(text)
                        .hint("give one of them another `name`")
                        .show(context.ui);
                    continue;
                }
                context.ui.data(&format!(
                    "{} is valid: {count} resources",
                    loaded.file.display()
                ))?;
                for warning in &loaded.desired.meta.warnings {
                    context.ui.talk(&format!("warning: {warning}"));
                }
            }
            Err(failure) => code = failure.show(context.ui),
        }
    }
    Ok(code)
}
