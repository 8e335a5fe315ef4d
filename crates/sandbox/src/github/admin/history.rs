//! What git and people do to branches and pull requests.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Value, json};

use super::{CommandResult, DEFAULT_USER, RepositoryRequest, find, id_of, new_repository, parse};
use crate::api::ApiError;
use crate::github::git::{CommitDraft, MergeMethod, add_commit, merge_commit, rebase};
use crate::github::issues::set_open;
use crate::github::state::{GithubFile, GithubIssue, GithubPull};
use crate::github::workflows::read_workflow_files;

/// A commit to make. A file that is null is removed.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CommitRequest {
    message: String,
    author: Option<String>,
    #[serde(default)]
    files: BTreeMap<String, Option<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PushRequest {
    repository: String,
    /// The branch; the default branch without one. A new branch starts at the default branch.
    branch: Option<String>,
    commits: Vec<CommitRequest>,
}

/// Pushes commits to a branch. Open pull requests from this branch follow it.
pub(super) fn push(file: &mut GithubFile, now: i64, body: &Value) -> CommandResult {
    let request: PushRequest = parse(body)?;
    let found = find(file, &request.repository)?;
    let id = found.id;
    let branch = request
        .branch
        .unwrap_or_else(|| found.default_branch.clone());
    let before = found.branches.get(&branch).cloned();
    let commits = commit_all(file, id, &branch, &request.commits, now)?;
    let pulls = follow_branch(file, id, &branch, now);
    let found = find(file, &request.repository)?;
    let after = found.branches.get(&branch).cloned();
    if branch == found.default_branch {
        read_workflow_files(file, id, now);
    }
    Ok(json!({ "before": before, "after": after, "commits": commits, "pulls": pulls }))
}

/// Adds commits to a branch, which is made if it does not exist. Returns their hashes.
fn commit_all(
    file: &mut GithubFile,
    repository: u64,
    branch: &str,
    commits: &[CommitRequest],
    now_ms: i64,
) -> Result<Vec<String>, ApiError> {
    let mut added = Vec::new();
    let missing = || ApiError::not_found("repository");
    for commit in commits {
        let found = file.repositories.get(&repository).ok_or_else(missing)?;
        let default = found.branches.get(&found.default_branch);
        let tip = found.branches.get(branch).or(default).cloned();
        let parent = tip.as_ref().and_then(|tip| found.commits.get(tip));
        let mut files = parent
            .map(|parent| parent.files.clone())
            .unwrap_or_default();
        for (path, content) in &commit.files {
            match content {
                Some(content) => drop(files.insert(path.clone(), content.clone())),
                None => drop(files.remove(path)),
            }
        }
        let draft = CommitDraft {
            parents: tip.into_iter().collect(),
            message: commit.message.clone(),
            author: commit
                .author
                .clone()
                .unwrap_or_else(|| DEFAULT_USER.to_owned()),
            now_ms,
        };
        let sha = add_commit(file, repository, draft, files);
        let found = file.repositories.get_mut(&repository).ok_or_else(missing)?;
        found.branches.insert(branch.to_owned(), sha.clone());
        added.push(sha);
    }
    Ok(added)
}

/// Moves the open pull requests from or to a branch to its tip. Returns the numbers of those from it.
fn follow_branch(file: &mut GithubFile, repository: u64, branch: &str, now: i64) -> Vec<u64> {
    let mut moved = Vec::new();
    let mut tests = Vec::new();
    let source = file.repositories.get(&repository);
    let tip = source.and_then(|found| found.branches.get(branch)).cloned();
    let commits = source
        .map(|found| found.commits.clone())
        .unwrap_or_default();
    let Some(tip) = tip else {
        return moved;
    };
    for found in file.repositories.values_mut() {
        let mut is_source = false;
        for pull in found.pulls.values_mut() {
            let Some(issue) = found
                .issues
                .get_mut(&pull.number)
                .filter(|issue| issue.open)
            else {
                continue;
            };
            if pull.head_repository == repository && pull.head_ref == branch {
                pull.head_sha.clone_from(&tip);
                issue.updated_ms = now;
                is_source = true;
                moved.push(pull.number);
                tests.push((found.id, pull.number));
            } else if found.id == repository && pull.base_ref == branch {
                pull.base_sha.clone_from(&tip);
                tests.push((found.id, pull.number));
            }
        }
        // The commits of a fork are reachable from the repository that it is a fork of.
        if is_source && found.id != repository {
            found.commits.extend(commits.clone());
        }
    }
    for (repository, number) in tests {
        test_merge(file, repository, number, now);
    }
    moved
}

