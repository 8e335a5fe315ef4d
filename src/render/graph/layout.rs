//! Layered graph layout after Sugiyama, Tagawa and Toda (1981): layers from left to right by the longest path to each
//! node, an order within each layer that has few crossings, then coordinates that keep edges straight. All arithmetic is
//! integer, so the output is the same on every machine.

use std::collections::BTreeMap;

use super::Diagram;

/// A node, or a point that a long edge passes on an intermediate layer (a dummy node), so that edges bend around nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LayoutPoint {
    /// The index of the node in the diagram; `None` for a dummy node.
    pub(super) node: Option<usize>,
    /// The index of the layer, from the left.
    pub(super) layer: usize,
    /// The vertical centre, in tenths of a row (box height and gap).
    pub(super) y: i64,
    predecessors: Vec<usize>,
    successors: Vec<usize>,
}

/// The computed layout.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Layout {
    /// The nodes in the order of the diagram, then the dummy nodes.
    pub(super) points: Vec<LayoutPoint>,
    /// For each layer, the indices of its points from top to bottom.
    pub(super) layers: Vec<Vec<usize>>,
    /// For each edge, the indices of the points that it passes, including both ends.
    pub(super) routes: Vec<Vec<usize>>,
}

/// The vertical distance of two nodes.
const BOX_SPACING: i64 = 10;
/// The vertical distance of two edges. Between an edge and a node it is the mean of both.
const EDGE_SPACING: i64 = 4;
/// The number of columns for unconnected nodes when there are no layers that set the width.
const MIN_GRID_COLUMNS: usize = 4;
/// The number of passes of each heuristic; more hardly improve the result.
const SWEEP_COUNT: usize = 12;

/// Computes the layout of a diagram: its connected parts below each other, then the nodes without edges. In one common
/// layout, parts that have nothing to do with each other would push each other apart.
pub(super) fn compute_layout(diagram: &Diagram) -> Layout {
    let nodes = 0..diagram.nodes.len();
    let mut layout = Layout {
        points: nodes.map(|node| LayoutPoint::new(Some(node), 0)).collect(),
        layers: Vec::new(),
        routes: vec![Vec::new(); diagram.edges.len()],
    };
    let mut connected = vec![false; diagram.nodes.len()];
    let mut y = 0;
    for part in connected_parts(diagram) {
        part.nodes.iter().for_each(|node| connected[*node] = true);
        let height = layout.add_part(layout_part(diagram, &part), &part, y);
        y += height + BOX_SPACING + EDGE_SPACING;
    }
    layout.place_unconnected(&connected, y);
    layout
}

/// Nodes that edges connect with each other, and these edges, by their indices in the diagram.
#[derive(Default)]
struct ConnectedPart {
    nodes: Vec<usize>,
    edges: Vec<usize>,
}

/// The connected parts of a diagram, in the order of their first nodes. Nodes without edges are in none.
fn connected_parts(diagram: &Diagram) -> Vec<ConnectedPart> {
    // Each node points to one before it in the same part; the first one points to itself.
    let mut leader: Vec<usize> = (0..diagram.nodes.len()).collect();
    fn find(leader: &mut [usize], node: usize) -> usize {
        let mut first = node;
        while leader[first] != first {
            leader[first] = leader[leader[first]];
            first = leader[first];
        }
        first
    }
    for (from, to, _) in &diagram.edges {
        let (a, b) = (find(&mut leader, *from), find(&mut leader, *to));
        leader[a.max(b)] = a.min(b);
    }
    let mut parts: BTreeMap<usize, ConnectedPart> = BTreeMap::new();
    for node in 0..diagram.nodes.len() {
        let first = find(&mut leader, node);
        parts.entry(first).or_default().nodes.push(node);
    }
    for (edge, (from, ..)) in diagram.edges.iter().enumerate() {
        let first = find(&mut leader, *from);
        parts.entry(first).or_default().edges.push(edge);
    }
    let has_edges = |part: &ConnectedPart| !part.edges.is_empty();
    parts.into_values().filter(has_edges).collect()
}

/// Computes the layout of one connected part. Indices in it count from zero.
fn layout_part(diagram: &Diagram, part: &ConnectedPart) -> Layout {
    let position = |node: &usize| part.nodes.binary_search(node).unwrap_or_default();
    let edges = part.edges.iter().map(|edge| {
        let (from, to, reason) = &diagram.edges[*edge];
        (position(from), position(to), reason.clone())
    });
    let diagram = Diagram {
        nodes: part
            .nodes
            .iter()
            .map(|node| diagram.nodes[*node].clone())
            .collect(),
        edges: edges.collect(),
    };
    let layer_of = assign_layers(&diagram);
    let layer_count = layer_of.iter().max().map_or(0, |layer| layer + 1);
    let mut layout = Layout {
        layers: vec![Vec::new(); layer_count],
        ..Layout::default()
    };
    for (node, &layer) in layer_of.iter().enumerate() {
        layout.points.push(LayoutPoint::new(Some(node), layer));
        layout.layers[layer].push(node);
    }
    for (from, to, _) in &diagram.edges {
        layout.route_edge(*from, *to);
    }
    layout.reduce_crossings();
    layout.straighten_edges();
    layout
}

