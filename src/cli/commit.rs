//! The message of the commit that a pipeline runs for, for `--skip-if-message`. An unknown message is an error: to deploy
//! or not to deploy by chance is wrong either way.

use std::path::Path;

use serde_json::Value;

use super::{
    CommandError,
    env_vars::{EnvVars, names},
    github::read_event,
};
use crate::ops::git::{self, GitError};

/// The variable with the name of that event.
const GITHUB_EVENT_NAME: &str = "GITHUB_EVENT_NAME";
/// The most commits that GitHub lists in the event of a push (its documentation of the `push` webhook).
const MAX_EVENT_COMMITS: usize = 2048;
/// How many characters of a commit id are shown.
const SHORT_ID_LEN: usize = 12;
/// What to do when the message is unknown.
const UNKNOWN_MESSAGE_HINT: &str = "run it in a git checkout, or leave --skip-if-message out";

/// The commit, or the pull request, that a run is for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Commit {
    /// A description: `commit 0a1b2c3d4e5f`, or `pull request 42`.
    pub(super) description: String,
    /// The whole message.
    message: String,
}

/// A text that is searched for in a commit message.
#[derive(Clone, Debug)]
pub(super) struct SkipPattern(String);

impl SkipPattern {
    /// Parses a pattern of the command line.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text
            .trim_matches(|c: char| c == '*' || c.is_whitespace())
            .is_empty()
        {
            return Err("it would skip every commit".to_owned());
        }
        Ok(Self(text.to_owned()))
    }

    /// Whether it matches: anywhere in the message, or, with a `*` in it, the whole first line. Case does not matter.
    fn matches(&self, message: &str) -> bool {
        let (pattern, message) = (self.0.to_lowercase(), message.to_lowercase());
        if !pattern.contains('*') {
            return message.contains(&pattern);
        }
        let subject = message
            .trim_start()
            .lines()
            .next()
            .unwrap_or_default()
            .trim_end();
        let mut parts = pattern.split('*');
        let Some(mut rest) = subject.strip_prefix(parts.next().unwrap_or_default()) else {
            return false;
        };
        let last = parts.next_back().unwrap_or_default();
        for part in parts {
            let Some(at) = rest.find(part) else {
                return false;
            };
            rest = &rest[at + part.len()..];
        }
        rest.ends_with(last)
    }
}

impl std::fmt::Display for SkipPattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// The commits that a run is for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Commits {
    /// Empty when somebody started the run by hand, so that no message decides.
    commits: Vec<Commit>,
    /// Whether there may be more of them than are known.
    is_incomplete: bool,
}

impl Commits {
    /// Finds the commits that this run is for: from the event of GitHub Actions, or else the commit that is checked out.
    pub(super) fn find(env_vars: &EnvVars) -> Result<Self, CommandError> {
        // Somebody asked for this run, whatever the commit on top of the branch says.
        if env_vars.get(GITHUB_EVENT_NAME) == Some("workflow_dispatch") {
            return Ok(Self::default());
        }
        let from_event = match env_vars.get(names::GITHUB_EVENT) {
            Some(file) => parse_github_event(
                &read_event(Path::new(file))
                    .map_err(|error| error.with_hint(UNKNOWN_MESSAGE_HINT))?,
            ),
            None => None,
        };
        match from_event {
            Some(commits) => Ok(commits),
            None => Ok(Self::one(read_git_head()?)),
        }
    }

    fn one(commit: Commit) -> Self {
        Self {
            commits: vec![commit],
            is_incomplete: false,
        }
    }

