//! A store in memory as S3 is, for as many clients as wanted, each with faults of its own and a time of its own.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest as _, Sha256};
use tokio::sync::Notify;

use super::{
    super::{
        LockHolder, LockTimings,
        acquire::Acquirer,
        clock::{ServerClock, TimeSource},
        record::LockRecord,
        store::{DeleteOutcome, GetOutcome, LockStore, PutOutcome, StoreResponse, WriteCondition},
    },
    test_location,
};
use crate::clouds::{CloudError, ErrorKind};

/// In which steps time passes.
const TIME_STEP: Duration = Duration::from_millis(500);

/// What happens to one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RequestFault {
    /// It is answered.
    None,
    /// It never arrives.
    RequestLost,
    /// It is done, and the answer is lost.
    ResponseLost,
    /// 409.
    Conflict,
    /// 403.
    AccessDenied,
    /// It is done after so many seconds, and answered then.
    Slow(u64),
    /// It is done after so many seconds, although the client was told long before that it failed.
    AppliedLate(u64),
    /// It never arrives, and nobody is told.
    Hangs,
}

/// The server and its time.
#[derive(Debug, Default)]
struct ServerState {
    now: Duration,
    object: Option<Vec<u8>>,
    bucket_deleted: bool,
    /// Conditions that are not looked at.
    ignored_conditions: Vec<&'static str>,
    writes: Vec<LockRecord>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Simulation {
    server: Arc<Mutex<ServerState>>,
    time_advanced: Arc<Notify>,
}

/// As S3 makes them: of the content, so that the same content has the same.
fn etag(body: &[u8]) -> String {
    let digits = Sha256::digest(body)
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect::<String>();
    format!("\"{digits}\"")
}

impl Simulation {
    /// Noon.
    const START: &str = "2026-11-21T12:00:00Z";

    fn server(&self) -> MutexGuard<'_, ServerState> {
        self.server.lock().unwrap()
    }

    pub(super) fn now(&self) -> Duration {
        self.server().now
    }

    /// A client whose time passes as the server's.
    pub(super) fn new_client(&self) -> SimulatedClient {
        SimulatedClient {
            simulation: self.clone(),
            state: Arc::default(),
        }
    }

    pub(super) fn object(&self) -> Option<Vec<u8>> {
        self.server().object.clone()
    }

    /// What stands there.
    pub(super) fn record(&self) -> LockRecord {
        LockRecord::parse(&self.object().expect("there is an object")).unwrap()
    }

    pub(super) fn set_object(&self, body: Option<&[u8]>) {
        self.server().object = body.map(<[u8]>::to_vec);
    }

    pub(super) fn delete_bucket(&self) {
        let mut inner = self.server();
        (inner.object, inner.bucket_deleted) = (None, true);
    }

    pub(super) fn ignore_conditions(&self, conditions: &[&'static str]) {
        self.server().ignored_conditions = conditions.to_vec();
    }

    /// Every write that was done.
    pub(super) fn writes(&self) -> Vec<LockRecord> {
        self.server().writes.clone()
    }

    fn advance_clock(&self, by: Duration) {
        self.server().now += by;
        self.time_advanced.notify_waiters();
    }

    /// Waits by the server's time.
    async fn wait_for(&self, length: Duration) {
        let until = self.now() + length;
        loop {
            let moved = self.time_advanced.notified();
            if self.now() >= until {
                return;
            }
            moved.await;
        }
    }

    /// Lets everybody who can go on do so. There is one thread, and nobody waits for anything but this clock.
    pub(super) async fn run_ready_tasks(&self) {
        for _ in 0..40 {
            tokio::task::yield_now().await;
        }
    }

    /// Lets time pass.
    pub(super) async fn advance(&self, length: Duration) {
        let until = self.now() + length;
        self.run_ready_tasks().await;
        while self.now() < until {
            self.advance_clock((until - self.now()).min(TIME_STEP));
            self.run_ready_tasks().await;
        }
    }

    /// Runs something to its end; time passes whenever it waits.
    pub(super) async fn run_to_completion<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        for _ in 0..100_000 {
            tokio::select! {
                biased;
                done = &mut work => return done,
                () = self.run_ready_tasks() => self.advance_clock(TIME_STEP),
            }
        }
        panic!("it waits for ever");
    }
}

