//! One request to GitHub: its headers, how it is repeated, and what an answer that is no success means.

use std::time::Duration;

use reqwest::{Method, Response, StatusCode, Url, header::HeaderMap};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{ClientInner, GitHubClient, github_error};
use crate::{
    clouds::{
        CloudError, ErrorKind, endpoint,
        http::{self, Idempotency, connection_error},
        url::has_plain_segments,
    },
    model::redact,
};

/// The version of the API (GitHub's "API versions"). An unknown one is answered with 400.
const API_VERSION: &str = "2022-11-28";
/// How often a redirect is followed: a repository that was renamed twice answers with two.
const MAX_REDIRECTS: u32 = 3;
/// GitHub ends a request after 10 s, so that an answer after this time does not come any more.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(20);

/// A request. The path begins behind `/repos/OWNER/NAME`.
#[derive(Debug)]
pub(super) struct GitHubRequest {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) body: Option<Value>,
    pub(super) idempotency: Idempotency,
    /// The operation, for error messages.
    pub(super) operation: String,
}

impl GitHubRequest {
    pub(super) fn get(path: impl Into<String>, operation: impl Into<String>) -> Self {
        Self {
            method: Method::GET,
            path: path.into(),
            body: None,
            idempotency: Idempotency::Idempotent,
            operation: operation.into(),
        }
    }

    /// A request that makes something new. It is not repeated when its outcome is unknown.
    pub(super) fn create(
        path: impl Into<String>,
        body: Value,
        operation: impl Into<String>,
    ) -> Self {
        Self {
            method: Method::POST,
            path: path.into(),
            body: Some(body),
            idempotency: Idempotency::NotIdempotent,
            operation: operation.into(),
        }
    }

    /// A request that sets what it names, and that may be repeated.
    pub(super) fn set(
        method: Method,
        path: impl Into<String>,
        body: Option<Value>,
        operation: impl Into<String>,
    ) -> Self {
        Self {
            method,
            path: path.into(),
            body,
            idempotency: Idempotency::Idempotent,
            operation: operation.into(),
        }
    }
}

/// A successful answer.
pub(super) struct Answer {
    pub(super) headers: HeaderMap,
    text: String,
}

impl Answer {
    pub(super) fn parse<T: DeserializeOwned>(&self, operation: &str) -> Result<T, CloudError> {
        let text = if self.text.trim().is_empty() {
            "null"
        } else {
            &self.text
        };
        serde_json::from_str(text).map_err(|error| {
            let reason = endpoint::summarize_html(text)
                .unwrap_or_else(|| endpoint::to_single_line(&redact(&error.to_string())));
            github_error(
                operation,
                ErrorKind::InvalidResponse,
                format!("the answer cannot be read: {reason}"),
            )
        })
    }
}

impl GitHubClient {
    /// Sends a request and reads its answer.
    ///
    /// # Errors
    /// GitHub's error, or why there was no answer.
    pub(super) async fn send<T: DeserializeOwned>(
        &self,
        request: &GitHubRequest,
    ) -> Result<T, CloudError> {
        let url = self.url_of(request)?;
        self.send_to(&url, request).await?.parse(&request.operation)
    }

    /// Sends a GraphQL query.
    ///
    /// # Errors
    /// As [`Self::send`], and for errors that GraphQL reports in an answer with status 200.
    pub(super) async fn query(&self, operation: &str, query: Value) -> Result<Value, CloudError> {
        let request = GitHubRequest {
            idempotency: Idempotency::Idempotent,
            ..GitHubRequest::create("", query, operation)
        };
        let answer: Value = self
            .send_to(&self.0.graphql_url, &request)
            .await?
            .parse(operation)?;
        match answer.pointer("/errors/0/message").and_then(Value::as_str) {
            Some(message) => Err(github_error(
                operation,
                ErrorKind::Rejected,
                endpoint::to_single_line(&redact(message)),
            )),
            None => Ok(answer.get("data").cloned().unwrap_or_default()),
        }
    }

