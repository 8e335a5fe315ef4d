//! Deployments and their statuses.

use serde_json::{Value, json};

use super::call::{GithubCall, node_id, time};
use super::comments::app;
use super::commits::{check_description, failing_contexts};
use super::git::{CommitDraft, merge_commit};
use super::issues::newest_first;
use super::response::{GithubError, GithubResponse, GithubResult};
use super::state::{DeploymentStatus, GithubDeployment, GithubFile, GithubRepository};
use super::views::user;

const STATES: [&str; 7] = [
    "error",
    "failure",
    "inactive",
    "in_progress",
    "queued",
    "pending",
    "success",
];

/// `GET /repos/{owner}/{repo}/deployments`: the newest first.
pub(crate) fn list(file: &mut GithubFile, call: &GithubCall) -> GithubResult {
    let repository = call.repo(file)?;
    let mut deployments: Vec<&GithubDeployment> = repository
        .deployments
        .values()
        .filter(|deployment| call.is_listed(deployment.created_ms))
        .filter(|deployment| {
            call.selects("sha", &deployment.sha)
                && call.selects("ref", &deployment.git_ref)
                && call.selects("task", &deployment.task)
                && call.selects("environment", &deployment.environment)
        })
        .collect();
    newest_first(&mut deployments, |deployment| deployment.id);
    Ok(call.list(&deployments, |deployment| {
        view(call, repository, deployment)
    }))
}

/// `POST /repos/{owner}/{repo}/deployments`
pub(crate) fn create(file: &mut GithubFile, call: &GithubCall) -> GithubResult {
    let name = call.required_text("ref")?.to_owned();
    let text = |name, default: &str| {
        let text = call.text(name)?;
        Ok::<_, GithubError>(text.unwrap_or(default).to_owned())
    };
    let (task, environment) = (text("task", "deploy")?, text("environment", "production")?);
    let description = call.text("description")?.map(str::to_owned);
    let transient = call.flag("transient_environment")?.unwrap_or(false);
    let production = call.flag("production_environment")?;
    let contexts = required_contexts(call)?;
    let payload = match &call.body["payload"] {
        Value::Null => json!({}),
        payload @ (Value::Object(_) | Value::String(_)) => payload.clone(),
        other => {
            let why = format!("For 'properties/payload', {other} is not an object.");
            return Err(GithubError::malformed(&why));
        }
    };
    let repository = call.repo(file)?;
    let commit = repository.resolve(&name);
    let no_ref = || GithubError::new(422, format!("No ref found for: {name}"));
    let sha = commit.ok_or_else(no_ref)?.sha.clone();
    if call.flag("auto_merge")?.unwrap_or(true)
        && let Some(response) = auto_merge(file, call, &name, &sha)?
    {
        return Ok(response);
    }
    check_contexts(call.repo(file)?, &name, &sha, contexts.as_deref())?;
    super::settings::ensure_environment(file, call, &environment)?;
    let id = file.next_id();
    let deployment = GithubDeployment {
        id,
        sha,
        git_ref: name,
        task,
        payload,
        production: production.unwrap_or(environment == "production"),
        environment,
        description,
        creator: call.caller.login().to_owned(),
        transient,
        created_ms: call.now_ms,
        updated_ms: call.now_ms,
        statuses: Vec::new(),
    };
    let repository = call.repo_mut(file)?;
    repository.deployments.insert(id, deployment.clone());
    Ok(GithubResponse::created(view(call, repository, &deployment)))
}

fn required_contexts(call: &GithubCall) -> Result<Option<Vec<String>>, GithubError> {
    let list = match &call.body["required_contexts"] {
        Value::Null => return Ok(None),
        Value::Array(list) => list,
        other => {
            let why = format!("For 'properties/required_contexts', {other} is not an array.");
            return Err(GithubError::malformed(&why));
        }
    };
    let text = |context: &Value| context.as_str().map(str::to_owned);
    Ok(Some(list.iter().filter_map(text).collect()))
}

