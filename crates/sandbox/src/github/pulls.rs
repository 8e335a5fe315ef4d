//! Pull requests, and the commits that they brought.

use serde_json::{Value, json};

use super::call::{GithubCall, node_id, optional_time, time};
use super::comments::association;
use super::commits::no_commit;
use super::issues::{check_state, comment_count, label_views};
use super::response::{GithubError, GithubResponse, GithubResult};
use super::state::{GithubFile, GithubIssue, GithubPull, GithubRepository};
use super::views::{WEB, extend, repository as repository_view, user};

/// `GET /repos/{owner}/{repo}/pulls`: the newest first.
pub(crate) fn list(file: &mut GithubFile, call: &GithubCall) -> GithubResult {
    let repository = call.repo(file)?;
    let state = call.query("state").unwrap_or("open");
    check_state(state)?;
    let mut pulls: Vec<(&GithubPull, &GithubIssue)> = all(repository)
        .filter(|(_, issue)| call.is_listed(issue.created_ms))
        .filter(|(_, issue)| state == "all" || issue.open == (state == "open"))
        .filter(|(pull, _)| call.selects("base", &pull.base_ref))
        // `user:branch`. A value of another form is ignored, as if it was not there.
        .filter(|(pull, _)| match call.query("head") {
            Some(head) if head.contains(':') => {
                head == format!("{}:{}", pull.head_owner, pull.head_ref)
            }
            _ => true,
        })
        .collect();
    match call.query("sort") {
        Some("updated") => pulls.sort_by_key(|(pull, issue)| (issue.updated_ms, pull.number)),
        _ => pulls.sort_by_key(|(pull, issue)| (issue.created_ms, pull.number)),
    }
    // Without a direction, lists that are sorted by creation start with the newest, others with the
    // oldest.
    let newest_first = match call.query("direction") {
        Some(direction) => direction == "desc",
        None => matches!(call.query("sort"), None | Some("created")),
    };
    if newest_first {
        pulls.reverse();
    }
    let found: &GithubFile = file;
    Ok(call.list(&pulls, |(pull, issue)| simple(found, call, pull, issue)))
}

/// `GET /repos/{owner}/{repo}/pulls/{pull_number}`
pub(crate) fn get(file: &mut GithubFile, call: &GithubCall) -> GithubResult {
    let number = call.number("pull_number")?;
    let repository = call.repo(file)?;
    let pull = repository.pulls.get(&number);
    let (pull, issue) = pull
        .zip(repository.issues.get(&number))
        .ok_or_else(GithubError::not_found)?;
    Ok(GithubResponse::ok(full(file, call, pull, issue)))
}

/// `GET /repos/{owner}/{repo}/commits/{commit_sha}/pulls`
pub(crate) fn of_commit(file: &mut GithubFile, call: &GithubCall) -> GithubResult {
    let wanted = call.param("commit_sha").to_owned();
    let repository = call.repo(file)?;
    let commit = repository.resolve(&wanted);
    let sha = commit.ok_or_else(|| no_commit(&wanted))?.sha.clone();
    let tip = repository.branches.get(&repository.default_branch);
    let is_on_default = tip.is_some_and(|tip| repository.ancestors(tip).contains(&sha));
    let has = |pull: &GithubPull| {
        let merged = pull.merged_ms.is_some();
        let in_branch = || {
            let commits = repository.commits_between(&pull.base_sha, &pull.head_sha);
            commits.iter().any(|commit| commit.sha == sha)
        };
        // Of a commit on the default branch, only the pull request that brought it counts.
        match (is_on_default, merged) {
            (true, _) => merged && pull.introduced.contains(&sha),
            (false, true) => pull.introduced.contains(&sha) || in_branch(),
            (false, false) => in_branch(),
        }
    };
    let numbers: Vec<u64> = all(repository)
        .filter(|(pull, issue)| (issue.open || pull.merged_ms.is_some()) && has(pull))
        .map(|(pull, _)| pull.number)
        .collect();
    let mut known = Vec::new();
    for number in numbers {
        if let Some(pull) = call.repo_mut(file)?.pulls.get_mut(&number) {
            match pull.unknown_requests {
                0 => known.push(number),
                _ => pull.unknown_requests -= 1,
            }
        }
    }
    let repository = call.repo(file)?;
    let pulls: Vec<(&GithubPull, &GithubIssue)> = all(repository)
        .filter(|(pull, _)| known.contains(&pull.number))
        .collect();
    let found: &GithubFile = file;
    Ok(call.list(&pulls, |(pull, issue)| simple(found, call, pull, issue)))
}

fn all(repository: &GithubRepository) -> impl Iterator<Item = (&GithubPull, &GithubIssue)> {
    repository
        .pulls
        .values()
        .filter_map(|pull| Some((pull, repository.issues.get(&pull.number)?)))
}

