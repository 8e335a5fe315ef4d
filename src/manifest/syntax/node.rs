//! A TOML document with the location of every key and value. It may come from several files,
//! because manifests inherit from each other and from fly.toml files, and an error must point at
//! the line that caused it.

use std::{ops::Range, path::PathBuf};

use toml::de::{DeTable, DeValue};

/// The files that a manifest was read from.
#[derive(Clone, Debug, Default)]
pub struct SourceFiles(Vec<SourceFile>);

/// A source file.
#[derive(Clone, Debug)]
pub struct SourceFile {
    /// Its path, as the user would write it.
    pub path: PathBuf,
    /// Its content.
    pub text: String,
    /// The byte offset of each line, so that a location is found without scanning the file.
    line_starts: Vec<usize>,
}

/// The index of a file in [`SourceFiles`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileId(usize);

/// A range of bytes in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceLocation {
    /// The file.
    pub file: FileId,
    /// The range.
    pub span: Range<usize>,
}

/// A value and its location.
#[derive(Clone, Debug, PartialEq)]
pub struct TomlNode {
    /// Its location.
    pub location: SourceLocation,
    /// The value itself.
    pub value: TomlValue,
}

/// A TOML value.
#[derive(Clone, Debug, PartialEq)]
pub enum TomlValue {
    /// A string.
    String(String),
    /// An integer.
    Integer(i64),
    /// A float.
    Float(f64),
    /// A boolean.
    Boolean(bool),
    /// An integer beyond 64 bits, as written.
    OutOfRange(String),
    /// A date or time, as written.
    Datetime(String),
    /// An array.
    Array(Vec<TomlNode>),
    /// A table.
    Table(TomlTable),
}

/// A table, in the order of the file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TomlTable(pub Vec<TomlEntry>);

/// A key and its value.
#[derive(Clone, Debug, PartialEq)]
pub struct TomlEntry {
    /// The key.
    pub key: String,
    /// The location of the key.
    pub key_location: SourceLocation,
    /// The value.
    pub node: TomlNode,
}

/// An error or a warning, and its location.
#[derive(Clone, Debug, PartialEq)]
pub struct Diagnostic {
    /// The message, a lower-case fragment.
    pub message: String,
    /// The location, unless it concerns the file as a whole.
    pub location: Option<SourceLocation>,
    /// A label at the location, such as `expected a number`.
    pub label: String,
    /// What to write instead.
    pub help: Option<String>,
}