/// Merges the default branch into the branch that is to be deployed, if that lacks commits. Then
/// nothing is deployed: the merge starts the workflows once more.
fn auto_merge(
    file: &mut GithubFile,
    call: &GithubCall,
    name: &str,
    sha: &str,
) -> Result<Option<GithubResponse>, GithubError> {
    let repository = call.repo(file)?;
    let default = repository.default_branch.clone();
    let Some(tip) = repository.branches.get(&default).cloned() else {
        return Ok(None);
    };
    let branch = name.strip_prefix("refs/heads/").unwrap_or(name).to_owned();
    let is_current = repository.ancestors(sha).contains(&tip);
    if is_current || !repository.branches.contains_key(&branch) {
        return Ok(None);
    }
    let conflicts = |pull: &super::state::GithubPull| pull.conflict && pull.head_ref == branch;
    if repository.pulls.values().any(conflicts) {
        let message = format!("Conflict merging {default} into {branch}.");
        return Err(GithubError::new(409, message));
    }
    let draft = CommitDraft {
        parents: vec![sha.to_owned(), tip.clone()],
        message: format!("Merge branch '{default}' into {branch}"),
        author: call.caller.login().to_owned(),
        now_ms: call.now_ms,
    };
    let merged = merge_commit(file, call.repository, (sha, &tip), draft);
    call.repo_mut(file)?.branches.insert(branch.clone(), merged);
    let message = format!("Auto-merged {default} into {branch} on deployment.");
    Ok(Some(GithubResponse::json(
        202,
        json!({ "message": message }),
    )))
}

/// Checks the statuses of the commit: those that are named, or all.
fn check_contexts(
    repository: &GithubRepository,
    name: &str,
    sha: &str,
    required: Option<&[String]>,
) -> Result<(), GithubError> {
    let failing = failing_contexts(repository, sha);
    let counts = |context: &&String| required.is_none_or(|required| required.contains(context));
    let exists = |context: &String| {
        let statuses = repository.statuses.iter();
        let runs = repository.check_runs.values();
        statuses
            .map(|status| (&status.sha, &status.context))
            .chain(runs.map(|run| (&run.head_sha, &run.name)))
            .any(|(of, known)| of == sha && known == context)
    };
    // A context that is required and was never reported is not green either.
    let missing = required
        .unwrap_or_default()
        .iter()
        .filter(|context| !exists(context));
    let contexts: Vec<&String> = failing.iter().filter(counts).chain(missing).collect();
    if contexts.is_empty() {
        return Ok(());
    }
    let errors = json!([{
        "contexts": contexts, "resource": "Deployment", "field": "required_contexts", "code": "invalid",
    }]);
    let message = format!("Conflict: Commit status checks failed for {name}.");
    Err(GithubError {
        errors: Some(errors),
        ..GithubError::new(409, message)
    })
}

/// `GET /repos/{owner}/{repo}/deployments/{deployment_id}`
pub(crate) fn get(file: &mut GithubFile, call: &GithubCall) -> GithubResult {
    let repository = call.repo(file)?;
    let deployment = find(repository, call)?;
    Ok(GithubResponse::ok(view(call, repository, deployment)))
}

/// `DELETE /repos/{owner}/{repo}/deployments/{deployment_id}`
pub(crate) fn delete(file: &mut GithubFile, call: &GithubCall) -> GithubResult {
    let repository = call.repo(file)?;
    let deployment = find(repository, call)?;
    let (id, is_inactive) = (deployment.id, !is_active(deployment));
    if !is_inactive && repository.deployments.len() > 1 {
        let message = "We cannot delete an active deployment unless it is the only deployment in a given environment.";
        return Err(GithubError::new(422, message));
    }
    call.repo_mut(file)?.deployments.remove(&id);
    Ok(GithubResponse::no_content())
}

/// Whether a deployment counts as active: until a status says that it is not.
pub(crate) fn is_active(deployment: &GithubDeployment) -> bool {
    let last = deployment.statuses.last();
    last.is_none_or(|status| status.state != "inactive")
}

/// `GET /repos/{owner}/{repo}/deployments/{deployment_id}/statuses`: the newest first.
pub(crate) fn list_statuses(file: &mut GithubFile, call: &GithubCall) -> GithubResult {
    let repository = call.repo(file)?;
    let deployment = find(repository, call)?;
    let statuses: Vec<&DeploymentStatus> = deployment.statuses.iter().rev().collect();
    Ok(call.list(&statuses, |status| {
        status_view(call, repository, deployment, status)
    }))
}

