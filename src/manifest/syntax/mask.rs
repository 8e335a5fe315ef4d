//! Masks possible secrets in the source lines that messages show, and in the messages: a value in
//! plain text, one written where the name of its variable belongs, and one that this process knows.
//! In a source line every byte becomes a star, so that offsets stay the same.

use std::ops::Range;

use super::{
    node::{FileId, SourceFiles, TomlNode, TomlTable, TomlValue},
    secret_detection::{SECRET_PREFIXES, is_variable_name, looks_like_secret, takes_secret},
};
use crate::model::{redact, secret_spans};

/// The text of a file with all possible secrets masked.
pub(crate) fn mask_secrets(files: &SourceFiles, file: FileId) -> String {
    let text = &files.get(file).text;
    let mut spans = find_issued_keys(text);
    spans.extend(secret_spans(text));
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

/// A message, which may quote a value, without what looks like an issued key and without the secrets
/// that this process knows.
pub(crate) fn mask_message(message: &str) -> String {
    let mut out = redact(message);
    for span in find_issued_keys(message) {
        let key = &message[span];
        let key = key.split(['`', ' ']).next().unwrap_or(key);
        out = out.replace(key, "‹secret›");
    }
    out
}

/// Finds keys with a known prefix anywhere, even in a file that is not valid TOML.
fn find_issued_keys(text: &str) -> Vec<Range<usize>> {
    let mut spans = Vec::new();
    for prefix in SECRET_PREFIXES {
        let mut hidden = 0;
        for (start, _) in text.match_indices(prefix) {
            // Skip what is already masked: a line could contain a prefix at every third byte.
            if start < hidden {
                continue;
            }
            let fresh = text[..start]
                .chars()
                .next_back()
                .is_none_or(|before| !before.is_alphanumeric() && before != '-');
            if fresh {
                let end = text[start..]
                    .find(['"', '\'', '\n'])
                    .map_or(text.len(), |length| start + length);
                hidden = end;
                spans.push(start..end);
            }
        }
    }
    spans
}

/// Finds lines of an invalid TOML file whose key or value looks like a secret, and lines below
/// `secrets` that are not a source: the tree of such a file is incomplete.
fn find_suspect_lines(text: &str) -> Vec<Range<usize>> {
    let mut spans = Vec::new();
    let (mut start, mut context) = (0, false);
    for line in text.split_inclusive('\n') {
        let bare = line.trim();
        if bare.starts_with('[') && !bare.contains('=') {
            context = is_secrets_path(bare.trim_matches(['[', ']']));
        } else if let Some((key, value)) = line.split_once('=') {
            let bare = value.trim().trim_matches(['"', '\'']);
            let last = key.rsplit('.').next().unwrap_or_default();
            let below = context
                || is_secrets_path(key)
                || takes_secret(last.trim().trim_matches(['"', '\'']));
            let suspect = !bare.starts_with('{') && looks_like_secret(key.trim(), bare);
            if suspect || (below && !is_secret_source(value)) {
                spans.push(start + key.len() + 1..start + line.len());
            }
        } else if context && !bare.starts_with('#') {
            // A value that spans several lines.
            spans.push(start..start + line.len());
        }
        start += line.len();
    }
    spans
}

/// Whether a dotted key is in a `secrets` table. An app may be called `secrets` too.
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

/// Whether a value is only the source of a secret, such as `{ env = "NAME" }`, even if the line
/// ends early.
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

/// The keys of a secret's source; none of them holds the secret itself.
const SECRET_SOURCE_KEYS: [&str; 5] = ["env", "file", "dotenv", "key", "optional"];

/// Where in the document a value is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum MaskContext {
    /// Anywhere else.
    Anywhere,
    /// In the table of the apps, one of which may be called `secrets`.
    Apps,
    /// In a table called `secrets` (or nearly so), whose values are sources.
    Secrets,
    /// In the source of a secret or of the token.
    Source,
}

fn collect_table_spans(table: &TomlTable, context: MaskContext, spans: &mut Vec<Range<usize>>) {
    for entry in &table.0 {
        collect_node_spans(&entry.key, &entry.node, context, spans);
    }
}

