//! What is generated from the program itself: JSON Schemas, shell completions, the manual page.

use clap::Args;

use super::{CommandContext, CommandError, exit};
use crate::{manifest, render};

/// Print completions for a shell.
#[derive(Debug, Args)]
pub(super) struct Completions {
    /// The shell
    #[arg(value_enum)]
    shell: clap_complete::Shell,
}

/// Print a JSON Schema.
#[derive(Debug, Args)]
pub(super) struct Schema {
    /// The document that the schema is for
    #[arg(long, value_enum, default_value_t, value_name = "DOCUMENT")]
    of: SchemaDocument,
}

/// A document that has a schema.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum SchemaDocument {
    /// The manifest.
    #[default]
    Manifest,
    /// What `plan --format json` prints.
    Plan,
    /// What `status --format json` prints.
    Status,
}

pub(super) fn schema(context: &CommandContext<'_>, args: &Schema) -> Result<u8, CommandError> {
    let schema = match args.of {
        SchemaDocument::Manifest => manifest::editor_schema(),
        SchemaDocument::Plan => render::json::schema(),
        SchemaDocument::Status => crate::status::schema(),
    };
    let text = serde_json::to_string_pretty(&schema).unwrap_or_default();
    context.ui.print(&text)?;
    Ok(exit::OK)
}

pub(super) fn completions(
    context: &CommandContext<'_>,
    args: &Completions,
    mut cli: clap::Command,
) -> Result<u8, CommandError> {
    let mut out = Vec::new();
    clap_complete::generate(args.shell, &mut cli, "trimtab", &mut out);
    context.ui.print(&String::from_utf8_lossy(&out))?;
    Ok(exit::OK)
}

pub(super) fn man(context: &CommandContext<'_>, cli: clap::Command) -> Result<u8, CommandError> {
    let mut out = Vec::new();
    clap_mangen::Man::new(cli).render(&mut out)?;
    context.ui.print(&String::from_utf8_lossy(&out))?;
    Ok(exit::OK)
}
