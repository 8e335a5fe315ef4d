//! Parses and modernises a text, and shows the result in comparable forms.

use std::path::PathBuf;

use serde_json::{Map, Value as Json};
use trimtab::manifest::{
    fly_toml::{self, CanonicalFlyToml},
    syntax::node::{Diagnostic, SourceFiles, TomlNode, TomlTable, TomlValue},
};

/// A canonical fly.toml with the source files that its positions refer to.
pub(crate) struct ParsedFile {
    pub(crate) files: SourceFiles,
    pub(crate) syntax: Vec<Diagnostic>,
    pub(crate) modern: CanonicalFlyToml,
}

/// Parses a text as a file with this name.
pub(crate) fn parse_and_modernise(name: &str, text: &str) -> ParsedFile {
    let mut files = SourceFiles::default();
    let file = files.add(PathBuf::from(name), text.to_owned());
    let (node, syntax) = fly_toml::parse(&files, file);
    ParsedFile {
        files,
        syntax,
        modern: fly_toml::canonicalize(node),
    }
}

impl ParsedFile {
    /// The canonical tree as JSON.
    pub(crate) fn json(&self) -> Json {
        node_to_json(&self.modern.node)
    }

    /// All errors, syntax errors first, one line each.
    pub(crate) fn errors(&self) -> Vec<String> {
        let all = self.syntax.iter().chain(&self.modern.errors);
        all.map(|diagnostic| self.format_diagnostic(diagnostic))
            .collect()
    }

    /// All warnings, one line each.
    pub(crate) fn warnings(&self) -> Vec<String> {
        self.modern
            .warnings
            .iter()
            .map(|diagnostic| self.format_diagnostic(diagnostic))
            .collect()
    }

    fn format_diagnostic(&self, diagnostic: &Diagnostic) -> String {
        let position = diagnostic.location.as_ref().map_or_else(String::new, |at| {
            let (line, column) = self.files.line_column(at);
            format!("{line}:{column}: ")
        });
        let help = diagnostic
            .help
            .as_ref()
            .map_or_else(String::new, |help| format!("; {help}"));
        format!(
            "{position}{} ({}){help}",
            diagnostic.message, diagnostic.label
        )
    }
}

fn node_to_json(node: &TomlNode) -> Json {
    match &node.value {
        TomlValue::String(text) | TomlValue::Datetime(text) | TomlValue::OutOfRange(text) => {
            Json::from(text.as_str())
        }
        TomlValue::Integer(number) => Json::from(*number),
        TomlValue::Float(number) => Json::from(*number),
        TomlValue::Boolean(truth) => Json::from(*truth),
        TomlValue::Array(items) => items.iter().map(node_to_json).collect(),
        TomlValue::Table(TomlTable(entries)) => entries
            .iter()
            .map(|entry| (entry.key.clone(), node_to_json(&entry.node)))
            .collect::<Map<_, _>>()
            .into(),
    }
}
