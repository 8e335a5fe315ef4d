//! How a request to an API is processed: count it, inject a fault, apply due transitions,
//! authenticate, rate limit, run the endpoint, store the changes, respond.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Body as HttpBody;
use axum::extract::{Query, Request};
use axum::http::{HeaderMap, Response, Uri, header};
use serde_json::Value;
use tokio::sync::Notify;

use crate::admin;
use crate::api::{ApiCall, ApiError, ApiResponse, ApiResult, ResponseBody};
use crate::aws;
use crate::connection::ConnectionBreaker;
use crate::faults::{self, Injected, RequestKind};
use crate::fly::access;
use crate::fly::proxy::{self, PublicRequest};
use crate::fly::rate_limit;
use crate::fly::routes::{Route, RouteHandler};
use crate::fly::transitions;
use crate::fly::v1::machines::{output_view, timed_out};
use crate::http::{drop_connection, read_json_body, render_response, truncated_response};
use crate::local_only::check_local;
use crate::psql_process::PsqlProcess;
use crate::shared_state::SharedState;
use crate::store::StoreError;
use crate::world::{ExecRecord, SimulatedWorld};

/// The server: the shared state, and the notification that wakes waiting requests when it changes.
#[derive(Debug)]
pub(crate) struct Server {
    state: Mutex<SharedState>,
    changed: Notify,
    latency: Duration,
    /// How many public HTTP requests have arrived.
    public_request_count: AtomicUsize,
}

/// A request as received, before routing and authentication.
struct IncomingRequest {
    number: u64,
    method: String,
    uri: Uri,
    headers: HeaderMap,
    body: Result<Value, ApiError>,
    params: Vec<(String, String)>,
}

impl IncomingRequest {
    fn authorization(&self) -> Option<&str> {
        self.headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
    }
}

impl Server {
    pub(crate) fn new(state: SharedState, latency: Duration) -> Self {
        Self {
            state: Mutex::new(state),
            changed: Notify::new(),
            latency,
            public_request_count: AtomicUsize::new(0),
        }
    }

    /// Holds a request back, if that is the injected fault.
    pub(crate) async fn hold_if_injected(&self, injected: Option<Injected>, here: Injected) {
        if injected == Some(here) {
            let gate = self.lock_state().gate.clone();
            gate.hold_until_released().await;
        }
    }

    /// Locks the shared state. A panic in another request cannot leave the stored state half
    /// changed, so a poisoned lock is still used.
    pub(crate) fn lock_state(&self) -> MutexGuard<'_, SharedState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves the clock forward and wakes waiting requests.
    ///
    /// # Errors
    /// When a file system operation fails.
    pub(crate) fn advance_clock(&self, ms: i64) -> Result<(), StoreError> {
        let mut state = self.lock_state();
        state.clock.advance(ms);
        state.catch_up_with_clock();
        state.world.global_dirty = true;
        state.save()?;
        self.changed.notify_waiters();
        Ok(())
    }

    /// Stores the current time, unlocks the folder, and ends all waiting requests.
    pub(crate) fn shut_down(&self) {
        let mut state = self.lock_state();
        if std::mem::replace(&mut state.closed, true) {
            return;
        }
        state.world.global_dirty = true;
        if let Err(error) = state.save() {
            tracing::error!(%error, "the sandbox could not store its state");
        }
        state.store.close();
        self.changed.notify_waiters();
    }

