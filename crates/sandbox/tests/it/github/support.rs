//! A sandbox with one repository, and requests to its GitHub.

use reqwest::Method;
use serde_json::{Value, json};
use trimtab_sandbox::SandboxOptions;

use crate::support::{TestResponse, TestSandbox};

/// The repository of most tests. It is private.
pub(crate) const REPOSITORY: &str = "acme/shop";
/// Its path in the API.
pub(crate) const R: &str = "/repos/acme/shop";

/// A sandbox whose clock stands still, with the repository `acme/shop` and the token of a job in it.
pub(crate) struct GithubSandbox {
    pub(crate) sandbox: TestSandbox,
    pub(crate) token: String,
    client: reqwest::Client,
}

impl GithubSandbox {
    /// With a token that may write everything that a job can.
    pub(crate) async fn new() -> Self {
        Self::with_options(|options| options.clock = trimtab_sandbox::ClockMode::Manual).await
    }

    pub(crate) async fn with_options(edit: impl FnOnce(&mut SandboxOptions)) -> Self {
        let sandbox = TestSandbox::with_options(edit).await;
        let client = reqwest::Client::builder()
            .no_proxy()
            .user_agent("octocat/1")
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap();
        let mut github = Self {
            sandbox,
            token: String::new(),
            client,
        };
        github.setup("repositories", json!({ "name": REPOSITORY }));
        let rights = ["actions", "checks", "contents", "deployments", "issues"];
        let more = ["pull_requests", "statuses"];
        let rights: Vec<_> = rights
            .into_iter()
            .chain(more)
            .map(|name| (name, "write"))
            .collect();
        github.token = github.actions_token(&rights);
        github
    }

    /// Does what people and git do.
    #[track_caller]
    #[expect(
        clippy::needless_pass_by_value,
        reason = "almost every body is made in the call"
    )]
    pub(crate) fn setup(&self, command: &str, body: Value) -> Value {
        self.sandbox.running.github().run(command, &body).unwrap()
    }

    /// The token of a job with these permissions.
    pub(crate) fn actions_token(&self, permissions: &[(&str, &str)]) -> String {
        let github = self.sandbox.running.github();
        github.actions_token(REPOSITORY, permissions).unwrap()
    }

    /// Another token.
    pub(crate) fn token(&self, body: Value) -> String {
        self.setup("tokens", body)["token"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    pub(crate) fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let url = match path.starts_with("http") {
            true => path.to_owned(),
            false => format!("{}{path}", self.sandbox.running.github_url()),
        };
        self.client.request(method, url)
    }

    pub(crate) async fn send(&self, request: reqwest::RequestBuilder) -> TestResponse {
        let response = request.send().await.unwrap();
        TestResponse {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            text: response.text().await.unwrap(),
        }
    }

    /// Sends a request with another token.
    pub(crate) async fn as_token(
        &self,
        token: &str,
        method: &str,
        path: &str,
        body: Value,
    ) -> TestResponse {
        let request = self.request(method, path).bearer_auth(token);
        match body.is_null() {
            true => self.send(request).await,
            false => self.send(request.json(&body)).await,
        }
    }

    pub(crate) async fn get(&self, path: &str) -> TestResponse {
        self.as_token(&self.token, "GET", path, Value::Null).await
    }

    pub(crate) async fn call(&self, method: &str, path: &str, body: Value) -> TestResponse {
        self.as_token(&self.token, method, path, body).await
    }

    /// Opens a pull request from a branch of the repository and returns its number.
    pub(crate) fn open_pull(&self, head: &str) -> u64 {
        let opened = self.setup("pulls", json!({ "repository": REPOSITORY, "head": head }));
        opened["number"].as_u64().unwrap()
    }
}

impl TestResponse {
    /// A header of the response.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }
}
