//! How the machines of a group change: in which order, and how many at once.

use serde::Serialize;

/// How a new version comes out. The names are flyctl's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RolloutStrategy {
    /// So many at once as may be unavailable.
    #[default]
    Rolling,
    /// One first; the others when it is healthy, as in [`Strategy::Rolling`].
    Canary,
    /// New machines beside the old ones, which take over all at once when all are healthy.
    BlueGreen,
    /// All at once.
    Immediate,
}

impl RolloutStrategy {
    /// As a manifest writes it.
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

/// How the members of one group take turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct RolloutPolicy {
    /// The order.
    pub strategy: RolloutStrategy,
    /// How many may change at the same time; at least one.
    pub at_once: u32,
}

impl RolloutPolicy {
    /// One after the other.
    pub const SERIAL: Self = Self {
        strategy: RolloutStrategy::Rolling,
        at_once: 1,
    };
    /// How much of a group may be unavailable when nothing is said; flyctl's default.
    pub const DEFAULT_MAX_UNAVAILABLE: f64 = 0.33;

    /// The turns of a group of `size` machines. A limit from 1 is a count, and below 1 it is a share, rounded up: a group
    /// always moves.
    #[must_use]
    pub fn new(strategy: RolloutStrategy, limit: f64, size: u32) -> Self {
        let most = f64::from(size.max(1));
        let count = if limit < 1.0 {
            (most * limit).ceil()
        } else {
            limit.floor()
        };
        // Clamped to the size of the group, the number fits.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "clamped above"
        )]
        let at_once = count.clamp(1.0, most) as u32;
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
    fn a_limit_is_a_count_or_a_share() {
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