/// Assigns each node to the layer after the last one of its predecessors.
fn assign_layers(diagram: &Diagram) -> Vec<usize> {
    let successors = diagram.successors();
    let order = topological_order(&successors);
    let mut position = vec![0; successors.len()];
    for (index, &node) in order.iter().enumerate() {
        position[node] = index;
    }
    let mut layer_of: Vec<usize> = vec![0; successors.len()];
    for &node in &order {
        for &successor in successors[node]
            .iter()
            .filter(|successor| position[**successor] > position[node])
        {
            layer_of[successor] = layer_of[successor].max(layer_of[node] + 1);
        }
    }
    // A node with more outgoing than incoming edges moves as far right as its successors allow: that shortens the many
    // edges and lengthens the few.
    let mut incoming = vec![0; successors.len()];
    successors
        .iter()
        .flatten()
        .for_each(|&successor| incoming[successor] += 1);
    for &node in order
        .iter()
        .rev()
        .filter(|node| successors[**node].len() >= incoming[**node])
    {
        let successor = successors[node]
            .iter()
            .filter(|successor| position[**successor] > position[node]);
        let nearest = successor.map(|&successor| layer_of[successor]).min();
        layer_of[node] = nearest.map_or(layer_of[node], |layer| layer_of[node].max(layer - 1));
    }
    layer_of
}

/// A topological order, by depth-first search. In a cycle, at least one edge leads backwards. Iterative, because a long
/// chain would overflow the stack.
fn topological_order(successors: &[Vec<usize>]) -> Vec<usize> {
    let mut visited = vec![false; successors.len()];
    let mut order = Vec::with_capacity(successors.len());
    for start in 0..successors.len() {
        if std::mem::replace(&mut visited[start], true) {
            continue;
        }
        let mut path = vec![(start, 0)];
        while let Some((node, child)) = path.last_mut() {
            match successors[*node].get(*child) {
                Some(&successor) => {
                    *child += 1;
                    if !std::mem::replace(&mut visited[successor], true) {
                        path.push((successor, 0));
                    }
                }
                None => {
                    order.push(*node);
                    path.pop();
                }
            }
        }
    }
    order.reverse();
    order
}

impl LayoutPoint {
    fn new(node: Option<usize>, layer: usize) -> Self {
        Self {
            node,
            layer,
            y: 0,
            predecessors: Vec::new(),
            successors: Vec::new(),
        }
    }
}

impl Layout {
    /// Adds the layout of a connected part from a vertical coordinate on, and returns its height.
    fn add_part(&mut self, part: Layout, of: &ConnectedPart, y: i64) -> i64 {
        // The nodes of the part have points already; those on its long edges are new.
        let first_new = self.points.len();
        let index = |point: usize| match of.nodes.get(point) {
            Some(node) => *node,
            None => first_new + point - of.nodes.len(),
        };
        let height = part.points.iter().map(|point| point.y).max().unwrap_or(0);
        for (position, mut point) in part.points.into_iter().enumerate() {
            point.node = point.node.map(|node| of.nodes[node]);
            point.y += y;
            for others in [&mut point.predecessors, &mut point.successors] {
                others.iter_mut().for_each(|other| *other = index(*other));
            }
            match of.nodes.get(position) {
                Some(node) => self.points[*node] = point,
                None => self.points.push(point),
            }
        }
        let layer_count = self.layers.len().max(part.layers.len());
        self.layers.resize(layer_count, Vec::new());
        for (layer, points) in self.layers.iter_mut().zip(part.layers) {
            layer.extend(points.into_iter().map(index));
        }
        for (edge, route) in of.edges.iter().zip(part.routes) {
            self.routes[*edge] = route.into_iter().map(index).collect();
        }
        height
    }

    /// Routes an edge through a dummy node on each layer between its ends. An edge that leads backwards, which only a
    /// cycle has, gets none: it is drawn straight.
    fn route_edge(&mut self, from: usize, to: usize) {
        let mut route = vec![from];
        for layer in self.points[from].layer + 1..self.points[to].layer {
            let index = self.points.len();
            self.points.push(LayoutPoint::new(None, layer));
            self.layers[layer].push(index);
            route.push(index);
        }
        route.push(to);
        for pair in route.windows(2) {
            self.points[pair[0]].successors.push(pair[1]);
            self.points[pair[1]].predecessors.push(pair[0]);
        }
        self.routes.push(route);
    }

