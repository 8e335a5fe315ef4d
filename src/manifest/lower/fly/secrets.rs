//! Lowers secrets: reads each value from its source.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    app::AppContext, secret_origin::SecretOrigin, secret_sources::SecretReader,
    secret_value::SecretValue,
};
use crate::manifest::lower::{Diagnostics, Lowered};
use crate::{
    kinds::{
        Desired,
        fly::{
            Secrets,
            secrets::{SecretGenerator, SecretSpec, SecretsSpec},
        },
    },
    manifest::{
        SecretsMode,
        syntax::{cursor::Cursor, secret_detection},
    },
    model::{Salt, Secret},
};

/// Adds the secrets of an app.
pub(crate) fn lower_secrets(
    app: &AppContext<'_>,
    lowered: &mut Lowered,
    secret_reader: &mut SecretReader<'_>,
    diagnostics: &mut Diagnostics,
) {
    if !app.has_secrets() {
        return;
    }
    let mark = &lowered.desired.meta.mark;
    let salt = Salt::for_app(&mark.project, &mark.environment, app.key);
    let (mut values, mut optional_without_value) = (BTreeMap::new(), BTreeSet::new());
    values.extend(app.generated_secrets());
    for (name, source) in &app.app.secrets {
        let cursor = app.cursor.key("secrets").key(name);
        check_secret_name(app, name, cursor, diagnostics);
        let Some(origin) =
            SecretOrigin::from_source(app.context, name, source, cursor, diagnostics)
        else {
            continue;
        };
        if let SecretOrigin::Generate(length) = &origin {
            let generator = SecretGenerator::Random(*length);
            values.insert(name.clone(), generated_secret(generator, origin.describe()));
            continue;
        }
        let mode = app.context.inputs.secrets_mode;
        let value = if mode == SecretsMode::Unchecked {
            SecretValue::Missing
        } else {
            origin.read_value(secret_reader, cursor, diagnostics)
        };
        let (value, is_missing) = match value {
            SecretValue::Found(value) => (Some(value), false),
            SecretValue::Missing => (None, true),
            SecretValue::Unreadable => (None, false),
        };
        let optional = source.optional.unwrap_or_default();
        if value.is_none() && optional {
            optional_without_value.insert(name.clone());
            continue;
        }
        if is_missing && mode == SecretsMode::Required {
            diagnostics.error(
                cursor
                    .diagnostic(format!("secret `{name}` has no value"))
                    .with_label(origin.missing_value_label())
                    .with_help(origin.missing_value_help(secret_reader.missing_dotenv())),
            );
        }
        let value = value.map(Secret::new);
        let spec = SecretSpec {
            fingerprint: value.as_ref().map(|value| value.fingerprint(name, &salt)),
            value,
            generator: None,
            optional,
            source: origin.describe(),
        };
        values.insert(name.clone(), spec);
    }
    app.record_location::<Secrets>(&app.name, app.cursor.key("secrets"), lowered);
    // `mark_secrets_with_machines` sets `has_machines` once all machines are lowered.
    let spec = SecretsSpec {
        app: app.app_ref(),
        values,
        optional_without_value,
        salt,
        has_machines: false,
    };
    lowered.desired.fly_secrets.insert(app.name.clone(), spec);
}

/// A secret whose value is made when it is set.
pub(crate) fn generated_secret(generator: SecretGenerator, source: String) -> SecretSpec {
    SecretSpec {
        value: None,
        fingerprint: None,
        generator: Some(generator),
        optional: false,
        source,
    }
}

fn check_secret_name(
    app: &AppContext<'_>,
    name: &str,
    cursor: Cursor<'_>,
    diagnostics: &mut Diagnostics,
) {
    if !secret_detection::is_variable_name(name) {
        let diagnostic = cursor.diagnostic(format!("`{name}` cannot be the name of a secret"));
        diagnostics
            .error(diagnostic.with_help("use letters, digits and underscores, and no digit first"));
    } else if name.starts_with("FLY_") {
        diagnostics.error(
            cursor
                .diagnostic(format!("`{name}` is set by Fly itself"))
                .with_help("names that begin with `FLY_` are Fly's"),
        );
    }
    if app.app.env.contains_key(name) {
        let diagnostic =
            cursor.diagnostic(format!("`{name}` is a secret and an environment variable"));
        diagnostics
            .error(diagnostic.with_help("leave it out of `env`: the secret would win over it"));
    }
}

/// Marks the secrets of apps that have a machine, because the fingerprints are stored on machines.
pub(crate) fn mark_secrets_with_machines(desired: &mut Desired) {
    let machines = desired.fly_machine.keys().chain(desired.fly_cron.keys());
    let apps_with_machines: BTreeSet<_> = machines.map(crate::model::Name::root).collect();
    for (name, spec) in desired.fly_secrets.iter_mut() {
        spec.has_machines = apps_with_machines.contains(name);
    }
}
