//! A simulated S3 object with conditional writes, and a simulated clock. Each client has its own
//! faults and its own local clocks.

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

/// The steps in which simulated time passes.
const TIME_STEP: Duration = Duration::from_millis(500);

/// What happens to one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RequestFault {
    /// It succeeds.
    None,
    /// It never arrives, and the client gets an error.
    RequestLost,
    /// It is carried out, but the response is lost.
    ResponseLost,
    /// Status 409.
    Conflict,
    /// Status 403.
    AccessDenied,
    /// It is carried out and answered after this many seconds.
    Slow(u64),
    /// It is carried out after this many seconds, long after the client got an error.
    AppliedLate(u64),
    /// It never arrives, and the client gets no response.
    Hangs,
}

/// The server and its time.
#[derive(Debug, Default)]
struct ServerState {
    now: Duration,
    object: Option<Vec<u8>>,
    bucket_deleted: bool,
    /// When the object was written, in server time, if it cannot be read since it is in an archive.
    archived_at: Option<Timestamp>,
    /// Conditions that the server ignores.
    ignored_conditions: Vec<&'static str>,
    writes: Vec<LockRecord>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Simulation {
    server: Arc<Mutex<ServerState>>,
    time_advanced: Arc<Notify>,
}

/// Computed from the content, as in S3: equal content has equal `ETag`s.
fn etag(body: &[u8]) -> String {
    let digits = Sha256::digest(body)
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect::<String>();
    format!("\"{digits}\"")
}

impl Simulation {
    /// The server time at the start.
    const START: &str = "2026-11-21T12:00:00Z";

    fn server(&self) -> MutexGuard<'_, ServerState> {
        self.server.lock().unwrap()
    }

    pub(super) fn now(&self) -> Duration {
        self.server().now
    }

    /// A client whose clocks run like the server's.
    pub(super) fn new_client(&self) -> SimulatedClient {
        SimulatedClient {
            simulation: self.clone(),
            state: Arc::default(),
        }
    }

    pub(super) fn object(&self) -> Option<Vec<u8>> {
        self.server().object.clone()
    }

    /// The stored record.
    pub(super) fn record(&self) -> LockRecord {
        LockRecord::parse(&self.object().expect("there is an object")).unwrap()
    }

    pub(super) fn set_object(&self, body: Option<&[u8]>) {
        self.server().object = body.map(<[u8]>::to_vec);
    }

    /// Moves the object to an archive.
    pub(super) fn archive_object(&self, written_at: Timestamp) {
        self.server().archived_at = Some(written_at);
    }

    pub(super) fn delete_bucket(&self) {
        let mut inner = self.server();
        (inner.object, inner.bucket_deleted) = (None, true);
    }

