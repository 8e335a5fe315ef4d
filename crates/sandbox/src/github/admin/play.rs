//! Plays an event: makes it happen, and returns the payload and the variables that a job gets for it.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::conversations::update_issue;
use super::{
    CommandResult, DEFAULT_USER, create_token, find, history, id_of, parse, put_repository,
};
use crate::api::ApiError;
use crate::github::MOUNT;
use crate::github::access::{GithubCaller, GithubToken, GithubTokenKind};
use crate::github::call::{GithubCall, node_id, time};
use crate::github::pulls;
use crate::github::state::{GithubCommit, GithubFile, GithubRepository, user_id};
use crate::github::views::{WEB, repository, user};

/// The login whose pull requests get no secrets, like those from forks.
const DEPENDABOT: &str = "dependabot[bot]";
/// The permissions of the jobs that comment, keep an issue and record deployments.
const PERMISSIONS: [(&str, &str); 5] = [
    ("actions", "read"),
    ("contents", "read"),
    ("deployments", "write"),
    ("issues", "write"),
    ("pull_requests", "write"),
];

/// The name of the workflow whose job it is.
const WORKFLOW: &str = "trimtab";

/// An event to play.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct PlayRequest {
    /// Such as `push` or `pull_request.opened`.
    event: String,
    /// It is made if it does not exist.
    repository: String,
    /// The pull request; without it, one is opened.
    number: Option<u64>,
    /// The branch that is pushed to, or that the pull request is from.
    branch: Option<String>,
    /// The messages of the commits that are pushed.
    commits: Vec<String>,
    user: Option<String>,
    fork: Option<String>,
    draft: bool,
    merged: bool,
    inputs: Value,
    schedule: Option<String>,
    workflow: Option<String>,
    permissions: Option<BTreeMap<String, String>>,
}

/// What a job learns of its event, besides the payload.
struct Played {
    payload: Value,
    git_ref: String,
    sha: String,
    /// The branches of a pull request.
    head_and_base: (String, String),
    /// Whether the token may only read.
    read_only: bool,
}

/// Plays an event. `url` is the address of the sandbox.
pub(super) fn play(
    file: &mut GithubFile,
    seed: u64,
    now: i64,
    url: &str,
    body: &Value,
) -> CommandResult {
    let request: PlayRequest = parse(body)?;
    if id_of(file, &request.repository).is_err() {
        put_repository(file, now, &json!({ "name": request.repository }))?;
    }
    let call = call(file, now, url, &request)?;
    let (name, action) = match request.event.split_once('.') {
        Some((name, action)) => (name, action),
        None => (request.event.as_str(), ""),
    };
    let played = match (name, action) {
        ("pull_request", action) => pull_request(file, &call, &request, action)?,
        ("push", "") => push(file, &call, &request)?,
        ("merge_group", "" | "checks_requested") => merge_group(file, &request)?,
        ("schedule", "") => {
            let cron = request.schedule.as_deref().unwrap_or("17 5 * * *");
            at_branch(file, &call, None, json!({ "schedule": cron }))?
        }
        ("workflow_dispatch", "") => {
            let branch = request.branch.as_deref();
            let workflow = request.workflow.as_deref().unwrap_or(WORKFLOW);
            let path = format!(".github/workflows/{workflow}.yml");
            let inputs = json!({ "inputs": request.inputs, "workflow": path });
            let mut played = at_branch(file, &call, branch, inputs)?;
            played.payload["ref"] = played.git_ref.clone().into();
            played
        }
        _ => {
            return Err(ApiError::bad_request(format!(
                "{} cannot be played",
                request.event
            )));
        }
    };
    let variables = variables(file, seed, &call, &request, &played)?;
    let mut payload = played.payload;
    if let Some(found) = file.repositories.get(&call.repository) {
        payload["repository"] = repository(&call, found);
        payload["repository"]["custom_properties"] = json!({});
        if found.owner_is_organization {
            payload["organization"] = organization(&call, found);
        }
    }
    payload["sender"] = user(&call, call.caller.login());
    Ok(json!({ "payload": payload, "variables": variables }))
}

