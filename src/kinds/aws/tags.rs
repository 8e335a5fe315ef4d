//! Tags of AWS resources: the ownership mark and the tags of the manifest. Tags that others added
//! stay. Tags that were removed from the manifest are removed, so the keys that came from it are
//! recorded in a tag.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{DiffLine, Name, OwnershipMark};

/// A map of tags.
pub type Tags = BTreeMap<String, String>;

/// The tag that records which tags came from the manifest: their keys, separated by spaces, since
/// no key contains one.
pub const MANAGED_KEYS_TAG: &str = "trimtab_tags";
/// The tag of a resource that must not be deleted, even if its block is removed from the manifest.
pub const PROTECTED_TAG: &str = "trimtab_protected";

/// All tags that a resource should have.
#[must_use]
pub fn desired_tags(
    mark: &OwnershipMark,
    name: &Name,
    manifest_tags: &Tags,
    protected: bool,
) -> Tags {
    let mut tags = manifest_tags.clone();
    tags.insert(OwnershipMark::PROJECT_KEY.to_owned(), mark.project.clone());
    tags.insert(
        OwnershipMark::ENVIRONMENT_KEY.to_owned(),
        mark.environment.clone(),
    );
    tags.insert(OwnershipMark::NAME_KEY.to_owned(), name.to_string());
    if protected {
        tags.insert(PROTECTED_TAG.to_owned(), "true".to_owned());
    }
    if !manifest_tags.is_empty() {
        tags.insert(
            MANAGED_KEYS_TAG.to_owned(),
            manifest_tags
                .keys()
                .map(String::as_str)
                .collect::<Vec<_>>()
                .join(" "),
        );
    }
    tags
}

/// Whether a live resource is protected against deletion.
#[must_use]
pub fn is_protected(live: &Tags) -> bool {
    live.get(PROTECTED_TAG).is_some_and(|value| value == "true")
}

/// The lines of a plan about the tags of a new resource: those of the manifest, and whether it is
/// protected.
pub(super) fn tag_lines(desired: &Tags) -> impl Iterator<Item = DiffLine> + '_ {
    let protected = is_protected(desired).then(|| DiffLine::add("protected", true));
    let manifest_tags = desired
        .iter()
        .filter(|(key, _)| !key.starts_with(OwnershipMark::METADATA_PREFIX));
    manifest_tags
        .map(|(key, value)| DiffLine::add(format!("tags.{key}"), value.clone()))
        .chain(protected)
}

/// A change of tags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagChange {
    /// The old values of the changed keys, if they had one.
    pub from: Tags,
    /// Tags to set.
    pub set: Tags,
    /// Keys to remove.
    pub removed: Vec<String>,
}

impl TagChange {
    /// The change that brings the live tags to the desired ones by the rules of S3, where keys are
    /// case-sensitive. `None` if nothing differs.
    #[must_use]
    pub fn diff(desired: &Tags, live: &Tags) -> Option<Self> {
        Self::diff_by_key(desired, live, str::to_owned)
    }

    /// The same by the rules of IAM, where `Team` and `team` are the same key in the spelling of
    /// whoever set it ("Tags for IAM resources", "Case sensitivity"). A key in another spelling is
    /// removed before ours is set, so it does not matter whether IAM would change the spelling.
    #[must_use]
    pub fn diff_ignoring_case(desired: &Tags, live: &Tags) -> Option<Self> {
        Self::diff_by_key(desired, live, str::to_lowercase)
    }

    /// `canonical_key` gives one text for all names that are one tag.
    fn diff_by_key(desired: &Tags, live: &Tags, canonical_key: fn(&str) -> String) -> Option<Self> {
        let recorded_keys = live
            .get(MANAGED_KEYS_TAG)
            .map(String::as_str)
            .unwrap_or_default();
        let managed = recorded_keys
            .split(' ')
            .chain([MANAGED_KEYS_TAG, PROTECTED_TAG]);
        let managed: BTreeSet<String> = managed
            .chain(desired.keys().map(String::as_str))
            .map(canonical_key)
            .collect();
        let removed: Vec<String> = live
            .keys()
            .filter(|key| managed.contains(&canonical_key(key)) && !desired.contains_key(*key))
            .cloned()
            .collect();
        let is_different = |(key, value): &(&String, &String)| live.get(*key) != Some(*value);
        let set: Tags = desired
            .iter()
            .filter(is_different)
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect();
        let changed_keys = set.keys().chain(&removed);
        let from = changed_keys
            .filter_map(|key| Some((key.clone(), live.get(key)?.clone())))
            .collect();
        (!set.is_empty() || !removed.is_empty()).then_some(Self { from, set, removed })
    }

