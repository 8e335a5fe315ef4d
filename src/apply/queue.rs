//! Keeps track of which steps may run. Pure: it starts nothing and waits for nothing, so that it can be tested without a clock.

use std::collections::BTreeSet;

use petgraph::{
    Direction::{Incoming, Outgoing},
    graph::{DiGraph, NodeIndex},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StepState {
    /// Waits for this many other steps.
    Waiting(usize),
    Ready,
    Running,
    Done,
    Skipped,
}

/// The steps of a graph and the state of each.
#[derive(Debug)]
pub struct StepQueue<'p, N, E> {
    graph: &'p DiGraph<N, E>,
    state: Vec<StepState>,
    ready: BTreeSet<NodeIndex>,
}

impl<'p, N, E> StepQueue<'p, N, E> {
    /// A queue in which no step has run.
    #[must_use]
    pub fn new(graph: &'p DiGraph<N, E>) -> Self {
        let start = |node| match graph.neighbors_directed(node, Incoming).count() {
            0 => StepState::Ready,
            n => StepState::Waiting(n),
        };
        let state: Vec<StepState> = graph.node_indices().map(start).collect();
        let ready = graph
            .node_indices()
            .filter(|node| state[node.index()] == StepState::Ready)
            .collect();
        Self {
            graph,
            state,
            ready,
        }
    }

    /// Hands out one ready step, in node order, and marks it as running.
    pub fn take_ready(&mut self) -> Option<NodeIndex> {
        let next = self.ready.pop_first()?;
        self.state[next.index()] = StepState::Running;
        Some(next)
    }

    /// Takes back a step that was handed out and does not start now. It is not handed out again unless it is resumed, and the
    /// steps that wait for it keep waiting.
    pub fn defer(&mut self, node: NodeIndex) {
        self.state[node.index()] = StepState::Ready;
    }

    /// Hands out a deferred step after all, and marks it as running.
    pub fn resume(&mut self, node: NodeIndex) {
        self.state[node.index()] = StepState::Running;
    }

    /// Marks a step as done, and the steps that waited only for it as ready.
    pub fn complete(&mut self, node: NodeIndex) {
        self.state[node.index()] = StepState::Done;
        for next in self.graph.neighbors_directed(node, Outgoing) {
            if let StepState::Waiting(n) = &mut self.state[next.index()] {
                *n -= 1;
                if *n == 0 {
                    self.state[next.index()] = StepState::Ready;
                    self.ready.insert(next);
                }
            }
        }
    }

    /// Marks a step as failed and everything that waits for it, directly or not, as skipped. Returns the skipped steps.
    pub fn fail(&mut self, node: NodeIndex) -> Vec<NodeIndex> {
        self.state[node.index()] = StepState::Done;
        let (mut skipped, mut frontier) = (Vec::new(), vec![node]);
        while let Some(at) = frontier.pop() {
            for next in self.graph.neighbors_directed(at, Outgoing) {
                if matches!(self.state[next.index()], StepState::Waiting(_)) {
                    self.state[next.index()] = StepState::Skipped;
                    skipped.push(next);
                    frontier.push(next);
                }
            }
        }
        skipped.sort();
        skipped
    }

    /// Whether a step was handed out and has not ended.
    #[must_use]
    pub fn is_running(&self, node: NodeIndex) -> bool {
        self.state[node.index()] == StepState::Running
    }

    /// The steps that are neither done nor skipped.
    #[must_use]
    pub fn unfinished(&self) -> Vec<NodeIndex> {
        let open = |node: &NodeIndex| {
            !matches!(
                self.state[node.index()],
                StepState::Done | StepState::Skipped
            )
        };
        self.graph.node_indices().filter(open).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failure_skips_only_dependents() {
        let graph = DiGraph::<(), ()>::from_edges([(0, 1), (1, 2), (3, 2), (3, 4)]);
        let mut queue = StepQueue::new(&graph);
        let (a, d) = (queue.take_ready().unwrap(), queue.take_ready().unwrap());
        assert_eq!((a.index(), d.index()), (0, 3));
        assert_eq!(queue.take_ready(), None);
        assert_eq!(
            queue
                .fail(a)
                .iter()
                .map(|node| node.index())
                .collect::<Vec<_>>(),
            [1, 2]
        );
        queue.complete(d);
        assert_eq!(queue.take_ready().unwrap().index(), 4);
        assert_eq!(queue.take_ready(), None);
    }

    #[test]
    fn step_waits_for_all_predecessors() {
        let graph = DiGraph::<(), ()>::from_edges([(0, 2), (1, 2)]);
        let mut queue = StepQueue::new(&graph);
        let (a, b) = (queue.take_ready().unwrap(), queue.take_ready().unwrap());
        queue.complete(a);
        assert_eq!(queue.take_ready(), None);
        queue.complete(b);
        assert_eq!(queue.take_ready().unwrap().index(), 2);
        assert_eq!(queue.unfinished().len(), 1);
    }
}
