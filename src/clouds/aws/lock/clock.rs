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

use super::record::later;

/// How exact `Date` is (RFC 9110, section 5.6.7: whole seconds).
const RESOLUTION: Duration = Duration::from_secs(1);

/// How time passes on this machine, in seconds of the server's.
pub(super) trait Pulse: Send + Sync + 'static {
    /// Time since a fixed moment. It never goes back, and may stand still while the machine sleeps.
    fn steady(&self) -> Duration;

    /// The same by the local clock: it may jump, and it also counts the time in which the machine slept.
    fn wall(&self) -> Duration;

    /// Waits.
    fn sleep(&self, length: Duration) -> impl Future<Output = ()> + Send;
}

/// The machine's own time.
#[derive(Clone, Debug)]
pub(super) struct Machine {
    start: Instant,
    first: Timestamp,
    wall: fn() -> Timestamp,
    speed: f64,
}

impl Machine {
    pub(super) fn new(wall: fn() -> Timestamp, speed: f64) -> Self {
        Self {
            start: Instant::now(),
            first: wall(),
            wall,
            speed: crate::clouds::http::bounded(speed),
        }
    }
}

impl Pulse for Machine {
    fn steady(&self) -> Duration {
        self.start.elapsed().mul_f64(self.speed)
    }

    fn wall(&self) -> Duration {
        let passed = (self.wall)().duration_since(self.first);
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
struct Told {
    date: Timestamp,
    sent: Moment,
    received: Duration,
}

/// How much time has passed on this machine at least since the clock was made, however it passed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment(Duration);

/// Both times of this machine when they were read last, and how much had passed by the longer of the two, from one reading
/// to the next: a local clock that is set back takes nothing away from what passed before.
#[derive(Debug)]
struct Passed {
    steady: Duration,
    wall: Duration,
    total: Duration,
}

/// The server's clock as far as it is known.
#[derive(Debug)]
pub(super) struct Clock<P> {
    pulse: P,
    passed: Mutex<Passed>,
    told: Mutex<Option<Told>>,
}

impl<P: Pulse> Clock<P> {
    pub(super) fn new(pulse: P) -> Self {
        let passed = Passed {
            steady: pulse.steady(),
            wall: pulse.wall(),
            total: Duration::ZERO,
        };
        Self {
            pulse,
            passed: Mutex::new(passed),
            told: Mutex::default(),
        }
    }

    pub(super) fn pulse(&self) -> &P {
        &self.pulse
    }

    /// Now, on this machine: to be kept while a request is under way.
    pub(super) fn moment(&self) -> Moment {
        let (steady, wall) = (self.pulse.steady(), self.pulse.wall());
        let mut passed = self.passed.lock().unwrap_or_else(PoisonError::into_inner);
        let since = steady
            .saturating_sub(passed.steady)
            .max(wall.saturating_sub(passed.wall));
        *passed = Passed {
            steady,
            wall,
            total: passed.total + since,
        };
        Moment(passed.total)
    }

    /// Notes what an answer to a request told that was sent at this moment. An answer without a date tells nothing.
    pub(super) fn hear(&self, sent: Moment, date: Option<Timestamp>) {
        if let Some(date) = date {
            *self.lock() = Some(Told {
                date,
                sent,
                received: self.pulse.steady(),
            });
        }
    }

    /// The earliest that the server's time can be: by it others' locks have not run out yet.
    pub(super) fn earliest(&self) -> Option<Timestamp> {
        let Told { date, received, .. } = (*self.lock())?;
        Some(later(date, self.pulse.steady().saturating_sub(received)))
    }

    /// The latest that the server's time can be: by it our own lock has run out already. A machine that slept, or whose
    /// clock was set, is later rather than earlier.
    pub(super) fn latest(&self) -> Option<Timestamp> {
        let Moment(now) = self.moment();
        let Told {
            date,
            sent: Moment(sent),
            ..
        } = (*self.lock())?;
        Some(later(date, RESOLUTION + now.saturating_sub(sent)))
    }

    fn lock(&self) -> MutexGuard<'_, Option<Told>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
