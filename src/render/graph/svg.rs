//! SVG that stands alone: no script, no font to load, light and dark by the reader's own setting.

use std::{collections::BTreeSet, fmt::Write as _};

use unicode_width::UnicodeWidthStr as _;

use super::{
    Diagram, DiagramNode, NodeAction, css_class,
    layout::{Layout, compute_layout},
};
use crate::{
    plan::EdgeReason,
    render::{
        value::{sanitize, truncate_middle},
        wording,
    },
};

/// Sizes in pixels. A character of the monospaced face at 12 px is 7.2 px wide; 7.5 leaves room for other faces.
const CHAR_WIDTH_TENTHS: usize = 75;
const BOX_HEIGHT: usize = 46;
const ROW_HEIGHT: usize = 62;
const COLUMN_GAP: usize = 72;
const MARGIN: usize = 24;
/// Longer labels are cut in their middle.
const MAX_LABEL_WIDTH: usize = 34;
/// What reasons look like, the usual one first.
const DASH_PATTERNS: [&str; 4] = ["", "6 4", "2 4", "10 4 2 4"];

const STYLESHEET: &str = "
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

pub(super) fn render(drawing: &Diagram) -> String {
    SvgWriter::new(drawing).render()
}

struct SvgWriter<'a> {
    drawing: &'a Diagram,
    layout: Layout,
    /// Left edge and width of each layer.
    columns: Vec<(usize, usize)>,
    /// The reasons of arrows, each with a look of its own.
    reasons: Vec<&'a str>,
    width: usize,
    height: usize,
}

impl<'a> SvgWriter<'a> {
    fn new(drawing: &'a Diagram) -> Self {
        let layout = compute_layout(drawing);
        let mut left = MARGIN;
        let mut columns = Vec::new();
        for layer in &layout.layers {
            let nodes = layer.iter().filter_map(|&spot| layout.points[spot].node);
            let width = nodes
                .map(|node| box_width(&drawing.nodes[node]))
                .max()
                .unwrap_or(0);
            columns.push((left, width));
            left += width + COLUMN_GAP;
        }
        let lowest = layout.points.iter().map(|spot| spot.y).max().unwrap_or(0);
        let mut seen = BTreeSet::new();
        let reasons = drawing.edges.iter().map(|(_, _, reason)| reason.as_str());
        let mut reasons: Vec<&str> = reasons
            .filter(|reason| !reason.is_empty() && seen.insert(*reason))
            .collect();
        // The usual reason is the plain line.
        reasons.sort_by_key(|reason| *reason != EdgeReason::Needs.phrase());
        let mut picture = Self {
            drawing,
            columns,
            reasons,
            width: (left + MARGIN).saturating_sub(COLUMN_GAP),
            height: to_pixels(lowest) + BOX_HEIGHT + 2 * MARGIN,
            layout,
        };
        picture.width = picture.width.max(picture.legend_width());
        picture
    }