fn collect_node_spans(
    key: &str,
    node: &TomlNode,
    context: MaskContext,
    spans: &mut Vec<Range<usize>>,
) {
    let is_table_of_tables = || {
        let entries = node.as_table().map(|table| table.0.as_slice());
        entries.is_some_and(|entries| entries.iter().all(|entry| entry.node.as_table().is_some()))
    };
    let takes_secret = context == MaskContext::Anywhere && takes_secret(key);
    let inner = match context {
        MaskContext::Anywhere if key == "secrets" => MaskContext::Secrets,
        MaskContext::Anywhere if key == "apps" => MaskContext::Apps,
        MaskContext::Anywhere if takes_secret && is_table_of_tables() => MaskContext::Secrets,
        MaskContext::Anywhere if takes_secret => MaskContext::Source,
        MaskContext::Anywhere | MaskContext::Apps => MaskContext::Anywhere,
        MaskContext::Secrets | MaskContext::Source => MaskContext::Source,
    };
    // A secret written in place of its source, or of the name of its variable.
    let misplaced = match context {
        MaskContext::Anywhere | MaskContext::Apps => takes_secret || inner == MaskContext::Secrets,
        MaskContext::Secrets => true,
        MaskContext::Source => !SECRET_SOURCE_KEYS.contains(&key),
    };
    match &node.value {
        TomlValue::Table(table) => collect_table_spans(table, inner, spans),
        TomlValue::Array(items) => items
            .iter()
            .for_each(|item| collect_node_spans(key, item, context, spans)),
        TomlValue::String(text) => {
            let misplaced = misplaced || (key == "env" && !is_variable_name(text));
            // JSON with variables of its own.
            let misplaced =
                misplaced || key == "machine_config" && text.trim_start().starts_with('{');
            // A reference names a value and is none.
            let is_reference = text.starts_with("${") && text.ends_with('}');
            if (misplaced && !is_reference) || looks_like_secret(key, text) {
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
    fn app_named_secrets_is_not_masked() {
        assert!(is_secrets_path("apps.web.secrets") && is_secrets_path("apps.secrets.secrets.X"));
        assert!(!is_secrets_path("apps.secrets") && !is_secrets_path("apps.secrets.env"));
    }

    /// The source as it is shown.
    fn shown(text: &str) -> String {
        let mut files = SourceFiles::default();
        let file = files.add("x.toml".into(), text.to_owned());
        mask_secrets(&files, file)
    }

    #[test]
    fn whatever_is_written_below_a_key_that_takes_a_secret_is_hidden() {
        for line in [
            "fly.token = \"abc\"",
            "fly.token = { value = \"abc\" }",
            "fly.tokn = \"abc\"",
            "apps.web.secrts = { A = \"abc\" }",
            "apps.web.secret = { A = { value = \"abc\" } }",
            "aws.secret_access_key = \"abc\"",
            "fly.token = \"abc",
            "fly.org = \"fo1_abc\"",
        ] {
            assert!(!shown(line).contains("abc"), "{line}: {}", shown(line));
        }
        for line in [
            "fly.token = { env = \"abc\" }",
            "apps.web.secrets.A = { env = \"abc\" }",
            "apps.web.files = [{ secret_name = \"abc\" }]",
            "apps.secrets.image = \"abc\"",
        ] {
            assert!(shown(line).contains("abc"), "{line}: {}", shown(line));
        }
    }

    #[test]
    fn a_secret_that_the_process_knows_is_hidden_wherever_it_stands() {
        crate::model::register_secret("veiled-value-of-a-test");
        assert!(!shown("fly.org = \"veiled-value-of-a-test\"").contains("veiled"));
        assert!(!shown("veiled-value-of-a-test = 1").contains("veiled"));
        assert_eq!(
            mask_message("`veiled-value-of-a-test` is not a slug, nor is `fm2_abc`"),
            "`‹secret›` is not a slug, nor is `‹secret›`"
        );
    }

    #[test]
    fn tells_secret_sources_from_values() {
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
