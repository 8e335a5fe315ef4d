//! The path of a request through the sandbox: count, strike, authenticate, limit, catch up, do, store, answer.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Body as HttpBody;
use axum::extract::{Query, Request};
use axum::http::{HeaderMap, Response, Uri, header};
use serde::Serialize;
use serde_json::Value;
use tokio::sync::Notify;

use super::access;
use super::admin;
use super::api::{ApiCall, ApiError, ApiResponse, ApiResult, ResponseBody};
use super::aws;
use super::clock::SandboxClock;
use super::connection::ConnectionBreaker;
use super::faults::{self, Faults, Injected, RequestKind};
use super::gate::Gate;
use super::http::{drop_connection, read_json_body, render_response, truncated_response};
use super::proxy::{self, PublicRequest};
use super::rate_limit::{self, ApiRateLimiter};
use super::routes::{Route, RouteHandler};
use super::store::{StateStore, StoreError};
use super::transitions;
use super::world::SimulatedWorld;

/// One request as `GET /_sandbox/requests` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RequestRecord {
    /// Which one since the server's start, beginning with 1.
    pub n: u64,
    /// Its method.
    pub method: String,
    /// Its path.
    pub path: String,
    /// Its query, without the question mark.
    pub query: String,
    /// The answer's status; 0 when the connection was cut instead.
    pub status: u16,
    /// Whether it was one too many.
    pub rate_limited: bool,
    /// Whether it showed a lease (`fly-machine-lease-nonce`).
    pub nonce: bool,
    /// When it came, on the sandbox's clock.
    pub at_ms: i64,
}

/// All that requests share, behind one lock.
#[derive(Debug)]
pub(crate) struct SharedState {
    pub(crate) world: SimulatedWorld,
    pub(crate) clock: SandboxClock,
    pub(crate) limits: ApiRateLimiter,
    pub(crate) faults: Faults,
    pub(crate) gate: Gate,
    pub(crate) requests: Vec<RequestRecord>,
    pub(crate) store: StateStore,
    /// `http://127.0.0.1:PORT`
    pub(crate) url: String,
    /// The folder belongs to somebody else now: connections that are still open get no more answers.
    pub(crate) closed: bool,
}

impl SharedState {
    /// Counts and records a request, moves the clock as a request does, and says what befalls it.
    pub(crate) fn begin_request(
        &mut self,
        method: &str,
        path: String,
        query: String,
        nonce: bool,
        kind: RequestKind,
    ) -> (u64, Option<Injected>) {
        self.clock.advance_for_request();
        let blow = self.faults.inject(kind);
        let n = self.requests.len() as u64 + 1;
        let (method, at_ms) = (method.to_owned(), self.clock.now_ms());
        self.requests.push(RequestRecord {
            n,
            method,
            path,
            query,
            status: 0,
            rate_limited: false,
            nonce,
            at_ms,
        });
        (n, blow)
    }

    /// Brings the world to the clock's present.
    pub(crate) fn catch_up_with_clock(&mut self) {
        self.world.now_ms = self.clock.now_ms();
        self.world.list_lag_ms = self.faults.stale_list_ms();
        self.world.aws.config_lag_ms = self.faults.stale_config_ms();
        self.world.aws.removal_lag_ms = self.faults.late_removal_ms();
        transitions::apply_due(&mut self.world);
    }

    /// Everything that would be stored.
    pub(crate) fn state_json(&self) -> Value {
        let SimulatedWorld {
            global: root,
            apps,
            aws,
            ..
        } = &self.world;
        let aws = serde_json::json!({ "accounts": aws.global, "buckets": aws.buckets });
        serde_json::json!({ "world": root, "apps": apps, "aws": aws })
    }

    /// Stores what changed; an answer may only go out after this.
    ///
    /// # Errors
    /// When the file system refuses.
    pub(crate) fn save(&mut self) -> Result<(), StoreError> {
        let saved = self.clock.to_saved();
        let moved = self
            .world
            .global
            .clock
            .is_none_or(|before| saved.is_after(before));
        // Only commanded time must be stored as it moves; real time is told again from any earlier moment.
        self.world.global_dirty |= moved && self.clock.is_manual();
        if self.world.global_dirty {
            self.world.global.clock = Some(saved);
        }
        self.store.save(&mut self.world)
    }
}

