//! Hides what may be a secret in the lines that messages show: a value in the open, or one written where the name of its
//! variable belongs. Every byte becomes a star, so that places stay where they are.

use std::ops::Range;

use super::{
    node::{FileId, SourceFiles, TomlNode, TomlTable, TomlValue},
    secret_detection::{SECRET_PREFIXES, is_variable_name, looks_like_secret},
};

/// The text of a file as it may be shown.
pub(crate) fn mask_secrets(files: &SourceFiles, file: FileId) -> String {
    let text = &files.get(file).text;
    let mut spans = find_issued_keys(text);
    let (root, errors) = files.parse_toml(file);
    if !errors.is_empty() {
        spans.extend(find_suspect_lines(text));
    }
    if let TomlValue::Table(table) = &root.value {
        collect_table_spans(table, MaskContext::Anywhere, &mut spans);
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
fn find_issued_keys(text: &str) -> Vec<Range<usize>> {
    let mut spans = Vec::new();
    for start in SECRET_PREFIXES {
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
fn find_suspect_lines(text: &str) -> Vec<Range<usize>> {
    let mut spans = Vec::new();
    let (mut start, mut within) = (0, false);
    for line in text.split_inclusive('\n') {
        let bare = line.trim();
        if bare.starts_with('[') && !bare.contains('=') {
            within = is_secrets_path(bare.trim_matches(['[', ']']));
        } else if let Some((key, value)) = line.split_once('=') {
            let bare = value.trim().trim_matches(['"', '\'']);
            let below = within || is_secrets_path(key);
            let suspect = !bare.starts_with('{') && looks_like_secret(key.trim(), bare);
            if suspect || (below && !is_secret_source(value)) {
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
fn is_secrets_path(key: &str) -> bool {
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
fn is_secret_source(value: &str) -> bool {
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
                SECRET_SOURCE_KEYS.contains(&key.trim())
                    && (key.trim() != "env" || is_variable_name(bare))
            }
        })
}

/// What a secret's source is said with; none of it is the value.
const SECRET_SOURCE_KEYS: [&str; 5] = ["env", "file", "dotenv", "key", "optional"];

/// Where a value stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum MaskContext {
    /// Anywhere.
    Anywhere,
    /// In the table of the apps, one of which may be called `secrets`.
    Apps,
    /// In a table called `secrets`: what stands here is a source.
    Secrets,
    /// In the source of a secret.
    Source,
}

fn collect_table_spans(table: &TomlTable, within: MaskContext, spans: &mut Vec<Range<usize>>) {
    for entry in &table.0 {
        collect_node_spans(&entry.key, &entry.node, within, spans);
    }
}

fn collect_node_spans(
    key: &str,
    node: &TomlNode,
    within: MaskContext,
    spans: &mut Vec<Range<usize>>,
) {
    let inner = match within {
        MaskContext::Anywhere if key == "secrets" => MaskContext::Secrets,
        MaskContext::Anywhere if key == "apps" => MaskContext::Apps,
        MaskContext::Anywhere | MaskContext::Apps => MaskContext::Anywhere,
        MaskContext::Secrets | MaskContext::Source => MaskContext::Source,
    };
    // The value itself where its source belongs, or a name's place taken by it.
    let misplaced = match within {
        MaskContext::Anywhere | MaskContext::Apps => inner == MaskContext::Secrets,
        MaskContext::Secrets => true,
        MaskContext::Source => !SECRET_SOURCE_KEYS.contains(&key),
    };
    match &node.value {
        TomlValue::Table(table) => collect_table_spans(table, inner, spans),
        TomlValue::Array(items) => items
            .iter()
            .for_each(|item| collect_node_spans(key, item, within, spans)),
        TomlValue::String(text) => {
            let misplaced = misplaced || (key == "env" && !is_variable_name(text));
            // A whole document, with variables of its own.
            let misplaced =
                misplaced || key == "machine_config" && text.trim_start().starts_with('{');
            if misplaced || looks_like_secret(key, text) {
                spans.push(node.location.span.clone());
            }
        }
        _ if misplaced => spans.push(node.location.span.clone()),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_app_may_be_called_secrets() {
        assert!(is_secrets_path("apps.web.secrets") && is_secrets_path("apps.secrets.secrets.X"));
        assert!(!is_secrets_path("apps.secrets") && !is_secrets_path("apps.secrets.env"));
    }

    #[test]
    fn a_source_stays_in_sight_and_a_value_does_not() {
        for source in [
            " { env = \"NAME\" }",
            "{ dotenv = \".env\", key = 'K'",
            "{ file = \"k\" } # why",
        ] {
            assert!(is_secret_source(source), "{source}");
        }
        for value in [
            " \"v\"",
            "v",
            "{ value = \"v\" }",
            "{ env = \"a-b\" }",
            "{ v",
            "[\"v\"]",
        ] {
            assert!(!is_secret_source(value), "{value}");
        }
    }
}