/// A call by whom the event is from, with which the views of the API are made.
fn call(
    file: &GithubFile,
    now: i64,
    url: &str,
    request: &PlayRequest,
) -> Result<GithubCall, ApiError> {
    let login = request.user.as_deref().or(request.fork.as_deref());
    let token = GithubToken {
        kind: GithubTokenKind::Classic,
        login: login.unwrap_or(DEFAULT_USER).to_owned(),
        repositories: std::collections::BTreeSet::new(),
        permissions: BTreeMap::new(),
        can_push: true,
        expired: false,
    };
    Ok(GithubCall {
        params: BTreeMap::new(),
        query: Vec::new(),
        body: Value::Null,
        accept: String::new(),
        caller: GithubCaller::Token(token),
        repository: id_of(file, &request.repository)?,
        path: String::new(),
        base: format!("{url}{MOUNT}"),
        now_ms: now,
        list_lag_ms: 0,
    })
}

/// The organization in a payload, which is shorter than that in a repository.
fn organization(call: &GithubCall, found: &GithubRepository) -> Value {
    let login = &found.owner;
    let url = format!("{}/orgs/{login}", call.base);
    let mut view = json!({
        "login": login, "id": user_id(login), "url": url, "description": null,
        "node_id": node_id("O", user_id(login)),
        "avatar_url": format!("https://avatars.githubusercontent.com/u/{}?v=4", user_id(login)),
    });
    for (name, path) in [
        ("repos_url", "/repos"),
        ("events_url", "/events"),
        ("hooks_url", "/hooks"),
        ("issues_url", "/issues"),
        ("members_url", "/members{/member}"),
        ("public_members_url", "/public_members{/member}"),
    ] {
        view[name] = format!("{url}{path}").into();
    }
    view
}

fn pull_request(
    file: &mut GithubFile,
    call: &GithubCall,
    request: &PlayRequest,
    action: &str,
) -> Result<Played, ApiError> {
    let (repository, now) = (&request.repository, call.now_ms);
    let number = match request.number {
        Some(number) => number,
        None => {
            let open = json!({
                "repository": repository, "head": request.branch.as_deref().unwrap_or("feature"),
                "user": call.caller.login(), "draft": request.draft, "fork": request.fork,
            });
            let opened = history::open_pull(file, now, &open)?;
            opened["number"].as_u64().unwrap_or_default()
        }
    };
    let this = json!({ "repository": repository, "number": number, "user": call.caller.login() });
    let with = |name: &str, value: Value| {
        let mut body = this.clone();
        body[name] = value;
        body
    };
    let mut before = None;
    match action {
        "opened" => {}
        "synchronize" => before = Some(push_to_head(file, call, request, number)?),
        "closed" if request.merged => drop(history::merge_pull(file, now, &this)?),
        "closed" => drop(update_issue(file, now, &with("open", false.into()))?),
        "reopened" => drop(update_issue(file, now, &with("open", true.into()))?),
        "converted_to_draft" | "ready_for_review" => {
            let draft = action == "converted_to_draft";
            let update = json!({ "repository": repository, "number": number, "draft": draft });
            history::update_pull(file, now, &update)?;
        }
        _ => {
            return Err(ApiError::bad_request(format!(
                "{} cannot be played",
                request.event
            )));
        }
    }
    let found = find(file, repository)?;
    let pull = found.pulls.get(&number).cloned();
    let pull = pull.ok_or_else(|| ApiError::not_found("pull request"))?;
    let issue = found.issues.get(&number).cloned();
    let issue = issue.ok_or_else(|| ApiError::not_found("pull request"))?;
    let mut payload = json!({
        "action": action, "number": number, "pull_request": pulls::full(file, call, &pull, &issue),
    });
    if let Some((before, after)) = before {
        (payload["before"], payload["after"]) = (before.into(), after.into());
    }
    // After a merge there is no test merge any more: the job runs on the base branch.
    let git_ref = match pull.merged_ms {
        Some(_) => format!("refs/heads/{}", pull.base_ref),
        None => format!("refs/pull/{number}/merge"),
    };
    Ok(Played {
        payload,
        git_ref,
        sha: pull.merge_commit_sha.unwrap_or_default(),
        head_and_base: (pull.head_ref, pull.base_ref),
        read_only: pull.head_repository != call.repository || issue.user == DEPENDABOT,
    })
}

