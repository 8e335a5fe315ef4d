//! Workflows and their runs.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::call::{GithubCall, PAGES, node_id, time};
use super::issues::newest_first;
use super::response::{GithubError, GithubResponse, GithubResult};
use super::state::{GithubFile, GithubRepository, GithubRun, GithubWorkflow};
use super::views::{WEB, extend, minimal_repository, user};

/// The most inputs of a run that is started by hand.
const INPUTS_MAX: usize = 25;
const FOLDER: &str = ".github/workflows/";

/// `GET /repos/{owner}/{repo}/actions/workflows`
pub(crate) fn list(file: &mut GithubFile, call: &GithubCall) -> GithubResult {
    let repository = call.repo(file)?;
    let workflows: Vec<&GithubWorkflow> = repository.workflows.values().collect();
    let view = |workflow: &&GithubWorkflow| view(call, repository, workflow);
    Ok(call.page(
        &workflows,
        PAGES,
        view,
        |total, shown| json!({ "total_count": total, "workflows": shown }),
    ))
}

/// `GET /repos/{owner}/{repo}/actions/workflows/{workflow_id}`
pub(crate) fn get(file: &mut GithubFile, call: &GithubCall) -> GithubResult {
    let repository = call.repo(file)?;
    let workflow = find(repository, call)?;
    Ok(GithubResponse::ok(view(call, repository, workflow)))
}

/// `PUT /repos/{owner}/{repo}/actions/workflows/{workflow_id}/enable`
pub(crate) fn enable(file: &mut GithubFile, call: &GithubCall) -> GithubResult {
    set_state(file, call, "active")
}

/// `PUT /repos/{owner}/{repo}/actions/workflows/{workflow_id}/disable`
pub(crate) fn disable(file: &mut GithubFile, call: &GithubCall) -> GithubResult {
    set_state(file, call, "disabled_manually")
}

fn set_state(file: &mut GithubFile, call: &GithubCall, state: &str) -> GithubResult {
    let id = find(call.repo(file)?, call)?.id;
    if let Some(workflow) = call.repo_mut(file)?.workflows.get_mut(&id) {
        state.clone_into(&mut workflow.state);
        workflow.updated_ms = call.now_ms;
    }
    Ok(GithubResponse::no_content())
}

/// `POST /repos/{owner}/{repo}/actions/workflows/{workflow_id}/dispatches`
pub(crate) fn dispatch(file: &mut GithubFile, call: &GithubCall) -> GithubResult {
    let name = call.required_text("ref")?.to_owned();
    let wants_details = call.flag("return_run_details")?.unwrap_or(false);
    let inputs = match &call.body["inputs"] {
        Value::Null => json!({}),
        Value::Object(inputs) if inputs.len() > INPUTS_MAX => {
            let message = format!("Only {INPUTS_MAX} inputs are allowed");
            return Err(GithubError::new(422, message));
        }
        inputs @ Value::Object(_) => inputs.clone(),
        other => {
            let why = format!("For 'properties/inputs', {other} is not an object.");
            return Err(GithubError::malformed(&why));
        }
    };
    let repository = call.repo(file)?;
    let workflow = find(repository, call)?;
    if workflow.state != "active" {
        let message = "Cannot trigger a 'workflow_dispatch' on a disabled workflow";
        return Err(GithubError::new(422, message));
    }
    let commit = repository.resolve(&name);
    let commit =
        commit.ok_or_else(|| GithubError::new(422, format!("No ref found for: {name}")))?;
    // Whether somebody may start it is what the file says on the branch that it is started from.
    let content = commit.files.get(&workflow.path);
    if content.is_some_and(|content| !content.contains("workflow_dispatch")) {
        let message = "Workflow does not have 'workflow_dispatch' trigger";
        return Err(GithubError::new(422, message));
    }
    let branch = name.strip_prefix("refs/heads/").unwrap_or(&name).to_owned();
    let (workflow, sha) = (workflow.id, commit.sha.clone());
    let id = file.next_id();
    let run = GithubRun {
        id,
        workflow,
        number: next_run_number(call.repo(file)?, workflow),
        event: "workflow_dispatch".to_owned(),
        status: "queued".to_owned(),
        conclusion: None,
        head_branch: branch,
        head_sha: sha,
        actor: call.caller.login().to_owned(),
        created_ms: call.now_ms,
        updated_ms: call.now_ms,
        inputs,
    };
    let repository = call.repo_mut(file)?;
    repository.runs.insert(id, run);
    if !wants_details {
        return Ok(GithubResponse::no_content());
    }
    Ok(GithubResponse::ok(json!({
        "workflow_run_id": id,
        "run_url": call.api_url(repository, &format!("/actions/runs/{id}")),
        "html_url": format!("{WEB}/{}/actions/runs/{id}", repository.full_name()),
    })))
}

