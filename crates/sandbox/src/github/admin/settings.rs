//! What people set up for a repository, and runs and statuses as if Actions had made them.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{CommandResult, DEFAULT_USER, find, merged, parse};
use crate::api::ApiError;
use crate::github::state::{
    CommitStatus, GithubEnvironment, GithubFile, GithubRun, GithubVariable, GithubWorkflow,
    SecretName,
};
use crate::github::workflows::next_run_number;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EnvironmentRequest {
    repository: String,
    name: String,
    #[serde(default)]
    secrets: Vec<String>,
    #[serde(default)]
    variables: BTreeMap<String, String>,
    #[serde(default)]
    protection_rules: Vec<Value>,
    #[serde(default)]
    branch_policy: Value,
    #[serde(default)]
    branch_patterns: Vec<(String, String)>,
    #[serde(default)]
    deleted: bool,
}

/// Makes an environment, replaces it, or deletes it.
pub(super) fn put_environment(file: &mut GithubFile, now: i64, body: &Value) -> CommandResult {
    let request: EnvironmentRequest = parse(body)?;
    let id = file.next_id();
    let found = find(file, &request.repository)?;
    let key = request.name.to_lowercase();
    if request.deleted {
        found.environments.remove(&key);
        return Ok(json!({ "name": request.name }));
    }
    let before = found.environments.get(&key);
    let environment = GithubEnvironment {
        id: before.map_or(id, |before| before.id),
        name: request.name.clone(),
        created_ms: before.map_or(now, |before| before.created_ms),
        secrets: new_secrets(request.secrets, now),
        variables: new_variables(request.variables, now),
        protection_rules: request.protection_rules,
        branch_policy: request.branch_policy,
        branch_patterns: request.branch_patterns,
    };
    found.environments.insert(key, environment);
    Ok(json!({ "name": request.name }))
}

fn new_secrets(names: Vec<String>, now: i64) -> BTreeMap<String, SecretName> {
    let secret = SecretName {
        created_ms: now,
        updated_ms: now,
    };
    // GitHub keeps the names of secrets and variables in upper case.
    let entries = names.into_iter();
    entries
        .map(|name| (name.to_uppercase(), secret.clone()))
        .collect()
}