    /// Processes a request; `route` is `None` when no route matches its path and method.
    pub(crate) async fn serve(
        &self,
        route: Option<&Route>,
        params: Vec<(String, String)>,
        request: Request,
    ) -> Response<HttpBody> {
        let breaker = request
            .extensions()
            .get::<axum::extract::ConnectInfo<ConnectionBreaker>>()
            .map(|info| info.0.clone());
        let (parts, body) = request.into_parts();
        let body = read_json_body(body).await;
        if self.lock_state().closed {
            return drop_connection(breaker);
        }
        let host_header = parts
            .headers
            .get(header::HOST)
            .and_then(|host| host.to_str().ok());
        // The proxy decides by host name alone, so it comes before any path is looked at.
        let public_host = proxy::public_host(&self.lock_state().world, host_header);
        if let Some(host) = public_host {
            return self.serve_public(host, breaker).await;
        }
        if let Err(error) = check_local(&parts.headers) {
            return render_response(&error.into(), 0);
        }
        let (method, uri, headers) = (parts.method.to_string(), parts.uri, parts.headers);
        let mut incoming = IncomingRequest {
            number: 0,
            method,
            uri,
            headers,
            body,
            params,
        };
        // Requests to the sandbox itself come before counting: they must not shift the request
        // numbers that faults refer to.
        if let Some(path) = incoming
            .uri
            .path()
            .strip_prefix("/_sandbox/")
            .map(str::to_owned)
        {
            let response = self.serve_admin(&incoming, &path);
            return render_response(&response, 0);
        }
        if incoming.uri.path() == "/_github/token" {
            return render_response(&self.serve_workflow_token(&incoming), 0);
        }
        let injected = self.begin_request(&mut incoming, route);
        self.hold_if_injected(injected, Injected::HoldBefore).await;
        let (response, rate_limited) = self.respond_with_fault(route, &incoming, injected).await;
        self.hold_if_injected(injected, Injected::HoldAfter).await;
        self.delay().await;
        // The record is completed before the response is sent, so a client that has received the
        // response finds its status in the record.
        let dropped = matches!(injected, Some(Injected::DropBefore | Injected::DropAfter));
        self.finish_request(
            incoming.number,
            if dropped { 0 } else { response.status },
            rate_limited,
        );
        match injected {
            Some(Injected::Truncate) => truncated_response(&response, incoming.number),
            _ if dropped => drop_connection(breaker),
            _ => render_response(&response, incoming.number),
        }
    }

    /// Waits for the configured latency.
    pub(crate) async fn delay(&self) {
        if !self.latency.is_zero() {
            tokio::time::sleep(self.latency).await;
        }
    }

    /// Wakes requests that wait for a change.
    pub(crate) fn notify_waiters(&self) {
        self.changed.notify_waiters();
    }

    /// Responds to a public HTTP request. It is not an API request, so it is not counted, rate
    /// limited or affected by faults.
    async fn serve_public(
        &self,
        host: String,
        breaker: Option<ConnectionBreaker>,
    ) -> Response<HttpBody> {
        let sequence = self.public_request_count.fetch_add(1, Ordering::Relaxed);
        let received_ms = {
            let mut state = self.lock_state();
            state.clock.advance_for_request();
            state.clock.now_ms()
        };
        let request = PublicRequest {
            host,
            sequence,
            received_ms,
        };
        let response = self
            .poll_until_ready(|world| proxy::respond(world, &request))
            .await;
        self.delay().await;
        match response {
            Ok(Some(response)) => render_response(&response, 0),
            // The name does not resolve, or the app has no valid certificate for it.
            Ok(None) => drop_connection(breaker),
            Err(error) => render_response(&error.into(), 0),
        }
    }

    fn serve_admin(&self, incoming: &IncomingRequest, path: &str) -> ApiResponse {
        let mut state = self.lock_state();
        state.catch_up_with_clock();
        let authorization = incoming.authorization();
        let result = admin::authorize(&state, &incoming.method, path, authorization)
            .and(incoming.body.clone())
            .and_then(|body| admin::handle_request(&mut state, &incoming.method, path, &body));
        let response = save_and_reply(&mut state, result);
        self.changed.notify_waiters();
        response
    }

    /// Responds to a GitHub workflow that requests its identity token.
    fn serve_workflow_token(&self, incoming: &IncomingRequest) -> ApiResponse {
        let mut state = self.lock_state();
        state.catch_up_with_clock();
        let query =
            Query::<Vec<(String, String)>>::try_from_uri(&incoming.uri).map(|query| query.0);
        let authorization = incoming.authorization();
        let result =
            aws::issue_workflow_token(&mut state.world, &query.unwrap_or_default(), authorization);
        save_and_reply(&mut state, result)
    }

