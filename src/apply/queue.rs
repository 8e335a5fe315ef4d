//! Which step may run now. Pure: it starts nothing and waits for nothing.

use std::collections::BTreeSet;

use petgraph::{
    Direction::{Incoming, Outgoing},
    graph::{DiGraph, NodeIndex},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Waiting(usize),
    Ready,
    Running,
    Done,
    Skipped,
}

/// The steps of a graph and how far each is.
#[derive(Debug)]
pub struct Queue<'p, N, E> {
    graph: &'p DiGraph<N, E>,
    state: Vec<State>,
    ready: BTreeSet<NodeIndex>,
}

impl<'p, N, E> Queue<'p, N, E> {
    /// Everything waits, but for what waits for nothing.
    #[must_use]
    pub fn new(graph: &'p DiGraph<N, E>) -> Self {
        let start = |node| match graph.neighbors_directed(node, Incoming).count() {
            0 => State::Ready,
            n => State::Waiting(n),
        };
        let state: Vec<State> = graph.node_indices().map(start).collect();
        let ready = graph
            .node_indices()
            .filter(|node| state[node.index()] == State::Ready)
            .collect();
        Self {
            graph,
            state,
            ready,
        }
    }

    /// Hands out one ready step, in node order.
    pub fn take(&mut self) -> Option<NodeIndex> {
        let next = self.ready.pop_first()?;
        self.state[next.index()] = State::Running;
        Some(next)
    }

    /// Gives a step back that will not be begun; nor will what waits for it.
    pub fn put_aside(&mut self, node: NodeIndex) {
        self.state[node.index()] = State::Ready;
    }

    /// Notes that a step is done, and makes ready what waited only for it.
    pub fn succeed(&mut self, node: NodeIndex) {
        self.state[node.index()] = State::Done;
        for next in self.graph.neighbors_directed(node, Outgoing) {
            if let State::Waiting(n) = &mut self.state[next.index()] {
                *n -= 1;
                if *n == 0 {
                    self.state[next.index()] = State::Ready;
                    self.ready.insert(next);
                }
            }
        }
    }

    /// Marks everything that waited on the step as skipped, and names it.
    pub fn fail(&mut self, node: NodeIndex) -> Vec<NodeIndex> {
        self.state[node.index()] = State::Done;
        let (mut skipped, mut edge) = (Vec::new(), vec![node]);
        while let Some(at) = edge.pop() {
            for next in self.graph.neighbors_directed(at, Outgoing) {
                if matches!(self.state[next.index()], State::Waiting(_)) {
                    self.state[next.index()] = State::Skipped;
                    skipped.push(next);
                    edge.push(next);
                }
            }
        }
        skipped.sort();
        skipped
    }

    /// Whether a step was handed out and has not ended.
    #[must_use]
    pub fn is_running(&self, node: NodeIndex) -> bool {
        self.state[node.index()] == State::Running
    }

    /// The steps that are neither done nor skipped.
    #[must_use]
    pub fn unfinished(&self) -> Vec<NodeIndex> {
        let open =
            |node: &NodeIndex| !matches!(self.state[node.index()], State::Done | State::Skipped);
        self.graph.node_indices().filter(open).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_skips_only_what_waited_on_it() {
        let graph = DiGraph::<(), ()>::from_edges([(0, 1), (1, 2), (3, 2), (3, 4)]);
        let mut queue = Queue::new(&graph);
        let (a, d) = (queue.take().unwrap(), queue.take().unwrap());
        assert_eq!((a.index(), d.index()), (0, 3));
        assert_eq!(queue.take(), None);
        assert_eq!(
            queue
                .fail(a)
                .iter()
                .map(|node| node.index())
                .collect::<Vec<_>>(),
            [1, 2]
        );
        queue.succeed(d);
        assert_eq!(queue.take().unwrap().index(), 4);
        assert_eq!(queue.take(), None);
    }

    #[test]
    fn a_step_waits_for_all_it_needs() {
        let graph = DiGraph::<(), ()>::from_edges([(0, 2), (1, 2)]);
        let mut queue = Queue::new(&graph);
        let (a, b) = (queue.take().unwrap(), queue.take().unwrap());
        queue.succeed(a);
        assert_eq!(queue.take(), None);
        queue.succeed(b);
        assert_eq!(queue.take().unwrap().index(), 2);
        assert_eq!(queue.unfinished().len(), 1);
    }
}
