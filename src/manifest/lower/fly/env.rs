//! Lowers environment variables: checks their names, and warns of values that look like secrets.

use std::collections::BTreeMap;

use super::scalars;
use crate::manifest::lower::Diagnostics;
use crate::manifest::{
    schema::EnvValue,
    syntax::{
        cursor::Cursor,
        secret_detection::{is_variable_name, looks_like_secret},
    },
};

/// Converts variables to strings and checks them.
pub(crate) fn lower_env(
    env: &BTreeMap<String, EnvValue>,
    cursor: Cursor<'_>,
    diagnostics: &mut Diagnostics,
) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    for (key, value) in env {
        let value = scalars::format_env_value(value);
        check_variable(key, &value, cursor.key(key), diagnostics);
        out.insert(key.clone(), value);
    }
    out
}

fn check_variable(key: &str, value: &str, cursor: Cursor<'_>, diagnostics: &mut Diagnostics) {
    if !is_variable_name(key) {
        let diagnostic = cursor.key_diagnostic(format!(
            "`{key}` cannot be the name of an environment variable"
        ));
        diagnostics
            .error(diagnostic.with_help("use letters, digits and underscores, and no digit first"));
    } else if key.starts_with("FLY_") {
        let diagnostic = cursor.key_diagnostic(format!("`{key}` is set by Fly itself"));
        diagnostics.warn(
            diagnostic.with_help("names that begin with `FLY_` are Fly's, and its values may win"),
        );
    }
    warn_if_secret(key, value, cursor, diagnostics);
}

/// Checks a variable in a document that goes to Fly verbatim.
pub(crate) fn check_verbatim_variable(
    key: &str,
    value: &str,
    cursor: Cursor<'_>,
    diagnostics: &mut Diagnostics,
) {
    if !is_variable_name(key) {
        // The API accepts any name, so this is not an error.
        diagnostics.warn(cursor.diagnostic(format!(
            "`{key}` is an unusual name for an environment variable"
        )));
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
