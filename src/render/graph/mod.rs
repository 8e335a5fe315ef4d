//! Diagrams of a plan or of a whole environment. They are laid out here, so SVG output needs no Graphviz and no browser.
//!
//! ```text
//! build.rs                    plan or desired state → diagram
//! simplify.rs                 merges similar nodes, removes redundant edges
//! layout.rs                   diagram → layers, order and coordinates (for SVG)
//! svg.rs, mermaid.rs, dot.rs  the output formats
//! ```

use crate::{
    kinds::Desired,
    plan::{Plan, Verb},
};

mod build;
mod dot;
mod layout;
mod mermaid;
mod simplify;
mod svg;

/// A directed graph of resources and steps, to be drawn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diagram {
    /// The nodes, which edges refer to by index.
    pub nodes: Vec<DiagramNode>,
    /// Edges as (from, to, reason), where `from` comes before `to`. An edge with an index out of range is not drawn.
    pub edges: Vec<(usize, usize, String)>,
}

/// A node, drawn as a box.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiagramNode {
    /// The name of the resource, such as `web/app/ewr/0`.
    pub label: String,
    /// A short description, shown as a tooltip; may be empty.
    pub detail: String,
    /// What happens to the resource; `None` if it does not change.
    pub action: Option<NodeAction>,
    /// The kind of the resource, such as `fly.machine`.
    pub kind: String,
    /// How many similar nodes change at the same time, such as `5 at once`, for when they are merged; may be empty.
    pub concurrency: String,
}

/// What a node stands for: the change of a resource, or an intermediate step of a rollout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NodeAction {
    /// The change of a resource.
    Change(Verb),
    /// Successors take over from the machines that they replace.
    HandOver,
    /// A superseded machine is removed.
    Retire,
    /// An app is verified to work.
    Verify,
}

impl NodeAction {
    /// The text in the box: symbol and word.
    #[must_use]
    pub fn label(self) -> String {
        match self {
            Self::Change(verb) => format!("{} {}", verb.symbol(), verb.word()),
            other => other.word().to_owned(),
        }
    }

    /// The word alone.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Change(verb) => verb.word(),
            Self::HandOver => "hand over",
            Self::Retire => "retire",
            Self::Verify => "verify",
        }
    }
}

/// Renders a plan as SVG that adapts to light and dark mode.
#[must_use]
pub fn svg(plan: &Plan) -> String {
    Diagram::from_plan(plan).svg()
}

/// Renders a plan as a Mermaid flowchart, which GitHub draws in comments.
#[must_use]
pub fn mermaid(plan: &Plan) -> String {
    Diagram::from_plan(plan).mermaid()
}

/// Renders a plan in Graphviz's DOT language.
#[must_use]
pub fn dot(plan: &Plan) -> String {
    Diagram::from_plan(plan).dot()
}

/// The diagram of all desired resources and their references, for when nothing changes.
#[must_use]
pub fn desired_diagram(desired: &Desired) -> Diagram {
    Diagram::from_desired(desired)
}

impl Diagram {
    /// Renders the diagram as SVG.
    #[must_use]
    pub fn svg(&self) -> String {
        svg::render(&self.simplified())
    }

    /// Renders the diagram as a Mermaid flowchart.
    #[must_use]
    pub fn mermaid(&self) -> String {
        mermaid::render(&self.simplified())
    }

    /// Renders the diagram in Graphviz's DOT language.
    #[must_use]
    pub fn dot(&self) -> String {
        dot::render(&self.simplified())
    }
}

/// The style class of a node, by what happens to it.
fn css_class(action: Option<NodeAction>) -> &'static str {
    match action {
        None => "same",
        Some(NodeAction::Change(Verb::Create | Verb::Run) | NodeAction::Verify) => "create",
        Some(NodeAction::Change(Verb::Replace | Verb::Destroy)) => "destroy",
        Some(NodeAction::Change(_) | NodeAction::HandOver | NodeAction::Retire) => "change",
    }
}
