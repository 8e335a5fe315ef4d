//! Tags, as S3 and IAM take them.

use std::collections::{BTreeMap, BTreeSet};

use crate::manifest::{lower::Diagnostics, syntax::cursor::Cursor};

/// How long a tag's name, and its value, may be. S3 counts in UTF-16, which is never less than IAM's count of characters.
const TAG_KEY_MAX: usize = 128;
const TAG_VALUE_MAX: usize = 256;
/// AWS takes fifty. Five are ours, and as many are left to whoever else tags what we made.
const MAX_TAGS: usize = 40;

/// Who keeps the tags.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum TagRules {
    /// `team` and `Team` are two tags.
    S3,
    /// They are one ("Tags for IAM resources", "Case sensitivity").
    Iam,
}

/// Says which tags the keeper would refuse.
pub(super) fn check_tags(
    tags: &BTreeMap<String, String>,
    keeper: TagRules,
    at: Cursor<'_>,
    sink: &mut Diagnostics,
) {
    let mut taken = BTreeSet::new();
    for (key, value) in tags {
        if let Some(help) = invalid_tag_help(key, value) {
            sink.error(
                at.key(key)
                    .key_diagnostic(format!("`{key}` cannot be this tag"))
                    .with_help(help),
            );
        }
        if keeper == TagRules::Iam && !taken.insert(key.to_lowercase()) {
            let problem = at
                .key(key)
                .key_diagnostic(format!("`{key}` is another tag's name in other letters"));
            sink.error(
                problem.with_help("to IAM both are one tag, and it takes neither: leave one out"),
            );
        }
    }
    // Their names stand in a tag of ours, with spaces between them.
    let names: usize = tags.keys().map(|key| utf16_len(key) + 1).sum();
    if tags.len() > MAX_TAGS || names > TAG_VALUE_MAX + 1 {
        let problem = at.diagnostic("these are too many tags");
        let help = format!(
            "{MAX_TAGS} at most, with names of {TAG_VALUE_MAX} characters together: trimtab remembers them in a tag"
        );
        sink.error(problem.with_help(help));
    }
}

fn utf16_len(text: &str) -> usize {
    text.encode_utf16().count()
}

/// What is wrong with one.
fn invalid_tag_help(key: &str, value: &str) -> Option<&'static str> {
    let fits = |c: char| c.is_alphanumeric() || "_.:/=+-@".contains(c);
    let small = key.to_lowercase();
    if small.starts_with("trimtab_") || small.starts_with("aws:") {
        Some("names that begin with `trimtab_` or `aws:` are taken")
    } else if key.is_empty() || utf16_len(key) > TAG_KEY_MAX || !key.chars().all(fits) {
        Some("a tag's name has letters, digits and `_.:/=+-@`, and at most 128 of them")
    } else if utf16_len(value) > TAG_VALUE_MAX || !value.chars().all(|c| fits(c) || c == ' ') {
        Some("a tag's value has letters, digits, spaces and `_.:/=+-@`, and at most 256 of them")
    } else {
        None
    }
}
