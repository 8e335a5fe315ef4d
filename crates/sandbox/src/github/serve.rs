//! The entry point of the imitation of GitHub: counts and records a request, injects faults, checks
//! token, limits and permissions, runs the endpoint, stores the changes and renders the response.
//!
//! Requests to the Fly and AWS APIs take the same path, with the same counters, clock, faults and
//! records.

use axum::body::{Body as HttpBody, to_bytes};
use axum::extract::{ConnectInfo, Query, Request as HttpRequest};
use axum::http::response::Builder;
use axum::http::{HeaderMap, Response, StatusCode, Uri, header};
use serde_json::{Value, json};

use super::access::{GithubCaller, GithubLevel, bad_credentials};
use super::call::{GithubCall, encode_body};
use super::limits::secondary_limit;
use super::response::{GithubBody, GithubError, GithubResponse};
use super::routes::{GithubRoute, documentation, find_route};
use super::state::{GithubRepository, GithubState};
use super::{MOUNT, graphql};
use crate::connection::ConnectionBreaker;
use crate::faults::{Injected, RequestKind};
use crate::http::{MAX_BODY_BYTES, drop_connection, render_response, truncated_body_response};
use crate::ids;
use crate::local_only::check_local;
use crate::server::Server;
use crate::shared_state::SharedState;

/// The versions of the API that exist.
const API_VERSIONS: [&str; 2] = ["2022-11-28", "2026-03-10"];

/// A request as received.
struct GithubRequest {
    number: u64,
    method: String,
    uri: Uri,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl GithubRequest {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The path below the base URL.
    fn path(&self) -> &str {
        let path = self.uri.path();
        path.strip_prefix(MOUNT).unwrap_or(path)
    }

    fn kind(&self) -> RequestKind {
        let reads = match self.path() {
            "/graphql" => !graphql::is_mutation(&self.body),
            _ => matches!(self.method.as_str(), "GET" | "HEAD"),
        };
        if reads {
            RequestKind::Read
        } else {
            RequestKind::Write
        }
    }
}

/// Handles one request.
pub(crate) async fn serve(server: &Server, request: HttpRequest) -> Response<HttpBody> {
    let breaker = request
        .extensions()
        .get::<ConnectInfo<ConnectionBreaker>>()
        .map(|info| info.0.clone());
    let (parts, body) = request.into_parts();
    if let Err(error) = check_local(&parts.headers) {
        return render_response(&error.into(), 0);
    }
    let Ok(body) = to_bytes(body, MAX_BODY_BYTES).await else {
        return drop_connection(breaker);
    };
    // The sandbox was stopped in the meantime, and another process can own its state by now.
    if server.lock_state().closed {
        return drop_connection(breaker);
    }
    let mut request = GithubRequest {
        number: 0,
        method: parts.method.to_string(),
        uri: parts.uri,
        headers: parts.headers,
        body: body.to_vec(),
    };
    let (path, query) = (request.uri.path(), request.uri.query());
    let (path, query) = (path.to_owned(), query.unwrap_or_default().to_owned());
    let (number, injected) =
        server
            .lock_state()
            .begin_request(&request.method, path, query, false, request.kind());
    request.number = number;
    server
        .hold_if_injected(injected, Injected::HoldBefore)
        .await;
    let (response, rate_limited) = respond_with_fault(server, &request, injected);
    server.hold_if_injected(injected, Injected::HoldAfter).await;
    server.delay().await;
    let dropped = matches!(injected, Some(Injected::DropBefore | Injected::DropAfter));
    let status = if dropped { 0 } else { response.status };
    server.finish_request(number, status, rate_limited);
    if dropped {
        return drop_connection(breaker);
    }
    let (content_type, text) = encode_body(&response.body);
    let builder = response_builder(&response, number, content_type);
    match injected == Some(Injected::Truncate) {
        // There is nothing to cut off.
        true if text.is_empty() => drop_connection(breaker),
        true => truncated_body_response(builder, text.as_bytes()),
        false => builder.body(HttpBody::from(text)).unwrap_or_default(),
    }
}

fn response_builder(response: &GithubResponse, number: u64, content_type: Option<&str>) -> Builder {
    let status = StatusCode::from_u16(response.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let id = ids::hex(&ids::derive_bytes(&["github request", &number.to_string()])[..8]);
    let mut builder = Response::builder()
        .status(status)
        .header(header::SERVER, "github.com")
        .header("x-github-request-id", id.to_ascii_uppercase())
        .header("x-github-media-type", "github.v3; format=json");
    if let Some(content_type) = content_type {
        builder = builder.header(header::CONTENT_TYPE, content_type);
    }
    for (name, value) in &response.headers {
        builder = builder.header(*name, value);
    }
    builder
}

/// Runs the request as the injected fault demands. Returns the response, and whether it is the refusal
/// by a limit.
fn respond_with_fault(
    server: &Server,
    request: &GithubRequest,
    injected: Option<Injected>,
) -> (GithubResponse, bool) {
    let refuse = |error: GithubError| error.into_response(&documentation(None));
    match injected {
        Some(Injected::DropBefore) => (GithubResponse::no_content(), false),
        Some(Injected::Status(429) | Injected::RateLimited) => {
            let behaviour = server.lock_state().world.github.file.behaviour.clone();
            (refuse(secondary_limit(&behaviour)), true)
        }
        Some(Injected::Status(code)) => (refuse(error_for_status(code)), false),
        Some(Injected::OperationAborted | Injected::ConditionalConflict) => {
            (refuse(error_for_status(409)), false)
        }
        Some(Injected::StatusAfter(code)) => {
            // The request takes effect, but the client gets an error in place of the response.
            execute(server, request);
            (refuse(error_for_status(code)), false)
        }
        Some(Injected::TokenExpired) => (refuse(bad_credentials()), false),
        Some(Injected::Twice) => {
            // The first response is lost, as if a proxy had sent the request again.
            execute(server, request);
            execute(server, request)
        }
        Some(
            Injected::DropAfter | Injected::Truncate | Injected::HoldBefore | Injected::HoldAfter,
        )
        | None => execute(server, request),
    }
}

/// The error that GitHub has for a status which a fault demands.
fn error_for_status(code: u16) -> GithubError {
    let message = match code {
        400 => "Bad Request",
        401 => return bad_credentials(),
        403 => "Resource not accessible by integration",
        404 => "Not Found",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        422 => "Validation Failed",
        _ => "Server Error",
    };
    GithubError::new(code, message)
}

/// Runs the request and stores the changes.
fn execute(server: &Server, request: &GithubRequest) -> (GithubResponse, bool) {
    let mut state = server.lock_state();
    state.catch_up_with_clock();
    let (response, rate_limited) = Exchange::new(&mut state, request).respond();
    if let Err(error) = state.save() {
        tracing::error!(%error, "the sandbox could not store its state");
        let error = GithubError::new(500, error.to_string());
        return (error.into_response(&documentation(None)), false);
    }
    server.notify_waiters();
    (response, rate_limited)
}

/// One request with what it may change.
struct Exchange<'a> {
    github: &'a mut GithubState,
    request: &'a GithubRequest,
    base: String,
    now_ms: i64,
    list_lag_ms: i64,
}

impl<'a> Exchange<'a> {
    fn new(state: &'a mut SharedState, request: &'a GithubRequest) -> Self {
        let base = format!("{}{MOUNT}", state.url);
        let world = &mut state.world;
        Self {
            now_ms: world.now_ms,
            list_lag_ms: world.list_lag_ms,
            github: &mut world.github,
            request,
            base,
        }
    }

