//! fly.toml in any spelling to the manifest's words. Here: as it stands.

use super::node::{Node, Problem};

/// Turns a fly.toml into the canonical spelling: the document, what is wrong, what has no effect.
#[must_use]
pub fn modernise(node: Node) -> (Node, Vec<Problem>, Vec<Problem>) {
    (node, Vec::new(), Vec::new())
}
