//! Where the boxes stand: layers from left to right by the longest way to each box, an order within each layer with few
//! crossings, and heights at which arrows run straight. After Sugiyama, with whole numbers, so that every machine
//! draws the same picture.

use super::Diagram;

/// A point or a box on a layer. Long arrows pass through one on each layer between, so that they bend around boxes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LayoutPoint {
    /// The box in the drawing; `None` where an arrow only passes.
    pub(super) node: Option<usize>,
    pub(super) layer: usize,
    /// The middle, in units of a tenth of a box's height and gap.
    pub(super) y: i64,
    predecessors: Vec<usize>,
    successors: Vec<usize>,
}

/// Everything in its place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Layout {
    /// Boxes first, in the drawing's order, then the passing points.
    pub(super) points: Vec<LayoutPoint>,
    /// For each layer, its spots from top to bottom.
    pub(super) layers: Vec<Vec<usize>>,
    /// For each arrow, the spots that it runs through, its ends included.
    pub(super) routes: Vec<Vec<usize>>,
}

/// The distance of two boxes, and of an arrow from what is beside it.
const BOX_SPACING: i64 = 10;
const EDGE_SPACING: i64 = 4;
/// So many boxes without arrows stand in a row when nothing else sets the width.
const MIN_GRID_COLUMNS: usize = 4;
/// More sweeps hardly change anything.
const SWEEP_COUNT: usize = 12;

pub(super) fn compute_layout(drawing: &Diagram) -> Layout {
    let ranks = assign_layers(drawing);
    let tied = connected_nodes(drawing);
    let mut layout = Layout::default();
    let layers = ranks
        .iter()
        .zip(&tied)
        .filter(|(_, tied)| **tied)
        .map(|(rank, _)| rank + 1)
        .max();
    layout.layers = vec![Vec::new(); layers.unwrap_or(0)];
    for (node, &layer) in ranks.iter().enumerate() {
        layout.points.push(LayoutPoint::new(Some(node), layer));
        if tied[node] {
            layout.layers[layer].push(node);
        }
    }
    for (from, to, _) in &drawing.edges {
        layout.route_edge(*from, *to);
    }
    layout.reduce_crossings();
    layout.straighten_edges();
    layout.place_unconnected(&tied);
    layout
}

/// Which boxes have an arrow at all.
fn connected_nodes(drawing: &Diagram) -> Vec<bool> {
    let mut tied = vec![false; drawing.nodes.len()];
    for (from, to, _) in &drawing.edges {
        tied[*from] = true;
        tied[*to] = true;
    }
    tied
}

/// The layer of each box: one after the last that it waits for.
fn assign_layers(drawing: &Diagram) -> Vec<usize> {
    let next = drawing.successors();
    let order = topological_order(&next);
    let mut place = vec![0; next.len()];
    for (at, &node) in order.iter().enumerate() {
        place[node] = at;
    }
    let mut ranks: Vec<usize> = vec![0; next.len()];
    for &node in &order {
        for &later in next[node]
            .iter()
            .filter(|later| place[**later] > place[node])
        {
            ranks[later] = ranks[later].max(ranks[node] + 1);
        }
    }
    // A box with more arrows out than in moves as far to the right as they let it: one long arrow instead of several.
    let mut into = vec![0; next.len()];
    next.iter().flatten().for_each(|&later| into[later] += 1);
    for &node in order
        .iter()
        .rev()
        .filter(|node| next[**node].len() >= into[**node])
    {
        let later = next[node]
            .iter()
            .filter(|later| place[**later] > place[node]);
        let nearest = later.map(|&later| ranks[later]).min();
        ranks[node] = nearest.map_or(ranks[node], |rank| ranks[node].max(rank - 1));
    }
    ranks
}

