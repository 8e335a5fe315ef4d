//! The version history of a machine as Fly keeps it, including the versions of its predecessors.

use std::collections::BTreeSet;

use serde_json::Value;

use super::PreviousConfig;
use crate::model::OwnershipMark;

/// The versions of one machine, newest first. The first is the current one.
#[derive(Clone, Debug, Default)]
pub struct VersionHistory(Vec<HistoryEntry>);

/// One version of a machine.
#[derive(Clone, Debug)]
struct HistoryEntry {
    /// Fly's version id, a ULID: ids sort by time.
    version: String,
    config: PreviousConfig,
}

impl HistoryEntry {
    /// The release of this version: trimtab's or flyctl's; without either the version id.
    fn release(&self) -> &str {
        OwnershipMark::started_release(|key| self.config.metadata_value(key))
            .unwrap_or(&self.version)
    }

    /// Whether the user's `text` selects this version. A release may be abbreviated to four or more
    /// characters, like a Git commit.
    fn matches(&self, text: &str) -> bool {
        let release = self.release();
        self.version == text || release == text || text.len() >= 4 && release.starts_with(text)
    }
}

impl VersionHistory {
    /// A history from versions and their configurations, newest first.
    pub fn new(versions: impl IntoIterator<Item = (String, Value)>) -> Self {
        let entry = |(version, config)| HistoryEntry {
            version,
            config: PreviousConfig::new(config),
        };
        Self(versions.into_iter().map(entry).collect())
    }

    /// All releases of the history.
    #[must_use]
    pub fn releases(&self) -> BTreeSet<String> {
        self.0
            .iter()
            .map(|entry| entry.release().to_owned())
            .collect()
    }

    /// The configuration that the machine had in a release of its app, marked with that release.
    ///
    /// A release changes only the machines whose configuration differs, so a machine may never have been started with it. Its
    /// configuration in the release is then the one that it had when the app left the release.
    #[must_use]
    pub fn config_in_release(&self, target: &RollbackTarget) -> Option<PreviousConfig> {
        let mut entries = self.0.iter();
        let started_with = entries.find(|entry| entry.release() == target.release);
        let left_at = target.left_at.as_deref();
        let kept = || {
            let mut entries = self.0.iter();
            entries.find(|entry| left_at.is_none_or(|left| entry.version.as_str() < left))
        };
        let entry = started_with.or_else(kept)?;
        Some(entry.config.clone().with_release(&target.release))
    }
}

/// The release that a rollback restores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RollbackTarget {
    /// The release.
    pub release: String,
    /// The first version of any machine of the app after it; `None` when no other release followed.
    left_at: Option<String>,
}

/// The releases that an app has run, from the histories of all its machines: a rollout that stopped has reached only some of
/// them.
pub struct ReleaseTimeline<'a> {
    /// Oldest first.
    entries: Vec<&'a HistoryEntry>,
}