/// The number of the next run of a workflow.
pub(crate) fn next_run_number(repository: &GithubRepository, workflow: u64) -> u64 {
    let same = |run: &&GithubRun| run.workflow == workflow;
    1 + repository.runs.values().filter(same).count() as u64
}

/// `GET /repos/{owner}/{repo}/actions/workflows/{workflow_id}/runs`: the newest first.
pub(crate) fn list_runs(file: &mut GithubFile, call: &GithubCall) -> GithubResult {
    let repository = call.repo(file)?;
    let workflow = find(repository, call)?.id;
    runs_page(call, repository, Some(workflow))
}

/// `GET /repos/{owner}/{repo}/actions/runs`
pub(crate) fn list_all_runs(file: &mut GithubFile, call: &GithubCall) -> GithubResult {
    runs_page(call, call.repo(file)?, None)
}

fn runs_page(
    call: &GithubCall,
    repository: &GithubRepository,
    workflow: Option<u64>,
) -> GithubResult {
    // `status` is the status or, once it is completed, the conclusion.
    let has_status = |run: &GithubRun| {
        call.query("status")
            .is_none_or(|wanted| run.status == wanted || run.conclusion.as_deref() == Some(wanted))
    };
    let mut runs: Vec<&GithubRun> = repository
        .runs
        .values()
        .filter(|run| workflow.is_none_or(|workflow| run.workflow == workflow))
        .filter(|run| call.is_listed(run.created_ms) && has_status(run))
        .filter(|run| {
            call.selects("branch", &run.head_branch)
                && call.selects("event", &run.event)
                && call.selects("actor", &run.actor)
                && call.selects("head_sha", &run.head_sha)
        })
        .collect();
    newest_first(&mut runs, |run| run.id);
    let view = |run: &&GithubRun| run_view(call, repository, run);
    Ok(call.page(
        &runs,
        PAGES,
        view,
        |total, shown| json!({ "total_count": total, "workflow_runs": shown }),
    ))
}

/// `GET /repos/{owner}/{repo}/actions/runs/{run_id}`
pub(crate) fn get_run(file: &mut GithubFile, call: &GithubCall) -> GithubResult {
    let repository = call.repo(file)?;
    let run = repository.runs.get(&call.number("run_id")?);
    let run = run.ok_or_else(GithubError::not_found)?;
    Ok(GithubResponse::ok(run_view(call, repository, run)))
}

/// A workflow by its id or by the name of its file.
fn find<'r>(
    repository: &'r GithubRepository,
    call: &GithubCall,
) -> Result<&'r GithubWorkflow, GithubError> {
    let wanted = call.param("workflow_id");
    let found = match wanted.parse::<u64>() {
        Ok(id) => repository.workflows.get(&id),
        Err(_) => repository
            .workflows
            .values()
            .find(|workflow| workflow.path.strip_prefix(FOLDER) == Some(wanted)),
    };
    found.ok_or_else(GithubError::not_found)
}