    /// The tags after the change.
    #[must_use]
    pub fn apply_to(&self, live: &Tags) -> Tags {
        let mut tags = live.clone();
        tags.retain(|key, _| !self.removed.contains(key));
        tags.extend(self.set.clone());
        tags
    }

    /// The lines of the change. The record of managed keys changes together with other tags, so it
    /// is shown only if nothing else changes.
    #[must_use]
    pub fn lines(&self) -> Vec<DiffLine> {
        let all = self.all_lines();
        let other_lines: Vec<DiffLine> = all
            .iter()
            .filter(|line| line.path != format!("tags.{MANAGED_KEYS_TAG}"))
            .cloned()
            .collect();
        if other_lines.is_empty() {
            all
        } else {
            other_lines
        }
    }

    fn all_lines(&self) -> Vec<DiffLine> {
        let Self { from, set, removed } = self;
        let set = set.iter().map(|(key, to)| match from.get(key) {
            Some(from) => DiffLine::change(format!("tags.{key}"), from.clone(), to.clone()),
            None => DiffLine::add(format!("tags.{key}"), to.clone()),
        });
        let removed = removed.iter().filter_map(|key| {
            Some(DiffLine::remove(
                format!("tags.{key}"),
                from.get(key)?.clone(),
            ))
        });
        set.chain(removed).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(pairs: &[(&str, &str)]) -> Tags {
        pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect()
    }

    #[test]
    fn removes_own_tags_and_keeps_foreign_ones() {
        let live = tags(&[
            ("team", "x"),
            ("cost", "1"),
            (MANAGED_KEYS_TAG, "cost team"),
            ("audit", "y"),
        ]);
        let change =
            TagChange::diff(&tags(&[("team", "z"), (MANAGED_KEYS_TAG, "team")]), &live).unwrap();
        assert_eq!(
            change.apply_to(&live),
            tags(&[("team", "z"), (MANAGED_KEYS_TAG, "team"), ("audit", "y")])
        );
        assert_eq!(
            TagChange::diff(
                &tags(&[("team", "z")]),
                &tags(&[("team", "z"), ("audit", "y")])
            ),
            None
        );
    }

    #[test]
    fn iam_keys_are_compared_without_case() {
        let live = tags(&[
            ("Team", "x"),
            ("Cost", "1"),
            ("audit", "y"),
            (MANAGED_KEYS_TAG, "Team cost"),
        ]);
        let desired = tags(&[
            ("team", "x"),
            ("cost", "1"),
            (MANAGED_KEYS_TAG, "cost team"),
        ]);
        let change = TagChange::diff_ignoring_case(&desired, &live).unwrap();
        assert_eq!(change.removed, ["Cost", "Team"], "whoever spelt it so");
        assert_eq!(change.set, desired);
        let after = change.apply_to(&live);
        assert_eq!(
            after,
            tags(&[
                ("team", "x"),
                ("cost", "1"),
                (MANAGED_KEYS_TAG, "cost team"),
                ("audit", "y")
            ])
        );
        assert_eq!(TagChange::diff_ignoring_case(&desired, &after), None);
        let lines: Vec<String> = change.lines().into_iter().map(|line| line.path).collect();
        assert_eq!(lines, ["tags.cost", "tags.team", "tags.Cost", "tags.Team"]);

        // A tag of ours whose spelling somebody changed is removed together with the manifest's.
        let change = TagChange::diff_ignoring_case(
            &Tags::new(),
            &tags(&[("TEAM", "x"), (MANAGED_KEYS_TAG, "team")]),
        )
        .unwrap();
        assert_eq!(change.removed, ["TEAM", MANAGED_KEYS_TAG]);

        // In S3 these are two tags, and the other one may belong to somebody else.
        let change = TagChange::diff(&tags(&[("team", "x")]), &tags(&[("Team", "x")])).unwrap();
        assert_eq!(
            (change.set, change.removed),
            (tags(&[("team", "x")]), Vec::new())
        );
    }

    #[test]
    fn restores_missing_tags_and_lifts_protection() {
        let mark = OwnershipMark {
            project: "harbor".to_owned(),
            environment: "production".to_owned(),
        };
        let name = Name::parse("backups").unwrap();
        let protected = desired_tags(&mark, &name, &Tags::new(), true);
        let open = desired_tags(&mark, &name, &Tags::new(), false);
        let paths = |desired: &Tags, live: &Tags| -> Vec<String> {
            let change = TagChange::diff(desired, live);
            change
                .map(|change| change.lines())
                .unwrap_or_default()
                .into_iter()
                .map(|l| l.path)
                .collect()
        };
        assert_eq!(paths(&protected, &open), ["tags.trimtab_protected"]);
        assert_eq!(paths(&open, &protected), ["tags.trimtab_protected"]);
        assert_eq!(paths(&open, &Tags::new()).len(), 3);
        assert!(is_protected(&protected) && !is_protected(&open));
    }
}