    /// Whether the run is to be skipped: every message matches one of the patterns. A push can bring code together with a
    /// commit that alone would be skipped, and the code has to be deployed.
    pub(super) fn decide(&self, patterns: &[SkipPattern]) -> SkipDecision {
        let matches: Vec<Option<&SkipPattern>> = self
            .commits
            .iter()
            .map(|commit| patterns.iter().find(|one| one.matches(&commit.message)))
            .collect();
        let Some(first) = matches.iter().flatten().next() else {
            return SkipDecision::Run(None);
        };
        let other = self
            .commits
            .iter()
            .zip(&matches)
            .find(|(_, found)| found.is_none());
        match (other, self.commits.as_slice()) {
            (Some((other, _)), _) => SkipDecision::Run(Some(format!(
                "Not skipped: the message of {} in the same push matches no pattern.",
                other.description
            ))),
            (None, _) if self.is_incomplete => SkipDecision::Run(Some(
                "Not skipped: the push has more commits than GitHub reports.".to_owned(),
            )),
            (None, [commit]) => SkipDecision::Skip(format!(
                "the message of {} matches `{first}`",
                commit.description
            )),
            (None, commits) => SkipDecision::Skip(format!(
                "the messages of all {} commits of the push match a pattern, the first one `{first}`",
                commits.len()
            )),
        }
    }
}

/// Whether to skip a run.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum SkipDecision {
    /// It is skipped, for this reason.
    Skip(String),
    /// It is not; the text says why, where a message matches all the same.
    Run(Option<String>),
}

/// Describes a commit. The id comes from outside, so only its leading hexadecimal digits are shown.
fn describe_commit(id: Option<&str>) -> String {
    let id: String = id
        .unwrap_or_default()
        .chars()
        .take_while(char::is_ascii_hexdigit)
        .take(SHORT_ID_LEN)
        .collect();
    if id.is_empty() {
        "this commit".to_owned()
    } else {
        format!("commit {id}")
    }
}

/// A push has the commits that it brings; a `workflow_run` and a merge queue only the last of them. The commit of a pull
/// request is the one that GitHub made to test the merge, so the title counts: it becomes the message when the request is
/// merged.
fn parse_github_event(event: &Value) -> Option<Commits> {
    let commit_of = |commit: &Value| {
        Some(Commit {
            description: describe_commit(commit.get("id").and_then(Value::as_str)),
            message: commit.get("message")?.as_str()?.to_owned(),
        })
    };
    let list = event.get("commits").and_then(Value::as_array);
    let pushed = list.map(Vec::as_slice).unwrap_or_default();
    let commits: Vec<Commit> = pushed.iter().filter_map(commit_of).collect();
    if !commits.is_empty() {
        return Some(Commits {
            is_incomplete: commits.len() < pushed.len() || pushed.len() >= MAX_EVENT_COMMITS,
            commits,
        });
    }
    // A new branch or tag brings no commits. What its last commit says is no reason to do nothing: somebody asked for this.
    if list.is_some() && event.get("head_commit").is_some() {
        return Some(Commits::default());
    }
    let heads = [
        "/head_commit",
        "/workflow_run/head_commit",
        "/merge_group/head_commit",
    ];
    let mut heads = heads.iter().filter_map(|path| event.pointer(path));
    if let Some(commit) = heads.find_map(commit_of) {
        return Some(Commits::one(commit));
    }
    let request = event.get("pull_request")?;
    let number = request.get("number").and_then(Value::as_u64);
    let description = number.map_or_else(
        || "this pull request".to_owned(),
        |number| format!("pull request {number}"),
    );
    Some(Commits::one(Commit {
        description,
        message: request.get("title")?.as_str()?.to_owned(),
    }))
}

/// Reads the commit that is checked out.
fn read_git_head() -> Result<Commit, CommandError> {
    let text = run_git(&["log", "-1", "--no-patch", "--format=%H%n%B"]).map_err(|why| {
        CommandError::new(format!("cannot tell the commit's message: {why}"))
            .with_hint(UNKNOWN_MESSAGE_HINT)
    })?;
    let (id, message) = text.split_once('\n').unwrap_or((&text, ""));
    Ok(Commit {
        description: describe_commit(Some(id)),
        message: message.to_owned(),
    })
}

/// The id of the commit that is checked out.
///
/// # Errors
/// Why git does not say.
pub(super) fn head_commit() -> Result<String, GitError> {
    let id = run_git(&["rev-parse", "--verify", "HEAD"])?;
    Ok(id.trim().to_owned())
}