/// `POST /repos/{owner}/{repo}/deployments/{deployment_id}/statuses`
pub(crate) fn create_status(file: &mut GithubFile, call: &GithubCall) -> GithubResult {
    let deployment = find(call.repo(file)?, call)?;
    let (id, before) = (deployment.id, deployment.statuses.last());
    let environment = before.map_or(&deployment.environment, |status| &status.environment);
    call.required_text("state")?;
    let state = call.word("state", &STATES)?.unwrap_or_default().to_owned();
    let text = |name| Ok::<_, GithubError>(call.text(name)?.unwrap_or_default().to_owned());
    let description = text("description")?;
    check_description("DeploymentStatus", Some(&description))?;
    let log_url = match text("log_url")? {
        url if url.is_empty() => text("target_url")?,
        url => url,
    };
    let environment_url = text("environment_url")?;
    for (field, url) in [("log_url", &log_url), ("environment_url", &environment_url)] {
        let is_url = url.is_empty() || url.starts_with("https://") || url.starts_with("http://");
        if !is_url {
            let message = format!("{field} must use http(s) scheme");
            return Err(GithubError::explained(
                "DeploymentStatus",
                field,
                "custom",
                &message,
            ));
        }
    }
    let environment = call.text("environment")?.unwrap_or(environment).to_owned();
    let auto_inactive = call.flag("auto_inactive")?.unwrap_or(true);
    let status_id = file.next_id();
    let new = |id: u64, state: &str, environment: &str| DeploymentStatus {
        id,
        state: state.to_owned(),
        description: String::new(),
        environment: environment.to_owned(),
        environment_url: String::new(),
        log_url: String::new(),
        creator: call.caller.login().to_owned(),
        created_ms: call.now_ms,
    };
    let status = DeploymentStatus {
        description,
        environment_url,
        log_url,
        ..new(status_id, &state, &environment)
    };
    let mut inactive_ids = Vec::new();
    if state == "success" && auto_inactive {
        let earlier = call.repo(file)?.deployments.values().filter(|other| {
            let last = other.statuses.last();
            other.id < id
                && other.environment == environment
                && !other.transient
                && !other.production
                && last.is_some_and(|status| status.state == "success")
        });
        inactive_ids.extend(earlier.map(|other| other.id));
    }
    for other in inactive_ids {
        let inactive = new(file.next_id(), "inactive", &environment);
        if let Some(other) = call.repo_mut(file)?.deployments.get_mut(&other) {
            other.statuses.push(inactive);
        }
    }
    let repository = call.repo_mut(file)?;
    let Some(deployment) = repository.deployments.get_mut(&id) else {
        return Err(GithubError::not_found());
    };
    deployment.updated_ms = call.now_ms;
    deployment.statuses.push(status.clone());
    let deployment = deployment.clone();
    Ok(GithubResponse::created(status_view(
        call,
        repository,
        &deployment,
        &status,
    )))
}

fn find<'r>(
    repository: &'r GithubRepository,
    call: &GithubCall,
) -> Result<&'r GithubDeployment, GithubError> {
    let id = call.number("deployment_id")?;
    let found = repository.deployments.get(&id);
    found.ok_or_else(GithubError::not_found)
}

fn view(call: &GithubCall, repository: &GithubRepository, deployment: &GithubDeployment) -> Value {
    let url = call.api_url(repository, &format!("/deployments/{}", deployment.id));
    json!({
        "id": deployment.id,
        "node_id": node_id("DE", deployment.id),
        "url": url,
        "sha": deployment.sha,
        "ref": deployment.git_ref,
        "task": deployment.task,
        "payload": deployment.payload,
        "original_environment": deployment.environment,
        "environment": deployment.environment,
        "description": deployment.description,
        "creator": user(call, &deployment.creator),
        "created_at": time(deployment.created_ms),
        "updated_at": time(deployment.updated_ms),
        "statuses_url": format!("{url}/statuses"),
        "repository_url": call.api_url(repository, ""),
        "transient_environment": deployment.transient,
        "production_environment": deployment.production,
        "performed_via_github_app": app(call, &deployment.creator),
    })
}

fn status_view(
    call: &GithubCall,
    repository: &GithubRepository,
    deployment: &GithubDeployment,
    status: &DeploymentStatus,
) -> Value {
    let url = call.api_url(repository, &format!("/deployments/{}", deployment.id));
    json!({
        "id": status.id,
        "node_id": node_id("DES", status.id),
        "url": format!("{url}/statuses/{}", status.id),
        "state": status.state,
        "creator": user(call, &status.creator),
        "description": status.description,
        "environment": status.environment,
        "target_url": status.log_url,
        "log_url": status.log_url,
        "environment_url": status.environment_url,
        "created_at": time(status.created_ms),
        "updated_at": time(status.created_ms),
        "deployment_url": url,
        "repository_url": call.api_url(repository, ""),
        "performed_via_github_app": app(call, &status.creator),
    })
}
