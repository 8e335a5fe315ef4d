//! GitHub Actions as the command line sees it: the variables and files of a run, and the client with the token of the job.

use std::{
    collections::BTreeMap,
    fs::OpenOptions,
    io::Write as _,
    path::{Path, PathBuf},
};

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::{
    CommandContext, CommandError,
    env_vars::{EnvVars, names},
};
use crate::{
    clouds::github::{GitHubClient, GitHubConfig},
    github::GitHubRun,
    manifest::{LoadedEnvironment, syntax::bounded_read},
    model::{Address, Secret, redact_output},
    render::{annotations::AnnotationPlace, sanitize_output},
};

/// The run of GitHub Actions that this process belongs to; `None` elsewhere.
///
/// # Errors
/// When the event cannot be read: without it, it is not known what the run is for.
pub(super) fn current_run(env_vars: &EnvVars) -> Result<Option<GitHubRun>, CommandError> {
    let event = match env_vars.get(names::GITHUB_EVENT) {
        Some(file) if env_vars.get(names::GITHUB) == Some("true") => read_event(Path::new(file))?,
        _ => Value::Null,
    };
    Ok(GitHubRun::from_variables(|name| env_vars.get(name), &event))
}

/// Reads the event that started a run of GitHub Actions.
pub(super) fn read_event(file: &Path) -> Result<Value, CommandError> {
    let wrong = |why: String| {
        CommandError::new(format!(
            "cannot read {}, which is {}: {why}",
            names::GITHUB_EVENT,
            file.display()
        ))
    };
    let text = bounded_read::read_user_file(file).map_err(|error| wrong(error.to_string()))?;
    serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))
}

/// A client for the repository of a run, with the token of the job. A sandbox stands in for GitHub as well.
///
/// # Errors
/// Why there is none, with what to do about it.
pub(super) fn client(
    context: &CommandContext<'_>,
    run: &GitHubRun,
    sandbox_url: Option<&str>,
) -> Result<GitHubClient, CommandError> {
    let env_vars = &context.env_vars;
    // What is tried out on a sandbox must not reach the real GitHub.
    if context.global.sandbox.is_some() && sandbox_url.is_none() {
        return Err(CommandError::new(
            "no environment could be looked at, so the sandbox does not run",
        ));
    }
    let token = names::GITHUB_TOKENS
        .iter()
        .find_map(|name| env_vars.get(name))
        .ok_or_else(|| {
            CommandError::new("GITHUB_TOKEN is not set")
                .with_hint("give the step `env: { GITHUB_TOKEN: ${{ github.token }} }`")
        })?;
    let (api_url, graphql_url) = match sandbox_url {
        Some(url) => (format!("{url}/github"), format!("{url}/github/graphql")),
        None => (run.api_url.clone(), run.graphql_url.clone()),
    };
    Ok(GitHubClient::new(&GitHubConfig {
        api_url,
        graphql_url,
        repository: run.repository.clone(),
        token: Secret::new(token),
    })?)
}

/// Adds a text to the summary of the step, if there is one. A summary that cannot be written is only a warning.
pub(super) fn append_summary(context: &CommandContext<'_>, text: &str) {
    let text = format!("{}\n", clean(text).trim_end());
    if let Err(error) = append(context, names::GITHUB_SUMMARY, &text) {
        context.ui.eprint(&format!("warning: {error}"));
    }
}

/// Sets outputs of the step, if it can have some. Outputs that cannot be set are only a warning.
pub(super) fn set_outputs(context: &CommandContext<'_>, outputs: &BTreeMap<String, String>) {
    if let Err(error) = write_outputs(context, outputs) {
        context.ui.eprint(&format!("warning: {error}"));
    }
}

/// Sets outputs of the step, if it can have some.
///
/// # Errors
/// When the runner's file cannot be written to.
pub(super) fn write_outputs(
    context: &CommandContext<'_>,
    outputs: &BTreeMap<String, String>,
) -> Result<(), CommandError> {
    let text: String = outputs
        .iter()
        .map(|(name, value)| format_output(&output_name(name), &clean(value)))
        .collect();
    append(context, names::GITHUB_OUTPUT, &text)
}

/// The name of an output for an environment: GitHub allows letters, digits, `-` and `_`.
fn output_name(name: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
    name.chars()
        .map(|c| if allowed(c) { c } else { '_' })
        .collect()
}

/// One output in the runner's format. A value of several lines has a delimiter, which is a hash of the value, so that no value
/// holds its own.
fn format_output(name: &str, value: &str) -> String {
    if !value.contains(['\n', '\r']) {
        return format!("{name}={value}\n");
    }
    let delimiter: String = Sha256::digest(value.as_bytes())[..8]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("{name}<<trimtab_{delimiter}\n{value}\ntrimtab_{delimiter}\n")
}

/// A text for GitHub, without known secrets and control characters.
pub(super) fn clean(text: &str) -> String {
    sanitize_output(&redact_output(text)).into_owned()
}

/// Appends to the file that a variable of the runner names, in one write, since steps of one job may share it.
fn append(context: &CommandContext<'_>, variable: &str, text: &str) -> Result<(), CommandError> {
    let Some(file) = context.env_vars.get(variable) else {
        return Ok(());
    };
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(file)
        .and_then(|mut out| out.write_all(text.as_bytes()))
        .map_err(|error| {
            CommandError::new(format!(
                "cannot write to {variable}, which is {file}: {error}"
            ))
        })
}

/// The place of a value in the repository, for an annotation.
pub(super) fn annotation_place(
    context: &CommandContext<'_>,
    loaded: &LoadedEnvironment,
    address: &Address,
    path: &str,
) -> Option<AnnotationPlace> {
    let place = loaded.locate(address, path)?;
    let file = path_in_repository(context, place.path);
    Some(AnnotationPlace {
        file: file.display().to_string(),
        line: place.line,
    })
}

/// A path relative to the folder that the repository is checked out to, as GitHub wants it.
fn path_in_repository(context: &CommandContext<'_>, path: &Path) -> PathBuf {
    let workspace = context.env_vars.get(names::GITHUB_WORKSPACE);
    let relative = || {
        let workspace = Path::new(workspace?).canonicalize().ok()?;
        let path = path.canonicalize().ok()?;
        path.strip_prefix(workspace).ok().map(Path::to_owned)
    };
    relative().unwrap_or_else(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_cannot_be_ended_from_inside() {
        assert_eq!(format_output("expect", "a=b<<c"), "expect=a=b<<c\n");
        let text = format_output("expect", "a\nb");
        let lines: Vec<&str> = text.lines().collect();
        let delimiter = lines[0].strip_prefix("expect<<").unwrap();
        assert_eq!(&lines[1..], ["a", "b", delimiter]);
        assert!(text.ends_with('\n'));
        assert_eq!(output_name("expect-pr.42 x"), "expect-pr_42_x");
    }
}
