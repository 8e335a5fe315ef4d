//! Less to look at: machines of one group become one box when there are too many boxes, and an arrow that follows from
//! others is left out.

use std::collections::{BTreeMap, BTreeSet};

use super::{Drawing, Node};
use crate::render::words;

/// So many boxes can be told apart on one picture.
const MOST: usize = 200;
/// Beyond so many arrows the picture is a fog anyway, and looking for those that follow from others takes seconds.
const MOST_EDGES: usize = 5_000;

impl Drawing {
    /// The drawing that is drawn.
    pub(super) fn tidied(&self) -> Self {
        let mut drawing = if self.nodes.len() > MOST { self.collapsed() } else { self.clone() };
        let number = drawing.nodes.len();
        drawing.edges.retain(|(from, to, _)| from != to && *from < number && *to < number);
        drawing.reduce();
        drawing
    }

    /// One box for what has the same kind, the same two first parts of its name, and the same change.
    fn collapsed(&self) -> Self {
        let mut at: BTreeMap<(String, String, &str, String), usize> = BTreeMap::new();
        let mut counts: Vec<u64> = Vec::new();
        let (mut nodes, mut new): (Vec<Node>, Vec<usize>) = (Vec::new(), Vec::new());
        for node in &self.nodes {
            let parts: Vec<&str> = node.label.split('/').collect();
            let group = parts[..parts.len().min(2)].join("/");
            // Only slots are many of one; everything else keeps its own name.
            let own = if parts.len() > 2 { String::new() } else { node.label.clone() };
            let verb = node.verb.map_or("", |verb| verb.word());
            let index = *at.entry((node.kind.clone(), group.clone(), verb, own)).or_insert_with(|| {
                nodes.push(Node { label: group, ..node.clone() });
                counts.push(0);
                nodes.len() - 1
            });
            counts[index] += 1;
            new.push(index);
        }
        for (node, count) in nodes.iter_mut().zip(&counts).filter(|(_, count)| **count > 1) {
            node.label = format!("{} ×{count}", node.label);
            node.sub = words::count(*count, "object");
        }
        let edges = self
            .edges
            .iter()
            .filter_map(|(from, to, reason)| Some(((*new.get(*from)?, *new.get(*to)?), reason.clone())));
        let edges: BTreeMap<(usize, usize), String> = edges.collect();
        Self { nodes, edges: edges.into_iter().map(|((from, to), reason)| (from, to, reason)).collect() }
    }

    /// Leaves out every arrow whose end is reached by a longer way, and one of two that are the same.
    fn reduce(&mut self) {
        let mut seen = BTreeSet::new();
        self.edges.retain(|(from, to, _)| seen.insert((*from, *to)));
        if self.edges.len() > MOST_EDGES {
            return;
        }
        let next = self.successors();
        self.edges.retain(|(from, to, _)| {
            let longer = next[*from].iter().filter(|step| *step != to);
            !reaches(&next, longer.copied().collect(), *from, *to)
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

/// Whether a way leads to `goal` without coming through `not` again: in a circle every arrow follows from the others.
fn reaches(next: &[Vec<usize>], mut open: Vec<usize>, not: usize, goal: usize) -> bool {
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

    fn drawing(nodes: usize, edges: &[(usize, usize)]) -> Drawing {
        let node = |at: usize| Node {
            label: format!("web/app/ewr/{at}"),
            sub: String::new(),
            verb: None,
            kind: "fly.machine".to_owned(),
        };
        Drawing {
            nodes: (0..nodes).map(node).collect(),
            edges: edges.iter().map(|(from, to)| (*from, *to, String::new())).collect(),
        }
    }

    #[test]
    fn an_arrow_that_follows_from_others_is_left_out() {
        let tidy = drawing(3, &[(0, 1), (1, 2), (0, 2), (0, 2), (2, 2), (7, 1)]).tidied();
        assert_eq!(tidy, drawing(3, &[(0, 1), (1, 2)]));
    }

    #[test]
    fn two_in_a_circle_keep_their_arrows() {
        assert_eq!(drawing(2, &[(0, 1), (1, 0)]).tidied().edges.len(), 2);
    }

    #[test]
    fn many_slots_become_one_box() {
        let tidy = drawing(300, &[(0, 1), (1, 2)]).tidied();
        assert_eq!(tidy.nodes.len(), 1);
        assert_eq!(tidy.nodes[0].label, "web/app ×300");
        assert!(tidy.edges.is_empty());
    }
}
