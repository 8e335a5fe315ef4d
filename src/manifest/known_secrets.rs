//! Registers the values of all secrets that a manifest names before anything else is done with it. A value may stand in a
//! wrong place of the same manifest, and every message about that place would show it.

use std::path::{Path, PathBuf};

use super::{
    Inputs, SecretsMode,
    reader::resolve_relative_path,
    syntax::{
        bounded_read, dotenv,
        node::{SourceFiles, TomlNode, TomlTable, TomlValue},
        secret_detection::looks_like_secret,
    },
};
use crate::model::register_secret;

/// Registers the values of all secrets and tokens that a manifest names, and variables of the process that look like one:
/// they may stand in a manifest that cannot be read.
pub(super) fn register_secrets(root: Option<&TomlNode>, files: &SourceFiles, inputs: &Inputs) {
    let variables = inputs.process_environment.iter();
    variables
        .filter(|(name, value)| looks_like_secret(name, value))
        .for_each(|(_, value)| register_secret(value));
    let Some(root) = root else { return };
    let dotenv = root
        .as_table()
        .and_then(|table| table.get("dotenv"))
        .and_then(|node| resolve(node, files));
    let sources = Sources {
        files,
        inputs,
        dotenv,
    };
    sources.visit(root, false);
}

/// Where values come from.
struct Sources<'a> {
    files: &'a SourceFiles,
    inputs: &'a Inputs,
    /// The file for variables that the environment lacks.
    dotenv: Option<PathBuf>,
}

impl Sources<'_> {
    /// Visits a node; `is_source` says whether tables here are sources of secrets.
    fn visit(&self, node: &TomlNode, is_source: bool) {
        match &node.value {
            TomlValue::Table(table) => {
                if is_source {
                    self.register_source(table);
                }
                for entry in &table.0 {
                    let below = is_source || matches!(entry.key.as_str(), "secrets" | "token");
                    self.visit(&entry.node, below);
                }
            }
            TomlValue::Array(items) => items.iter().for_each(|item| self.visit(item, is_source)),
            _ => {}
        }
    }

    fn register_source(&self, table: &TomlTable) {
        let text = |key: &str| table.get(key).and_then(TomlNode::as_str);
        if let Some(variable) = text("env") {
            match self.inputs.process_environment.get(variable) {
                Some(value) => register_secret(value),
                None => self.register_dotenv_value(self.dotenv.as_deref(), variable),
            }
        }
        if self.inputs.secrets_mode == SecretsMode::Unchecked {
            return;
        }
        let path = |key: &str| resolve(table.get(key)?, self.files);
        if let Some(text) = path("file").and_then(|file| bounded_read::read_text(&file).ok()) {
            register_secret(&text);
        }
        if let (file @ Some(_), Some(name)) = (path("dotenv"), text("key")) {
            self.register_dotenv_value(file.as_deref(), name);
        }
    }

    fn register_dotenv_value(&self, file: Option<&Path>, name: &str) {
        if self.inputs.secrets_mode == SecretsMode::Unchecked {
            return;
        }
        let text = file.and_then(|file| bounded_read::read_text(file).ok());
        let values = text.and_then(|text| dotenv::parse(&text).ok());
        if let Some(value) = values.as_ref().and_then(|values| values.get(name)) {
            register_secret(value);
        }
    }
}

/// A path relative to the file that names it.
fn resolve(node: &TomlNode, files: &SourceFiles) -> Option<PathBuf> {
    let named_in = &files.get(node.location.file).path;
    Some(resolve_relative_path(named_in, node.as_str()?))
}
