//! A TOML document with the place of every key and value, over several files: manifests inherit from each other and
//! take over fly.toml files, and an error must still point at the line that caused it.

use std::{ops::Range, path::PathBuf};

use toml::de::{DeTable, DeValue};

/// The files that a manifest was read from.
#[derive(Clone, Debug, Default)]
pub struct SourceFiles(Vec<SourceFile>);

/// One file.
#[derive(Clone, Debug)]
pub struct SourceFile {
    /// Where it is, as the user would write it.
    pub path: PathBuf,
    /// Its text.
    pub text: String,
    /// Where its lines begin, so that a place is found without a walk through all before it.
    line_starts: Vec<usize>,
}

/// Which file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileId(usize);

/// A stretch of a file, in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceLocation {
    /// The file.
    pub file: FileId,
    /// From where to where.
    pub span: Range<usize>,
}

/// A value and its place.
#[derive(Clone, Debug, PartialEq)]
pub struct TomlNode {
    /// Where it stands.
    pub location: SourceLocation,
    /// What it is.
    pub value: TomlValue,
}

/// A TOML value.
#[derive(Clone, Debug, PartialEq)]
pub enum TomlValue {
    /// A text.
    String(String),
    /// A whole number.
    Integer(i64),
    /// A number.
    Float(f64),
    /// True or false.
    Boolean(bool),
    /// A date or time, as written.
    Datetime(String),
    /// A list.
    Array(Vec<TomlNode>),
    /// A table.
    Table(TomlTable),
}

/// A table, in the order of the file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TomlTable(pub Vec<TomlEntry>);

/// A key with its value.
#[derive(Clone, Debug, PartialEq)]
pub struct TomlEntry {
    /// The key.
    pub key: String,
    /// Where the key stands.
    pub key_location: SourceLocation,
    /// The value.
    pub node: TomlNode,
}

/// Something wrong, and where.
#[derive(Clone, Debug, PartialEq)]
pub struct Diagnostic {
    /// What is wrong, as a lower-case fragment.
    pub message: String,
    /// Where, unless it concerns the file as a whole.
    pub location: Option<SourceLocation>,
    /// A word at the place, such as `expected a number`.
    pub label: String,
    /// What to write instead.
    pub help: Option<String>,
}

impl SourceFiles {
    /// Adds a file.
    pub fn add(&mut self, path: PathBuf, text: String) -> FileId {
        let lines = [0]
            .into_iter()
            .chain(text.match_indices('\n').map(|(at, _)| at + 1))
            .collect();
        self.0.push(SourceFile {
            path,
            text,
            line_starts: lines,
        });
        FileId(self.0.len() - 1)
    }

    /// A file that was added.
    #[must_use]
    pub fn get(&self, id: FileId) -> &SourceFile {
        &self.0[id.0]
    }

    /// Whether any of the files speaks of a variable of this name.
    #[must_use]
    pub fn mentions_variable(&self, variable: &str) -> bool {
        let reference = format!("var.{variable}");
        self.0.iter().any(|file| file.text.contains(&reference))
    }

    /// Line and column of a place, both counted from one; columns count characters.
    #[must_use]
    pub fn line_column(&self, at: &SourceLocation) -> (usize, usize) {
        let SourceFile {
            text,
            line_starts: lines,
            ..
        } = self.get(at.file);
        let mut start = at.span.start.min(text.len());
        while !text.is_char_boundary(start) {
            start -= 1;
        }
        let line = lines.partition_point(|begin| *begin <= start).max(1);
        let begin = lines.get(line - 1).copied().unwrap_or_default();
        (line, text[begin..start].chars().count() + 1)
    }

    /// The line that a place begins in: its text, and where that begins in the file.
    pub(crate) fn line_at(&self, at: &SourceLocation) -> (&str, usize) {
        let SourceFile {
            text,
            line_starts: lines,
            ..
        } = self.get(at.file);
        let line = lines
            .partition_point(|begin| *begin <= at.span.start)
            .max(1);
        let begin = lines.get(line - 1).copied().unwrap_or_default();
        let end = lines.get(line).map_or(text.len(), |next| next - 1);
        (&text[begin..end.max(begin)], begin)
    }