/// Makes the commit of the test merge, which workflows of a pull request run on.
fn test_merge(file: &mut GithubFile, repository: u64, number: u64, now_ms: i64) {
    let found = file.repositories.get(&repository);
    let Some(pull) = found.and_then(|found| found.pulls.get(&number)).cloned() else {
        return;
    };
    // On a conflict, the last one stays.
    if pull.conflict {
        return;
    }
    let draft = CommitDraft {
        parents: vec![pull.base_sha.clone(), pull.head_sha.clone()],
        message: format!("Merge {} into {}", pull.head_sha, pull.base_sha),
        author: "github".to_owned(),
        now_ms,
    };
    let sides = (pull.base_sha.as_str(), pull.head_sha.as_str());
    let sha = merge_commit(file, repository, sides, draft);
    let found = file.repositories.get_mut(&repository);
    if let Some(pull) = found.and_then(|found| found.pulls.get_mut(&number)) {
        pull.merge_commit_sha = Some(sha);
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TagRequest {
    repository: String,
    name: String,
    #[serde(rename = "ref")]
    git_ref: Option<String>,
}

/// Sets a tag to a commit.
pub(super) fn tag(file: &mut GithubFile, body: &Value) -> CommandResult {
    let request: TagRequest = parse(body)?;
    let found = find(file, &request.repository)?;
    let default = found.default_branch.clone();
    let commit = found.resolve(request.git_ref.as_deref().unwrap_or(&default));
    let sha = commit
        .ok_or_else(|| ApiError::not_found("commit"))?
        .sha
        .clone();
    found.tags.insert(request.name, sha.clone());
    Ok(json!({ "sha": sha }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PullRequest {
    repository: String,
    /// The branch with the changes, which is made if it does not exist.
    head: String,
    base: Option<String>,
    title: Option<String>,
    body: Option<String>,
    user: Option<String>,
    #[serde(default)]
    draft: bool,
    /// The owner of the fork that the branch is in.
    fork: Option<String>,
    #[serde(default)]
    labels: BTreeSet<String>,
    #[serde(default)]
    commits: Vec<CommitRequest>,
}

/// Opens a pull request.
pub(super) fn open_pull(file: &mut GithubFile, now: i64, body: &Value) -> CommandResult {
    let request: PullRequest = parse(body)?;
    let found = find(file, &request.repository)?;
    let base = request.base.unwrap_or_else(|| found.default_branch.clone());
    let base_sha = found.branches.get(&base).cloned();
    let base_sha = base_sha.ok_or_else(|| ApiError::not_found(&format!("branch {base}")))?;
    let (target, name) = (found.id, found.name.clone());
    let source = match &request.fork {
        None => target,
        Some(owner) => fork(file, target, &format!("{owner}/{name}"), now)?,
    };
    let has_branch = file
        .repositories
        .get(&source)
        .is_some_and(|found| found.branches.contains_key(&request.head));
    let mut commits = request.commits;
    if !has_branch && commits.is_empty() {
        commits.push(CommitRequest {
            message: format!("Change {}", request.head),
            author: request.user.clone(),
            files: BTreeMap::from([(format!("{}.txt", request.head), Some(String::new()))]),
        });
    }
    commit_all(file, source, &request.head, &commits, now)?;
    let missing = || ApiError::not_found("repository");
    let found = file.repositories.get(&source).ok_or_else(missing)?;
    let head_sha = found
        .branches
        .get(&request.head)
        .cloned()
        .unwrap_or_default();
    let (head_owner, brought) = (found.owner.clone(), found.commits.clone());
    let id = file.next_id();
    let found = find(file, &request.repository)?;
    found.commits.extend(brought);
    let number = found.next_number();
    let user = request.user.unwrap_or_else(|| match &request.fork {
        Some(owner) => owner.clone(),
        None => DEFAULT_USER.to_owned(),
    });
    let issue = GithubIssue {
        id,
        number,
        title: request.title.unwrap_or_else(|| request.head.clone()),
        body: request.body,
        user,
        open: true,
        created_ms: now,
        updated_ms: now,
        ..GithubIssue::default()
    };
    let pull = GithubPull {
        id,
        number,
        draft: request.draft,
        head_ref: request.head,
        head_sha,
        head_owner,
        head_repository: source,
        base_ref: base,
        base_sha,
        ..GithubPull::default()
    };
    found.issues.insert(number, issue);
    found.pulls.insert(number, pull);
    super::conversations::set_labels(file, target, number, request.labels);
    test_merge(file, target, number, now);
    shown(file, target, number)
}

/// The fork with this name, which is made if it does not exist.
fn fork(file: &mut GithubFile, of: u64, name: &str, now: i64) -> Result<u64, ApiError> {
    if let Ok(id) = id_of(file, name) {
        return Ok(id);
    }
    let Some(original) = file.repositories.get(&of).cloned() else {
        return Err(ApiError::not_found("repository"));
    };
    let request = RepositoryRequest {
        name: name.to_owned(),
        private: None,
        archived: None,
        organization: None,
        has_issues: None,
        default_branch: Some(original.default_branch.clone()),
        immutable_subject: None,
        files: BTreeMap::new(),
    };
    let id = new_repository(file, now, &request, Some(of))?;
    if let Some(fork) = file.repositories.get_mut(&id) {
        fork.private = original.private;
        fork.has_issues = false;
        fork.commits = original.commits;
        fork.branches = original.branches;
    }
    Ok(id)
}

/// What a command about a pull request returns.
fn shown(file: &GithubFile, repository: u64, number: u64) -> CommandResult {
    let found = file.repositories.get(&repository);
    let pull = found.and_then(|found| found.pulls.get(&number));
    let pull = pull.ok_or_else(|| ApiError::not_found("pull request"))?;
    Ok(json!({
        "number": pull.number,
        "head_sha": pull.head_sha,
        "base_sha": pull.base_sha,
        "merge_commit_sha": pull.merge_commit_sha,
    }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MergeRequest {
    repository: String,
    number: u64,
    method: Option<MergeMethod>,
    user: Option<String>,
}

/// Merges a pull request, whatever its checks say.
pub(super) fn merge_pull(file: &mut GithubFile, now: i64, body: &Value) -> CommandResult {
    let request: MergeRequest = parse(body)?;
    let lag = file.behaviour.merged_pulls_lag;
    let found = find(file, &request.repository)?;
    let id = found.id;
    let pull = found.pulls.get(&request.number).cloned();
    let pull = pull.ok_or_else(|| ApiError::not_found("pull request"))?;
    let issue = found.issues.get(&request.number);
    let title = issue
        .filter(|issue| issue.open)
        .map(|issue| issue.title.clone());
    let title = title.ok_or_else(|| ApiError::bad_request("the pull request is not open"))?;
    if pull.conflict {
        return Err(ApiError::bad_request("the pull request has a conflict"));
    }
    let user = request.user.unwrap_or_else(|| DEFAULT_USER.to_owned());
    let base = found.branches.get(&pull.base_ref).cloned();
    let base = base.ok_or_else(|| ApiError::not_found("base branch"))?;
    let draft = |parents: Vec<String>, message: String| CommitDraft {
        parents,
        message,
        author: user.clone(),
        now_ms: now,
    };
    let sides = (base.as_str(), pull.head_sha.as_str());
    let brought = found.commits_between(sides.0, sides.1);
    let brought: Vec<String> = brought.iter().map(|commit| commit.sha.clone()).collect();
    let (tip, introduced) = match request.method.unwrap_or(MergeMethod::Merge) {
        MergeMethod::Merge => {
            let message = format!(
                "Merge pull request #{} from {}/{}\n\n{title}",
                pull.number, pull.head_owner, pull.head_ref
            );
            let parents = vec![base.clone(), pull.head_sha.clone()];
            let sha = merge_commit(file, id, sides, draft(parents, message));
            (sha.clone(), brought.into_iter().chain([sha]).collect())
        }
        MergeMethod::Squash => {
            let message = format!("{title} (#{})", pull.number);
            let sha = merge_commit(file, id, sides, draft(vec![base.clone()], message));
            (sha.clone(), BTreeSet::from([sha]))
        }
        MergeMethod::Rebase => {
            let copies = rebase(file, id, sides, now);
            let tip = copies.last().cloned().unwrap_or_else(|| base.clone());
            (tip, copies.into_iter().collect())
        }
    };
    let found = find(file, &request.repository)?;
    found.branches.insert(pull.base_ref.clone(), tip.clone());
    if let Some(pull) = found.pulls.get_mut(&request.number) {
        pull.merge_commit_sha = Some(tip.clone());
        pull.merged_ms = Some(now);
        pull.merged_by = Some(user.clone());
        pull.introduced = introduced;
        pull.unknown_requests = lag;
    }
    if let Some(issue) = found.issues.get_mut(&request.number) {
        set_open(issue, false, None, &user, now);
        issue.state_reason = None;
    }
    let is_default = pull.base_ref == found.default_branch;
    follow_branch(file, id, &pull.base_ref, now);
    if is_default {
        read_workflow_files(file, id, now);
    }
    Ok(json!({ "sha": tip, "before": base }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PullUpdate {
    repository: String,
    number: u64,
    draft: Option<bool>,
    /// Whether it conflicts with its base.
    conflict: Option<bool>,
    /// Deletes the fork that the branch is in.
    #[serde(default)]
    delete_fork: bool,
}

/// Changes what only pull requests have.
pub(super) fn update_pull(file: &mut GithubFile, now: i64, body: &Value) -> CommandResult {
    let request: PullUpdate = parse(body)?;
    let found = find(file, &request.repository)?;
    let id = found.id;
    let pull = found.pulls.get_mut(&request.number);
    let pull = pull.ok_or_else(|| ApiError::not_found("pull request"))?;
    pull.draft = request.draft.unwrap_or(pull.draft);
    pull.conflict = request.conflict.unwrap_or(pull.conflict);
    let head = pull.head_repository;
    if request.delete_fork && head != id {
        file.repositories.remove(&head);
    }
    if request.conflict == Some(false) {
        test_merge(file, id, request.number, now);
    }
    shown(file, id, request.number)
}
