//! Reads a text through the stages under test and shows the outcome in comparable forms.

use std::path::PathBuf;

use serde_json::{Map, Value as Json};
use trimtab::manifest::{
    fly_toml::{self, Modern},
    node::{Files, Node, Problem, Table, Value},
};

/// A modernised text and the files that its places point into.
pub(crate) struct Read {
    /// The files.
    pub(crate) files: Files,
    /// Syntax errors.
    pub(crate) syntax: Vec<Problem>,
    /// The outcome.
    pub(crate) modern: Modern,
}

/// Reads a text as a file of that name.
pub(crate) fn read(name: &str, text: &str) -> Read {
    let mut files = Files::default();
    let file = files.add(PathBuf::from(name), text.to_owned());
    let (node, syntax) = fly_toml::parse(&files, file);
    Read {
        files,
        syntax,
        modern: fly_toml::modernise(node),
    }
}

impl Read {
    /// The canonical tree.
    pub(crate) fn json(&self) -> Json {
        json(&self.modern.node)
    }

    /// Syntax errors and errors, one line each.
    pub(crate) fn errors(&self) -> Vec<String> {
        let all = self.syntax.iter().chain(&self.modern.errors);
        all.map(|problem| self.line(problem)).collect()
    }

    /// Warnings, one line each.
    pub(crate) fn warnings(&self) -> Vec<String> {
        self.modern
            .warnings
            .iter()
            .map(|problem| self.line(problem))
            .collect()
    }

    fn line(&self, problem: &Problem) -> String {
        let place = problem.at.as_ref().map_or_else(String::new, |at| {
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

fn json(node: &Node) -> Json {
    match &node.value {
        Value::String(text) | Value::Datetime(text) => Json::from(text.as_str()),
        Value::Integer(number) => Json::from(*number),
        Value::Float(number) => Json::from(*number),
        Value::Boolean(truth) => Json::from(*truth),
        Value::Array(items) => items.iter().map(json).collect(),
        Value::Table(Table(entries)) => entries
            .iter()
            .map(|entry| (entry.key.clone(), json(&entry.node)))
            .collect::<Map<_, _>>()
            .into(),
    }
}
