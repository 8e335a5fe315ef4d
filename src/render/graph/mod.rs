//! Pictures of a plan, or of a whole environment: boxes and arrows, without graphviz and without a browser.
//!
//! ```text
//! of.rs       plan, manifest → drawing
//! tidy.rs     drawing        → the same with fewer boxes and without arrows that follow from others
//! layout.rs   drawing        → layers, order, places
//! svg.rs, mermaid.rs, dot.rs
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

/// Boxes and arrows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diagram {
    /// The boxes.
    pub nodes: Vec<DiagramNode>,
    /// Arrows, by the places of their ends in `nodes`, each with its reason in words. An arrow whose end is not there
    /// is not drawn.
    pub edges: Vec<(usize, usize, String)>,
}

/// A box.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiagramNode {
    /// What it is called, such as `web/app/ewr/0`.
    pub label: String,
    /// More about it, in small print.
    pub detail: String,
    /// What happens to it, if anything does.
    pub action: Option<NodeAction>,
    /// What it is, such as `fly.machine`.
    pub kind: String,
    /// What is said of it and its like when they are drawn as one box: `5 at once`. Empty when nothing is.
    pub concurrency: String,
}

/// What happens in a box: a resource changes, or a step is taken on the way to that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NodeAction {
    /// A resource changes.
    Change(Verb),
    /// New machines take over from old ones.
    HandOver,
    /// An old one goes, since its successor has taken over.
    Retire,
    /// It is shown that an app works.
    Verify,
}

impl NodeAction {
    /// What is written on the box.
    #[must_use]
    pub fn label(self) -> String {
        match self {
            Self::Change(verb) => format!("{} {}", verb.symbol(), verb.word()),
            other => other.word().to_owned(),
        }
    }

    /// The same without a symbol.
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

/// The plan as SVG that fits light and dark pages.
#[must_use]
pub fn svg(plan: &Plan) -> String {
    Diagram::from_plan(plan).svg()
}

/// The plan as a Mermaid flowchart, which GitHub draws inside a comment.
#[must_use]
pub fn mermaid(plan: &Plan) -> String {
    Diagram::from_plan(plan).mermaid()
}

/// The plan in graphviz's language.
#[must_use]
pub fn dot(plan: &Plan) -> String {
    Diagram::from_plan(plan).dot()
}

/// Everything a manifest asks for, and what refers to what: the picture for when nothing changes.
#[must_use]
pub fn desired_diagram(desired: &Desired) -> Diagram {
    Diagram::from_desired(desired)
}

impl Diagram {
    /// The drawing as SVG.
    #[must_use]
    pub fn svg(&self) -> String {
        svg::render(&self.simplified())
    }

    /// The drawing as a Mermaid flowchart.
    #[must_use]
    pub fn mermaid(&self) -> String {
        mermaid::render(&self.simplified())
    }

    /// The drawing in graphviz's language.
    #[must_use]
    pub fn dot(&self) -> String {
        dot::render(&self.simplified())
    }
}

/// The three looks a change can have, and none.
fn css_class(deed: Option<NodeAction>) -> &'static str {
    match deed {
        None => "same",
        Some(NodeAction::Change(Verb::Create | Verb::Run) | NodeAction::Verify) => "create",
        Some(NodeAction::Change(Verb::Replace | Verb::Destroy)) => "destroy",
        Some(NodeAction::Change(_) | NodeAction::HandOver | NodeAction::Retire) => "change",
    }
}
