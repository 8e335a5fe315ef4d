//! Warns of variables and secrets of an app that AWS's SDKs prefer to the role of the app's
//! identity.

use std::collections::BTreeMap;

use crate::{
    kinds::aws::role::CredentialOverride,
    manifest::{
        lower::{Diagnostics, fly::scalars},
        schema::{AppSection, EnvValue},
        syntax::cursor::Cursor,
    },
};

/// The identity of an app, by key, and the region that the app's machines get with it.
#[derive(Clone, Copy)]
pub(super) struct AppIdentity<'a> {
    pub(super) key: &'a str,
    pub(super) region: &'a str,
}

/// Warns of every variable and secret that overrides the identity, where it is set.
pub(super) fn warn_credential_overrides(
    app: &AppSection,
    cursor: Cursor<'_>,
    identity: AppIdentity<'_>,
    diagnostics: &mut Diagnostics,
) {
    check_env(&app.env, cursor.key("env"), identity, diagnostics);
    for (key, cron) in &app.cron {
        check_env(
            &cron.env,
            cursor.key("cron").key(key).key("env"),
            identity,
            diagnostics,
        );
    }
    for name in app.secrets.keys() {
        if let Some(shadow) = CredentialOverride::from_variable_name(name) {
            warn_override(
                name,
                shadow,
                cursor.key("secrets").key(name),
                identity,
                diagnostics,
            );
        }
    }
}

fn check_env(
    env: &BTreeMap<String, EnvValue>,
    cursor: Cursor<'_>,
    identity: AppIdentity<'_>,
    diagnostics: &mut Diagnostics,
) {
    for (name, value) in env {
        let shadow = CredentialOverride::from_variable_name(name).filter(|shadow| {
            !shadow.is_harmless(&scalars::format_env_value(value), identity.region)
        });
        if let Some(shadow) = shadow {
            warn_override(name, shadow, cursor.key(name), identity, diagnostics);
        }
    }
}

fn warn_override(
    name: &str,
    shadow: CredentialOverride,
    field: Cursor<'_>,
    identity: AppIdentity<'_>,
    diagnostics: &mut Diagnostics,
) {
    let diagnostic =
        field.key_diagnostic(format!("`{name}` hides the identity `{}`", identity.key));
    let reason = shadow.explain();
    diagnostics.warn(diagnostic.with_help(format!(
        "{reason}: leave it out, or set `env = false` for the identity"
    )));
}
