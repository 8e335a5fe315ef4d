//! What a manifest sets for an app that has an identity, and that AWS's SDKs look at before the identity's role, or in its
//! place.

use std::collections::BTreeMap;

use crate::{
    kinds::aws::role::CredentialOverride,
    manifest::{
        lower::{Diagnostics, fly::scalars},
        schema::{AppSection, EnvValue},
        syntax::cursor::Cursor,
    },
};

/// An identity, by key, and the region that the app's machines get with it.
#[derive(Clone, Copy)]
pub(super) struct AppIdentity<'a> {
    pub(super) key: &'a str,
    pub(super) region: &'a str,
}

/// Warns of it, each where it stands.
pub(super) fn warn_credential_overrides(
    app: &AppSection,
    at: Cursor<'_>,
    given: AppIdentity<'_>,
    sink: &mut Diagnostics,
) {
    check_env(&app.env, at.key("env"), given, sink);
    for (key, cron) in &app.cron {
        check_env(&cron.env, at.key("cron").key(key).key("env"), given, sink);
    }
    for name in app.secrets.keys() {
        if let Some(shadow) = CredentialOverride::from_variable_name(name) {
            warn_override(name, shadow, at.key("secrets").key(name), given, sink);
        }
    }
}

fn check_env(
    env: &BTreeMap<String, EnvValue>,
    at: Cursor<'_>,
    given: AppIdentity<'_>,
    sink: &mut Diagnostics,
) {
    for (name, value) in env {
        let shadow = CredentialOverride::from_variable_name(name)
            .filter(|shadow| !shadow.is_harmless(&scalars::format_env_value(value), given.region));
        if let Some(shadow) = shadow {
            warn_override(name, shadow, at.key(name), given, sink);
        }
    }
}

fn warn_override(
    name: &str,
    shadow: CredentialOverride,
    spot: Cursor<'_>,
    given: AppIdentity<'_>,
    sink: &mut Diagnostics,
) {
    let problem = spot.key_diagnostic(format!("`{name}` hides the identity `{}`", given.key));
    let why = shadow.explain();
    sink.warn(problem.with_help(format!(
        "{why}: leave it out, or say `env = false` for the identity"
    )));
}
