//! fly.json with places. serde_json judges the syntax, with line and column; then a walk over text that is known to be
//! right finds where each value stands.

use std::collections::BTreeMap;

use crate::manifest::{
    fly_toml::empty,
    node::{Entry, FileId, Files, Node, Place, Problem, Table, Value},
};

/// Parses a fly.json: its tree, and the syntax error if there is one.
///
/// A `null` counts as absent. Of a key that stands twice, the last one counts, as in Go.
#[must_use]
pub fn parse_json(files: &Files, file: FileId) -> (Node, Vec<Problem>) {
    let text = &files.get(file).text;
    if let Err(error) = serde_json::from_str::<serde_json::Value>(text) {
        let start = offset(text, error.line(), error.column());
        let problem = Problem {
            message: "this is not JSON".to_owned(),
            at: Some(Place {
                file,
                span: start..start,
            }),
            label: error.to_string(),
            help: None,
        };
        return (empty(file), vec![problem]);
    }
    let mut walk = Walk { file, text, at: 0 };
    let node = walk.node(DEEPEST).unwrap_or_else(|| empty(file));
    (node, Vec::new())
}

/// serde_json itself refuses nesting beyond this; the walk says it again so that no text can exhaust the stack.
const DEEPEST: usize = 129;

/// Where a line and column stand in a text, both counted from one, the column in bytes.
fn offset(text: &str, line: usize, column: usize) -> usize {
    let start: usize = text
        .split_inclusive('\n')
        .take(line.saturating_sub(1))
        .map(str::len)
        .sum();
    (start + column.saturating_sub(1)).min(text.len())
}

/// A position in a text that is known to be JSON.
struct Walk<'a> {
    file: FileId,
    text: &'a str,
    at: usize,
}

impl Walk<'_> {
    /// The next value; `None` for `null` and where the text is no JSON after all.
    fn node(&mut self, depth: usize) -> Option<Node> {
        self.blank();
        let start = self.at;
        let Some(depth) = depth.checked_sub(1) else {
            self.at = self.text.len();
            return None;
        };
        let value = match self.peek()? {
            b'{' => Some(self.table(depth)),
            b'[' => Some(self.array(depth)),
            b'"' => self.string().map(Value::String),
            _ => self.scalar(),
        };
        Some(Node {
            at: self.place(start),
            value: value?,
        })
    }

    fn table(&mut self, depth: usize) -> Value {
        let mut entries = Vec::new();
        // The last one of a key counts, also when that is `null`.
        let mut last = BTreeMap::new();
        self.at += 1;
        while self.more(b'}') {
            let start = self.at;
            let Some(key) = self.string() else { break };
            let key_at = self.place(start);
            self.blank();
            self.at += 1; // the colon
            last.insert(key.clone(), start);
            if let Some(node) = self.node(depth) {
                entries.push((start, Entry { key, key_at, node }));
            }
        }
        entries.retain(|(start, entry)| last.get(&entry.key) == Some(start));
        Value::Table(Table(entries.into_iter().map(|(_, entry)| entry).collect()))
    }

    fn array(&mut self, depth: usize) -> Value {
        let mut items = Vec::new();
        self.at += 1;
        while self.more(b']') {
            items.extend(self.node(depth));
        }
        Value::Array(items)
    }

    /// Steps to the next item, or over the end.
    fn more(&mut self, end: u8) -> bool {
        self.blank();
        if self.peek() == Some(b',') {
            self.at += 1;
            self.blank();
        }
        match self.peek() {
            Some(byte) if byte != end => true,
            _ => {
                self.at += 1;
                false
            }
        }
    }

    fn string(&mut self) -> Option<String> {
        let start = self.at;
        self.at += 1;
        while self.peek()? != b'"' {
            self.at += 1 + usize::from(self.peek() == Some(b'\\'));
        }
        self.at += 1;
        serde_json::from_str(self.text.get(start..self.at)?).ok()
    }

    fn scalar(&mut self) -> Option<Value> {
        let rest = self.text.get(self.at..)?;
        let end = rest.find([',', '}', ']', ' ', '\t', '\r', '\n']);
        let word = &rest[..end.unwrap_or(rest.len())];
        // Always a step forward, so that no text can hold the walk in place.
        self.at += word.len().max(1);
        match word {
            "null" => None,
            "true" | "false" => Some(Value::Boolean(word == "true")),
            _ => word
                .parse()
                .map(Value::Integer)
                .or_else(|_| word.parse().map(Value::Float))
                .ok(),
        }
    }

    fn blank(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_whitespace()) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn place(&self, start: usize) -> Place {
        Place {
            file: self.file,
            span: start..self.at.min(self.text.len()),
        }
    }
}
