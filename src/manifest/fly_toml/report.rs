//! Collects what is wrong, so that a user sees everything at once and in the order of the file.

use crate::manifest::node::{Place, Problem};

/// Everything found so far.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// What flyctl would refuse.
    pub(super) errors: Vec<Problem>,
    /// What flyctl takes without doing what was meant.
    pub(super) warnings: Vec<Problem>,
}

impl Report {
    /// Adds an error.
    pub(super) fn wrong(
        &mut self,
        at: &Place,
        message: impl Into<String>,
        label: impl Into<String>,
        help: Option<String>,
    ) {
        self.errors
            .push(problem(at, message.into(), label.into(), help));
    }

    /// Adds a warning.
    pub(super) fn odd(
        &mut self,
        at: &Place,
        message: impl Into<String>,
        label: impl Into<String>,
        help: Option<String>,
    ) {
        self.warnings
            .push(problem(at, message.into(), label.into(), help));
    }

    /// In the order of the file rather than of the stages.
    pub(super) fn sorted(mut self) -> Self {
        let start = |problem: &Problem| problem.at.as_ref().map(|at| at.span.start);
        self.errors.sort_by_key(start);
        self.warnings.sort_by_key(start);
        self
    }
}

fn problem(at: &Place, message: String, label: String, help: Option<String>) -> Problem {
    Problem {
        message,
        at: Some(at.clone()),
        label,
        help,
    }
}

/// A key and where it belongs, as messages name it: `port` in `services.ports`.
pub(super) fn within(key: &str, section: &str) -> String {
    if section.is_empty() {
        format!("`{key}`")
    } else {
        format!("`{key}` in `{section}`")
    }
}
