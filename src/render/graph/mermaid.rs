//! Mermaid's flowchart. GitHub draws it in comments, as long as it is small.

use std::fmt::Write as _;

use super::{Diagram, css_class};
use crate::{plan::EdgeReason, render::value::sanitize};

/// Mermaid itself gives up on more than a few hundred, and nobody reads half of that.
const MAX_EDGES: usize = 100;

/// Colours that carry on light and dark pages; the border says what the word in the box says.
const CLASS_DEFS: &str = "  classDef create stroke:#2da44e,stroke-width:2px
  classDef change stroke:#bf8700,stroke-width:2px
  classDef destroy stroke:#cf222e,stroke-width:2px
  classDef same stroke:#8c959f
";

pub(super) fn render(drawing: &Diagram) -> String {
    let mut out = String::from("flowchart LR\n");
    if drawing.edges.len() > MAX_EDGES || drawing.nodes.len() > 2 * MAX_EDGES {
        let (nodes, edges) = (drawing.nodes.len(), drawing.edges.len());
        let _ = writeln!(
            out,
            "  n0[\"{nodes} objects and {edges} edges are too many to draw here: use svg\"]"
        );
        return out;
    }
    for (at, node) in drawing.nodes.iter().enumerate() {
        // The word without its symbol: a label that begins with `-` or `+` is a list to Mermaid, which it refuses.
        let deed = node
            .action
            .map_or(String::new(), |deed| format!("{}<br>", deed.word()));
        let (kind, label) = (escape_label(&node.kind), escape_label(&node.label));
        let _ = writeln!(
            out,
            "  n{at}[\"{deed}{kind}<br>{label}\"]:::{}",
            css_class(node.action)
        );
    }
    for (from, to, reason) in &drawing.edges {
        // The usual reason on every arrow would only cover the arrows.
        if reason.is_empty() || reason == EdgeReason::Needs.phrase() {
            let _ = writeln!(out, "  n{from} --> n{to}");
        } else {
            let _ = writeln!(out, "  n{from} -. \"{}\" .-> n{to}", escape_label(reason));
        }
    }
    out.push_str(CLASS_DEFS);
    out
}

/// Text inside a quoted label, which is HTML to Mermaid, with its own entities.
fn escape_label(text: &str) -> String {
    let mut out = String::new();
    for c in sanitize(text).chars() {
        match c {
            '"' | '#' | '<' | '>' | '&' | '`' | '\\' => {
                let _ = write!(out, "#{};", u32::from(c));
            }
            other => out.push(other),
        }
    }
    out
}
