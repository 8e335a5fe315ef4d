//! A cursor into the document. Decoded values have no locations, so every check moves a cursor
//! along the tree beside them.

use super::node::{Diagnostic, SourceLocation, TomlNode, TomlValue};

/// A value in the document; for an absent value, the closest location to report errors at.
#[derive(Clone, Copy)]
pub(crate) struct Cursor<'a> {
    node: Option<&'a TomlNode>,
    key_location: Option<&'a SourceLocation>,
}

impl<'a> Cursor<'a> {
    /// The root of a document whose tables are sorted.
    pub(crate) fn root(node: &'a TomlNode) -> Self {
        Self {
            node: Some(node),
            key_location: None,
        }
    }

    /// A cursor without location, for values of the command line.
    pub(crate) fn without_location() -> Self {
        Self {
            node: None,
            key_location: None,
        }
    }

    /// Moves to the value of a key. An absent key points at its table.
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

    /// Moves to an item of a list. A value that stands for a list of one is its own first item.
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

    /// Whether the value is present in the document.
    pub(crate) fn is_present(self) -> bool {
        self.node.is_some()
    }

    /// The location for errors: the key of a table or list, or a plain value itself.
    pub(crate) fn location(self) -> Option<&'a SourceLocation> {
        match self.node {
            Some(TomlNode { location, value }) => match value {
                TomlValue::Table(_) | TomlValue::Array(_) => self.key_location.or(Some(location)),
                _ => Some(location),
            },
            None => self.key_location,
        }
    }

    /// The location of the value, for paths that are relative to its file.
    pub(crate) fn value_location(self) -> Option<&'a SourceLocation> {
        self.node.map(|node| &node.location).or(self.key_location)
    }

    /// A diagnostic that points at the key.
    pub(crate) fn key_diagnostic(self, message: impl Into<String>) -> Diagnostic {
        Diagnostic {
            location: self.key_location.or(self.location()).cloned(),
            ..self.diagnostic(message)
        }
    }

    /// A diagnostic that points at the value.
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
    /// Adds a label at the location.
    pub(crate) fn with_label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// Adds help: what to write instead.
    pub(crate) fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Adds help, if there is any.
    pub(crate) fn with_optional_help(mut self, help: Option<String>) -> Self {
        self.help = help;
        self
    }
}
