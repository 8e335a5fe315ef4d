//! Self-contained SVG: no scripts, no external fonts, light and dark mode by the reader's own setting.

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

/// The width of a monospaced character in tenths of a pixel. At 12 px it is 7.2 px; 7.5 allows for wider fonts. All
/// other sizes here are in pixels.
const CHAR_WIDTH_TENTHS: usize = 75;
const BOX_HEIGHT: usize = 46;
const ROW_HEIGHT: usize = 62;
const COLUMN_GAP: usize = 72;
const MARGIN: usize = 24;
/// Longer labels are truncated in their middle; in characters.
const MAX_LABEL_WIDTH: usize = 34;
/// The dash patterns of edges by reason, the solid line for the most common one first.
const DASH_PATTERNS: [&str; 4] = ["", "6 4", "2 4", "10 4 2 4"];

/// Plain rules without variables: converters and viewers other than browsers do not know those, and would draw a black box.
const STYLESHEET: &str = "
    text { font: 11px system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif; fill: #59636e; }
    .page { fill: #ffffff; }
    .box { fill: #f6f8fa; stroke: #d0d7de; }
    .name { font: 12px ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace; fill: #1f2328; }
    .verb { font-weight: 600; text-anchor: end; }
    .word { font-weight: 600; }
    .wire { fill: none; stroke: #818b98; stroke-width: 1.4; }
    .head { fill: #818b98; }
    .create { fill: #1a7f37; } .change { fill: #9a6700; }
    .destroy { fill: #cf222e; } .same { fill: #59636e; }
    @media (prefers-color-scheme: dark) {
      text { fill: #9198a1; }
      .page { fill: #0d1117; }
      .box { fill: #161b22; stroke: #30363d; }
      .name { fill: #f0f6fc; }
      .wire { stroke: #656c76; }
      .head { fill: #656c76; }
      .create { fill: #3fb950; } .change { fill: #d29922; }
      .destroy { fill: #f85149; } .same { fill: #9198a1; } }
";

/// Renders a diagram as a complete SVG document.
pub(super) fn render(diagram: &Diagram) -> String {
    SvgWriter::new(diagram).render()
}

struct SvgWriter<'a> {
    diagram: &'a Diagram,
    layout: Layout,
    /// The left edge and width of each layer.
    columns: Vec<(usize, usize)>,
    /// The distinct reasons of edges; the index selects the dash pattern.
    reasons: Vec<&'a str>,
    width: usize,
    height: usize,
}

impl<'a> SvgWriter<'a> {
    fn new(diagram: &'a Diagram) -> Self {
        let layout = compute_layout(diagram);
        let mut left = MARGIN;
        let mut columns = Vec::new();
        for layer in &layout.layers {
            let nodes = layer.iter().filter_map(|&point| layout.points[point].node);
            let width = nodes
                .map(|node| box_width(&diagram.nodes[node]))
                .max()
                .unwrap_or(0);
            columns.push((left, width));
            left += width + COLUMN_GAP;
        }
        let max_y = layout.points.iter().map(|point| point.y).max().unwrap_or(0);
        let mut seen = BTreeSet::new();
        let reasons = diagram.edges.iter().map(|(_, _, reason)| reason.as_str());
        let mut reasons: Vec<&str> = reasons
            .filter(|reason| !reason.is_empty() && seen.insert(*reason))
            .collect();
        // The most common reason gets the solid line. The sort is stable, so the others stay in order of appearance.
        reasons.sort_by_key(|reason| *reason != EdgeReason::Needs.phrase());
        let mut writer = Self {
            diagram,
            columns,
            reasons,
            width: (left + MARGIN).saturating_sub(COLUMN_GAP),
            height: to_pixels(max_y) + BOX_HEIGHT + 2 * MARGIN,
            layout,
        };
        writer.width = writer.width.max(writer.legend_width());
        writer
    }

    fn render(&self) -> String {
        let (width, height) = (self.width, self.height + LEGEND_HEIGHT);
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
             height=\"{height}\" role=\"img\">\n  <title>{}</title>\n  <style>{STYLESHEET}  </style>\n",
            escape_xml(&self.title()),
        );
        svg.push_str(
            "  <defs><marker id=\"head\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" \
             orient=\"auto-start-reverse\"><path class=\"head\" d=\"M0 0.5 8 4 0 7.5z\"/></marker></defs>\n",
        );
        let _ = writeln!(
            svg,
            "  <rect class=\"page\" width=\"{width}\" height=\"{height}\" rx=\"8\"/>"
        );
        for (route, (from, to, reason)) in self.layout.routes.iter().zip(&self.diagram.edges) {
            svg += &self.render_edge(route, *from, *to, reason);
        }
        for (index, node) in self.diagram.nodes.iter().enumerate() {
            svg += &self.render_node(index, node);
        }
        svg += &self.render_legend();
        svg.push_str("</svg>\n");
        svg
    }

    fn title(&self) -> String {
        let count = |number: usize, noun| {
            wording::format_count(u64::try_from(number).unwrap_or(u64::MAX), noun)
        };
        format!(
            "{}, {}",
            count(self.diagram.nodes.len(), "object"),
            count(self.diagram.edges.len(), "edge")
        )
    }

    /// The left edge, width and vertical centre of a point.
    fn position(&self, point: usize) -> (usize, usize, usize) {
        let point = &self.layout.points[point];
        let (left, width) = self.columns[point.layer];
        (left, width, MARGIN + to_pixels(point.y) + BOX_HEIGHT / 2)
    }

    fn render_node(&self, index: usize, node: &DiagramNode) -> String {
        let (left, width, centre_y) = self.position(index);
        let (top, class) = (centre_y - BOX_HEIGHT / 2, css_class(node.action));
        let (right, kind_y, name_y) = (left + width - 10, top + 18, top + 35);
        let name = escape_xml(&truncate_middle(&sanitize(&node.label), MAX_LABEL_WIDTH));
        let action = node.action.map_or(String::new(), |action| {
            let text = action.label();
            format!("<text class=\"verb {class}\" x=\"{right}\" y=\"{kind_y}\">{text}</text>")
        });
        let tooltip_parts = [
            node.kind.as_str(),
            node.label.as_str(),
            node.detail.as_str(),
        ];
        let tooltip_parts: Vec<&str> = tooltip_parts
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect();
        format!(
            "  <g><title>{}</title><rect class=\"box\" x=\"{left}\" y=\"{top}\" width=\"{width}\" \
             height=\"{BOX_HEIGHT}\" rx=\"6\"/><rect class=\"{class}\" x=\"{left}\" y=\"{}\" width=\"3\" \
             height=\"{}\" rx=\"1.5\"/><text x=\"{}\" y=\"{kind_y}\">{}</text>{action}<text class=\"name\" x=\"{}\" \
             y=\"{name_y}\">{name}</text></g>\n",
            escape_xml(&sanitize(&tooltip_parts.join(" · "))),
            top + 7,
            BOX_HEIGHT - 14,
            left + 12,
            escape_xml(&sanitize(&node.kind)),
            left + 12,
        )
    }

    /// Draws an edge as a smooth curve through its points, horizontal at both ends.
    fn render_edge(&self, route: &[usize], from: usize, to: usize, reason: &str) -> String {
        let mut path = String::new();
        for (index, pair) in route.windows(2).enumerate() {
            let (left, width, y) = self.position(pair[0]);
            let x = left + width;
            let (next, _, next_y) = self.position(pair[1]);
            if index == 0 {
                let _ = write!(path, "M{x} {y}");
            } else {
                // Straight across the column of an intermediate layer, where no box is in the way.
                let _ = write!(path, "H{x}");
            }
            let centre_x = x.midpoint(next);
            let _ = write!(path, "C{centre_x} {y} {centre_x} {next_y} {next} {next_y}");
        }
        let nodes = &self.diagram.nodes;
        let (from, to) = (&nodes[from], &nodes[to]);
        let tooltip = format!(
            "{}/{} {reason} {}/{}",
            from.kind, from.label, to.kind, to.label
        );
        format!(
            "  <path class=\"wire\" d=\"{path}\"{} marker-end=\"url(#head)\"><title>{}</title></path>\n",
            self.dash_attribute(reason),
            escape_xml(&sanitize(&tooltip)),
        )
    }

    fn dash_attribute(&self, reason: &str) -> String {
        let index = self
            .reasons
            .iter()
            .position(|other| *other == reason)
            .unwrap_or(0);
        match DASH_PATTERNS[index.min(DASH_PATTERNS.len() - 1)] {
            "" => String::new(),
            dash => format!(" stroke-dasharray=\"{dash}\""),
        }
    }
}

/// The height of the legend.
const LEGEND_HEIGHT: usize = 36;
/// The width of a sample line in the legend, including the gap before its text.
const LEGEND_LINE_WIDTH: usize = 34;
/// The gap after each entry of the legend.
const LEGEND_GAP: usize = 22;

impl SvgWriter<'_> {
    /// The distinct actions in the diagram, the most dangerous first.
    fn legend_actions(&self) -> Vec<NodeAction> {
        let actions: BTreeSet<_> = self
            .diagram
            .nodes
            .iter()
            .filter_map(|node| node.action)
            .collect();
        actions.into_iter().collect()
    }

    fn legend_width(&self) -> usize {
        let actions: usize = self
            .legend_actions()
            .iter()
            .map(|action| text_width(action.word()) + 24 + LEGEND_GAP)
            .sum();
        let reasons: usize = self
            .reasons
            .iter()
            .map(|reason| text_width(&sanitize(reason)) + LEGEND_LINE_WIDTH + LEGEND_GAP)
            .sum();
        actions + reasons + 2 * MARGIN
    }

    /// Explains colours and dash patterns.
    fn render_legend(&self) -> String {
        let (mut x, y) = (MARGIN, self.height + 14);
        let mut svg = String::new();
        for action in self.legend_actions() {
            let text = action.label();
            let class = css_class(Some(action));
            let _ = writeln!(
                svg,
                "  <text class=\"word {class}\" x=\"{x}\" y=\"{y}\">{text}</text>"
            );
            x += text_width(action.word()) + 24 + LEGEND_GAP;
        }
        for reason in &self.reasons {
            let (end, line) = (x + LEGEND_LINE_WIDTH - 8, y - 4);
            let text = escape_xml(&sanitize(reason));
            let _ = writeln!(
                svg,
                "  <path class=\"wire\" d=\"M{x} {line}H{end}\"{} marker-end=\"url(#head)\"/><text x=\"{}\" \
                 y=\"{y}\">{text}</text>",
                self.dash_attribute(reason),
                x + LEGEND_LINE_WIDTH,
            );
            x += LEGEND_LINE_WIDTH + text_width(&sanitize(reason)) + LEGEND_GAP;
        }
        svg
    }
}

/// Converts a layout coordinate, in tenths of a row.
fn to_pixels(y: i64) -> usize {
    usize::try_from(y).unwrap_or(0) * ROW_HEIGHT / 10
}

/// An upper estimate of the width of small proportional text.
fn text_width(text: &str) -> usize {
    text.width() * 62 / 10
}

fn box_width(node: &DiagramNode) -> usize {
    let name =
        truncate_middle(&sanitize(&node.label), MAX_LABEL_WIDTH).width() * CHAR_WIDTH_TENTHS / 10;
    let action = node
        .action
        .map_or(0, |action| text_width(action.word()) + 24);
    let header_width = text_width(&node.kind) + 16 + action;
    name.max(header_width) + 26
}

fn escape_xml(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