    pub(super) fn ignore_conditions(&self, conditions: &[&'static str]) {
        self.server().ignored_conditions = conditions.to_vec();
    }

    /// Every write that was carried out.
    pub(super) fn writes(&self) -> Vec<LockRecord> {
        self.server().writes.clone()
    }

    fn advance_clock(&self, by: Duration) {
        self.server().now += by;
        self.time_advanced.notify_waiters();
    }

    /// Waits by server time.
    async fn wait_for(&self, duration: Duration) {
        let until = self.now() + duration;
        loop {
            let moved = self.time_advanced.notified();
            if self.now() >= until {
                return;
            }
            moved.await;
        }
    }

    /// Runs all tasks that can run. There is only one thread, and all tasks wait for this clock
    /// only.
    pub(super) async fn run_ready_tasks(&self) {
        for _ in 0..40 {
            tokio::task::yield_now().await;
        }
    }

    /// Lets time pass.
    pub(super) async fn advance(&self, duration: Duration) {
        let until = self.now() + duration;
        self.run_ready_tasks().await;
        while self.now() < until {
            self.advance_clock((until - self.now()).min(TIME_STEP));
            self.run_ready_tasks().await;
        }
    }

    /// Runs a future to completion, and lets time pass whenever it waits.
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

/// The state of one client.
#[derive(Debug, Default)]
struct ClientState {
    next_faults: VecDeque<RequestFault>,
    permanent_fault: Option<RequestFault>,
    /// How long its machine has slept, while its monotonic clock stood still.
    total_sleep: Duration,
    asleep_since: Option<Duration>,
    /// How far its wall clock was set forward and back.
    wall_forward: Duration,
    wall_back: Duration,
    /// How far its server's clock is ahead of the others, in seconds.
    server_skew_secs: i64,
    omits_date: bool,
    request_count: usize,
}

/// A client: its requests and its clocks.
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

    /// Sets what happens to the next requests.
    pub(super) fn queue_faults(&self, faults: &[RequestFault]) {
        self.state().next_faults.extend(faults);
    }

    /// Sets what happens to all later requests.
    pub(super) fn set_permanent_fault(&self, fault: RequestFault) {
        self.state().permanent_fault = Some(fault);
    }

    pub(super) fn request_count(&self) -> usize {
        self.state().request_count
    }

    /// Sets how far this client's server is ahead of the others, in seconds.
    pub(super) fn set_server_skew(&self, secs: i64) {
        self.state().server_skew_secs = secs;
    }

    pub(super) fn omit_date(&self) {
        self.state().omits_date = true;
    }

    /// Sets its wall clock forward.
    pub(super) fn set_forward(&self, by: Duration) {
        self.state().wall_forward += by;
    }

    /// Sets its wall clock back.
    pub(super) fn set_back(&self, by: Duration) {
        self.state().wall_back += by;
    }

    /// Puts its machine to sleep: its monotonic clock stands still.
    pub(super) fn fall_asleep(&self) {
        self.state().asleep_since = Some(self.simulation.now());
    }

    pub(super) fn is_asleep(&self) -> bool {
        self.state().asleep_since.is_some()
    }

    pub(super) fn wake_up(&self) {
        let mut state = self.state();
        if let Some(since) = state.asleep_since.take() {
            state.total_sleep += self.simulation.now() - since;
        }
    }

    /// One request. `done` is what the server does, `busy` its response to a conflict.
    async fn request<T>(
        &self,
        done: impl Fn(&mut ServerState) -> T + Send + 'static,
        busy: Option<T>,
    ) -> Result<StoreResponse<T>, CloudError> {
        let fault = {
            let mut state = self.state();
            state.request_count += 1;
            state
                .next_faults
                .pop_front()
                .or(state.permanent_fault)
                .unwrap_or(RequestFault::None)
        };
        // Other tasks may run before every request.
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

    /// The `Date` header: whole seconds.
    fn server_date(&self) -> Option<Timestamp> {
        let state = self.state();
        let start: Timestamp = Simulation::START.parse().unwrap();
        let secs = i64::try_from(self.simulation.now().as_secs()).unwrap() + state.server_skew_secs;
        (!state.omits_date).then(|| start + SignedDuration::from_secs(secs))
    }
}

impl LockStore for SimulatedClient {
    async fn get(&self) -> Result<StoreResponse<GetOutcome>, CloudError> {
        let read = |inner: &mut ServerState| match (&inner.object, inner.bucket_deleted) {
            (_, true) => GetOutcome::BucketNotFound,
            (None, false) => GetOutcome::ObjectNotFound,
            (Some(body), false) => match inner.archived_at {
                Some(written_at) => GetOutcome::Archived {
                    etag: etag(body),
                    written_at,
                },
                None => GetOutcome::Found {
                    body: body.clone(),
                    etag: etag(body),
                },
            },
        };
        self.request(read, None).await
    }

    async fn put(
        &self,
        body: Vec<u8>,
        condition: WriteCondition,
    ) -> Result<StoreResponse<PutOutcome>, CloudError> {
        let put = move |inner: &mut ServerState| {
            let now = inner.object.as_deref().map(etag);
            let (name, holds) = match &condition {
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
                    inner.archived_at = None;
                    PutOutcome::Written { etag: etag(&body) }
                }
            }
        };
        self.request(put, Some(PutOutcome::Conflict)).await
    }

    async fn delete(&self, condition: &str) -> Result<DeleteOutcome, CloudError> {
        let condition = condition.to_owned();
        let delete = move |inner: &mut ServerState| {
            if inner.object.as_deref().map(etag).as_ref() != Some(&condition) {
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
        let state = self.state();
        state.asleep_since.unwrap_or_else(|| self.simulation.now()) - state.total_sleep
    }

    fn wall_clock(&self) -> Duration {
        let state = self.state();
        // Starts late enough that it can be set back.
        Duration::from_secs(1 << 30) + self.simulation.now() + state.wall_forward - state.wall_back
    }

    async fn sleep(&self, duration: Duration) {
        let until = self.monotonic() + duration;
        loop {
            let moved = self.simulation.time_advanced.notified();
            if self.monotonic() >= until {
                return;
            }
            moved.await;
        }
    }
}
