//! What an apply learns about time from its own steps: programs may start more slowly than the estimates assume, or a sandbox
//! runs faster than Fly. Whatever depends on time is stretched by as much as the finished steps took longer than expected.

use std::time::Duration;

use crate::plan::Plan;

/// How much the estimate weighs against the finished steps: as much as steps that took a quarter of its time, exactly as
/// expected. So a single quick call says little of the machines that come after it.
const ESTIMATE_WEIGHT: f64 = 0.25;

/// The estimate of an apply, and the durations of its steps so far.
#[derive(Clone, Copy, Debug)]
pub(super) struct LearnedPace {
    estimate: Duration,
    expected: Duration,
    actual: Duration,
    speed: f64,
}

impl LearnedPace {
    pub(super) fn new(plan: &Plan, speed: f64) -> Self {
        let estimate = plan.estimate();
        let weight = estimate
            .mul_f64(ESTIMATE_WEIGHT)
            .max(Duration::from_secs(1));
        Self {
            estimate,
            expected: weight.div_f64(speed),
            actual: weight.div_f64(speed),
            speed,
        }
    }

    /// Records that a step, expected to take so long on Fly, took `actual`.
    pub(super) fn record_step(&mut self, expected: Duration, actual: Duration) {
        self.expected += expected.div_f64(self.speed);
        self.actual += actual;
    }

    /// How long what takes so long on Fly will probably take here.
    pub(super) fn stretch(&self, duration: Duration) -> Duration {
        let factor = self.actual.as_secs_f64() / self.expected.as_secs_f64();
        duration.div_f64(self.speed).mul_f64(factor)
    }

    /// How long the whole apply will probably take.
    pub(super) fn estimate(&self) -> Duration {
        self.stretch(self.estimate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn estimate_follows_the_steps_so_far() {
        let secs = Duration::from_secs;
        let mut pace = LearnedPace {
            estimate: secs(30),
            expected: secs(8),
            actual: secs(8),
            speed: 1.0,
        };
        assert_eq!(pace.estimate(), secs(30));
        pace.record_step(Duration::from_millis(300), Duration::from_millis(30));
        assert_eq!(pace.estimate().as_secs(), 29, "a quick call says little");
        for _ in 0..5 {
            pace.record_step(secs(5), secs(15));
        }
        assert!((70..80).contains(&pace.estimate().as_secs()), "{pace:?}");
        assert!(
            (12..14).contains(&pace.stretch(secs(5)).as_secs()),
            "{pace:?}"
        );
    }
}
