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
        in_table(table, Within::Open, &mut spans);
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
                let end = text[at..]
                    .find(['"', '\'', '\n'])
                    .map_or(text.len(), |length| at + length);
                hidden = end;
                spans.push(at..end);
            }
        }
    }
    spans
}

/// Lines of a file that is not TOML whose key or value looks like a secret, and whatever stands below `secrets` and does
/// not say where a value comes from: there the tree has holes.
fn suspect_lines(text: &str) -> Vec<Range<usize>> {
    let mut spans = Vec::new();
    let (mut start, mut within) = (0, false);
    for line in text.split_inclusive('\n') {
        let bare = line.trim();
        if bare.starts_with('[') && !bare.contains('=') {
            within = names_secrets(bare.trim_matches(['[', ']']));
        } else if let Some((key, value)) = line.split_once('=') {
            let bare = value.trim().trim_matches(['"', '\'']);
            let below = within || names_secrets(key);
            let suspect = !bare.starts_with('{') && looks_secret(key.trim(), bare);
            if suspect || (below && !says_where(value)) {
                spans.push(start + key.len() + 1..start + line.len());
            }
        } else if within && !bare.starts_with('#') {
            // A value that goes over several lines.
            spans.push(start..start + line.len());
        }
        start += line.len();
    }
    spans
}

/// Whether a dotted key leads below `secrets`, which an app may be called as well.
fn names_secrets(key: &str) -> bool {
    let mut before = "";
    key.split('.')
        .map(|part| part.trim().trim_matches(['"', '\'']))
        .any(|part| {
            let found = part == "secrets" && before != "apps";
            before = part;
            found
        })
}

/// Whether a line's value is no more than the sources of a secret, as `{ env = "NAME" }`, even where it breaks off.
fn says_where(value: &str) -> bool {
    let value = value.split(" #").next().unwrap_or_default().trim();
    let Some(inner) = value.strip_prefix('{') else {
        return matches!(value, "true" | "false");
    };
    inner
        .trim_end_matches('}')
        .split(',')
        .all(|part| match part.split_once('=') {
            None => part.trim().is_empty(),
            Some((key, value)) => {
                let bare = value.trim().trim_matches(['"', '\'']);
                SOURCES.contains(&key.trim()) && (key.trim() != "env" || is_key(bare))
            }
        })
}

/// What a secret's source is said with; none of it is the value.
const SOURCES: [&str; 5] = ["env", "file", "dotenv", "key", "optional"];

/// Where a value stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Within {
    /// Anywhere.
    Open,
    /// In the table of the apps, one of which may be called `secrets`.
    Apps,
    /// In a table called `secrets`: what stands here is a source.
    Secrets,
    /// In the source of a secret.
    Source,
}

fn in_table(table: &Table, within: Within, spans: &mut Vec<Range<usize>>) {
    for entry in &table.0 {
        in_node(&entry.key, &entry.node, within, spans);
    }
}

fn in_node(key: &str, node: &Node, within: Within, spans: &mut Vec<Range<usize>>) {
    let inner = match within {
        Within::Open if key == "secrets" => Within::Secrets,
        Within::Open if key == "apps" => Within::Apps,
        Within::Open | Within::Apps => Within::Open,
        Within::Secrets | Within::Source => Within::Source,
    };
    // The value itself where its source belongs, or a name's place taken by it.
    let misplaced = match within {
        Within::Open | Within::Apps => inner == Within::Secrets,
        Within::Secrets => true,
        Within::Source => !SOURCES.contains(&key),
    };
    match &node.value {
        Value::Table(table) => in_table(table, inner, spans),
        Value::Array(items) => items
            .iter()
            .for_each(|item| in_node(key, item, within, spans)),
        Value::String(text) => {
            let misplaced = misplaced || (key == "env" && !is_key(text));
            // A whole document, with variables of its own.
            let misplaced =
                misplaced || key == "machine_config" && text.trim_start().starts_with('{');
            if misplaced || looks_secret(key, text) {
                spans.push(node.at.span.clone());
            }
        }
        _ if misplaced => spans.push(node.at.span.clone()),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_app_may_be_called_secrets() {
        assert!(names_secrets("apps.web.secrets") && names_secrets("apps.secrets.secrets.X"));
        assert!(!names_secrets("apps.secrets") && !names_secrets("apps.secrets.env"));
    }

    #[test]
    fn a_source_stays_in_sight_and_a_value_does_not() {
        for source in [
            " { env = \"NAME\" }",
            "{ dotenv = \".env\", key = 'K'",
            "{ file = \"k\" } # why",
        ] {
            assert!(says_where(source), "{source}");
        }
        for value in [
            " \"v\"",
            "v",
            "{ value = \"v\" }",
            "{ env = \"a-b\" }",
            "{ v",
            "[\"v\"]",
        ] {
            assert!(!says_where(value), "{value}");
        }
    }
}
