//! Values to text: plans, events and reports as people and programs read them. Nothing here prints, waits or fails.
//!
//! ```text
//! text/      the terminal and CI logs
//! markdown/  a comment on a pull request, within a budget
//! json.rs    our own documents, with a schema
//! tfjson/    what `terraform show -json` writes, for the tools that read it
//! github.rs  what GitHub Actions obeys in a log, and how text from outside is kept from being obeyed
//! graph/     pictures: SVG without graphviz, Mermaid, DOT
//!
//! fleet/     what runs, as a value: for `status`, and for what runs which version
//! entry.rs   changes → entries: what is the same for many machines is said once
//! rollout.rs plan    → courses: what happens in which order, and how much of it at once
//! detail.rs  lines   → rows: one attribute each, its values fit to be shown
//! value.rs   values  → text that cannot run away, hide a difference, or reach the terminal's controls
//! words.rs   counts, causes and consequences in words
//! style.rs   the one place that knows colours
//! ```

use std::time::Duration;

mod attribute_rows;
mod change_groups;
pub mod github;
pub mod graph;
pub mod json;
pub mod markdown;
mod rollout;
pub mod text;
pub mod tfjson;
mod theme;
mod value;
mod wording;

pub use theme::Theme;
pub use value::sanitize_output;

/// A duration as people say it: `0.9 s`, `12 s`, `1m50s`.
#[must_use]
pub fn format_duration(duration: Duration) -> String {
    wording::format_duration(duration)
}

/// How text is to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextOptions {
    /// Whether colours are wanted. Nothing is said by colour alone.
    pub color: bool,
    /// The width of the terminal, in columns.
    pub width: usize,
}

impl TextOptions {
    /// No terminal: no colours, and lines as long as CI logs show them well.
    pub const LOG: Self = Self {
        color: false,
        width: 120,
    };

    fn theme(self) -> Theme {
        if self.color {
            Theme::colored()
        } else {
            Theme::plain()
        }
    }
}

/// Facts for the headline that a plan itself does not know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Headline {
    /// The command that was run: `plan`, `drift`, `apply` or `destroy`.
    pub command: &'static str,
    /// The environment, which is the stem of its file.
    pub environment: String,
    /// The project it belongs to.
    pub project: String,
    /// The organization on Fly.
    pub org: String,
    /// Empty, or `sandbox`.
    pub target: String,
    /// The environment and its inputs as they are typed again: `review --var pr=42`.
    pub target_args: String,
    /// How many requests reading the world took.
    pub requests: u64,
    /// How long reading took; left out when unknown.
    pub elapsed: Option<Duration>,
}

impl Headline {
    /// The environment, the project and where it is: `staging · shop in shop-staging`.
    fn location(&self) -> String {
        let mut parts = vec![value::sanitize(&self.environment)];
        parts.push(format!(
            "{} in {}",
            value::sanitize(&self.project),
            value::sanitize(&self.org)
        ));
        parts.extend(Some(value::sanitize(&self.target)).filter(|target| !target.is_empty()));
        parts.join(" · ")
    }

    /// What the look at the world cost: `live read: 4 requests, 0.9 s`.
    fn read_cost(&self) -> String {
        let requests = wording::format_count(self.requests, "request");
        match self.elapsed {
            Some(elapsed) => format!(
                "live read: {requests}, {}",
                wording::format_duration(elapsed)
            ),
            None => format!("live read: {requests}"),
        }
    }
}
