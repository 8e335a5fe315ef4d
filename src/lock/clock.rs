//! The server's time, between two answers that told it. The local clock is never asked what time it is: it may be wrong
//! by hours, and two holders that judge one lock by two clocks are two holders at once.
//!
//! An answer's `Date` is some moment between the request and the answer, cut to the second. From it follow the earliest
//! and the latest that the server's time can be now; each question is answered by the one that errs on the safe side.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use jiff::Timestamp;

use super::record::saturating_add;

/// How exact `Date` is (RFC 9110, section 5.6.7: whole seconds).
const DATE_RESOLUTION: Duration = Duration::from_secs(1);

/// How time passes on this machine, in seconds of the server's.
pub(super) trait TimeSource: Send + Sync + 'static {
    /// Time since a fixed moment. It never goes back, and may stand still while the machine sleeps.
    fn monotonic(&self) -> Duration;

    /// The same by the local clock: it may jump, and it also counts the time in which the machine slept.
    fn wall_clock(&self) -> Duration;

    /// Waits.
    fn sleep(&self, length: Duration) -> impl Future<Output = ()> + Send;
}

/// The machine's own time.
#[derive(Clone, Debug)]
pub(super) struct SystemTimeSource {
    start: Instant,
    wall_start: Timestamp,
    read_wall_clock: fn() -> Timestamp,
    speed: f64,
}

impl SystemTimeSource {
    pub(super) fn new(wall: fn() -> Timestamp, speed: f64) -> Self {
        Self {
            start: Instant::now(),
            wall_start: wall(),
            read_wall_clock: wall,
            speed: crate::clouds::http::clamp_speed(speed),
        }
    }
}

impl TimeSource for SystemTimeSource {
    fn monotonic(&self) -> Duration {
        self.start.elapsed().mul_f64(self.speed)
    }

    fn wall_clock(&self) -> Duration {
        let passed = (self.read_wall_clock)().duration_since(self.wall_start);
        Duration::try_from(passed)
            .unwrap_or_default()
            .mul_f64(self.speed)
    }

    async fn sleep(&self, length: Duration) {
        tokio::time::sleep(length.div_f64(self.speed)).await;
    }
}

/// What the server told last.
#[derive(Clone, Copy, Debug)]
struct ServerTime {
    date: Timestamp,
    sent: LocalInstant,
    received: Duration,
}

/// How much time has passed on this machine at least since the clock was made, however it passed.
#[derive(Clone, Copy, Debug)]
pub(super) struct LocalInstant(Duration);

/// Both times of this machine when they were read last, and how much had passed by the longer of the two, from one reading
/// to the next: a local clock that is set back takes nothing away from what passed before.
#[derive(Debug)]
struct ClockReadings {
    monotonic: Duration,
    wall_clock: Duration,
    elapsed: Duration,
}

/// The server's clock as far as it is known.
#[derive(Debug)]
pub(super) struct ServerClock<P> {
    time_source: P,
    last_readings: Mutex<ClockReadings>,
    last_server_time: Mutex<Option<ServerTime>>,
}

impl<P: TimeSource> ServerClock<P> {
    pub(super) fn new(pulse: P) -> Self {
        let passed = ClockReadings {
            monotonic: pulse.monotonic(),
            wall_clock: pulse.wall_clock(),
            elapsed: Duration::ZERO,
        };
        Self {
            time_source: pulse,
            last_readings: Mutex::new(passed),
            last_server_time: Mutex::default(),
        }
    }

    pub(super) fn time_source(&self) -> &P {
        &self.time_source
    }

    /// Now, on this machine: to be kept while a request is under way.
    pub(super) fn local_now(&self) -> LocalInstant {
        let (steady, wall) = (self.time_source.monotonic(), self.time_source.wall_clock());
        let mut passed = self
            .last_readings
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let since = steady
            .saturating_sub(passed.monotonic)
            .max(wall.saturating_sub(passed.wall_clock));
        *passed = ClockReadings {
            monotonic: steady,
            wall_clock: wall,
            elapsed: passed.elapsed + since,
        };
        LocalInstant(passed.elapsed)
    }

    /// Notes what an answer to a request told that was sent at this moment. An answer without a date tells nothing.
    pub(super) fn record_server_date(&self, sent: LocalInstant, date: Option<Timestamp>) {
        if let Some(date) = date {
            *self.lock_server_time() = Some(ServerTime {
                date,
                sent,
                received: self.time_source.monotonic(),
            });
        }
    }

    /// The earliest that the server's time can be: by it others' locks have not run out yet.
    pub(super) fn earliest_now(&self) -> Option<Timestamp> {
        let ServerTime { date, received, .. } = (*self.lock_server_time())?;
        Some(saturating_add(
            date,
            self.time_source.monotonic().saturating_sub(received),
        ))
    }

    /// The latest that the server's time can be: by it our own lock has run out already. A machine that slept, or whose
    /// clock was set, is later rather than earlier.
    pub(super) fn latest_now(&self) -> Option<Timestamp> {
        let LocalInstant(now) = self.local_now();
        let ServerTime {
            date,
            sent: LocalInstant(sent),
            ..
        } = (*self.lock_server_time())?;
        Some(saturating_add(
            date,
            DATE_RESOLUTION + now.saturating_sub(sent),
        ))
    }

    fn lock_server_time(&self) -> MutexGuard<'_, Option<ServerTime>> {
        self.last_server_time
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