    fn respond(mut self) -> (GithubResponse, bool) {
        // The proxy in front of the API refuses programs that do not say who they are.
        if self.request.header("user-agent").is_none_or(str::is_empty) {
            return (missing_user_agent(), false);
        }
        let fail = |error: GithubError| error.into_response(&documentation(None));
        let version = self.request.header("x-github-api-version");
        if let Some(version) = version
            && !API_VERSIONS.contains(&version)
        {
            let message = format!("The API version {version} does not exist.");
            return (fail(GithubError::new(400, message)), false);
        }
        let authorization = self.request.header(header::AUTHORIZATION.as_str());
        let caller = match GithubCaller::authenticate(&self.github.file, authorization) {
            Ok(caller) => caller,
            Err(error) => return (fail(error), false),
        };
        let selected = version.unwrap_or(API_VERSIONS[0]).to_owned();
        let (response, rate_limited) = match self.take_from_limits(&caller) {
            Ok(()) => (self.route(&caller), false),
            Err(error) => (fail(error), true),
        };
        let response = self.revalidate(response, &caller);
        let response = self.with_limits(response, &caller);
        let response = response.with_header("x-github-api-version-selected", selected);
        (response, rate_limited)
    }

    /// Counts the request towards the limits.
    fn take_from_limits(&mut self, caller: &GithubCaller) -> Result<(), GithubError> {
        let (behaviour, now) = (&self.github.file.behaviour, self.now_ms);
        let limiter = &mut self.github.limiter;
        // The question for the limits is free, and GraphQL has limits of its own.
        if !matches!(self.request.path(), "/rate_limit" | "/graphql") {
            limiter.take_request(caller, behaviour, now)?;
        }
        let is_write = self.request.kind() == RequestKind::Write;
        let is_content = self.find_route().is_some_and(|route| route.is_content);
        let limiter = &mut self.github.limiter;
        limiter.take_burst(caller, behaviour, is_write, is_content, now)
    }

