//! Graphviz's DOT language, for further processing.

use std::fmt::Write as _;

use super::{Diagram, css_class};
use crate::render::value::sanitize;

/// Renders a diagram as DOT. Graphviz does the layout.
pub(super) fn render(diagram: &Diagram) -> String {
    let mut dot = String::from(
        "digraph trimtab {\n  rankdir=LR;\n  node [shape=box, style=rounded, fontname=\"monospace\"];\n  edge \
         [fontname=\"sans-serif\", fontsize=10];\n",
    );
    for (index, node) in diagram.nodes.iter().enumerate() {
        let action = node
            .action
            .map_or(String::new(), |action| format!("{}\\n", action.label()));
        let (kind, label) = (escape_label(&node.kind), escape_label(&node.label));
        let color = class_color(css_class(node.action));
        let _ = writeln!(
            dot,
            "  n{index} [label=\"{action}{kind}\\n{label}\", color=\"{color}\"];"
        );
    }
    for (from, to, reason) in &diagram.edges {
        let _ = writeln!(
            dot,
            "  n{from} -> n{to} [label=\"{}\"];",
            escape_label(reason)
        );
    }
    dot.push_str("}\n");
    dot
}

fn class_color(class: &str) -> &'static str {
    match class {
        "create" => "#2da44e",
        "change" => "#bf8700",
        "destroy" => "#cf222e",
        _ => "#8c959f",
    }
}

fn escape_label(text: &str) -> String {
    sanitize(text).replace('\\', "\\\\").replace('"', "\\\"")
}
