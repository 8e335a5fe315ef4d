//! Collects what is wrong, so that a user sees everything at once and in the order of the file.

use crate::manifest::syntax::node::{Diagnostic, SourceLocation};

/// Everything found so far.
#[derive(Debug, Default)]
pub(super) struct FlyTomlDiagnostics {
    /// What flyctl would refuse.
    pub(super) errors: Vec<Diagnostic>,
    /// What flyctl takes without doing what was meant.
    pub(super) warnings: Vec<Diagnostic>,
}

impl FlyTomlDiagnostics {
    /// Adds an error.
    pub(super) fn error(
        &mut self,
        at: &SourceLocation,
        message: impl Into<String>,
        label: impl Into<String>,
        help: Option<String>,
    ) {
        self.errors
            .push(diagnostic(at, message.into(), label.into(), help));
    }

    /// Adds a warning.
    pub(super) fn warn(
        &mut self,
        at: &SourceLocation,
        message: impl Into<String>,
        label: impl Into<String>,
        help: Option<String>,
    ) {
        self.warnings
            .push(diagnostic(at, message.into(), label.into(), help));
    }

    /// In the order of the file rather than of the stages.
    pub(super) fn sorted(mut self) -> Self {
        let start = |problem: &Diagnostic| problem.location.as_ref().map(|at| at.span.start);
        self.errors.sort_by_key(start);
        self.warnings.sort_by_key(start);
        self
    }
}

fn diagnostic(
    at: &SourceLocation,
    message: String,
    label: String,
    help: Option<String>,
) -> Diagnostic {
    Diagnostic {
        message,
        location: Some(at.clone()),
        label,
        help,
    }
}

/// A key and where it belongs, as messages name it: `port` in `services.ports`.
pub(super) fn qualified_key(key: &str, section: &str) -> String {
    if section.is_empty() {
        format!("`{key}`")
    } else {
        format!("`{key}` in `{section}`")
    }
}
