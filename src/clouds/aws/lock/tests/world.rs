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
        Terms, Who,
        clock::{Clock, Pulse},
        record::Record,
        store::{Answer, Look, Only, Put, Removed, Store},
        take::Taker,
    },
    place,
};
use crate::clouds::{CloudError, Trouble};

/// In which steps time passes.
const STEP: Duration = Duration::from_millis(500);

/// What happens to one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It is answered.
    None,
    /// It never arrives.
    Lost,
    /// It is done, and the answer is lost.
    AnswerLost,
    /// 409.
    Busy,
    /// 403.
    Denied,
    /// It is done after so many seconds, and answered then.
    Slow(u64),
    /// It is done after so many seconds, although the client was told long before that it failed.
    Ghost(u64),
    /// It never arrives, and nobody is told.
    Hangs,
}

/// The server and its time.
#[derive(Debug, Default)]
struct Inner {
    now: Duration,
    object: Option<Vec<u8>>,
    no_bucket: bool,
    /// Conditions that are not looked at.
    ignores: Vec<&'static str>,
    written: Vec<Record>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct World {
    inner: Arc<Mutex<Inner>>,
    moved: Arc<Notify>,
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

impl World {
    /// Noon.
    const START: &str = "2026-11-21T12:00:00Z";

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    pub(super) fn now(&self) -> Duration {
        self.inner().now
    }

    /// A client whose time passes as the server's.
    pub(super) fn node(&self) -> Node {
        Node {
            world: self.clone(),
            own: Arc::default(),
        }
    }

    pub(super) fn object(&self) -> Option<Vec<u8>> {
        self.inner().object.clone()
    }

    /// What stands there.
    pub(super) fn record(&self) -> Record {
        Record::read(&self.object().expect("there is an object")).unwrap()
    }

    pub(super) fn set(&self, body: Option<&[u8]>) {
        self.inner().object = body.map(<[u8]>::to_vec);
    }

    pub(super) fn drop_bucket(&self) {
        let mut inner = self.inner();
        (inner.object, inner.no_bucket) = (None, true);
    }

    pub(super) fn ignore(&self, conditions: &[&'static str]) {
        self.inner().ignores = conditions.to_vec();
    }

    /// Every write that was done.
    pub(super) fn written(&self) -> Vec<Record> {
        self.inner().written.clone()
    }

    fn tick(&self, by: Duration) {
        self.inner().now += by;
        self.moved.notify_waiters();
    }

    /// Waits by the server's time.
    async fn wait(&self, length: Duration) {
        let until = self.now() + length;
        loop {
            let moved = self.moved.notified();
            if self.now() >= until {
                return;
            }
            moved.await;
        }
    }

    /// Lets everybody who can go on do so. There is one thread, and nobody waits for anything but this clock.
    pub(super) async fn settle(&self) {
        for _ in 0..40 {
            tokio::task::yield_now().await;
        }
    }

    /// Lets time pass.
    pub(super) async fn pass(&self, length: Duration) {
        let until = self.now() + length;
        self.settle().await;
        while self.now() < until {
            self.tick((until - self.now()).min(STEP));
            self.settle().await;
        }
    }

    /// Runs something to its end; time passes whenever it waits.
    pub(super) async fn run<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        for _ in 0..100_000 {
            tokio::select! {
                biased;
                done = &mut work => return done,
                () = self.settle() => self.tick(STEP),
            }
        }
        panic!("it waits for ever");
    }
}

/// What one client has for itself.
#[derive(Debug, Default)]
struct Own {
    faults: VecDeque<Fault>,
    every: Option<Fault>,
    /// How long its machine slept, and its steady time stood still.
    slept: Duration,
    asleep_since: Option<Duration>,
    /// How far its local clock was set forward, and back.
    wall: Duration,
    back: Duration,
    /// How far the server that it talks to is from the others, in seconds.
    skew: i64,
    no_date: bool,
    requests: usize,
}

/// A client: its requests and its time.
#[derive(Clone, Debug)]
pub(super) struct Node {
    world: World,
    own: Arc<Mutex<Own>>,
}

impl Node {
    fn own(&self) -> MutexGuard<'_, Own> {
        self.own.lock().unwrap()
    }

    pub(super) fn world(&self) -> &World {
        &self.world
    }

    pub(super) fn clock(&self) -> Clock<Self> {
        Clock::new(self.clone())
    }

    pub(super) fn taker(self, who: Who, terms: Terms) -> Taker<Self, Self> {
        Taker::new(self.clone(), self.clock(), place(), who, terms)
    }

    /// What happens to the next requests.
    pub(super) fn next(&self, faults: &[Fault]) {
        self.own().faults.extend(faults);
    }

    /// What happens to every request after those.
    pub(super) fn always(&self, fault: Fault) {
        self.own().every = Some(fault);
    }

    pub(super) fn requests(&self) -> usize {
        self.own().requests
    }

    /// The server that it talks to is ahead of the others by so many seconds.
    pub(super) fn skew(&self, secs: i64) {
        self.own().skew = secs;
    }

    pub(super) fn without_date(&self) {
        self.own().no_date = true;
    }

    /// Its local clock is set forward.
    pub(super) fn set_forward(&self, by: Duration) {
        self.own().wall += by;
    }

    /// Its local clock is set back.
    pub(super) fn set_back(&self, by: Duration) {
        self.own().back += by;
    }

    /// Its machine falls asleep: its steady time stands still.
    pub(super) fn fall_asleep(&self) {
        self.own().asleep_since = Some(self.world.now());
    }

    pub(super) fn is_asleep(&self) -> bool {
        self.own().asleep_since.is_some()
    }

    pub(super) fn wake(&self) {
        let mut own = self.own();
        if let Some(since) = own.asleep_since.take() {
            own.slept += self.world.now() - since;
        }
    }

    /// One request, with what happens to it; `what` is what the server does.
    async fn request<T>(
        &self,
        done: impl Fn(&mut Inner) -> T + Send + 'static,
        busy: Option<T>,
    ) -> Result<Answer<T>, CloudError> {
        let fault = {
            let mut own = self.own();
            own.requests += 1;
            own.faults.pop_front().or(own.every).unwrap_or(Fault::None)
        };
        // Every request is a moment in which others go on.
        tokio::task::yield_now().await;
        let error = |trouble| Err(CloudError::aws("ask the store", trouble, "a test says so"));
        let value = match (fault, busy) {
            (Fault::Lost, _) => return error(Trouble::Ambiguous),
            (Fault::Denied, _) => return error(Trouble::Denied),
            (Fault::Hangs, _) => std::future::pending().await,
            (Fault::AnswerLost, _) => {
                done(&mut self.world.inner());
                return error(Trouble::Ambiguous);
            }
            (Fault::Ghost(secs), _) => {
                let world = self.world.clone();
                drop(tokio::spawn(async move {
                    world.wait(Duration::from_secs(secs)).await;
                    done(&mut world.inner());
                }));
                return error(Trouble::Ambiguous);
            }
            (Fault::Busy, Some(busy)) => busy,
            (Fault::Slow(secs), _) => {
                self.sleep(Duration::from_secs(secs)).await;
                done(&mut self.world.inner())
            }
            (Fault::None | Fault::Busy, _) => done(&mut self.world.inner()),
        };
        tokio::task::yield_now().await;
        Ok(Answer {
            value,
            date: self.date(),
        })
    }

    /// As a `Date` tells it: in whole seconds.
    fn date(&self) -> Option<Timestamp> {
        let own = self.own();
        let start: Timestamp = World::START.parse().unwrap();
        let secs = i64::try_from(self.world.now().as_secs()).unwrap() + own.skew;
        (!own.no_date).then(|| start + SignedDuration::from_secs(secs))
    }
}

impl Store for Node {
    async fn get(&self) -> Result<Answer<Look>, CloudError> {
        let look = |inner: &mut Inner| match (&inner.object, inner.no_bucket) {
            (_, true) => Look::NoBucket,
            (None, false) => Look::NoObject,
            (Some(body), false) => Look::There {
                body: body.clone(),
                etag: etag(body),
            },
        };
        self.request(look, None).await
    }

