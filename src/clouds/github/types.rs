//! What GitHub's answers hold, as far as trimtab reads them. Unknown fields are ignored: GitHub adds some all the time.

use serde::Deserialize;

/// The repository.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Repository {
    /// Its id, which stays when it is renamed.
    pub id: u64,
    /// `owner/name`, as it is called now.
    pub full_name: String,
    /// Whether it is private.
    #[serde(default)]
    pub private: bool,
    /// The branch that schedules and `workflow_dispatch` run from.
    pub default_branch: String,
    /// Whether issues are switched on.
    #[serde(default)]
    pub has_issues: bool,
}

/// Somebody, or an app.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct User {
    /// The name; that of an app ends with `[bot]`.
    pub login: String,
}

/// A comment on an issue or a pull request.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct IssueComment {
    /// Its id. Ids ascend.
    pub id: u64,
    /// The text, in Markdown.
    #[serde(default)]
    pub body: Option<String>,
    /// The author; absent when the account is gone.
    #[serde(default)]
    pub user: Option<User>,
}

/// A pull request.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct PullRequest {
    /// Its number.
    pub number: u64,
    /// When it was merged.
    #[serde(default)]
    pub merged_at: Option<String>,
    /// The branch that it brings.
    pub head: PullRequestHead,
}

/// The branch of a pull request.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct PullRequestHead {
    /// The newest commit.
    pub sha: String,
}

/// Whether an issue or a pull request is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IssueState {
    /// It is open.
    Open,
    /// It is closed; a pull request may have been merged.
    Closed,
}

/// Why an issue is closed or open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IssueStateReason {
    /// What it was about is done.
    Completed,
    /// Somebody decided against it.
    NotPlanned,
    /// Another issue is about the same.
    Duplicate,
    /// It was opened again.
    Reopened,
    /// A reason that GitHub has added since.
    #[serde(other)]
    Other,
}

/// An issue. GitHub's list of issues has the pull requests in it as well.
#[derive(Clone, Debug, Deserialize)]
pub struct Issue {
    /// Its number.
    pub number: u64,
    /// The text, in Markdown.
    #[serde(default)]
    pub body: Option<String>,
    /// Whether it is open.
    pub state: IssueState,
    /// Why it is closed or open.
    #[serde(default)]
    pub state_reason: Option<IssueStateReason>,
    /// The author.
    #[serde(default)]
    pub user: Option<User>,
    /// Present in a pull request.
    #[serde(default)]
    pub pull_request: Option<serde::de::IgnoredAny>,
}

/// A workflow file.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct WorkflowState {
    /// The name, as the file says it.
    pub name: String,
    /// The path in the repository.
    pub path: String,
    /// `active`, `disabled_inactivity`, `disabled_manually`, `disabled_fork` or `deleted`.
    pub state: String,
}
