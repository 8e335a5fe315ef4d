//! Hides what may be a secret in the lines that messages show: a value in the open, or one written where the name of its
//! variable belongs. Every byte becomes a star, so that places stay where they are.

use std::ops::Range;

use super::{
    node::{FileId, Files, Node, Table, Value},
    sensitive::{SECRET_STARTS, is_key, looks_secret},
};

/// The text of a file as it may be shown.
pub(super) fn shown(files: &Files, file: FileId) -> String {
    let text = &files.get(file).text;
    let mut spans = issued_keys(text);
    let (root, errors) = files.parse(file);
    if !errors.is_empty() {
        spans.extend(suspect_lines(text));
    }
    if let Value::Table(table) = &root.value {
        in_table(table, "", &mut spans);
    }
    let mut bytes = text.clone().into_bytes();
    for span in spans {
        for byte in bytes.get_mut(span).into_iter().flatten() {
            if !matches!(byte, b'\n' | b'"' | b'\'') {
                *byte = b'*';
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_default()
}

/// Keys with a known beginning, wherever they stand, even in a file that is not TOML.
fn issued_keys(text: &str) -> Vec<Range<usize>> {
    let mut spans = Vec::new();
    for start in SECRET_STARTS {
        let mut hidden = 0;
        for (at, _) in text.match_indices(start) {
            // What is hidden is not looked through again: such a line could begin a key in every third byte.
            if at < hidden {
                continue;
            }
            let fresh = text[..at]
                .chars()
                .next_back()
                .is_none_or(|before| !before.is_alphanumeric() && before != '-');
            if fresh {
                let end = text[at..].find(['"', '\'', '\n']).map_or(text.len(), |length| at + length);
                hidden = end;
                spans.push(at..end);
            }
        }
    }
    spans
}

/// Lines of a file that is not TOML whose key or value looks like a secret: there the tree has holes.
fn suspect_lines(text: &str) -> Vec<Range<usize>> {
    let mut spans = Vec::new();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        if let Some((key, value)) = line.split_once('=') {
            let bare = value.trim().trim_matches(['"', '\'']);
            if !bare.starts_with('{') && looks_secret(key.trim(), bare) {
                spans.push(start + key.len() + 1..start + line.len());
            }
        }
        start += line.len();
    }
    spans
}

/// `within` is the key of the table that this one stands in.
fn in_table(table: &Table, within: &str, spans: &mut Vec<Range<usize>>) {
    for entry in &table.0 {
        in_node(&entry.key, &entry.node, within, spans);
    }
}

fn in_node(key: &str, node: &Node, within: &str, spans: &mut Vec<Range<usize>>) {
    match &node.value {
        Value::String(text) => {
            // `secrets.X = "…"`, and `{ env = "…" }` below `secrets` or `token` when it is no variable's name.
            let misplaced = within == "secrets" || (key == "env" && !is_key(text));
            // A whole document, with variables of its own.
            let misplaced = misplaced || key == "machine_config" && text.trim_start().starts_with('{');
            if misplaced || looks_secret(key, text) {
                spans.push(node.at.span.clone());
            }
        }
        Value::Table(table) => in_table(table, key, spans),
        Value::Array(items) => items.iter().for_each(|item| in_node(key, item, within, spans)),
        _ => {}
    }
}
