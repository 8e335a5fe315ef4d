//! Lowers the steps that a manifest adds to the jobs.

use std::collections::BTreeMap;

use super::checks::Checks;
use crate::manifest::{
    github::{SetupAction, SetupStep},
    schema::{GithubStep, StepValue},
    syntax::cursor::Cursor,
};

/// Lowers one step.
pub(super) fn lower_step(
    step: &GithubStep,
    cursor: Cursor<'_>,
    checks: &mut Checks<'_, '_>,
) -> Option<SetupStep> {
    let action = match (&step.uses, &step.run) {
        (Some(uses), None) => {
            if !is_action(uses) {
                checks.error(
                    cursor.key("uses"),
                    format!("`{uses}` is no action"),
                    "write OWNER/REPOSITORY@COMMIT, ./FOLDER or docker://IMAGE",
                );
            }
            SetupAction::Uses(uses.clone(), texts(&step.with))
        }
        (None, Some(run)) => {
            if run.contains("${{") {
                checks.error(
                    cursor.key("run"),
                    "a script may hold no `${{ … }}`: GitHub replaces it before the shell reads the script",
                    "pass it by `env = { NAME = \"${{ … }}\" }`, and write \"$NAME\" in the script",
                );
            }
            if !step.with.is_empty() {
                checks.error(
                    cursor.key("with"),
                    "`with` are the inputs of an action, and this step runs a script",
                    "pass values by `env`",
                );
            }
            SetupAction::Run(run.clone())
        }
        _ => {
            checks.error(
                cursor,
                "a step has either `uses` or `run`",
                "write one of them",
            );
            return None;
        }
    };
    for variable in step.env.keys() {
        checks.variable_name(variable, cursor.key("env").key(variable));
    }
    Some(SetupStep {
        name: step.name.clone(),
        action,
        env: texts(&step.env),
    })
}

fn texts(values: &BTreeMap<String, StepValue>) -> BTreeMap<String, String> {
    let text = |value: &StepValue| match value {
        StepValue::Text(text) => text.clone(),
        StepValue::Boolean(boolean) => boolean.to_string(),
        StepValue::Integer(number) => number.to_string(),
    };
    let pairs = values.iter();
    pairs
        .map(|(key, value)| (key.clone(), text(value)))
        .collect()
}

/// Whether a text is what GitHub takes as the action of a step.
fn is_action(text: &str) -> bool {
    if text.chars().any(|c| c.is_whitespace() || c.is_control()) || text.contains("${{") {
        return false;
    }
    if text.starts_with("./") || text.starts_with("docker://") {
        return true;
    }
    let Some((name, reference)) = text.split_once('@') else {
        return false;
    };
    let parts: Vec<&str> = name.split('/').collect();
    parts.len() >= 2 && parts.iter().all(|part| !part.is_empty()) && !reference.is_empty()
}
