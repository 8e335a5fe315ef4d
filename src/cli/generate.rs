//! What is generated from the program itself: the manifest's schema, completions, the manual page.

use clap::Args;

use super::{Context, Failure, exit};
use crate::manifest;

/// Print completions for a shell.
#[derive(Debug, Args)]
pub(super) struct Completions {
    /// The shell
    #[arg(value_enum)]
    shell: clap_complete::Shell,
}

pub(super) fn schema(context: &Context<'_>) -> Result<u8, Failure> {
    let text = serde_json::to_string_pretty(&manifest::schema()).unwrap_or_default();
    context.ui.data(&text)?;
    Ok(exit::OK)
}

pub(super) fn completions(
    context: &Context<'_>,
    args: &Completions,
    mut cli: clap::Command,
) -> Result<u8, Failure> {
    let mut out = Vec::new();
    clap_complete::generate(args.shell, &mut cli, "trimtab", &mut out);
    context.ui.data(&String::from_utf8_lossy(&out))?;
    Ok(exit::OK)
}

pub(super) fn man(context: &Context<'_>, cli: clap::Command) -> Result<u8, Failure> {
    let mut out = Vec::new();
    clap_mangen::Man::new(cli).render(&mut out)?;
    context.ui.data(&String::from_utf8_lossy(&out))?;
    Ok(exit::OK)
}
