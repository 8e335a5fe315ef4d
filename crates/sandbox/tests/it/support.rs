//! A running sandbox in its own folder, and helpers that send requests to it.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use trimtab_sandbox::{ClockMode, RunningSandbox, SandboxOptions, start};

/// The file in which every exchange is recorded for the external OpenAPI validator.
#[expect(
    clippy::disallowed_methods,
    reason = "whoever runs the tests says so, nobody could pass it down"
)]
fn record() -> Option<std::path::PathBuf> {
    std::env::var_os("TRIMTAB_SANDBOX_RECORD").map(Into::into)
}

#[derive(Debug)]
pub(crate) struct TestResponse {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) text: String,
}

impl TestResponse {
    /// Asserts the status and returns the body.
    #[track_caller]
    pub(crate) fn assert_status(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        serde_json::from_str(&self.text).unwrap_or_default()
    }

    /// Asserts an error with this status and a text that contains `part`.
    #[track_caller]
    pub(crate) fn assert_error(&self, status: u16, part: &str) {
        assert_eq!(self.status, status, "{}", self.text);
        assert!(self.text.contains(part), "{part:?} is not in {}", self.text);
    }
}

pub(crate) struct TestSandbox {
    pub(crate) dir: TempDir,
    pub(crate) running: RunningSandbox,
    pub(crate) token: String,
    client: reqwest::Client,
}

impl TestSandbox {
    /// A sandbox whose clock moves only by [`TestSandbox::advance_ms`].
    pub(crate) async fn scripted() -> Self {
        Self::with_options(|options| options.clock = ClockMode::Manual).await
    }

    pub(crate) async fn with_options(edit: impl FnOnce(&mut SandboxOptions)) -> Self {
        Self::in_dir(TempDir::new().unwrap(), edit).await
    }

    pub(crate) async fn in_dir(dir: TempDir, edit: impl FnOnce(&mut SandboxOptions)) -> Self {
        let mut options = SandboxOptions::new(dir.path());
        options.record = record();
        edit(&mut options);
        let running = start(options).await.unwrap();
        let token = running.org_token("acme").unwrap();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Self {
            dir,
            running,
            token,
            client,
        }
    }

    /// Stops it and starts another one on the same folder.
    pub(crate) async fn restart(self, edit: impl FnOnce(&mut SandboxOptions)) -> Self {
        self.running.stop().await;
        Self::in_dir(self.dir, edit).await
    }

    pub(crate) fn advance_ms(&self, ms: u64) {
        self.running
            .advance_clock(Duration::from_millis(ms))
            .unwrap();
    }

    pub(crate) fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        self.client
            .request(method, format!("{}{path}", self.running.url()))
            .bearer_auth(&self.token)
    }

    /// Sends a request and validates the response against the OpenAPI document.
    pub(crate) async fn send(&self, request: reqwest::RequestBuilder) -> TestResponse {
        let request = request.build().unwrap();
        let (method, path) = (
            request.method().to_string(),
            request.url().path().to_owned(),
        );
        let response = self.client.execute(request).await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let got = TestResponse {
            status,
            headers,
            text: response.text().await.unwrap(),
        };
        assert!(
            got.headers.contains_key("fly-request-id"),
            "{method} {path} has no request id"
        );
        let complaints = crate::openapi::violations(&method, &path, got.status, &got.text);
        assert!(complaints.is_empty(), "{method} {path}: {complaints:#?}");
        got
    }

    pub(crate) async fn get(&self, path: &str) -> TestResponse {
        self.send(self.request("GET", path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> TestResponse {
        self.send(self.request("POST", path).json(&body)).await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> TestResponse {
        self.send(self.request("PUT", path).json(&body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> TestResponse {
        self.send(self.request("DELETE", path)).await
    }

    /// Creates an app called `web`.
    pub(crate) async fn create_app(&self) {
        self.post("/v1/apps", json!({ "name": "web", "org_slug": "acme" }))
            .await
            .assert_status(201);
    }

    /// Creates a machine of `web`; returns it and the path to it.
    pub(crate) async fn create_machine(&self, body: Value) -> (Value, String) {
        let machine = self
            .post("/v1/apps/web/machines", body)
            .await
            .assert_status(200);
        let path = format!("/v1/apps/web/machines/{}", machine["id"].as_str().unwrap());
        (machine, path)
    }

    pub(crate) async fn machine_state(&self, path: &str) -> String {
        self.get(path).await.assert_status(200)["state"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// Sends a POST request to the sandbox's admin API.
    pub(crate) async fn post_admin(&self, path: &str, body: Value) -> Value {
        self.post(&format!("/_sandbox/{path}"), body)
            .await
            .assert_status(200)
    }
}

/// The smallest request that creates a machine.
pub(crate) fn nginx_machine() -> Value {
    json!({ "config": { "image": "nginx:1" }, "region": "fra" })
}

/// The response to a GraphQL document.
pub(crate) async fn graphql(sandbox: &TestSandbox, query: &str, variables: Value) -> Value {
    let body = json!({ "query": query, "variables": variables });
    sandbox.post("/graphql", body).await.assert_status(200)
}