    /// Counts the request, and returns the fault to inject, if any.
    fn begin_request(
        &self,
        incoming: &mut IncomingRequest,
        route: Option<&Route>,
    ) -> Option<Injected> {
        let write = route.map_or(incoming.method != "GET", |route| route.is_write);
        let path = incoming.uri.path().to_owned();
        let query = incoming.uri.query().unwrap_or_default().to_owned();
        let has_lease_nonce = incoming.headers.contains_key("fly-machine-lease-nonce");
        // The Fly API has no bucket configuration or conditional writes, so two kinds suffice.
        let kind = if write {
            RequestKind::Write
        } else {
            RequestKind::Read
        };
        let (n, injected) =
            self.lock_state()
                .begin_request(&incoming.method, path, query, has_lease_nonce, kind);
        incoming.number = n;
        injected
    }

    /// Completes the record of a request.
    pub(crate) fn finish_request(&self, n: u64, status: u16, rate_limited: bool) {
        let mut state = self.lock_state();
        // Request numbers count from 1.
        let index = usize::try_from(n).unwrap_or(usize::MAX).saturating_sub(1);
        if let Some(record) = state.requests.get_mut(index) {
            record.status = status;
            record.rate_limited = rate_limited;
        }
    }

    /// Runs the request as the injected fault demands. Returns the response, and whether it is a
    /// rate limit error.
    async fn respond_with_fault(
        &self,
        route: Option<&Route>,
        incoming: &IncomingRequest,
        injected: Option<Injected>,
    ) -> (ApiResponse, bool) {
        let respond_with =
            |code| ApiResponse::from(ApiError::new(code, faults::status_message(code)));
        match injected {
            Some(Injected::DropBefore) => (ApiResponse::empty(500), false),
            Some(Injected::Status(code)) => (respond_with(code), code == 429),
            Some(Injected::RateLimited) => (rate_limit::rate_limited().into(), true),
            Some(Injected::OperationAborted | Injected::ConditionalConflict) => {
                (respond_with(409), false)
            }
            Some(Injected::StatusAfter(code)) => {
                // The request takes effect, but the client gets an error in place of the response.
                self.call_handler(route, incoming).await;
                (respond_with(code), false)
            }
            Some(Injected::TokenExpired) => (respond_with(401), false),
            Some(
                Injected::DropAfter
                | Injected::Truncate
                | Injected::Twice
                | Injected::HoldBefore
                | Injected::HoldAfter,
            )
            | None => {
                if injected == Some(Injected::Twice) {
                    // The first response is lost, as if a proxy had sent the request again.
                    self.call_handler(route, incoming).await;
                }
                let response = self.call_handler(route, incoming).await;
                let rate_limited = response.status == 429;
                (response, rate_limited)
            }
        }
    }

    async fn call_handler(&self, route: Option<&Route>, incoming: &IncomingRequest) -> ApiResponse {
        let Some(route) = route else {
            // Fly's router rejects unknown paths before authentication.
            return ApiResponse {
                body: ResponseBody::Text("404 page not found\n".to_owned()),
                ..ApiResponse::empty(404)
            };
        };
        let call = match self.authorize(route, incoming) {
            Ok(call) => call,
            Err(error) => return error.into(),
        };
        let response = self.poll_until_ready(|world| match route.handler {
            RouteHandler::Immediate(run) => Ok(run(world, &call)),
            RouteHandler::LongPoll(run) => run(world, &call),
        });
        let response = response
            .await
            .and_then(|result| result)
            .unwrap_or_else(ApiResponse::from);
        match response.body {
            ResponseBody::Psql(process) => self.run_process(&process).await,
            _ => response,
        }
    }

    /// Runs a real program, without the state locked, and completes the record of the request.
    async fn run_process(&self, process: &PsqlProcess) -> ApiResponse {
        let response = match process.run().await {
            Some(output) => ApiResponse::ok(output_view(&output)),
            None => timed_out().into(),
        };
        let mut state = self.lock_state();
        let waits = |record: &&mut ExecRecord| {
            record.response.is_null() && record.request["stdin"] == process.stdin.as_str()
        };
        if let Some(record) = state.world.execs.iter_mut().find(waits) {
            record.status = response.status;
            if let ResponseBody::Json(body) = &response.body {
                record.response = body.clone();
            }
        }
        response
    }