    /// The endpoint of the request.
    fn find_route(&self) -> Option<&'static GithubRoute> {
        let path = self.request.path();
        let below = split_repository(path).map(|(_, below)| below);
        find_route(&self.request.method, path, below).map(|(route, _)| route)
    }

    fn route(&mut self, caller: &GithubCaller) -> GithubResponse {
        let (path, method) = (self.request.path().to_owned(), &self.request.method);
        let fail = |error: GithubError| error.into_response(&documentation(None));
        match (method.as_str(), path.as_str()) {
            ("GET", "/rate_limit") => return self.rate_limit(caller),
            ("POST", "/graphql") => {
                self.github.dirty |= self.request.kind() == RequestKind::Write;
                let call = self.call(caller, &path, Value::Null);
                return graphql::execute(self.github, &call, &self.request.body);
            }
            _ => {}
        }
        let split = split_repository(&path);
        let below = split.map(|(_, below)| below);
        let Some((route, params)) = find_route(method, &path, below) else {
            return fail(GithubError::not_found());
        };
        let page = documentation(Some(route));
        let body = match parse_body(&self.request.body) {
            Ok(body) => body,
            Err(error) => return error.into_response(&page),
        };
        let mut call = self.call(caller, below.unwrap_or_default(), body);
        call.params = params;
        if let Some((name, below)) = split {
            match self.find_repository(name, caller) {
                Some((repository, true)) => return self.redirect(repository, below, &page),
                Some((repository, false)) => call.repository = repository,
                None => return GithubError::not_found().into_response(&page),
            }
        }
        let permitted = self.check(route, &call);
        let lag = self.github.file.behaviour.merged_pulls_lag;
        self.github.dirty |= method != "GET" || lag > 0;
        permitted
            .and_then(|()| (route.handler)(&mut self.github.file, &call))
            .unwrap_or_else(|error| error.into_response(&page))
    }

    fn call(&self, caller: &GithubCaller, path: &str, body: Value) -> GithubCall {
        let query = Query::<Vec<(String, String)>>::try_from_uri(&self.request.uri);
        GithubCall {
            params: std::collections::BTreeMap::new(),
            query: query.map(|query| query.0).unwrap_or_default(),
            body,
            accept: self.request.header("accept").unwrap_or_default().to_owned(),
            caller: caller.clone(),
            repository: 0,
            path: path.to_owned(),
            base: self.base.clone(),
            now_ms: self.now_ms,
            list_lag_ms: self.list_lag_ms,
        }
    }

    /// The repository with this name or number, if the caller may see it, and whether it was renamed.
    fn find_repository(&self, name: &str, caller: &GithubCaller) -> Option<(u64, bool)> {
        let file = &self.github.file;
        let by_name = |name: &str| {
            let (owner, name) = name.split_once('/')?;
            file.find_repository(owner, name)
        };
        let former = || file.renamed.get(&name.to_lowercase());
        let by_number = name.parse().ok().and_then(|id| file.repositories.get(&id));
        let (found, moved) = match by_number.or_else(|| by_name(name)) {
            Some(found) => (found, false),
            None => (file.repositories.get(former()?)?, true),
        };
        caller.can_see(found).then_some((found.id, moved))
    }

    /// The answer for a former name: the address by number. Only a GET may be repeated as a GET.
    fn redirect(&self, repository: u64, below: &str, page: &str) -> GithubResponse {
        let query = self.request.uri.query();
        let query = query.map(|query| format!("?{query}")).unwrap_or_default();
        let location = format!("{}/repositories/{repository}{below}{query}", self.base);
        let (status, message) = match self.request.method.as_str() {
            "GET" | "HEAD" => (301, "Moved Permanently"),
            _ => (307, "Temporary Redirect"),
        };
        let body = json!({ "message": message, "url": location, "documentation_url": page });
        GithubResponse::json(status, body).with_header("location", location)
    }

    /// Checks what the token may do.
    fn check(&self, route: &GithubRoute, call: &GithubCall) -> Result<(), GithubError> {
        let Some(repository) = self.github.file.repositories.get(&call.repository) else {
            return Ok(());
        };
        call.caller
            .check(repository, route.requirement, route.is_public)?;
        // For an issue that is no pull request, the permission for pull requests does not suffice.
        let only_pulls = route
            .requirement
            .iter()
            .any(|(name, level)| *name == "pull_requests" && *level == GithubLevel::Write)
            && names_plain_issue(repository, call)
            && !call
                .caller
                .has(repository, &[("issues", GithubLevel::Write)]);
        if let GithubCaller::Token(token) = &call.caller
            && only_pulls
        {
            return Err(super::access::inaccessible(token.kind, route.requirement));
        }
        if repository.archived && route.method != "GET" {
            let message = "Repository was archived so is read-only.";
            return Err(GithubError::new(403, message));
        }
        Ok(())
    }

