//! Less to look at: machines of one group that are many become one box, and an arrow that follows from others is left
//! out.

use std::collections::{BTreeMap, BTreeSet};

use super::{Diagram, DiagramNode};
use crate::render::wording;

/// So many boxes can be told apart on one picture.
const MAX_NODES: usize = 200;
/// So many machines of one group are drawn one by one: enough to see how they take turns. More of them, one behind the
/// other, would only make the picture wider than any screen.
const MAX_SIMILAR_NODES: usize = 4;
/// Beyond so many arrows the picture is a fog anyway, and looking for those that follow from others takes seconds.
const MAX_REDUCIBLE_EDGES: usize = 5_000;

impl Diagram {
    /// The drawing that is drawn.
    pub(super) fn simplified(&self) -> Self {
        let mut drawing = self.clone();
        let number = drawing.nodes.len();
        drawing
            .edges
            .retain(|(from, to, _)| from != to && *from < number && *to < number);
        drawing = drawing.merge_similar_nodes(MAX_SIMILAR_NODES);
        if drawing.nodes.len() > MAX_NODES {
            drawing = drawing.merge_similar_nodes(1);
        }
        drawing.remove_redundant_edges();
        drawing
    }

    /// One box for more than so many that are alike.
    fn merge_similar_nodes(&self, most: usize) -> Self {
        let mut alike: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        for (at, node) in self.nodes.iter().enumerate() {
            // Only slots are many of one; everything else keeps its own box.
            if let Some(group) = node.group_name() {
                alike
                    .entry((&node.kind, group, node.action, &node.concurrency))
                    .or_default()
                    .push(at);
            }
        }
        let mut heads: Vec<usize> = (0..self.nodes.len()).collect();
        let mut nodes = self.nodes.clone();
        let mut any = false;
        for ((_, group, _, together), members) in
            alike.iter().filter(|(_, members)| members.len() > most)
        {
            if self.would_form_cycle(&heads, members) {
                continue;
            }
            any = true;
            members
                .iter()
                .for_each(|member| heads[*member] = members[0]);
            let comma = if together.is_empty() { "" } else { ", " };
            let node = &mut nodes[members[0]];
            node.label = format!("{group} ×{}{comma}{together}", members.len());
            node.detail =
                wording::format_count(u64::try_from(members.len()).unwrap_or(u64::MAX), "object");
        }
        if any {
            self.keep_representatives(nodes, &heads)
        } else {
            self.clone()
        }
    }

    /// Whether a way leads from these boxes to another and back: as one box they would wait for themselves.
    fn would_form_cycle(&self, heads: &[usize], members: &[usize]) -> bool {
        let members: BTreeSet<usize> = members.iter().copied().collect();
        let mut next = vec![Vec::new(); heads.len()];
        for (from, to, _) in &self.edges {
            next[heads[*from]].push(heads[*to]);
        }
        let after = members.iter().flat_map(|member| &next[*member]);
        let mut open: Vec<usize> = after.copied().filter(|at| !members.contains(at)).collect();
        let mut seen = BTreeSet::new();
        while let Some(at) = open.pop() {
            if members.contains(&at) {
                return true;
            }
            if seen.insert(at) {
                open.extend(&next[at]);
            }
        }
        false
    }

    /// Only the boxes that are their own head, and the arrows between them.
    fn keep_representatives(&self, nodes: Vec<DiagramNode>, heads: &[usize]) -> Self {
        let mut new = vec![0; nodes.len()];
        let mut kept = Vec::new();
        for (at, node) in nodes
            .into_iter()
            .enumerate()
            .filter(|(at, _)| heads[*at] == *at)
        {
            new[at] = kept.len();
            kept.push(node);
        }
        let mut edges: BTreeMap<(usize, usize), String> = BTreeMap::new();
        for (from, to, reason) in &self.edges {
            let ends = (new[heads[*from]], new[heads[*to]]);
            if ends.0 != ends.1 {
                edges.entry(ends).or_insert_with(|| reason.clone());
            }
        }
        Self {
            nodes: kept,
            edges: edges
                .into_iter()
                .map(|((from, to), why)| (from, to, why))
                .collect(),
        }
    }

    /// Leaves out every arrow whose end is reached by a longer way, and one of two that are the same.
    fn remove_redundant_edges(&mut self) {
        let mut seen = BTreeSet::new();
        self.edges.retain(|(from, to, _)| seen.insert((*from, *to)));
        if self.edges.len() > MAX_REDUCIBLE_EDGES {
            return;
        }
        let next = self.successors();
        self.edges.retain(|(from, to, _)| {
            let longer = next[*from].iter().filter(|step| *step != to);
            !is_reachable(&next, longer.copied().collect(), *from, *to)
        });
    }

    /// For each box, the boxes that its arrows lead to.
    pub(super) fn successors(&self) -> Vec<Vec<usize>> {
        let mut next = vec![Vec::new(); self.nodes.len()];
        for (from, to, _) in &self.edges {
            next[*from].push(*to);
        }
        next
    }
}

impl DiagramNode {
    /// App and group, or volume, of a slot: `web/app` of `web/app/ewr/0`.
    fn group_name(&self) -> Option<String> {
        let parts: Vec<&str> = self.label.split('/').collect();
        (parts.len() > 2).then(|| parts[..2].join("/"))
    }
}

/// Whether a way leads to `goal` without coming through `not` again: in a circle every arrow follows from the others.
fn is_reachable(next: &[Vec<usize>], mut open: Vec<usize>, not: usize, goal: usize) -> bool {
    let mut seen = vec![false; next.len()];
    seen[not] = true;
    while let Some(node) = open.pop() {
        if node == goal {
            return true;
        }
        if !std::mem::replace(&mut seen[node], true) {
            open.extend(&next[node]);
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawing(nodes: usize, edges: &[(usize, usize)]) -> Diagram {
        let node = |at: usize| DiagramNode {
            label: format!("web/app/ewr/{at}"),
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
    fn an_arrow_that_follows_from_others_is_left_out() {
        let tidy = drawing(3, &[(0, 1), (1, 2), (0, 2), (0, 2), (2, 2), (7, 1)]).simplified();
        assert_eq!(tidy, drawing(3, &[(0, 1), (1, 2)]));
    }

    #[test]
    fn two_in_a_circle_keep_their_arrows() {
        assert_eq!(drawing(2, &[(0, 1), (1, 0)]).simplified().edges.len(), 2);
    }

    #[test]
    fn many_slots_become_one_box() {
        let tidy = drawing(300, &[(0, 1), (1, 2)]).simplified();
        assert_eq!(tidy.nodes.len(), 1);
        assert_eq!(tidy.nodes[0].label, "web/app ×300");
        assert!(tidy.edges.is_empty());
        assert_eq!(
            drawing(MAX_SIMILAR_NODES, &[]).simplified().nodes.len(),
            MAX_SIMILAR_NODES
        );
    }

    #[test]
    fn what_another_comes_between_stays_apart() {
        let mut between = drawing(6, &[(0, 5), (5, 1)]);
        between.nodes[5].kind = "fly.volume".to_owned();
        assert_eq!(
            between.simplified().nodes.len(),
            6,
            "one box would wait for itself"
        );
        between.edges.pop();
        assert_eq!(between.simplified().nodes.len(), 2);
    }
}
