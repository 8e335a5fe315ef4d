//! `trimtab workflows`: the workflows on GitHub that the manifests imply.

use std::collections::BTreeMap;

use clap::Args;

use super::{
    CommandContext, CommandError, exit,
    session::{InputArgs, load_manifest, resolve_environments},
};
use crate::{
    manifest::SecretsMode,
    ops::{FileState, WorkflowComparison, WorkflowFile, WorkflowRepository},
    workflows::GithubNeeds,
};

/// Write the workflows of GitHub Actions that the manifests imply.
///
/// Each file in .github/workflows that begins with `trimtab-` is generated from `[github]` in the manifests. What
/// stands behind `uses: …@` stays as it is; a file without trimtab's mark is not touched.
#[derive(Debug, Args)]
pub(super) struct WorkflowsArgs {
    /// Write nothing; show how the files differ, and exit with 2 when they do
    #[arg(long)]
    check: bool,
}

pub(super) fn run(context: &CommandContext<'_>, args: &WorkflowsArgs) -> Result<u8, CommandError> {
    let inputs = InputArgs {
        multiple_environments: true,
        ..InputArgs::default()
    };
    let mut manifests = Vec::new();
    let mut invalid = None;
    for name in resolve_environments(context, &[])? {
        match load_manifest(context, &name, &inputs, SecretsMode::Unchecked) {
            Ok(loaded) => manifests.push(loaded),
            Err(failure) => invalid = Some(failure.print(context.ui)),
        }
    }
    if let Some(code) = invalid {
        return Ok(code);
    }
    let current = std::env::current_dir()?;
    let repository = WorkflowRepository::find(&context.global.environments, &current)?;
    let comparison = repository.compare(&manifests)?;
    if !comparison.has_project && comparison.files.is_empty() {
        context.ui.eprint(
            "No manifest says how GitHub deploys it. To begin: `branches = [\"main\"]` in [github] of one.",
        );
        return Ok(exit::OK);
    }
    if args.check {
        return check(context, &comparison);
    }
    repository.write(&comparison)?;
    for file in &comparison.files {
        if let Some(line) = describe_written(file) {
            context.ui.print(&line)?;
        }
        print_notices(context, file, true);
    }
    for line in describe_needs(&comparison.needs) {
        context.ui.print(&line)?;
    }
    Ok(exit::OK)
}

fn check(
    context: &CommandContext<'_>,
    comparison: &WorkflowComparison,
) -> Result<u8, CommandError> {
    for file in &comparison.files {
        match &file.state {
            FileState::Missing => context.ui.print(&format!("{} is missing", file.path))?,
            FileState::LeftOver => context.ui.print(&format!(
                "{} is left over: no manifest asks for it any more",
                file.path
            ))?,
            FileState::Differs(diff) => context.ui.print(diff)?,
            FileState::UpToDate | FileState::Unpinned(_) | FileState::NotOurs(_) => {}
        }
        print_notices(context, file, false);
    }
    let count = comparison
        .files
        .iter()
        .filter(|file| file.is_stale())
        .count();
    if count == 0 {
        return Ok(exit::OK);
    }
    let files = if count == 1 {
        "file differs"
    } else {
        "files differ"
    };
    Err(
        CommandError::new(format!("{count} {files} from what the manifests imply"))
            .with_hint("run `trimtab workflows`, and commit what it writes")
            .with_exit_code(exit::CHANGES),
    )
}

fn describe_written(file: &WorkflowFile) -> Option<String> {
    let verb = match file.state {
        FileState::UpToDate => "unchanged",
        FileState::Missing => "wrote",
        FileState::Differs(_) | FileState::Unpinned(_) => "updated",
        FileState::LeftOver => "removed",
        FileState::NotOurs(_) => return None,
    };
    Some(format!("{verb:9}  {}", file.path))
}

/// Says what is not an error, but somebody should know.
fn print_notices(context: &CommandContext<'_>, file: &WorkflowFile, is_written: bool) {
    let path = &file.path;
    match &file.state {
        FileState::NotOurs(why) => context.ui.eprint(&format!(
            "note: {path} is not written: {why}. To get it back, remove the file and run `trimtab workflows`."
        )),
        FileState::Unpinned(references) if is_written => context.ui.eprint(&format!(
            "note: {path}: a commit stands now in place of {}, which others can move",
            references.join(", ")
        )),
        FileState::Unpinned(references) => context.ui.eprint(&format!(
            "note: {path}: others can move {}; `trimtab workflows` writes a commit instead",
            references.join(", ")
        )),
        _ => {}
    }
}

/// What has to be on GitHub before the workflows run.
fn describe_needs(needs: &BTreeMap<String, GithubNeeds>) -> Vec<String> {
    let mut lines = Vec::new();
    for (environment, needs) in needs {
        let place = match environment.as_str() {
            "" => "the repository".to_owned(),
            name => format!("environment {name}"),
        };
        for (what, names) in [("secrets", &needs.secrets), ("variables", &needs.vars)] {
            if !names.is_empty() {
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                lines.push(format!("  {place}, {what}: {}", names.join(", ")));
            }
        }
    }
    if !lines.is_empty() {
        lines.insert(0, "\nThe workflows read from GitHub:".to_owned());
    }
    lines
}