impl<'a> ReleaseTimeline<'a> {
    /// The timeline of an app with these machines.
    #[must_use]
    pub fn new(machines: &[&'a VersionHistory]) -> Self {
        let mut entries: Vec<&HistoryEntry> =
            machines.iter().flat_map(|history| &history.0).collect();
        entries.sort_by(|a, b| a.version.cmp(&b.version));
        Self { entries }
    }

    /// The path of releases that led to the present one, oldest first, and whether its last step was a rollback. A return to
    /// an earlier release undoes everything after it, so that a second rollback does not return to the release that the first
    /// one undid.
    fn path(&self) -> (Vec<&'a str>, bool) {
        let mut path: Vec<&str> = Vec::new();
        let mut is_rollback = false;
        for entry in &self.entries {
            let release = entry.release();
            match path.iter().position(|earlier| *earlier == release) {
                Some(at) if at + 1 == path.len() => {}
                Some(at) => {
                    path.truncate(at + 1);
                    is_rollback = true;
                }
                None => {
                    path.push(release);
                    is_rollback = false;
                }
            }
        }
        (path, is_rollback)
    }

    /// The release that the app has just gone back to, when its last change was a rollback. Not all of its machines may be there yet.
    #[must_use]
    pub fn rolled_back_to(&self) -> Option<RollbackTarget> {
        let (path, is_rollback) = self.path();
        let release = path.last().filter(|_| is_rollback)?;
        Some(self.target(release))
    }

    /// The mark of a rollback to this release that begins now.
    #[must_use]
    pub fn rollback_mark(&self, target: &RollbackTarget) -> String {
        let newest = self.entries.last().map_or("", |entry| &entry.version);
        format!("{} {newest}", target.release)
    }

    /// The release that a rollback with this mark goes back to. Nothing when another release has begun since: the mark is a leftover
    /// then.
    #[must_use]
    pub fn marked_target(&self, mark: &str) -> Option<RollbackTarget> {
        let (release, newest) = mark.split_once(' ')?;
        let mut since = self
            .entries
            .iter()
            .filter(|entry| entry.version.as_str() > newest);
        let is_known = self.entries.iter().any(|entry| entry.release() == release);
        (is_known && since.all(|entry| entry.release() == release)).then(|| self.target(release))
    }

    /// The release before the present one.
    #[must_use]
    pub fn previous(&self) -> Option<RollbackTarget> {
        let (path, _) = self.path();
        let release = path.iter().rev().nth(1)?;
        Some(self.target(release))
    }

    /// The newest release before the present one that is none of these.
    #[must_use]
    pub fn newest_except(&self, failed: &BTreeSet<String>) -> Option<RollbackTarget> {
        let (path, _) = self.path();
        let mut newest_first = path.iter().rev();
        newest_first
            .find(|release| !failed.contains(**release))
            .map(|release| self.target(release))
    }

    /// The release that the user's `text` names: a release, the first characters of one, or the id of a version.
    #[must_use]
    pub fn find(&self, text: &str) -> Option<RollbackTarget> {
        let mut newest_first = self.entries.iter().rev();
        newest_first
            .find(|entry| entry.matches(text))
            .map(|entry| self.target(entry.release()))
    }

    fn target(&self, release: &str) -> RollbackTarget {
        let is_in_release = |entry: &&HistoryEntry| entry.release() == release;
        let last = self.entries.iter().rposition(is_in_release);
        let after = self.entries.iter().skip(last.map_or(0, |last| last + 1));
        RollbackTarget {
            release: release.to_owned(),
            left_at: after.map(|entry| entry.version.clone()).next(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn entry(version: &str, release: &str) -> HistoryEntry {
        let config = PreviousConfig::new(
            json!({ "image": version, "metadata": { "trimtab_release": release } }),
        );
        HistoryEntry {
            version: version.into(),
            config,
        }
    }

    /// A history from `VERSION RELEASE` pairs, newest first.
    fn history(entries: &[(&str, &str)]) -> VersionHistory {
        let entries = entries
            .iter()
            .map(|(version, release)| entry(version, release));
        VersionHistory(entries.collect())
    }

    /// The release that the app has just gone back to, and the one before the present.
    fn targets(machines: &[&VersionHistory]) -> [String; 2] {
        let timeline = ReleaseTimeline::new(machines);
        [timeline.rolled_back_to(), timeline.previous()]
            .map(|target| target.map_or_else(|| "none".to_owned(), |target| target.release))
    }

    #[test]
    fn second_rollback_skips_what_the_first_undid() {
        let all = [
            ("5", "bbbb"),
            ("4", "dddd"),
            ("3", "bbbb"),
            ("2", "cccc"),
            ("1", "bbbb"),
            ("0", "aaaa"),
        ];
        assert_eq!(targets(&[&history(&all)]), ["bbbb", "aaaa"]);
        // Before that rollback the present release was `dddd`.
        assert_eq!(targets(&[&history(&all[1..])]), ["none", "bbbb"]);
    }

    #[test]
    fn unfinished_rollback_is_recognised() {
        let back = history(&[("7", "bbbb"), ("5", "cccc"), ("3", "bbbb"), ("1", "aaaa")]);
        let not_yet = history(&[("6", "cccc"), ("4", "bbbb"), ("2", "aaaa")]);
        assert_eq!(targets(&[&back, &not_yet]), ["bbbb", "aaaa"]);
    }

    #[test]
    fn mark_of_a_rollback_counts_until_another_release_begins() {
        let all = [("5", "aaaa"), ("4", "cccc"), ("2", "bbbb"), ("1", "aaaa")];
        let before = history(&all[1..]);
        let timeline = ReleaseTimeline::new(&[&before]);
        let mark = timeline.rollback_mark(&timeline.find("aaaa").unwrap());
        let target = |history: &VersionHistory| {
            let target = ReleaseTimeline::new(&[history]).marked_target(&mark);
            target.map(|target| target.release)
        };
        let done = history(&all);
        assert_eq!(target(&before).as_deref(), Some("aaaa"));
        assert_eq!(target(&done).as_deref(), Some("aaaa"));
        let applied = history(&[("6", "dddd")]);
        let later = VersionHistory(applied.0.iter().chain(&done.0).cloned().collect());
        assert_eq!(target(&later), None);
        assert_eq!(target(&history(&[("2", "bbbb")])), None);
    }

    #[test]
    fn rollback_target_is_the_release_before_the_newest_of_any_machine() {
        // The rollout of `bbbb` stopped after the first machine.
        let first = history(&[("05", "bbbb"), ("02", "aaaa"), ("01", "0000")]);
        let second = history(&[("03", "aaaa"), ("01", "0000")]);
        let all = [&first, &second];
        assert_eq!(targets(&all), ["none", "aaaa"]);
        let find = |text: &str| {
            let target = ReleaseTimeline::new(&all).find(text);
            target.map(|target| target.release)
        };
        assert_eq!(find("0000").as_deref(), Some("0000"));
        assert_eq!(find("05").as_deref(), Some("bbbb"));
        assert_eq!(find("cccc"), None);
        assert_eq!(targets(&[&history(&[("01", "aaaa")])]), ["none", "none"]);
    }

    #[test]
    fn machine_that_skipped_a_release_gets_what_it_had_then() {
        let app = history(&[("5", "v3"), ("3", "v2"), ("1", "v1")]);
        let jobs = history(&[("6", "v3"), ("2", "v1")]);
        let timeline = ReleaseTimeline::new(&[&app, &jobs]);
        let target = timeline.previous().unwrap();
        assert_eq!(target.release, "v2");
        let image = |history: &VersionHistory| {
            let config = history.config_in_release(&target).unwrap();
            let release = config.metadata_value(OwnershipMark::RELEASE_KEY);
            assert_eq!(release, Some("v2"), "all machines end on one release");
            config.image().unwrap().to_string()
        };
        assert_eq!((image(&app).as_str(), image(&jobs).as_str()), ("3", "2"));
        // A machine that came later had no configuration then.
        assert!(history(&[("7", "v3")]).config_in_release(&target).is_none());
    }

    #[test]
    fn failed_releases_are_no_target_of_a_recovery() {
        let app = history(&[("5", "v3"), ("3", "v2"), ("1", "v1")]);
        let failed = ["v3", "v2"].map(str::to_owned).into();
        let timeline = ReleaseTimeline::new(&[&app]);
        let target = timeline.newest_except(&failed).unwrap();
        assert_eq!(target.release, "v1");
    }
}
