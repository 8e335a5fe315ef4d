//! Tags, as S3 and IAM take them.

use std::collections::{BTreeMap, BTreeSet};

use crate::manifest::{lower::Sink, spot::Spot};

/// How long a tag's name, and its value, may be. S3 counts in UTF-16, which is never less than IAM's count of characters.
const KEY_MAX: usize = 128;
const VALUE_MAX: usize = 256;
/// AWS takes fifty. Five are ours, and as many are left to whoever else tags what we made.
const MOST: usize = 40;

/// Who keeps the tags.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Keeper {
    /// `team` and `Team` are two tags.
    S3,
    /// They are one ("Tags for IAM resources", "Case sensitivity").
    Iam,
}

/// Says which tags the keeper would refuse.
pub(super) fn check(
    tags: &BTreeMap<String, String>,
    keeper: Keeper,
    at: Spot<'_>,
    sink: &mut Sink,
) {
    let mut taken = BTreeSet::new();
    for (key, value) in tags {
        if let Some(help) = wrong(key, value) {
            sink.error(
                at.key(key)
                    .key_problem(format!("`{key}` cannot be this tag"))
                    .help(help),
            );
        }
        if keeper == Keeper::Iam && !taken.insert(key.to_lowercase()) {
            let problem = at
                .key(key)
                .key_problem(format!("`{key}` is another tag's name in other letters"));
            sink.error(
                problem.help("to IAM both are one tag, and it takes neither: leave one out"),
            );
        }
    }
    // Their names stand in a tag of ours, with spaces between them.
    let names: usize = tags.keys().map(|key| length(key) + 1).sum();
    if tags.len() > MOST || names > VALUE_MAX + 1 {
        let problem = at.problem("these are too many tags");
        let help = format!(
            "{MOST} at most, with names of {VALUE_MAX} characters together: trimtab remembers them in a tag"
        );
        sink.error(problem.help(help));
    }
}

fn length(text: &str) -> usize {
    text.encode_utf16().count()
}

/// What is wrong with one.
fn wrong(key: &str, value: &str) -> Option<&'static str> {
    let fits = |c: char| c.is_alphanumeric() || "_.:/=+-@".contains(c);
    let small = key.to_lowercase();
    if small.starts_with("trimtab_") || small.starts_with("aws:") {
        Some("names that begin with `trimtab_` or `aws:` are taken")
    } else if key.is_empty() || length(key) > KEY_MAX || !key.chars().all(fits) {
        Some("a tag's name has letters, digits and `_.:/=+-@`, and at most 128 of them")
    } else if length(value) > VALUE_MAX || !value.chars().all(|c| fits(c) || c == ' ') {
        Some("a tag's value has letters, digits, spaces and `_.:/=+-@`, and at most 256 of them")
    } else {
        None
    }
}
