//! A finger on the document: decoded values have no places, so every check walks along the tree beside them.

use super::node::{Node, Place, Problem, Value};

/// A value in the document, or the nearest thing to it that is written.
#[derive(Clone, Copy)]
pub(super) struct Spot<'a> {
    node: Option<&'a Node>,
    key_at: Option<&'a Place>,
}

impl<'a> Spot<'a> {
    /// The whole document, whose tables are sorted.
    pub(super) fn root(node: &'a Node) -> Self {
        Self {
            node: Some(node),
            key_at: None,
        }
    }

    /// No place at all: what was said on the command line.
    pub(super) fn nowhere() -> Self {
        Self {
            node: None,
            key_at: None,
        }
    }

    /// The value of a key; where there is none, the table that lacks it.
    pub(super) fn key(self, key: &str) -> Self {
        let entry = self
            .node
            .and_then(Node::as_table)
            .and_then(|table| table.find(key));
        match entry {
            Some(entry) => Self {
                node: Some(&entry.node),
                key_at: Some(&entry.key_at),
            },
            None => Self {
                node: None,
                key_at: self.place(),
            },
        }
    }

    /// An item of a list; a value that stands for a list of one is its own first item.
    pub(super) fn item(self, index: usize) -> Self {
        match self.node.map(|node| &node.value) {
            Some(Value::Array(items)) => match items.get(index) {
                Some(item) => Self {
                    node: Some(item),
                    key_at: None,
                },
                None => self,
            },
            _ => self,
        }
    }

    /// Whether it is written.
    pub(super) fn is_written(self) -> bool {
        self.node.is_some()
    }

    /// Where to point: at the key of a table or list, at a plain value itself.
    pub(super) fn place(self) -> Option<&'a Place> {
        match self.node {
            Some(Node { at, value }) => match value {
                Value::Table(_) | Value::Array(_) => self.key_at.or(Some(at)),
                _ => Some(at),
            },
            None => self.key_at,
        }
    }

    /// Where the value stands, for paths that are relative to their file.
    pub(super) fn value_place(self) -> Option<&'a Place> {
        self.node.map(|node| &node.at).or(self.key_at)
    }

    /// Something wrong with the key itself.
    pub(super) fn key_problem(self, message: impl Into<String>) -> Problem {
        Problem {
            at: self.key_at.or(self.place()).cloned(),
            ..self.problem(message)
        }
    }

    /// Something wrong here.
    pub(super) fn problem(self, message: impl Into<String>) -> Problem {
        Problem {
            message: message.into(),
            at: self.place().cloned(),
            label: String::new(),
            help: None,
        }
    }
}

impl Problem {
    /// The same with a word at the place.
    pub(super) fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// The same with what to write instead.
    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The same with what to write instead, if anything is known.
    pub(super) fn maybe_help(mut self, help: Option<String>) -> Self {
        self.help = help;
        self
    }
}
