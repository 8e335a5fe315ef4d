//! The client of GitHub's REST API: pull requests and their comments, issues and workflows.
//!
//! It exists for pipelines, where trimtab comments on pull requests, finds the plan that was reviewed, and keeps one issue about
//! drift. Its calls are few, so there is no rate limiter: writes come one after the other, and a limit that GitHub reports is
//! waited for a few seconds at most. Nothing that a deployment needs depends on it.

mod calls;
mod pages;
mod request;
mod settings;
mod types;

use std::sync::Arc;

use reqwest::Url;

use self::request::GitHubRequest;
pub use self::settings::{
    ActionsEnvironment, ActionsPermissions, ActionsVariable, BranchRule, BranchState,
    DeploymentBranchPolicy, DeploymentRefPattern, OidcSubjectForm, SelectedActions,
};
pub use self::types::{
    Issue, IssueComment, IssueState, IssueStateReason, PullRequest, PullRequestHead, Repository,
    User, WorkflowState,
};
use super::{CloudError, CloudProvider, ErrorKind, endpoint, http::HttpClients};
use crate::model::Secret;

/// Where GitHub is, and as whom.
#[derive(Clone, Debug)]
pub struct GitHubConfig {
    /// The base URL of the REST API, as `GITHUB_API_URL` gives it: `https://api.github.com`.
    pub api_url: String,
    /// The URL of the GraphQL API, as `GITHUB_GRAPHQL_URL` gives it: `https://api.github.com/graphql`.
    pub graphql_url: String,
    /// The repository, `owner/name`.
    pub repository: String,
    /// The token: that of the job, a personal one, or one of an app.
    pub token: Secret,
}

/// A client for one repository. Clones share its connections.
#[derive(Clone, Debug)]
pub struct GitHubClient(Arc<ClientInner>);

#[derive(Debug)]
struct ClientInner {
    clients: HttpClients,
    api_url: Url,
    graphql_url: Url,
    /// `/repos/OWNER/NAME`, encoded.
    repository_path: String,
    authorization: reqwest::header::HeaderValue,
}

impl GitHubClient {
    /// A client for the repository of `config`.
    ///
    /// # Errors
    /// When the repository is not `owner/name`, the token cannot be in a header or must not be sent to the address, or TLS cannot
    /// be set up.
    pub fn new(config: &GitHubConfig) -> Result<Self, CloudError> {
        let rejected = |message: String| {
            github_error("set up the client of GitHub", ErrorKind::Rejected, message)
        };
        let (owner, name) = config
            .repository
            .split_once('/')
            .filter(|(owner, name)| !owner.is_empty() && !name.is_empty() && !name.contains('/'))
            .ok_or_else(|| {
                rejected(format!(
                    "`{}` is not a repository: expected OWNER/NAME",
                    config.repository
                ))
            })?;
        let mut authorization = reqwest::header::HeaderValue::from_str(&format!(
            "Bearer {}",
            config.token.expose().trim()
        ))
        .map_err(|_| rejected("the token holds characters that no header may hold".to_owned()))?;
        authorization.set_sensitive(true);
        let api_url =
            endpoint::parse_token_url(config.api_url.trim_end_matches('/')).map_err(rejected)?;
        let graphql_url = endpoint::parse_token_url(&config.graphql_url).map_err(rejected)?;
        let clients =
            HttpClients::new([api_url.as_str(), graphql_url.as_str()]).map_err(rejected)?;
        Ok(Self(Arc::new(ClientInner {
            clients,
            api_url,
            graphql_url,
            repository_path: format!(
                "/repos/{}/{}",
                super::url::segment(owner),
                super::url::segment(name)
            ),
            authorization,
        })))
    }
}

/// An error of a request to GitHub.
fn github_error(
    operation: impl Into<String>,
    kind: ErrorKind,
    message: impl Into<String>,
) -> CloudError {
    CloudError {
        cloud: CloudProvider::GitHub,
        ..CloudError::new(operation, kind, message)
    }
}
