//! The sandbox's clock. No other module of the sandbox reads the system time.
//!
//! Everything that depends on time (boots, leases, rate limits, waits) reads this clock, so a test
//! controls how fast time passes, or whether it passes at all.

use std::time::Instant;

use serde::{Deserialize, Serialize};

/// Where manual and stepped time begin: 2026-01-01T00:00:00Z, fixed so that two runs show the same
/// timestamps.
const FIXED_START_MS: i64 = 1_767_225_600_000;

/// How far each request advances a stepped clock. One second refills one token of Fly's ordinary
/// rate limit, so a client that sends one request after another is never rate limited because time
/// stands still.
const STEP_PER_REQUEST_MS: i64 = 1_000;

/// The clock stops at 9999-12-30, the last whole day that a timestamp can represent.
const END_MS: i64 = 253_402_128_000_000;

/// How time passes in the sandbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClockMode {
    /// Real time, multiplied by `speed`.
    #[default]
    Real,
    /// Time stands still until `POST /_sandbox/clock` advances it.
    Manual,
    /// Each request advances the clock by one second, and a `wait` jumps to the time of its
    /// response: nothing sleeps and nothing races.
    Stepped,
}

/// The stored state of the clock, so that time never goes back after a restart.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct SavedClock {
    sandbox_ms: i64,
    outside_ms: i64,
    speed: f64,
}

impl SavedClock {
    /// Whether its sandbox time is later than the other's.
    pub(crate) fn is_after(self, other: Self) -> bool {
        self.sandbox_ms > other.sandbox_ms
    }
}

/// The sandbox's clock, in milliseconds since 1970.
#[derive(Debug)]
pub(crate) struct SandboxClock {
    mode: ClockMode,
    speed: f64,
    anchor_ms: i64,
    anchor: Instant,
}

impl SandboxClock {
    /// Starts the clock where the saved one would be by now, or at the start time of the mode.
    pub(crate) fn start(mode: ClockMode, speed: f64, saved: Option<SavedClock>) -> Self {
        let system_ms = system_time_ms();
        let anchor_ms = match (mode, saved) {
            (ClockMode::Real, Some(saved)) => {
                let passed = scale_ms((system_ms - saved.outside_ms).max(0), saved.speed);
                saved.sandbox_ms.saturating_add(passed)
            }
            (ClockMode::Real, None) => system_ms,
            (_, Some(saved)) => saved.sandbox_ms,
            (_, None) => FIXED_START_MS,
        };
        Self {
            mode,
            speed,
            anchor_ms,
            anchor: Instant::now(),
        }
    }

    /// The current time, in milliseconds since 1970.
    pub(crate) fn now_ms(&self) -> i64 {
        self.anchor_ms.saturating_add(self.elapsed_ms()).min(END_MS)
    }

    fn elapsed_ms(&self) -> i64 {
        match self.mode {
            ClockMode::Real => scale_ms(
                i64::try_from(self.anchor.elapsed().as_millis()).unwrap_or(i64::MAX),
                self.speed,
            ),
            ClockMode::Manual | ClockMode::Stepped => 0,
        }
    }

    /// Moves the clock forward; negative values are ignored.
    pub(crate) fn advance(&mut self, ms: i64) {
        self.anchor_ms = self.anchor_ms.saturating_add(ms.max(0)).min(END_MS);
    }

    /// Advances a stepped clock by the time of one request.
    pub(crate) fn advance_for_request(&mut self) {
        if self.mode == ClockMode::Stepped {
            self.advance(STEP_PER_REQUEST_MS);
        }
    }

    /// Moves a stepped clock to `until_ms`; returns whether it is stepped. In the other modes the
    /// request has to sleep.
    pub(crate) fn try_jump_to(&mut self, until_ms: i64) -> bool {
        if self.mode == ClockMode::Stepped {
            self.advance(until_ms - self.now_ms());
        }
        self.mode == ClockMode::Stepped
    }

    /// How long to sleep in real time until `until_ms` on this clock; `None` when only commands
    /// move it.
    pub(crate) fn sleep_duration_until(&self, until_ms: i64) -> Option<std::time::Duration> {
        let ms = (until_ms - self.now_ms()).max(0);
        (self.mode == ClockMode::Real).then(|| {
            std::time::Duration::from_secs_f64(ms as f64 / 1000.0 / self.speed) + WAKE_MARGIN
        })
    }

    /// The state to store, so that the next process continues from here.
    pub(crate) fn to_saved(&self) -> SavedClock {
        let speed = if self.mode == ClockMode::Real {
            self.speed
        } else {
            1.0
        };
        SavedClock {
            sandbox_ms: self.now_ms(),
            outside_ms: system_time_ms(),
            speed,
        }
    }

    /// Whether the time must be stored after each change, because it cannot be computed from the
    /// system time.
    pub(crate) fn is_manual(&self) -> bool {
        self.mode != ClockMode::Real
    }
}

/// A sleep until exactly a given time may wake slightly too early and then loop; one more
/// millisecond avoids that.
const WAKE_MARGIN: std::time::Duration = std::time::Duration::from_millis(1);

fn scale_ms(ms: i64, speed: f64) -> i64 {
    (ms as f64 * speed) as i64
}

#[expect(
    clippy::disallowed_methods,
    reason = "the only place where the sandbox reads the system time"
)]
fn system_time_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// RFC 3339 in seconds, `2026-05-01T02:30:10Z`: the precision of machines, leases and apps.
pub(crate) fn format_seconds(ms: i64) -> String {
    jiff::Timestamp::from_second(ms.div_euclid(1000))
        .unwrap_or_default()
        .to_string()
}

/// RFC 3339 in milliseconds, `2026-05-01T02:30:10.014Z`: the precision of checks and volumes.
pub(crate) fn format_millis(ms: i64) -> String {
    let timestamp = jiff::Timestamp::from_millisecond(ms).unwrap_or_default();
    format!("{timestamp:.3}")
}

/// Parses an RFC 3339 timestamp to milliseconds since 1970.
pub(crate) fn parse_timestamp(text: &str) -> Option<i64> {
    text.parse::<jiff::Timestamp>()
        .ok()
        .map(jiff::Timestamp::as_millisecond)
}