    /// Barycentre heuristic: sorts each layer by the mean position of its neighbours, alternating between sweeps to the
    /// right and to the left, and keeps the best result.
    fn reduce_crossings(&mut self) {
        let mut best = (self.count_crossings(), self.layers.clone());
        for sweep in 0..SWEEP_COUNT {
            let forwards = sweep % 2 == 0;
            let count = self.layers.len();
            for index in 0..count {
                self.sort_layer(if forwards { index } else { count - 1 - index }, forwards);
            }
            let crossings = self.count_crossings();
            if crossings < best.0 {
                best = (crossings, self.layers.clone());
            }
        }
        self.layers = best.1;
    }

    /// Sorts a layer by the mean position of its predecessors (or successors when sweeping to the left).
    fn sort_layer(&mut self, layer: usize, forwards: bool) {
        let position = self.positions_in_layers();
        let barycentre = |point: usize| {
            let point = &self.points[point];
            let neighbours = if forwards {
                &point.predecessors
            } else {
                &point.successors
            };
            // Scaled, so that the integer mean keeps three decimals.
            let sum: usize = neighbours.iter().map(|&other| position[other] * 1000).sum();
            sum.checked_div(neighbours.len())
        };
        let mut keyed: Vec<(usize, usize)> = self.layers[layer]
            .iter()
            .map(|&point| (barycentre(point).unwrap_or(position[point] * 1000), point))
            .collect();
        keyed.sort_by_key(|(key, _)| *key);
        self.layers[layer] = keyed.into_iter().map(|(_, point)| point).collect();
    }

    /// The position of each point within its layer.
    fn positions_in_layers(&self) -> Vec<usize> {
        let mut position = vec![0; self.points.len()];
        for layer in &self.layers {
            for (index, &point) in layer.iter().enumerate() {
                position[point] = index;
            }
        }
        position
    }

    /// Counts the crossings of edges between neighbouring layers. Two edges cross if their ends are in the opposite order
    /// of their starts, so with sorted starts the crossings are the inversions among the ends.
    fn count_crossings(&self) -> usize {
        let position = self.positions_in_layers();
        let mut crossings_total = 0;
        for layer in &self.layers {
            let ends: Vec<usize> = layer
                .iter()
                .flat_map(|&point| {
                    let mut ends: Vec<usize> = self.points[point]
                        .successors
                        .iter()
                        .map(|&to| position[to])
                        .collect();
                    ends.sort_unstable();
                    ends
                })
                .collect();
            for (index, end) in ends.iter().enumerate() {
                crossings_total += ends[index + 1..]
                    .iter()
                    .filter(|successor| *successor < end)
                    .count();
            }
        }
        crossings_total
    }

    /// Assigns vertical coordinates: starts with tightly packed layers, then moves points towards their neighbours.
    fn straighten_edges(&mut self) {
        for layer in self.layers.clone() {
            let mut y = 0;
            for pair in 0..layer.len() {
                if pair > 0 {
                    y += self.min_distance(layer[pair - 1], layer[pair]);
                }
                self.points[layer[pair]].y = y;
            }
        }
        for sweep in 0..SWEEP_COUNT {
            let mut layers = self.layers.clone();
            if sweep % 2 == 1 {
                layers.reverse();
            }
            for layer in layers {
                self.align_layer(&layer);
            }
        }
        let min_y = self
            .layers
            .iter()
            .flatten()
            .map(|&point| self.points[point].y)
            .min()
            .unwrap_or(0);
        self.points.iter_mut().for_each(|point| point.y -= min_y);
    }

    /// Places unconnected nodes in a grid from a vertical coordinate on. In a layer they would only take space.
    fn place_unconnected(&mut self, connected: &[bool], mut y: i64) {
        let unconnected: Vec<usize> = (0..connected.len())
            .filter(|&node| !connected[node])
            .collect();
        let columns = self
            .layers
            .len()
            .max(unconnected.len().min(MIN_GRID_COLUMNS));
        self.layers.resize(columns, Vec::new());
        for row in unconnected.chunks(columns.max(1)) {
            for (column, &node) in row.iter().enumerate() {
                (self.points[node].layer, self.points[node].y) = (column, y);
                self.layers[column].push(node);
            }
            y += BOX_SPACING;
        }
    }

    /// The minimum vertical distance of two neighbours in a layer.
    fn min_distance(&self, above: usize, below: usize) -> i64 {
        let is_edge = |point: usize| self.points[point].node.is_none();
        match (is_edge(above), is_edge(below)) {
            (false, false) => BOX_SPACING,
            (true, true) => EDGE_SPACING,
            _ => (BOX_SPACING + EDGE_SPACING) / 2,
        }
    }

