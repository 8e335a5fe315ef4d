//! The calls, each of them once. Bodies and answers are those of GitHub's OpenAPI description (version 2022-11-28).

use reqwest::Method;
use serde_json::{Value, json};

use super::{
    GitHubClient, GitHubRequest,
    types::{Issue, IssueComment, PullRequest, Repository, WorkflowState},
};
use crate::clouds::{CloudError, url::query_value};

impl GitHubClient {
    /// The repository.
    ///
    /// # Errors
    /// As every request; 404 also where the token may not see a private repository.
    pub async fn repository(&self) -> Result<Repository, CloudError> {
        self.send(&GitHubRequest::get("", "read the repository"))
            .await
    }

    /// The login of the token, such as `github-actions[bot]`. REST refuses to answer this for the token of a job.
    ///
    /// # Errors
    /// As every request.
    pub async fn viewer_login(&self) -> Result<String, CloudError> {
        let operation = "ask GitHub whose token this is";
        let data = self
            .query(operation, json!({ "query": "query { viewer { login } }" }))
            .await?;
        let login = data.pointer("/viewer/login").and_then(Value::as_str);
        login.map(str::to_owned).ok_or_else(|| {
            super::github_error(
                operation,
                crate::clouds::ErrorKind::InvalidResponse,
                "the answer names nobody",
            )
        })
    }

    /// A pull request.
    ///
    /// # Errors
    /// As every request.
    pub async fn pull_request(&self, number: u64) -> Result<PullRequest, CloudError> {
        let operation = format!("read pull request {number}");
        self.send(&GitHubRequest::get(format!("/pulls/{number}"), operation))
            .await
    }

    /// The pull requests that brought a commit, or that have it.
    ///
    /// # Errors
    /// When any page cannot be read.
    pub async fn pull_requests_of_commit(&self, sha: &str) -> Result<Vec<PullRequest>, CloudError> {
        let sha = crate::clouds::url::segment(sha);
        self.list(
            &format!("/commits/{sha}/pulls?per_page=100"),
            "find the pull request of this commit",
        )
        .await
    }

    /// The comments of an issue or a pull request, oldest first.
    ///
    /// # Errors
    /// When any page cannot be read.
    pub async fn comments(&self, number: u64) -> Result<Vec<IssueComment>, CloudError> {
        self.list(
            &format!("/issues/{number}/comments?per_page=100"),
            &format!("list the comments of #{number}"),
        )
        .await
    }

    /// Makes a comment. It notifies those who follow the pull request.
    ///
    /// # Errors
    /// As every request. After an ambiguous error the comment may be there.
    pub async fn create_comment(
        &self,
        number: u64,
        body: &str,
    ) -> Result<IssueComment, CloudError> {
        self.send(&GitHubRequest::create(
            format!("/issues/{number}/comments"),
            json!({ "body": body }),
            format!("comment on #{number}"),
        ))
        .await
    }

    /// Replaces the text of a comment.
    ///
    /// # Errors
    /// As every request; 404 when somebody has deleted it.
    pub async fn update_comment(&self, id: u64, body: &str) -> Result<IssueComment, CloudError> {
        self.send(&GitHubRequest::set(
            Method::PATCH,
            format!("/issues/comments/{id}"),
            Some(json!({ "body": body })),
            "update the comment",
        ))
        .await
    }

    /// Deletes a comment.
    ///
    /// # Errors
    /// As every request.
    pub async fn delete_comment(&self, id: u64) -> Result<(), CloudError> {
        self.send::<Value>(&GitHubRequest::set(
            Method::DELETE,
            format!("/issues/comments/{id}"),
            None,
            "delete a comment that is there twice",
        ))
        .await
        .map(drop)
    }

    /// The issues with a label, open or closed, the newest first; pull requests are left out.
    ///
    /// # Errors
    /// When any page cannot be read.
    pub async fn issues_with_label(&self, label: &str) -> Result<Vec<Issue>, CloudError> {
        let label = query_value(label);
        let path = format!("/issues?state=all&labels={label}&sort=created&per_page=100");
        let issues: Vec<Issue> = self.list(&path, "list the issues about drift").await?;
        Ok(issues
            .into_iter()
            .filter(|issue| issue.pull_request.is_none())
            .collect())
    }

    /// Opens an issue.
    ///
    /// # Errors
    /// As every request; 410 where issues are switched off.
    pub async fn create_issue(
        &self,
        title: &str,
        body: &str,
        label: &str,
    ) -> Result<Issue, CloudError> {
        self.send(&GitHubRequest::create(
            "/issues",
            json!({ "title": title, "body": body, "labels": [label] }),
            "open the issue",
        ))
        .await
    }

    /// Changes fields of an issue: `title`, `body`, `state`, `state_reason`.
    ///
    /// # Errors
    /// As every request.
    pub async fn update_issue(&self, number: u64, fields: Value) -> Result<Issue, CloudError> {
        self.send(&GitHubRequest::set(
            Method::PATCH,
            format!("/issues/{number}"),
            Some(fields),
            format!("update issue #{number}"),
        ))
        .await
    }

    /// Makes a label. One that is there already is no error.
    ///
    /// # Errors
    /// As every request.
    pub async fn ensure_label(
        &self,
        name: &str,
        color: &str,
        description: &str,
    ) -> Result<(), CloudError> {
        let made = self
            .send::<Value>(&GitHubRequest::create(
                "/labels",
                json!({ "name": name, "color": color, "description": description }),
                format!("make the label {name}"),
            ))
            .await;
        match made {
            Err(error) if error.message.contains("already_exists") => Ok(()),
            other => other.map(drop),
        }
    }

    /// The workflows of the repository, with their states.
    ///
    /// # Errors
    /// As every request.
    pub async fn workflows(&self) -> Result<Vec<WorkflowState>, CloudError> {
        let path = "/actions/workflows?per_page=100";
        self.list_under(path, "workflows", "list the workflows")
            .await
    }
}
