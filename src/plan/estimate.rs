//! Estimates how long a plan takes, from the typical duration of each step, the order of the steps, and Fly's rate limit for
//! creations.

use std::time::Duration;

use petgraph::Direction::Incoming;

use super::{CreationPace, Plan};

impl Plan {
    /// The time from the first request to the last, if every step starts as soon as the steps that it waits for are done.
    #[must_use]
    pub fn estimate(&self) -> Duration {
        let mut ends = vec![Duration::ZERO; self.graph.node_count()];
        let mut pace = CreationPace::default();
        for &node in &self.order {
            let before = self.graph.neighbors_directed(node, Incoming);
            let mut start = before
                .map(|before| ends[before.index()])
                .max()
                .unwrap_or_default();
            let step = &self.graph[node];
            if step.cost.is_create {
                start = pace.reserve(step.address.name().root(), start);
            }
            ends[node.index()] = start + step.cost.duration;
        }
        ends.into_iter().max().unwrap_or_default()
    }
}