    /// Parses a file that was added: what could be read of it, and every syntax error.
    #[must_use]
    pub fn parse_toml(&self, file: FileId) -> (TomlNode, Vec<Diagnostic>) {
        let text = &self.get(file).text;
        let (table, errors) = DeTable::parse_recoverable(text);
        let problem = |error: toml::de::Error| Diagnostic {
            message: "this is not TOML".to_owned(),
            location: Some(SourceLocation {
                file,
                span: error.span().unwrap_or(0..0),
            }),
            label: error.message().to_owned(),
            help: None,
        };
        let place = |span: Range<usize>| SourceLocation { file, span };
        let node = TomlNode {
            location: place(table.span()),
            value: TomlValue::Table(convert_table(table.get_ref(), &place)),
        };
        (node, errors.into_iter().map(problem).collect())
    }
}

fn convert_table(
    table: &DeTable<'_>,
    place: &impl Fn(Range<usize>) -> SourceLocation,
) -> TomlTable {
    let entry = |(key, value): (&toml::Spanned<_>, &toml::Spanned<DeValue<'_>>)| {
        let text: &std::borrow::Cow<'_, str> = key.get_ref();
        TomlEntry {
            key: text.to_string(),
            key_location: place(key.span()),
            node: TomlNode {
                location: place(value.span()),
                value: convert_value(value.get_ref(), place),
            },
        }
    };
    let mut entries: Vec<TomlEntry> = table.iter().map(entry).collect();
    entries.sort_by_key(|entry| entry.key_location.span.start);
    TomlTable(entries)
}

fn convert_value(
    value: &DeValue<'_>,
    place: &impl Fn(Range<usize>) -> SourceLocation,
) -> TomlValue {
    match value {
        DeValue::String(text) => TomlValue::String(text.to_string()),
        DeValue::Integer(number) => {
            let parsed = i64::from_str_radix(&number.as_str().replace('_', ""), number.radix());
            parsed.map_or_else(
                |_| TomlValue::String(number.to_string()),
                TomlValue::Integer,
            )
        }
        DeValue::Float(number) => number
            .as_str()
            .replace('_', "")
            .parse()
            .map_or_else(|_| TomlValue::String(number.to_string()), TomlValue::Float),
        DeValue::Boolean(truth) => TomlValue::Boolean(*truth),
        DeValue::Datetime(time) => TomlValue::Datetime(time.to_string()),
        DeValue::Array(list) => TomlValue::Array(
            list.iter()
                .map(|item| TomlNode {
                    location: place(item.span()),
                    value: convert_value(item.get_ref(), place),
                })
                .collect(),
        ),
        DeValue::Table(table) => TomlValue::Table(convert_table(table, place)),
    }
}

impl TomlTable {
    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&TomlNode> {
        self.0
            .iter()
            .find(|entry| entry.key == key)
            .map(|entry| &entry.node)
    }

    /// Sorts this table and all below by key, for [`Table::find`].
    pub(crate) fn sort_by_key(&mut self) {
        self.0.sort_by(|a, b| a.key.cmp(&b.key));
        self.0.iter_mut().for_each(|entry| entry.node.sort_by_key());
    }

    /// The entry of a key in a table that is sorted, without a look at all others.
    pub(crate) fn find_sorted(&self, key: &str) -> Option<&TomlEntry> {
        self.0
            .binary_search_by(|entry| entry.key.as_str().cmp(key))
            .ok()
            .and_then(|at| self.0.get(at))
    }

    /// Takes a key out.
    pub fn remove(&mut self, key: &str) -> Option<TomlEntry> {
        let at = self.0.iter().position(|entry| entry.key == key)?;
        Some(self.0.remove(at))
    }
}

impl TomlNode {
    /// Sorts all tables in it by key.
    pub(crate) fn sort_by_key(&mut self) {
        match &mut self.value {
            TomlValue::Table(table) => table.sort_by_key(),
            TomlValue::Array(items) => items.iter_mut().for_each(Self::sort_by_key),
            _ => {}
        }
    }

    /// The table that this is.
    #[must_use]
    pub fn as_table(&self) -> Option<&TomlTable> {
        match &self.value {
            TomlValue::Table(table) => Some(table),
            _ => None,
        }
    }

    /// The text that this is.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match &self.value {
            TomlValue::String(text) => Some(text),
            _ => None,
        }
    }
}