/// Takes over the workflow files of the default branch: GitHub knows a workflow as soon as its file is
/// there, and its state outlives changes of the file.
pub(crate) fn read_workflow_files(file: &mut GithubFile, repository: u64, now_ms: i64) {
    let Some(found) = file.repositories.get(&repository) else {
        return;
    };
    let tip = found.branches.get(&found.default_branch);
    let files: BTreeMap<String, String> = tip
        .and_then(|sha| found.commits.get(sha))
        .map(|commit| commit.files.clone())
        .unwrap_or_default()
        .into_iter()
        .filter(|(path, _)| {
            let name = path.strip_prefix(FOLDER).unwrap_or_default();
            !name.contains('/') && (name.ends_with(".yml") || name.ends_with(".yaml"))
        })
        .collect();
    for (path, content) in &files {
        let named = content.lines().find_map(|line| line.strip_prefix("name:"));
        let name = named.map(|name| name.trim().trim_matches(['\'', '"']));
        let name = name.unwrap_or(path).to_owned();
        let known = file.repositories.get_mut(&repository).and_then(|found| {
            let mut workflows = found.workflows.values_mut();
            workflows.find(|workflow| workflow.path == *path)
        });
        match known {
            Some(workflow) => workflow.name = name,
            None => {
                let workflow = GithubWorkflow {
                    id: file.next_id(),
                    name,
                    path: path.clone(),
                    state: "active".to_owned(),
                    created_ms: now_ms,
                    updated_ms: now_ms,
                };
                if let Some(found) = file.repositories.get_mut(&repository) {
                    found.workflows.insert(workflow.id, workflow);
                }
            }
        }
    }
    if let Some(found) = file.repositories.get_mut(&repository) {
        let is_there = |workflow: &GithubWorkflow| files.contains_key(&workflow.path);
        found.workflows.retain(|_, workflow| is_there(workflow));
    }
}

fn view(call: &GithubCall, repository: &GithubRepository, workflow: &GithubWorkflow) -> Value {
    let web = format!("{WEB}/{}", repository.full_name());
    let name = workflow.path.strip_prefix(FOLDER).unwrap_or(&workflow.path);
    json!({
        "id": workflow.id,
        "node_id": node_id("W", workflow.id),
        "name": workflow.name,
        "path": workflow.path,
        "state": workflow.state,
        "created_at": time(workflow.created_ms),
        "updated_at": time(workflow.updated_ms),
        "url": call.api_url(repository, &format!("/actions/workflows/{}", workflow.id)),
        "html_url": format!("{web}/blob/{}/{}", repository.default_branch, workflow.path),
        "badge_url": format!("{web}/workflows/{name}/badge.svg"),
    })
}

fn run_view(call: &GithubCall, repository: &GithubRepository, run: &GithubRun) -> Value {
    let url = call.api_url(repository, &format!("/actions/runs/{}", run.id));
    let suite = call.api_url(repository, &format!("/check-suites/{}", run.id));
    let workflow = repository.workflows.get(&run.workflow);
    let commit = repository.commits.get(&run.head_sha);
    let message = commit.map_or("", |commit| commit.message.as_str());
    let person = |commit: &super::state::GithubCommit| {
        let email = format!("{}@users.noreply.github.com", commit.author);
        json!({ "name": commit.author, "email": email })
    };
    let head_commit = commit.map_or(Value::Null, |commit| {
        json!({
            "id": commit.sha, "tree_id": commit.sha, "message": commit.message,
            "timestamp": time(commit.created_ms),
            "author": person(commit), "committer": person(commit),
        })
    });
    let workflow_url = format!("/actions/workflows/{}", run.workflow);
    let mut view = json!({
        "id": run.id,
        "node_id": node_id("WFR", run.id),
        "name": workflow.map_or("", |workflow| workflow.name.as_str()),
        "check_suite_id": run.id,
        "check_suite_node_id": node_id("CS", run.id),
        "head_branch": run.head_branch,
        "head_sha": run.head_sha,
        "path": workflow.map_or("", |workflow| workflow.path.as_str()),
        "run_number": run.number,
        "run_attempt": 1,
    });
    extend(
        &mut view,
        json!({
            "event": run.event,
            "status": run.status,
            "conclusion": run.conclusion,
            "workflow_id": run.workflow,
            "url": url,
            "html_url": format!("{WEB}/{}/actions/runs/{}", repository.full_name(), run.id),
            "pull_requests": [],
            "created_at": time(run.created_ms),
            "updated_at": time(run.updated_ms),
            "run_started_at": time(run.created_ms),
            "actor": user(call, &run.actor),
            "triggering_actor": user(call, &run.actor),
            "jobs_url": format!("{url}/jobs"),
            "logs_url": format!("{url}/logs"),
            "check_suite_url": suite,
            "artifacts_url": format!("{url}/artifacts"),
            "cancel_url": format!("{url}/cancel"),
            "rerun_url": format!("{url}/rerun"),
            "previous_attempt_url": null,
            "workflow_url": call.api_url(repository, &workflow_url),
            "head_commit": head_commit,
            "repository": minimal_repository(call, repository),
            "head_repository": minimal_repository(call, repository),
            "display_title": message.lines().next().unwrap_or_default(),
        }),
    );
    view
}
