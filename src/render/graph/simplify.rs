//! Makes a diagram smaller before it is drawn: many similar machines become one node, and edges that follow from others
//! are removed.

use std::collections::{BTreeMap, BTreeSet};

use super::{Diagram, DiagramNode};
use crate::render::wording;

/// More nodes than this are merged as far as possible.
const MAX_NODES: usize = 200;
/// Up to this many machines of one group are drawn individually: enough to see the order of a rollout. A rolling update
/// draws them one after the other, so more would make the diagram wider than any screen.
const MAX_SIMILAR_NODES: usize = 4;
/// Redundant edges are not looked for in larger diagrams: the search is quadratic and takes seconds from here on, and the
/// diagram is unreadable either way.
const MAX_REDUCIBLE_EDGES: usize = 5_000;

impl Diagram {
    /// The diagram to draw, without self-loops and edges to missing nodes.
    pub(super) fn simplified(&self) -> Self {
        let mut diagram = self.clone();
        let node_count = diagram.nodes.len();
        diagram
            .edges
            .retain(|(from, to, _)| from != to && *from < node_count && *to < node_count);
        diagram = diagram.merge_similar_nodes(MAX_SIMILAR_NODES);
        // Still too large: merge even pairs.
        if diagram.nodes.len() > MAX_NODES {
            diagram = diagram.merge_similar_nodes(1);
        }
        diagram.remove_redundant_edges();
        diagram
    }

    /// Merges nodes of the same group and action into one if there are more than `limit` of them.
    fn merge_similar_nodes(&self, limit: usize) -> Self {
        let mut similar: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        for (index, node) in self.nodes.iter().enumerate() {
            // Only slots, such as machines of one group, are interchangeable.
            if let Some(group) = node.group_name() {
                similar
                    .entry((&node.kind, group, node.action, &node.concurrency))
                    .or_default()
                    .push(index);
            }
        }
        let mut representatives: Vec<usize> = (0..self.nodes.len()).collect();
        let mut nodes = self.nodes.clone();
        let mut merged = false;
        for ((_, group, _, concurrency), members) in
            similar.iter().filter(|(_, members)| members.len() > limit)
        {
            if self.would_form_cycle(&representatives, members) {
                continue;
            }
            merged = true;
            members
                .iter()
                .for_each(|member| representatives[*member] = members[0]);
            let separator = if concurrency.is_empty() { "" } else { ", " };
            let node = &mut nodes[members[0]];
            node.label = format!("{group} ×{}{separator}{concurrency}", members.len());
            node.detail =
                wording::format_count(u64::try_from(members.len()).unwrap_or(u64::MAX), "object");
        }
        if merged {
            self.keep_representatives(nodes, &representatives)
        } else {
            self.clone()
        }
    }

    /// Whether a path leads from these nodes through another one and back: merged, they would wait for themselves.
    fn would_form_cycle(&self, representatives: &[usize], members: &[usize]) -> bool {
        let members: BTreeSet<usize> = members.iter().copied().collect();
        let mut next = vec![Vec::new(); representatives.len()];
        for (from, to, _) in &self.edges {
            next[representatives[*from]].push(representatives[*to]);
        }
        let after = members.iter().flat_map(|member| &next[*member]);
        let mut pending: Vec<usize> = after
            .copied()
            .filter(|index| !members.contains(index))
            .collect();
        let mut visited = BTreeSet::new();
        while let Some(index) = pending.pop() {
            if members.contains(&index) {
                return true;
            }
            if visited.insert(index) {
                pending.extend(&next[index]);
            }
        }
        false
    }

    /// Keeps only the nodes that represent themselves, and redirects edges to the representatives.
    fn keep_representatives(&self, nodes: Vec<DiagramNode>, representatives: &[usize]) -> Self {
        let mut new_index = vec![0; nodes.len()];
        let mut kept = Vec::new();
        for (index, node) in nodes
            .into_iter()
            .enumerate()
            .filter(|(index, _)| representatives[*index] == *index)
        {
            new_index[index] = kept.len();
            kept.push(node);
        }
        let mut edges: BTreeMap<(usize, usize), String> = BTreeMap::new();
        for (from, to, reason) in &self.edges {
            let ends = (
                new_index[representatives[*from]],
                new_index[representatives[*to]],
            );
            if ends.0 != ends.1 {
                edges.entry(ends).or_insert_with(|| reason.clone());
            }
        }
        Self {
            nodes: kept,
            edges: edges
                .into_iter()
                .map(|((from, to), reason)| (from, to, reason))
                .collect(),
        }
    }

