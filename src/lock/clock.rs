//! The server time between two responses. The local clock is never used as the time: it may be
//! wrong by hours, and if two runs judged one lock by two clocks, both could hold it.
//!
//! A response's `Date` is a moment between the request and the response, cut to the second. From it
//! follow the earliest and the latest possible server time now. Each question is answered with the
//! one that errs on the safe side.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use jiff::Timestamp;

use super::record::saturating_add;

/// The resolution of the `Date` header: whole seconds (RFC 9110, section 5.6.7).
const DATE_RESOLUTION: Duration = Duration::from_secs(1);

/// How time passes on this machine, in seconds of server time.
pub(super) trait TimeSource: Send + Sync + 'static {
    /// Time since a fixed moment. Never goes back, and may stand still while the machine sleeps.
    fn monotonic(&self) -> Duration;

    /// The same by the wall clock. It may jump when the clock is set, and includes the time in
    /// which the machine slept.
    fn wall_clock(&self) -> Duration;

    /// Waits for a duration of server time.
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send;
}

/// The clocks of this machine, sped up by a factor against a sandbox.
#[derive(Clone, Debug)]
pub(super) struct SystemTimeSource {
    start: Instant,
    wall_start: Timestamp,
    read_wall_clock: fn() -> Timestamp,
    speed: f64,
}

impl SystemTimeSource {
    pub(super) fn new(wall_clock: fn() -> Timestamp, speed: f64) -> Self {
        Self {
            start: Instant::now(),
            wall_start: wall_clock(),
            read_wall_clock: wall_clock,
            speed: crate::clouds::http::clamp_speed(speed),
        }
    }
}

impl TimeSource for SystemTimeSource {
    fn monotonic(&self) -> Duration {
        self.start.elapsed().mul_f64(self.speed)
    }

    fn wall_clock(&self) -> Duration {
        let readings = (self.read_wall_clock)().duration_since(self.wall_start);
        Duration::try_from(readings)
            .unwrap_or_default()
            .mul_f64(self.speed)
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration.div_f64(self.speed)).await;
    }
}

/// The last server time and when it was received.
#[derive(Clone, Copy, Debug)]
struct ServerTime {
    date: Timestamp,
    sent: LocalInstant,
    received: Duration,
}

/// A point in local time: how much time has passed at most since the clock was created, by
/// whichever of the two local clocks passed more.
#[derive(Clone, Copy, Debug)]
pub(super) struct LocalInstant(Duration);

/// The last readings of both local clocks, and the time elapsed so far. From one reading to the
/// next, the longer of the two intervals counts. So setting the wall clock back takes nothing away
/// from what had elapsed before.
#[derive(Debug)]
struct ClockReadings {
    monotonic: Duration,
    wall_clock: Duration,
    elapsed: Duration,
}

/// The server's clock, as far as it is known from its responses.
#[derive(Debug)]
pub(super) struct ServerClock<P> {
    time_source: P,
    last_readings: Mutex<ClockReadings>,
    last_server_time: Mutex<Option<ServerTime>>,
}

impl<P: TimeSource> ServerClock<P> {
    pub(super) fn new(time_source: P) -> Self {
        let readings = ClockReadings {
            monotonic: time_source.monotonic(),
            wall_clock: time_source.wall_clock(),
            elapsed: Duration::ZERO,
        };
        Self {
            time_source,
            last_readings: Mutex::new(readings),
            last_server_time: Mutex::default(),
        }
    }

    pub(super) fn time_source(&self) -> &P {
        &self.time_source
    }

    /// The local time, to be kept while a request is in progress.
    pub(super) fn local_now(&self) -> LocalInstant {
        let (monotonic, wall_clock) = (self.time_source.monotonic(), self.time_source.wall_clock());
        let mut readings = self
            .last_readings
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // While the machine sleeps only the wall clock advances; when the wall clock is set back,
        // only the monotonic clock does.
        let interval = monotonic
            .saturating_sub(readings.monotonic)
            .max(wall_clock.saturating_sub(readings.wall_clock));
        *readings = ClockReadings {
            monotonic,
            wall_clock,
            elapsed: readings.elapsed + interval,
        };
        LocalInstant(readings.elapsed)
    }

    /// Records the date of the response to a request that was sent at `sent`. A response without a
    /// date changes nothing.
    pub(super) fn record_server_date(&self, sent: LocalInstant, date: Option<Timestamp>) {
        if let Some(date) = date {
            *self.lock_server_time() = Some(ServerTime {
                date,
                sent,
                received: self.time_source.monotonic(),
            });
        }
    }

    /// The earliest possible server time now: the date plus the time since the response. Used for
    /// other runs' locks, which must not be taken too early.
    pub(super) fn earliest_now(&self) -> Option<Timestamp> {
        let ServerTime { date, received, .. } = (*self.lock_server_time())?;
        Some(saturating_add(
            date,
            self.time_source.monotonic().saturating_sub(received),
        ))
    }

    /// The latest possible server time now: the date, plus its resolution, plus the time since the
    /// request was sent. Used for our own lock, which must count as expired early rather than late.
    /// Sleeping or setting the clock forward only makes this later.
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
