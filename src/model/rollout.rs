//! How a new version is rolled out to the machines of a group: in which order, and how many at
//! once.

use serde::Serialize;

/// The deployment strategies. The names are flyctl's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RolloutStrategy {
    /// As many at once as may be unavailable.
    #[default]
    Rolling,
    /// One machine first; the others once it is healthy, as in [`RolloutStrategy::Rolling`].
    Canary,
    /// New machines are created beside the old ones and take over all at once when all are healthy.
    BlueGreen,
    /// All at once.
    Immediate,
}

impl RolloutStrategy {
    /// The name in manifests.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rolling => "rolling",
            Self::Canary => "canary",
            Self::BlueGreen => "bluegreen",
            Self::Immediate => "immediate",
        }
    }
}

/// How many machines of one group may change at the same time, and in which order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct RolloutPolicy {
    /// The deployment strategy.
    pub strategy: RolloutStrategy,
    /// How many may change at the same time; at least one.
    pub at_once: u32,
}

impl RolloutPolicy {
    /// One machine after the other.
    pub const SERIAL: Self = Self {
        strategy: RolloutStrategy::Rolling,
        at_once: 1,
    };
    /// The share of a group that may be unavailable if the manifest does not say; flyctl's default.
    pub const DEFAULT_MAX_UNAVAILABLE: f64 = 0.33;

    /// The policy of a group of `size` machines. `max_unavailable` is a count from 1 on, and a
    /// share of the group below 1. Shares are rounded up, so that at least one machine can always
    /// change.
    #[must_use]
    pub fn new(strategy: RolloutStrategy, max_unavailable: f64, size: u32) -> Self {
        let group_size = f64::from(size.max(1));
        let count = if max_unavailable < 1.0 {
            (group_size * max_unavailable).ceil()
        } else {
            max_unavailable.floor()
        };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "clamped to the size of the group, which is a u32"
        )]
        let at_once = count.clamp(1.0, group_size) as u32;
        Self { strategy, at_once }
    }
}

impl Default for RolloutPolicy {
    fn default() -> Self {
        Self::SERIAL
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limit_is_a_count_or_a_percentage() {
        let at_once =
            |limit, size| RolloutPolicy::new(RolloutStrategy::Rolling, limit, size).at_once;
        let cases = [
            (1.0, 30, 1),
            (5.0, 30, 5),
            (0.33, 1, 1),
            (0.33, 2, 1),
            (0.33, 3, 1),
            (0.33, 4, 2),
            (0.33, 30, 10),
            (0.5, 5, 3),
            (9.0, 3, 3),
            (0.01, 0, 1),
        ];
        for (limit, size, expected) in cases {
            assert_eq!(at_once(limit, size), expected, "{limit} of {size}");
        }
    }
}
