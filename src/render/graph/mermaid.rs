//! Mermaid's flowchart. GitHub draws it in comments, as long as it is small.

use std::fmt::Write as _;

use super::{Drawing, class};
use crate::{plan::Because, render::value::clean};

/// Mermaid itself gives up on more than a few hundred, and nobody reads half of that.
const MOST_EDGES: usize = 100;

/// Colours that carry on light and dark pages; the border says what the word in the box says.
const CLASSES: &str = "  classDef create stroke:#2da44e,stroke-width:2px
  classDef change stroke:#bf8700,stroke-width:2px
  classDef destroy stroke:#cf222e,stroke-width:2px
  classDef same stroke:#8c959f
";

pub(super) fn mermaid(drawing: &Drawing) -> String {
    let mut out = String::from("flowchart LR\n");
    if drawing.edges.len() > MOST_EDGES || drawing.nodes.len() > 2 * MOST_EDGES {
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
            .deed
            .map_or(String::new(), |deed| format!("{}<br>", deed.word()));
        let (kind, label) = (quoted(&node.kind), quoted(&node.label));
        let _ = writeln!(
            out,
            "  n{at}[\"{deed}{kind}<br>{label}\"]:::{}",
            class(node.deed)
        );
    }
    for (from, to, reason) in &drawing.edges {
        // The usual reason on every arrow would only cover the arrows.
        if reason.is_empty() || reason == Because::Needs.words() {
            let _ = writeln!(out, "  n{from} --> n{to}");
        } else {
            let _ = writeln!(out, "  n{from} -. \"{}\" .-> n{to}", quoted(reason));
        }
    }
    out.push_str(CLASSES);
    out
}

/// Text inside a quoted label, which is HTML to Mermaid, with its own entities.
fn quoted(text: &str) -> String {
    let mut out = String::new();
    for c in clean(text).chars() {
        match c {
            '"' | '#' | '<' | '>' | '&' | '`' | '\\' => {
                let _ = write!(out, "#{};", u32::from(c));
            }
            other => out.push(other),
        }
    }
    out
}