    /// The URL of a request.
    pub(super) fn url_of(&self, request: &GitHubRequest) -> Result<Url, CloudError> {
        let path = format!("{}{}", self.0.repository_path, request.path);
        if !has_plain_segments(&path) {
            return Err(github_error(
                &request.operation,
                ErrorKind::Rejected,
                "a name in it is empty, `.` or `..`; nothing was sent",
            ));
        }
        let base = self.0.api_url.as_str().trim_end_matches('/');
        Url::parse(&format!("{base}{path}")).map_err(|error| {
            github_error(&request.operation, ErrorKind::Rejected, error.to_string())
        })
    }

    pub(super) async fn send_to(
        &self,
        url: &Url,
        request: &GitHubRequest,
    ) -> Result<Answer, CloudError> {
        http::retry_with_backoff(1.0, request.idempotency, || self.follow(url, request)).await
    }

    /// Sends a request, and follows redirects on the same server: a renamed repository answers with one.
    async fn follow(&self, url: &Url, request: &GitHubRequest) -> Result<Answer, CloudError> {
        let mut url = url.clone();
        for _ in 0..MAX_REDIRECTS {
            let response = self.send_once(&url, request).await?;
            let status = response.status();
            if !status.is_redirection() {
                return read_answer(request, response).await;
            }
            // The token goes along, so it must not lead to another server.
            url = redirect_on_same_server(&url, response.headers())
                .filter(|_| request.method == Method::GET || keeps_method(status))
                .ok_or_else(|| {
                    let target = endpoint::redirect_target(&response).unwrap_or_default();
                    github_error(
                        &request.operation,
                        ErrorKind::Rejected,
                        format!(
                            "{} it points to {target}, and that is not followed",
                            status.as_u16()
                        ),
                    )
                })?;
        }
        Err(github_error(
            &request.operation,
            ErrorKind::Rejected,
            "it is redirected again and again",
        ))
    }

    async fn send_once(&self, url: &Url, request: &GitHubRequest) -> Result<Response, CloudError> {
        let ClientInner {
            clients,
            authorization,
            ..
        } = &*self.0;
        let mut builder = clients
            .for_url(url.as_str())
            .request(request.method.clone(), url.clone())
            .timeout(RESPONSE_TIMEOUT)
            .header(reqwest::header::AUTHORIZATION, authorization.clone())
            .header(reqwest::header::ACCEPT, "application/vnd.github+json")
            .header("X-GitHub-Api-Version", API_VERSION);
        if let Some(body) = &request.body {
            builder = builder.json(body);
        }
        let response = builder.send().await.map_err(|error| CloudError {
            cloud: crate::clouds::CloudProvider::GitHub,
            ..connection_error(&request.operation, &error)
        })?;
        tracing::debug!(method = %request.method, path = url.path(), status = response.status().as_u16(), "github");
        Ok(response)
    }
}

fn keeps_method(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT
    )
}

/// Where a redirect leads, if that is on the same server.
fn redirect_on_same_server(url: &Url, headers: &HeaderMap) -> Option<Url> {
    let location = headers.get(reqwest::header::LOCATION)?.to_str().ok()?;
    url.join(location)
        .ok()
        .filter(|target| target.origin() == url.origin())
}

async fn read_answer(request: &GitHubRequest, response: Response) -> Result<Answer, CloudError> {
    let (status, headers) = (response.status(), response.headers().clone());
    if !status.is_success() {
        let text = endpoint::read_error_body(&request.operation, response).await?;
        return Err(status_error(request, status, &headers, &text));
    }
    let body = endpoint::read_body(&request.operation, response).await?;
    match String::from_utf8(body) {
        Ok(text) => Ok(Answer { headers, text }),
        Err(_) => Err(github_error(
            &request.operation,
            ErrorKind::InvalidResponse,
            "the answer is not UTF-8",
        )),
    }
}