/// An order in which as good as every arrow leads forwards: all of them when there is no circle.
fn topological_order(next: &[Vec<usize>]) -> Vec<usize> {
    let mut seen = vec![false; next.len()];
    let mut order = Vec::with_capacity(next.len());
    for start in 0..next.len() {
        if std::mem::replace(&mut seen[start], true) {
            continue;
        }
        let mut path = vec![(start, 0)];
        while let Some((node, child)) = path.last_mut() {
            match next[*node].get(*child) {
                Some(&later) => {
                    *child += 1;
                    if !std::mem::replace(&mut seen[later], true) {
                        path.push((later, 0));
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
    /// Leads an arrow through the layers between its ends. One that leads backwards is drawn straight.
    fn route_edge(&mut self, from: usize, to: usize) {
        let mut route = vec![from];
        for layer in self.points[from].layer + 1..self.points[to].layer {
            let at = self.points.len();
            self.points.push(LayoutPoint::new(None, layer));
            self.layers[layer].push(at);
            route.push(at);
        }
        route.push(to);
        for pair in route.windows(2) {
            self.points[pair[0]].successors.push(pair[1]);
            self.points[pair[1]].predecessors.push(pair[0]);
        }
        self.routes.push(route);
    }

    /// Orders each layer by the middle of its neighbours, forwards and backwards in turn, and keeps the best.
    fn reduce_crossings(&mut self) {
        let mut best = (self.count_crossings(), self.layers.clone());
        for sweep in 0..SWEEP_COUNT {
            let forwards = sweep % 2 == 0;
            let number = self.layers.len();
            for at in 0..number {
                self.sort_layer(if forwards { at } else { number - 1 - at }, forwards);
            }
            let crossings = self.count_crossings();
            if crossings < best.0 {
                best = (crossings, self.layers.clone());
            }
        }
        self.layers = best.1;
    }

    fn sort_layer(&mut self, layer: usize, forwards: bool) {
        let place = self.positions_in_layers();
        let middle = |spot: usize| {
            let spot = &self.points[spot];
            let beside = if forwards {
                &spot.predecessors
            } else {
                &spot.successors
            };
            let sum: usize = beside.iter().map(|&other| place[other] * 1000).sum();
            sum.checked_div(beside.len())
        };
        let mut keyed: Vec<(usize, usize)> = self.layers[layer]
            .iter()
            .map(|&spot| (middle(spot).unwrap_or(place[spot] * 1000), spot))
            .collect();
        keyed.sort_by_key(|(key, _)| *key);
        self.layers[layer] = keyed.into_iter().map(|(_, spot)| spot).collect();
    }

    /// Each spot's place within its layer.
    fn positions_in_layers(&self) -> Vec<usize> {
        let mut place = vec![0; self.points.len()];
        for layer in &self.layers {
            for (at, &spot) in layer.iter().enumerate() {
                place[spot] = at;
            }
        }
        place
    }

    fn count_crossings(&self) -> usize {
        let place = self.positions_in_layers();
        let mut all = 0;
        for layer in &self.layers {
            let ends: Vec<usize> = layer
                .iter()
                .flat_map(|&spot| {
                    let mut ends: Vec<usize> = self.points[spot]
                        .successors
                        .iter()
                        .map(|&to| place[to])
                        .collect();
                    ends.sort_unstable();
                    ends
                })
                .collect();
            for (at, end) in ends.iter().enumerate() {
                all += ends[at + 1..].iter().filter(|later| *later < end).count();
            }
        }
        all
    }

    /// Moves every spot towards its neighbours as far as the others in its layer let it.
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
        let top = self
            .layers
            .iter()
            .flatten()
            .map(|&spot| self.points[spot].y)
            .min()
            .unwrap_or(0);
        self.points.iter_mut().for_each(|spot| spot.y -= top);
    }

    /// Puts boxes without arrows in rows beneath the others: in a layer they would only be in the way.
    fn place_unconnected(&mut self, tied: &[bool]) {
        let lowest = self
            .layers
            .iter()
            .flatten()
            .map(|&spot| self.points[spot].y)
            .max();
        let mut y = lowest.map_or(0, |y| y + BOX_SPACING + EDGE_SPACING);
        let loose: Vec<usize> = (0..tied.len()).filter(|&node| !tied[node]).collect();
        let columns = self.layers.len().max(loose.len().min(MIN_GRID_COLUMNS));
        self.layers.resize(columns, Vec::new());
        for row in loose.chunks(columns.max(1)) {
            for (column, &node) in row.iter().enumerate() {
                (self.points[node].layer, self.points[node].y) = (column, y);
                self.layers[column].push(node);
            }
            y += BOX_SPACING;
        }
    }

    fn min_distance(&self, above: usize, below: usize) -> i64 {
        let wire = |spot: usize| self.points[spot].node.is_none();
        match (wire(above), wire(below)) {
            (false, false) => BOX_SPACING,
            (true, true) => EDGE_SPACING,
            _ => (BOX_SPACING + EDGE_SPACING) / 2,
        }
    }

    /// Puts each spot of a layer where its neighbours want it, pushes apart what comes too close, and puts the whole
    /// back to where it wanted to be on average.
    fn align_layer(&mut self, layer: &[usize]) {
        let wanted: Vec<i64> = layer.iter().map(|&spot| self.preferred_y(spot)).collect();
        let mut y: Vec<i64> = Vec::with_capacity(layer.len());
        for (at, &wish) in wanted.iter().enumerate() {
            let least = y
                .last()
                .map(|last| last + self.min_distance(layer[at - 1], layer[at]));
            y.push(least.map_or(wish, |least| wish.max(least)));
        }
        let number = i64::try_from(layer.len()).unwrap_or(i64::MAX).max(1);
        let off = (y.iter().sum::<i64>() - wanted.iter().sum::<i64>()) / number;
        for (&spot, y) in layer.iter().zip(y) {
            self.points[spot].y = y - off;
        }
    }

    fn preferred_y(&self, spot: usize) -> i64 {
        let spot = &self.points[spot];
        let beside = spot.predecessors.iter().chain(&spot.successors);
        let (sum, number) = beside.fold((0, 0), |(sum, number), &other| {
            (sum + self.points[other].y, number + 1)
        });
        sum.checked_div(number).unwrap_or(spot.y)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::graph::DiagramNode;

    /// Drawings of every density, circles included, by a generator of numbers that needs no seed.
    fn drawings() -> impl Iterator<Item = Diagram> {
        let mut state = 7_usize;
        let mut next = move |most: usize| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 33) % most
        };
        (1..40).map(move |nodes| {
            let edges = (0..next(3 * nodes)).map(|_| (next(nodes), next(nodes), String::new()));
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
    fn no_box_covers_another() {
        for drawing in drawings() {
            let layout = compute_layout(&drawing);
            for layer in &layout.layers {
                let boxes = layer
                    .iter()
                    .filter(|spot| layout.points[**spot].node.is_some());
                let y: Vec<i64> = boxes.map(|&spot| layout.points[spot].y).collect();
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
                .filter(|spot| layout.points[**spot].node.is_some());
            assert_eq!(placed.count(), drawing.nodes.len());
        }
    }

    #[test]
    fn arrows_lead_to_the_right_unless_they_are_part_of_a_circle() {
        for mut drawing in drawings() {
            drawing.edges.retain(|(from, to, _)| from < to);
            let layout = compute_layout(&drawing);
            for (from, to, _) in &drawing.edges {
                assert!(layout.points[*from].layer < layout.points[*to].layer);
            }
        }
    }
}
