//! Comments on issues and pull requests.

use serde_json::{Value, json};

use super::call::{GithubCall, node_id, time};
use super::response::{GithubError, GithubResponse, GithubResult};
use super::state::{GithubComment, GithubFile, GithubIssue, GithubRepository};
use super::views::{ACTIONS_LOGIN, WEB, user};
use crate::clock::parse_timestamp;

/// The longest body of a comment or an issue. The unit is not documented; longer bodies in bytes have
/// been seen, so it counts characters.
const BODY_MAX_CHARACTERS: usize = 65_536;

/// `GET /repos/{owner}/{repo}/issues/{issue_number}/comments`: the oldest first.
pub(crate) fn list(file: &mut GithubFile, call: &GithubCall) -> GithubResult {
    let repository = call.repo(file)?;
    let issue = existing_issue(repository, call)?.number;
    let since = since(call)?;
    let comments: Vec<&GithubComment> = repository
        .comments
        .values()
        .filter(|comment| comment.issue == issue && call.is_listed(comment.created_ms))
        .filter(|comment| since.is_none_or(|since| comment.updated_ms >= since))
        .collect();
    Ok(call.list(&comments, |comment| view(call, repository, comment)))
}

/// `POST /repos/{owner}/{repo}/issues/{issue_number}/comments`
pub(crate) fn create(file: &mut GithubFile, call: &GithubCall) -> GithubResult {
    let repository = call.repo(file)?;
    let issue = existing_issue(repository, call)?;
    let number = issue.number;
    // The conversation stays open for people who may push.
    if issue.locked && (call.caller.is_actions() || !call.caller.can_push()) {
        return Err(
            GithubError::new(403, "Unable to create comment because issue is locked.")
                .with_documentation("https://help.github.com/articles/locking-conversations/"),
        );
    }
    let body = valid_body(call)?.to_owned();
    let id = file.next_id();
    let repository = call.repo_mut(file)?;
    let comment = GithubComment {
        id,
        issue: number,
        user: call.caller.login().to_owned(),
        body,
        created_ms: call.now_ms,
        updated_ms: call.now_ms,
        minimized: None,
    };
    repository.comments.insert(id, comment.clone());
    if let Some(issue) = repository.issues.get_mut(&number) {
        issue.updated_ms = call.now_ms;
    }
    Ok(GithubResponse::created(view(call, repository, &comment)))
}

/// `GET /repos/{owner}/{repo}/issues/comments/{comment_id}`
pub(crate) fn get(file: &mut GithubFile, call: &GithubCall) -> GithubResult {
    let repository = call.repo(file)?;
    let comment = find(repository, call)?;
    Ok(GithubResponse::ok(view(call, repository, comment)))
}

/// `PATCH /repos/{owner}/{repo}/issues/comments/{comment_id}`
pub(crate) fn update(file: &mut GithubFile, call: &GithubCall) -> GithubResult {
    let id = find(call.repo(file)?, call)?.id;
    let body = valid_body(call)?.to_owned();
    let repository = call.repo_mut(file)?;
    if let Some(comment) = repository.comments.get_mut(&id) {
        comment.body = body;
        comment.updated_ms = call.now_ms;
    }
    get(file, call)
}

/// `DELETE /repos/{owner}/{repo}/issues/comments/{comment_id}`
pub(crate) fn delete(file: &mut GithubFile, call: &GithubCall) -> GithubResult {
    let id = find(call.repo(file)?, call)?.id;
    call.repo_mut(file)?.comments.remove(&id);
    Ok(GithubResponse::no_content())
}

fn find<'r>(
    repository: &'r GithubRepository,
    call: &GithubCall,
) -> Result<&'r GithubComment, GithubError> {
    let id = call.number("comment_id")?;
    repository
        .comments
        .get(&id)
        .ok_or_else(GithubError::not_found)
}