    fn rate_limit(&mut self, caller: &GithubCaller) -> GithubResponse {
        let window = *self
            .github
            .limiter
            .window(caller, &self.github.file.behaviour, self.now_ms);
        let core = json!({
            "limit": window.limit,
            "used": window.used,
            "remaining": window.limit.saturating_sub(window.used),
            "reset": window.reset_ms.div_euclid(1000),
        });
        let search = json!({
            "limit": 30, "used": 0, "remaining": 30,
            "reset": (self.now_ms + 60_000).div_euclid(1000),
        });
        let resources = json!({ "core": core, "search": search, "graphql": core });
        GithubResponse::ok(json!({ "resources": resources, "rate": core }))
    }

    /// Adds the state of the primary limit.
    fn with_limits(&mut self, response: GithubResponse, caller: &GithubCaller) -> GithubResponse {
        let window = *self
            .github
            .limiter
            .window(caller, &self.github.file.behaviour, self.now_ms);
        let remaining = window.limit.saturating_sub(window.used);
        let reset = window.reset_ms.div_euclid(1000);
        response
            .with_header("x-ratelimit-limit", window.limit.to_string())
            .with_header("x-ratelimit-remaining", remaining.to_string())
            .with_header("x-ratelimit-used", window.used.to_string())
            .with_header("x-ratelimit-reset", reset.to_string())
            .with_header("x-ratelimit-resource", "core")
    }

    /// Adds the entity tag, or answers `304` when the client has the same body. That one is free.
    fn revalidate(&mut self, response: GithubResponse, caller: &GithubCaller) -> GithubResponse {
        let (GithubBody::Json(body), 200, "GET") = (
            &response.body,
            response.status,
            self.request.method.as_str(),
        ) else {
            return response;
        };
        let digest = ids::derive_bytes(&["etag", &body.to_string()]);
        let tag = format!("W/\"{}\"", ids::hex(&digest));
        if self.request.header("if-none-match") != Some(&tag) {
            return response.with_header("etag", tag);
        }
        let behaviour = &self.github.file.behaviour;
        let window = self.github.limiter.window(caller, behaviour, self.now_ms);
        window.used = window.used.saturating_sub(1);
        GithubResponse {
            status: 304,
            ..GithubResponse::no_content().with_header("etag", tag)
        }
    }
}

/// The name or number of the repository in a path, and the path below it.
fn split_repository(path: &str) -> Option<(&str, &str)> {
    let (rest, names) = match path.strip_prefix("/repos/") {
        Some(rest) => (rest, 2),
        None => (path.strip_prefix("/repositories/")?, 1),
    };
    let mut slashes = rest.match_indices('/').map(|(at, _)| at);
    match slashes.nth(names - 1) {
        Some(end) => Some((&rest[..end], &rest[end..])),
        None => Some((rest, "")),
    }
}

/// Whether the path names an issue, or a comment on one, that is no pull request.
fn names_plain_issue(repository: &GithubRepository, call: &GithubCall) -> bool {
    let comment = call.param("comment_id").parse().ok();
    let comment = comment.and_then(|id: u64| repository.comments.get(&id));
    let number = comment
        .map(|comment| comment.issue)
        .or_else(|| call.param("issue_number").parse().ok());
    number.is_some_and(|number| {
        repository.issues.contains_key(&number) && !repository.pulls.contains_key(&number)
    })
}

fn parse_body(bytes: &[u8]) -> Result<Value, GithubError> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(json!({}));
    }
    match serde_json::from_slice::<Value>(bytes) {
        Err(_) => Err(GithubError::new(400, "Problems parsing JSON")),
        Ok(body @ Value::Object(_)) => Ok(body),
        Ok(_) => Err(GithubError::new(400, "Body should be a JSON object")),
    }
}

fn missing_user_agent() -> GithubResponse {
    let text = "\r\nRequest forbidden by administrative rules. Please make sure your request has a User-Agent header \
                (https://docs.github.com/en/rest/overview/resources-in-the-rest-api#user-agent-required). Check \
                https://developer.github.com for other possible causes.\r\n";
    GithubResponse {
        status: 403,
        body: GithubBody::Text(text.to_owned()),
        headers: Vec::new(),
    }
}
