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
use super::answer::{Answer, Body, Call, Refusal, Reply};
use super::aws;
use super::clock::Clock;
use super::connection::Cut;
use super::faults::{self, Blow, Faults, Kind};
use super::gate::Gate;
use super::limits::{self, Limits};
use super::public::{self, Visit};
use super::routes::{Handler, Route};
use super::settle;
use super::store::{Store, StoreError};
use super::wire::{hang_up, read, render, truncated};
use super::world::World;

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
pub(crate) struct Core {
    pub(crate) world: World,
    pub(crate) clock: Clock,
    pub(crate) limits: Limits,
    pub(crate) faults: Faults,
    pub(crate) gate: Gate,
    pub(crate) requests: Vec<RequestRecord>,
    pub(crate) store: Store,
    /// `http://127.0.0.1:PORT`
    pub(crate) url: String,
    /// The folder belongs to somebody else now: connections that are still open get no more answers.
    pub(crate) closed: bool,
}

impl Core {
    /// Counts and records a request, moves the clock as a request does, and says what befalls it.
    pub(crate) fn arrive(
        &mut self,
        method: &str,
        path: String,
        query: String,
        nonce: bool,
        kind: Kind,
    ) -> (u64, Option<Blow>) {
        self.clock.request();
        let blow = self.faults.strike(kind);
        let n = self.requests.len() as u64 + 1;
        let (method, at_ms) = (method.to_owned(), self.clock.now());
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
    pub(crate) fn catch_up(&mut self) {
        self.world.now = self.clock.now();
        self.world.stale_ms = self.faults.stale_ms();
        self.world.aws.stale_ms = self.faults.stale_config_ms();
        self.world.aws.lost_ms = self.faults.late_removal_ms();
        settle::settle(&mut self.world);
    }

    /// Everything that would be stored.
    pub(crate) fn state(&self) -> Value {
        let World {
            root, apps, aws, ..
        } = &self.world;
        let aws = serde_json::json!({ "accounts": aws.root, "buckets": aws.buckets });
        serde_json::json!({ "world": root, "apps": apps, "aws": aws })
    }

    /// Stores what changed; an answer may only go out after this.
    ///
    /// # Errors
    /// When the file system refuses.
    pub(crate) fn save(&mut self) -> Result<(), StoreError> {
        let saved = self.clock.saved();
        let moved = self
            .world
            .root
            .clock
            .is_none_or(|before| saved.is_after(before));
        // Only commanded time must be stored as it moves; real time is told again from any earlier moment.
        self.world.root_dirty |= moved && self.clock.is_commanded();
        if self.world.root_dirty {
            self.world.root.clock = Some(saved);
        }
        self.store.save(&mut self.world)
    }
}

/// The server: the core, and what wakes those who wait for it to change.
#[derive(Debug)]
pub(crate) struct Server {
    core: Mutex<Core>,
    changed: Notify,
    latency: Duration,
    /// How many requests came to the public side.
    visits: AtomicUsize,
}

/// A request before anybody has looked at it.
struct Incoming {
    n: u64,
    method: String,
    uri: Uri,
    headers: HeaderMap,
    body: Result<Value, Refusal>,
    params: Vec<(String, String)>,
}

impl Server {
    pub(crate) fn new(core: Core, latency: Duration) -> Self {
        Self {
            core: Mutex::new(core),
            changed: Notify::new(),
            latency,
            visits: AtomicUsize::new(0),
        }
    }

    /// Holds a request back, if that is what befalls it.
    pub(crate) async fn hold(&self, blow: Option<Blow>, here: Blow) {
        if blow == Some(here) {
            let gate = self.core().gate.clone();
            gate.pass().await;
        }
    }