/// One side of a pull request.
fn side(
    file: &GithubFile,
    call: &GithubCall,
    repository: u64,
    owner: &str,
    (branch, sha): (&str, &str),
) -> Value {
    let found = file.repositories.get(&repository);
    json!({
        "label": format!("{owner}:{branch}"),
        "ref": branch,
        "sha": sha,
        "user": user(call, owner),
        // A fork that was deleted leaves null.
        "repo": found.map_or(Value::Null, |found| repository_view(call, found)),
    })
}

/// A pull request as lists show it.
pub(crate) fn simple(
    file: &GithubFile,
    call: &GithubCall,
    pull: &GithubPull,
    issue: &GithubIssue,
) -> Value {
    let Some(repository) = file.repositories.get(&call.repository) else {
        return Value::Null;
    };
    let number = pull.number;
    let url = call.api_url(repository, &format!("/pulls/{number}"));
    let issue_url = call.api_url(repository, &format!("/issues/{number}"));
    let statuses_url = call.api_url(repository, &format!("/statuses/{}", pull.head_sha));
    let html_url = format!("{WEB}/{}/pull/{number}", repository.full_name());
    let head = (pull.head_ref.as_str(), pull.head_sha.as_str());
    let base = (pull.base_ref.as_str(), pull.base_sha.as_str());
    let link = |href: &str| json!({ "href": href });
    let review_comments = format!("{url}/comments");
    let review_comment = format!("{}/comments{{/number}}", call.api_url(repository, "/pulls"));
    let (comments, commits) = (format!("{issue_url}/comments"), format!("{url}/commits"));
    let mut view = json!({
        "id": pull.id,
        "node_id": node_id("PR", pull.id),
        "number": number,
        "url": url,
        "html_url": html_url,
        "diff_url": format!("{html_url}.diff"),
        "patch_url": format!("{html_url}.patch"),
        "issue_url": issue_url,
        "commits_url": commits,
        "review_comments_url": review_comments,
        "review_comment_url": review_comment,
        "comments_url": comments,
        "statuses_url": statuses_url,
        "head": side(file, call, pull.head_repository, &pull.head_owner, head),
        "base": side(file, call, repository.id, &repository.owner, base),
        "_links": {
            "self": link(&url),
            "html": link(&html_url),
            "issue": link(&issue_url),
            "comments": link(&comments),
            "review_comments": link(&review_comments),
            "review_comment": link(&review_comment),
            "commits": link(&commits),
            "statuses": link(&statuses_url),
        },
    });
    extend(&mut view, conversation(call, repository, pull, issue));
    view
}

/// What a pull request says, and when what happened to it.
fn conversation(
    call: &GithubCall,
    repository: &GithubRepository,
    pull: &GithubPull,
    issue: &GithubIssue,
) -> Value {
    json!({
        "state": if issue.open { "open" } else { "closed" },
        "locked": issue.locked,
        "active_lock_reason": null,
        "title": issue.title,
        "body": issue.body,
        "user": user(call, &issue.user),
        "labels": label_views(call, repository, issue),
        "milestone": null,
        "assignee": null,
        "assignees": [],
        "requested_reviewers": [],
        "requested_teams": [],
        "draft": pull.draft,
        "created_at": time(issue.created_ms),
        "updated_at": time(issue.updated_ms),
        "closed_at": optional_time(issue.closed_ms),
        "merged_at": optional_time(pull.merged_ms),
        "merge_commit_sha": pull.merge_commit_sha,
        "author_association": association(repository, &issue.user),
        "auto_merge": null,
    })
}

/// A pull request on its own.
pub(crate) fn full(
    file: &GithubFile,
    call: &GithubCall,
    pull: &GithubPull,
    issue: &GithubIssue,
) -> Value {
    let mut view = simple(file, call, pull, issue);
    let Some(repository) = file.repositories.get(&call.repository) else {
        return view;
    };
    let merged = pull.merged_ms.is_some();
    let state = match () {
        () if !issue.open => "unknown",
        () if pull.conflict => "dirty",
        () if pull.draft => "draft",
        () => "clean",
    };
    let mergeable = match issue.open {
        true => Value::Bool(!pull.conflict),
        false => Value::Null,
    };
    let commits = repository.commits_between(&pull.base_sha, &pull.head_sha);
    let merged_by = pull.merged_by.as_deref();
    extend(
        &mut view,
        json!({
            "merged": merged,
            "mergeable": mergeable,
            "rebaseable": mergeable,
            "mergeable_state": state,
            "merged_by": merged_by.map_or(Value::Null, |login| user(call, login)),
            "comments": comment_count(repository, pull.number),
            "review_comments": 0,
            "maintainer_can_modify": false,
            "commits": commits.len(),
            "additions": commits.len(),
            "deletions": 0,
            "changed_files": commits.len(),
        }),
    );
    view
}
