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

mod dot;
mod layout;
mod mermaid;
mod of;
mod svg;
mod tidy;

/// Boxes and arrows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Drawing {
    /// The boxes.
    pub nodes: Vec<Node>,
    /// Arrows, by the places of their ends in `nodes`, each with its reason in words. An arrow whose end is not there
    /// is not drawn.
    pub edges: Vec<(usize, usize, String)>,
}

/// A box.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// What it is called, such as `web/app/ewr/0`.
    pub label: String,
    /// More about it, in small print.
    pub sub: String,
    /// What happens to it, if anything does.
    pub verb: Option<Verb>,
    /// What it is, such as `fly.machine`.
    pub kind: String,
}

/// The plan as SVG that fits light and dark pages.
#[must_use]
pub fn svg(plan: &Plan) -> String {
    Drawing::of(plan).svg()
}

/// The plan as a Mermaid flowchart, which GitHub draws inside a comment.
#[must_use]
pub fn mermaid(plan: &Plan) -> String {
    Drawing::of(plan).mermaid()
}

/// The plan in graphviz's language.
#[must_use]
pub fn dot(plan: &Plan) -> String {
    Drawing::of(plan).dot()
}

/// Everything a manifest asks for, and what refers to what: the picture for when nothing changes.
#[must_use]
pub fn inventory(desired: &Desired) -> Drawing {
    Drawing::of_desired(desired)
}

impl Drawing {
    /// The drawing as SVG.
    #[must_use]
    pub fn svg(&self) -> String {
        svg::svg(&self.tidied())
    }

    /// The drawing as a Mermaid flowchart.
    #[must_use]
    pub fn mermaid(&self) -> String {
        mermaid::mermaid(&self.tidied())
    }

    /// The drawing in graphviz's language.
    #[must_use]
    pub fn dot(&self) -> String {
        dot::dot(&self.tidied())
    }
}

/// The three looks a change can have, and none.
fn class(verb: Option<Verb>) -> &'static str {
    match verb {
        None => "same",
        Some(Verb::Create | Verb::Run) => "create",
        Some(Verb::Update | Verb::Restart | Verb::Succeed) => "change",
        Some(Verb::Replace | Verb::Destroy) => "destroy",
    }
}
