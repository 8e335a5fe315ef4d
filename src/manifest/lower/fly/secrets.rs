//! Lowers secrets: reads each value from its source.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use super::{app::AppContext, secret_sources::SecretReader, secret_value::SecretValue};
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
        reader::resolve_relative_path,
        schema::SecretSource,
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
        let Some(origin) = SecretOrigin::from_source(app, name, source, cursor, diagnostics) else {
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

/// The one source of a secret.
enum SecretOrigin {
    Env(String),
    File(std::path::PathBuf),
    Dotenv(std::path::PathBuf, String),
    Generate(u32),
}

impl SecretOrigin {
    fn from_source(
        app: &AppContext<'_>,
        name: &str,
        source: &SecretSource,
        cursor: Cursor<'_>,
        diagnostics: &mut Diagnostics,
    ) -> Option<Self> {
        let SecretSource {
            env: variable,
            file,
            dotenv,
            key,
            generate,
            optional,
        } = source;
        if generate.is_some() && *optional == Some(true) {
            let field = cursor.key("optional");
            let diagnostic = field.diagnostic("a generated secret always has a value");
            diagnostics.error(diagnostic.with_help("leave `optional` out"));
        }
        if key.is_some() && dotenv.is_none() {
            diagnostics.error(
                cursor
                    .key("key")
                    .diagnostic("`key` is for a dotenv file")
                    .with_help("set `dotenv = \".env\"`, or leave it out"),
            );
        }
        // A path is relative to the file that states it.
        let resolve = |key: &str, path: &str| {
            let location = cursor.key(key).value_location()?;
            Some(resolve_relative_path(
                &app.context.files.get(location.file).path,
                path,
            ))
        };
        match (variable, file, dotenv, generate) {
            (None, None, None, Some(length)) => Some(Self::Generate(*length)),
            (Some(variable), None, None, None) if secret_detection::is_variable_name(variable) => {
                Some(Self::Env(variable.clone()))
            }
            (Some(variable), None, None, None) => {
                // The text is not repeated: it may be the secret itself, written in the wrong
                // place.
                let diagnostic = cursor
                    .key("env")
                    .diagnostic("this is not the name of an environment variable");
                let help = format!(
                    "name the variable that holds the value (found {} characters)",
                    variable.len()
                );
                diagnostics.error(diagnostic.with_help(help));
                None
            }
            (None, Some(file), None, None) => Some(Self::File(resolve("file", file)?)),
            (None, None, Some(dotenv), None) => Some(Self::Dotenv(
                resolve("dotenv", dotenv)?,
                key.clone().unwrap_or_else(|| name.to_owned()),
            )),
            (None, None, None, None) => {
                let diagnostic = cursor.diagnostic(format!("secret `{name}` has no source"));
                diagnostics.error(diagnostic.with_help(format!(
                    "set {name} = {{ env = \"{name}\" }}, or `file`, `dotenv` or `generate`"
                )));
                None
            }
            _ => {
                diagnostics.error(
                    cursor
                        .diagnostic(format!("secret `{name}` has several sources"))
                        .with_help("set one of `env`, `file`, `dotenv` and `generate`"),
                );
                None
            }
        }
    }

    fn read_value(
        &self,
        secret_reader: &mut SecretReader<'_>,
        cursor: Cursor<'_>,
        diagnostics: &mut Diagnostics,
    ) -> SecretValue {
        match self {
            Self::Env(variable) => secret_reader.read_variable(variable, cursor, diagnostics),
            Self::File(path) => secret_reader.read_file(path, cursor, diagnostics),
            Self::Dotenv(path, key) => {
                secret_reader.read_dotenv_value(path, key, cursor, diagnostics)
            }
            Self::Generate(_) => SecretValue::Missing,
        }
    }

    /// The source, as the plan shows it.
    fn describe(&self) -> String {
        match self {
            Self::Env(variable) => format!("env {variable}"),
            Self::File(path) => format!("file {}", path.display()),
            Self::Dotenv(path, key) => format!("{key} in {}", path.display()),
            Self::Generate(length) => format!("generated, {length} characters"),
        }
    }

    /// The label of the error for a missing value.
    fn missing_value_label(&self) -> String {
        match self {
            Self::Env(variable) => format!("requested here: environment variable `{variable}`"),
            Self::File(path) => format!("requested here: file `{}`", path.display()),
            Self::Dotenv(path, key) => format!("requested here: `{key}` in `{}`", path.display()),
            Self::Generate(_) => "requested here".to_owned(),
        }
    }

    /// The help for a missing value. `dotenv` is the manifest's own file, where that does not exist.
    fn missing_value_help(&self, dotenv: Option<&Path>) -> String {
        let rest = "or set `optional = true` if the app works without it";
        match (self, dotenv) {
            (Self::Env(variable), Some(file)) => {
                let file = file.display();
                format!(
                    "{file}, which `dotenv` names, does not exist: write {variable}=… there, set it in the environment, {rest}"
                )
            }
            (Self::Env(variable), None) => {
                format!("set {variable} in the environment or with --env-file, {rest}")
            }
            (Self::File(path), _) => format!("write the value to {}, {rest}", path.display()),
            (Self::Dotenv(path, key), _) => format!("add {key}=… to {}, {rest}", path.display()),
            (Self::Generate(_), _) => rest.to_owned(),
        }
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
