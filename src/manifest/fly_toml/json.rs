//! Parses fly.json and keeps the location of every value. serde_json checks the syntax and reports
//! the line and column; a second pass over the text, by then known to be valid, finds where each
//! value is.

use std::collections::BTreeMap;

use crate::manifest::{
    fly_toml::empty_node,
    syntax::node::{
        Diagnostic, FileId, SourceFiles, SourceLocation, TomlEntry, TomlNode, TomlTable, TomlValue,
    },
};

/// Parses a fly.json: its tree, and the syntax error if there is one.
///
/// A `null` counts as absent. When a key appears twice the last one counts, as in Go.
#[must_use]
pub fn parse_json(files: &SourceFiles, file: FileId) -> (TomlNode, Vec<Diagnostic>) {
    let text = &files.get(file).text;
    if let Err(error) = serde_json::from_str::<serde_json::Value>(text) {
        let start = byte_offset(text, error.line(), error.column());
        let diagnostic = Diagnostic {
            message: "this is not JSON".to_owned(),
            location: Some(SourceLocation {
                file,
                span: start..start,
            }),
            label: error.to_string(),
            help: None,
        };
        return (empty_node(file), vec![diagnostic]);
    }
    let mut walk = JsonParser {
        file,
        text,
        position: 0,
    };
    let node = walk
        .parse_node(MAX_DEPTH)
        .unwrap_or_else(|| empty_node(file));
    (node, Vec::new())
}

/// serde_json refuses deeper nesting. The second pass has the same limit, so that no text can
/// exhaust the stack.
const MAX_DEPTH: usize = 129;

/// The byte offset of a line and column, both counted from one, the column in bytes.
fn byte_offset(text: &str, line: usize, column: usize) -> usize {
    let start: usize = text
        .split_inclusive('\n')
        .take(line.saturating_sub(1))
        .map(str::len)
        .sum();
    (start + column.saturating_sub(1)).min(text.len())
}

/// A recursive-descent parser over a text that is known to be valid JSON.
struct JsonParser<'a> {
    file: FileId,
    text: &'a str,
    position: usize,
}

impl JsonParser<'_> {
    /// The next value; `None` for `null`, and where the text is not JSON after all.
    fn parse_node(&mut self, depth: usize) -> Option<TomlNode> {
        self.skip_whitespace();
        let start = self.position;
        let Some(depth) = depth.checked_sub(1) else {
            self.position = self.text.len();
            return None;
        };
        let value = match self.peek()? {
            b'{' => Some(self.parse_object(depth)),
            b'[' => Some(self.parse_array(depth)),
            b'"' => self.parse_string().map(TomlValue::String),
            _ => self.parse_scalar(),
        };
        Some(TomlNode {
            location: self.location_from(start),
            value: value?,
        })
    }

    fn parse_object(&mut self, depth: usize) -> TomlValue {
        let mut entries = Vec::new();
        // The last value of a key counts, even when it is `null`.
        let mut last = BTreeMap::new();
        self.position += 1;
        while self.advance_to_item(b'}') {
            let start = self.position;
            let Some(key) = self.parse_string() else {
                break;
            };
            let key_location = self.location_from(start);
            self.skip_whitespace();
            self.position += 1; // the colon
            last.insert(key.clone(), start);
            if let Some(node) = self.parse_node(depth) {
                entries.push((
                    start,
                    TomlEntry {
                        key,
                        key_location,
                        node,
                    },
                ));
            }
        }
        entries.retain(|(start, entry)| last.get(&entry.key) == Some(start));
        TomlValue::Table(TomlTable(
            entries.into_iter().map(|(_, entry)| entry).collect(),
        ))
    }

    fn parse_array(&mut self, depth: usize) -> TomlValue {
        let mut items = Vec::new();
        self.position += 1;
        while self.advance_to_item(b']') {
            items.extend(self.parse_node(depth));
        }
        TomlValue::Array(items)
    }

    /// Moves to the next item and returns true, or past the closing bracket and returns false.
    fn advance_to_item(&mut self, end: u8) -> bool {
        self.skip_whitespace();
        if self.peek() == Some(b',') {
            self.position += 1;
            self.skip_whitespace();
        }
        match self.peek() {
            Some(byte) if byte != end => true,
            _ => {
                self.position += 1;
                false
            }
        }
    }

    fn parse_string(&mut self) -> Option<String> {
        let start = self.position;
        self.position += 1;
        while self.peek()? != b'"' {
            self.position += 1 + usize::from(self.peek() == Some(b'\\'));
        }
        self.position += 1;
        serde_json::from_str(self.text.get(start..self.position)?).ok()
    }

    fn parse_scalar(&mut self) -> Option<TomlValue> {
        let rest = self.text.get(self.position..)?;
        let end = rest.find([',', '}', ']', ' ', '\t', '\r', '\n']);
        let word = &rest[..end.unwrap_or(rest.len())];
        // Always advance, so that no text can loop forever.
        self.position += word.len().max(1);
        match word {
            "null" => None,
            "true" | "false" => Some(TomlValue::Boolean(word == "true")),
            _ => word
                .parse()
                .map(TomlValue::Integer)
                .or_else(|_| word.parse().map(TomlValue::Float))
                .ok(),
        }
    }

    fn skip_whitespace(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_whitespace()) {
            self.position += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.position).copied()
    }

    fn location_from(&self, start: usize) -> SourceLocation {
        SourceLocation {
            file: self.file,
            span: start..self.position.min(self.text.len()),
        }
    }
}
