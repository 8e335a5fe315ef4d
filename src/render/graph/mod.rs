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
    pub deed: Option<Deed>,
    /// What it is, such as `fly.machine`.
    pub kind: String,
    /// What is said of it and its like when they are drawn as one box: `5 at once`. Empty when nothing is.
    pub together: String,
}

/// What happens in a box: a resource changes, or a step is taken on the way to that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Deed {
    /// A resource changes.
    Change(Verb),
    /// New machines take over from old ones.
    HandOver,
    /// An old one goes, since its successor has taken over.
    Retire,
    /// It is shown that an app works.
    Prove,
}

impl Deed {
    /// What is written on the box.
    #[must_use]
    pub fn words(self) -> String {
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
            Self::Prove => "verify",
        }
    }
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
fn class(deed: Option<Deed>) -> &'static str {
    match deed {
        None => "same",
        Some(Deed::Change(Verb::Create | Verb::Run) | Deed::Prove) => "create",
        Some(Deed::Change(Verb::Replace | Verb::Destroy)) => "destroy",
        Some(Deed::Change(_) | Deed::HandOver | Deed::Retire) => "change",
    }
}
