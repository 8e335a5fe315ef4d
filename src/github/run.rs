//! Which run of GitHub Actions this is, from the variables of the runner and the file of the event.
//!
//! Sources: GitHub's "Variables reference" (`GITHUB_*`), and its "Events that trigger workflows".

use serde_json::Value;

/// A run of GitHub Actions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GitHubRun {
    /// The base URL of the REST API.
    pub api_url: String,
    /// The URL of the GraphQL API.
    pub graphql_url: String,
    /// `owner/name`.
    pub repository: String,
    /// The id of the repository, which stays when it is renamed.
    pub repository_id: u64,
    /// The commit that is checked out unless the workflow names another one. Of a pull request it is GitHub's test merge.
    pub sha: String,
    /// The id of the run; a later run has a higher one.
    pub run_id: u64,
    /// The address of the run's page.
    pub run_url: String,
    /// The event, such as `pull_request`.
    pub event_name: String,
    /// The pull request that the event is about.
    pub pull_request: Option<PullRequestContext>,
}

/// The address of the page of a run.
#[must_use]
pub fn run_url(server: &str, repository: &str, run_id: &str) -> String {
    format!("{server}/{repository}/actions/runs/{run_id}")
}

/// The pull request of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PullRequestContext {
    /// Its number.
    pub number: u64,
    /// The newest commit of its branch, at the time of the event.
    pub head_sha: String,
    /// Whether the branch is in another repository, whose runs get no secrets and a token that only reads.
    pub is_from_fork: bool,
    /// Whether Dependabot opened it, whose runs are treated like those of a fork.
    pub is_from_dependabot: bool,
}

/// Why a run writes no comment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhyNoComment {
    /// The event is about no pull request.
    NoPullRequest,
    /// The pull request comes from a fork.
    Fork,
    /// The pull request comes from Dependabot.
    Dependabot,
}

impl WhyNoComment {
    /// The reason, as a sentence fragment.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::NoPullRequest => "this run is for no pull request",
            Self::Fork => "the pull request comes from a fork, whose runs may not comment",
            Self::Dependabot => {
                "the pull request comes from Dependabot, whose runs may not comment"
            }
        }
    }
}

impl GitHubRun {
    /// Reads the run from its variables and its event. `None` outside GitHub Actions.
    #[must_use]
    pub fn from_variables<'a>(
        get: impl Fn(&str) -> Option<&'a str>,
        event: &Value,
    ) -> Option<Self> {
        if get("GITHUB_ACTIONS") != Some("true") {
            return None;
        }
        let repository = get("GITHUB_REPOSITORY")?.to_owned();
        let api_url = get("GITHUB_API_URL").unwrap_or("https://api.github.com");
        let graphql_url =
            get("GITHUB_GRAPHQL_URL").map_or_else(|| format!("{api_url}/graphql"), str::to_owned);
        let server = get("GITHUB_SERVER_URL").unwrap_or("https://github.com");
        let run_id = get("GITHUB_RUN_ID").unwrap_or("0");
        let number = |path: &str| event.pointer(path).and_then(Value::as_u64);
        let repository_id = get("GITHUB_REPOSITORY_ID").and_then(|id| id.parse().ok());
        Some(Self {
            api_url: api_url.to_owned(),
            graphql_url,
            repository_id: repository_id
                .or_else(|| number("/repository/id"))
                .unwrap_or_default(),
            sha: get("GITHUB_SHA").unwrap_or_default().to_owned(),
            run_id: run_id.parse().unwrap_or_default(),
            run_url: run_url(server, &repository, run_id),
            event_name: get("GITHUB_EVENT_NAME").unwrap_or_default().to_owned(),
            pull_request: pull_request_of(event, &repository),
            repository,
        })
    }

    /// The pull request to comment on.
    ///
    /// # Errors
    /// Why there is none. A run that may not comment is known before GitHub refuses it.
    pub fn commentable(&self) -> Result<&PullRequestContext, WhyNoComment> {
        match &self.pull_request {
            Some(request) if self.event_name == "pull_request" => match request {
                request if request.is_from_fork => Err(WhyNoComment::Fork),
                request if request.is_from_dependabot => Err(WhyNoComment::Dependabot),
                request => Ok(request),
            },
            _ => Err(WhyNoComment::NoPullRequest),
        }
    }
}

/// The pull request of an event. A branch whose fork was deleted counts as one of a fork.
fn pull_request_of(event: &Value, repository: &str) -> Option<PullRequestContext> {
    let request = event.get("pull_request")?;
    let text = |path: &str| request.pointer(path).and_then(Value::as_str);
    let is_own =
        text("/head/repo/full_name").is_some_and(|head| head.eq_ignore_ascii_case(repository));
    Some(PullRequestContext {
        number: request.get("number")?.as_u64()?,
        head_sha: text("/head/sha")?.to_owned(),
        is_from_fork: !is_own,
        is_from_dependabot: text("/user/login") == Some("dependabot[bot]"),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn run(event_name: &'static str, event: &Value) -> GitHubRun {
        GitHubRun::from_variables(
            |name| match name {
                "GITHUB_ACTIONS" => Some("true"),
                "GITHUB_REPOSITORY" => Some("acme/shop"),
                "GITHUB_RUN_ID" => Some("77"),
                "GITHUB_EVENT_NAME" => Some(event_name),
                _ => None,
            },
            event,
        )
        .unwrap()
    }

    fn pull_request(head: &Value, login: &str) -> Value {
        json!({ "repository": { "id": 5 }, "pull_request": { "number": 42, "user": { "login": login },
            "head": { "sha": "abc", "repo": head } } })
    }

    #[test]
    fn own_pull_request_gets_a_comment() {
        let event = pull_request(&json!({ "full_name": "Acme/Shop" }), "ann");
        let run = run("pull_request", &event);
        let request = run.commentable().unwrap();
        assert_eq!((request.number, request.head_sha.as_str()), (42, "abc"));
        assert_eq!(run.repository_id, 5);
        assert_eq!(run.run_url, "https://github.com/acme/shop/actions/runs/77");
        assert_eq!(run.graphql_url, "https://api.github.com/graphql");
    }

    #[test]
    fn runs_that_may_not_comment_are_known_beforehand() {
        let own = json!({ "full_name": "acme/shop" });
        for (event_name, head, login, why) in [
            (
                "pull_request",
                json!({ "full_name": "eve/shop" }),
                "eve",
                WhyNoComment::Fork,
            ),
            ("pull_request", Value::Null, "eve", WhyNoComment::Fork),
            (
                "pull_request",
                own.clone(),
                "dependabot[bot]",
                WhyNoComment::Dependabot,
            ),
            ("push", own, "ann", WhyNoComment::NoPullRequest),
        ] {
            let event = pull_request(&head, login);
            assert_eq!(run(event_name, &event).commentable(), Err(why));
        }
        let empty = run("schedule", &json!({}));
        assert_eq!(empty.commentable(), Err(WhyNoComment::NoPullRequest));
    }

    #[test]
    fn outside_github_actions_there_is_no_run() {
        assert_eq!(GitHubRun::from_variables(|_| None, &Value::Null), None);
    }
}
