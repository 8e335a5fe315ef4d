//! What is generated from the program itself: JSON Schemas, shell completions, the manual page.

use std::path::PathBuf;

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

/// Print the manual page of trimtab or of a command.
#[derive(Debug, Args)]
pub(super) struct ManArgs {
    /// The command; trimtab itself when none is given
    #[arg(value_name = "COMMAND", conflicts_with = "dir")]
    command: Option<String>,
    /// Write all pages to this folder
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
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
    /// What `doctor --format json` prints.
    Doctor,
}

pub(super) fn schema(context: &CommandContext<'_>, args: &Schema) -> Result<u8, CommandError> {
    let schema = match args.of {
        SchemaDocument::Manifest => manifest::editor_schema(),
        SchemaDocument::Plan => render::json::schema(),
        SchemaDocument::Status => crate::status::schema(),
        SchemaDocument::Doctor => crate::ops::doctor::schema(),
    };
    context.ui.print_json(schema)?;
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

/// Prints one page. The pages refer to each other, so each can be printed, and all can be written to a folder.
pub(super) fn man(
    context: &CommandContext<'_>,
    args: &ManArgs,
    mut cli: clap::Command,
) -> Result<u8, CommandError> {
    cli.build();
    if let Some(dir) = &args.dir {
        std::fs::create_dir_all(dir)
            .and_then(|()| clap_mangen::generate_to(cli, dir))
            .map_err(|error| {
                CommandError::new(format!("cannot write to {}: {error}", dir.display()))
            })?;
        return Ok(exit::OK);
    }
    let page = match &args.command {
        None => cli,
        Some(name) => {
            let name = name.strip_prefix("trimtab-").unwrap_or(name);
            let known = cli.find_subcommand(name).cloned();
            known.ok_or_else(|| {
                CommandError::new(format!("there is no command `{name}`"))
                    .with_hint("`trimtab man` lists the commands")
            })?
        }
    };
    let mut out = Vec::new();
    clap_mangen::Man::new(page).render(&mut out)?;
    context.ui.print(&String::from_utf8_lossy(&out))?;
    Ok(exit::OK)
}
