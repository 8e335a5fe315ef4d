//! Collects errors and warnings, so that a user sees all of them at once and in the order of the
//! file.

use crate::manifest::syntax::node::{Diagnostic, SourceLocation};

/// The errors and warnings found so far.
#[derive(Debug, Default)]
pub(super) struct FlyTomlDiagnostics {
    /// What flyctl would refuse.
    pub(super) errors: Vec<Diagnostic>,
    /// What flyctl accepts but does not do as intended.
    pub(super) warnings: Vec<Diagnostic>,
}

impl FlyTomlDiagnostics {
    /// Adds an error.
    pub(super) fn error(
        &mut self,
        location: &SourceLocation,
        message: impl Into<String>,
        label: impl Into<String>,
        help: Option<String>,
    ) {
        self.errors
            .push(diagnostic(location, message.into(), label.into(), help));
    }

    /// Adds a warning.
    pub(super) fn warn(
        &mut self,
        location: &SourceLocation,
        message: impl Into<String>,
        label: impl Into<String>,
        help: Option<String>,
    ) {
        self.warnings
            .push(diagnostic(location, message.into(), label.into(), help));
    }

    /// Sorts by position in the file instead of by validation stage.
    pub(super) fn sorted(mut self) -> Self {
        let start = |diagnostic: &Diagnostic| {
            diagnostic
                .location
                .as_ref()
                .map(|location| location.span.start)
        };
        self.errors.sort_by_key(start);
        self.warnings.sort_by_key(start);
        self
    }
}

fn diagnostic(
    location: &SourceLocation,
    message: String,
    label: String,
    help: Option<String>,
) -> Diagnostic {
    Diagnostic {
        message,
        location: Some(location.clone()),
        label,
        help,
    }
}

/// A key and its section, as messages name them: `port` in `services.ports`.
pub(super) fn qualified_key(key: &str, section: &str) -> String {
    if section.is_empty() {
        format!("`{key}`")
    } else {
        format!("`{key}` in `{section}`")
    }
}
