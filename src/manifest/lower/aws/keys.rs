//! What a manifest sets for an app that has an identity, and that AWS's SDKs look at before the identity's role, or in its
//! place.

use std::collections::BTreeMap;

use crate::{
    kinds::aws::role::Shadow,
    manifest::{
        lower::{Sink, scalars},
        shape::{App, Scalar},
        spot::Spot,
    },
};

/// An identity, by key, and the region that the app's machines get with it.
#[derive(Clone, Copy)]
pub(super) struct Given<'a> {
    pub(super) key: &'a str,
    pub(super) region: &'a str,
}

/// Warns of it, each where it stands.
pub(super) fn shadowed(app: &App, at: Spot<'_>, given: Given<'_>, sink: &mut Sink) {
    variables(&app.env, at.key("env"), given, sink);
    for (key, cron) in &app.cron {
        variables(&cron.env, at.key("cron").key(key).key("env"), given, sink);
    }
    for name in app.secrets.keys() {
        if let Some(shadow) = Shadow::of(name) {
            warn(name, shadow, at.key("secrets").key(name), given, sink);
        }
    }
}

fn variables(env: &BTreeMap<String, Scalar>, at: Spot<'_>, given: Given<'_>, sink: &mut Sink) {
    for (name, value) in env {
        let shadow = Shadow::of(name)
            .filter(|shadow| !shadow.is_harmless(&scalars::text(value), given.region));
        if let Some(shadow) = shadow {
            warn(name, shadow, at.key(name), given, sink);
        }
    }
}

fn warn(name: &str, shadow: Shadow, spot: Spot<'_>, given: Given<'_>, sink: &mut Sink) {
    let problem = spot.key_problem(format!("`{name}` hides the identity `{}`", given.key));
    let why = shadow.why();
    sink.warn(problem.help(format!(
        "{why}: leave it out, or say `env = false` for the identity"
    )));
}
