//! Environment variables: their form, and values that should not be there.

use std::collections::BTreeMap;

use super::{Sink, scalars};
use crate::manifest::{
    sensitive::{is_key, looks_secret},
    shape::Scalar,
    spot::Spot,
};

/// Variables as text, checked.
pub(super) fn variables(
    env: &BTreeMap<String, Scalar>,
    at: Spot<'_>,
    sink: &mut Sink,
) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    for (key, value) in env {
        let value = scalars::text(value);
        check(key, &value, at.key(key), sink);
        out.insert(key.clone(), value);
    }
    out
}

fn check(key: &str, value: &str, at: Spot<'_>, sink: &mut Sink) {
    if !is_key(key) {
        let problem = at.key_problem(format!(
            "`{key}` cannot be the name of an environment variable"
        ));
        sink.error(problem.help("use letters, digits and underscores, and no digit first"));
    } else if key.starts_with("FLY_") {
        let problem = at.key_problem(format!("`{key}` is set by Fly itself"));
        sink.warn(problem.help("names that begin with `FLY_` are Fly's, and its values may win"));
    }
    secret(key, value, at, sink);
}

/// A variable that stands within a document of another language.
pub(super) fn check_within(key: &str, value: &str, at: Spot<'_>, sink: &mut Sink) {
    if !is_key(key) {
        // The API takes any name, so this is no reason to refuse the document.
        sink.warn(at.problem(format!(
            "`{key}` is an odd name for an environment variable"
        )));
    }
    secret(key, value, at, sink);
}

fn secret(key: &str, value: &str, at: Spot<'_>, sink: &mut Sink) {
    if looks_secret(key, value) {
        let problem = at.key_problem(format!("`{key}` looks like a secret in the open"));
        sink.warn(problem.help(format!(
            "write it as a secret: {key} = {{ env = \"{key}\" }} under `secrets`"
        )));
    }
}