/// Runs git in the current folder.
fn run_git(arguments: &[&str]) -> Result<String, GitError> {
    let output = git::run(Path::new("."), arguments)?;
    Ok(String::from_utf8_lossy(&output).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(pattern: &str, message: &str) -> bool {
        SkipPattern::parse(pattern).unwrap().matches(message)
    }

    #[test]
    fn pattern_matches_anywhere_and_ignores_case() {
        assert!(fits("[skip deploy]", "Fix a typo\n\n[Skip Deploy]\n"));
        assert!(fits("create persona:", "Create persona: Anna"));
        assert!(
            !fits("[skip deploy]", "skip deploy"),
            "brackets are brackets"
        );
        assert!(!fits("a.c", "abc"), "a dot is a dot");
    }

    #[test]
    fn pattern_with_star_matches_the_whole_first_line() {
        assert!(fits(
            "Create persona:*",
            "create persona: Anna\n\nby the bot"
        ));
        assert!(!fits("Create persona:*", "Fix `Create persona:`"));
        assert!(!fits("docs*", "Fix\n\ndocs"));
        assert!(fits("*[skip*]", "a [skip deploy]"));
        assert!(fits("a*b*c", "a b c") && fits("a*b*c", "abc") && !fits("a*b*c", "acb"));
        assert!(!fits("ab*ba", "aba"), "the two ends do not share a letter");
        assert!(fits("*é*", "É"), "letters are whole");
    }

    #[test]
    fn rejects_patterns_that_match_everything() {
        for text in ["", " ", "*", "**", " * "] {
            assert!(SkipPattern::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn reads_the_commit_message_from_the_github_event() {
        let of = |text: &str| parse_github_event(&serde_json::from_str(text).unwrap());
        let commit = |what: &str, message: &str| {
            Some(Commits::one(Commit {
                description: what.to_owned(),
                message: message.to_owned(),
            }))
        };
        let push = r#"{"head_commit": {"id": "0a1b2c3d4e5f6a7b", "message": "m"}}"#;
        assert_eq!(of(push), commit("commit 0a1b2c3d4e5f", "m"));
        let after = r#"{"workflow_run": {"head_commit": {"id": "::x", "message": "m"}}}"#;
        assert_eq!(of(after), commit("this commit", "m"));
        let pull = r#"{"pull_request": {"number": 7, "title": "t"}}"#;
        assert_eq!(of(pull), commit("pull request 7", "t"));
        assert_eq!(
            of(r#"{"head_commit": null, "inputs": {}}"#),
            None,
            "by hand: what is checked out counts"
        );
    }

    /// A push of code together with a commit that alone would be skipped.
    #[test]
    fn every_commit_of_a_push_must_match() {
        let patterns = [SkipPattern::parse("Create persona:*").unwrap()];
        let decide = |messages: &[&str]| {
            let commits: Vec<Value> = messages
                .iter()
                .zip(10..)
                .map(|(message, id)| serde_json::json!({ "id": format!("0a{id}"), "message": message }))
                .collect();
            let head = commits.last().cloned();
            let event = serde_json::json!({ "commits": commits, "head_commit": head });
            parse_github_event(&event).unwrap().decide(&patterns)
        };
        assert_eq!(
            decide(&["Fix the form", "Create persona: Anna"]),
            SkipDecision::Run(Some(
                "Not skipped: the message of commit 0a10 in the same push matches no pattern."
                    .to_owned()
            ))
        );
        assert_eq!(
            decide(&["Create persona: Anna"]),
            SkipDecision::Skip("the message of commit 0a10 matches `Create persona:*`".to_owned())
        );
        assert!(matches!(
            decide(&["Create persona: Anna", "Create persona: Ben"]),
            SkipDecision::Skip(_)
        ));
        assert_eq!(decide(&["Fix the form"]), SkipDecision::Run(None));
        // More than GitHub lists: the others may be code.
        let many = vec!["Create persona: Anna"; MAX_EVENT_COMMITS];
        assert!(matches!(decide(&many), SkipDecision::Run(Some(_))));
    }
}
