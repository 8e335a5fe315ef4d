//! Estimates how long a plan takes, from the typical duration of each step, the order of the steps, and Fly's rate limit for
//! creations.

use std::{collections::BTreeMap, time::Duration};

use petgraph::Direction::Incoming;

use super::Plan;
use crate::model::{Name, fly_limits};

impl Plan {
    /// The time from the first request to the last, if every step starts as soon as the steps that it waits for are done.
    #[must_use]
    pub fn estimate(&self) -> Duration {
        let mut ends = vec![Duration::ZERO; self.graph.node_count()];
        let mut next_create: BTreeMap<Name, Duration> = BTreeMap::new();
        for &node in &self.order {
            let before = self.graph.neighbors_directed(node, Incoming);
            let mut start = before
                .map(|before| ends[before.index()])
                .max()
                .unwrap_or_default();
            let step = &self.graph[node];
            // Fly limits creations per app: a burst, and then a steady rate.
            if step.cost.is_create {
                // When the next creation could start at the steady rate alone; the burst lets it start that much earlier.
                let next = next_create.entry(step.address.name().root()).or_default();
                let interval = Duration::from_secs(1) / fly_limits::REQUESTS_PER_SECOND;
                start = start.max(next.saturating_sub(interval * (fly_limits::REQUEST_BURST - 1)));
                *next = start.max(*next) + interval;
            }
            ends[node.index()] = start + Duration::from_secs(step.cost.secs);
        }
        ends.into_iter().max().unwrap_or_default()
    }
}
