//! What stands behind `uses: ACTION@`. A new file gets the commit that was current when this version
//! of trimtab was made. From then on it is the user's, and Dependabot's.

use std::collections::BTreeMap;

use super::{model::StepCommand, project::Project, yaml::YamlEntry};

/// The actions that the workflows use: the commit, and its version.
const DEFAULT_PINS: [(&str, &str, &str); 2] = [
    (
        "actions/checkout",
        "3d3c42e5aac5ba805825da76410c181273ba90b1",
        "v7.0.1",
    ),
    (
        "superfly/flyctl-actions/setup-flyctl",
        "ed8efb33836e8b2096c7fd3ba1c8afe303ebbff1",
        "1.6",
    ),
];

/// A step with an action that trimtab chooses.
pub(super) fn action(project: &Project, name: &str, inputs: Vec<YamlEntry>) -> StepCommand {
    let (commit, version) = stated_pin(project, name).unwrap_or_else(|| {
        let pin = DEFAULT_PINS.iter().find(|pin| pin.0 == name);
        let (_, commit, version) = pin.copied().unwrap_or_default();
        (commit.to_owned(), Some(version.to_owned()))
    });
    StepCommand::Uses {
        action: format!("{name}@{commit}"),
        version,
        inputs,
    }
}

/// A step with an action that the manifest names.
pub(super) fn user_action(project: &Project, action: &str, inputs: Vec<YamlEntry>) -> StepCommand {
    let pin = action
        .split_once('@')
        .and_then(|(name, _)| Some((name, stated_pin(project, name)?)));
    match pin {
        Some((name, (commit, version))) => StepCommand::Uses {
            action: format!("{name}@{commit}"),
            version,
            inputs,
        },
        None => StepCommand::Uses {
            action: action.to_owned(),
            version: None,
            inputs,
        },
    }
}

/// The pin that the manifest states: the commit, and the version in its comment.
fn stated_pin(project: &Project, name: &str) -> Option<(String, Option<String>)> {
    let pin = project.section.pins.get(name)?;
    let (commit, rest) = pin.split_once(' ').unwrap_or((pin, ""));
    let version = rest.trim_start_matches([' ', '#']).trim_end();
    let version = Some(version.to_owned()).filter(|version| !version.is_empty());
    Some((commit.to_owned(), version))
}

/// A line with `uses: ACTION@REFERENCE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct UsesLine<'t> {
    /// The line up to and with the `@`.
    pub(super) head: &'t str,
    /// The action.
    pub(super) action: &'t str,
    /// What stands behind the `@`: the reference, and perhaps a comment.
    pub(super) tail: &'t str,
}

impl<'t> UsesLine<'t> {
    /// Reads a line in the form in which trimtab writes it.
    pub(super) fn parse(line: &'t str) -> Option<Self> {
        let entry = line.trim_start_matches(' ');
        let value = entry
            .strip_prefix("- ")
            .unwrap_or(entry)
            .strip_prefix("uses: ")?;
        let (action, tail) = value.split_once('@')?;
        let (reference, comment) = tail.split_once(' ').unwrap_or((tail, "# "));
        let is_word = |text: &str| {
            !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || "'\"#{".contains(c))
        };
        let is_whole =
            is_word(action) && is_word(reference) && comment.trim_start().starts_with('#');
        is_whole.then(|| Self {
            head: &line[..line.len() - tail.len()],
            action,
            tail,
        })
    }

    /// The reference without the comment.
    pub(super) fn reference(&self) -> &'t str {
        self.tail.split(' ').next().unwrap_or_default()
    }

    /// Whether the reference always means the same: a commit, or the digest of an image.
    pub(super) fn is_pinned(&self) -> bool {
        let is_hex = |text: &str, digits: usize| {
            text.len() == digits && text.chars().all(|c| c.is_ascii_hexdigit())
        };
        let reference = self.reference();
        let digest = reference.strip_prefix("sha256:");
        is_hex(reference, 40) || digest.is_some_and(|digest| is_hex(digest, 64))
    }
}

/// The actions that a file uses, as `name@reference`.
#[must_use]
pub fn list_actions(text: &str) -> Vec<String> {
    let lines = text.lines().filter_map(UsesLine::parse);
    lines
        .map(|line| format!("{}@{}", line.action, line.reference()))
        .collect()
}

/// A generated text with the pins of the file that is there.
#[must_use]
pub fn keep_pins(generated: &str, existing: &str) -> String {
    let mut kept: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for line in existing.lines().filter_map(UsesLine::parse) {
        if line.is_pinned() {
            kept.entry(line.action).or_default().push(line.tail);
        }
    }
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    let mut out = String::new();
    for line in generated.lines() {
        let uses = UsesLine::parse(line);
        let pin = uses.as_ref().and_then(|uses| {
            let nth = seen.entry(uses.action).or_default();
            *nth += 1;
            let kept = kept.get(uses.action)?;
            kept.get(*nth - 1).or(kept.first())
        });
        match (uses, pin) {
            (Some(uses), Some(pin)) => {
                out.push_str(uses.head);
                out.push_str(pin);
            }
            _ => out.push_str(line),
        }
        out.push('\n');
    }
    out
}

/// The actions of a file whose reference can be moved by somebody else, such as `actions/checkout@v7`,
/// although the generated text pins them.
#[must_use]
pub fn find_moving_references(generated: &str, existing: &str) -> Vec<String> {
    let pinned: Vec<&str> = generated
        .lines()
        .filter_map(UsesLine::parse)
        .filter(UsesLine::is_pinned)
        .map(|line| line.action)
        .collect();
    let mut moving: Vec<String> = existing
        .lines()
        .filter_map(UsesLine::parse)
        .filter(|line| !line.is_pinned() && pinned.contains(&line.action))
        .map(|line| format!("{}@{}", line.action, line.reference()))
        .collect();
    moving.sort();
    moving.dedup();
    moving
}