/// What one client has for itself.
#[derive(Debug, Default)]
struct ClientState {
    next_faults: VecDeque<RequestFault>,
    permanent_fault: Option<RequestFault>,
    /// How long its machine slept, and its steady time stood still.
    total_sleep: Duration,
    asleep_since: Option<Duration>,
    /// How far its local clock was set forward, and back.
    wall_forward: Duration,
    wall_back: Duration,
    /// How far the server that it talks to is from the others, in seconds.
    server_skew_secs: i64,
    omits_date: bool,
    request_count: usize,
}

/// A client: its requests and its time.
#[derive(Clone, Debug)]
pub(super) struct SimulatedClient {
    simulation: Simulation,
    state: Arc<Mutex<ClientState>>,
}

impl SimulatedClient {
    fn state(&self) -> MutexGuard<'_, ClientState> {
        self.state.lock().unwrap()
    }

    pub(super) fn simulation(&self) -> &Simulation {
        &self.simulation
    }

    pub(super) fn clock(&self) -> ServerClock<Self> {
        ServerClock::new(self.clone())
    }

    pub(super) fn acquirer(self, who: LockHolder, terms: LockTimings) -> Acquirer<Self, Self> {
        Acquirer::new(self.clone(), self.clock(), test_location(), who, terms)
    }

    /// What happens to the next requests.
    pub(super) fn queue_faults(&self, faults: &[RequestFault]) {
        self.state().next_faults.extend(faults);
    }

    /// What happens to every request after those.
    pub(super) fn set_permanent_fault(&self, fault: RequestFault) {
        self.state().permanent_fault = Some(fault);
    }

    pub(super) fn request_count(&self) -> usize {
        self.state().request_count
    }

    /// The server that it talks to is ahead of the others by so many seconds.
    pub(super) fn set_server_skew(&self, secs: i64) {
        self.state().server_skew_secs = secs;
    }

    pub(super) fn omit_date(&self) {
        self.state().omits_date = true;
    }

    /// Its local clock is set forward.
    pub(super) fn set_forward(&self, by: Duration) {
        self.state().wall_forward += by;
    }

    /// Its local clock is set back.
    pub(super) fn set_back(&self, by: Duration) {
        self.state().wall_back += by;
    }

    /// Its machine falls asleep: its steady time stands still.
    pub(super) fn fall_asleep(&self) {
        self.state().asleep_since = Some(self.simulation.now());
    }

    pub(super) fn is_asleep(&self) -> bool {
        self.state().asleep_since.is_some()
    }

    pub(super) fn wake_up(&self) {
        let mut own = self.state();
        if let Some(since) = own.asleep_since.take() {
            own.total_sleep += self.simulation.now() - since;
        }
    }

    /// One request, with what happens to it; `what` is what the server does.
    async fn request<T>(
        &self,
        done: impl Fn(&mut ServerState) -> T + Send + 'static,
        busy: Option<T>,
    ) -> Result<StoreResponse<T>, CloudError> {
        let fault = {
            let mut own = self.state();
            own.request_count += 1;
            own.next_faults
                .pop_front()
                .or(own.permanent_fault)
                .unwrap_or(RequestFault::None)
        };
        // Every request is a moment in which others go on.
        tokio::task::yield_now().await;
        let error = |trouble| {
            Err(CloudError::new_aws(
                "ask the store",
                trouble,
                "a test says so",
            ))
        };
        let value = match (fault, busy) {
            (RequestFault::RequestLost, _) => return error(ErrorKind::Ambiguous),
            (RequestFault::AccessDenied, _) => return error(ErrorKind::PermissionDenied),
            (RequestFault::Hangs, _) => std::future::pending().await,
            (RequestFault::ResponseLost, _) => {
                done(&mut self.simulation.server());
                return error(ErrorKind::Ambiguous);
            }
            (RequestFault::AppliedLate(secs), _) => {
                let world = self.simulation.clone();
                drop(tokio::spawn(async move {
                    world.wait_for(Duration::from_secs(secs)).await;
                    done(&mut world.server());
                }));
                return error(ErrorKind::Ambiguous);
            }
            (RequestFault::Conflict, Some(busy)) => busy,
            (RequestFault::Slow(secs), _) => {
                self.sleep(Duration::from_secs(secs)).await;
                done(&mut self.simulation.server())
            }
            (RequestFault::None | RequestFault::Conflict, _) => done(&mut self.simulation.server()),
        };
        tokio::task::yield_now().await;
        Ok(StoreResponse {
            value,
            server_date: self.server_date(),
        })
    }

    /// As a `Date` tells it: in whole seconds.
    fn server_date(&self) -> Option<Timestamp> {
        let own = self.state();
        let start: Timestamp = Simulation::START.parse().unwrap();
        let secs = i64::try_from(self.simulation.now().as_secs()).unwrap() + own.server_skew_secs;
        (!own.omits_date).then(|| start + SignedDuration::from_secs(secs))
    }
}

