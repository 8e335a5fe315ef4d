//! SVG that stands alone: no script, no font to load, light and dark by the reader's own setting.

use std::{collections::BTreeSet, fmt::Write as _};

use unicode_width::UnicodeWidthStr as _;

use super::{
    Deed, Drawing, Node, class,
    layout::{Layout, layout},
};
use crate::{
    plan::Because,
    render::{
        value::{clean, cut},
        words,
    },
};

/// Sizes in pixels. A character of the monospaced face at 12 px is 7.2 px wide; 7.5 leaves room for other faces.
const CHAR_TENTHS: usize = 75;
const BOX_HEIGHT: usize = 46;
const ROW: usize = 62;
const COLUMN_GAP: usize = 72;
const MARGIN: usize = 24;
/// Longer labels are cut in their middle.
const WIDEST: usize = 34;
/// What reasons look like, the usual one first.
const DASHES: [&str; 4] = ["", "6 4", "2 4", "10 4 2 4"];

const STYLE: &str = "
    svg { --page: #ffffff; --box: #f6f8fa; --line: #d0d7de; --text: #1f2328; --dim: #59636e; --wire: #818b98;
          --create: #1a7f37; --change: #9a6700; --destroy: #cf222e; --same: #59636e; }
    @media (prefers-color-scheme: dark) {
      svg { --page: #0d1117; --box: #161b22; --line: #30363d; --text: #f0f6fc; --dim: #9198a1; --wire: #656c76;
            --create: #3fb950; --change: #d29922; --destroy: #f85149; --same: #9198a1; } }
    text { font: 11px system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif; fill: var(--dim); }
    .page { fill: var(--page); }
    .box { fill: var(--box); stroke: var(--line); }
    .name { font: 12px ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace; fill: var(--text); }
    .verb { font-weight: 600; text-anchor: end; }
    .word { font-weight: 600; }
    .wire { fill: none; stroke: var(--wire); stroke-width: 1.4; }
    .head { fill: var(--wire); }
    .create { fill: var(--create); } .change { fill: var(--change); }
    .destroy { fill: var(--destroy); } .same { fill: var(--same); }
";

pub(super) fn svg(drawing: &Drawing) -> String {
    Picture::of(drawing).draw()
}

struct Picture<'a> {
    drawing: &'a Drawing,
    layout: Layout,
    /// Left edge and width of each layer.
    columns: Vec<(usize, usize)>,
    /// The reasons of arrows, each with a look of its own.
    reasons: Vec<&'a str>,
    width: usize,
    height: usize,
}

impl<'a> Picture<'a> {
    fn of(drawing: &'a Drawing) -> Self {
        let layout = layout(drawing);
        let mut left = MARGIN;
        let mut columns = Vec::new();
        for layer in &layout.layers {
            let nodes = layer.iter().filter_map(|&spot| layout.spots[spot].node);
            let width = nodes
                .map(|node| box_width(&drawing.nodes[node]))
                .max()
                .unwrap_or(0);
            columns.push((left, width));
            left += width + COLUMN_GAP;
        }
        let lowest = layout.spots.iter().map(|spot| spot.y).max().unwrap_or(0);
        let mut seen = BTreeSet::new();
        let reasons = drawing.edges.iter().map(|(_, _, reason)| reason.as_str());
        let mut reasons: Vec<&str> = reasons
            .filter(|reason| !reason.is_empty() && seen.insert(*reason))
            .collect();
        // The usual reason is the plain line.
        reasons.sort_by_key(|reason| *reason != Because::Needs.words());
        let mut picture = Self {
            drawing,
            columns,
            reasons,
            width: (left + MARGIN).saturating_sub(COLUMN_GAP),
            height: pixels(lowest) + BOX_HEIGHT + 2 * MARGIN,
            layout,
        };
        picture.width = picture.width.max(picture.legend_width());
        picture
    }

    fn draw(&self) -> String {
        let (width, height) = (self.width, self.height + LEGEND);
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
             height=\"{height}\" role=\"img\">\n  <title>{}</title>\n  <style>{STYLE}  </style>\n",
            escape(&self.title()),
        );
        out.push_str(
            "  <defs><marker id=\"head\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" \
             orient=\"auto-start-reverse\"><path class=\"head\" d=\"M0 0.5 8 4 0 7.5z\"/></marker></defs>\n",
        );
        let _ = writeln!(
            out,
            "  <rect class=\"page\" width=\"{width}\" height=\"{height}\" rx=\"8\"/>"
        );
        for (route, (from, to, reason)) in self.layout.routes.iter().zip(&self.drawing.edges) {
            out += &self.wire(route, *from, *to, reason);
        }
        for (at, node) in self.drawing.nodes.iter().enumerate() {
            out += &self.node(at, node);
        }
        out += &self.legend();
        out.push_str("</svg>\n");
        out
    }

    fn title(&self) -> String {
        let count =
            |number: usize, noun| words::count(u64::try_from(number).unwrap_or(u64::MAX), noun);
        format!(
            "{}, {}",
            count(self.drawing.nodes.len(), "object"),
            count(self.drawing.edges.len(), "edge")
        )
    }

    /// The left edge, the width and the middle of a spot.
    fn place(&self, spot: usize) -> (usize, usize, usize) {
        let spot = &self.layout.spots[spot];
        let (left, width) = self.columns[spot.layer];
        (left, width, MARGIN + pixels(spot.y) + BOX_HEIGHT / 2)
    }

    fn node(&self, at: usize, node: &Node) -> String {
        let (left, width, middle) = self.place(at);
        let (top, class) = (middle - BOX_HEIGHT / 2, class(node.deed));
        let (right, high, low) = (left + width - 10, top + 18, top + 35);
        let name = escape(&cut(&clean(&node.label), WIDEST));
        let deed = node.deed.map_or(String::new(), |deed| {
            let words = deed.words();
            format!("<text class=\"verb {class}\" x=\"{right}\" y=\"{high}\">{words}</text>")
        });
        let more = [node.kind.as_str(), node.label.as_str(), node.sub.as_str()];
        let more: Vec<&str> = more.into_iter().filter(|part| !part.is_empty()).collect();
        format!(
            "  <g><title>{}</title><rect class=\"box\" x=\"{left}\" y=\"{top}\" width=\"{width}\" \
             height=\"{BOX_HEIGHT}\" rx=\"6\"/><rect class=\"{class}\" x=\"{left}\" y=\"{}\" width=\"3\" \
             height=\"{}\" rx=\"1.5\"/><text x=\"{}\" y=\"{high}\">{}</text>{deed}<text class=\"name\" x=\"{}\" \
             y=\"{low}\">{name}</text></g>\n",
            escape(&clean(&more.join(" · "))),
            top + 7,
            BOX_HEIGHT - 14,
            left + 12,
            escape(&clean(&node.kind)),
            left + 12,
        )
    }

    /// A smooth line through all its spots, level where it leaves and arrives.
    fn wire(&self, route: &[usize], from: usize, to: usize, reason: &str) -> String {
        let mut path = String::new();
        for (at, pair) in route.windows(2).enumerate() {
            let (left, width, y) = self.place(pair[0]);
            let x = left + width;
            let (next, _, next_y) = self.place(pair[1]);
            if at == 0 {
                let _ = write!(path, "M{x} {y}");
            } else {
                // Across the column of a layer that the arrow only passes.
                let _ = write!(path, "H{x}");
            }
            let middle = x.midpoint(next);
            let _ = write!(path, "C{middle} {y} {middle} {next_y} {next} {next_y}");
        }
        let nodes = &self.drawing.nodes;
        let (from, to) = (&nodes[from], &nodes[to]);
        let words = format!(
            "{}/{} {reason} {}/{}",
            from.kind, from.label, to.kind, to.label
        );
        format!(
            "  <path class=\"wire\" d=\"{path}\"{} marker-end=\"url(#head)\"><title>{}</title></path>\n",
            self.dash(reason),
            escape(&clean(&words)),
        )
    }

    fn dash(&self, reason: &str) -> String {
        let at = self
            .reasons
            .iter()
            .position(|known| *known == reason)
            .unwrap_or(0);
        match DASHES[at.min(DASHES.len() - 1)] {
            "" => String::new(),
            dash => format!(" stroke-dasharray=\"{dash}\""),
        }
    }
}

/// The height of the legend.
const LEGEND: usize = 36;
/// A line in the legend, and the gap behind each part.
const SAMPLE: usize = 34;
const GAP: usize = 22;

impl Picture<'_> {
    /// The changes that occur, gravest first.
    fn deeds(&self) -> Vec<Deed> {
        let deeds: BTreeSet<_> = self
            .drawing
            .nodes
            .iter()
            .filter_map(|node| node.deed)
            .collect();
        deeds.into_iter().collect()
    }

    fn legend_width(&self) -> usize {
        let deeds: usize = self
            .deeds()
            .iter()
            .map(|deed| text_width(deed.word()) + 24 + GAP)
            .sum();
        let reasons: usize = self
            .reasons
            .iter()
            .map(|reason| text_width(&clean(reason)) + SAMPLE + GAP)
            .sum();
        deeds + reasons + 2 * MARGIN
    }

    /// What the colours and the dashes mean, in words.
    fn legend(&self) -> String {
        let (mut x, y) = (MARGIN, self.height + 14);
        let mut out = String::new();
        for deed in self.deeds() {
            let words = deed.words();
            let class = class(Some(deed));
            let _ = writeln!(
                out,
                "  <text class=\"word {class}\" x=\"{x}\" y=\"{y}\">{words}</text>"
            );
            x += text_width(deed.word()) + 24 + GAP;
        }
        for reason in &self.reasons {
            let (end, line) = (x + SAMPLE - 8, y - 4);
            let words = escape(&clean(reason));
            let _ = writeln!(
                out,
                "  <path class=\"wire\" d=\"M{x} {line}H{end}\"{} marker-end=\"url(#head)\"/><text x=\"{}\" \
                 y=\"{y}\">{words}</text>",
                self.dash(reason),
                x + SAMPLE,
            );
            x += SAMPLE + text_width(&clean(reason)) + GAP;
        }
        out
    }
}

fn pixels(y: i64) -> usize {
    usize::try_from(y).unwrap_or(0) * ROW / 10
}

/// The width of small proportional text, generously.
fn text_width(text: &str) -> usize {
    text.width() * 62 / 10
}

fn box_width(node: &Node) -> usize {
    let name = cut(&clean(&node.label), WIDEST).width() * CHAR_TENTHS / 10;
    let deed = node.deed.map_or(0, |deed| text_width(deed.word()) + 24);
    let head = text_width(&node.kind) + 16 + deed;
    name.max(head) + 26
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
