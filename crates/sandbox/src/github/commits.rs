//! Commits, comparisons, files, commit statuses and check runs.

use base64::Engine as _;
use serde_json::{Value, json};

use super::call::{GithubCall, PAGES, node_id, optional_time, time};
use super::response::{GithubBody, GithubError, GithubResponse, GithubResult};
use super::state::{CheckRun, CommitStatus, GithubCommit, GithubFile, GithubRepository};
use super::views::{WEB, user};
use crate::ids;

/// The most annotations of one request.
const ANNOTATIONS_MAX: usize = 50;
/// The longest description of a status.
const DESCRIPTION_MAX_CHARACTERS: usize = 140;
const OUTPUT_MAX_CHARACTERS: usize = 65_535;

/// `422` for a commit that does not exist.
pub(crate) fn no_commit(name: &str) -> GithubError {
    GithubError::new(422, format!("No commit found for SHA: {name}"))
}

fn commit_view(call: &GithubCall, repository: &GithubRepository, commit: &GithubCommit) -> Value {
    let url = |sha: &str| call.api_url(repository, &format!("/commits/{sha}"));
    let html_url = |sha: &str| format!("{WEB}/{}/commit/{sha}", repository.full_name());
    let person = json!({
        "name": commit.author,
        "email": format!("{}@users.noreply.github.com", commit.author),
        "date": time(commit.created_ms),
    });
    let parents: Vec<Value> = commit
        .parents
        .iter()
        .map(|sha| json!({ "sha": sha, "url": url(sha), "html_url": html_url(sha) }))
        .collect();
    let git = |kind: &str| call.api_url(repository, &format!("/git/{kind}/{}", commit.sha));
    json!({
        "sha": commit.sha,
        "node_id": format!("C_{}", commit.sha),
        "url": url(&commit.sha),
        "html_url": html_url(&commit.sha),
        "comments_url": format!("{}/comments", url(&commit.sha)),
        "commit": {
            "url": git("commits"),
            "author": person,
            "committer": person,
            "message": commit.message,
            "tree": { "sha": commit.sha, "url": git("trees") },
            "comment_count": 0,
            "verification": { "verified": false, "reason": "unsigned", "signature": null, "payload": null, "verified_at": null },
        },
        "author": user(call, &commit.author),
        "committer": user(call, &commit.author),
        "parents": parents,
    })
}

/// `GET /repos/{owner}/{repo}/commits/{ref}`
pub(crate) fn get(file: &mut GithubFile, call: &GithubCall) -> GithubResult {
    let repository = call.repo(file)?;
    let name = call.param("ref");
    let commit = repository.resolve(name).ok_or_else(|| no_commit(name))?;
    Ok(GithubResponse::ok(commit_view(call, repository, commit)))
}

/// `GET /repos/{owner}/{repo}/branches/{branch}`
pub(crate) fn branch(file: &mut GithubFile, call: &GithubCall) -> GithubResult {
    let repository = call.repo(file)?;
    let name = call.param("branch");
    let commit = repository
        .branches
        .get(name)
        .and_then(|sha| repository.commits.get(sha))
        .ok_or_else(|| GithubError::new(404, "Branch not found"))?;
    let url = call.api_url(repository, &format!("/branches/{name}"));
    Ok(GithubResponse::ok(json!({
        "name": name,
        "commit": commit_view(call, repository, commit),
        "_links": {
            "self": url,
            "html": format!("{WEB}/{}/tree/{name}", repository.full_name()),
        },
        "protected": repository.rules.contains_key(name),
        // The classic protection, which is not that by rules.
        "protection": {
            "enabled": false,
            "required_status_checks": { "enforcement_level": "off", "contexts": [], "checks": [] },
        },
        "protection_url": format!("{url}/protection"),
    })))
}

