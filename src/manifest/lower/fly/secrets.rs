//! Secrets: where each value comes from, and the fingerprints that say whether it changed.

use std::collections::{BTreeMap, BTreeSet};

use super::{app::AppContext, secret_sources::SecretReader};
use crate::manifest::lower::{Diagnostics, Lowered};
use crate::{
    kinds::{
        Desired,
        fly::{
            Secrets,
            secrets::{SecretSpec, SecretsSpec},
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

/// Makes the secrets of an app.
pub(crate) fn lower_secrets(
    app: &AppContext<'_>,
    out: &mut Lowered,
    found: &mut SecretReader<'_>,
    sink: &mut Diagnostics,
) {
    if app.app.secrets.is_empty() {
        return;
    }
    let (mut values, mut left_alone) = (BTreeMap::new(), BTreeSet::new());
    for (name, source) in &app.app.secrets {
        let at = app.cursor.key("secrets").key(name);
        check_secret_name(app, name, at, sink);
        let Some(from) = SecretOrigin::from_source(app, name, source, at, sink) else {
            continue;
        };
        let mode = app.context.inputs.secrets_mode;
        let value = if mode == SecretsMode::Unchecked {
            None
        } else {
            from.read_value(found, at, sink)
        };
        let optional = source.optional.unwrap_or_default();
        if value.is_none() && optional {
            left_alone.insert(name.clone());
            continue;
        }
        if value.is_none() && mode == SecretsMode::Required {
            sink.error(
                at.diagnostic(format!("secret `{name}` has no value"))
                    .with_label(from.missing_value_label())
                    .with_help(from.missing_value_help()),
            );
        }
        let spec = SecretSpec {
            value: value.map(Secret::new),
            fingerprint: None,
            source: from.describe(),
        };
        values.insert(name.clone(), spec);
    }
    let meta = &out.desired.meta.mark;
    let salt = Salt::for_app(&meta.project, &meta.environment, app.key);
    app.record_location::<Secrets>(&app.name, app.cursor.key("secrets"), out);
    // Machines are lowered later; `remembered` fills this in.
    let spec = SecretsSpec {
        app: app.app_ref(),
        values,
        left_alone,
        salt,
        used: false,
    };
    out.desired.fly_secrets.insert(app.name.clone(), spec);
}

fn check_secret_name(app: &AppContext<'_>, name: &str, at: Cursor<'_>, sink: &mut Diagnostics) {
    if !secret_detection::is_variable_name(name) {
        let problem = at.diagnostic(format!("`{name}` cannot be the name of a secret"));
        sink.error(problem.with_help("use letters, digits and underscores, and no digit first"));
    } else if name.starts_with("FLY_") {
        sink.error(
            at.diagnostic(format!("`{name}` is set by Fly itself"))
                .with_help("names that begin with `FLY_` are Fly's"),
        );
    }
    if app.app.env.contains_key(name) {
        let problem = at.diagnostic(format!("`{name}` is a secret and an environment variable"));
        sink.error(problem.with_help("leave it out of `env`, which would win over the secret"));
    }
}

/// One source of a secret.
enum SecretOrigin {
    Env(String),
    File(std::path::PathBuf),
    Dotenv(std::path::PathBuf, String),
}

impl SecretOrigin {
    fn from_source(
        app: &AppContext<'_>,
        name: &str,
        source: &SecretSource,
        at: Cursor<'_>,
        sink: &mut Diagnostics,
    ) -> Option<Self> {
        let SecretSource {
            env: variable,
            file,
            dotenv,
            key,
            optional: _,
        } = source;
        if key.is_some() && dotenv.is_none() {
            sink.error(
                at.key("key")
                    .diagnostic("`key` is for a dotenv file")
                    .with_help("say `dotenv = \".env\"`, or leave it out"),
            );
        }
        let path = |key: &str, path: &str| {
            let from = at.key(key).value_location()?;
            Some(resolve_relative_path(
                &app.context.files.get(from.file).path,
                path,
            ))
        };
        match (variable, file, dotenv) {
            (Some(variable), None, None) if secret_detection::is_variable_name(variable) => {
                Some(Self::Env(variable.clone()))
            }
            (Some(variable), None, None) => {
                // The text is not repeated: it may be the secret itself, written in the wrong place.
                let problem = at
                    .key("env")
                    .diagnostic("this is not the name of an environment variable");
                let help = format!(
                    "name the variable that holds the value ({} characters stand here)",
                    variable.len()
                );
                sink.error(problem.with_help(help));
                None
            }
            (None, Some(file), None) => Some(Self::File(path("file", file)?)),
            (None, None, Some(dotenv)) => Some(Self::Dotenv(
                path("dotenv", dotenv)?,
                key.clone().unwrap_or_else(|| name.to_owned()),
            )),
            (None, None, None) => {
                let problem = at.diagnostic(format!(
                    "secret `{name}` does not say where its value comes from"
                ));
                sink.error(problem.with_help(format!(
                    "say {name} = {{ env = \"{name}\" }}, or `file`, or `dotenv`"
                )));
                None
            }
            _ => {
                sink.error(
                    at.diagnostic(format!("secret `{name}` has several sources"))
                        .with_help("say one of `env`, `file` and `dotenv`"),
                );
                None
            }
        }
    }

    fn read_value(
        &self,
        found: &mut SecretReader<'_>,
        at: Cursor<'_>,
        sink: &mut Diagnostics,
    ) -> Option<String> {
        match self {
            Self::Env(variable) => found.read_variable(variable, at, sink),
            Self::File(path) => SecretReader::read_file(path),
            Self::Dotenv(path, key) => found.read_dotenv_value(path, key, at, sink),
        }
    }

    /// The source, for the plan.
    fn describe(&self) -> String {
        match self {
            Self::Env(variable) => format!("env {variable}"),
            Self::File(path) => format!("file {}", path.display()),
            Self::Dotenv(path, key) => format!("{key} in {}", path.display()),
        }
    }

    /// What was looked for, at the place that asks for it.
    fn missing_value_label(&self) -> String {
        match self {
            Self::Env(variable) => format!("asked for here: environment variable `{variable}`"),
            Self::File(path) => format!("asked for here: file `{}`", path.display()),
            Self::Dotenv(path, key) => format!("asked for here: `{key}` in `{}`", path.display()),
        }
    }

    fn missing_value_help(&self) -> String {
        let rest = "or say `optional = true` if the app can do without";
        match self {
            Self::Env(variable) => {
                format!("set {variable} in the environment or with --env-file, {rest}")
            }
            Self::File(path) => format!("write the value to {}, {rest}", path.display()),
            Self::Dotenv(path, key) => format!("add {key}=… to {}, {rest}", path.display()),
        }
    }
}

/// Notes which secrets have a machine that will remember them.
pub(crate) fn mark_used_secrets(desired: &mut Desired) {
    let machines = desired.fly_machine.keys().chain(desired.fly_cron.keys());
    let roots: BTreeSet<_> = machines.map(crate::model::Name::root).collect();
    for (name, spec) in &mut desired.fly_secrets {
        spec.used = roots.contains(name);
    }
}

/// Computes the fingerprints of all values. The hash is slow on purpose, so all cores take part.
pub(crate) fn compute_fingerprints(desired: &mut Desired) {
    let mut jobs: Vec<(&Salt, &String, &mut SecretSpec)> = Vec::new();
    for spec in desired.fly_secrets.values_mut() {
        let SecretsSpec {
            app: _,
            values,
            left_alone: _,
            salt,
            used: _,
        } = spec;
        jobs.extend(
            values
                .iter_mut()
                .filter(|(_, spec)| spec.value.is_some())
                .map(|(name, spec)| (&*salt, name, spec)),
        );
    }
    if jobs.is_empty() {
        return;
    }
    let workers = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let share = jobs.len().div_ceil(workers);
    std::thread::scope(|scope| {
        for share in jobs.chunks_mut(share) {
            scope.spawn(move || {
                for (salt, name, spec) in share {
                    spec.fingerprint = spec
                        .value
                        .as_ref()
                        .map(|value| value.fingerprint(name, salt));
                }
            });
        }
    });
}
