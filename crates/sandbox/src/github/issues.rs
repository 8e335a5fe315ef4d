//! Issues and labels. Every pull request is an issue as well.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::call::{GithubCall, node_id, optional_time, time};
use super::comments::{app, association, check_length, existing_issue, reactions, since};
use super::response::{GithubError, GithubResponse, GithubResult};
use super::state::{GithubFile, GithubIssue, GithubLabel, GithubRepository};
use super::views::{WEB, extend, user};

/// The longest title.
const TITLE_MAX_CHARACTERS: usize = 256;
/// The color of a label that is made by naming it.
const DEFAULT_COLOR: &str = "ededed";

/// `GET /repos/{owner}/{repo}/issues`: the newest first.
pub(crate) fn list(file: &mut GithubFile, call: &GithubCall) -> GithubResult {
    let repository = call.repo(file)?;
    let state = call.query("state").unwrap_or("open");
    check_state(state)?;
    let wanted: Vec<&str> = call
        .query("labels")
        .map(|labels| labels.split(',').map(str::trim).collect())
        .unwrap_or_default();
    let since = since(call)?;
    let has_label = |issue: &GithubIssue, wanted: &str| {
        let same = |name: &String| name.eq_ignore_ascii_case(wanted);
        issue.labels.iter().any(same)
    };
    // With issues disabled, the list still has the pull requests.
    let mut issues: Vec<&GithubIssue> = repository
        .issues
        .values()
        .filter(|issue| !issue.deleted && call.is_listed(issue.created_ms))
        .filter(|issue| state == "all" || issue.open == (state == "open"))
        .filter(|issue| call.selects("creator", &issue.user))
        .filter(|issue| wanted.iter().all(|label| has_label(issue, label)))
        .filter(|issue| since.is_none_or(|since| issue.updated_ms >= since))
        .collect();
    match call.query("sort") {
        Some("updated") => issues.sort_by_key(|issue| (issue.updated_ms, issue.number)),
        _ => issues.sort_by_key(|issue| (issue.created_ms, issue.number)),
    }
    if call.query("direction") != Some("asc") {
        issues.reverse();
    }
    Ok(call.list(&issues, |issue| view(call, repository, issue)))
}

/// The values of `state` in lists.
///
/// # Errors
/// `422` for another one.
pub(crate) fn check_state(state: &str) -> Result<(), GithubError> {
    match state {
        "open" | "closed" | "all" => Ok(()),
        other => Err(GithubError::malformed(&format!(
            "For 'state', {other} is not a member of [\"open\", \"closed\", \"all\"]."
        ))),
    }
}

/// `POST /repos/{owner}/{repo}/issues`
pub(crate) fn create(file: &mut GithubFile, call: &GithubCall) -> GithubResult {
    if !call.repo(file)?.has_issues {
        return Err(disabled());
    }
    let title = valid_title(call.required_text("title")?)?.to_owned();
    let body = call.text("body")?.map(str::to_owned);
    check_length("Issue", body.as_deref().unwrap_or_default())?;
    let labels = labels(call)?.unwrap_or_default();
    let id = file.next_id();
    // Labels of a user without push access are dropped silently.
    let labels = match call.caller.can_push() {
        true => ensure_labels(file, call, labels)?,
        false => BTreeSet::new(),
    };
    let repository = call.repo_mut(file)?;
    let issue = GithubIssue {
        id,
        number: repository.next_number(),
        title,
        body,
        user: call.caller.login().to_owned(),
        open: true,
        labels,
        created_ms: call.now_ms,
        updated_ms: call.now_ms,
        ..GithubIssue::default()
    };
    repository.issues.insert(issue.number, issue.clone());
    Ok(GithubResponse::created(view(call, repository, &issue)))
}

/// `GET /repos/{owner}/{repo}/issues/{issue_number}`
pub(crate) fn get(file: &mut GithubFile, call: &GithubCall) -> GithubResult {
    let repository = call.repo(file)?;
    let issue = existing_issue(repository, call)?;
    check_enabled(repository, issue.number)?;
    Ok(GithubResponse::ok(view(call, repository, issue)))
}