    /// The core. A panic elsewhere cannot leave it half changed on disk, so a poisoned lock is used on.
    pub(crate) fn core(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves the clock forward and wakes whoever waits.
    ///
    /// # Errors
    /// When the file system refuses.
    pub(crate) fn advance(&self, ms: i64) -> Result<(), StoreError> {
        let mut core = self.core();
        core.clock.advance(ms);
        core.catch_up();
        core.world.root_dirty = true;
        core.save()?;
        self.changed.notify_waiters();
        Ok(())
    }

    /// Stores the last moment, frees the folder, and turns away whoever still waits.
    pub(crate) fn leave(&self) {
        let mut core = self.core();
        if std::mem::replace(&mut core.closed, true) {
            return;
        }
        core.world.root_dirty = true;
        if let Err(error) = core.save() {
            tracing::error!(%error, "the sandbox could not store its state");
        }
        core.store.leave();
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
            .get::<axum::extract::ConnectInfo<Cut>>()
            .map(|info| info.0.clone());
        let (parts, body) = request.into_parts();
        let body = read(body).await;
        if self.core().closed {
            return hang_up(cut);
        }
        let asked = parts
            .headers
            .get(header::HOST)
            .and_then(|host| host.to_str().ok());
        let public = public::host(&self.core().world, asked);
        if let Some(host) = public {
            return self.visit(host, cut).await;
        }
        let (method, uri, headers) = (parts.method.to_string(), parts.uri, parts.headers);
        let mut incoming = Incoming {
            n: 0,
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
            let answer = self.administer(&incoming, &path);
            return render(&answer, 0);
        }
        if incoming.uri.path() == "/_github/token" {
            return render(&self.workflow_token(&incoming), 0);
        }
        let blow = self.arrive(&mut incoming, route);
        self.hold(blow, Blow::HoldBefore).await;
        let (answer, limited) = self.struck(route, &incoming, blow).await;
        self.hold(blow, Blow::HoldAfter).await;
        self.linger().await;
        let dropped = matches!(blow, Some(Blow::DropBefore | Blow::DropAfter));
        self.depart(incoming.n, if dropped { 0 } else { answer.status }, limited);
        match blow {
            Some(Blow::Truncate) => truncated(&answer, incoming.n),
            _ if dropped => hang_up(cut),
            _ => render(&answer, incoming.n),
        }
    }

    /// Takes the time that every answer is made to take.
    pub(crate) async fn linger(&self) {
        if !self.latency.is_zero() {
            tokio::time::sleep(self.latency).await;
        }
    }

    /// Wakes whoever waits for a change.
    pub(crate) fn tell(&self) {
        self.changed.notify_waiters();
    }

    /// Answers a request to the public side. It is none to the APIs: nothing counts, limits or strikes it.
    async fn visit(&self, host: String, cut: Option<Cut>) -> Response<HttpBody> {
        let turn = self.visits.fetch_add(1, Ordering::Relaxed);
        let arrived_ms = {
            let mut core = self.core();
            core.clock.request();
            core.clock.now()
        };
        let visit = Visit {
            host,
            turn,
            arrived_ms,
        };
        let answer = self.until(|world| public::visit(world, &visit)).await;
        self.linger().await;
        match answer {
            Ok(Some(answer)) => render(&answer, 0),
            // The name does not resolve, or nobody gets through to it.
            Ok(None) => hang_up(cut),
            Err(refusal) => render(&refusal.into(), 0),
        }
    }

    fn administer(&self, incoming: &Incoming, path: &str) -> Answer {
        let mut core = self.core();
        core.catch_up();
        let body = incoming.body.clone();
        let reply = body.and_then(|body| admin::answer(&mut core, &incoming.method, path, &body));
        let answer = stored(&mut core, reply);
        self.changed.notify_waiters();
        answer
    }

    /// Answers a workflow that asks GitHub for its identity token.
    fn workflow_token(&self, incoming: &Incoming) -> Answer {
        let mut core = self.core();
        core.catch_up();
        let query =
            Query::<Vec<(String, String)>>::try_from_uri(&incoming.uri).map(|query| query.0);
        let authorization = incoming
            .headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok());
        let reply = aws::workflow_token(&mut core.world, &query.unwrap_or_default(), authorization);
        stored(&mut core, reply)
    }

    /// Counts the request and says what befalls it.
    fn arrive(&self, incoming: &mut Incoming, route: Option<&Route>) -> Option<Blow> {
        let write = route.map_or(incoming.method != "GET", |route| route.writes);
        let path = incoming.uri.path().to_owned();
        let query = incoming.uri.query().unwrap_or_default().to_owned();
        let nonce = incoming.headers.contains_key("fly-machine-lease-nonce");
        let kind = if write { Kind::Write } else { Kind::Read };
        let (n, blow) = self
            .core()
            .arrive(&incoming.method, path, query, nonce, kind);
        incoming.n = n;
        blow
    }

    /// Completes the record of a request.
    pub(crate) fn depart(&self, n: u64, status: u16, limited: bool) {
        let mut core = self.core();
        let at = usize::try_from(n).unwrap_or(usize::MAX).saturating_sub(1);
        if let Some(record) = core.requests.get_mut(at) {
            record.status = status;
            record.rate_limited = limited;
        }
    }