/// The server: the core, and what wakes those who wait for it to change.
#[derive(Debug)]
pub(crate) struct Server {
    state: Mutex<SharedState>,
    changed: Notify,
    latency: Duration,
    /// How many requests came to the public side.
    visit_count: AtomicUsize,
}

/// A request before anybody has looked at it.
struct IncomingRequest {
    number: u64,
    method: String,
    uri: Uri,
    headers: HeaderMap,
    body: Result<Value, ApiError>,
    params: Vec<(String, String)>,
}

impl Server {
    pub(crate) fn new(core: SharedState, latency: Duration) -> Self {
        Self {
            state: Mutex::new(core),
            changed: Notify::new(),
            latency,
            visit_count: AtomicUsize::new(0),
        }
    }

    /// Holds a request back, if that is what befalls it.
    pub(crate) async fn hold_if_injected(&self, blow: Option<Injected>, here: Injected) {
        if blow == Some(here) {
            let gate = self.lock_state().gate.clone();
            gate.hold_until_released().await;
        }
    }

    /// The core. A panic elsewhere cannot leave it half changed on disk, so a poisoned lock is used on.
    pub(crate) fn lock_state(&self) -> MutexGuard<'_, SharedState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves the clock forward and wakes whoever waits.
    ///
    /// # Errors
    /// When the file system refuses.
    pub(crate) fn advance_clock(&self, ms: i64) -> Result<(), StoreError> {
        let mut core = self.lock_state();
        core.clock.advance(ms);
        core.catch_up_with_clock();
        core.world.global_dirty = true;
        core.save()?;
        self.changed.notify_waiters();
        Ok(())
    }

    /// Stores the last moment, frees the folder, and turns away whoever still waits.
    pub(crate) fn shut_down(&self) {
        let mut core = self.lock_state();
        if std::mem::replace(&mut core.closed, true) {
            return;
        }
        core.world.global_dirty = true;
        if let Err(error) = core.save() {
            tracing::error!(%error, "the sandbox could not store its state");
        }
        core.store.close();
        self.changed.notify_waiters();
    }

