//! The one source that a secret of the manifest has: of an app, or of a build.

use std::path::{Path, PathBuf};

use super::{secret_sources::SecretReader, secret_value::SecretValue};
use crate::manifest::{
    lower::{Context, Diagnostics},
    reader::resolve_relative_path,
    schema::SecretSource,
    syntax::{cursor::Cursor, secret_detection},
};

/// The one source of a secret.
pub(crate) enum SecretOrigin {
    /// A variable of the process.
    Env(String),
    /// A file.
    File(PathBuf),
    /// A name in a dotenv file.
    Dotenv(PathBuf, String),
    /// A new value of this many characters.
    Generate(u32),
}

impl SecretOrigin {
    /// Checks that a secret has one source.
    pub(crate) fn from_source(
        context: &Context<'_>,
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
                &context.files.get(location.file).path,
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

    /// Reads the value.
    pub(crate) fn read_value(
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
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Env(variable) => format!("env {variable}"),
            Self::File(path) => format!("file {}", path.display()),
            Self::Dotenv(path, key) => format!("{key} in {}", path.display()),
            Self::Generate(length) => format!("generated, {length} characters"),
        }
    }

    /// The label of the error for a missing value.
    pub(crate) fn missing_value_label(&self) -> String {
        match self {
            Self::Env(variable) => format!("requested here: environment variable `{variable}`"),
            Self::File(path) => format!("requested here: file `{}`", path.display()),
            Self::Dotenv(path, key) => format!("requested here: `{key}` in `{}`", path.display()),
            Self::Generate(_) => "requested here".to_owned(),
        }
    }

    /// The help for a missing value. `dotenv` is the manifest's own file, where that does not exist.
    pub(crate) fn missing_value_help(&self, dotenv: Option<&Path>) -> String {
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
