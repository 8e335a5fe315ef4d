//! What people do to issues and comments.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{CommandResult, DEFAULT_USER, find, parse};
use crate::api::ApiError;
use crate::github::issues::set_open;
use crate::github::state::{GithubComment, GithubFile, GithubIssue, GithubLabel};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct IssueRequest {
    repository: String,
    title: String,
    body: Option<String>,
    user: Option<String>,
    #[serde(default)]
    labels: BTreeSet<String>,
}

/// Opens an issue.
pub(super) fn create_issue(file: &mut GithubFile, now: i64, body: &Value) -> CommandResult {
    let request: IssueRequest = parse(body)?;
    let id = file.next_id();
    let found = find(file, &request.repository)?;
    let number = found.next_number();
    let issue = GithubIssue {
        id,
        number,
        title: request.title,
        body: request.body,
        user: request.user.unwrap_or_else(|| DEFAULT_USER.to_owned()),
        open: true,
        created_ms: now,
        updated_ms: now,
        ..GithubIssue::default()
    };
    let repository = found.id;
    found.issues.insert(number, issue);
    set_labels(file, repository, number, request.labels);
    Ok(json!({ "number": number }))
}

/// Sets the labels of an issue or a pull request, and makes those that do not exist.
pub(super) fn set_labels(
    file: &mut GithubFile,
    repository: u64,
    number: u64,
    names: BTreeSet<String>,
) {
    for name in &names {
        let id = file.next_id();
        if let Some(found) = file.repositories.get_mut(&repository) {
            let label = GithubLabel {
                id,
                name: name.clone(),
                color: "ededed".to_owned(),
                description: None,
            };
            found.labels.entry(name.to_lowercase()).or_insert(label);
        }
    }
    let found = file.repositories.get_mut(&repository);
    if let Some(issue) = found.and_then(|found| found.issues.get_mut(&number)) {
        issue.labels = names;
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct IssueUpdate {
    repository: String,
    number: u64,
    title: Option<String>,
    body: Option<String>,
    open: Option<bool>,
    state_reason: Option<String>,
    user: Option<String>,
    locked: Option<bool>,
    deleted: Option<bool>,
    labels: Option<BTreeSet<String>>,
}

/// Changes an issue or a pull request: opens or closes it, locks its conversation, deletes it.
pub(super) fn update_issue(file: &mut GithubFile, now: i64, body: &Value) -> CommandResult {
    let request: IssueUpdate = parse(body)?;
    let found = find(file, &request.repository)?;
    let repository = found.id;
    let is_pull = found.pulls.get(&request.number);
    if is_pull.is_some_and(|pull| pull.merged_ms.is_some()) && request.open == Some(true) {
        return Err(ApiError::bad_request("a merged pull request stays closed"));
    }
    let issue = found.issues.get_mut(&request.number);
    let issue = issue.ok_or_else(|| ApiError::not_found("issue"))?;
    if let Some(open) = request.open {
        let user = request.user.unwrap_or_else(|| DEFAULT_USER.to_owned());
        let reason = request.state_reason.filter(|_| is_pull.is_none());
        set_open(issue, open, reason, &user, now);
        if is_pull.is_some() {
            issue.state_reason = None;
        }
    }
    issue.title = request.title.unwrap_or_else(|| issue.title.clone());
    issue.body = request.body.or_else(|| issue.body.take());
    issue.locked = request.locked.unwrap_or(issue.locked);
    issue.deleted = request.deleted.unwrap_or(issue.deleted);
    issue.updated_ms = now;
    if let Some(labels) = request.labels {
        set_labels(file, repository, request.number, labels);
    }
    Ok(json!({ "number": request.number }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CommentRequest {
    repository: String,
    number: u64,
    body: String,
    user: Option<String>,
}

/// Comments on an issue or a pull request.
pub(super) fn create_comment(file: &mut GithubFile, now: i64, body: &Value) -> CommandResult {
    let request: CommentRequest = parse(body)?;
    let id = file.next_id();
    let found = find(file, &request.repository)?;
    if !found.issues.contains_key(&request.number) {
        return Err(ApiError::not_found("issue"));
    }
    let comment = GithubComment {
        id,
        issue: request.number,
        user: request.user.unwrap_or_else(|| DEFAULT_USER.to_owned()),
        body: request.body,
        created_ms: now,
        updated_ms: now,
        minimized: None,
    };
    found.comments.insert(id, comment);
    Ok(json!({ "id": id }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CommentUpdate {
    repository: String,
    id: u64,
    body: String,
}

/// Edits a comment.
pub(super) fn update_comment(file: &mut GithubFile, now: i64, body: &Value) -> CommandResult {
    let request: CommentUpdate = parse(body)?;
    let comment = find(file, &request.repository)?
        .comments
        .get_mut(&request.id);
    let comment = comment.ok_or_else(|| ApiError::not_found("comment"))?;
    comment.body = request.body;
    comment.updated_ms = now;
    Ok(json!({ "id": request.id }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CommentDeletion {
    repository: String,
    id: u64,
}

/// Deletes a comment.
pub(super) fn delete_comment(file: &mut GithubFile, body: &Value) -> CommandResult {
    let request: CommentDeletion = parse(body)?;
    let removed = find(file, &request.repository)?
        .comments
        .remove(&request.id);
    removed.ok_or_else(|| ApiError::not_found("comment"))?;
    Ok(json!({ "id": request.id }))
}
