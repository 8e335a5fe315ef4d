//! Graphviz's language, for those who have other plans with the picture.

use std::fmt::Write as _;

use super::{Drawing, class};
use crate::render::value::clean;

pub(super) fn dot(drawing: &Drawing) -> String {
    let mut out = String::from(
        "digraph trimtab {\n  rankdir=LR;\n  node [shape=box, style=rounded, fontname=\"monospace\"];\n  edge \
         [fontname=\"sans-serif\", fontsize=10];\n",
    );
    for (at, node) in drawing.nodes.iter().enumerate() {
        let deed = node
            .deed
            .map_or(String::new(), |deed| format!("{}\\n", deed.words()));
        let (kind, label) = (quoted(&node.kind), quoted(&node.label));
        let color = color(class(node.deed));
        let _ = writeln!(
            out,
            "  n{at} [label=\"{deed}{kind}\\n{label}\", color=\"{color}\"];"
        );
    }
    for (from, to, reason) in &drawing.edges {
        let _ = writeln!(out, "  n{from} -> n{to} [label=\"{}\"];", quoted(reason));
    }
    out.push_str("}\n");
    out
}

fn color(class: &str) -> &'static str {
    match class {
        "create" => "#2da44e",
        "change" => "#bf8700",
        "destroy" => "#cf222e",
        _ => "#8c959f",
    }
}

fn quoted(text: &str) -> String {
    clean(text).replace('\\', "\\\\").replace('"', "\\\"")
}