    /// Answers a request; no route means that no path matched.
    pub(crate) async fn serve(
        &self,
        route: Option<&Route>,
        params: Vec<(String, String)>,
        request: Request,
    ) -> Response<HttpBody> {
        let cut = request
            .extensions()
            .get::<axum::extract::ConnectInfo<ConnectionBreaker>>()
            .map(|info| info.0.clone());
        let (parts, body) = request.into_parts();
        let body = read_json_body(body).await;
        if self.lock_state().closed {
            return drop_connection(cut);
        }
        let asked = parts
            .headers
            .get(header::HOST)
            .and_then(|host| host.to_str().ok());
        let public = proxy::public_host(&self.lock_state().world, asked);
        if let Some(host) = public {
            return self.serve_visit(host, cut).await;
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
        if let Some(path) = incoming
            .uri
            .path()
            .strip_prefix("/_sandbox/")
            .map(str::to_owned)
        {
            let answer = self.serve_admin(&incoming, &path);
            return render_response(&answer, 0);
        }
        if incoming.uri.path() == "/_github/token" {
            return render_response(&self.serve_workflow_token(&incoming), 0);
        }
        let blow = self.begin_request(&mut incoming, route);
        self.hold_if_injected(blow, Injected::HoldBefore).await;
        let (answer, limited) = self.respond_with_fault(route, &incoming, blow).await;
        self.hold_if_injected(blow, Injected::HoldAfter).await;
        self.delay().await;
        let dropped = matches!(blow, Some(Injected::DropBefore | Injected::DropAfter));
        self.finish_request(
            incoming.number,
            if dropped { 0 } else { answer.status },
            limited,
        );
        match blow {
            Some(Injected::Truncate) => truncated_response(&answer, incoming.number),
            _ if dropped => drop_connection(cut),
            _ => render_response(&answer, incoming.number),
        }
    }

    /// Takes the time that every answer is made to take.
    pub(crate) async fn delay(&self) {
        if !self.latency.is_zero() {
            tokio::time::sleep(self.latency).await;
        }
    }

    /// Wakes whoever waits for a change.
    pub(crate) fn notify_waiters(&self) {
        self.changed.notify_waiters();
    }

    /// Answers a request to the public side. It is none to the APIs: nothing counts, limits or strikes it.
    async fn serve_visit(
        &self,
        host: String,
        cut: Option<ConnectionBreaker>,
    ) -> Response<HttpBody> {
        let turn = self.visit_count.fetch_add(1, Ordering::Relaxed);
        let arrived_ms = {
            let mut core = self.lock_state();
            core.clock.advance_for_request();
            core.clock.now_ms()
        };
        let visit = PublicRequest {
            host,
            sequence: turn,
            received_ms: arrived_ms,
        };
        let answer = self
            .poll_until_ready(|world| proxy::respond(world, &visit))
            .await;
        self.delay().await;
        match answer {
            Ok(Some(answer)) => render_response(&answer, 0),
            // The name does not resolve, or nobody gets through to it.
            Ok(None) => drop_connection(cut),
            Err(refusal) => render_response(&refusal.into(), 0),
        }
    }

    fn serve_admin(&self, incoming: &IncomingRequest, path: &str) -> ApiResponse {
        let mut core = self.lock_state();
        core.catch_up_with_clock();
        let body = incoming.body.clone();
        let reply =
            body.and_then(|body| admin::handle_request(&mut core, &incoming.method, path, &body));
        let answer = save_and_reply(&mut core, reply);
        self.changed.notify_waiters();
        answer
    }

    /// Answers a workflow that asks GitHub for its identity token.
    fn serve_workflow_token(&self, incoming: &IncomingRequest) -> ApiResponse {
        let mut core = self.lock_state();
        core.catch_up_with_clock();
        let query =
            Query::<Vec<(String, String)>>::try_from_uri(&incoming.uri).map(|query| query.0);
        let authorization = incoming
            .headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok());
        let reply =
            aws::issue_workflow_token(&mut core.world, &query.unwrap_or_default(), authorization);
        save_and_reply(&mut core, reply)
    }

    /// Counts the request and says what befalls it.
    fn begin_request(
        &self,
        incoming: &mut IncomingRequest,
        route: Option<&Route>,
    ) -> Option<Injected> {
        let write = route.map_or(incoming.method != "GET", |route| route.is_write);
        let path = incoming.uri.path().to_owned();
        let query = incoming.uri.query().unwrap_or_default().to_owned();
        let nonce = incoming.headers.contains_key("fly-machine-lease-nonce");
        let kind = if write {
            RequestKind::Write
        } else {
            RequestKind::Read
        };
        let (n, blow) = self
            .lock_state()
            .begin_request(&incoming.method, path, query, nonce, kind);
        incoming.number = n;
        blow
    }

    /// Completes the record of a request.
    pub(crate) fn finish_request(&self, n: u64, status: u16, limited: bool) {
        let mut core = self.lock_state();
        let at = usize::try_from(n).unwrap_or(usize::MAX).saturating_sub(1);
        if let Some(record) = core.requests.get_mut(at) {
            record.status = status;
            record.rate_limited = limited;
        }
    }

    /// Does the request, unless a fault forbids it, and says whether it was one too many.
    async fn respond_with_fault(
        &self,
        route: Option<&Route>,
        incoming: &IncomingRequest,
        blow: Option<Injected>,
    ) -> (ApiResponse, bool) {
        let said = |code| ApiResponse::from(ApiError::new(code, faults::status_message(code)));
        match blow {
            Some(Injected::DropBefore) => (ApiResponse::empty(500), false),
            Some(Injected::Status(code)) => (said(code), code == 429),
            Some(Injected::RateLimited) => (rate_limit::rate_limited().into(), true),
            Some(Injected::OperationAborted | Injected::ConditionalConflict) => (said(409), false),
            Some(Injected::StatusAfter(code)) => {
                self.call_handler(route, incoming).await;
                (said(code), false)
            }
            Some(Injected::TokenExpired) => (said(401), false),
            Some(
                Injected::DropAfter
                | Injected::Truncate
                | Injected::Twice
                | Injected::HoldBefore
                | Injected::HoldAfter,
            )
            | None => {
                if blow == Some(Injected::Twice) {
                    self.call_handler(route, incoming).await;
                }
                let answer = self.call_handler(route, incoming).await;
                let limited = answer.status == 429;
                (answer, limited)
            }
        }
    }