    /// Repeats `poll` until it returns a response, however long that takes. `poll` returns `Err`
    /// with the time until which it wants to wait.
    ///
    /// # Errors
    /// When the sandbox is stopped in the meantime, or cannot store the changes.
    async fn poll_until_ready<T>(
        &self,
        mut poll: impl FnMut(&mut SimulatedWorld) -> Result<T, i64>,
    ) -> Result<T, ApiError> {
        loop {
            // Registered before `poll` runs, so that a change right after it is not missed.
            let changed = self.changed.notified();
            match self.poll_once(&mut poll) {
                Ok(response) => return response,
                Err(Some(sleep)) => drop(tokio::time::timeout(sleep, changed).await),
                Err(None) => changed.await,
            }
        }
    }

    /// Checks authentication, authorization and the rate limit.
    fn authorize(&self, route: &Route, incoming: &IncomingRequest) -> Result<ApiCall, ApiError> {
        let mut state = self.lock_state();
        state.catch_up_with_clock();
        let header = |name: &str| {
            incoming
                .headers
                .get(name)
                .and_then(|value| value.to_str().ok())
        };
        let authorization = header(header::AUTHORIZATION.as_str());
        let caller = match route.allows_anonymous {
            true => access::authenticate_optional(&state.world, authorization),
            false => access::authenticate(&state.world, authorization)?,
        };
        if route.is_write && !caller.can_write() {
            return Err(access::forbidden());
        }
        let query = Query::<Vec<(String, String)>>::try_from_uri(&incoming.uri);
        let call = ApiCall {
            params: incoming.params.iter().cloned().collect(),
            query: query.map_err(|_| ApiError::bad_request("invalid query"))?.0,
            body: incoming.body.clone()?,
            lease_nonce: header("fly-machine-lease-nonce")
                .filter(|nonce| !nonce.is_empty())
                .map(str::to_owned),
            caller,
            received_ms: state.world.now_ms,
        };
        // Unauthorized calls have been rejected above and use up no tokens.
        if let Some(rate) = route.rate_limit {
            let now = state.world.now_ms;
            state.limits.take_token(
                &format!("{} {}", route.method, route.path),
                &route.rate_limit_id(&call),
                rate,
                now,
            )?;
        }
        Ok(call)
    }

    /// Calls `poll` once. Returns its response, or how long to sleep before the next call (`None`:
    /// until a change, because the clock stands still).
    fn poll_once<T>(
        &self,
        poll: &mut impl FnMut(&mut SimulatedWorld) -> Result<T, i64>,
    ) -> Result<Result<T, ApiError>, Option<Duration>> {
        let mut state = self.lock_state();
        loop {
            if state.closed {
                return Ok(Err(ApiError::new(
                    503,
                    "unavailable: the sandbox was stopped",
                )));
            }
            state.catch_up_with_clock();
            match poll(&mut state.world) {
                Ok(response) => {
                    let saved = save_state(&mut state);
                    self.changed.notify_waiters();
                    return Ok(saved.map(|()| response));
                }
                Err(deadline) => {
                    // Any due transition may be what the request waits for, so it looks again then,
                    // or at its deadline.
                    let next = transitions::next_due_ms(&state.world)
                        .map_or(deadline, |due| due.min(deadline));
                    if !state.clock.try_jump_to(next) {
                        return Err(state.clock.sleep_duration_until(next));
                    }
                }
            }
        }
    }
}

/// Stores the changes.
///
/// # Errors
/// When a file system operation fails.
fn save_state(state: &mut SharedState) -> Result<(), ApiError> {
    state.save().map_err(|error| {
        tracing::error!(%error, "the sandbox could not store its state");
        ApiError::new(500, error.to_string())
    })
}

/// Stores the changes, then returns the response.
fn save_and_reply(state: &mut SharedState, result: ApiResult) -> ApiResponse {
    save_state(state)
        .and(result)
        .unwrap_or_else(ApiResponse::from)
}
