//! Graphviz's language, for those who have other plans with the picture.

use std::fmt::Write as _;

use super::{Diagram, css_class};
use crate::render::value::sanitize;

pub(super) fn render(drawing: &Diagram) -> String {
    let mut out = String::from(
        "digraph trimtab {\n  rankdir=LR;\n  node [shape=box, style=rounded, fontname=\"monospace\"];\n  edge \
         [fontname=\"sans-serif\", fontsize=10];\n",
    );
    for (at, node) in drawing.nodes.iter().enumerate() {
        let deed = node
            .action
            .map_or(String::new(), |deed| format!("{}\\n", deed.label()));
        let (kind, label) = (escape_label(&node.kind), escape_label(&node.label));
        let color = class_color(css_class(node.action));
        let _ = writeln!(
            out,
            "  n{at} [label=\"{deed}{kind}\\n{label}\", color=\"{color}\"];"
        );
    }
    for (from, to, reason) in &drawing.edges {
        let _ = writeln!(
            out,
            "  n{from} -> n{to} [label=\"{}\"];",
            escape_label(reason)
        );
    }
    out.push_str("}\n");
    out
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