/// Pushes to the branch of a pull request; returns its tips before and after.
fn push_to_head(
    file: &mut GithubFile,
    call: &GithubCall,
    request: &PlayRequest,
    number: u64,
) -> Result<(String, String), ApiError> {
    let pull = find(file, &request.repository)?.pulls.get(&number).cloned();
    let pull = pull.ok_or_else(|| ApiError::not_found("pull request"))?;
    let source = file.repositories.get(&pull.head_repository);
    let source = source
        .ok_or_else(|| ApiError::not_found("fork"))?
        .full_name();
    let body = json!({
        "repository": source, "branch": pull.head_ref, "commits": commits(call, request),
    });
    let pushed = history::push(file, call.now_ms, &body)?;
    let after = pushed["after"].as_str().unwrap_or_default().to_owned();
    Ok((pull.head_sha, after))
}

/// The commits to push: one, unless the request names them.
fn commits(call: &GithubCall, request: &PlayRequest) -> Vec<Value> {
    let default = ["Change something".to_owned()];
    let messages = match request.commits.is_empty() {
        true => default.as_slice(),
        false => &request.commits,
    };
    let commit = |message| json!({ "message": message, "author": call.caller.login() });
    messages.iter().map(commit).collect()
}

fn push(
    file: &mut GithubFile,
    call: &GithubCall,
    request: &PlayRequest,
) -> Result<Played, ApiError> {
    let found = find(file, &request.repository)?;
    let branch = request
        .branch
        .as_ref()
        .unwrap_or(&found.default_branch)
        .clone();
    let body = json!({
        "repository": request.repository, "branch": branch, "commits": commits(call, request),
    });
    let pushed = history::push(file, call.now_ms, &body)?;
    let found = find(file, &request.repository)?;
    let shown = |sha: &Value| {
        let commit = found.commits.get(sha.as_str().unwrap_or_default());
        commit.map_or(Value::Null, |commit| commit_view(found, commit))
    };
    let pushed_commits = pushed["commits"].as_array().cloned().unwrap_or_default();
    let is_new = pushed["before"].is_null();
    let before = match is_new {
        true => Value::from("0".repeat(40)),
        false => pushed["before"].clone(),
    };
    let compare = format!(
        "{WEB}/{}/compare/{}...{}",
        found.full_name(),
        before.as_str().unwrap_or_default(),
        pushed["after"].as_str().unwrap_or_default()
    );
    let login = call.caller.login();
    let git_ref = format!("refs/heads/{branch}");
    let payload = json!({
        "ref": git_ref, "before": before, "after": pushed["after"], "base_ref": null,
        "created": is_new, "deleted": false, "forced": false, "compare": compare,
        "commits": pushed_commits.iter().map(shown).collect::<Vec<_>>(),
        "head_commit": shown(&pushed["after"]),
        "pusher": { "name": login, "email": format!("{login}@users.noreply.github.com") },
    });
    Ok(Played {
        payload,
        git_ref,
        sha: pushed["after"].as_str().unwrap_or_default().to_owned(),
        head_and_base: (String::new(), String::new()),
        read_only: login == DEPENDABOT,
    })
}

/// A commit in the payload of a push.
fn commit_view(found: &GithubRepository, commit: &GithubCommit) -> Value {
    let author = json!({
        "name": commit.author, "username": commit.author,
        "email": format!("{}@users.noreply.github.com", commit.author),
    });
    json!({
        "id": commit.sha, "tree_id": commit.sha, "distinct": true, "message": commit.message,
        "timestamp": time(commit.created_ms),
        "url": format!("{WEB}/{}/commit/{}", found.full_name(), commit.sha),
        "author": author, "committer": author, "added": [], "removed": [], "modified": [],
    })
}