impl LockStore for SimulatedClient {
    async fn get(&self) -> Result<StoreResponse<GetOutcome>, CloudError> {
        let look = |inner: &mut ServerState| match (&inner.object, inner.bucket_deleted) {
            (_, true) => GetOutcome::BucketNotFound,
            (None, false) => GetOutcome::ObjectNotFound,
            (Some(body), false) => GetOutcome::Found {
                body: body.clone(),
                etag: etag(body),
            },
        };
        self.request(look, None).await
    }

    async fn put(
        &self,
        body: Vec<u8>,
        only: WriteCondition,
    ) -> Result<StoreResponse<PutOutcome>, CloudError> {
        let put = move |inner: &mut ServerState| {
            let now = inner.object.as_deref().map(etag);
            let (name, holds) = match &only {
                WriteCondition::IfAbsent => ("If-None-Match", now.is_none()),
                WriteCondition::IfMatch(etag) => ("If-Match", now.as_ref() == Some(etag)),
            };
            match () {
                () if inner.bucket_deleted => PutOutcome::BucketNotFound,
                () if !holds && !inner.ignored_conditions.contains(&name) => {
                    PutOutcome::PreconditionFailed
                }
                () => {
                    inner.writes.push(LockRecord::parse(&body).unwrap());
                    inner.object = Some(body.clone());
                    PutOutcome::Written { etag: etag(&body) }
                }
            }
        };
        self.request(put, Some(PutOutcome::Conflict)).await
    }

    async fn delete(&self, only: &str) -> Result<DeleteOutcome, CloudError> {
        let only = only.to_owned();
        let delete = move |inner: &mut ServerState| {
            if inner.object.as_deref().map(etag).as_ref() != Some(&only) {
                return DeleteOutcome::PreconditionFailed;
            }
            inner.object = None;
            DeleteOutcome::Deleted
        };
        self.request(delete, None).await.map(|answer| answer.value)
    }
}

impl TimeSource for SimulatedClient {
    fn monotonic(&self) -> Duration {
        let own = self.state();
        own.asleep_since.unwrap_or_else(|| self.simulation.now()) - own.total_sleep
    }

    fn wall_clock(&self) -> Duration {
        let own = self.state();
        // Long after the moment from which it counts, so that it can be set back.
        Duration::from_secs(1 << 30) + self.simulation.now() + own.wall_forward - own.wall_back
    }

    async fn sleep(&self, length: Duration) {
        let until = self.monotonic() + length;
        loop {
            let moved = self.simulation.time_advanced.notified();
            if self.monotonic() >= until {
                return;
            }
            moved.await;
        }
    }
}
