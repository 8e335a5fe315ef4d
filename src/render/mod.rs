//! Turns plans, apply events and reports into text for people and documents for programs. Pure: nothing here prints,
//! blocks or fails.
//!
//! ```text
//! text/              the terminal and CI logs
//! markdown/          a pull request comment that fits a size budget
//! json/              trimtab's own JSON documents, with a schema
//! tfjson/            the format of `terraform show -json`, for tools that read it
//! github.rs          GitHub Actions workflow commands, and escaping of untrusted text that looks like one
//! graph/             diagrams: SVG (without Graphviz), Mermaid, DOT
//!
//! change_groups.rs   changes → groups: the same change of many machines is shown once
//! rollout/           plan → stages per app: what happens in which order, and how much of it at once
//! attribute_rows.rs  diff lines → rows: one attribute each, its values short enough to show
//! value.rs           truncation that keeps differences visible; escaping of control characters
//! risk.rs            what deletes, opens or grants something, and so has to be seen first
//! findings.rs        the same differences as drift: what is wrong, and since when
//! wording.rs         counts, causes and consequences in words
//! theme.rs           the only module that knows colours
//! ```

use std::time::Duration;

pub mod annotations;
mod attribute_rows;
mod change_groups;
mod findings;
pub mod github;
pub mod graph;
pub mod json;
pub mod markdown;
mod risk;
mod rollout;
pub mod text;
pub mod tfjson;
mod theme;
mod value;
mod wording;

pub use theme::Theme;
pub use value::sanitize_output;

/// Formats a duration for people: `0.9 s`, `12 s`, `1m50s`.
#[must_use]
pub fn format_duration(duration: Duration) -> String {
    wording::format_duration(duration)
}

/// How text output is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextOptions {
    /// Whether to use ANSI colours. Colour never carries information alone.
    pub color: bool,
    /// The available width, in columns.
    pub width: usize,
}

impl TextOptions {
    /// For logs: no colours, and a width that CI log viewers show without wrapping.
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

/// What the first line of the output shows beyond the plan itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Headline {
    /// The command that was run: `plan`, `drift`, `apply` or `destroy`.
    pub command: &'static str,
    /// The name of the environment: the file stem of its manifest.
    pub environment: String,
    /// The project that the environment belongs to.
    pub project: String,
    /// The slug of the Fly organization.
    pub org: String,
    /// `sandbox` when the clouds are simulated; otherwise empty.
    pub target: String,
    /// The environment and its inputs as command-line arguments, for commands that the output suggests:
    /// `review --var pr=42`.
    pub target_args: String,
    /// The number of API requests that reading the live state took.
    pub requests: u64,
    /// How long reading took; not shown when unknown.
    pub elapsed: Option<Duration>,
}

impl Headline {
    /// Environment, project and organization: `staging · shop in shop-staging`.
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

    /// What reading the live state cost: `live read: 4 requests, 0.9 s`.
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