/// The error of an answer with an error status. GitHub says in a header which permission the token lacks.
fn status_error(
    request: &GitHubRequest,
    status: StatusCode,
    headers: &HeaderMap,
    text: &str,
) -> CloudError {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let text = &redact(text);
    let body: Value = serde_json::from_str(text).unwrap_or_default();
    let message = body
        .get("message")
        .and_then(Value::as_str)
        .map_or_else(|| endpoint::summarize_text(text), endpoint::to_single_line);
    let details = body
        .get("errors")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(describe_field_error)
        .next();
    let permissions = header("x-accepted-github-permissions")
        .filter(|list| !list.is_empty() && status == StatusCode::FORBIDDEN)
        .map(|list| format!("{}{}", CloudError::NEEDED_PERMISSION, redact(list)));
    let parts = [Some(message.clone()), details, permissions];
    let is_limited = header("x-ratelimit-remaining") == Some("0")
        || message.to_ascii_lowercase().contains("secondary rate");
    let kind = match status.as_u16() {
        403 if is_limited => ErrorKind::Throttled,
        // The object was there once: issues that are switched off, or a comment that somebody has deleted.
        410 => ErrorKind::NotFound,
        status => ErrorKind::from_status(status),
    };
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    CloudError {
        status: Some(status.as_u16()),
        request_id: header("x-github-request-id").map(redact),
        ..github_error(
            &request.operation,
            kind,
            redact(format!("{} {}", status.as_u16(), parts.join("; ")).trim_end()),
        )
    }
}

/// One of the `errors` of a 422: an object, or a plain text.
fn describe_field_error(error: &Value) -> Option<String> {
    if let Some(text) = error.as_str() {
        return Some(endpoint::to_single_line(text));
    }
    let text = |key| error.get(key).and_then(Value::as_str);
    match (text("message"), text("field"), text("code")) {
        (Some(message), ..) => Some(endpoint::to_single_line(message)),
        (None, Some(field), Some(code)) => {
            Some(endpoint::to_single_line(&format!("{field}: {code}")))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error_of(status: u16, headers: &[(&'static str, &str)], body: &str) -> CloudError {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().unwrap());
        }
        let request = GitHubRequest::get("/issues", "read the issues");
        status_error(&request, StatusCode::from_u16(status).unwrap(), &map, body)
    }

    #[test]
    fn a_missing_permission_is_named() {
        let error = error_of(
            403,
            &[(
                "x-accepted-github-permissions",
                "issues=write; pull_requests=write",
            )],
            r#"{"message":"Resource not accessible by integration"}"#,
        );
        assert_eq!(error.kind, ErrorKind::PermissionDenied);
        assert_eq!(
            error.message,
            "403 Resource not accessible by integration; the token needs issues=write; pull_requests=write"
        );
    }

    #[test]
    fn limits_are_told_from_missing_rights() {
        let message = r#"{"message":"You have exceeded a secondary rate limit."}"#;
        assert_eq!(error_of(403, &[], message).kind, ErrorKind::Throttled);
        let primary = error_of(403, &[("x-ratelimit-remaining", "0")], "{}");
        assert_eq!(primary.kind, ErrorKind::Throttled);
        assert_eq!(error_of(410, &[], "{}").kind, ErrorKind::NotFound);
    }

    #[test]
    fn field_errors_are_shown_in_both_forms() {
        let object = r#"{"message":"Validation Failed","errors":[{"field":"data","code":"unprocessable","message":"Body is too long"}]}"#;
        assert_eq!(
            error_of(422, &[], object).message,
            "422 Validation Failed; Body is too long"
        );
        let text = r#"{"message":"Validation Failed","errors":["no"]}"#;
        assert_eq!(
            error_of(422, &[], text).message,
            "422 Validation Failed; no"
        );
        let code = r#"{"message":"Validation Failed","errors":[{"field":"name","code":"already_exists"}]}"#;
        assert_eq!(
            error_of(422, &[], code).message,
            "422 Validation Failed; name: already_exists"
        );
    }

    #[test]
    fn a_redirect_stays_on_the_server() {
        let url = Url::parse("https://api.github.com/repos/a/b").unwrap();
        let target = |location: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("location", location.parse().unwrap());
            redirect_on_same_server(&url, &headers).map(|url| url.to_string())
        };
        assert_eq!(
            target("https://api.github.com/repositories/7"),
            Some("https://api.github.com/repositories/7".to_owned())
        );
        assert_eq!(target("https://evil.example/repositories/7"), None);
        assert_eq!(target("http://api.github.com/repositories/7"), None);
    }
}
