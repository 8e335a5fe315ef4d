//! How long a plan takes: the steps' own times by experience, in the order of the plan, with the pace at which Fly lets
//! things be made. Pure, like the rest of the plan.

use std::{collections::BTreeMap, time::Duration};

use petgraph::Direction::Incoming;

use super::Plan;
use crate::model::{Name, fly_limits};

impl Plan {
    /// From the first request to the last, when every step can begin as soon as what it waits for is done.
    #[must_use]
    pub fn estimate(&self) -> Duration {
        let mut ends = vec![Duration::ZERO; self.graph.node_count()];
        let mut paces: BTreeMap<Name, Duration> = BTreeMap::new();
        for &node in &self.order {
            let before = self.graph.neighbors_directed(node, Incoming);
            let mut begins = before
                .map(|before| ends[before.index()])
                .max()
                .unwrap_or_default();
            let step = &self.graph[node];
            if step.cost.is_create {
                // When the next would begin if there were no burst.
                let next = paces.entry(step.address.name().root()).or_default();
                let each = Duration::from_secs(1) / fly_limits::REQUESTS_PER_SECOND;
                begins = begins.max(next.saturating_sub(each * (fly_limits::REQUEST_BURST - 1)));
                *next = begins.max(*next) + each;
            }
            ends[node.index()] = begins + Duration::from_secs(step.cost.secs);
        }
        ends.into_iter().max().unwrap_or_default()
    }
}
