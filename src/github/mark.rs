//! The first line of a comment or an issue that trimtab wrote: an HTML comment, which readers do not see. By it a later run
//! finds its own text again, and `apply` finds the ids of the plans that were reviewed.
//!
//! It stands at the top, where a text that is cut does not lose it. It never tells who wrote a text: whoever reads it checks the
//! author.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// What comes before the JSON. The version changes when older versions can no longer read it.
const PREFIX: &str = "<!-- trimtab v1 ";
const SUFFIX: &str = " -->";

/// What a text is about. Each pull request has at most one comment of each kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MarkKind {
    /// The plans of a pull request.
    Plan,
    /// The result of the apply of a merged pull request.
    Apply,
    /// The issue about drift.
    Drift,
}

/// The mark of a text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommentMark {
    /// What the text is about.
    pub kind: MarkKind,
    /// The id of the repository: marks are copied when a repository is.
    #[serde(rename = "repo")]
    pub repository_id: u64,
    /// The project, as the manifests call it; empty where none could be read.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub project: String,
    /// The environments that the text is about.
    #[serde(default, rename = "envs", skip_serializing_if = "BTreeSet::is_empty")]
    pub environments: BTreeSet<String>,
    /// The newest commit of the pull request.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub head: String,
    /// The run that wrote it.
    #[serde(rename = "run")]
    pub run_id: u64,
    /// The ids of the plans, by environment.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub expect: BTreeMap<String, String>,
    /// Short hashes of what differs, in the issue about drift.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<String>,
}

impl CommentMark {
    /// A mark without ids and items.
    #[must_use]
    pub fn new(kind: MarkKind, repository_id: u64, run_id: u64) -> Self {
        Self {
            kind,
            repository_id,
            project: String::new(),
            environments: BTreeSet::new(),
            head: String::new(),
            run_id,
            expect: BTreeMap::new(),
            items: Vec::new(),
        }
    }

    /// Whether both are marks of the same text, at different times. Runs that look at different environments, or at the manifests of
    /// different projects in one repository, write different texts.
    #[must_use]
    pub fn is_about_same(&self, other: &Self) -> bool {
        let is_same_project =
            self.project == other.project || self.project.is_empty() || other.project.is_empty();
        let overlaps = self.environments.is_empty() && other.environments.is_empty()
            || !self.environments.is_disjoint(&other.environments);
        self.kind == other.kind
            && self.repository_id == other.repository_id
            && is_same_project
            && overlaps
    }

    /// The line, without a line break.
    #[must_use]
    pub fn to_line(&self) -> String {
        let json = serde_json::to_string(self).unwrap_or_default();
        // Two hyphens could end the HTML comment. In JSON they and the bracket can only be in a string, where they may be escaped.
        let json = json.replace("--", "-\\u002d").replace('>', "\\u003e");
        format!("{PREFIX}{json}{SUFFIX}")
    }

    /// Reads the mark of a text, if its first line is one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let line = text.lines().next()?.trim_end();
        let json = line.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?;
        serde_json::from_str(json).ok()
    }
}

/// The text of a comment without its mark.
pub(super) fn without_mark(text: &str) -> &str {
    match text.split_once('\n') {
        Some((first, rest)) if first.starts_with(PREFIX) => rest,
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_back_and_cannot_be_ended_from_inside() {
        let mut mark = CommentMark::new(MarkKind::Plan, 7, 12);
        mark.head = "abc".to_owned();
        mark.expect
            .insert("a--> <b>---".to_owned(), "3f2c.x-_--y".to_owned());
        let line = mark.to_line();
        assert_eq!(line.matches("-->").count(), 1);
        assert_eq!(line.matches("--").count(), 2);
        assert_eq!(CommentMark::parse(&format!("{line}\r\ntext")), Some(mark));
    }

    #[test]
    fn texts_about_other_environments_or_projects_are_others() {
        let mark = |project: &str, environments: &[&str]| {
            let mut mark = CommentMark::new(MarkKind::Plan, 7, 1);
            mark.project = project.to_owned();
            mark.environments = environments.iter().map(ToString::to_string).collect();
            mark
        };
        let old = mark("shop", &["staging", "production"]);
        assert!(old.is_about_same(&mark("shop", &["staging", "new"])));
        assert!(old.is_about_same(&mark("", &["staging"])));
        assert!(!old.is_about_same(&mark("shop", &["review"])));
        assert!(!old.is_about_same(&mark("blog", &["staging"])));
    }

    #[test]
    fn other_comments_have_no_mark() {
        for text in [
            "",
            "hello",
            "<!-- trimtab v2 {} -->",
            "<!-- trimtab v1 {} -->",
            "\n<!-- trimtab v1 ",
        ] {
            assert_eq!(CommentMark::parse(text), None, "{text}");
        }
    }
}
