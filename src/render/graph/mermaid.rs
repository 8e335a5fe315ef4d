//! Mermaid flowcharts, which GitHub draws in comments.

use std::fmt::Write as _;

use super::{Diagram, css_class};
use crate::{plan::EdgeReason, render::value::sanitize};

/// The maximum number of edges; twice as many nodes are allowed. Mermaid's own limit is 500 edges (`maxEdges`), but such a chart
/// is unreadable long before.
const MAX_EDGES: usize = 100;

/// Border colours that are visible on light and dark backgrounds. They repeat what the word in the box says.
const CLASS_DEFS: &str = "  classDef create stroke:#2da44e,stroke-width:2px
  classDef change stroke:#bf8700,stroke-width:2px
  classDef destroy stroke:#cf222e,stroke-width:2px
  classDef same stroke:#8c959f
";

/// Renders a diagram as a flowchart, or as a note that it is too large.
pub(super) fn render(diagram: &Diagram) -> String {
    let mut chart = String::from("flowchart LR\n");
    if diagram.edges.len() > MAX_EDGES || diagram.nodes.len() > 2 * MAX_EDGES {
        let (nodes, edges) = (diagram.nodes.len(), diagram.edges.len());
        let _ = writeln!(
            chart,
            "  n0[\"{nodes} objects and {edges} edges are too many to draw here: use svg\"]"
        );
        return chart;
    }
    for (index, node) in diagram.nodes.iter().enumerate() {
        // The word without its symbol: Mermaid parses labels as Markdown, and rejects a leading `-` or `+` as a list.
        let action = node
            .action
            .map_or(String::new(), |action| format!("{}<br>", action.word()));
        let (kind, label) = (escape_label(&node.kind), escape_label(&node.label));
        let _ = writeln!(
            chart,
            "  n{index}[\"{action}{kind}<br>{label}\"]:::{}",
            css_class(node.action)
        );
    }
    for (from, to, reason) in &diagram.edges {
        // The most common reason would clutter the chart.
        if reason.is_empty() || reason == EdgeReason::Needs.phrase() {
            let _ = writeln!(chart, "  n{from} --> n{to}");
        } else {
            let _ = writeln!(chart, "  n{from} -. \"{}\" .-> n{to}", escape_label(reason));
        }
    }
    chart.push_str(CLASS_DEFS);
    chart
}

/// Escapes the text of a quoted label, which Mermaid reads as HTML, with Mermaid's own entity syntax `#34;`.
fn escape_label(text: &str) -> String {
    let mut escaped = String::new();
    for c in sanitize(text).chars() {
        match c {
            '"' | '#' | '<' | '>' | '&' | '`' | '\\' => {
                let _ = write!(escaped, "#{};", u32::from(c));
            }
            other => escaped.push(other),
        }
    }
    escaped
}
