//! Reads a text through the stages under test and shows the outcome in comparable forms.

use std::path::PathBuf;

use serde_json::{Map, Value as Json};
use trimtab::manifest::{
    fly_toml::{self, CanonicalFlyToml},
    syntax::node::{Diagnostic, SourceFiles, TomlNode, TomlTable, TomlValue},
};

/// A modernised text and the files that its places point into.
pub(crate) struct ParsedFile {
    /// The files.
    pub(crate) files: SourceFiles,
    /// Syntax errors.
    pub(crate) syntax: Vec<Diagnostic>,
    /// The outcome.
    pub(crate) modern: CanonicalFlyToml,
}

/// Reads a text as a file of that name.
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
    /// The canonical tree.
    pub(crate) fn json(&self) -> Json {
        node_to_json(&self.modern.node)
    }

    /// Syntax errors and errors, one line each.
    pub(crate) fn errors(&self) -> Vec<String> {
        let all = self.syntax.iter().chain(&self.modern.errors);
        all.map(|problem| self.format_diagnostic(problem)).collect()
    }

    /// Warnings, one line each.
    pub(crate) fn warnings(&self) -> Vec<String> {
        self.modern
            .warnings
            .iter()
            .map(|problem| self.format_diagnostic(problem))
            .collect()
    }

    fn format_diagnostic(&self, problem: &Diagnostic) -> String {
        let place = problem.location.as_ref().map_or_else(String::new, |at| {
            let (line, column) = self.files.line_column(at);
            format!("{line}:{column}: ")
        });
        let help = problem
            .help
            .as_ref()
            .map_or_else(String::new, |help| format!("; {help}"));
        format!("{place}{} ({}){help}", problem.message, problem.label)
    }
}

fn node_to_json(node: &TomlNode) -> Json {
    match &node.value {
        TomlValue::String(text) | TomlValue::Datetime(text) => Json::from(text.as_str()),
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
