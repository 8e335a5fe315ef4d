//! What reading a secret gives, and how a source that cannot be read is reported.

use crate::manifest::{SecretsMode, lower::Diagnostics, syntax::node::Diagnostic};

/// What reading a secret gives.
pub(crate) enum SecretValue {
    /// Its value.
    Found(String),
    /// Its source is absent or empty.
    Missing,
    /// Its source cannot be read, which has been reported.
    Unreadable,
}

impl SecretValue {
    /// An empty value counts as missing, because CI sets secrets that nobody defined to the empty
    /// string.
    pub(crate) fn from_text(text: Option<String>) -> Self {
        match text.filter(|text| !text.is_empty()) {
            Some(text) => Self::Found(text),
            None => Self::Missing,
        }
    }
}

/// A source that cannot be read is an error only where values are needed: what only looks, and
/// `destroy`, must work without them.
pub(crate) fn report_unreadable(
    mode: SecretsMode,
    diagnostics: &mut Diagnostics,
    diagnostic: Diagnostic,
) {
    if mode == SecretsMode::Required {
        diagnostics.error(diagnostic);
    } else {
        diagnostics.warn(diagnostic);
    }
}