/// `PATCH /repos/{owner}/{repo}/issues/{issue_number}`
pub(crate) fn update(file: &mut GithubFile, call: &GithubCall) -> GithubResult {
    let repository = call.repo(file)?;
    let number = existing_issue(repository, call)?.number;
    check_enabled(repository, number)?;
    let title = call.text("title")?.map(valid_title).transpose()?;
    let title = title.map(str::to_owned);
    let body = call.text("body")?.map(str::to_owned);
    check_length("Issue", body.as_deref().unwrap_or_default())?;
    let open = call.word("state", &["open", "closed"])?;
    let open = open.map(|state| state == "open");
    let reasons = ["completed", "not_planned", "duplicate", "reopened"];
    let reason = call.word("state_reason", &reasons)?.map(str::to_owned);
    let labels = match labels(call)? {
        Some(names) if call.caller.can_push() => Some(ensure_labels(file, call, names)?),
        _ => None,
    };
    let login = call.caller.login().to_owned();
    let repository = call.repo_mut(file)?;
    let Some(issue) = repository.issues.get_mut(&number) else {
        return Err(GithubError::not_found());
    };
    issue.title = title.unwrap_or_else(|| issue.title.clone());
    issue.body = body.or_else(|| issue.body.take());
    issue.labels = labels.unwrap_or_else(|| issue.labels.clone());
    issue.updated_ms = call.now_ms;
    if let Some(open) = open {
        set_open(issue, open, reason, &login, call.now_ms);
    }
    get(file, call)
}

/// Opens or closes an issue.
pub(crate) fn set_open(
    issue: &mut GithubIssue,
    open: bool,
    reason: Option<String>,
    login: &str,
    now: i64,
) {
    let default = if open { "reopened" } else { "completed" };
    if open != issue.open || reason.is_some() {
        issue.state_reason = Some(reason.unwrap_or_else(|| default.to_owned()));
    }
    if open != issue.open {
        issue.closed_ms = (!open).then_some(now);
        issue.closed_by = (!open).then(|| login.to_owned());
    }
    issue.open = open;
    issue.updated_ms = now;
}

/// `410` for the issues of a repository without any.
fn disabled() -> GithubError {
    GithubError::new(410, "Issues has been disabled in this repository.")
}

/// Pull requests stay reachable where issues are disabled.
fn check_enabled(repository: &GithubRepository, number: u64) -> Result<(), GithubError> {
    match repository.has_issues || repository.pulls.contains_key(&number) {
        true => Ok(()),
        false => Err(disabled()),
    }
}

fn valid_title(title: &str) -> Result<&str, GithubError> {
    if title.trim().is_empty() {
        return Err(GithubError::invalid("Issue", "title", "missing_field"));
    }
    if title.chars().count() > TITLE_MAX_CHARACTERS {
        let message = format!("title is too long (maximum is {TITLE_MAX_CHARACTERS} characters)");
        return Err(GithubError::explained("Issue", "title", "custom", &message));
    }
    Ok(title)
}

/// The names in `labels` of the body: strings, or objects with a name.
fn labels(call: &GithubCall) -> Result<Option<Vec<String>>, GithubError> {
    let list = match &call.body["labels"] {
        Value::Null => return Ok(None),
        Value::Array(list) => list,
        other => {
            let why = format!("For 'properties/labels', {other} is not an array.");
            return Err(GithubError::malformed(&why));
        }
    };
    let name = |label: &Value| {
        let name = label.as_str().or_else(|| label["name"].as_str());
        name.map(str::to_owned)
            .ok_or_else(|| GithubError::malformed(&format!("{label} is no label.")))
    };
    list.iter().map(name).collect::<Result<_, _>>().map(Some)
}

/// The names as the repository spells them. Labels that do not exist are made.
fn ensure_labels(
    file: &mut GithubFile,
    call: &GithubCall,
    names: Vec<String>,
) -> Result<BTreeSet<String>, GithubError> {
    let mut spelled = BTreeSet::new();
    for name in names {
        let key = name.to_lowercase();
        if !call.repo(file)?.labels.contains_key(&key) {
            let id = file.next_id();
            let label = GithubLabel {
                id,
                name,
                color: DEFAULT_COLOR.to_owned(),
                description: None,
            };
            call.repo_mut(file)?.labels.insert(key.clone(), label);
        }
        let label = call.repo(file)?.labels.get(&key);
        spelled.extend(label.map(|label| label.name.clone()));
    }
    Ok(spelled)
}

/// `POST /repos/{owner}/{repo}/labels`
pub(crate) fn create_label(file: &mut GithubFile, call: &GithubCall) -> GithubResult {
    let name = call.required_text("name")?.to_owned();
    let color = call.text("color")?.unwrap_or(DEFAULT_COLOR).to_owned();
    let description = call.text("description")?.map(str::to_owned);
    if name.trim().is_empty() {
        return Err(GithubError::invalid("Label", "name", "missing_field"));
    }
    let is_color = color.len() == 6 && color.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_color {
        return Err(GithubError::invalid("Label", "color", "invalid"));
    }
    // The limit that the description of the API names.
    if description.as_deref().unwrap_or_default().chars().count() > 100 {
        return Err(GithubError::explained(
            "Label",
            "description",
            "custom",
            "description is too long (maximum is 100 characters)",
        ));
    }
    let key = name.to_lowercase();
    if call.repo(file)?.labels.contains_key(&key) {
        return Err(GithubError::invalid("Label", "name", "already_exists"));
    }
    let id = file.next_id();
    let label = GithubLabel {
        id,
        name,
        color,
        description,
    };
    let repository = call.repo_mut(file)?;
    repository.labels.insert(key, label.clone());
    Ok(GithubResponse::created(label_view(
        call, repository, &label,
    )))
}