/// The merge queue tries a pull request on a branch of its own.
fn merge_group(file: &mut GithubFile, request: &PlayRequest) -> Result<Played, ApiError> {
    let number = request
        .number
        .ok_or_else(|| ApiError::bad_request("a merge group needs the number of a pull request"))?;
    let found = find(file, &request.repository)?;
    let pull = found.pulls.get(&number).cloned();
    let pull = pull.ok_or_else(|| ApiError::not_found("pull request"))?;
    let sha = pull.merge_commit_sha.clone();
    let sha = sha.ok_or_else(|| ApiError::bad_request("the pull request has a conflict"))?;
    let branch = format!(
        "gh-readonly-queue/{}/pr-{number}-{}",
        pull.base_ref, pull.base_sha
    );
    found.branches.insert(branch.clone(), sha.clone());
    let commit = found.commits.get(&sha);
    let commit = commit.ok_or_else(|| ApiError::not_found("commit"))?;
    let mut head_commit = commit_view(found, commit);
    // This view of a commit has neither the files nor the accounts.
    if let Some(view) = head_commit.as_object_mut() {
        for name in ["added", "removed", "modified", "distinct", "url"] {
            view.remove(name);
        }
        for person in ["author", "committer"] {
            view[person] = json!({ "name": view[person]["name"], "email": view[person]["email"] });
        }
    }
    let git_ref = format!("refs/heads/{branch}");
    let payload = json!({
        "action": "checks_requested",
        "merge_group": {
            "head_sha": sha, "head_ref": git_ref,
            "base_sha": pull.base_sha, "base_ref": format!("refs/heads/{}", pull.base_ref),
            "head_commit": head_commit,
        },
    });
    Ok(Played {
        payload,
        git_ref,
        sha,
        head_and_base: (String::new(), String::new()),
        read_only: false,
    })
}

/// An event on the tip of a branch, the default branch without one.
fn at_branch(
    file: &mut GithubFile,
    call: &GithubCall,
    branch: Option<&str>,
    payload: Value,
) -> Result<Played, ApiError> {
    let missing = || ApiError::not_found("branch");
    let found = file
        .repositories
        .get(&call.repository)
        .ok_or_else(missing)?;
    let branch = branch.unwrap_or(&found.default_branch);
    let sha = found.branches.get(branch).cloned().ok_or_else(missing)?;
    Ok(Played {
        payload,
        git_ref: format!("refs/heads/{branch}"),
        sha,
        head_and_base: (String::new(), String::new()),
        read_only: false,
    })
}

/// The variables of the job, with its token.
fn variables(
    file: &mut GithubFile,
    seed: u64,
    call: &GithubCall,
    request: &PlayRequest,
    played: &Played,
) -> CommandResult {
    let wanted = request.permissions.clone().unwrap_or_else(|| {
        let permissions = PERMISSIONS.into_iter();
        permissions
            .map(|(name, level)| (name.to_owned(), level.to_owned()))
            .collect()
    });
    // Events from forks and from Dependabot get a token that can only read.
    let level = |level: String| match played.read_only {
        true => "read".to_owned(),
        false => level,
    };
    let permissions: BTreeMap<String, String> = wanted
        .into_iter()
        .map(|(name, wanted)| (name, level(wanted)))
        .collect();
    let token = create_token(
        file,
        seed,
        &json!({
            "kind": "actions", "repositories": [request.repository], "permissions": permissions,
        }),
    )?;
    let run = file.next_id();
    let found = find(file, &request.repository)?;
    let event = request.event.split('.').next().unwrap_or_default();
    let short = ["refs/heads/", "refs/tags/", "refs/"];
    let ref_name = short
        .iter()
        .find_map(|prefix| played.git_ref.strip_prefix(prefix));
    let login = call.caller.login();
    Ok(json!({
        "CI": "true",
        "GITHUB_ACTIONS": "true",
        "GITHUB_ACTOR": login,
        "GITHUB_API_URL": call.base,
        "GITHUB_BASE_REF": played.head_and_base.1,
        "GITHUB_EVENT_NAME": event,
        "GITHUB_GRAPHQL_URL": format!("{}/graphql", call.base),
        "GITHUB_HEAD_REF": played.head_and_base.0,
        "GITHUB_REF": played.git_ref,
        "GITHUB_REF_NAME": ref_name,
        "GITHUB_REPOSITORY": found.full_name(),
        "GITHUB_REPOSITORY_ID": found.id.to_string(),
        "GITHUB_REPOSITORY_OWNER": found.owner,
        "GITHUB_REPOSITORY_OWNER_ID": user_id(&found.owner).to_string(),
        "GITHUB_RUN_ATTEMPT": "1",
        "GITHUB_RUN_ID": run.to_string(),
        "GITHUB_RUN_NUMBER": "1",
        "GITHUB_SERVER_URL": WEB,
        "GITHUB_SHA": played.sha,
        "GITHUB_TOKEN": token["token"],
        "GITHUB_WORKFLOW": request.workflow.as_deref().unwrap_or(WORKFLOW),
    }))
}
