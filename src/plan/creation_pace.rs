//! The pace at which Fly allows creations in one app: a burst, and then a steady rate. The estimate reckons with it, and an
//! apply begins no creation before its turn.

use std::{collections::BTreeMap, time::Duration};

use crate::model::{Name, fly_limits};

/// The turns of the creations in each app. Times are relative to any common start.
#[derive(Clone, Debug, Default)]
pub struct CreationPace {
    /// When the next creation could begin at the steady rate alone; the burst lets it begin that much earlier.
    next_at: BTreeMap<Name, Duration>,
}

impl CreationPace {
    /// Reserves the next turn in `app`, which is at `earliest` or later.
    pub fn reserve(&mut self, app: Name, earliest: Duration) -> Duration {
        let interval = Duration::from_secs(1) / fly_limits::REQUESTS_PER_SECOND;
        let next_at = self.next_at.entry(app).or_default();
        let turn = earliest.max(next_at.saturating_sub(interval * (fly_limits::REQUEST_BURST - 1)));
        *next_at = turn.max(*next_at) + interval;
        turn
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn creations_beyond_the_burst_come_one_each_second() {
        let mut pace = CreationPace::default();
        let mut turn = |app, at| {
            let app = Name::parse(app).unwrap();
            pace.reserve(app, Duration::from_secs(at)).as_secs()
        };
        assert_eq!([0; 6].map(|at| turn("web", at)), [0, 0, 0, 1, 2, 3]);
        assert_eq!(turn("jobs", 2), 2, "each app has its own pace");
        assert_eq!([60; 4].map(|at| turn("web", at)), [60, 60, 60, 61]);
    }
}
