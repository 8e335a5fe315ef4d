//! `trimtab permissions`: the IAM policy that a pipeline's credentials need, and nothing beyond it.

use clap::{Args, ValueEnum};

use super::{
    CommandContext, CommandError, exit,
    session::{InputArgs, load_manifest},
};
use crate::{
    manifest::SecretsMode,
    ops::permissions::{Purpose, build_policy},
};

/// Print the IAM policy that trimtab's own credentials need.
#[derive(Debug, Args)]
pub(super) struct Permissions {
    /// The environment: the stem of its manifest's file name
    #[arg(value_name = "ENV")]
    environment: String,
    /// The command that the credentials are for; each includes the ones before it
    #[arg(long = "for", value_enum, default_value_t = PurposeArg::Apply, value_name = "COMMAND")]
    purpose: PurposeArg,
    #[command(flatten)]
    inputs: InputArgs,
}

/// The commands that need different permissions.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum PurposeArg {
    /// `plan`, `drift`, `status`: read only
    Plan,
    /// `apply`: create and change what the manifest asks for
    Apply,
    /// `destroy`, and an `apply` that deletes what left the manifest
    Destroy,
}

pub(super) fn run(context: &CommandContext<'_>, args: &Permissions) -> Result<u8, CommandError> {
    let loaded = load_manifest(
        context,
        &args.environment,
        &args.inputs,
        SecretsMode::Unchecked,
    )?;
    let purpose = match args.purpose {
        PurposeArg::Plan => Purpose::Plan,
        PurposeArg::Apply => Purpose::Apply,
        PurposeArg::Destroy => Purpose::Destroy,
    };
    let policy = build_policy(&loaded.desired, purpose).ok_or_else(|| {
        CommandError::new(format!("{} asks for nothing on AWS", loaded.path.display()))
            .with_hint("set the account: [aws] account = \"…\", region = \"…\"")
    })?;
    let text = serde_json::to_string_pretty(&policy)
        .map_err(|error| CommandError::new(error.to_string()))?;
    context.ui.print(&text)?;
    let lock = loaded
        .desired
        .meta
        .aws
        .as_ref()
        .and_then(|aws| aws.lock_bucket.as_ref());
    let ours = |bucket: &String| {
        loaded
            .desired
            .aws_bucket
            .values()
            .any(|spec| spec.name == *bucket)
    };
    if let Some((bucket, _)) = lock.filter(|(bucket, _)| !ours(bucket)) {
        context.ui.eprint(&format!(
            "The lock is in {bucket}, which this manifest does not make: if it is encrypted with a key of KMS, its owner \
             has to allow kms:Decrypt and kms:GenerateDataKey on that key as well."
        ));
    }
    Ok(exit::OK)
}