/// The issue or pull request that the path names.
///
/// # Errors
/// `404` when there is none, `410` when it was deleted.
pub(crate) fn existing_issue<'r>(
    repository: &'r GithubRepository,
    call: &GithubCall,
) -> Result<&'r GithubIssue, GithubError> {
    let number = call.number("issue_number")?;
    match repository.issues.get(&number) {
        None => Err(GithubError::not_found()),
        Some(issue) if issue.deleted => Err(GithubError::new(410, "This issue was deleted")),
        Some(issue) => Ok(issue),
    }
}

/// The parameter `since`.
///
/// # Errors
/// `422` when it is no time.
pub(crate) fn since(call: &GithubCall) -> Result<Option<i64>, GithubError> {
    let parse = |text| {
        parse_timestamp(text)
            .ok_or_else(|| GithubError::malformed(&format!("For 'since', {text} is not a time.")))
    };
    call.query("since").map(parse).transpose()
}

fn valid_body(call: &GithubCall) -> Result<&str, GithubError> {
    let body = call.required_text("body")?;
    if body.trim().is_empty() {
        return Err(GithubError::invalid(
            "IssueComment",
            "body",
            "missing_field",
        ));
    }
    check_length("IssueComment", body)?;
    Ok(body)
}

/// Checks the length of a body.
///
/// # Errors
/// `422`.
pub(crate) fn check_length(resource: &str, body: &str) -> Result<(), GithubError> {
    if body.chars().count() <= BODY_MAX_CHARACTERS {
        return Ok(());
    }
    let message = format!("Body is too long (maximum is {BODY_MAX_CHARACTERS} characters)");
    Err(GithubError::explained(
        resource,
        "data",
        "unprocessable",
        &message,
    ))
}

/// What an author is to a repository.
pub(crate) fn association(repository: &GithubRepository, login: &str) -> &'static str {
    match login {
        _ if login == repository.owner => "OWNER",
        // The association of apps, as in recorded responses.
        _ if login.ends_with("[bot]") => "NONE",
        _ => "CONTRIBUTOR",
    }
}

/// The app that acted, if it was the token of a job.
pub(crate) fn app(call: &GithubCall, login: &str) -> Value {
    if login != ACTIONS_LOGIN {
        return Value::Null;
    }
    json!({
        "id": 15_368,
        "slug": "github-actions",
        "node_id": "MDM6QXBwMTUzNjg=",
        "client_id": "Iv1.05c79e9ad1f6bdfa",
        "owner": user(call, "github"),
        "name": "GitHub Actions",
        "description": "Automate your workflow from idea to production",
        "external_url": "https://help.github.com/en/actions",
        "html_url": format!("{WEB}/apps/github-actions"),
        "created_at": "2018-07-30T09:30:17Z",
        "updated_at": "2025-12-11T19:14:24Z",
        "permissions": { "issues": "write", "metadata": "read", "pull_requests": "write" },
        "events": ["pull_request", "push"],
    })
}

pub(crate) fn view(
    call: &GithubCall,
    repository: &GithubRepository,
    comment: &GithubComment,
) -> Value {
    let is_pull = repository.pulls.contains_key(&comment.issue);
    let kind = if is_pull { "pull" } else { "issues" };
    let url = call.api_url(repository, &format!("/issues/comments/{}", comment.id));
    json!({
        "id": comment.id,
        "node_id": node_id("IC", comment.id),
        "url": url,
        "html_url": format!(
            "{WEB}/{}/{kind}/{}#issuecomment-{}",
            repository.full_name(), comment.issue, comment.id
        ),
        "issue_url": call.api_url(repository, &format!("/issues/{}", comment.issue)),
        "body": comment.body,
        "user": user(call, &comment.user),
        "created_at": time(comment.created_ms),
        "updated_at": time(comment.updated_ms),
        "author_association": association(repository, &comment.user),
        "performed_via_github_app": app(call, &comment.user),
        "reactions": reactions(&format!("{url}/reactions")),
    })
}

/// The summary of reactions, of which there are none here.
pub(crate) fn reactions(url: &str) -> Value {
    json!({
        "url": url, "total_count": 0, "+1": 0, "-1": 0, "laugh": 0, "hooray": 0,
        "confused": 0, "heart": 0, "rocket": 0, "eyes": 0,
    })
}
