//! Reads secrets from the environment, files and dotenv files. Nothing read here may appear in a
//! message.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use crate::manifest::lower::{Context, Diagnostics};
use crate::manifest::{
    reader::resolve_relative_path,
    syntax::{bounded_read, cursor::Cursor, dotenv},
};

/// Reads secret values, and each dotenv file once.
pub(crate) struct SecretReader<'a> {
    context: &'a Context<'a>,
    default_dotenv: Option<PathBuf>,
    dotenv_files: BTreeMap<PathBuf, Result<BTreeMap<String, String>, String>>,
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

    /// Reads a variable from the environment, or else from the dotenv file. An empty one counts as
    /// missing, because CI sets secrets that nobody defined to the empty string.
    pub(crate) fn read_variable(
        &mut self,
        name: &str,
        cursor: Cursor<'_>,
        diagnostics: &mut Diagnostics,
    ) -> Option<String> {
        let stated = self
            .context
            .inputs
            .process_environment
            .get(name)
            .filter(|value| !value.is_empty());
        if let Some(value) = stated {
            return Some(value.clone());
        }
        let path = self.default_dotenv.clone().filter(|path| path.exists())?;
        self.read_dotenv_value(&path, name, cursor, diagnostics)
    }

    /// Reads a value of a dotenv file; a missing file has none.
    pub(crate) fn read_dotenv_value(
        &mut self,
        path: &Path,
        name: &str,
        cursor: Cursor<'_>,
        diagnostics: &mut Diagnostics,
    ) -> Option<String> {
        if !path.exists() {
            return None;
        }
        match self
            .dotenv_files
            .entry(path.to_owned())
            .or_insert_with(|| parse_dotenv_file(path))
        {
            Ok(values) => values.get(name).filter(|value| !value.is_empty()).cloned(),
            Err(error) => {
                diagnostics.error(
                    cursor
                        .diagnostic(error.clone())
                        .with_help("one NAME=VALUE for each line"),
                );
                None
            }
        }
    }

    /// Reads a file, without its final newline.
    pub(crate) fn read_file(path: &Path) -> Option<String> {
        let text = bounded_read::read_text(path).ok()?;
        let text = text.strip_suffix('\n').map_or(text.as_str(), |text| {
            text.strip_suffix('\r').unwrap_or(text)
        });
        Some(text.to_owned()).filter(|text| !text.is_empty())
    }
}

/// Parses a dotenv file. An error contains the line number but never the line, which may hold a
/// secret.
fn parse_dotenv_file(path: &Path) -> Result<BTreeMap<String, String>, String> {
    let text = bounded_read::read_text(path)
        .map_err(|error| format!("cannot read `{}`: {error}", path.display()))?;
    dotenv::parse(&text).map_err(|line| {
        format!(
            "line {line} of `{}` is not of the form NAME=VALUE",
            path.display()
        )
    })
}
