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

    /// The last configuration that the machine had in a release.
    #[must_use]
    pub fn config_in_release(&self, release: &str) -> Option<PreviousConfig> {
        self.0
            .iter()
            .find(|entry| entry.release() == release)
            .map(|entry| entry.config.clone())
    }

    /// The release that a rollback of an app restores: the one named by `to`, or else the one
    /// before the current release.
    #[must_use]
    pub fn rollback_target(all: &[&Self], to: Option<&str>) -> Option<String> {
        let entries = || all.iter().flat_map(|history| &history.0);
        if let Some(to) = to {
            return entries()
                .find(|entry| entry.matches(to))
                .map(|entry| entry.release().to_owned());
        }
        // Merge the histories of all machines: a rollout that stopped has reached only some of them.
        let mut all: Vec<&HistoryEntry> = entries().collect();
        all.sort_by(|a, b| a.version.cmp(&b.version));
        // Rebuild the path of releases, oldest first. A return to an earlier release undoes
        // everything after it, so that a second rollback does not return to the release that the
        // first one undid.
        let mut path: Vec<&str> = Vec::new();
        for entry in all {
            match path.iter().position(|release| *release == entry.release()) {
                Some(index) => path.truncate(index + 1),
                None => path.push(entry.release()),
            }
        }
        path.iter()
            .rev()
            .nth(1)
            .map(|release| (*release).to_owned())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn entry(version: &str, release: &str) -> HistoryEntry {
        let config = PreviousConfig::new(json!({ "metadata": { "trimtab_release": release } }));
        HistoryEntry {
            version: version.into(),
            config,
        }
    }

    #[test]
    fn rollback_skips_releases_that_were_rolled_back() {
        let releases = ["aaaa", "bbbb", "cccc", "bbbb", "dddd", "bbbb"];
        let entries = releases
            .iter()
            .enumerate()
            .map(|(index, release)| entry(&format!("0{index}"), release));
        let mut entries: Vec<HistoryEntry> = entries.collect();
        entries.reverse();
        assert_eq!(
            VersionHistory::rollback_target(&[&VersionHistory(entries.clone())], None).as_deref(),
            Some("aaaa")
        );
        entries.remove(0);
        assert_eq!(
            VersionHistory::rollback_target(&[&VersionHistory(entries)], None).as_deref(),
            Some("bbbb")
        );
    }

    #[test]
    fn rollback_target_is_the_same_for_all_machines() {
        // The rollout of `bbbb` stopped after the first machine.
        let first = VersionHistory(vec![
            entry("05", "bbbb"),
            entry("02", "aaaa"),
            entry("01", "0000"),
        ]);
        let second = VersionHistory(vec![entry("03", "aaaa"), entry("01", "0000")]);
        let all = [&first, &second];
        assert_eq!(
            VersionHistory::rollback_target(&all, None).as_deref(),
            Some("aaaa")
        );
        assert_eq!(
            VersionHistory::rollback_target(&all, Some("0000")).as_deref(),
            Some("0000")
        );
        assert_eq!(
            VersionHistory::rollback_target(&all, Some("05")).as_deref(),
            Some("bbbb")
        );
        assert_eq!(VersionHistory::rollback_target(&all, Some("cccc")), None);
        assert_eq!(
            VersionHistory::rollback_target(&[&VersionHistory(vec![entry("01", "aaaa")])], None),
            None
        );
        assert!(
            second.config_in_release("aaaa").is_some()
                && second.config_in_release("bbbb").is_none()
        );
    }
}