impl SourceFiles {
    /// Adds a file.
    pub fn add(&mut self, path: PathBuf, text: String) -> FileId {
        let lines = [0]
            .into_iter()
            .chain(text.match_indices('\n').map(|(newline, _)| newline + 1))
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

    /// The paths of all files.
    pub fn paths(&self) -> impl Iterator<Item = &std::path::Path> {
        self.0.iter().map(|file| file.path.as_path())
    }

    /// Whether any of the files mentions a variable of this name.
    #[must_use]
    pub fn mentions_variable(&self, variable: &str) -> bool {
        let reference = format!("var.{variable}");
        self.0.iter().any(|file| file.text.contains(&reference))
    }

    /// The line and column of a location, both counted from one; columns count characters.
    #[must_use]
    pub fn line_column(&self, location: &SourceLocation) -> (usize, usize) {
        let SourceFile {
            text,
            line_starts: lines,
            ..
        } = self.get(location.file);
        let mut start = location.span.start.min(text.len());
        while !text.is_char_boundary(start) {
            start -= 1;
        }
        let line = lines.partition_point(|begin| *begin <= start).max(1);
        let begin = lines.get(line - 1).copied().unwrap_or_default();
        (line, text[begin..start].chars().count() + 1)
    }

    /// The text of the line that a location begins in, and its offset in the file.
    pub(crate) fn line_at(&self, location: &SourceLocation) -> (&str, usize) {
        let SourceFile {
            text,
            line_starts: lines,
            ..
        } = self.get(location.file);
        let line = lines
            .partition_point(|begin| *begin <= location.span.start)
            .max(1);
        let begin = lines.get(line - 1).copied().unwrap_or_default();
        let end = lines.get(line).map_or(text.len(), |next| next - 1);
        (&text[begin..end.max(begin)], begin)
    }

    /// Parses a file that was added: what could be parsed, and every syntax error.
    #[must_use]
    pub fn parse_toml(&self, file: FileId) -> (TomlNode, Vec<Diagnostic>) {
        let text = &self.get(file).text;
        let (table, errors) = DeTable::parse_recoverable(text);
        let locate = |span: Range<usize>| SourceLocation { file, span };
        let node = TomlNode {
            location: locate(table.span()),
            value: TomlValue::Table(convert_table(table.get_ref(), &locate)),
        };
        let errors = errors
            .iter()
            .map(|error| (error.span().unwrap_or(0..0), error.message()));
        (node, self.syntax_diagnostics(file, errors))
    }
}

impl SourceFiles {
    /// The diagnostics of a file that is not TOML. The parser goes on after an error, and may report
    /// the rest of a line as more of them; only the first error of a line is the user's.
    fn syntax_diagnostics<'e>(
        &self,
        file: FileId,
        errors: impl Iterator<Item = (Range<usize>, &'e str)>,
    ) -> Vec<Diagnostic> {
        let text = &self.get(file).text;
        let mut diagnostics = Vec::new();
        let mut last_line = 0;
        for (span, message) in errors {
            let location = SourceLocation { file, span };
            let (line, _) = self.line_column(&location);
            if line == last_line {
                continue;
            }
            last_line = line;
            if TEMPLATE_MARKS
                .iter()
                .any(|mark| self.line_at(&location).0.contains(mark))
            {
                return vec![Diagnostic {
                    message: "this is a template, not TOML".to_owned(),
                    location: Some(location),
                    label: String::new(),
                    help: Some("render it first, and name the file that it becomes".to_owned()),
                }];
            }
            diagnostics.push(Diagnostic {
                message: "this is not TOML".to_owned(),
                help: leading_zero_help(message, text, &location.span)
                    .or_else(|| is_unquoted_text(message).then(|| UNQUOTED_TEXT_HELP.to_owned())),
                location: Some(location),
                label: match is_unquoted_text(message) {
                    true => "this is no value".to_owned(),
                    false => message.to_owned(),
                },
            });
        }
        diagnostics
    }
}

/// What the usual template languages put around an expression.
const TEMPLATE_MARKS: [&str; 3] = ["{{", "{%", "<%"];

/// What to do about a word without quotes.
const UNQUOTED_TEXT_HELP: &str = "put text in quotes: \"…\"";

/// Whether the parser took a word without quotes for a number: `nginx:1` begins like `nan`.
fn is_unquoted_text(message: &str) -> bool {
    message.starts_with("invalid float, expected")
}

/// Help for a number that begins with a zero: most are text, such as the number of an AWS account.
fn leading_zero_help(message: &str, text: &str, span: &Range<usize>) -> Option<String> {
    if !message.contains("leading zero") {
        return None;
    }
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let before = text.get(..span.start)?;
    let start = before.trim_end_matches(is_part).len();
    let number = text.get(start..)?;
    let number = &number[..number.find(|c| !is_part(c)).unwrap_or(number.len())];
    Some(format!("put it in quotes: \"{number}\""))
}

fn convert_table(
    table: &DeTable<'_>,
    locate: &impl Fn(Range<usize>) -> SourceLocation,
) -> TomlTable {
    let entry = |(key, value): (&toml::Spanned<_>, &toml::Spanned<DeValue<'_>>)| {
        let text: &std::borrow::Cow<'_, str> = key.get_ref();
        TomlEntry {
            key: text.to_string(),
            key_location: locate(key.span()),
            node: TomlNode {
                location: locate(value.span()),
                value: convert_value(value.get_ref(), locate),
            },
        }
    };
    let mut entries: Vec<TomlEntry> = table.iter().map(entry).collect();
    entries.sort_by_key(|entry| entry.key_location.span.start);
    TomlTable(entries)
}

fn convert_value(
    value: &DeValue<'_>,
    locate: &impl Fn(Range<usize>) -> SourceLocation,
) -> TomlValue {
    match value {
        DeValue::String(text) => TomlValue::String(text.to_string()),
        DeValue::Integer(number) => {
            let parsed = i64::from_str_radix(&number.as_str().replace('_', ""), number.radix());
            parsed.map_or_else(
                |_| TomlValue::OutOfRange(number.to_string()),
                TomlValue::Integer,
            )
        }
        DeValue::Float(number) => number
            .as_str()
            .replace('_', "")
            .parse()
            .map_or_else(|_| TomlValue::String(number.to_string()), TomlValue::Float),
        DeValue::Boolean(boolean) => TomlValue::Boolean(*boolean),
        DeValue::Datetime(time) => TomlValue::Datetime(time.to_string()),
        DeValue::Array(list) => TomlValue::Array(
            list.iter()
                .map(|item| TomlNode {
                    location: locate(item.span()),
                    value: convert_value(item.get_ref(), locate),
                })
                .collect(),
        ),
        DeValue::Table(table) => TomlValue::Table(convert_table(table, locate)),
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

    /// Sorts this table and all below by key, for [`TomlTable::find_sorted`].
    pub(crate) fn sort_by_key(&mut self) {
        self.0.sort_by(|a, b| a.key.cmp(&b.key));
        self.0.iter_mut().for_each(|entry| entry.node.sort_by_key());
    }

    /// The entry of a key in a sorted table, by binary search.
    pub(crate) fn find_sorted(&self, key: &str) -> Option<&TomlEntry> {
        self.0
            .binary_search_by(|entry| entry.key.as_str().cmp(key))
            .ok()
            .and_then(|index| self.0.get(index))
    }

    /// Removes a key.
    pub fn remove(&mut self, key: &str) -> Option<TomlEntry> {
        let index = self.0.iter().position(|entry| entry.key == key)?;
        Some(self.0.remove(index))
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

    /// The value as a table, if it is one.
    #[must_use]
    pub fn as_table(&self) -> Option<&TomlTable> {
        match &self.value {
            TomlValue::Table(table) => Some(table),
            _ => None,
        }
    }

    /// The value as a string, if it is one.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match &self.value {
            TomlValue::String(text) => Some(text),
            _ => None,
        }
    }
}