/// `GET /repos/{owner}/{repo}/compare/{basehead}`
pub(crate) fn compare(file: &mut GithubFile, call: &GithubCall) -> GithubResult {
    let repository = call.repo(file)?;
    let sides = call.param("basehead").split_once("...");
    let (base, head) = sides.ok_or_else(GithubError::not_found)?;
    let resolve = |name| repository.resolve(name).ok_or_else(GithubError::not_found);
    let (base, head) = (resolve(base)?, resolve(head)?);
    let ahead = repository.commits_between(&base.sha, &head.sha);
    let behind = repository.commits_between(&head.sha, &base.sha).len();
    let common = repository.merge_base(&base.sha, &head.sha);
    // Without a common commit there is nothing to compare.
    let common = common.ok_or_else(GithubError::not_found)?;
    let status = match (ahead.len(), behind) {
        (0, 0) => "identical",
        (_, 0) => "ahead",
        (0, _) => "behind",
        _ => "diverged",
    };
    let web = format!("{WEB}/{}/compare/", repository.full_name());
    let name = format!("{}...{}", base.sha, head.sha);
    let rest = json!({
        "url": call.api_url(repository, &format!("/compare/{name}")),
        "html_url": format!("{web}{name}"),
        "permalink_url": format!("{web}{name}"),
        "diff_url": format!("{web}{name}.diff"),
        "patch_url": format!("{web}{name}.patch"),
        "base_commit": commit_view(call, repository, base),
        "merge_base_commit": commit_view(call, repository, common),
        "status": status,
        "ahead_by": ahead.len(),
        "behind_by": behind,
        "files": [],
    });
    let wrap = |total: usize, commits: Vec<Value>| {
        let mut body = rest;
        body["total_commits"] = total.into();
        body["commits"] = commits.into();
        body
    };
    Ok(call.page(
        &ahead,
        PAGES,
        |commit| commit_view(call, repository, commit),
        wrap,
    ))
}

/// `GET /repos/{owner}/{repo}/contents/{path}`: a file, or the entries of a folder.
pub(crate) fn contents(file: &mut GithubFile, call: &GithubCall) -> GithubResult {
    let repository = call.repo(file)?;
    let name = call.query("ref").unwrap_or(&repository.default_branch);
    let commit = repository.resolve(name);
    let commit = commit
        .ok_or_else(|| GithubError::new(404, format!("No commit found for the ref {name}")))?;
    let path = call.param("path").trim_matches('/');
    let entry = |path: &str, kind: &str, content: &str| {
        let url = call.api_url(repository, &format!("/contents/{path}?ref={name}"));
        let html_url = format!("{WEB}/{}/blob/{name}/{path}", repository.full_name());
        let sha = ids::hex(&ids::derive_bytes(&["blob", content])[..20]);
        let git_url = call.api_url(repository, &format!("/git/blobs/{sha}"));
        json!({
            "type": kind,
            "name": path.rsplit('/').next().unwrap_or(path),
            "path": path,
            "sha": sha,
            "size": content.len(),
            "url": url,
            "html_url": html_url,
            "git_url": git_url,
            "download_url": null,
            "_links": { "self": url, "html": html_url, "git": git_url },
        })
    };
    if let Some(content) = commit.files.get(path) {
        if call.accept.contains("raw") {
            return Ok(GithubResponse {
                status: 200,
                body: GithubBody::Text(content.clone()),
                headers: Vec::new(),
            });
        }
        let mut view = entry(path, "file", content);
        view["encoding"] = "base64".into();
        view["content"] = base64::engine::general_purpose::STANDARD
            .encode(content)
            .into();
        return Ok(GithubResponse::ok(view));
    }
    let folder = match path {
        "" => String::new(),
        path => format!("{path}/"),
    };
    let mut entries: Vec<Value> = Vec::new();
    for (path, content) in &commit.files {
        let Some(rest) = path.strip_prefix(&folder) else {
            continue;
        };
        match rest.split_once('/') {
            None => entries.push(entry(path, "file", content)),
            Some((inner, _)) => {
                let path = format!("{folder}{inner}");
                if entries.last().is_none_or(|last| last["path"] != *path) {
                    entries.push(entry(&path, "dir", ""));
                }
            }
        }
    }
    match entries.is_empty() {
        true => Err(GithubError::not_found()),
        false => Ok(GithubResponse::ok(entries.into())),
    }
}