fn new_variables(values: BTreeMap<String, String>, now: i64) -> BTreeMap<String, GithubVariable> {
    let variable = |value| GithubVariable {
        value,
        created_ms: now,
        updated_ms: now,
    };
    let entries = values.into_iter();
    entries
        .map(|(name, value)| (name.to_uppercase(), variable(value)))
        .collect()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SecretsRequest {
    repository: String,
    names: Vec<String>,
    /// Whether they are secrets of the organization.
    #[serde(default)]
    organization: bool,
}

/// Sets the names of the secrets.
pub(super) fn put_secrets(file: &mut GithubFile, now: i64, body: &Value) -> CommandResult {
    let request: SecretsRequest = parse(body)?;
    let found = find(file, &request.repository)?;
    let secrets = new_secrets(request.names, now);
    match request.organization {
        true => found.organization_secrets = secrets,
        false => found.secrets = secrets,
    }
    Ok(json!({ "ok": true }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct VariablesRequest {
    repository: String,
    variables: BTreeMap<String, String>,
    /// Whether they are variables of the organization.
    #[serde(default)]
    organization: bool,
}

/// Sets the variables.
pub(super) fn put_variables(file: &mut GithubFile, now: i64, body: &Value) -> CommandResult {
    let request: VariablesRequest = parse(body)?;
    let found = find(file, &request.repository)?;
    let variables = new_variables(request.variables, now);
    match request.organization {
        true => found.organization_variables = variables,
        false => found.variables = variables,
    }
    Ok(json!({ "ok": true }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WorkflowUpdate {
    repository: String,
    /// Such as `.github/workflows/deploy.yml`.
    path: String,
    name: Option<String>,
    state: Option<String>,
}

/// Makes a workflow without a file, or changes the state of one.
pub(super) fn put_workflow(file: &mut GithubFile, now: i64, body: &Value) -> CommandResult {
    let request: WorkflowUpdate = parse(body)?;
    let id = file.next_id();
    let found = find(file, &request.repository)?;
    let known = found.workflows.values_mut();
    let known = known
        .into_iter()
        .find(|workflow| workflow.path == request.path)
        .map(|workflow| workflow.id);
    let id = known.unwrap_or(id);
    let workflow = found.workflows.entry(id).or_insert_with(|| GithubWorkflow {
        id,
        name: request.path.clone(),
        path: request.path.clone(),
        state: "active".to_owned(),
        created_ms: now,
        updated_ms: now,
    });
    workflow.name = request.name.unwrap_or_else(|| workflow.name.clone());
    workflow.state = request.state.unwrap_or_else(|| workflow.state.clone());
    Ok(json!({ "id": id, "state": workflow.state }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RunRequest {
    repository: String,
    /// The path of the workflow's file.
    workflow: String,
    #[serde(default = "default_event")]
    event: String,
    #[serde(default = "default_status")]
    status: String,
    conclusion: Option<String>,
    branch: Option<String>,
    sha: Option<String>,
    actor: Option<String>,
}

fn default_event() -> String {
    "push".to_owned()
}

fn default_status() -> String {
    "completed".to_owned()
}

/// Adds a run of a workflow.
pub(super) fn add_run(file: &mut GithubFile, now: i64, body: &Value) -> CommandResult {
    let request: RunRequest = parse(body)?;
    let id = file.next_id();
    let found = find(file, &request.repository)?;
    let mut workflows = found.workflows.values();
    let workflow = workflows.find(|workflow| workflow.path == request.workflow);
    let workflow = workflow.ok_or_else(|| ApiError::not_found("workflow"))?.id;
    let branch = request
        .branch
        .unwrap_or_else(|| found.default_branch.clone());
    let tip = found.branches.get(&branch).cloned();
    let run = GithubRun {
        id,
        workflow,
        number: next_run_number(found, workflow),
        event: request.event,
        status: request.status,
        conclusion: request.conclusion,
        head_sha: request.sha.or(tip).unwrap_or_default(),
        head_branch: branch,
        actor: request.actor.unwrap_or_else(|| DEFAULT_USER.to_owned()),
        created_ms: now,
        updated_ms: now,
        inputs: json!({}),
    };
    found.runs.insert(id, run);
    Ok(json!({ "id": id }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StatusRequest {
    repository: String,
    sha: String,
    context: String,
    state: String,
}

/// Adds a status to a commit, as a check that is not ours does.
pub(super) fn add_status(file: &mut GithubFile, now: i64, body: &Value) -> CommandResult {
    let request: StatusRequest = parse(body)?;
    let id = file.next_id();
    let found = find(file, &request.repository)?;
    found.statuses.push(CommitStatus {
        id,
        sha: request.sha,
        context: request.context,
        state: request.state,
        description: None,
        target_url: None,
        creator: DEFAULT_USER.to_owned(),
        created_ms: now,
    });
    Ok(json!({ "id": id }))
}

#[derive(Deserialize)]
struct SettingsRequest {
    repository: String,
    #[serde(flatten)]
    settings: Value,
}

/// Sets how the subjects of identity tokens are made.
pub(super) fn set_oidc(file: &mut GithubFile, body: &Value) -> CommandResult {
    let request: SettingsRequest = parse(body)?;
    let found = find(file, &request.repository)?;
    found.oidc_subject = merged(&found.oidc_subject, &request.settings)?;
    Ok(json!(found.oidc_subject))
}

/// Sets what Actions may do.
pub(super) fn set_actions(file: &mut GithubFile, body: &Value) -> CommandResult {
    let request: SettingsRequest = parse(body)?;
    let found = find(file, &request.repository)?;
    found.actions = merged(&found.actions, &request.settings)?;
    Ok(json!(found.actions))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RulesRequest {
    repository: String,
    branch: String,
    rules: Vec<Value>,
}

/// Sets the rules of a branch.
pub(super) fn set_rules(file: &mut GithubFile, body: &Value) -> CommandResult {
    let request: RulesRequest = parse(body)?;
    let found = find(file, &request.repository)?;
    found.rules.insert(request.branch, request.rules);
    Ok(json!({ "ok": true }))
}