    async fn put(&self, body: Vec<u8>, only: Only) -> Result<Answer<Put>, CloudError> {
        let put = move |inner: &mut Inner| {
            let now = inner.object.as_deref().map(etag);
            let (name, holds) = match &only {
                Only::IfAbsent => ("If-None-Match", now.is_none()),
                Only::IfStill(etag) => ("If-Match", now.as_ref() == Some(etag)),
            };
            match () {
                () if inner.no_bucket => Put::NoBucket,
                () if !holds && !inner.ignores.contains(&name) => Put::Refused,
                () => {
                    inner.written.push(Record::read(&body).unwrap());
                    inner.object = Some(body.clone());
                    Put::Written { etag: etag(&body) }
                }
            }
        };
        self.request(put, Some(Put::Busy)).await
    }

    async fn remove(&self, only: &str) -> Result<Removed, CloudError> {
        let only = only.to_owned();
        let remove = move |inner: &mut Inner| {
            if inner.object.as_deref().map(etag).as_ref() != Some(&only) {
                return Removed::Refused;
            }
            inner.object = None;
            Removed::Gone
        };
        self.request(remove, None).await.map(|answer| answer.value)
    }
}

impl Pulse for Node {
    fn steady(&self) -> Duration {
        let own = self.own();
        own.asleep_since.unwrap_or_else(|| self.world.now()) - own.slept
    }

    fn wall(&self) -> Duration {
        let own = self.own();
        // Long after the moment from which it counts, so that it can be set back.
        Duration::from_secs(1 << 30) + self.world.now() + own.wall - own.back
    }

    async fn sleep(&self, length: Duration) {
        let until = self.steady() + length;
        loop {
            let moved = self.world.moved.notified();
            if self.steady() >= until {
                return;
            }
            moved.await;
        }
    }
}