/// `POST /repos/{owner}/{repo}/statuses/{sha}`
pub(crate) fn create_status(file: &mut GithubFile, call: &GithubCall) -> GithubResult {
    let sha = call.param("sha").to_owned();
    if !call.repo(file)?.commits.contains_key(&sha) {
        return Err(no_commit(&sha));
    }
    let state = call.required_text("state")?;
    if !["error", "failure", "pending", "success"].contains(&state) {
        return Err(GithubError::explained(
            "Status",
            "state",
            "custom",
            "state is not included in the list",
        ));
    }
    let description = call.text("description")?.map(str::to_owned);
    check_description("Status", description.as_deref())?;
    let status = CommitStatus {
        id: file.next_id(),
        sha,
        context: call.text("context")?.unwrap_or("default").to_owned(),
        state: state.to_owned(),
        description,
        target_url: call.text("target_url")?.map(str::to_owned),
        creator: call.caller.login().to_owned(),
        created_ms: call.now_ms,
    };
    let repository = call.repo_mut(file)?;
    repository.statuses.push(status.clone());
    Ok(GithubResponse::created(json!({
        "url": call.api_url(repository, &format!("/statuses/{}", status.sha)),
        "avatar_url": null,
        "id": status.id,
        "node_id": node_id("SC", status.id),
        "state": status.state,
        "description": status.description,
        "target_url": status.target_url,
        "context": status.context,
        "created_at": time(status.created_ms),
        "updated_at": time(status.created_ms),
        "creator": user(call, &status.creator),
    })))
}

/// Checks the length of the description of a status.
///
/// # Errors
/// `422`.
pub(crate) fn check_description(resource: &str, text: Option<&str>) -> Result<(), GithubError> {
    if text.unwrap_or_default().chars().count() <= DESCRIPTION_MAX_CHARACTERS {
        return Ok(());
    }
    let message = "description is too long (maximum is 140 characters)";
    Err(GithubError::explained(
        resource,
        "description",
        "custom",
        message,
    ))
}

/// The contexts of a commit that are not green: of each, the newest status counts.
pub(crate) fn failing_contexts(repository: &GithubRepository, sha: &str) -> Vec<String> {
    let mut newest = std::collections::BTreeMap::new();
    for status in repository
        .statuses
        .iter()
        .filter(|status| status.sha == sha)
    {
        newest.insert(status.context.as_str(), status.state == "success");
    }
    for run in repository
        .check_runs
        .values()
        .filter(|run| run.head_sha == sha)
    {
        let conclusion = run.conclusion.as_deref();
        let is_green = matches!(conclusion, Some("success" | "neutral" | "skipped"));
        newest.insert(run.name.as_str(), is_green);
    }
    newest
        .into_iter()
        .filter(|(_, is_green)| !is_green)
        .map(|(context, _)| context.to_owned())
        .collect()
}

/// `POST /repos/{owner}/{repo}/check-runs`
pub(crate) fn create_check_run(file: &mut GithubFile, call: &GithubCall) -> GithubResult {
    let sha = call.required_text("head_sha")?.to_owned();
    let name = call.required_text("name")?.to_owned();
    if !call.repo(file)?.commits.contains_key(&sha) {
        return Err(no_commit(&sha));
    }
    let id = file.next_id();
    let mut run = CheckRun {
        id,
        head_sha: sha,
        name,
        status: "queued".to_owned(),
        conclusion: None,
        external_id: None,
        details_url: None,
        title: None,
        summary: None,
        text: None,
        annotations: Vec::new(),
        started_ms: call.now_ms,
        completed_ms: None,
    };
    change_check_run(&mut run, call)?;
    let repository = call.repo_mut(file)?;
    repository.check_runs.insert(id, run.clone());
    Ok(GithubResponse::created(check_run_view(
        call, repository, &run,
    )))
}

/// `PATCH /repos/{owner}/{repo}/check-runs/{check_run_id}`
pub(crate) fn update_check_run(file: &mut GithubFile, call: &GithubCall) -> GithubResult {
    let id = call.number("check_run_id")?;
    let found = call.repo(file)?.check_runs.get(&id);
    let mut run = found.ok_or_else(GithubError::not_found)?.clone();
    change_check_run(&mut run, call)?;
    let repository = call.repo_mut(file)?;
    repository.check_runs.insert(id, run.clone());
    Ok(GithubResponse::ok(check_run_view(call, repository, &run)))
}