    async fn call_handler(&self, route: Option<&Route>, incoming: &IncomingRequest) -> ApiResponse {
        let Some(route) = route else {
            // Go's router speaks before anybody asks for a token.
            return ApiResponse {
                body: ResponseBody::Text("404 page not found\n".to_owned()),
                ..ApiResponse::empty(404)
            };
        };
        let call = match self.authorize(route, incoming) {
            Ok(call) => call,
            Err(refusal) => return refusal.into(),
        };
        let answer = self.poll_until_ready(|world| match route.handler {
            RouteHandler::Immediate(run) => Ok(run(world, &call)),
            RouteHandler::LongPoll(run) => run(world, &call),
        });
        answer
            .await
            .and_then(|reply| reply)
            .unwrap_or_else(ApiResponse::from)
    }

    /// Asks until there is an answer, however long that takes.
    ///
    /// # Errors
    /// When the sandbox was stopped meanwhile, or cannot store what changed.
    async fn poll_until_ready<T>(
        &self,
        mut ask: impl FnMut(&mut SimulatedWorld) -> Result<T, i64>,
    ) -> Result<T, ApiError> {
        loop {
            // Registered before looking, so that no change between looking and waiting is missed.
            let changed = self.changed.notified();
            match self.poll_once(&mut ask) {
                Ok(answer) => return answer,
                Err(Some(sleep)) => drop(tokio::time::timeout(sleep, changed).await),
                Err(None) => changed.await,
            }
        }
    }

    /// Authentication, rights, and the rate limit.
    fn authorize(&self, route: &Route, incoming: &IncomingRequest) -> Result<ApiCall, ApiError> {
        let mut core = self.lock_state();
        core.catch_up_with_clock();
        let header = |name: &str| {
            incoming
                .headers
                .get(name)
                .and_then(|value| value.to_str().ok())
        };
        let authorization = header(header::AUTHORIZATION.as_str());
        let who = match route.allows_anonymous {
            true => access::authenticate_optional(&core.world, authorization),
            false => access::authenticate(&core.world, authorization)?,
        };
        if route.is_write && !who.can_write() {
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
            caller: who,
            received_ms: core.world.now_ms,
        };
        if let Some(rate) = route.rate_limit {
            let now = core.world.now_ms;
            core.limits.take_token(
                &format!("{} {}", route.method, route.path),
                &route.rate_limit_id(&call),
                rate,
                now,
            )?;
        }
        Ok(call)
    }

    /// Asks once: an answer, or how long to wait for a change (without end if time stands still).
    fn poll_once<T>(
        &self,
        ask: &mut impl FnMut(&mut SimulatedWorld) -> Result<T, i64>,
    ) -> Result<Result<T, ApiError>, Option<Duration>> {
        let mut core = self.lock_state();
        loop {
            if core.closed {
                return Ok(Err(ApiError::new(
                    503,
                    "unavailable: the sandbox was stopped",
                )));
            }
            core.catch_up_with_clock();
            match ask(&mut core.world) {
                Ok(answer) => {
                    let saved = save_state(&mut core);
                    self.changed.notify_waiters();
                    return Ok(saved.map(|()| answer));
                }
                Err(deadline) => {
                    let next = transitions::next_due_ms(&core.world)
                        .map_or(deadline, |due| due.min(deadline));
                    if !core.clock.try_jump_to(next) {
                        return Err(core.clock.sleep_duration_until(next));
                    }
                }
            }
        }
    }
}

/// Stores what changed.
///
/// # Errors
/// When the file system refuses.
fn save_state(core: &mut SharedState) -> Result<(), ApiError> {
    core.save().map_err(|error| {
        tracing::error!(%error, "the sandbox could not store its state");
        ApiError::new(500, error.to_string())
    })
}

/// The answer, once the change behind it is safe.
fn save_and_reply(core: &mut SharedState, reply: ApiResult) -> ApiResponse {
    save_state(core)
        .and(reply)
        .unwrap_or_else(ApiResponse::from)
}