    /// Does the request, unless a fault forbids it, and says whether it was one too many.
    async fn struck(
        &self,
        route: Option<&Route>,
        incoming: &Incoming,
        blow: Option<Blow>,
    ) -> (Answer, bool) {
        let said = |code| Answer::from(Refusal::new(code, faults::words(code)));
        match blow {
            Some(Blow::DropBefore) => (Answer::empty(500), false),
            Some(Blow::Status(code)) => (said(code), code == 429),
            Some(Blow::Limited) => (limits::limited().into(), true),
            Some(Blow::Aborted | Blow::Conflict) => (said(409), false),
            Some(Blow::StatusAfter(code)) => {
                self.run(route, incoming).await;
                (said(code), false)
            }
            Some(Blow::Expired) => (said(401), false),
            Some(
                Blow::DropAfter | Blow::Truncate | Blow::Twice | Blow::HoldBefore | Blow::HoldAfter,
            )
            | None => {
                if blow == Some(Blow::Twice) {
                    self.run(route, incoming).await;
                }
                let answer = self.run(route, incoming).await;
                let limited = answer.status == 429;
                (answer, limited)
            }
        }
    }

    async fn run(&self, route: Option<&Route>, incoming: &Incoming) -> Answer {
        let Some(route) = route else {
            // Go's router speaks before anybody asks for a token.
            return Answer {
                body: Body::Text("404 page not found\n".to_owned()),
                ..Answer::empty(404)
            };
        };
        let call = match self.admit(route, incoming) {
            Ok(call) => call,
            Err(refusal) => return refusal.into(),
        };
        let answer = self.until(|world| match route.handler {
            Handler::Now(run) => Ok(run(world, &call)),
            Handler::Waits(run) => run(world, &call),
        });
        answer
            .await
            .and_then(|reply| reply)
            .unwrap_or_else(Answer::from)
    }

    /// Asks until there is an answer, however long that takes.
    ///
    /// # Errors
    /// When the sandbox was stopped meanwhile, or cannot store what changed.
    async fn until<T>(
        &self,
        mut ask: impl FnMut(&mut World) -> Result<T, i64>,
    ) -> Result<T, Refusal> {
        loop {
            // Registered before looking, so that no change between looking and waiting is missed.
            let changed = self.changed.notified();
            match self.attempt(&mut ask) {
                Ok(answer) => return answer,
                Err(Some(sleep)) => drop(tokio::time::timeout(sleep, changed).await),
                Err(None) => changed.await,
            }
        }
    }

    /// Authentication, rights, and the rate limit.
    fn admit(&self, route: &Route, incoming: &Incoming) -> Result<Call, Refusal> {
        let mut core = self.core();
        core.catch_up();
        let header = |name: &str| {
            incoming
                .headers
                .get(name)
                .and_then(|value| value.to_str().ok())
        };
        let authorization = header(header::AUTHORIZATION.as_str());
        let who = match route.open {
            true => access::visitor(&core.world, authorization),
            false => access::authenticate(&core.world, authorization)?,
        };
        if route.writes && !who.writes() {
            return Err(access::forbidden());
        }
        let query = Query::<Vec<(String, String)>>::try_from_uri(&incoming.uri);
        let call = Call {
            params: incoming.params.iter().cloned().collect(),
            query: query.map_err(|_| Refusal::invalid("invalid query"))?.0,
            body: incoming.body.clone()?,
            nonce: header("fly-machine-lease-nonce")
                .filter(|nonce| !nonce.is_empty())
                .map(str::to_owned),
            who,
            arrived_ms: core.world.now,
        };
        if let Some(rate) = route.rate {
            let now = core.world.now;
            core.limits.take(
                &format!("{} {}", route.method, route.path),
                &route.identify(&call),
                rate,
                now,
            )?;
        }
        Ok(call)
    }

    /// Asks once: an answer, or how long to wait for a change (without end if time stands still).
    fn attempt<T>(
        &self,
        ask: &mut impl FnMut(&mut World) -> Result<T, i64>,
    ) -> Result<Result<T, Refusal>, Option<Duration>> {
        let mut core = self.core();
        loop {
            if core.closed {
                return Ok(Err(Refusal::new(
                    503,
                    "unavailable: the sandbox was stopped",
                )));
            }
            core.catch_up();
            match ask(&mut core.world) {
                Ok(answer) => {
                    let saved = save(&mut core);
                    self.changed.notify_waiters();
                    return Ok(saved.map(|()| answer));
                }
                Err(deadline) => {
                    let next =
                        settle::next_due(&core.world).map_or(deadline, |due| due.min(deadline));
                    if !core.clock.wait_until(next) {
                        return Err(core.clock.sleep_until(next));
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
fn save(core: &mut Core) -> Result<(), Refusal> {
    core.save().map_err(|error| {
        tracing::error!(%error, "the sandbox could not store its state");
        Refusal::new(500, error.to_string())
    })
}

/// The answer, once the change behind it is safe.
fn stored(core: &mut Core, reply: Reply) -> Answer {
    save(core).and(reply).unwrap_or_else(Answer::from)
}