/// `GET /repos/{owner}/{repo}/labels`
pub(crate) fn list_labels(file: &mut GithubFile, call: &GithubCall) -> GithubResult {
    let repository = call.repo(file)?;
    let labels: Vec<&GithubLabel> = repository.labels.values().collect();
    Ok(call.list(&labels, |label| label_view(call, repository, label)))
}

/// `GET /repos/{owner}/{repo}/labels/{name}`
pub(crate) fn get_label(file: &mut GithubFile, call: &GithubCall) -> GithubResult {
    let repository = call.repo(file)?;
    let label = repository.labels.get(&call.param("name").to_lowercase());
    let label = label.ok_or_else(GithubError::not_found)?;
    Ok(GithubResponse::ok(label_view(call, repository, label)))
}

fn label_view(call: &GithubCall, repository: &GithubRepository, label: &GithubLabel) -> Value {
    let path =
        percent_encoding::utf8_percent_encode(&label.name, percent_encoding::NON_ALPHANUMERIC);
    json!({
        "id": label.id,
        "node_id": node_id("LA", label.id),
        "url": call.api_url(repository, &format!("/labels/{path}")),
        "name": label.name,
        "color": label.color,
        "default": false,
        "description": label.description,
    })
}

/// The labels of an issue as the API shows them.
pub(crate) fn label_views(
    call: &GithubCall,
    repository: &GithubRepository,
    issue: &GithubIssue,
) -> Vec<Value> {
    issue
        .labels
        .iter()
        .filter_map(|name| repository.labels.get(&name.to_lowercase()))
        .map(|label| label_view(call, repository, label))
        .collect()
}

/// How many comments an issue has.
pub(crate) fn comment_count(repository: &GithubRepository, number: u64) -> usize {
    let comments = repository.comments.values();
    comments.filter(|comment| comment.issue == number).count()
}

pub(crate) fn view(call: &GithubCall, repository: &GithubRepository, issue: &GithubIssue) -> Value {
    let url = call.api_url(repository, &format!("/issues/{}", issue.number));
    let pull = repository.pulls.get(&issue.number);
    let kind = if pull.is_some() { "pull" } else { "issues" };
    let html_url = format!("{WEB}/{}/{kind}/{}", repository.full_name(), issue.number);
    let closed_by = issue.closed_by.as_deref();
    let mut view = json!({
        "id": issue.id,
        "node_id": node_id(if pull.is_some() { "PR" } else { "I" }, issue.id),
        "url": url,
        "repository_url": call.api_url(repository, ""),
        "labels_url": format!("{url}/labels{{/name}}"),
        "comments_url": format!("{url}/comments"),
        "events_url": format!("{url}/events"),
        "timeline_url": format!("{url}/timeline"),
        "html_url": html_url,
        "number": issue.number,
    });
    extend(
        &mut view,
        json!({
            "state": if issue.open { "open" } else { "closed" },
            "state_reason": issue.state_reason,
            "title": issue.title,
            "body": issue.body,
            "user": user(call, &issue.user),
            "labels": label_views(call, repository, issue),
            "assignee": null,
            "assignees": [],
            "milestone": null,
            "locked": issue.locked,
            "active_lock_reason": null,
            "comments": comment_count(repository, issue.number),
            "closed_at": optional_time(issue.closed_ms),
            "closed_by": closed_by.map_or(Value::Null, |login| user(call, login)),
            "created_at": time(issue.created_ms),
            "updated_at": time(issue.updated_ms),
            "author_association": association(repository, &issue.user),
            "performed_via_github_app": app(call, &issue.user),
            "reactions": reactions(&format!("{url}/reactions")),
        }),
    );
    if let Some(pull) = pull {
        view["draft"] = pull.draft.into();
        view["pull_request"] = json!({
            "url": call.api_url(repository, &format!("/pulls/{}", issue.number)),
            "html_url": html_url,
            "diff_url": format!("{html_url}.diff"),
            "patch_url": format!("{html_url}.patch"),
            "merged_at": optional_time(pull.merged_ms),
        });
    }
    view
}

/// The newest first.
pub(crate) fn newest_first<T>(items: &mut [&T], id: impl Fn(&T) -> u64) {
    items.sort_by_key(|item| Reverse(id(item)));
}
