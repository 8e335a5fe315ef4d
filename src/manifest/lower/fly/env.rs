//! Environment variables: their form, and values that should not be there.

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

/// Variables as text, checked.
pub(crate) fn lower_env(
    env: &BTreeMap<String, EnvValue>,
    at: Cursor<'_>,
    sink: &mut Diagnostics,
) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    for (key, value) in env {
        let value = scalars::format_env_value(value);
        check_variable(key, &value, at.key(key), sink);
        out.insert(key.clone(), value);
    }
    out
}

fn check_variable(key: &str, value: &str, at: Cursor<'_>, sink: &mut Diagnostics) {
    if !is_variable_name(key) {
        let problem = at.key_diagnostic(format!(
            "`{key}` cannot be the name of an environment variable"
        ));
        sink.error(problem.with_help("use letters, digits and underscores, and no digit first"));
    } else if key.starts_with("FLY_") {
        let problem = at.key_diagnostic(format!("`{key}` is set by Fly itself"));
        sink.warn(
            problem.with_help("names that begin with `FLY_` are Fly's, and its values may win"),
        );
    }
    warn_if_secret(key, value, at, sink);
}

/// A variable that stands within a document of another language.
pub(crate) fn check_verbatim_variable(
    key: &str,
    value: &str,
    at: Cursor<'_>,
    sink: &mut Diagnostics,
) {
    if !is_variable_name(key) {
        // The API takes any name, so this is no reason to refuse the document.
        sink.warn(at.diagnostic(format!(
            "`{key}` is an odd name for an environment variable"
        )));
    }
    warn_if_secret(key, value, at, sink);
}

fn warn_if_secret(key: &str, value: &str, at: Cursor<'_>, sink: &mut Diagnostics) {
    if looks_like_secret(key, value) {
        let problem = at.key_diagnostic(format!("`{key}` looks like a secret in the open"));
        sink.warn(problem.with_help(format!(
            "write it as a secret: {key} = {{ env = \"{key}\" }} under `secrets`"
        )));
    }
}