    /// Removes duplicate edges and those whose end can be reached by a longer path (transitive reduction).
    fn remove_redundant_edges(&mut self) {
        let mut visited = BTreeSet::new();
        self.edges
            .retain(|(from, to, _)| visited.insert((*from, *to)));
        if self.edges.len() > MAX_REDUCIBLE_EDGES {
            return;
        }
        let next = self.successors();
        self.edges.retain(|(from, to, _)| {
            let other_successors = next[*from].iter().filter(|step| *step != to);
            !is_reachable(&next, other_successors.copied().collect(), *from, *to)
        });
    }

    /// For each node, the nodes that its edges lead to.
    pub(super) fn successors(&self) -> Vec<Vec<usize>> {
        let mut next = vec![Vec::new(); self.nodes.len()];
        for (from, to, _) in &self.edges {
            next[*from].push(*to);
        }
        next
    }
}

impl DiagramNode {
    /// The name of the group that a slot belongs to: `web/app` of `web/app/ewr/0`. `None` for anything else.
    fn group_name(&self) -> Option<String> {
        let parts: Vec<&str> = self.label.split('/').collect();
        (parts.len() > 2).then(|| parts[..2].join("/"))
    }
}

/// Whether a path leads from one of `pending` to `goal` without passing `excluded`. In a cycle, every edge would follow
/// from the others without this exclusion.
fn is_reachable(
    next: &[Vec<usize>],
    mut pending: Vec<usize>,
    excluded: usize,
    goal: usize,
) -> bool {
    let mut visited = vec![false; next.len()];
    visited[excluded] = true;
    while let Some(node) = pending.pop() {
        if node == goal {
            return true;
        }
        if !std::mem::replace(&mut visited[node], true) {
            pending.extend(&next[node]);
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn diagram_of(nodes: usize, edges: &[(usize, usize)]) -> Diagram {
        let node = |index: usize| DiagramNode {
            label: format!("web/app/ewr/{index}"),
            detail: String::new(),
            action: None,
            kind: "fly.machine".to_owned(),
            concurrency: String::new(),
        };
        Diagram {
            nodes: (0..nodes).map(node).collect(),
            edges: edges
                .iter()
                .map(|(from, to)| (*from, *to, String::new()))
                .collect(),
        }
    }

    #[test]
    fn redundant_edges_are_removed() {
        let simplified =
            diagram_of(3, &[(0, 1), (1, 2), (0, 2), (0, 2), (2, 2), (7, 1)]).simplified();
        assert_eq!(simplified, diagram_of(3, &[(0, 1), (1, 2)]));
    }

    #[test]
    fn edges_of_a_cycle_are_kept() {
        assert_eq!(diagram_of(2, &[(0, 1), (1, 0)]).simplified().edges.len(), 2);
    }

    #[test]
    fn many_slots_become_one_node() {
        let simplified = diagram_of(300, &[(0, 1), (1, 2)]).simplified();
        assert_eq!(simplified.nodes.len(), 1);
        assert_eq!(simplified.nodes[0].label, "web/app ×300");
        assert!(simplified.edges.is_empty());
        assert_eq!(
            diagram_of(MAX_SIMILAR_NODES, &[]).simplified().nodes.len(),
            MAX_SIMILAR_NODES
        );
    }

    #[test]
    fn nodes_with_another_between_them_are_not_merged() {
        let mut between = diagram_of(6, &[(0, 5), (5, 1)]);
        between.nodes[5].kind = "fly.volume".to_owned();
        assert_eq!(
            between.simplified().nodes.len(),
            6,
            "one node would wait for itself"
        );
        between.edges.pop();
        assert_eq!(between.simplified().nodes.len(), 2);
    }
}
