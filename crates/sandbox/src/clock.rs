//! The sandbox's clock, the only place here that asks the machine for the time.
//!
//! Everything the sandbox does over time (boots, leases, rate limits, waits) reads this clock, so that a test
//! decides how fast time goes, or whether it goes at all.

use std::time::Instant;

use serde::{Deserialize, Serialize};

/// Where scripted time begins: 2026-01-01T00:00:00Z, a fixed moment, so that two runs show the same time stamps.
const FIXED_START_MS: i64 = 1_767_225_600_000;

/// How far a request moves a stepped clock. One second refills one token of Fly's ordinary rate limit, so a client
/// that asks one thing after another is never slowed by a clock that only it can move.
const STEP_PER_REQUEST_MS: i64 = 1_000;

/// Time ends on 9999-12-30, the last whole day that a time stamp can name.
const END_MS: i64 = 253_402_128_000_000;

/// How the sandbox's time passes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClockMode {
    /// Time passes by itself, `speed` times faster than outside.
    #[default]
    Real,
    /// Time stands still until `POST /_sandbox/clock` advances it.
    Manual,
    /// Each request takes one second, and a `wait` jumps to the moment of its answer: no sleeping, no racing.
    Stepped,
}

/// What the state folder remembers of the clock, so that a restart never turns time back.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct SavedClock {
    sandbox_ms: i64,
    outside_ms: i64,
    speed: f64,
}

impl SavedClock {
    /// Whether this is a later moment of the sandbox's time.
    pub(crate) fn is_after(self, other: Self) -> bool {
        self.sandbox_ms > other.sandbox_ms
    }
}

/// Time as the sandbox sees it, in milliseconds since 1970.
#[derive(Debug)]
pub(crate) struct SandboxClock {
    mode: ClockMode,
    speed: f64,
    anchor_ms: i64,
    anchor: Instant,
}

impl SandboxClock {
    /// Starts the clock where the saved one would be by now, or at the beginning of its mode.
    pub(crate) fn start(mode: ClockMode, speed: f64, saved: Option<SavedClock>) -> Self {
        let outside = system_time_ms();
        let anchor_ms = match (mode, saved) {
            (ClockMode::Real, Some(saved)) => {
                let passed = scale_ms((outside - saved.outside_ms).max(0), saved.speed);
                saved.sandbox_ms.saturating_add(passed)
            }
            (ClockMode::Real, None) => outside,
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

    /// Now, in milliseconds since 1970.
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

    /// Moves the clock forward; never back.
    pub(crate) fn advance(&mut self, ms: i64) {
        self.anchor_ms = self.anchor_ms.saturating_add(ms.max(0)).min(END_MS);
    }

    /// What one request does to the clock.
    pub(crate) fn advance_for_request(&mut self) {
        if self.mode == ClockMode::Stepped {
            self.advance(STEP_PER_REQUEST_MS);
        }
    }

    /// A request would wait until `until_ms`: a stepped clock jumps there, the others let it sleep.
    pub(crate) fn try_jump_to(&mut self, until_ms: i64) -> bool {
        if self.mode == ClockMode::Stepped {
            self.advance(until_ms - self.now_ms());
        }
        self.mode == ClockMode::Stepped
    }

    /// How long to sleep outside until `until_ms` here, or nothing when time only moves by command.
    pub(crate) fn sleep_duration_until(&self, until_ms: i64) -> Option<std::time::Duration> {
        let ms = (until_ms - self.now_ms()).max(0);
        (self.mode == ClockMode::Real).then(|| {
            std::time::Duration::from_secs_f64(ms as f64 / 1000.0 / self.speed) + WAKE_MARGIN
        })
    }

    /// What to store, so that the next process goes on from here.
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

    /// Whether stored time must follow each move, because no outside clock can tell it again.
    pub(crate) fn is_manual(&self) -> bool {
        self.mode != ClockMode::Real
    }
}

/// Sleeping exactly until a moment may wake just before it, and then spin; one millisecond more does not.
const WAKE_MARGIN: std::time::Duration = std::time::Duration::from_millis(1);

fn scale_ms(ms: i64, speed: f64) -> i64 {
    (ms as f64 * speed) as i64
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place where the sandbox asks the machine for the time"
)]
fn system_time_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// `2026-05-01T02:30:10Z`: the precision of machines, leases and applications.
pub(crate) fn format_seconds(ms: i64) -> String {
    jiff::Timestamp::from_second(ms.div_euclid(1000))
        .unwrap_or_default()
        .to_string()
}

/// `2026-05-01T02:30:10.014Z`: the precision of checks and volumes.
pub(crate) fn format_millis(ms: i64) -> String {
    let stamp = jiff::Timestamp::from_millisecond(ms).unwrap_or_default();
    format!("{stamp:.3}")
}

/// Reads an RFC 3339 time stamp back to milliseconds.
pub(crate) fn parse_timestamp(text: &str) -> Option<i64> {
    text.parse::<jiff::Timestamp>()
        .ok()
        .map(jiff::Timestamp::as_millisecond)
}
