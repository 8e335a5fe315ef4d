//! Checks tags against the rules of S3 and IAM.

use std::collections::{BTreeMap, BTreeSet};

use crate::manifest::{lower::Diagnostics, syntax::cursor::Cursor};

/// The maximum length of a tag's key and value. S3 counts UTF-16 units, which is never less than
/// IAM's count of characters.
const TAG_KEY_MAX: usize = 128;
const TAG_VALUE_MAX: usize = 256;
/// AWS allows fifty tags. Five are trimtab's, and five are left for other tools.
const MAX_TAGS: usize = 40;

/// The service whose rules apply.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum TagRules {
    /// Keys are case-sensitive.
    S3,
    /// Keys that differ only in case are the same ("Tags for IAM resources", "Case sensitivity").
    Iam,
}

/// Checks tags against the rules of a service.
pub(super) fn check_tags(
    tags: &BTreeMap<String, String>,
    keeper: TagRules,
    cursor: Cursor<'_>,
    diagnostics: &mut Diagnostics,
) {
    let mut taken = BTreeSet::new();
    for (key, value) in tags {
        if let Some(help) = invalid_tag_help(key, value) {
            diagnostics.error(
                cursor
                    .key(key)
                    .key_diagnostic(format!("`{key}` cannot be this tag"))
                    .with_help(help),
            );
        }
        if keeper == TagRules::Iam && !taken.insert(key.to_lowercase()) {
            let diagnostic = cursor
                .key(key)
                .key_diagnostic(format!("`{key}` differs from another tag only in case"));
            diagnostics.error(
                diagnostic.with_help("IAM ignores case and refuses duplicate tags: leave one out"),
            );
        }
    }
    // Trimtab remembers these keys in a tag of its own, separated by spaces.
    let names: usize = tags.keys().map(|key| utf16_len(key) + 1).sum();
    if tags.len() > MAX_TAGS || names > TAG_VALUE_MAX + 1 {
        let diagnostic = cursor.diagnostic("these are too many tags");
        let help = format!(
            "{MAX_TAGS} at most, with names of {TAG_VALUE_MAX} characters together: trimtab remembers them in a tag"
        );
        diagnostics.error(diagnostic.with_help(help));
    }
}

fn utf16_len(text: &str) -> usize {
    text.encode_utf16().count()
}

/// The rule that a tag breaks, if any.
fn invalid_tag_help(key: &str, value: &str) -> Option<&'static str> {
    let is_allowed = |c: char| c.is_alphanumeric() || "_.:/=+-@".contains(c);
    let small = key.to_lowercase();
    if small.starts_with("trimtab_") || small.starts_with("aws:") {
        Some("names that begin with `trimtab_` or `aws:` are taken")
    } else if key.is_empty() || utf16_len(key) > TAG_KEY_MAX || !key.chars().all(is_allowed) {
        Some("a tag's name has letters, digits and `_.:/=+-@`, and at most 128 of them")
    } else if utf16_len(value) > TAG_VALUE_MAX || !value.chars().all(|c| is_allowed(c) || c == ' ')
    {
        Some("a tag's value has letters, digits, spaces and `_.:/=+-@`, and at most 256 of them")
    } else {
        None
    }
}