    /// Moves each point of a layer to its preferred coordinate, and pushes points apart that would be too close. As that
    /// only pushes downwards, the whole layer is then shifted so that the mean of the preferred coordinates is kept.
    fn align_layer(&mut self, layer: &[usize]) {
        let preferred_ys: Vec<i64> = layer.iter().map(|&point| self.preferred_y(point)).collect();
        let mut y: Vec<i64> = Vec::with_capacity(layer.len());
        for (index, &preferred) in preferred_ys.iter().enumerate() {
            let min_y = y
                .last()
                .map(|last| last + self.min_distance(layer[index - 1], layer[index]));
            y.push(min_y.map_or(preferred, |min_y| preferred.max(min_y)));
        }
        let count = i64::try_from(layer.len()).unwrap_or(i64::MAX).max(1);
        let shift = (y.iter().sum::<i64>() - preferred_ys.iter().sum::<i64>()) / count;
        for (&point, y) in layer.iter().zip(y) {
            self.points[point].y = y - shift;
        }
    }

    /// The mean coordinate of all neighbours; its own if there are none.
    fn preferred_y(&self, point: usize) -> i64 {
        let point = &self.points[point];
        let neighbours = point.predecessors.iter().chain(&point.successors);
        let (sum, count) = neighbours.fold((0, 0), |(sum, count), &other| {
            (sum + self.points[other].y, count + 1)
        });
        sum.checked_div(count).unwrap_or(point.y)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::graph::DiagramNode;

    /// Diagrams of every density, some with cycles, from a linear congruential generator with a fixed seed.
    fn diagrams() -> impl Iterator<Item = Diagram> {
        let mut state = 7_usize;
        let mut random = move |limit: usize| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 33) % limit
        };
        (1..40).map(move |nodes| {
            let edges =
                (0..random(3 * nodes)).map(|_| (random(nodes), random(nodes), String::new()));
            let edges = edges.filter(|(from, to, _)| from != to).collect();
            let node = DiagramNode {
                label: String::new(),
                detail: String::new(),
                action: None,
                kind: String::new(),
                concurrency: String::new(),
            };
            Diagram {
                nodes: vec![node; nodes],
                edges,
            }
        })
    }

    #[test]
    fn nodes_do_not_overlap() {
        for diagram in diagrams() {
            let layout = compute_layout(&diagram);
            for layer in &layout.layers {
                let boxes = layer
                    .iter()
                    .filter(|point| layout.points[**point].node.is_some());
                let y: Vec<i64> = boxes.map(|&point| layout.points[point].y).collect();
                assert!(
                    y.windows(2).all(|pair| pair[0] + BOX_SPACING <= pair[1]),
                    "{y:?}"
                );
                assert!(y.iter().all(|y| *y >= 0), "{y:?}");
            }
            let placed = layout
                .layers
                .iter()
                .flatten()
                .filter(|point| layout.points[**point].node.is_some());
            assert_eq!(placed.count(), diagram.nodes.len());
        }
    }

    /// Parts without edges between them are drawn below each other, as close as two nodes.
    #[test]
    fn unconnected_parts_leave_no_hole() {
        let node = |kind: &str| DiagramNode {
            label: String::new(),
            detail: String::new(),
            action: None,
            kind: kind.to_owned(),
            concurrency: String::new(),
        };
        let (parts, leaves) = (6, 8);
        let mut diagram = Diagram::default();
        for _ in 0..parts {
            let root = diagram.nodes.len();
            diagram.nodes.push(node("root"));
            for leaf in 1..=leaves {
                diagram.nodes.push(node("leaf"));
                diagram.edges.push((root, root + leaf, String::new()));
            }
        }
        let layout = compute_layout(&diagram);
        let mut y: Vec<i64> = layout.layers[1]
            .iter()
            .map(|point| layout.points[*point].y)
            .collect();
        y.sort_unstable();
        assert_eq!(y.len(), parts * leaves);
        let gaps = y.windows(2).map(|pair| pair[1] - pair[0]);
        assert!(gaps.max() <= Some(BOX_SPACING + EDGE_SPACING), "{y:?}");
    }

    #[test]
    fn edges_of_an_acyclic_diagram_lead_to_the_right() {
        for mut diagram in diagrams() {
            diagram.edges.retain(|(from, to, _)| from < to);
            let layout = compute_layout(&diagram);
            for (from, to, _) in &diagram.edges {
                assert!(layout.points[*from].layer < layout.points[*to].layer);
            }
        }
    }
}
