//! Reads secrets from the environment, files and dotenv files. Nothing read here may appear in a
//! message.

use std::{
    collections::BTreeMap,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use super::secret_value::{SecretValue, report_unreadable};
use crate::manifest::lower::{Context, Diagnostics};
use crate::manifest::{
    SecretsMode,
    reader::resolve_relative_path,
    syntax::{bounded_read, cursor::Cursor, dotenv},
};

/// Reads secret values, and each dotenv file once.
pub(crate) struct SecretReader<'a> {
    context: &'a Context<'a>,
    default_dotenv: Option<PathBuf>,
    /// The files that were read; none for one that cannot be, which is reported once.
    dotenv_files: BTreeMap<PathBuf, Option<BTreeMap<String, String>>>,
}

impl<'a> SecretReader<'a> {
    /// `dotenv` is the file for variables that the environment lacks.
    pub(crate) fn new(context: &'a Context<'a>, dotenv: Option<&str>, cursor: Cursor<'_>) -> Self {
        let from = cursor.value_location();
        let dotenv = dotenv.zip(from).map(|(dotenv, from)| {
            resolve_relative_path(&context.files.get(from.file).path, dotenv)
        });
        Self {
            context,
            default_dotenv: dotenv,
            dotenv_files: BTreeMap::new(),
        }
    }

    /// The manifest's own dotenv file, if it does not exist.
    pub(crate) fn missing_dotenv(&self) -> Option<&Path> {
        self.default_dotenv.as_deref().filter(|path| !path.exists())
    }

    /// Reads a variable from the environment, or else from the dotenv file.
    pub(crate) fn read_variable(
        &mut self,
        name: &str,
        cursor: Cursor<'_>,
        diagnostics: &mut Diagnostics,
    ) -> SecretValue {
        let environment = &self.context.inputs.process_environment;
        let stated = environment.get(name).filter(|value| !value.is_empty());
        if stated.is_some() {
            return SecretValue::from_text(stated.cloned());
        }
        match self.default_dotenv.clone() {
            Some(path) => self.read_dotenv_value(&path, name, cursor, diagnostics),
            None => SecretValue::Missing,
        }
    }

    /// Reads a value of a dotenv file; a missing file has none.
    pub(crate) fn read_dotenv_value(
        &mut self,
        path: &Path,
        name: &str,
        cursor: Cursor<'_>,
        diagnostics: &mut Diagnostics,
    ) -> SecretValue {
        if !path.exists() {
            return SecretValue::Missing;
        }
        let mode = self.context.inputs.secrets_mode;
        let values = self
            .dotenv_files
            .entry(path.to_owned())
            .or_insert_with(|| parse_dotenv_file(path, mode, cursor, diagnostics));
        match values {
            Some(values) => SecretValue::from_text(values.get(name).cloned()),
            None => SecretValue::Unreadable,
        }
    }

    /// Reads a file, without its final newline.
    pub(crate) fn read_file(
        &self,
        path: &Path,
        cursor: Cursor<'_>,
        diagnostics: &mut Diagnostics,
    ) -> SecretValue {
        let mode = self.context.inputs.secrets_mode;
        match bounded_read::read_text(path) {
            Ok(text) => {
                let text = text.strip_suffix('\n').map_or(text.as_str(), |text| {
                    text.strip_suffix('\r').unwrap_or(text)
                });
                SecretValue::from_text(Some(text.to_owned()))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => SecretValue::Missing,
            Err(error) => {
                let diagnostic =
                    cursor.diagnostic(format!("cannot read `{}`: {error}", path.display()));
                let is_binary = error.kind() == ErrorKind::InvalidData;
                report_unreadable(mode, diagnostics, diagnostic.with_optional_help(is_binary.then(|| {
                    "a secret is text: encode the file, with `base64` for instance, and decode it in the app"
                        .to_owned()
                })));
                SecretValue::Unreadable
            }
        }
    }
}

/// Parses a dotenv file. An error contains the line number but never the line, which may hold a
/// secret.
fn parse_dotenv_file(
    path: &Path,
    mode: SecretsMode,
    cursor: Cursor<'_>,
    diagnostics: &mut Diagnostics,
) -> Option<BTreeMap<String, String>> {
    let text = bounded_read::read_text(path)
        .map_err(|error| {
            let message = format!("cannot read `{}`: {error}", path.display());
            report_unreadable(mode, diagnostics, cursor.diagnostic(message));
        })
        .ok()?;
    dotenv::parse(&text)
        .map_err(|error| {
            let diagnostic = cursor.diagnostic(format!("`{}`: {error}", path.display()));
            report_unreadable(mode, diagnostics, diagnostic.with_help(
                "write one NAME=VALUE on each line; quotes, or triple quotes, enclose the whole value",
            ));
        })
        .ok()
}
