//! Lowers environment variables: checks their names, and warns of values that look like secrets.

use std::collections::BTreeMap;

use super::scalars;
use crate::manifest::lower::Diagnostics;
use crate::manifest::{
    schema::EnvValue,
    syntax::{
        cursor::Cursor,
        node::SourceFiles,
        secret_detection::{is_variable_name, looks_like_secret},
    },
};

/// Converts variables to strings and checks them.
pub(crate) fn lower_env(
    env: &BTreeMap<String, EnvValue>,
    files: &SourceFiles,
    cursor: Cursor<'_>,
    diagnostics: &mut Diagnostics,
) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    for (key, value) in env {
        let value = scalars::format_env_value(value);
        check_variable(key, &value, cursor.key(key), diagnostics);
        warn_if_number_changes(key, &value, files, cursor.key(key), diagnostics);
        out.insert(key.clone(), value);
    }
    out
}

/// Warns of a number without quotes that arrives as another text than it was written: `3.10` as
/// `3.1`, `0o755` as `493`.
fn warn_if_number_changes(
    key: &str,
    value: &str,
    files: &SourceFiles,
    cursor: Cursor<'_>,
    diagnostics: &mut Diagnostics,
) {
    let Some(location) = cursor.location() else {
        return;
    };
    let written = files
        .get(location.file)
        .text
        .get(location.span.clone())
        .unwrap_or_default();
    let is_number =
        written.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.'));
    if is_number && written != value && !looks_like_secret(key, value) {
        let diagnostic = cursor.diagnostic(format!(
            "the variable `{key}` becomes `{value}`, not `{written}`"
        ));
        diagnostics.warn(diagnostic.with_help(format!("put it in quotes: \"{written}\"")));
    }
}

fn check_variable(key: &str, value: &str, cursor: Cursor<'_>, diagnostics: &mut Diagnostics) {
    if key.is_empty() || key.contains(['=', '\0']) {
        let diagnostic = cursor.key_diagnostic(format!(
            "`{key}` cannot be the name of an environment variable"
        ));
        diagnostics.error(diagnostic.with_help("a name is not empty, and has no `=`"));
    } else if !is_variable_name(key) {
        diagnostics.warn(
            cursor
                .key_diagnostic(unusual_name_message(key))
                .with_help(USUAL_NAME_HELP),
        );
    } else if key.starts_with("FLY_") {
        let diagnostic = cursor.key_diagnostic(format!("`{key}` is set by Fly itself"));
        diagnostics.warn(
            diagnostic.with_help("names that begin with `FLY_` are Fly's, and its values may win"),
        );
    }
    warn_if_secret(key, value, cursor, diagnostics);
}

/// The message about a name such as `discovery.type`. Fly accepts any name, and some programs need
/// such ones (Elasticsearch), but a shell can neither set nor read them.
fn unusual_name_message(key: &str) -> String {
    format!("`{key}` is an unusual name for a variable, which a shell cannot read")
}

const USUAL_NAME_HELP: &str = "names usually have letters, digits and underscores only";

/// Checks a variable in a document that goes to Fly verbatim.
pub(crate) fn check_verbatim_variable(
    key: &str,
    value: &str,
    cursor: Cursor<'_>,
    diagnostics: &mut Diagnostics,
) {
    if !is_variable_name(key) {
        diagnostics.warn(
            cursor
                .diagnostic(unusual_name_message(key))
                .with_help(USUAL_NAME_HELP),
        );
    }
    warn_if_secret(key, value, cursor, diagnostics);
}

fn warn_if_secret(key: &str, value: &str, cursor: Cursor<'_>, diagnostics: &mut Diagnostics) {
    if looks_like_secret(key, value) {
        let diagnostic = cursor.key_diagnostic(format!("`{key}` looks like a secret in the open"));
        diagnostics.warn(diagnostic.with_help(format!(
            "write it as a secret: {key} = {{ env = \"{key}\" }} under `secrets`"
        )));
    }
}
