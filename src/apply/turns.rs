//! Holds back creations until Fly's pace allows them. A step that has not begun can still be left to a later apply, when the
//! user asks to stop or the deadline comes near.

use std::{collections::BTreeSet, time::Duration};

use petgraph::graph::NodeIndex;
use tokio::time::Instant;

use crate::{model::Name, plan::CreationPace};

/// The ready creations whose turn has not come. Times are on the server's clock, since the start of the apply.
#[derive(Debug)]
pub(super) struct CreationTurns {
    pace: CreationPace,
    waiting: BTreeSet<(Duration, NodeIndex)>,
    started_at: Instant,
    speed: f64,
}

impl CreationTurns {
    pub(super) fn new(speed: f64) -> Self {
        Self {
            pace: CreationPace::default(),
            waiting: BTreeSet::new(),
            started_at: Instant::now(),
            speed,
        }
    }

    fn now(&self) -> Duration {
        self.started_at.elapsed().mul_f64(self.speed)
    }

    /// Reserves the next turn in `app`, and returns how long it takes until then, on the server's clock.
    pub(super) fn reserve(&mut self, app: Name) -> Duration {
        let now = self.now();
        self.pace.reserve(app, now).saturating_sub(now)
    }

    /// Keeps a creation until its turn.
    pub(super) fn hold(&mut self, node: NodeIndex, delay: Duration) {
        self.waiting.insert((self.now() + delay, node));
    }

    /// Hands out the first creation whose turn has come.
    pub(super) fn take_due(&mut self) -> Option<NodeIndex> {
        let now = self.now();
        self.waiting.first().filter(|(turn, _)| *turn <= now)?;
        self.waiting.pop_first().map(|(_, node)| node)
    }

    /// Whether no creation waits.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Returns at the next turn; never when no creation waits.
    pub(super) async fn next_due(&self) {
        match self.waiting.first() {
            Some((turn, _)) => {
                tokio::time::sleep_until(self.started_at + turn.div_f64(self.speed)).await;
            }
            None => std::future::pending().await,
        }
    }
}
