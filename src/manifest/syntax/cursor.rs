//! A finger on the document: decoded values have no places, so every check walks along the tree beside them.

use super::node::{Diagnostic, SourceLocation, TomlNode, TomlValue};

/// A value in the document, or the nearest thing to it that is written.
#[derive(Clone, Copy)]
pub(crate) struct Cursor<'a> {
    node: Option<&'a TomlNode>,
    key_location: Option<&'a SourceLocation>,
}

impl<'a> Cursor<'a> {
    /// The whole document, whose tables are sorted.
    pub(crate) fn root(node: &'a TomlNode) -> Self {
        Self {
            node: Some(node),
            key_location: None,
        }
    }

    /// No place at all: what was said on the command line.
    pub(crate) fn without_location() -> Self {
        Self {
            node: None,
            key_location: None,
        }
    }

    /// The value of a key; where there is none, the table that lacks it.
    pub(crate) fn key(self, key: &str) -> Self {
        let entry = self
            .node
            .and_then(TomlNode::as_table)
            .and_then(|table| table.find_sorted(key));
        match entry {
            Some(entry) => Self {
                node: Some(&entry.node),
                key_location: Some(&entry.key_location),
            },
            None => Self {
                node: None,
                key_location: self.location(),
            },
        }
    }

    /// An item of a list; a value that stands for a list of one is its own first item.
    pub(crate) fn item(self, index: usize) -> Self {
        match self.node.map(|node| &node.value) {
            Some(TomlValue::Array(items)) => match items.get(index) {
                Some(item) => Self {
                    node: Some(item),
                    key_location: None,
                },
                None => self,
            },
            _ => self,
        }
    }

    /// Whether it is written.
    pub(crate) fn is_present(self) -> bool {
        self.node.is_some()
    }

    /// Where to point: at the key of a table or list, at a plain value itself.
    pub(crate) fn location(self) -> Option<&'a SourceLocation> {
        match self.node {
            Some(TomlNode {
                location: at,
                value,
            }) => match value {
                TomlValue::Table(_) | TomlValue::Array(_) => self.key_location.or(Some(at)),
                _ => Some(at),
            },
            None => self.key_location,
        }
    }

    /// Where the value stands, for paths that are relative to their file.
    pub(crate) fn value_location(self) -> Option<&'a SourceLocation> {
        self.node.map(|node| &node.location).or(self.key_location)
    }

    /// Something wrong with the key itself.
    pub(crate) fn key_diagnostic(self, message: impl Into<String>) -> Diagnostic {
        Diagnostic {
            location: self.key_location.or(self.location()).cloned(),
            ..self.diagnostic(message)
        }
    }

    /// Something wrong here.
    pub(crate) fn diagnostic(self, message: impl Into<String>) -> Diagnostic {
        Diagnostic {
            message: message.into(),
            location: self.location().cloned(),
            label: String::new(),
            help: None,
        }
    }
}

impl Diagnostic {
    /// The same with a word at the place.
    pub(crate) fn with_label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// The same with what to write instead.
    pub(crate) fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The same with what to write instead, if anything is known.
    pub(crate) fn with_optional_help(mut self, help: Option<String>) -> Self {
        self.help = help;
        self
    }
}