/// `GET /repos/{owner}/{repo}/commits/{ref}/check-runs`
pub(crate) fn list_check_runs(file: &mut GithubFile, call: &GithubCall) -> GithubResult {
    let repository = call.repo(file)?;
    let name = call.param("ref");
    let sha = &repository.resolve(name).ok_or_else(|| no_commit(name))?.sha;
    let runs: Vec<&CheckRun> = repository
        .check_runs
        .values()
        .filter(|run| run.head_sha == *sha)
        .filter(|run| call.selects("check_name", &run.name) && call.selects("status", &run.status))
        .collect();
    let view = |run: &&CheckRun| check_run_view(call, repository, run);
    Ok(call.page(
        &runs,
        PAGES,
        view,
        |total, runs| json!({ "total_count": total, "check_runs": runs }),
    ))
}

/// Applies the body of a request to a check run. Annotations are added to those before.
fn change_check_run(run: &mut CheckRun, call: &GithubCall) -> Result<(), GithubError> {
    let text = |name| call.text(name).map(|text| text.map(str::to_owned));
    if let Some(name) = text("name")? {
        run.name = name;
    }
    if let Some(status) = call.word("status", &["queued", "in_progress", "completed"])? {
        run.status = status.to_owned();
    }
    let conclusions = [
        "action_required",
        "cancelled",
        "failure",
        "neutral",
        "success",
        "skipped",
        "timed_out",
    ];
    if let Some(conclusion) = call.word("conclusion", &conclusions)? {
        run.conclusion = Some(conclusion.to_owned());
        run.status = "completed".to_owned();
        run.completed_ms = Some(call.now_ms);
    }
    if run.status == "completed" && run.conclusion.is_none() {
        return Err(GithubError::malformed("\"conclusion\" wasn't supplied."));
    }
    run.external_id = text("external_id")?.or_else(|| run.external_id.take());
    run.details_url = text("details_url")?.or_else(|| run.details_url.take());
    let output = &call.body["output"];
    if output.is_null() {
        return Ok(());
    }
    let part = |name: &str| output[name].as_str().map(str::to_owned);
    let (Some(title), Some(summary)) = (part("title"), part("summary")) else {
        return Err(GithubError::malformed(
            "\"title\", \"summary\" weren't supplied.",
        ));
    };
    let text = part("text");
    for (name, part) in [("summary", Some(&summary)), ("text", text.as_ref())] {
        if part.is_some_and(|part| part.chars().count() > OUTPUT_MAX_CHARACTERS) {
            let message = format!("Only {OUTPUT_MAX_CHARACTERS} characters are allowed");
            return Err(GithubError::explained("CheckRun", name, "custom", &message));
        }
    }
    let annotations = output["annotations"].as_array();
    let annotations = annotations.cloned().unwrap_or_default();
    if annotations.len() > ANNOTATIONS_MAX {
        let why = format!(
            "No more than {ANNOTATIONS_MAX} items are allowed; {} were supplied.",
            annotations.len()
        );
        return Err(GithubError::malformed(&why));
    }
    (run.title, run.summary) = (Some(title), Some(summary));
    run.text = text.or_else(|| run.text.take());
    run.annotations.extend(annotations);
    Ok(())
}

fn check_run_view(call: &GithubCall, repository: &GithubRepository, run: &CheckRun) -> Value {
    let url = call.api_url(repository, &format!("/check-runs/{}", run.id));
    let html_url = format!("{WEB}/{}/runs/{}", repository.full_name(), run.id);
    json!({
        "id": run.id,
        "node_id": node_id("CR", run.id),
        "head_sha": run.head_sha,
        "name": run.name,
        "external_id": run.external_id.clone().unwrap_or_default(),
        "url": url,
        "html_url": html_url,
        "details_url": run.details_url.clone().unwrap_or_else(|| html_url.clone()),
        "status": run.status,
        "conclusion": run.conclusion,
        "started_at": time(run.started_ms),
        "completed_at": optional_time(run.completed_ms),
        "output": {
            "title": run.title,
            "summary": run.summary,
            "text": run.text,
            "annotations_count": run.annotations.len(),
            "annotations_url": format!("{url}/annotations"),
        },
        "check_suite": { "id": run.id - 1 },
        "app": super::comments::app(call, super::views::ACTIONS_LOGIN),
        "pull_requests": [],
    })
}