    fn render(&self) -> String {
        let (width, height) = (self.width, self.height + LEGEND_HEIGHT);
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
             height=\"{height}\" role=\"img\">\n  <title>{}</title>\n  <style>{STYLESHEET}  </style>\n",
            escape_xml(&self.title()),
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
            out += &self.render_edge(route, *from, *to, reason);
        }
        for (at, node) in self.drawing.nodes.iter().enumerate() {
            out += &self.render_node(at, node);
        }
        out += &self.render_legend();
        out.push_str("</svg>\n");
        out
    }

    fn title(&self) -> String {
        let count = |number: usize, noun| {
            wording::format_count(u64::try_from(number).unwrap_or(u64::MAX), noun)
        };
        format!(
            "{}, {}",
            count(self.drawing.nodes.len(), "object"),
            count(self.drawing.edges.len(), "edge")
        )
    }

    /// The left edge, the width and the middle of a spot.
    fn position(&self, spot: usize) -> (usize, usize, usize) {
        let spot = &self.layout.points[spot];
        let (left, width) = self.columns[spot.layer];
        (left, width, MARGIN + to_pixels(spot.y) + BOX_HEIGHT / 2)
    }

    fn render_node(&self, at: usize, node: &DiagramNode) -> String {
        let (left, width, middle) = self.position(at);
        let (top, class) = (middle - BOX_HEIGHT / 2, css_class(node.action));
        let (right, high, low) = (left + width - 10, top + 18, top + 35);
        let name = escape_xml(&truncate_middle(&sanitize(&node.label), MAX_LABEL_WIDTH));
        let deed = node.action.map_or(String::new(), |deed| {
            let words = deed.label();
            format!("<text class=\"verb {class}\" x=\"{right}\" y=\"{high}\">{words}</text>")
        });
        let more = [
            node.kind.as_str(),
            node.label.as_str(),
            node.detail.as_str(),
        ];
        let more: Vec<&str> = more.into_iter().filter(|part| !part.is_empty()).collect();
        format!(
            "  <g><title>{}</title><rect class=\"box\" x=\"{left}\" y=\"{top}\" width=\"{width}\" \
             height=\"{BOX_HEIGHT}\" rx=\"6\"/><rect class=\"{class}\" x=\"{left}\" y=\"{}\" width=\"3\" \
             height=\"{}\" rx=\"1.5\"/><text x=\"{}\" y=\"{high}\">{}</text>{deed}<text class=\"name\" x=\"{}\" \
             y=\"{low}\">{name}</text></g>\n",
            escape_xml(&sanitize(&more.join(" · "))),
            top + 7,
            BOX_HEIGHT - 14,
            left + 12,
            escape_xml(&sanitize(&node.kind)),
            left + 12,
        )
    }

    /// A smooth line through all its spots, level where it leaves and arrives.
    fn render_edge(&self, route: &[usize], from: usize, to: usize, reason: &str) -> String {
        let mut path = String::new();
        for (at, pair) in route.windows(2).enumerate() {
            let (left, width, y) = self.position(pair[0]);
            let x = left + width;
            let (next, _, next_y) = self.position(pair[1]);
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
            self.dash_attribute(reason),
            escape_xml(&sanitize(&words)),
        )
    }

    fn dash_attribute(&self, reason: &str) -> String {
        let at = self
            .reasons
            .iter()
            .position(|known| *known == reason)
            .unwrap_or(0);
        match DASH_PATTERNS[at.min(DASH_PATTERNS.len() - 1)] {
            "" => String::new(),
            dash => format!(" stroke-dasharray=\"{dash}\""),
        }
    }
}

/// The height of the legend.
const LEGEND_HEIGHT: usize = 36;
/// A line in the legend, and the gap behind each part.
const LEGEND_LINE_WIDTH: usize = 34;
const LEGEND_GAP: usize = 22;

impl SvgWriter<'_> {
    /// The changes that occur, gravest first.
    fn legend_actions(&self) -> Vec<NodeAction> {
        let deeds: BTreeSet<_> = self
            .drawing
            .nodes
            .iter()
            .filter_map(|node| node.action)
            .collect();
        deeds.into_iter().collect()
    }

    fn legend_width(&self) -> usize {
        let deeds: usize = self
            .legend_actions()
            .iter()
            .map(|deed| text_width(deed.word()) + 24 + LEGEND_GAP)
            .sum();
        let reasons: usize = self
            .reasons
            .iter()
            .map(|reason| text_width(&sanitize(reason)) + LEGEND_LINE_WIDTH + LEGEND_GAP)
            .sum();
        deeds + reasons + 2 * MARGIN
    }

    /// What the colours and the dashes mean, in words.
    fn render_legend(&self) -> String {
        let (mut x, y) = (MARGIN, self.height + 14);
        let mut out = String::new();
        for deed in self.legend_actions() {
            let words = deed.label();
            let class = css_class(Some(deed));
            let _ = writeln!(
                out,
                "  <text class=\"word {class}\" x=\"{x}\" y=\"{y}\">{words}</text>"
            );
            x += text_width(deed.word()) + 24 + LEGEND_GAP;
        }
        for reason in &self.reasons {
            let (end, line) = (x + LEGEND_LINE_WIDTH - 8, y - 4);
            let words = escape_xml(&sanitize(reason));
            let _ = writeln!(
                out,
                "  <path class=\"wire\" d=\"M{x} {line}H{end}\"{} marker-end=\"url(#head)\"/><text x=\"{}\" \
                 y=\"{y}\">{words}</text>",
                self.dash_attribute(reason),
                x + LEGEND_LINE_WIDTH,
            );
            x += LEGEND_LINE_WIDTH + text_width(&sanitize(reason)) + LEGEND_GAP;
        }
        out
    }
}

fn to_pixels(y: i64) -> usize {
    usize::try_from(y).unwrap_or(0) * ROW_HEIGHT / 10
}

/// The width of small proportional text, generously.
fn text_width(text: &str) -> usize {
    text.width() * 62 / 10
}

fn box_width(node: &DiagramNode) -> usize {
    let name =
        truncate_middle(&sanitize(&node.label), MAX_LABEL_WIDTH).width() * CHAR_WIDTH_TENTHS / 10;
    let deed = node.action.map_or(0, |deed| text_width(deed.word()) + 24);
    let head = text_width(&node.kind) + 16 + deed;
    name.max(head) + 26
}

fn escape_xml(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
