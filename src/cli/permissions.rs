//! `trimtab permissions`: what the credentials of a pipeline must allow on AWS, and nothing beside it.

use clap::{Args, ValueEnum};

use super::{
    Context, Failure, exit,
    session::{InputArgs, load},
};
use crate::{
    kinds::aws::permissions::{Purpose, policy},
    manifest::SecretsMode,
};

/// Print the IAM policy that trimtab's own credentials need.
#[derive(Debug, Args)]
pub(super) struct Permissions {
    /// The environment: the stem of its manifest's file name
    #[arg(value_name = "ENV")]
    environment: String,
    /// What the credentials are for; each includes the ones before it
    #[arg(long = "for", value_enum, default_value_t = For::Apply, value_name = "COMMAND")]
    purpose: For,
    #[command(flatten)]
    inputs: InputArgs,
}

/// The commands that differ in what they need.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum For {
    /// `plan`, `drift`, `status`: only reads
    Plan,
    /// `apply`: makes and changes what the manifest asks for
    Apply,
    /// `destroy`, and `apply` where blocks have left the manifest
    Destroy,
}

pub(super) fn run(context: &Context<'_>, args: &Permissions) -> Result<u8, Failure> {
    let loaded = load(
        context,
        &args.environment,
        &args.inputs,
        SecretsMode::Unchecked,
    )?;
    let purpose = match args.purpose {
        For::Plan => Purpose::Plan,
        For::Apply => Purpose::Apply,
        For::Destroy => Purpose::Destroy,
    };
    let policy = policy(&loaded.desired, purpose).ok_or_else(|| {
        Failure::new(format!("{} asks for nothing on AWS", loaded.file.display()))
            .hint("say the account: [aws] account = \"…\", region = \"…\"")
    })?;
    let text =
        serde_json::to_string_pretty(&policy).map_err(|error| Failure::new(error.to_string()))?;
    context.ui.data(&text)?;
    let lock = loaded
        .desired
        .meta
        .aws
        .as_ref()
        .and_then(|aws| aws.lock.as_ref());
    let ours = |bucket: &String| {
        loaded
            .desired
            .aws_bucket
            .values()
            .any(|spec| spec.name == *bucket)
    };
    if let Some((bucket, _)) = lock.filter(|(bucket, _)| !ours(bucket)) {
        context.ui.talk(&format!(
            "The lock is in {bucket}, which this manifest does not make: if it is encrypted with a key of KMS, its owner \
             has to allow kms:Decrypt and kms:GenerateDataKey on that key as well."
        ));
    }
    Ok(exit::OK)
}
